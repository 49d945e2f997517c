"""Every text of the page is in every language, with the same values in it, and used."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from edgebotd.config import Settings
from edgebotd.config.section import Section, inner_section
from edgebotd.hub.frames import Bye
from tests.ui.catalogue import LANGUAGES, PAGE, STRINGS, asked, base, called, catalogue, read, sources

OTHERS = [language for language in LANGUAGES if language != "en"]
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def test_there_is_english_and_one_more_language() -> None:
    assert "en" in LANGUAGES and len(LANGUAGES) >= 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_key_stands_twice_and_no_text_is_empty(language: str) -> None:
    entries = [entry for path in sorted((STRINGS / language).glob("*.js")) for entry in read(path)]
    assert [key for key, count in Counter(key for key, _ in entries).items() if count > 1] == []
    assert [key for key, text in entries if not text.strip()] == []


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_has_the_keys_of_english_in_the_same_files(language: str) -> None:
    for path in sorted((STRINGS / "en").glob("*.js")):
        # Forms for numbers are each language's own.
        there = {base(key) for key, _ in read(STRINGS / language / path.name)}
        assert {base(key) for key, _ in read(path)} ^ there == set(), path.name


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_has_the_placeholders_of_english(language: str) -> None:
    english, other = catalogue("en"), catalogue(language)
    # A form for one may say "1" itself.
    whole = {key: text for key, text in english.items() if base(key) == key and key in other}
    differing = {
        key for key, text in whole.items() if set(_PLACEHOLDER.findall(text)) != set(_PLACEHOLDER.findall(other[key]))
    }
    assert differing == set()


def test_every_key_that_the_page_calls_exists() -> None:
    english = catalogue("en")
    known = set(english) | {base(key) for key in english}
    missing: dict[str, str] = {}
    for path in sources():
        text = path.read_text()
        name = path.relative_to(PAGE).as_posix()
        missing.update({key: name for key in called(text) if key not in known})
        for prefix in asked(text)[1]:
            if not any(key.startswith(prefix) for key in known):
                missing[f"{prefix}…"] = name
    assert missing == {}


def test_every_key_is_used() -> None:
    keys: set[str] = set()
    prefixes: set[str] = set()
    for path in sources():
        named, made = asked(path.read_text())
        keys |= named
        prefixes |= made
    unused = {
        key
        for key in catalogue("en")
        if not {key, base(key)} & keys and not any(key.startswith(prefix) for prefix in prefixes if prefix)
    }
    assert unused == set()


def _docs(section: type[Section]) -> Iterator[str]:
    """Yield what the settings of a section are for, as the daemon tells it."""
    for info in section.model_fields.values():
        inner, _ = inner_section(info.annotation)
        if inner is not None:
            yield from _docs(inner)
        else:
            yield re.sub(":$", ".", info.description or "")


@pytest.mark.parametrize("language", OTHERS)
def test_every_setting_is_explained_in_every_language(language: str) -> None:
    words = dict(read(STRINGS / f"settings-{language}.js"))
    assert set(words) == set(_docs(Settings))
    assert [text for text in words.values() if not text.strip()] == []


_ACTS = re.compile(r'"((?:alert|bot|chat|code|conversation|grant|image|login|profile|session|token|user)\.[a-z-]+)"')


def test_every_act_of_the_audit_has_words() -> None:
    package = PAGE.parent.parent
    folders = ("accounts", "docker", "people", "web/routes")
    text = "".join(path.read_text() for folder in folders for path in sorted((package / folder).glob("*.py")))
    acts = set(_ACTS.findall(text)) - {"chat.history"}  # of a bot's socket
    english = catalogue("en")
    # Work on a bot, but for going back, which is an upgrade.
    acts |= {f"bot.{key.removeprefix('work.kind.')}" for key in english if key.startswith("work.kind.")} - {"bot.back"}
    assert {act for act in acts if f"admin.audit.{act}" not in english} == set()


def test_every_end_of_a_stream_has_words() -> None:
    hub = PAGE.parent.parent / "hub"
    text = "".join(path.read_text() for path in sorted(hub.glob("*.py")))
    reasons = {bye.value for bye in Bye} | set(re.findall(r'close\(stream, "([a-z]+)"', text))
    assert {"slow", "client", "error"} <= reasons
    english = catalogue("en")
    assert {reason for reason in reasons if f"admin.closed.{reason}" not in english} == set()
