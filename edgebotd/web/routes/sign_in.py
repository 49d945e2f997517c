"""Getting in and out, and what one is: login, setup, logout, me, sessions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from edgebotd.events import AtMs, Model, UserId
from edgebotd.people.sign_in import From, SignedIn
from edgebotd.protocol.fields import without_controls
from edgebotd.store import sessions
from edgebotd.web.route import Call, Reply, Route, route
from edgebotd.web.services import Services
from edgebotd.web.session import session_cookie

# Bounds of what is tried, not of what is valid: a wrong form must look like a wrong password.
TypedId = Annotated[str, Field(max_length=200)]
TypedSecret = Annotated[SecretStr, Field(max_length=4096)]


class LoginRequest(Model):
    """User and password."""

    user_id: TypedId
    password: TypedSecret


class SetupRequest(Model):
    """A one-time code, and for `setup` codes what they set up."""

    code: TypedSecret
    user_id: UserId | None = None
    name: Annotated[str, Field(max_length=100), AfterValidator(without_controls)] | None = None
    password: TypedSecret | None = None


class PasswordRequest(Model):
    """One's own new password."""

    current_password: TypedSecret
    new_password: TypedSecret


class SignedInAnswer(Model):
    """A session was opened; its secret is in the cookie."""

    user_id: UserId
    session_id: str
    expires_at: AtMs


class Me(Model):
    """Who asks, as the daemon sees it."""

    user_id: str
    name: str
    kind: str
    """session, token or local."""
    admin: bool
    every_bot: bool
    """An administrator: every bot, within scopes and narrowing."""
    grants: dict[str, str]
    """bot id -> view, chat or operate."""
    scopes: list[str] | None
    bots: list[str] | None
    """The bots that this credential or host is narrowed to."""
    credential_id: str
    expires_at: AtMs | None
    surface: Literal["dashboard", "chat", "bot"]
    """What the page shows on this host: everything, the chat only (`server.chat_host`), or one bot (its own host)."""
    host_bot_id: str | None
    """The bot whose own host this is."""
    remote_images: bool
    """Whether the daemon fetches images from elsewhere for the page (`chat.remote_images`)."""


class SessionInfo(Model):
    """One login."""

    id: str
    user_id: UserId
    current: bool
    created_at: AtMs
    seen_at: AtMs
    expires_at: AtMs
    address: str | None
    user_agent: str | None


class SessionQuery(Model):
    """Whose: one's own, or as an administrator everybody's."""

    all: bool = False


class SessionList(Model):
    """Logins that have not expired, newest first."""

    items: list[SessionInfo]


class SignInRoutes:
    """Handlers."""

    def __init__(self, services: Services) -> None:
        self._people = services.people
        self._sign_in = services.sign_in
        self._services = services

    def routes(self) -> list[Route]:
        """Return the rows."""
        return [
            route("POST", "/api/login", self.login, answer=SignedInAnswer),
            route("POST", "/api/setup", self.setup, answer=SignedInAnswer),
            route("POST", "/api/logout", self.logout, status=204),
            route("GET", "/api/me", self.me),
            route("PUT", "/api/me/password", self.change_password, status=204),
            route("GET", "/api/sessions", self.sessions),
            route("DELETE", "/api/sessions/{session_id}", self.end_session, status=204),
        ]

    async def login(self, call: Call, body: LoginRequest) -> Reply:
        """Log in with a password; the session comes as a cookie."""
        signed_in = await self._sign_in.login(body.user_id, body.password.get_secret_value(), _from(call))
        return self._with_cookie(call, signed_in)

    async def setup(self, call: Call, body: SetupRequest) -> Reply:
        """Use a one-time code: log in, make the first administrator, or set a new user's password."""
        signed_in = await self._sign_in.redeem(
            body.code.get_secret_value(),
            _from(call),
            user_id=body.user_id,
            name=body.name,
            password=None if body.password is None else body.password.get_secret_value(),
        )
        return self._with_cookie(call, signed_in)

    async def logout(self, call: Call) -> Reply:
        """End the session; what is open with it ends too."""
        await self._sign_in.logout(call.principal, call.caller.address)
        return Reply(status=204, headers=[("set-cookie", session_cookie("", secure=call.caller.secure, max_age=0))])

    async def me(self, call: Call) -> Me:
        """Tell who asks, and what they may."""
        principal, host = call.principal, call.caller.host
        granted = {bot_id: principal.grant_on(bot_id) for bot_id in principal.visible(list(principal.grants))}
        return Me(
            user_id=principal.user_id,
            name=principal.name,
            kind=principal.kind.value,
            admin=principal.admin,
            every_bot=principal.every_bot,
            grants={bot_id: grant.name.lower() for bot_id, grant in granted.items() if grant is not None},
            scopes=None if principal.scopes is None else sorted(scope.value for scope in principal.scopes),
            bots=None if principal.bots is None else sorted(principal.bots),
            credential_id=principal.credential_id,
            expires_at=principal.expires_at,
            surface="bot" if host.bot_id is not None else "chat" if host.chat else "dashboard",
            host_bot_id=host.bot_id,
            remote_images=self._services.remote_images is not None,
        )

    async def change_password(self, call: Call, body: PasswordRequest) -> None:
        """Set one's own password; other sessions end."""
        await self._sign_in.change_own_password(
            call.actor, body.current_password.get_secret_value(), body.new_password.get_secret_value()
        )

    async def sessions(self, call: Call, query: SessionQuery) -> SessionList:
        """List one's own logins, or as an administrator everybody's, newest first."""
        principal, now = call.principal, self._services.now()
        if query.all:
            principal.require_admin()
            rows = await self._services.database.read(sessions.all_sessions)
        else:
            rows = await self._services.database.read(lambda conn: sessions.of_user(conn, principal.user_id))
        return SessionList(
            items=[
                SessionInfo(
                    id=row.id,
                    user_id=row.user_id,
                    current=row.id == principal.credential_id,
                    created_at=row.created_at,
                    seen_at=self._people.used_at(row.id, row.seen_at) or row.seen_at,
                    expires_at=row.expires_at,
                    address=row.address,
                    user_agent=row.user_agent,
                )
                for row in rows
                if row.expires_at > now
            ]
        )

    async def end_session(self, call: Call) -> None:
        """End one of one's own logins, or as an administrator anybody's; what is open with it ends too."""
        session_id = call.parameters["session_id"]
        owner = self._sign_in.holder(session_id) if call.principal.admin else None
        await self._sign_in.end_session(call.actor, owner or call.principal.user_id, session_id)

    def _with_cookie(self, call: Call, signed_in: SignedIn) -> Reply:
        answer = SignedInAnswer(
            user_id=signed_in.user_id, session_id=signed_in.session_id, expires_at=signed_in.expires_at
        )
        seconds = max(0, (signed_in.expires_at - self._services.now()) // 1000)
        cookie = session_cookie(signed_in.secret, secure=call.caller.secure, max_age=seconds)
        return Reply.of(answer, headers=[("set-cookie", cookie)])


def _from(call: Call) -> From:
    return From(call.caller.address, call.caller.user_agent)
