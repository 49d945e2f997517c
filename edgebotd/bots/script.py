"""What the built-in bot says: markers in a message pick a script of timed steps. Pure: no clock, no IO."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from edgebotd.bots.connector import Outgoing

_MARKER: Final = re.compile(r"\[\[\s*([a-z]+)(?:\s+(.*?))?\s*\]\]", re.DOTALL)
LONGEST: Final = 20_000
"""Words of `[[long N]]` at most; such a reply takes ten minutes at the default pace."""

StepKind = Literal["think", "text", "tool", "result", "cut", "error", "end"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step, `after` seconds after the one before. `text` is new text, a tool's name or an error."""

    after: float
    kind: StepKind
    text: str = ""


GUIDE: Final = (
    "I am the built-in bot: I only repeat, but everything around me is real. Try one of these in a message:\n\n"
    "- `[[long 200]]` streams 200 words, so that you can press stop, reload, or watch from a second window\n"
    "- `[[slow]]` takes its time\n"
    "- `[[think]]` thinks first\n"
    "- `[[tool weather]]` uses a tool\n"
    "- `[[error The model is tired]]` fails in mid-sentence\n"
    "- `[[cut]]` loses the connection in mid-reply, and comes back\n"
    "- `[[say Hello!]]` says just that\n"
)


def steps(turn: Outgoing, pace: float) -> Iterator[Step]:
    """Yield the steps that answer a message; `pace` is the pause between two words in seconds."""
    found = {name: (argument or "").strip() for name, argument in _MARKER.findall(turn.text)}
    if "slow" in found:
        pace *= 10
    if "think" in found:
        yield Step(pace, "think")
        yield from (Step(pace * 20, "text", piece) for piece in ["Well"])
        yield Step(pace, "text", ", ")
    reply = _reply(turn, found)
    words = pieces(reply)
    middle = len(words) // 2
    for place, word in enumerate(words):
        if place == middle:
            if "tool" in found:
                name = found["tool"] or "lookup"
                yield Step(pace, "tool", name)
                yield Step(pace * 10, "result", name)
            if "cut" in found:
                yield Step(pace, "cut")
            if "error" in found:
                yield Step(pace, "error", found["error"] or "This is the error that you asked for.")
                return
        yield Step(pace, "text", word)
    yield Step(pace, "end")


def pieces(text: str) -> list[str]:
    """Split a text into words with the white space before them; joined they are the text again."""
    found = re.findall(r"\s*\S+|\s+$", text)
    return found or ([text] if text else [])


def _reply(turn: Outgoing, found: dict[str, str]) -> str:
    if "say" in found:
        return found["say"] or "…"
    if "long" in found:
        count = int(found["long"]) if found["long"].isdecimal() and len(found["long"]) < 8 else 200
        return " ".join(f"word{number}" for number in range(1, min(max(count, 1), LONGEST) + 1))
    text = _MARKER.sub("", turn.text).strip()
    quoted = "\n".join(f"> {line}" for line in (text[:500] or "…").splitlines())
    files = "".join(
        f"I got your file **{file.name}** ({file.media_type}, {len(file.data)} bytes).\n\n" for file in turn.attachments
    )
    said = "You sent" if not text and turn.attachments else "You said"
    opening = f"{said}:\n\n{quoted}\n\n" if text or not turn.attachments else ""
    return f"{opening}{files}{GUIDE}" if not found else f"{opening}{files}Done: {', '.join(found)}."
