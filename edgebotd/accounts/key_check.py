"""Whether a key is the one that a store's logins were sealed with: a value lies beside them, sealed like them."""

from __future__ import annotations

import sqlite3
from typing import Final

from edgebotd.accounts.cipher import Cipher, VaultLocked
from edgebotd.store import profiles as rows

_PLACE: Final = "the vault"


def fits(conn: sqlite3.Connection, cipher: Cipher) -> bool:
    """Say whether a key opens what is sealed in a store; it does where nothing is."""
    if not rows.has_secrets(conn) or (sealed := rows.check_value(conn)) is None:
        return True
    try:
        cipher.open(sealed, _PLACE)
    except VaultLocked:
        return False
    return True


def note(conn: sqlite3.Connection, cipher: Cipher) -> None:
    """Have a store know the key by which its logins are sealed from now on; nothing changes where some are."""
    if not rows.has_secrets(conn) or rows.check_value(conn) is None:
        rows.set_check_value(conn, cipher.seal(b"", _PLACE))
