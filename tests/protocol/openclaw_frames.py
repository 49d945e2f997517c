"""The recorded frames of real gateways (`data/openclaw_frames.jsonl`), by scenario.

Recorded from openclaw 2026.9.6 and, labelled `5.28:`, from 2026.5.28; thinned out, machine-specific values replaced.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from edgebotd.protocol.openclaw import Event, History, Response, Runs, parse_frame, parse_history
from edgebotd.protocol.run import RunEvent

_DATA = Path(__file__).with_name("data") / "openclaw_frames.jsonl"


@cache
def recorded() -> tuple[tuple[str, str], ...]:
    """Return all incoming frames: scenario and the frame's text."""
    lines = [json.loads(line) for line in _DATA.read_text().splitlines()]
    return tuple((line["conn"], json.dumps(line["frame"])) for line in lines if line["dir"] == "in")


def frames(scenario: str) -> list[Event | Response]:
    """Return the incoming frames of one scenario, parsed."""
    parsed = [parse_frame(text) for name, text in recorded() if name == scenario]
    assert parsed, f"no frames of {scenario!r}"
    return [frame for frame in parsed if frame is not None]


def replay(scenario: str, runs: Runs | None = None) -> list[RunEvent]:
    """Feed one scenario's events to `runs`."""
    runs = runs or Runs()
    return [
        event
        for frame in frames(scenario)
        if isinstance(frame, Event)
        for event in runs.feed(frame.name, frame.payload)
    ]


def histories(scenario: str) -> list[History]:
    """Return the answers to `chat.history` of one scenario."""
    answers = [frame.payload for frame in frames(scenario) if isinstance(frame, Response)]
    return [parse_history(payload) for payload in answers if isinstance(payload, dict) and "messages" in payload]


def errors(scenario: str) -> list[dict[str, Any]]:
    """Return the errors of one scenario's responses."""
    return [dict(frame.error) for frame in frames(scenario) if isinstance(frame, Response) and not frame.ok]
