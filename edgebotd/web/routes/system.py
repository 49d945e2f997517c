"""Health, status, figures, the channel's side doors, the API's description."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from edgebotd import __version__
from edgebotd.access import Grant
from edgebotd.errors import Problem
from edgebotd.events import AtMs, BotId, BotSummary, EngineStatus, Model, catalogue_schema
from edgebotd.hub.hub import Hub
from edgebotd.hub.request import StreamRequest
from edgebotd.web import metrics
from edgebotd.web.metrics import Figures
from edgebotd.web.route import Call, Reply, Route, route
from edgebotd.web.routes.containers import states_of
from edgebotd.web.services import Services

MAX_POLL_SECONDS = 55
"""Below the 60 s after which proxies give up by default."""


class Health(Model):
    """Alive, or ready."""

    ok: bool


class Status(Model):
    """The daemon and its bots, as the asker may see them."""

    version: str
    started_at: AtMs
    now_at: AtMs
    bots: list[BotSummary]
    streams: int | None = None
    """For administrators, as the rest."""
    engine: EngineStatus | None = None
    containers: dict[str, int] | None = None
    """State -> how many of the bots' containers are in it."""
    health: dict[str, Any] | None = None


class ConnectionRow(Model):
    """One open stream."""

    stream_id: str
    user_id: str
    address: str
    since_at: AtMs
    age_seconds: float
    queued_bytes: int
    verdict: str
    state: str
    transport: str
    bots: list[str] | None
    types: list[str] | None


class ConnectionList(Model):
    """All open streams, and why earlier ones ended."""

    items: list[ConnectionRow]
    opened: dict[str, int]
    """verdict -> how many since the start."""
    closed: dict[str, int]
    """reason -> how many since the start."""
    refused: dict[str, int]


class WatchRequest(Model):
    """What to send while this stream looks."""

    logs: Annotated[tuple[BotId, ...], Field(max_length=200)] = ()
    stats: Annotated[tuple[BotId, ...], Field(max_length=200)] = ()


class PollQuery(Model):
    """A poll, as a stream would be asked for."""

    cursor: str = ""
    wait: Annotated[float, Field(ge=0, le=3600)] = 25
    bot: tuple[str, ...] | None = None
    type: tuple[str, ...] | None = None


class SystemRoutes:
    """Handlers. `openapi` returns the document, which needs all routes first."""

    def __init__(self, services: Services, openapi: Callable[[], bytes]) -> None:
        self._services = services
        self._openapi = openapi

    def routes(self) -> list[Route]:
        """Return the rows."""
        return [
            route("GET", "/healthz", self.alive, direct=True),
            route("GET", "/readyz", self.ready, direct=True),
            route("GET", "/api/status", self.status),
            route("GET", "/api/connections", self.connections),
            route("PUT", "/api/streams/{stream_id}/watch", self.watch, status=204),
            route("GET", "/api/events/poll", self.poll, direct=True),
            route("GET", "/api/events/schema", self.schema),
            route("GET", "/api/openapi.json", self.describe),
            route("GET", "/metrics", self.metrics, media_type=metrics.CONTENT_TYPE),
            route("GET", "/ws/dash", self.gone, status=410),
        ]

    async def alive(self, call: Call) -> Health:
        """Tell that the process answers."""
        return Health(ok=True)

    async def ready(self, call: Call) -> Health:
        """Tell whether requests are served; 503 while starting and stopping."""
        if not self._services.ready():
            raise Problem(503, "not_ready", "Not ready.", headers={"Retry-After": "2"})
        return Health(ok=True)

    async def status(self, call: Call) -> Status:
        """Tell what runs and how each bot is."""
        services, principal = self._services, call.principal
        docker = services.docker.containers.status() if principal.admin else None
        return Status(
            version=__version__,
            started_at=services.started_at,
            now_at=services.now(),
            bots=services.registry.listed(principal),
            streams=services.hub.stream_count if principal.admin else None,
            engine=None if docker is None else docker.engine,
            containers=None if docker is None else states_of(docker),
            health=dict(services.health()) if principal.admin else None,
        )

    async def connections(self, call: Call) -> ConnectionList:
        """Explain every open stream."""
        now, counters = self._services.now(), self._services.hub.counters
        rows = [
            ConnectionRow(
                stream_id=info.stream_id,
                user_id=info.user_id,
                address=info.address,
                since_at=info.since_at,
                age_seconds=max(0.0, (now - info.since_at) / 1000),
                queued_bytes=info.queued_bytes,
                verdict=info.verdict,
                state=info.state,
                transport=info.transport,
                bots=None if info.bots is None else list(info.bots),
                types=None if info.types is None else list(info.types),
            )
            for info in self._services.hub.connections()
        ]
        return ConnectionList(
            items=rows, opened=dict(counters.opened), closed=dict(counters.closed), refused=dict(counters.refused)
        )

    async def watch(self, call: Call, body: WatchRequest) -> None:
        """Ask for logs and figures of bots on one's own stream, for as long as it lasts."""
        self._services.hub.watch(
            call.parameters["stream_id"], call.principal, logs=frozenset(body.logs), stats=frozenset(body.stats)
        )

    async def poll(self, call: Call, query: PollQuery) -> Reply:
        """Fetch events without a stream, under the stream's rules."""
        for bot_id in sorted(query.bot or ()):
            call.principal.require(bot_id, Grant.VIEW)
        request = StreamRequest(
            call.principal,
            query.cursor or None,
            None if query.bot is None else frozenset(query.bot),
            None if query.type is None else frozenset(query.type),
            call.caller.address,
        )
        answer = await self._services.hub.poll(request, min(query.wait, MAX_POLL_SECONDS))
        return Reply(answer.to_json().encode())

    async def schema(self, call: Call) -> Reply:
        """Describe every event as JSON Schema."""
        return Reply(json_bytes(catalogue_schema()), content_type="application/schema+json")

    async def describe(self, call: Call) -> Reply:
        """Describe this API as OpenAPI 3.1."""
        return Reply(self._openapi())

    async def metrics(self, call: Call) -> Reply:
        """Give figures to Prometheus."""
        return Reply(self._services.metrics.render(), content_type=metrics.CONTENT_TYPE)

    async def gone(self, call: Call) -> Reply:
        """Tell where the channel is now."""
        raise Problem(
            410,
            "gone",
            "This WebSocket is gone. Everything live is one Server-Sent Events stream: GET /api/events.",
            extra={"use": "/api/events"},
        )


def json_bytes(value: Any) -> bytes:
    """Return a value as JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def hub_figures(hub: Hub) -> Figures:
    """Return what the hub counts, for the metrics."""
    counters = hub.counters
    return {
        "edgebotd_streams": {"": hub.stream_count},
        "edgebotd_events_published_total": {"": counters.published},
        "edgebotd_events_encoded_total": {"": counters.encoded},
        "edgebotd_event_frames_total": {"": counters.frames},
        "edgebotd_stream_sends_total": {"": counters.sends},
        "edgebotd_stream_heartbeats_total": {"": counters.heartbeats},
        "edgebotd_stream_stalls_total": {"": counters.stalls},
        "edgebotd_commits_failed_total": {"": counters.commits_failed},
        "edgebotd_streams_opened_total": dict(counters.opened),
        "edgebotd_streams_closed_total": dict(counters.closed),
        "edgebotd_streams_refused_total": dict(counters.refused),
    }
