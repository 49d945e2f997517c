"""The configuration as it is in force, for administrators to read; it is changed in its file."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import JsonValue

from edgebotd.config import Settings, explain
from edgebotd.events import Model
from edgebotd.web.route import Call, Route, route


class ConfigItem(Model):
    """One setting. Of a secret only `set` is told."""

    key: str
    """As in the file, with its table: `server.bind`, `bots.atlas.url`."""
    value: JsonValue
    secret: bool
    set: bool
    """Whether it has a value."""
    origin: Literal["default", "file", "environment", "flag"]
    place: str | None
    """`edgebotd.toml:12:1`, the variable's name or the flag; null for a default."""
    doc: str


class ConfigAnswer(Model):
    """All settings, in the order of their documentation."""

    file: str | None
    """The file that was read; null where there is none."""
    items: list[ConfigItem]


class ConfigRoutes:
    """Handlers. What was in force at the start stays so: made once."""

    def __init__(self, settings: Settings) -> None:
        items: list[dict[str, Any]] = [
            {
                "key": one.key,
                "value": one.value,
                "secret": one.secret,
                "set": one.present,
                "origin": one.origin,
                "place": one.place,
                "doc": one.doc,
            }
            for one in explain(settings)
        ]
        file = settings.sources.file
        self._answer = ConfigAnswer.model_validate({"file": None if file is None else str(file), "items": items})

    def routes(self) -> list[Route]:
        """Return the rows."""
        return [route("GET", "/api/config", self.show)]

    async def show(self, call: Call) -> ConfigAnswer:
        """Show the configuration in force, and where each value comes from."""
        return self._answer
