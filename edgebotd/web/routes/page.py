"""The page's files, read once at start: few, small, and nothing below the directory can be asked for but them.

There is no build step. What a build would do is done here when the daemon starts: all files are served below a path
that holds their common hash, so browsers keep them for good and ask for a new version at once; they are compressed
once; and the page names every module that its first view imports, so that they are fetched together.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from edgebotd.errors import NotFound
from edgebotd.web.policy import PAGES
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
_COMPRESSED: Final = frozenset({".html", ".css", ".js", ".svg", ".webmanifest"})

ENTRY: Final = "main.js"
_FOREVER: Final = "public, max-age=31536000, immutable"
_IMPORT: Final = re.compile(
    r"""(?:^|;)\s*(?:import|export)\b[\w\s{},*$]*?["'](\.[^"']+)["']|^\}\s*from\s*["'](\.[^"']+)["']""", re.M
)
"""A static import, of minified code too, or the end of one over several lines; no call, which loads when needed."""


@dataclass(frozen=True)
class File:
    """One file of the page."""

    data: bytes
    suffix: str

    @cached_property
    def compressed(self) -> bytes | None:
        """The bytes for who takes gzip, None where that would not help."""
        return gzip.compress(self.data, 9, mtime=0) if self.suffix in _COMPRESSED else None

    @cached_property
    def tag(self) -> str:
        """A weak validator: compressed or not, it is the same file."""
        return f'W/"{hashlib.sha256(self.data).hexdigest()[:24]}"'


class Files:
    """All files of the page, and the page itself, made of `index.html`."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        digest = hashlib.sha256()
        for name in sorted(files):
            digest.update(f"{name}\0{len(files[name])}\0".encode() + files[name])
        self.version = digest.hexdigest()[:16]
        self._files = {name: File(data, posixpath.splitext(name)[1]) for name, data in files.items()}
        index = files["index.html"].decode().replace("{version}", self.version)
        preload = "\n    ".join(
            f'<link rel="modulepreload" href="{html.escape(f"/ui/{self.version}/{name}")}" />'
            for name in self._imported()
        )
        self.index = File(index.replace("<!-- modules -->", preload).encode(), ".html")

    def get(self, name: str) -> File:
        """Return a file. Raises `NotFound`."""
        file = self._files.get(name)
        if file is None:
            raise NotFound("file")
        return file

    def _imported(self) -> Iterator[str]:
        """Name the modules that the entry imports, theirs too; not those that are loaded when they are needed."""
        seen = {ENTRY}
        waiting = [ENTRY]
        while waiting:
            name = waiting.pop()
            yield name
            for written in imports_of(self._files[name].data.decode()):
                imported = posixpath.normpath(posixpath.join(posixpath.dirname(name), written))
                if imported not in seen and imported in self._files:
                    seen.add(imported)
                    waiting.append(imported)


def imports_of(source: str) -> list[str]:
    """Return what a module imports from files beside it before it runs, as it is written there."""
    return [first or second for first, second in _IMPORT.findall(source)]


def read_files(directory: Path = DIRECTORY) -> Files:
    """Return the page's files by their path below the directory; blocks."""
    return Files(
        {
            path.relative_to(directory).as_posix(): path.read_bytes()
            for path in sorted(directory.rglob("*"))
            if path.is_file() and path.suffix in MEDIA_TYPES
        }
    )


class PageRoutes:
    """Handlers."""

    def __init__(self, files: Files | None = None) -> None:
        self._files = read_files() if files is None else files

    def routes(self) -> list[Route]:
        """Return the rows."""
        return [
            *(route("GET", path, self.page, media_type="text/html", direct=True) for path in PAGES),
            route("GET", "/ui/{file...}", self.file, media_type="*/*", direct=True),
        ]

    async def page(self, call: Call) -> Reply:
        """Show the page."""
        return _reply(call, self._files.index, "no-cache")

    def lost(self, accept_encoding: str) -> Reply:
        """Return the page for an address where there is nothing: it says so itself, in the reader's language."""
        return replace(_whole(self._files.index, accept_encoding, _headers(self._files.index, "no-store")), status=404)

    async def file(self, call: Call) -> Reply:
        """Give a file of the page; below the version of all, for good."""
        version, _, name = call.parameters["file"].partition("/")
        if version == self._files.version:
            return _reply(call, self._files.get(name), _FOREVER)
        return _reply(call, self._files.get(call.parameters["file"]), "no-cache")


def _reply(call: Call, file: File, keep: str) -> Reply:
    headers = _headers(file, keep)
    known = {tag.strip().removeprefix("W/") for tag in call.headers.get("if-none-match", "").split(",")}
    if file.tag.removeprefix("W/") in known:
        return Reply(status=304, content_type=MEDIA_TYPES[file.suffix], headers=headers)
    return _whole(file, call.headers.get("accept-encoding", ""), headers)


def _headers(file: File, keep: str) -> list[tuple[str, str]]:
    return [("etag", file.tag), ("cache-control", keep), ("vary", "Accept-Encoding")]


def _whole(file: File, accept_encoding: str, headers: list[tuple[str, str]]) -> Reply:
    content_type = MEDIA_TYPES[file.suffix]
    if _takes_gzip(accept_encoding) and (compressed := file.compressed) is not None:
        return Reply(compressed, content_type=content_type, headers=[*headers, ("content-encoding", "gzip")])
    return Reply(file.data, content_type=content_type, headers=headers)


def _takes_gzip(accepted: str) -> bool:
    for part in accepted.lower().split(","):
        coding, _, weight = part.replace(" ", "").partition(";")
        if coding == "gzip":
            return not re.fullmatch(r"q=0(\.0*)?", weight)
    return False
