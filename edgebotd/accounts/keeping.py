"""What a person does with logins: adds, imports, replaces them. Removing and labels are the vault's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal

import trio
from pydantic import Field, SecretStr

from edgebotd.accounts import stores
from edgebotd.accounts.secrets import Login
from edgebotd.accounts.stores import FoundIn
from edgebotd.accounts.vault import Note, Vault
from edgebotd.config import ProviderSettings
from edgebotd.config.credentials import SecretError, check_secret
from edgebotd.config.providers import PROVIDER_ID_PATTERN
from edgebotd.errors import Conflict, Invalid
from edgebotd.events import AtMs, BotId, Model
from edgebotd.protocol.logins import FoundLogin, Kind, NotAStore, read_logins
from edgebotd.store.profiles import Owner, Profile, ProfileType

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$"
Label = Annotated[str, Field(min_length=1, max_length=100)]
ProfileName = Annotated[str, Field(pattern=NAME_PATTERN)]


class AddRequest(Model):
    """A login by its secret. It is never shown again."""

    provider: Annotated[str, Field(pattern=PROVIDER_ID_PATTERN)]
    name: ProfileName
    type: Literal["api_key", "token"] = "api_key"
    """token: one that the provider gave for longer, which does not refresh."""
    secret: SecretStr
    expires_at: AtMs | None = None
    """Of a token, where it ends."""
    label: Label | None = None
    account_id: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[!-~]+$")] | None = None
    """What the provider calls the account, where it wants to be told."""
    bots: Annotated[tuple[BotId, ...], Field(max_length=1000)] = ()


class SecretRequest(Model):
    """A new secret of a login that was added by its secret."""

    secret: SecretStr
    expires_at: AtMs | None = None


class ImportRequest(Model):
    """Logins of another program: by `path`, which edgebotd reads on its own machine, or by `content`, the file's text.

    Without `owner` nothing is imported: what is there is shown.
    """

    kind: Kind
    path: Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[~/][^\x00]*$")] | None = None
    content: SecretStr | None = None
    owner: Literal["edgebotd", "external"] | None = None
    """edgebotd: it refreshes them from now on, and the other program must not. external: they are watched only."""
    only: Annotated[list[str], Field(max_length=1000)] | None = None
    """Ids of profiles, as they were shown: nothing is told or imported of others. All, where it is left out."""


class ImportedLogin(Model):
    """What came of one login. `problem` says why it was not imported, or could not be."""

    profile_id: str
    provider: str
    type: ProfileType
    label: str | None
    file: str | None
    expires_at: AtMs | None
    fingerprint: str | None
    refreshable: bool
    """It has a refresh token, and the provider is set up for it."""
    outcome: Literal["found", "added", "refused"]
    problem: str | None


class ImportAnswer(Model):
    """What is there, or was imported, and what that means."""

    items: list[ImportedLogin]
    meaning: str


@dataclass(frozen=True)
class Keeping:
    """Made by `open_accounts`."""

    vault: Vault
    providers: Mapping[str, ProviderSettings]
    now: Callable[[], int]
    _bringing: trio.Lock = field(default_factory=trio.Lock)
    """Two copies of a login that came in at once would both be refreshed."""

    async def add(self, request: AddRequest, note: Note | None = None) -> Profile:
        """Add a login by its secret, for the bots that shall use it.

        Raises:
            Invalid: it is no secret.
            Conflict: there is one of that name.
            NotFound: there is no such bot.
        """
        if request.type == "api_key" and request.expires_at is not None:
            raise Invalid("expiresAt: an API key has none; a token may.")
        profile = Profile(
            id=f"{request.provider}:{request.name}",
            provider=request.provider,
            type=request.type,
            label=request.label,
            account_id=request.account_id,
            expires_at=request.expires_at,
        )
        return await self.vault.add(profile, Login(access=_checked(request.secret)), note, bots=request.bots)

    async def replace(self, profile_id: str, request: SecretRequest, note: Note | None = None) -> Profile:
        """Give a login that was added by its secret another one.

        Raises:
            Invalid: it is no secret.
            Conflict: the login is of another kind, or is changed by somebody else at this moment.
            NotFound: there is none.
        """
        was = self.ours_to_change(profile_id)
        if was.owner == "external":
            file = (was.place or "").partition(":")[2]
            detail = f"Another program keeps this login in {file}. Log in there; the file is read again by itself."
            raise Conflict("not_by_secret", detail)
        if was.type == "oauth":
            raise Conflict("not_by_secret", "Only a login by API key or token is given another secret. Log in again.")
        if was.type == "api_key" and request.expires_at is not None:
            raise Invalid("expiresAt: an API key has none; a token may.")
        now = dataclasses.replace(was, state="static", reason=None, expires_at=request.expires_at)
        login = Login(access=_checked(request.secret))
        changed = await self.vault.change(
            was, now, login, None if note is None else lambda tx: note(tx.connection, "profile.secret", now)
        )
        if changed is None:
            raise Conflict("changed", f"The login '{profile_id}' was changed at the same moment. Try again.")
        return changed

    def ours_to_change(self, profile_id: str) -> Profile:
        """Return a login, unless a gateway has it: it would show it again, and its bot is the one that uses it.

        Raises:
            Conflict: a gateway has it.
            NotFound: there is none.
        """
        profile = self.vault.get(profile_id)
        if profile.owner == "gateway":
            detail = f"The gateway of the bot {profile.place} keeps this login, for that bot alone. Change it there."
            raise Conflict("gateways_own", detail)
        return profile

    async def bring(self, request: ImportRequest, note: Note | None = None) -> ImportAnswer:
        """Show the logins of another program, or import them; its files stay as they are.

        Raises:
            Invalid: there is no such store, or the request contradicts itself.
        """
        if (request.path is None) == (request.content is None):
            raise Invalid("Give either path or content.")
        if request.owner == "external" and request.path is None:
            raise Invalid("What is watched needs its path: its file is read again when it changes.")
        found = await _found(request)
        async with self._bringing:
            spent = await self._spent()
            items = [await self._bring(request, one, spent, note) for one in found if _wanted(request, one)]
        return ImportAnswer(items=items, meaning=meaning(request.kind, request.owner))

    async def _spent(self) -> dict[str, str]:
        """Return the fingerprints of what logins were last refreshed with, and of which."""
        spent: dict[str, str] = {}
        for profile in [one for one in self.vault.all() if one.type == "oauth"]:
            before = await self.vault.before(profile.id)
            if before is not None and before.fingerprint not in (None, profile.fingerprint):
                spent[str(before.fingerprint)] = profile.id
        return spent

    async def _bring(
        self, request: ImportRequest, found: FoundIn | FoundLogin, spent: Mapping[str, str], note: Note | None
    ) -> ImportedLogin:
        login, file = (found.login, found.file) if isinstance(found, FoundIn) else (found, None)
        oauth = getattr(self.providers.get(login.provider), "oauth", None)
        secrets, problem = _login(login, request.owner)
        if problem is None:
            problem = self._there(login, spent)
        outcome: Literal["found", "added", "refused"] = "found" if problem is None else "refused"
        if problem is None and request.owner is not None:
            place = f"{request.kind}:{file}" if request.owner == "external" else None
            made = profile_of(login, request.owner, place)
            if request.owner == "edgebotd" and login.type == "oauth" and login.expires_at is None:
                # Nobody knows how long it is good: the first refresh tells.
                made = dataclasses.replace(made, next_at=self.now())
            try:
                await self.vault.add(made, secrets, note)
                outcome = "added"
            except Conflict as exc:
                # Two of the same name in one store.
                outcome, problem = "refused", exc.detail
        return ImportedLogin(
            profile_id=login.profile_id,
            provider=login.provider,
            type=login.type,
            label=login.label,
            file=None if file is None else str(file),
            expires_at=login.expires_at,
            fingerprint=_whole(login).fingerprint if problem is None else None,
            refreshable=login.refresh is not None and oauth is not None,
            outcome=outcome,
            problem=problem,
        )

    def _there(self, login: FoundLogin, spent: Mapping[str, str]) -> str | None:
        """Return why a login may not be added beside those that are there: two copies of one are soon both lost."""
        lasting = _whole(login).fingerprint
        if lasting is not None and lasting in spent:
            return f"it is an old copy of {spent[lasting]}, which has another token by now"
        known = {lasting, Login(access=login.access).fingerprint} - {None}
        for profile in self.vault.all():
            if profile.fingerprint in known:
                return f"it is here already, as {profile.id}; remove that to import it anew"
            if profile.id == login.profile_id:
                return f"there is another login {profile.id} already; remove that to have this one in its place"
        return None


def profile_of(login: FoundLogin, owner: Owner, place: str | None) -> Profile:
    """Return what is kept of a login of another program beside its secrets."""
    return Profile(
        id=login.profile_id,
        provider=login.provider,
        type=login.type,
        owner=owner,
        place=place,
        label=login.label,
        account_id=login.account_id,
        expires_at=login.expires_at,
        state="fresh" if login.type == "oauth" else "static",
    )


def meaning(kind: Kind, owner: Literal["edgebotd", "external"] | None) -> str:
    """Return what an import means, for the person who does it."""
    program = {"openclaw": "the gateway", "claude": "Claude Code", "codex": "Codex", "gemini": "the Gemini CLI"}[kind]
    if owner == "edgebotd":
        return (
            f"edgebotd refreshes these logins from now on. Log out in {program}: a login that two programs refresh is"
            " soon lost for both."
        )
    if owner == "external":
        return (
            f"{program[0].upper()}{program[1:]} goes on refreshing these logins. edgebotd reads its file again when it"
            " changes, and changes nothing in it."
        )
    return (
        f"Nothing is imported yet. As owner edgebotd refreshes a login from then on, and {program} has to be logged"
        f" out; external means that {program} goes on refreshing it and edgebotd only watches its file."
    )


def secrets_of(login: FoundLogin, owner: Owner) -> Login:
    """Return what is kept sealed. Of a watched one not what refreshes it: it is not ours to use."""
    refresh = login.refresh if owner == "edgebotd" else None
    return Login(access=login.access, refresh=refresh, identity=login.identity)


def _login(login: FoundLogin, owner: Owner | None) -> tuple[Login, str | None]:
    """Return a found login's secrets, and why they cannot be used."""
    if login.problem is not None:
        return Login(), login.problem
    try:
        for value in (login.access, login.refresh, login.identity):
            if value is not None:
                check_secret(value)
    except SecretError:
        return Login(), "what stands in a secret's place is none"
    if login.access is None and owner == "external":
        return Login(), "there is no access token in it"
    if login.type == "oauth" and login.refresh is None and owner == "edgebotd":
        return Login(), "there is nothing in it to refresh it with; it can be watched only"
    return secrets_of(login, owner or "external"), None


def _whole(login: FoundLogin) -> Login:
    return Login(access=login.access, refresh=login.refresh, identity=login.identity)


def _wanted(request: ImportRequest, found: FoundIn | FoundLogin) -> bool:
    login = found.login if isinstance(found, FoundIn) else found
    return request.only is None or login.profile_id in request.only


async def _found(request: ImportRequest) -> Iterable[FoundIn | FoundLogin]:
    if request.content is not None:
        try:
            return read_logins(request.kind, request.content.get_secret_value())
        except NotAStore as exc:
            raise Invalid(f"The file {exc}.", code="no_store") from None
    return await trio.to_thread.run_sync(stores.find_logins, request.kind, Path(request.path or ""))


def _checked(secret: SecretStr) -> str:
    try:
        return check_secret(secret.get_secret_value())
    except SecretError as exc:
        raise Invalid(f"secret: {exc}.") from None
