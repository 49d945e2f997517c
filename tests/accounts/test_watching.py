"""An external login follows its file; a blank there, or no file, takes nothing away that was good."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgebotd.accounts.cipher import Cipher, new_key
from edgebotd.accounts.house import ProviderAccounts, open_accounts
from edgebotd.accounts.keeping import AddRequest, ImportRequest
from edgebotd.accounts.secrets import Login
from edgebotd.accounts.usage.record import Record
from edgebotd.accounts.vault import Vault
from edgebotd.accounts.watching import place_of
from edgebotd.errors import Invalid
from edgebotd.store.database import open_database
from edgebotd.store.profiles import Profile
from tests.hub.support import hub_on

ID = "anthropic:claude"
AT = 1_795_474_132_325


@dataclass
class Program:
    """Claude Code, as far as its file."""

    file: Path

    def write(self, access: str, refresh: str = "canary-r", expires: int = AT) -> None:
        row = {"accessToken": access, "refreshToken": refresh, "expiresAt": expires}
        fresh = self.file.with_suffix(".new")
        fresh.write_text(json.dumps({"claudeAiOauth": row}))
        # As most do: the file is another one each time.
        os.replace(fresh, self.file)


@asynccontextmanager
async def opened(
    folder: Path, owner: str | None = "external", now: Callable[[], int] = lambda: 5
) -> AsyncIterator[tuple[ProviderAccounts, Program]]:
    program = Program(folder / "credentials.json")
    program.write("canary-a")
    async with (
        open_database(None) as database,
        hub_on(database) as hub,
        open_accounts(database, {}, hub=hub, cipher=Cipher(new_key()), now=now) as accounts,
    ):
        if owner is not None:
            await accounts.keeping.bring(request(program, owner=owner))
        yield accounts, program


def request(program: Program, **more: Any) -> ImportRequest:
    return ImportRequest.model_validate({"kind": "claude", "path": str(program.file), **more})


async def now(vault: Vault) -> tuple[str, str | None, int | None, str | None]:
    profile = vault.get(ID)
    return profile.state, profile.reason, profile.expires_at, (await vault.login(ID)).access


async def test_a_look_before_an_import_imports_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path, None) as (accounts, program):
        answer = await accounts.keeping.bring(request(program))
        [item] = answer.items
        assert (item.profile_id, item.outcome, item.expires_at, item.refreshable) == (ID, "found", AT, False)
        assert accounts.vault.all() == [] and "Nothing is imported" in answer.meaning
        assert "canary" not in answer.model_dump_json()


async def test_what_is_owned_has_its_refresh_token_and_is_not_read_again(tmp_path: Path) -> None:
    async with opened(tmp_path, "edgebotd") as (accounts, program):
        profile = accounts.vault.get(ID)
        assert (profile.owner, profile.place, profile.state) == ("edgebotd", None, "fresh")
        assert (await accounts.vault.login(ID)).refresh == "canary-r"
        program.write("canary-b")
        await accounts.watching.look()
        assert await now(accounts.vault) == ("fresh", None, AT, "canary-a")
        again = await accounts.keeping.bring(request(program, owner="external"))
        assert [(one.outcome, one.problem) for one in again.items] == [
            ("refused", f"it is here already, as {ID}; remove that to import it anew")
        ]


async def test_what_is_watched_follows_its_file_without_what_refreshes_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as (accounts, program):
        vault = accounts.vault
        assert (vault.get(ID).owner, place_of(vault.get(ID))) == ("external", ("claude", program.file))
        assert (await vault.login(ID)).refresh is None
        await accounts.watching.look()
        generation = vault.get(ID).generation
        assert generation == 1, "it is as it was imported"
        program.write("canary-b", expires=AT + 1)
        await accounts.watching.look()
        assert await now(vault) == ("fresh", None, AT + 1, "canary-b")
        told: list[str] = []
        vault.subscribe(told.append)
        await accounts.watching.look()
        assert told == [], "a file that has not changed is not read"


async def test_what_a_program_renews_as_its_token_ends_is_the_same_login(tmp_path: Path) -> None:
    at = [AT - 3_600_000]
    async with opened(tmp_path, now=lambda: at[0]) as (accounts, program):
        profile = accounts.vault.get(ID)
        seen = Record.begin(profile)
        for early, same in ((300_000, True), (-86_400_000, True), (1_800_000, False)):
            assert profile.expires_at is not None
            at[0] = profile.expires_at - early
            program.write(f"canary-{early}", expires=at[0] + 3_600_000)
            await accounts.watching.look()
            profile = accounts.vault.get(ID)
            # In the middle of a token's life it may be somebody else who has logged in there.
            assert (profile.login_generation == seen.login_generation, seen.is_of(profile)) == (same, same)
            seen = Record.begin(profile)
        program.write("", "", 0)
        await accounts.watching.look()
        at[0] += 3_600_000
        program.write("canary-z", expires=at[0] + 3_600_000)
        await accounts.watching.look()
        assert not seen.is_of(accounts.vault.get(ID)), "it was logged out meanwhile"


@pytest.mark.parametrize(("who", "same"), [("7", True), ("8", False)])
async def test_whoever_is_named_by_the_id_token_decides(tmp_path: Path, who: str, same: bool) -> None:
    file = tmp_path / "oauth_creds.json"

    def write(access: str, subject: str) -> None:
        claims = json.dumps({"iss": "https://acme.test", "sub": subject}).encode()
        identity = f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.canary"
        row = {"access_token": access, "refresh_token": "canary-r", "expiry_date": AT, "id_token": identity}
        file.write_text(json.dumps(row))

    async with opened(tmp_path, None, now=lambda: AT) as (accounts, _):
        write("canary-a", "7")
        body = {"kind": "gemini", "path": str(file), "owner": "external"}
        await accounts.keeping.bring(ImportRequest.model_validate(body))
        seen = Record.begin(accounts.vault.get("google:gemini"))
        write("canary-b", who)
        await accounts.watching.look()
        profile = accounts.vault.get("google:gemini")
        assert (profile.generation, seen.is_of(profile)) == (2, same)


async def test_an_old_copy_of_a_login_that_was_refreshed_here_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path, "edgebotd") as (accounts, _):
        was = accounts.vault.get(ID)
        await accounts.vault.change(was, was, Login("canary-b", "canary-s"), renewed=True)
        copy = {"profiles": {"anthropic:other": {"type": "oauth", "access": "canary-a", "refresh": "canary-r"}}}
        body = {"kind": "openclaw", "content": json.dumps(copy), "owner": "edgebotd"}
        [item] = (await accounts.keeping.bring(ImportRequest.model_validate(body))).items
        assert (item.outcome, item.problem) == ("refused", f"it is an old copy of {ID}, which has another token by now")


async def test_blanks_and_a_missing_file_leave_the_good_login(tmp_path: Path) -> None:
    async with opened(tmp_path) as (accounts, program):
        for break_it, reason in (
            (lambda: program.write("", "", 0), "logged out"),
            (lambda: program.file.write_text("half a fi"), "no JSON"),
            (program.file.unlink, "No such file"),
        ):
            break_it()
            await accounts.watching.look()
            state, told, expires_at, access = await now(accounts.vault)
            assert (state, expires_at, access) == ("needs_login", AT, "canary-a")
            assert told is not None and reason in told
        program.write("canary-c")
        await accounts.watching.look()
        assert await now(accounts.vault) == ("fresh", None, AT, "canary-c")


async def test_while_a_gateway_refreshes_its_login_nothing_is_said(tmp_path: Path) -> None:
    file = tmp_path / "auth-profiles.json"

    def write(access: str) -> None:
        row = {"type": "oauth", "access": access, "refresh": access, "expires": AT}
        file.write_text(json.dumps({"profiles": {"anthropic:claude": row}}))

    async with opened(tmp_path, None) as (accounts, _):
        write("canary-a")
        body = {"kind": "openclaw", "path": str(file), "owner": "external"}
        await accounts.keeping.bring(ImportRequest.model_validate(body))
        write(f"openclaw-oauth-refresh-fence:v1:{'0' * 32}:access:{'a' * 64}")
        await accounts.watching.look()
        assert await now(accounts.vault) == ("fresh", None, AT, "canary-a")
        write("canary-b")
        await accounts.watching.look()
        assert await now(accounts.vault) == ("fresh", None, AT, "canary-b")
        write(f"openclaw-oauth-refresh-fence:v1:{'0' * 32}:failed:access:{'a' * 64}")
        await accounts.watching.look()
        assert await now(accounts.vault) == ("needs_login", "Its gateway failed to refresh it.", AT, "canary-b")


async def test_a_removed_login_is_forgotten_and_may_come_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as (accounts, program):
        await accounts.watching.look()
        await accounts.vault.remove(ID)
        await accounts.watching.look()
        await accounts.keeping.bring(request(program, owner="external"))
        program.write("canary-d")
        await accounts.watching.look()
        assert (await now(accounts.vault))[3] == "canary-d"


async def test_what_can_only_be_watched_is_not_taken_over(tmp_path: Path) -> None:
    async with opened(tmp_path, None) as (accounts, program):
        program.write("canary-a", refresh="")
        [item] = (await accounts.keeping.bring(request(program, owner="edgebotd"))).items
        assert (item.outcome, accounts.vault.all()) == ("refused", []) and "watched only" in (item.problem or "")
        program.write("canary with spaces")
        [item] = (await accounts.keeping.bring(request(program, owner="external"))).items
        assert item.outcome == "refused"
        none = await accounts.keeping.bring(request(program, owner="external", only=["other:one"]))
        assert (none.items, accounts.vault.all()) == ([], []), "what is not asked for is not told either"


@pytest.mark.parametrize(
    "wrong",
    [{"path": None}, {"content": "{}"}, {"path": None, "content": "{}", "owner": "external"}, {"kind": "codex"}],
)
async def test_a_request_that_contradicts_itself_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    async with opened(tmp_path, None) as (accounts, program):
        with pytest.raises(Invalid) as caught:
            await accounts.keeping.bring(request(program, **wrong))
        assert "canary" not in caught.value.detail


async def test_logins_without_a_file_are_left_alone(tmp_path: Path) -> None:
    async with opened(tmp_path, None) as (accounts, _):
        await accounts.keeping.add(AddRequest.model_validate({"provider": "p", "name": "k", "secret": "canary-k"}))
        await accounts.watching.look()
        assert accounts.vault.get("p:k").state == "static"
    assert place_of(Profile("a:b", "a", "oauth", owner="gateway", place="atlas")) is None
    assert place_of(Profile("a:b", "a", "oauth", owner="external", place="unheard:/x")) is None
