"""The style sheets: a name is styled in one place, so that a page's look is found and meets no other page's."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import combinations
from pathlib import Path

from tests.ui.types import PAGE

# What recurs is drawn in parts.css; a page's sheet may only say how it stands inside that page's own element.
SHEETS = sorted((PAGE / "style").glob("*.css"))


def selectors(text: str, level: int = 0) -> list[str]:
    """Return the selectors of a sheet's outermost rules, those inside a media query too."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    found: list[str] = []
    depth = start = 0
    for index, character in enumerate(text):
        if character == "{":
            if depth == 0:
                head, body = text[start:index].strip(), index + 1
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                if head.startswith("@media"):
                    found += selectors(text[body:index])
                elif not head.startswith("@"):
                    found += [one.strip() for one in head.split(",")]
                start = index + 1
        elif character == ";" and depth == 0:
            start = index + 1
    return found


def named(path: Path) -> set[str]:
    """Return every class that a sheet's selectors name, nested ones too."""
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
    return set(re.findall(r"\.([a-zA-Z][\w-]*)", " ".join(re.findall(r"([^{};]+)\{", text))))


def test_the_first_class_of_a_selector_belongs_to_one_sheet() -> None:
    owners: dict[str, set[str]] = defaultdict(set)
    for sheet in SHEETS:
        for selector in selectors(sheet.read_text()):
            if match := re.match(r"[a-z]*\.([\w-]+)", selector):
                owners[match[1]].add(sheet.name)
    assert owners
    assert {name: sorted(sheets) for name, sheets in owners.items() if len(sheets) > 1} == {}


def test_pages_share_no_class_but_those_that_are_drawn_for_all() -> None:
    shared = named(PAGE / "style" / "parts.css") | named(PAGE / "style" / "base.css")
    own = {name: named(PAGE / "style" / f"{name}.css") - shared for name in ("pages", "chat", "admin", "work")}
    assert all(own.values())
    for one, other in combinations(own, 2):
        assert own[one] & own[other] == set(), f"{one} and {other}"
