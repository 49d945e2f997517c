"""The web application: QuartTrio for the routes, behind the front that lets every request in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, cast

import quart
import trio
from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIHTTPConnection
from typing_extensions import override
from werkzeug.exceptions import HTTPException

from edgebotd.config import Settings
from edgebotd.errors import Problem
from edgebotd.web import problem as problems
from edgebotd.web.bot_socket import BotSockets
from edgebotd.web.front import CALL_KEY, ROUTE_KEY, App, Front
from edgebotd.web.hosts import Hosts
from edgebotd.web.openapi import describe
from edgebotd.web.policy import POLICIES, Body, Policy, Surface, Table
from edgebotd.web.route import Reply, Route
from edgebotd.web.routes.adopt import AdoptRoutes
from edgebotd.web.routes.alerts import AlertRoutes
from edgebotd.web.routes.bots import BotRoutes
from edgebotd.web.routes.chat import ChatRoutes
from edgebotd.web.routes.config import ConfigRoutes
from edgebotd.web.routes.containers import ContainerRoutes, docker_figures
from edgebotd.web.routes.grants import GrantRoutes
from edgebotd.web.routes.lifecycle import LifecycleRoutes
from edgebotd.web.routes.operations import OperationRoutes
from edgebotd.web.routes.page import PageRoutes
from edgebotd.web.routes.preferences import PreferencesRoutes
from edgebotd.web.routes.profile_links import ProfileLinkRoutes
from edgebotd.web.routes.profile_usage import ProfileUsageRoutes, usage_figures
from edgebotd.web.routes.profiles import ProfileRoutes
from edgebotd.web.routes.sign_in import SignInRoutes
from edgebotd.web.routes.system import SystemRoutes, hub_figures
from edgebotd.web.routes.tokens import TokenRoutes
from edgebotd.web.routes.users import UserRoutes
from edgebotd.web.services import Services
from edgebotd.web.session import Door


class KeepAliveConnection(TrioASGIHTTPConnection):
    """Quart-Trio's connection without its trap: idle keep-alive connections that are never closed.

    Hypercorn tells `http.disconnect` while the last body message is still being sent, from inside the code that then
    starts the idle timer. Quart-Trio cancels the request's nursery at that word, and with it the start of the timer.
    Once the last body message is on its way a disconnect tells nothing, so it is not acted on.
    """

    def __init__(self, app: Any, scope: Any) -> None:
        super().__init__(app, scope)
        self._last_sent = False

    @override
    async def __call__(self, receive: Any, send: Any) -> None:
        async def noting(message: Any) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                self._last_sent = True
            await send(message)

        await super().__call__(receive, noting)

    @override
    async def handle_messages(self, nursery: trio.Nursery, request: Any, receive: Any) -> None:  # type: ignore[override]  # as its parent
        async def until_last_sent() -> Any:
            message = await receive()
            if message["type"] == "http.disconnect" and self._last_sent:
                await trio.sleep_forever()  # `handle_request` ends the nursery
            return message

        await super().handle_messages(nursery, request, until_last_sent)


def build_framework(routes: Iterable[Route]) -> QuartTrio:
    """Return the Quart application with the routes that it serves; the front has let in whatever reaches it."""
    app = QuartTrio("edgebotd.web", static_folder=None)
    # The policy was found by the path as it is: nothing may find another route for it afterwards.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = True
    app.url_map.redirect_defaults = False
    app.asgi_http_class = KeepAliveConnection
    app.config["PROPAGATE_EXCEPTIONS"] = True  # to the front, which logs and answers
    app.config["MAX_CONTENT_LENGTH"] = None  # the front has bounded the body
    for route in routes:
        rule = route.path.replace("...}", ":path}").replace("{", "<").replace("}", ">")
        if ":path>" in rule:
            rule = rule.replace("<", "<path:").replace(":path>", ">")
        endpoint = f"{route.method} {route.path}"
        app.add_url_rule(rule, endpoint, _view(route), methods=[route.method])
    app.register_error_handler(HTTPException, _refused_by_framework)
    return app


def _view(route: Route) -> Callable[..., Any]:
    async def view(**_parameters: str) -> quart.Response:
        state = quart.request.scope["state"]
        if state.get(ROUTE_KEY) is not route:
            raise RuntimeError(f"the policy was checked for another route than {route.method} {route.path}")
        try:
            return _response(await route.run(state[CALL_KEY]))
        except Problem as problem:
            return _problem(problem)

    return view


def _response(reply: Reply) -> quart.Response:
    response = quart.Response(reply.body, reply.status)
    if not isinstance(reply.body, bytes):
        # A long download of a slow client is no fault.
        response.timeout = None
    if reply.status == 204:
        response.headers.pop("content-type", None)
    else:
        response.headers["content-type"] = reply.content_type
    for name, value in reply.headers:
        response.headers.add(name, value)
    return response


def _problem(problem: Problem) -> quart.Response:
    response = quart.Response(problems.document(problem), problem.status)
    response.headers["content-type"] = problems.CONTENT_TYPE.decode()
    for name, value in problem.headers.items():
        response.headers[name] = value
    return response


async def _refused_by_framework(error: HTTPException) -> quart.Response:
    # The front's table has matched already, so this is a path that the two read differently.
    status = error.code or 500
    return _problem(Problem(status, "not_found" if status == 404 else "bad_request", problems.title(status)))


def create_app(services: Services, settings: Settings, stream: App, *, page_url: str | None = None) -> Front:
    """Return the ASGI application.

    Args:
        stream: serves `GET /api/events` (plain ASGI); finds the principal in `scope["state"]["edgebotd.principal"]`.
        page_url: where people reach the page, for the links that carry a one-time code; None where nobody can.

    Raises:
        RuntimeError: a route without a row in the policy table, or a row without a route.
    """

    @cache  # some 100 ms, for whoever asks first
    def openapi() -> bytes:
        return describe(POLICIES, routes)

    chat, page = ChatRoutes(services), PageRoutes()
    routes: list[Route] = [
        *page.routes(),
        *SignInRoutes(services).routes(),
        *PreferencesRoutes(services).routes(),
        *UserRoutes(services, page_url).routes(),
        *TokenRoutes(services).routes(),
        *SystemRoutes(services, openapi).routes(),
        *ConfigRoutes(settings).routes(),
        *BotRoutes(services).routes(),
        *AlertRoutes(services).routes(),
        *ProfileRoutes(services).routes(),
        *ProfileLinkRoutes(services).routes(),
        *ProfileUsageRoutes(services).routes(),
        *GrantRoutes(services).routes(),
        *LifecycleRoutes(services).routes(),
        *OperationRoutes(services).routes(),
        *AdoptRoutes(services).routes(),
        *chat.routes(),
        *ContainerRoutes(services).routes(),
    ]
    by_key = {(route.method, route.path): route for route in routes}
    check_complete(by_key, POLICIES)
    services.metrics.add_source("kind", lambda: hub_figures(services.hub))
    services.metrics.add_source("state", lambda: docker_figures(services.docker))
    services.metrics.add_labelled(("profile", "window"), lambda: usage_figures(services))
    services.metrics.add_source(
        "outcome", lambda: {"edgebotd_account_deliveries_total": services.profiles.delivering.counts}
    )
    services.metrics.add_labelled(
        ("channel", "outcome"), lambda: {"edgebotd_alert_messages_total": services.alert_channels.counts}
    )
    json_bytes = settings.server.max_body_bytes
    hosts = Hosts.configured(
        settings.server.public_url,
        settings.server.chat_host,
        {bot.host: bot_id for bot_id, bot in settings.bots.items() if bot.host is not None},
        settings.server.allowed_origins,
    )
    door = Door(
        services.people,
        hosts,
        trusted_proxies=settings.server.trusted_proxies,
        admin_uids=settings.server.admin_uids,
    )
    sockets = BotSockets(services.people, chat.methods(), services.now)
    services.people.subscribe(sockets.recheck)
    return Front(
        door,
        Table(),
        by_key,
        framework=cast(App, build_framework(route for route in routes if not route.direct)),
        stream=stream,
        socket=sockets.serve,
        drain=sockets.drain,
        metrics=services.metrics,
        lost=page.lost,
        limits={Body.JSON: json_bytes, Body.MESSAGE: json_bytes + settings.chat.attachment_max_bytes * 4 // 3},
    )


def check_complete(routes: Mapping[tuple[str, str], Route], policies: Iterable[Policy]) -> None:
    """Pass when routes and rows are the same.

    Raises:
        RuntimeError: they are not.
    """
    rows = {(policy.method, policy.path) for policy in policies if policy.surface is Surface.HTTP}
    if without_row := sorted(routes.keys() - rows):
        raise RuntimeError(f"routes without a row in web.policy.POLICIES: {without_row}")
    if without_route := sorted(rows - routes.keys()):
        raise RuntimeError(f"rows of web.policy.POLICIES without a route: {without_route}")
