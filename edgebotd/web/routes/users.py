"""Users, grants, one-time codes, the audit: for administrators."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr

from edgebotd.access import Grant
from edgebotd.events import AtMs, BotId, Model, Name, UserId
from edgebotd.people.record import Record
from edgebotd.store import audit
from edgebotd.web.route import Call, Route, route
from edgebotd.web.routes.sign_in import TypedSecret
from edgebotd.web.services import Services

GrantWord = Literal["view", "chat", "operate"]
PageSize = Annotated[int, Field(ge=1, le=500)]
Number = Annotated[int, Field(ge=0, lt=2**63)]


class NewUser(Model):
    """A user to make. Without a password it gets in by a one-time code."""

    id: UserId
    name: Name | None = None
    admin: bool = False
    password: TypedSecret | None = None


class UserEdit(Model):
    """What to change of a user."""

    name: Name | None = None
    admin: bool | None = None
    disabled: bool | None = None


class UserPassword(Model):
    """A user's new password."""

    password: TypedSecret


class GrantRequest(Model):
    """The grant to have."""

    grant: GrantWord


class UserInfo(Model):
    """One user."""

    id: UserId
    name: str
    admin: bool
    disabled: bool
    has_password: bool
    grants: dict[str, GrantWord]
    sessions: int
    tokens: int
    created_at: AtMs
    last_seen_at: AtMs | None
    """When a session or token that is still there was last used; null where there is none."""


class UserList(Model):
    """All users, in order of the id."""

    items: list[UserInfo]


class NewCode(Model):
    """A one-time code to make: `setup` without a user for the first administrator."""

    purpose: Literal["setup", "login"]
    user_id: UserId | None = None


class CodeInfo(Model):
    """A one-time code, told once."""

    code: str
    purpose: Literal["setup", "login"]
    user_id: UserId | None
    expires_at: AtMs
    link: str | None
    """The page with the code in the fragment, which no server and no log sees; None where no page can be reached."""


class AuditQuery(Model):
    """Which part of the audit."""

    bot: BotId | None = None
    limit: PageSize = 50
    before: Number | None = None
    """`next` of the page before."""


class AuditEntry(Model):
    """Who did what to which bot, when, from where."""

    id: int
    at: AtMs
    actor: str
    actor_kind: str
    action: str
    subject: str
    bot_id: str | None
    address: str | None
    detail: dict[str, Any]


class AuditPage(Model):
    """Newest first."""

    items: list[AuditEntry]
    next: str | None


class UserRoutes:
    """Handlers. `page_url` is where people reach the page."""

    def __init__(self, services: Services, page_url: str | None) -> None:
        self._page_url = page_url
        self._services = services
        self._accounts = services.accounts

    def routes(self) -> list[Route]:
        """Return the rows."""
        user = "/api/users/{user_id}"
        grant = user + "/grants/{granted_bot_id}"
        return [
            route("GET", "/api/users", self.list_users),
            route("POST", "/api/users", self.add, status=201),
            route("PATCH", user, self.edit),
            route("DELETE", user, self.remove, status=204),
            route("PUT", user + "/password", self.set_password, status=204),
            route("PUT", grant, self.grant, status=204),
            route("DELETE", grant, self.take_grant, status=204),
            route("POST", "/api/codes", self.add_code, status=201),
            route("GET", "/api/audit", self.audit),
        ]

    async def list_users(self, call: Call) -> UserList:
        """List all users."""
        return UserList(items=[self._info(record) for record in self._services.people.records()])

    async def add(self, call: Call, body: NewUser) -> UserInfo:
        """Make a user."""
        password = _plain(body.password)
        return self._info(
            await self._accounts.add(call.actor, body.id, body.name or body.id, admin=body.admin, password=password)
        )

    async def edit(self, call: Call, body: UserEdit) -> UserInfo:
        """Rename a user, give or take the role of an administrator, shut out or let in again."""
        edited = await self._accounts.edit(
            call.actor, call.parameters["user_id"], name=body.name, admin=body.admin, disabled=body.disabled
        )
        return self._info(edited)

    async def remove(self, call: Call) -> None:
        """Remove a user with all credentials."""
        await self._accounts.remove(call.actor, call.parameters["user_id"])

    async def set_password(self, call: Call, body: UserPassword) -> None:
        """Set a user's password; the user's sessions end."""
        await self._accounts.set_password(call.actor, call.parameters["user_id"], body.password.get_secret_value())

    async def grant(self, call: Call, body: GrantRequest) -> None:
        """Give a user a grant on a bot, instead of the one that the user has."""
        bot_id = call.parameters["granted_bot_id"]
        self._services.registry.get(bot_id)
        await self._accounts.grant(call.actor, call.parameters["user_id"], bot_id, Grant[body.grant.upper()])

    async def take_grant(self, call: Call) -> None:
        """Take a user's grant on a bot."""
        await self._accounts.grant(call.actor, call.parameters["user_id"], call.parameters["granted_bot_id"], None)

    async def add_code(self, call: Call, body: NewCode) -> CodeInfo:
        """Make a one-time code for a setup or login link; it goes into the link's fragment."""
        code, expires_at = await self._services.sign_in.add_code(call.actor, body.purpose, body.user_id)
        link = None if self._page_url is None else f"{self._page_url}/#code={code}"
        return CodeInfo(code=code, purpose=body.purpose, user_id=body.user_id, expires_at=expires_at, link=link)

    async def audit(self, call: Call, query: AuditQuery) -> AuditPage:
        """Read the audit, newest first."""
        rows = await self._services.database.read(
            lambda conn: audit.page(conn, before_id=query.before, limit=query.limit + 1, bot_id=query.bot)
        )
        more = len(rows) > query.limit
        rows = rows[: query.limit]
        items = [
            AuditEntry(
                id=row.id,
                at=row.at,
                actor=row.actor,
                actor_kind=row.actor_kind,
                action=row.action,
                subject=row.subject,
                bot_id=row.bot_id,
                address=row.address,
                detail=row.detail,
            )
            for row in rows
        ]
        return AuditPage(items=items, next=str(rows[-1].id) if more else None)

    def _info(self, record: Record) -> UserInfo:
        user = record.user
        assert user is not None
        used = [self._services.people.used_at(session.id, session.seen_at) for session in record.sessions]
        used += [self._services.people.used_at(token.id, token.used_at) for token in record.tokens]
        return UserInfo(
            id=user.id,
            name=user.name,
            admin=user.admin,
            disabled=user.disabled_at is not None,
            has_password=user.password_hash is not None,
            grants={bot_id: _WORDS[grant] for bot_id, grant in sorted(record.grants.items())},
            sessions=len(record.sessions),
            tokens=len(record.tokens),
            created_at=user.created_at,
            last_seen_at=max((at for at in used if at is not None), default=None),
        )


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


_WORDS: dict[Grant, GrantWord] = {Grant.VIEW: "view", Grant.CHAT: "chat", Grant.OPERATE: "operate"}
