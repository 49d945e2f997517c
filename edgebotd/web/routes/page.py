"""The page's files, read once at start: few, small, and nothing below the directory can be asked for but them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgebotd.errors import NotFound
from edgebotd.web.route import Call, Reply, Route, route

DIRECTORY: Final = Path(__file__).parent.parent / "ui"

MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}


@dataclass(frozen=True, slots=True)
class File:
    """One file of the page."""

    data: bytes
    media_type: str
    tag: str


def read_files(directory: Path = DIRECTORY) -> dict[str, File]:
    """Return the page's files by their path below the directory; blocks."""
    files: dict[str, File] = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path.suffix in MEDIA_TYPES:
            data = path.read_bytes()
            tag = f'"{hashlib.sha256(data).hexdigest()[:24]}"'
            files[path.relative_to(directory).as_posix()] = File(data, MEDIA_TYPES[path.suffix], tag)
    return files


class PageRoutes:
    """Handlers."""

    def __init__(self, files: dict[str, File] | None = None) -> None:
        self._files = read_files() if files is None else files

    def routes(self) -> list[Route]:
        """Return the rows."""
        return [
            route("GET", "/", self.index, media_type="text/html"),
            route("GET", "/ui/{file...}", self.file, media_type="*/*"),
        ]

    async def index(self, call: Call) -> Reply:
        """Show the page."""
        return self._reply(call, "index.html")

    async def file(self, call: Call) -> Reply:
        """Give a file of the page."""
        return self._reply(call, call.parameters["file"])

    def _reply(self, call: Call, name: str) -> Reply:
        file = self._files.get(name)
        if file is None:
            raise NotFound("file")
        headers = [("etag", file.tag), ("cache-control", "no-cache")]
        if call.headers.get("if-none-match") == file.tag:
            return Reply(status=304, content_type=file.media_type, headers=headers)
        return Reply(file.data, content_type=file.media_type, headers=headers)
