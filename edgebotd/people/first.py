"""The code that logs a first administrator in."""

from __future__ import annotations

from edgebotd.people.accounts import Accounts
from edgebotd.people.audit import SYSTEM
from edgebotd.people.directory import People
from edgebotd.people.sign_in import SignIn


async def admin_code(people: People, accounts: Accounts, sign_in: SignIn) -> str:
    """Return a one-time code for an administrator, who is made (without a password) where there is none."""
    admins = [
        record.user_id for record in people.records() if record.active and record.user is not None and record.user.admin
    ]
    if not admins:
        await accounts.add(SYSTEM, "admin", "Admin", admin=True, password=None)
        admins = ["admin"]
    code, _expires_at = await sign_in.add_code(SYSTEM, "login", admins[0])
    return code
