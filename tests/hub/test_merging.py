"""Merging deltas never changes the text that a client ends up with (CHANNEL C15, C7)."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from edgebotd.events import ALL, CATALOGUE, BotsStatusUpdate, ChatDelta
from edgebotd.hub.backlog import Backlog, compacted
from edgebotd.hub.coalesce import Coalescer
from edgebotd.hub.delta import spliced
from edgebotd.hub.entry import Audience, Entry, to_json
from edgebotd.protocol.utf16 import cut_utf16, utf16_length
from tests.hub.support import ADMIN, activity, delta, statuses

texts = st.text(alphabet="ab\U0001f600é", max_size=6)


def applied(units: bytes, offset: int, text: str) -> bytes:
    """Do to a reply, as UTF-16, what a client does with a delta."""
    return units[: 2 * offset] + text.encode("utf-16-le")


@given(start=texts, first=texts, second=texts, back=st.integers(0, 8))
def test_one_splice_does_what_two_did(start: str, first: str, second: str, back: int) -> None:
    """The later delta may follow the first one or cut into it, or into what was there before."""
    offset = utf16_length(start)
    later = max(0, offset + utf16_length(first) - back)
    both = spliced(offset, first, later, second)
    base = start.encode("utf-16-le")
    expected = applied(applied(base, offset, first), later, second)
    if both is None:
        assert later > offset  # only a cut through a character of the first is refused
        assert cut_utf16(first, later - offset) is None
    else:
        assert applied(base, *both) == expected


def test_a_hole_is_not_merged() -> None:
    assert spliced(0, "abc", 5, "x") is None


@given(
    pieces=st.lists(st.tuples(st.sampled_from(["r1", "r2"]), texts, st.integers(0, 3), st.floats(0, 0.1)), max_size=60)
)
def test_what_leaves_the_coalescer_makes_the_same_text_at_a_bounded_rate(
    pieces: list[tuple[str, str, int, float]],
) -> None:
    coalescer = Coalescer(20)
    sent: dict[str, bytes] = {"r1": b"", "r2": b""}
    got: dict[str, bytes] = {"r1": b"", "r2": b""}
    now = 0.0
    waited: list[float] = []
    pending_since: dict[str, float] = {}

    def leave(deltas: list[ChatDelta]) -> None:
        for one in deltas:
            got[one.run_id] = applied(got[one.run_id], one.offset, one.text)
            waited.append(now - pending_since.pop(one.run_id, now))

    for run, text, back, pause in pieces:
        deadline = now + pause
        while (due := coalescer.next_due) is not None and due <= deadline:
            now = due
            leave(coalescer.due(now))
        now = deadline
        offset = max(0, len(sent[run]) // 2 - back)
        sent[run] = applied(sent[run], offset, text)
        pending_since.setdefault(run, now)
        leave(coalescer.offer(delta(text, offset, run), now))
        if got[run] == sent[run]:
            pending_since.pop(run, None)
    while (due := coalescer.next_due) is not None:
        now = due
        leave(coalescer.due(now))
    assert got == sent
    assert max(waited, default=0) <= 0.05 + 1e-9


def entry(seq: int, bot_id: str, event: object) -> Entry:
    assert isinstance(event, ChatDelta | BotsStatusUpdate) or hasattr(event, "type")
    made = Entry(seq, bot_id, event, CATALOGUE[event.type], to_json(event))  # type: ignore[arg-type]  # any event
    made.sealed(f"c{seq}")
    return made


def test_a_backlog_merges_first_and_keeps_the_order_of_all_else() -> None:
    audience = Audience(ADMIN.access_class())
    items = [
        entry(1, ALL, statuses("old")),
        entry(2, "a", delta("one ", 0)),
        entry(3, "b", activity("b")),
        entry(4, "a", delta("two", 4)),
        entry(5, ALL, statuses("new")),
        entry(6, "a", activity("a")),
        entry(7, "a", delta("!", 7)),
    ]
    kept = compacted(items)
    frames = [item.frame(audience, lambda: None).decode() for item in kept if isinstance(item, Entry)]
    # Each stands where its last part stood, with that part's cursor: nothing before it is promised too early.
    assert [frame.split("\n")[0] for frame in frames] == ["id: c3", "id: c4", "id: c5", "id: c6", "id: c7"]
    assert '"text":"one two"' in frames[1]
    assert "new" in frames[2]


def test_a_backlog_is_bounded_in_bytes() -> None:
    backlog = Backlog()
    numbers = random.Random(1)
    fits = True
    count = 0
    while fits:
        count += 1
        fits = backlog.put([entry(count, "a", activity("a", "x" * numbers.randint(1, 60)))], 10_000)
        assert backlog.size <= 10_000 or not fits
    assert count > 50
    assert backlog.size == sum(item.size for item in backlog.items)
