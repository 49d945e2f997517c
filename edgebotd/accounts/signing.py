"""Logins that a person makes: in a browser, whose address comes back by itself or is pasted, or with a device code.

What a login needs meanwhile (state, verifier, device code) lies in memory for ten minutes and is bound to who began it.
"""

from __future__ import annotations

import dataclasses
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

import trio
from pydantic import Field, SecretStr

from edgebotd.accounts.clients import client_of, oauth_of
from edgebotd.accounts.http import Answer, Call, NotSent, Unanswered
from edgebotd.accounts.keeping import Label, ProfileName
from edgebotd.accounts.landing import open_landing, serve_landing
from edgebotd.accounts.schedule import due_at
from edgebotd.accounts.secrets import Login
from edgebotd.accounts.vault import Note, Vault
from edgebotd.config import OAuthSettings, ProviderSettings
from edgebotd.config.providers import PROVIDER_ID_PATTERN
from edgebotd.errors import Conflict, EdgebotdError, Invalid, NotFound, Problem
from edgebotd.events import AtMs, Model
from edgebotd.protocol import oauth as protocol
from edgebotd.protocol.oauth import Granted, LandingError, Outcome, Request
from edgebotd.protocol.oauth.claims import account_of
from edgebotd.store.profiles import Profile

log = logging.getLogger(__name__)

SECONDS: Final = 600.0
"""How long a person has."""
AT_ONCE: Final = 20
"""Logins that wait for their person. Full: another one is refused until one has ended or its time is up."""
SAVE_SECONDS: Final = 30.0

_TROUBLES: Final[dict[str, str]] = {
    "no_address": "That is not the address that the browser landed on. Copy all of it.",
    "other_login": "That address belongs to another login. Begin anew and use its own.",
    "refused": "The provider says that it was not agreed to.",
    "no_code": "There is no code in that address. Copy all of it.",
}


class SignInRequest(Model):
    """Where to log in, and what the login is called. One that is there already gets the new login."""

    provider: Annotated[str, Field(pattern=PROVIDER_ID_PATTERN)]
    name: ProfileName = "default"
    method: Literal["browser", "device"] | None = None
    """The browser where it is left out, if the provider has that."""
    label: Label | None = None


class FinishRequest(Model):
    """The address that the browser landed on, or the code that the provider showed."""

    address: SecretStr


class SignInState(Model):
    """A login under way. Nothing in it is a secret."""

    id: str
    profile_id: str
    method: Literal["browser", "device"]
    state: Literal["waiting", "done", "failed"]
    url: str | None
    """Where the person goes."""
    user_code: str | None
    """device: what they type there."""
    lands_here: bool
    """browser: the daemon listens on its own machine for the browser's coming back; elsewhere the address is pasted."""
    expires_at: AtMs
    reason: str | None


@dataclass(eq=False)
class _Pending:
    id: str
    who: str
    profile_id: str
    label: str | None
    method: Literal["browser", "device"]
    oauth: OAuthSettings
    note: Note | None
    until: int
    url: str | None = None
    user_code: str | None = None
    lands_here: bool = False
    redirect_uri: str = ""
    state: str = field(default="", repr=False)
    verifier: str = field(default="", repr=False)
    stage: Literal["waiting", "done", "failed"] = "waiting"
    reason: str | None = None
    busy: bool = False
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)


