"""The words of a text, as the search index has them. Pure.

A word is a run of letters, digits and marks, without case and accents. Scripts without spaces (Chinese,
Japanese, Thai, Lao, Khmer, Burmese; Korean too, whose particles stick to the word) are cut into overlapping pairs of
characters, so that any piece of text is a phrase of pairs: 日本語 is 日本, 本語 and, as the last of its run, 語.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

from edgebotd.events import AttachmentPart, Part, TextPart

RULES: Final = f"1, Unicode {unicodedata.unidata_version}"
"""Names how words are made here; raise the number with any change of that. Python's newer Unicode folds differently."""

INDEXED_CHARACTERS: Final = 200_000
"""Of one message; whoever pastes more finds it by its beginning."""

QUERY_CHARACTERS: Final = 1000
QUERY_TERMS: Final = 32
"""What a query may hold; the rest of a longer one is left out."""

_DENSE: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Ranges of the scripts above (Unicode blocks)."""

# Accents of Latin, Greek and Cyrillic, vowel points of Hebrew and Arabic, tatweel, soft hyphen, zero-width joiner.
_DROPPED: Final = re.compile(
    "[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u00ad\u200d]"
)


@dataclass(frozen=True, slots=True)
class Term:
    """One word, or words that must stand together. `runs` are its runs of one kind of script, folded.

    `prefix`: the last run may go on.
    """

    runs: tuple[str, ...]
    prefix: bool = False

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tokens of the index that must follow each other."""
        tokens: list[str] = []
        for number, run in enumerate(self.runs):
            tokens.extend(_tokens_of_run(run, ends=number < len(self.runs) - 1 or len(run) == 1))
        return tuple(tokens)

    @property
    def open_ended(self) -> bool:
        """Whether the last token stands for all that begin with it: asked for, or one character of a dense script."""
        return self.prefix or (len(self.runs[-1]) == 1 and is_dense(self.runs[-1]))


def is_dense(run: str) -> bool:
    """Tell whether a run is of a script without spaces."""
    return _dense().match(run) is not None


@cache
def _dense() -> re.Pattern[str]:
    return re.compile(f"[{_DENSE}]")


@cache
def _marks() -> str:
    # `re` has no class for marks. All of the scripts in use lie below U+12000.
    return "".join(chr(code) for code in range(0x0300, 0x12000) if unicodedata.category(chr(code)).startswith("M"))


@cache
def _runs() -> re.Pattern[str]:
    """Matches one run: of a dense script, or letters, digits and marks of the others."""
    marks = re.escape(_marks())
    return re.compile(f"[{_DENSE}]+|(?:(?![{_DENSE}_])[\\w{marks}])+")


@cache
def _clusters() -> re.Pattern[str]:
    return re.compile(f"(?s:.)[{re.escape(_marks())}\u00ad\u200d]*")


def fold(text: str) -> str:
    """Return the text without case, accents and variants of form."""
    if text.isascii():
        return text.lower()
    plain = _DROPPED.sub("", unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold()))
    return unicodedata.normalize("NFKC", plain)


def _runs_of(text: str) -> list[str]:
    return _runs().findall(fold(text))


def _tokens_of_run(run: str, *, ends: bool) -> list[str]:
    if not is_dense(run):
        return [run]
    pairs = [run[place : place + 2] for place in range(len(run) - 1)]
    return [*pairs, run[-1]] if ends else pairs


def index_text(text: str) -> str:
    """Return what the index gets for a text: its tokens, separated by what the tokenizer takes for a separator."""
    text = text[:INDEXED_CHARACTERS]
    if text.isascii():
        # unicode61 finds the same words in it by itself, and faster.
        return text.replace("\0", " ")
    tokens: list[str] = []
    for run in _runs_of(text):
        tokens.extend(_tokens_of_run(run, ends=True))
    return " ".join(tokens)


def text_of(parts: tuple[Part, ...]) -> str:
    """Return the text of a message that can be searched: what was written, and the names of files."""
    pieces = []
    for part in parts:
        if isinstance(part, TextPart):
            pieces.append(part.text)
        elif isinstance(part, AttachmentPart):
            pieces.append(part.name)
    return "\n".join(pieces)


def text_of_stored(parts: str) -> str:
    """Return what `text_of` does, of parts in their stored form (JSON)."""
    # Without models: this runs for each message that is indexed.
    pieces = []
    for part in json.loads(parts):
        if part["type"] == "text":
            pieces.append(part["text"])
        elif part["type"] == "attachment":
            pieces.append(part["name"])
    return "\n".join(pieces)


_PIECES: Final = re.compile(r'"([^"]*)(?:"|$)|([^\s"]+)')


def parse_query(text: str) -> tuple[Term, ...]:
    """Return what a person asks for; empty where there is no word in it.

    Only double quotes and a `*` behind a word mean something; whatever else is typed separates words.
    """
    terms: list[Term] = []
    for match in _PIECES.finditer(text[:QUERY_CHARACTERS]):
        quoted, bare = match.groups()
        runs = tuple(_runs_of(bare if quoted is None else quoted))
        # The index has no list for one letter's words, and nobody means them.
        prefix = bare is not None and bare.endswith("*") and bool(runs) and len(runs[-1]) > 1 and not is_dense(runs[-1])
        term = Term(runs, prefix)
        if runs and term not in terms:
            terms.append(term)
    return tuple(terms[:QUERY_TERMS])


def match_expression(terms: tuple[Term, ...]) -> str:
    """Return the terms in FTS5's language. Tokens are letters, digits and marks only, so nothing needs escaping."""
    return " AND ".join(f'"{" ".join(term.tokens)}"{" *" if term.open_ended else ""}' for term in terms)


# Where the words are in a text, for snippets


@lru_cache(maxsize=8192)
def _fold_cluster(cluster: str) -> str:
    return fold(cluster)


def _fold_mapped(text: str) -> tuple[str, list[int] | None]:
    """Fold a text; the list says for each character, and the end, where it comes from (None: the same place)."""
    if text.isascii():
        return text.lower(), None
    folded: list[str] = []
    origin: list[int] = []
    for match in _clusters().finditer(text):
        piece = _fold_cluster(match[0])
        folded.append(piece)
        origin.extend([match.start()] * len(piece))
    origin.append(len(text))
    return "".join(folded), origin


def _pattern(terms: tuple[Term, ...]) -> re.Pattern[str]:
    plain = f"(?:(?![{_DENSE}_])\\w)"
    alternatives = []
    for term in terms:
        begin = "" if is_dense(term.runs[0]) else f"(?<![^\\W_{_DENSE}])"
        end = "" if is_dense(term.runs[-1]) else f"{plain}*" if term.prefix else f"(?!{plain})"
        alternatives.append(begin + r"[\W_]*".join(map(re.escape, term.runs)) + end)
    return re.compile("|".join(alternatives))


def find(text: str, terms: tuple[Term, ...], *, limit: int = 50) -> list[tuple[int, int]]:
    """Return (start, end) of the first matches of the terms in a text, in code points, in order."""
    folded, origin = _fold_mapped(text)
    found: list[tuple[int, int]] = []
    for match in _pattern(terms).finditer(folded):
        start, end = match.span() if origin is None else (origin[match.start()], origin[match.end()])
        if end > start:
            found.append((start, end))
        if len(found) == limit:
            break
    return found
