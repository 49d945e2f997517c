"""The page's catalogues of strings and what its sources ask of them, read without a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).parent.parent.parent / "edgebotd" / "web" / "ui"
STRINGS = PAGE / "strings"
LANGUAGES = sorted(path.name for path in STRINGS.iterdir() if path.is_dir())
FORMS = ("zero", "one", "two", "few", "many", "other")
"""Of numbers, as `Intl.PluralRules` names them: `key.one` is what `t("key", {count})` shows for one."""

_STRING = r'"(?:[^"\\\n]|\\.)*"'
_ENTRY = re.compile(rf"^\s*({_STRING}):\s*({_STRING}),\s*$", re.M)
_COMMENT = re.compile(r"^\s*//.*$", re.M)


def read(path: Path) -> list[tuple[str, str]]:
    """Return a catalogue's entries in order. A catalogue is plain: one entry a line, both sides in double quotes.

    Raises:
        ValueError: the file holds something else too.
    """
    text = path.read_text()
    entries = [(json.loads(key), json.loads(value)) for key, value in _ENTRY.findall(text)]
    left = _COMMENT.sub("", _ENTRY.sub("", text)).split()
    if left != ["export", "default", "{", "};"]:
        raise ValueError(f"{path}: not one entry a line, in double quotes: {' '.join(left)[:200]}")
    return entries


def catalogue(language: str) -> dict[str, str]:
    """Return all texts of a language."""
    return dict(entry for path in sorted((STRINGS / language).glob("*.js")) for entry in read(path))


def sources() -> Iterator[Path]:
    """Yield the page's own modules, but for the catalogues."""
    for path in sorted(PAGE.rglob("*.js")):
        if not {"vendor", "strings"} & set(path.relative_to(PAGE).parts):
            yield path


_LITERAL = re.compile(_STRING)
_TEMPLATE = re.compile(r"\bt\(\s*`([^`]*)`")


def asked(text: str) -> tuple[set[str], set[str]]:
    """Return which keys a module names, and with which beginnings it makes keys up: t(`state.${state}`).

    A key may be named anywhere, not only in the call (`t(ok ? "a.b" : "a.c")`), so each literal of a key's form counts.
    """
    keys = {json.loads(found) for found in _LITERAL.findall(text) if _KEY.fullmatch(found[1:-1])}
    prefixes: set[str] = set()
    for template in _TEMPLATE.findall(text):
        prefix, hole, _ = template.partition("${")
        (prefixes if hole else keys).add(prefix)
    return keys, prefixes


_KEY = re.compile(r"[a-z][A-Za-z0-9-]*(\.[A-Za-z0-9-]+)*")


def called(text: str) -> set[str]:
    """Return the keys that stand directly in a call: t("key"...)."""
    return {json.loads(found) for found in re.findall(rf"\bt\(\s*({_STRING})", text)}


def base(key: str) -> str:
    """Return a key without the form for a number."""
    stem, _, form = key.rpartition(".")
    return stem if stem and form in FORMS else key