class Signing:
    """Made by `open_accounts`, whose nursery has the tasks of logins that wait."""

    def __init__(
        self,
        vault: Vault,
        providers: Mapping[str, ProviderSettings],
        call: Call,
        nursery: trio.Nursery,
        now: Callable[[], int],
    ) -> None:
        self._vault = vault
        self._providers = providers
        self._call = call
        self._nursery = nursery
        self._now = now
        self._pending: dict[str, _Pending] = {}

    async def begin(self, request: SignInRequest, who: str, note: Note | None = None) -> SignInState:
        """Begin a login.

        Args:
            who: began it, and alone may go on with it.
            note: writes the audit entry when it is done.

        Raises:
            Conflict: the provider has no such login, or the name is that of another kind of login.
            Problem: 429, too many wait; 502, the provider gives no device code.
        """
        oauth = oauth_of(self._providers, request.provider)
        method = request.method or ("browser" if oauth is not None and oauth.authorize_url else "device")
        address = None if oauth is None else oauth.authorize_url if method == "browser" else oauth.device_url
        if oauth is None or address is None:
            keys = {"browser": "authorize_url", "device": "device_url", None: "authorize_url or device_url"}
            missing = f"[providers.{request.provider}.oauth] needs {keys[request.method]}"
            raise Conflict(
                "no_such_login",
                f"The settings name no such way to log in at {request.provider}: {missing}. A login by API key is made "
                f"with `edgebotd accounts add {request.provider}:{request.name}`, one of another program is taken over "
                "with `edgebotd accounts import`.",
            )
        profile_id = f"{request.provider}:{request.name}"
        self._check_name(profile_id)
        self._forget_old()
        if len(self._pending) >= AT_ONCE:
            raise Problem(429, "too_many_logins", "Too many logins wait for their person; try again in ten minutes.")
        until = self._now() + int(SECONDS * 1000)
        pending = _Pending(secrets.token_urlsafe(12), who, profile_id, request.label, method, oauth, note, until)
        self._pending[pending.id] = pending
        try:
            await (self._begin_browser(pending) if method == "browser" else self._begin_device(pending))
        except BaseException:
            del self._pending[pending.id]
            raise
        return self._told(pending)

    def look(self, login_id: str, who: str) -> SignInState:
        """Return how a login is.

        Raises:
            NotFound: there is none, or somebody else began it.
        """
        return self._told(self._mine(login_id, who))

    async def finish(self, login_id: str, who: str, request: FinishRequest) -> SignInState:
        """Finish a login with what the person pasted.

        Raises:
            NotFound: there is none, or somebody else began it.
            Invalid: what was pasted does not finish it; it goes on waiting.
            Conflict: it has ended, or is being finished.
            Problem: 502, the provider was not reached; it goes on waiting.
        """
        pending = self._mine(login_id, who)
        if pending.method != "browser":
            raise Conflict("nothing_to_paste", "This login is finished at the provider, where the code is typed.")
        await self._land(pending, request.address.get_secret_value())
        return self._told(pending)

    def under_way(self) -> dict[str, float]:
        """Return the logins whose code is being changed into tokens, each with how long that may take."""
        busy = [one for one in self._pending.values() if one.busy]
        return {one.profile_id: one.oauth.timeout_seconds + SAVE_SECONDS for one in busy}

    def _check_name(self, profile_id: str) -> Profile | None:
        try:
            profile = self._vault.get(profile_id)
        except NotFound:
            return None
        if profile.type != "oauth" or profile.owner != "edgebotd":
            raise Conflict("profile_exists", f"There is another kind of login '{profile_id}'; choose another name.")
        return profile

    def _mine(self, login_id: str, who: str) -> _Pending:
        self._forget_old()
        pending = self._pending.get(login_id)
        if pending is None or pending.who != who:
            raise NotFound("login under way", login_id)
        return pending

    def _forget_old(self) -> None:
        for pending in [one for one in self._pending.values() if one.until <= self._now() and not one.busy]:
            pending.scope.cancel()
            del self._pending[pending.id]

    def _told(self, pending: _Pending) -> SignInState:
        return SignInState(
            id=pending.id,
            profile_id=pending.profile_id,
            method=pending.method,
            state=pending.stage,
            url=pending.url,
            user_code=pending.user_code,
            lands_here=pending.lands_here,
            expires_at=pending.until,
            reason=pending.reason,
        )

    # In a browser

    async def _begin_browser(self, pending: _Pending) -> None:
        pending.state, pending.verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
        if pending.oauth.redirect_uri is not None:
            pending.redirect_uri = pending.oauth.redirect_uri
        else:
            listener, pending.redirect_uri = await open_landing()
            pending.lands_here = True

            async def land(address: str) -> str:
                try:
                    await self._land(pending, address)
                except Problem as exc:
                    return exc.detail
                return pending.reason or f"You are logged in as {pending.profile_id}. This page can be closed."

            async def listen() -> None:
                with trio.move_on_after(SECONDS), pending.scope:
                    await serve_landing(listener, land)

            self._nursery.start_soon(listen, name=f"login of {pending.profile_id}")
        pending.url = protocol.authorize_url(
            client_of(pending.oauth), state=pending.state, verifier=pending.verifier, redirect_uri=pending.redirect_uri
        )

    async def _land(self, pending: _Pending, address: str) -> None:
        if pending.busy or pending.stage != "waiting":
            raise Conflict("login_ended", "This login has been finished already.")
        try:
            landing = protocol.read_landing(address, pending.state)
        except LandingError as exc:
            raise Invalid(_TROUBLES[exc.trouble], code=exc.trouble) from None
        request = protocol.code_request(
            client_of(pending.oauth), landing.code, pending.verifier, pending.redirect_uri, pending.state
        )
        pending.busy = True
        try:
            # The code serves once: what it buys must be stored, whoever has gone meanwhile.
            with trio.move_on_after(pending.oauth.timeout_seconds + SAVE_SECONDS, shield=True):
                sent_at = self._now()
                try:
                    answer = await self._send(pending, request)
                except NotSent as exc:
                    raise Problem(502, "unreachable", f"{exc} Try again.") from None
                except Unanswered as exc:
                    self._end(pending, "failed", f"{exc} Begin the login anew.")
                    return
                await self._take(pending, self._read(pending, answer, sent_at))
        finally:
            pending.busy = False

    # With a device code

    async def _begin_device(self, pending: _Pending) -> None:
        sent_at = self._now()
        try:
            answer = await self._send(pending, protocol.device_request(client_of(pending.oauth)))
        except (NotSent, Unanswered) as exc:
            raise Problem(502, "unreachable", str(exc)) from None
        device = protocol.read_device_answer(
            answer.status, answer.headers, answer.body, sent_at=sent_at, received_at=self._now()
        )
        if not isinstance(device, protocol.DeviceCode):
            raise Problem(502, "refused_there", getattr(device, "reason", "The provider gives no device code."))
        pending.url, pending.user_code = device.complete_uri or device.verification_uri, device.user_code
        pending.until = min(pending.until, self._now() + int(device.seconds * 1000))
        self._nursery.start_soon(self._poll, pending, device, name=f"login of {pending.profile_id}")

    async def _poll(self, pending: _Pending, device: protocol.DeviceCode) -> None:
        interval = device.interval
        with pending.scope:
            while pending.stage == "waiting" and self._now() < pending.until:
                await trio.sleep(interval)
                with trio.move_on_after(pending.oauth.timeout_seconds + SAVE_SECONDS, shield=True):
                    try:
                        interval = await self._ask_device(pending, device, interval)
                    except (EdgebotdError, OSError) as exc:
                        log.warning("the login of %s could not be finished: %s", pending.profile_id, exc)
                        interval = min(interval * 2, 60.0)
            if pending.stage == "waiting":
                self._end(pending, "failed", "The time for it is up. Begin anew.")

    async def _ask_device(self, pending: _Pending, device: protocol.DeviceCode, interval: float) -> float:
        """Ask once; return how long to wait before the next time (RFC 8628 section 3.5)."""
        sent_at = self._now()
        answer = await self._send(pending, protocol.device_poll(client_of(pending.oauth), device.device_code))
        found = protocol.read_device_poll(
            answer.status,
            answer.headers,
            answer.body,
            sent_at=sent_at,
            received_at=self._now(),
            jwt=pending.oauth.jwt_expiry,
        )
        match found:
            case protocol.DeviceState.PENDING:
                return interval
            case protocol.DeviceState.SLOW_DOWN:
                return interval + protocol.device.SLOW_DOWN_S
            case protocol.Delayed(retry_after_ms=wait):
                return max(interval * 2, (wait or 0) / 1000)
            case protocol.DeviceState.DENIED:
                self._end(pending, "failed", "The provider says that it was not agreed to.")
            case protocol.DeviceState.EXPIRED:
                self._end(pending, "failed", "The code has expired. Begin anew.")
            case _:
                await self._take(pending, found)
        return interval

    # Both

    async def _send(self, pending: _Pending, request: Request) -> Answer:
        seconds = pending.oauth.timeout_seconds
        return await self._call("POST", request.url, headers=request.headers, body=request.body, seconds=seconds)

    def _read(self, pending: _Pending, answer: Answer, sent_at: int) -> Outcome:
        return protocol.read_token_answer(
            answer.status,
            answer.headers,
            answer.body,
            sent_at=sent_at,
            received_at=self._now(),
            jwt=pending.oauth.jwt_expiry,
        )

    async def _take(self, pending: _Pending, outcome: Outcome) -> None:
        if not isinstance(outcome, Granted):
            self._end(pending, "failed", f"{outcome.reason} Begin the login anew.")
            return
        tokens = outcome.tokens
        login = Login(tokens.access, tokens.refresh, tokens.identity)
        while True:
            was = self._check_name(pending.profile_id)
            provider = pending.profile_id.partition(":")[0]
            fresh = dataclasses.replace(
                was or Profile(pending.profile_id, provider, "oauth", label=pending.label),
                state="fresh",
                reason=None,
                expires_at=tokens.expires_at,
                lifetime_ms=tokens.lifetime_ms,
                refreshed_at=self._now(),
                attempts=0,
                claim=None,
                claimed_at=None,
                uncertain_at=None,
                settings_digest=None,
                skew_ms=outcome.skew_ms or 0,
                # Of the login before nothing is known that holds for this one.
                account_id=account_of(pending.oauth.account_claim, tokens.identity, tokens.access),
            )
            fresh = dataclasses.replace(fresh, next_at=due_at(fresh, pending.oauth))
            if was is None:
                await self._vault.add(fresh, login, pending.note)
                break
            note = pending.note
            write = None if note is None else lambda tx, n=note, p=fresh: n(tx.connection, "profile.login", p)
            if await self._vault.change(was, fresh, login, write) is not None:
                break
            await self._vault.look_again()
        self._end(pending, "done", None)

    def _end(self, pending: _Pending, stage: Literal["done", "failed"], reason: str | None) -> None:
        pending.stage, pending.reason = stage, reason
        pending.state = pending.verifier = ""
        # So long, that the browser gets its page.
        pending.scope.deadline = trio.current_time() + 5
