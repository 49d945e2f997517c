"""Where the vault's key comes from, and that the daemon does not start without the right one."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgebotd.accounts.cipher import Cipher, VaultLocked, new_key
from edgebotd.accounts.house import KEY_NAME, open_accounts, open_cipher
from edgebotd.accounts.keeping import AddRequest
from edgebotd.config import AccountsSettings
from edgebotd.store.database import open_database
from tests.hub.support import hub_on

LOGIN = AddRequest.model_validate({"provider": "a", "name": "b", "secret": "canary-b"})


async def opens(
    folder: Path, settings: AccountsSettings, env: dict[str, str] | None = None, *, add: bool = False
) -> None:
    """Start on the store of a folder, perhaps put a login there, and stop."""
    async with open_database(folder / "store.db") as database:
        cipher = await open_cipher(database, settings, folder, env or {})
        async with (
            hub_on(database) as hub,
            open_accounts(database, {}, hub=hub, cipher=cipher, now=lambda: 1) as accounts,
        ):
            if add:
                await accounts.keeping.add(LOGIN)
            for profile in accounts.vault.all():
                assert (await accounts.vault.login(profile.id)).access == "canary-b"


def written(path: Path) -> Path:
    path.write_text(new_key().get_secret_value() + "\n")
    path.chmod(0o600)
    return path


async def test_a_key_is_made_at_the_first_start_and_must_be_there_ever_after(tmp_path: Path) -> None:
    none = AccountsSettings()
    await opens(tmp_path, none)
    (tmp_path / KEY_NAME).unlink()
    # A backup that was restored without the key: nothing was sealed, so nothing is lost.
    await opens(tmp_path, none, add=True)
    await opens(tmp_path, none)
    key = (tmp_path / KEY_NAME).read_text()
    (tmp_path / KEY_NAME).unlink()
    with pytest.raises(VaultLocked, match=r"vault\.key.*cannot be read: No such file.*docs/accounts\.md"):
        await opens(tmp_path, none)
    assert not (tmp_path / KEY_NAME).exists(), "a fresh one would be taken for the right one later"
    written(tmp_path / KEY_NAME)
    with pytest.RaisesGroup(pytest.RaisesExc(VaultLocked, match="another one"), flatten_subgroups=True):
        await opens(tmp_path, none)
    (tmp_path / KEY_NAME).write_text(key)
    await opens(tmp_path, none)


async def test_the_settings_name_a_file_or_a_credential(tmp_path: Path) -> None:
    file = AccountsSettings(key_file=written(tmp_path / "own.key"))
    await opens(tmp_path, file, add=True)
    assert not (tmp_path / KEY_NAME).exists()
    (tmp_path / "own.key").chmod(0o644)
    with pytest.raises(VaultLocked, match="chmod 600"):
        await opens(tmp_path, file)
    (tmp_path / "own.key").chmod(0o600)
    named = AccountsSettings(key_credential="own.key")
    await opens(tmp_path, named, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    with pytest.raises(VaultLocked, match=r"accounts\.key_credential: there are no credentials"):
        await opens(tmp_path, named)
    (tmp_path / "own.key").write_text("canary")
    with pytest.raises(VaultLocked, match="malformed") as caught:
        await opens(tmp_path, file)
    assert "canary" not in str(caught.value)


async def test_a_store_with_another_key_is_not_opened(tmp_path: Path) -> None:
    async with open_database(None) as database, hub_on(database) as hub:
        async with open_accounts(database, {}, hub=hub, cipher=Cipher(new_key()), now=lambda: 1) as accounts:
            await accounts.keeping.add(LOGIN)
        with pytest.raises(VaultLocked):
            async with open_accounts(database, {}, hub=hub, cipher=Cipher(new_key()), now=lambda: 1):
                raise AssertionError("opened")
