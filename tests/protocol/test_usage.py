"""What providers say of an account's use is read as far as it is known; what they do not say never becomes a 0."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebotd.protocol.fields import LAST_MILLISECOND
from edgebotd.protocol.usage import (
    READERS,
    Billing,
    UnreadableUsage,
    Usage,
    Window,
    read_auth_status,
    read_usage,
    read_usage_status,
)
from edgebotd.protocol.usage.reading import MOST_PERCENT, moment, number, span
from tests.protocol import usage_answers as answers
from tests.protocol.usage_answers import DAY_MS, HOUR_MS, NOW

WEEK = 604_800


def read(kind: str, answer: object) -> Usage:
    return read_usage(kind, json.dumps(answer).encode(), NOW)


def by_id(usage: Usage) -> dict[str, Window]:
    return {window.id: window for window in usage.windows}


def test_anthropic_by_its_members() -> None:
    usage = read("anthropic", answers.ANTHROPIC)
    assert by_id(usage) == {
        "five_hour": Window("five_hour", "5 hours", 61.0, 18000, 1795870799571),
        "seven_day": Window("seven_day", "7 days", 104.5, WEEK, NOW + 2 * DAY_MS + 23 * HOUR_MS),
        "seven_day_opus": Window("seven_day_opus", "7 days, Opus", 0.0, WEEK, None, "Opus"),
        # One that is past is none.
        "seven_day_sonnet": Window("seven_day_sonnet", "7 days, Sonnet", 12.5, WEEK, None, "Sonnet"),
        "iguana": Window("iguana", "Iguana", 3.0),
    }
    assert usage.billing == (Billing("budget", "USD", used=12.34, limit=50.0, period="month"),)


@pytest.mark.parametrize("kind", ["anthropic", "codex", "gemini"])
def test_a_label_has_its_scope_in_it(kind: str) -> None:
    """What shows a window shows its label alone."""
    usage = read(kind, {"anthropic": answers.ANTHROPIC, "codex": answers.CODEX, "gemini": answers.GEMINI}[kind])
    scoped = [window for window in usage.windows if window.scope is not None]
    assert scoped and all(window.scope in window.label for window in scoped if window.scope)


def test_anthropic_by_its_list_has_each_limit_once_under_the_same_id() -> None:
    usage = read("anthropic", answers.ANTHROPIC_LIMITS)
    assert {window.id: window.used_percent for window in usage.windows} == {
        "five_hour": 20.0,
        "seven_day": 30.0,
        "seven_day_opus": 77.0,
    }
    assert by_id(usage)["seven_day_opus"].label == "7 days, Opus"
    assert usage.billing == ()
    only = read("anthropic", {"limits": answers.ANTHROPIC_LIMITS["limits"]})
    assert by_id(only) == by_id(usage)


def test_anthropic_without_a_limit_of_what_is_paid_for() -> None:
    usage = read("anthropic", {"extra_usage": {"is_enabled": True, "monthly_limit": 0, "used_credits": 500}})
    assert usage.billing == (Billing("spend", "USD", used=5.0, period="month"),)
    assert read("anthropic", {"five_hour": None, "seven_day": None}) == Usage()


def test_codex_windows_are_told_apart_by_their_length() -> None:
    usage = read("codex", answers.CODEX)
    assert by_id(usage) == {
        "5h": Window("5h", "5 hours", 15.0, 18000, NOW + 2 * HOUR_MS),
        "7d": Window("7d", "7 days", 5.5, WEEK, NOW + 2 * DAY_MS),
        "code_spark_5h": Window("code_spark_5h", "5 hours, Code spark", 40.0, 18000, None, "Code spark"),
    }
    assert usage.plan == "plus"
    assert usage.billing == (
        Billing("balance", "credits", amount=12.5),
        Billing("budget", "credits", used=25.0, limit=100.0),
    )
    weekly = read("codex", answers.CODEX_WEEKLY_ONLY)
    assert weekly.windows == (Window("30d", "30 days", 80.0, 2592000, NOW + DAY_MS),)
    assert weekly.billing == ()
    assert [window.id for window in read("codex", {"rate_limit": {"primary_window": {"used_percent": 1}}}).windows] == [
        "primary"
    ]


def test_copilot_below_nothing_is_over_a_hundred_and_a_placeholder_is_nothing() -> None:
    usage = read("copilot", answers.COPILOT)
    month_end = NOW + 2 * DAY_MS + 14 * HOUR_MS
    assert usage.windows == (Window("premium_interactions", "Premium requests", 110.0, 30 * 86400, month_end),)
    assert usage.billing == (Billing("spend", "requests", used=30.0, period="month"),)
    assert usage.plan == "individual"
    # Its reset is the moment in which it was asked.
    free = read("copilot", answers.COPILOT_FREE)
    assert free.windows == (Window("chat", "Chat", 20.0), Window("completions", "Completions", 0.0))


def test_gemini_counts_the_model_of_a_family_of_which_least_is_left() -> None:
    usage = read("gemini", answers.GEMINI)
    assert by_id(usage) == {
        "pro": Window("pro", "Pro", 50.0, None, NOW + 23 * HOUR_MS, "Pro"),
        "flash": Window("flash", "Flash", 0.0, None, NOW + 22 * HOUR_MS, "Flash"),
        "flash_lite": Window("flash_lite", "Flash Lite", 0.1, None, None, "Flash Lite"),
    }
    with pytest.raises(UnreadableUsage):
        read("gemini", {"buckets": [{"modelId": "gemini-2.5-pro"}]})
    assert read("gemini", {"buckets": []}) == Usage()


def test_openrouter_key_and_credits() -> None:
    usage = read("openrouter", answers.OPENROUTER_KEY)
    # It is a Saturday; weeks end with Sundays.
    monday = NOW + DAY_MS + 14 * HOUR_MS
    assert usage.windows == (Window("key", "Limit of the key", 75.0, WEEK, monday),)
    assert usage.billing == (Billing("budget", "USD", used=15.0, limit=20.0, period="week"),)
    assert read("openrouter", answers.OPENROUTER_CREDITS).billing == (Billing("balance", "USD", amount=7.75),)
    free = read("openrouter", {"data": {"usage": 1.5, "limit": None, "is_free_tier": True}})
    assert free == Usage((), (Billing("spend", "USD", used=1.5),), "free")
    for period, ends in (("daily", NOW + 14 * HOUR_MS), ("monthly", NOW + 2 * DAY_MS + 14 * HOUR_MS)):
        data = {"usage": 9, "limit": 10, "limit_remaining": 12, "limit_reset": period}
        [window] = read("openrouter", {"data": data}).windows
        assert (window.used_percent, window.resets_at) == (0.0, ends)


def test_a_gateway_tells_of_each_provider_and_an_error_of_it_is_no_zero() -> None:
    found = read_usage_status(answers.USAGE_STATUS, NOW)
    claude = found["anthropic"].usage
    assert claude is not None
    assert claude.windows == (
        Window("5h", "5h", 40.0, 18000, NOW + HOUR_MS),
        Window("week", "Week", 10.0, WEEK, NOW + DAY_MS),
        Window("opus", "Opus", 3.0),
    )
    assert claude.billing == (Billing("budget", "USD", used=5.0, limit=20.0, period="month"),)
    assert claude.plan == "max"
    assert (found["openai"].usage, found["openai"].trouble) == (None, "HTTP 401")
    assert (found["zai"].usage, found["zai"].trouble) == (None, "Timeout")
    other = read_auth_status(answers.AUTH_STATUS, NOW)
    assert other.keys() == {"openrouter"}
    assert other["openrouter"].usage == Usage(billing=(Billing("balance", "credits", amount=7.5),))
    for reader in (read_usage_status, read_auth_status):
        with pytest.raises(UnreadableUsage):
            reader({}, NOW)


@dataclass(frozen=True)
class Paths:
    id: str = "w"
    label: str | None = None
    percent: str | None = None
    fraction: str | None = None
    used: str | None = None
    remaining: str | None = None
    limit: str | None = None
    resets_at: str | None = None
    seconds: float | None = None


def read_generic(answer: object, *windows: Paths) -> Usage:
    return read_usage("json", json.dumps(answer).encode(), NOW, windows)


def test_the_generic_reader_follows_paths() -> None:
    answer = {"a": [{"p": "12"}, {"f": 0.5, "at": NOW + 5}], "b": {"used": 3, "left": 1, "of": 4, "at": 99}}
    usage = read_generic(
        answer,
        Paths(id="p", percent="a.0.p", seconds=60.0),
        Paths(id="f", label="Half", fraction="a.1.f", resets_at="a.1.at"),
        Paths(id="u", used="b.used", limit="b.of", resets_at="b.at"),
        Paths(id="r", remaining="b.left", limit="b.of"),
        Paths(id="none", percent="a.7.p"),
        Paths(id="deep", percent="b.used.x"),
    )
    assert usage.windows == (
        Window("p", "p", 12.0, 60),
        Window("f", "Half", 50.0, None, NOW + 5),
        Window("u", "u", 75.0),
        Window("r", "r", 75.0),
    )
    with pytest.raises(UnreadableUsage, match="none of the paths a, b"):
        read_generic({"a": None}, Paths(percent="a"), Paths(fraction="b"))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "nothing"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b'{"five_hour":', "no JSON"),
        (b"[1]", "no object"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"error": {"type": "rate_limit_error"}}', "no limits"),
        (b"{}", "no limits"),
    ],
)
def test_what_is_no_answer_is_told_and_not_quoted(body: bytes, words: str) -> None:
    with pytest.raises(UnreadableUsage, match=words) as caught:
        read_usage("anthropic", body, NOW)
    assert "rate_limit_error" not in str(caught.value) and caught.value.__cause__ is None


@pytest.mark.parametrize("kind", READERS)
def test_an_object_without_what_is_known_is_no_answer(kind: str) -> None:
    wrong: list[object] = [{}, {"error": "x"}, {"data": {}}, {"detail": [1]}]
    for answer in wrong:
        with pytest.raises(UnreadableUsage):
            read(kind, answer)


def test_numbers_and_times_in_all_their_spellings() -> None:
    assert (number("1e5"), number("0x1"), number(True), number(10**400), number("nan")) == (None,) * 5
    assert (number(" -2.5 "), number(float("inf"))) == (-2.5, None)
    at = 1_795_860_000_000
    for spelling in (at, at // 1000, str(at), "2026-11-28T10:00:00Z", "2026-11-28T10:00:00.000000000+00:00",
                     "2026-11-28T11:00:00+01:00", "2026-11-28 10:00:00"):  # fmt: skip
        assert moment(spelling) == at, spelling
    none: list[object] = [0, -1, "", "soon", "0000-01-01", "9999-99-99", None, 1e300, "1" * 21, [], "2026-13-01T00:00Z"]
    for nothing in none:
        assert moment(nothing) is None, nothing
    assert [span(s)[0] for s in (60, 3600, 18000, 86400, 604800, 2592000, 90)] == (
        ["1m", "1h", "5h", "24h", "7d", "30d", "90s"]
    )


def test_too_many_windows_are_no_answer() -> None:
    with pytest.raises(UnreadableUsage, match="more than 64"):
        read("anthropic", {"five_hour": None, **{f"x{n}": {"utilization": 1} for n in range(65)}})


# Anything at all in the place of anything

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "12", "-3.5", "2026-12-01", "2026-11-28T12:00:00.1Z", "9999-12-31T23:59:59Z", "x", "\ud800"])
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
SHAPES: list[tuple[str, Any]] = [
    ("anthropic", answers.ANTHROPIC),
    ("anthropic", answers.ANTHROPIC_LIMITS),
    ("codex", answers.CODEX),
    ("copilot", answers.COPILOT),
    ("copilot", answers.COPILOT_FREE),
    ("gemini", answers.GEMINI),
    ("openrouter", answers.OPENROUTER_KEY),
    ("openrouter", answers.OPENROUTER_CREDITS),
]


@st.composite
def damaged(draw: st.DrawFn, shape: Any) -> Any:
    """Return a shape with something else in one place, or in several."""
    if draw(st.integers(0, 7)) == 0:
        return draw(JSON)
    if isinstance(shape, dict):
        return {key: draw(damaged(value)) for key, value in shape.items() if draw(st.integers(0, 9))}
    if isinstance(shape, list):
        return [draw(damaged(value)) for value in shape]
    return shape


def sane(usage: Usage) -> None:
    assert len({window.id for window in usage.windows}) == len(usage.windows)
    for window in usage.windows:
        assert 0 <= window.used_percent <= MOST_PERCENT
        assert window.resets_at is None or NOW < window.resets_at <= LAST_MILLISECOND
        assert window.id and window.label.encode() and len(window.label) < 220
        assert window.window_seconds is None or window.window_seconds > 0


def attempt(reading: Callable[[], Usage]) -> None:
    try:
        usage = reading()
    except UnreadableUsage as exc:
        assert str(exc)
    else:
        sane(usage)


@given(data=st.data(), which=st.sampled_from(SHAPES))
def test_a_damaged_answer_is_read_or_refused(data: st.DataObject, which: tuple[str, Any]) -> None:
    kind, shape = which
    body = json.dumps(data.draw(damaged(shape))).encode()
    attempt(lambda: read_usage(kind, body, NOW))


@given(kind=st.sampled_from(sorted(READERS)), body=st.binary(max_size=40))
def test_bytes_are_read_or_refused(kind: str, body: bytes) -> None:
    attempt(lambda: read_usage(kind, body, NOW))


@given(answer=JSON, path=st.text(alphabet="ab01.-", max_size=6), way=st.sampled_from(["percent", "fraction", "used"]))
def test_any_path_in_any_answer_is_read_or_refused(answer: object, path: str, way: str) -> None:
    empty = Paths(limit="a", resets_at=path)
    paths = {
        "percent": replace(empty, percent=path),
        "fraction": replace(empty, fraction=path),
        "used": replace(empty, used=path),
    }[way]
    attempt(lambda: read_usage("json", json.dumps({"a": answer}).encode(), NOW, [paths]))


@given(data=st.data(), shape=st.sampled_from([answers.USAGE_STATUS, answers.AUTH_STATUS]))
def test_a_damaged_word_of_a_gateway_is_read_or_refused(data: st.DataObject, shape: Any) -> None:
    answer = data.draw(damaged(shape))
    if not isinstance(answer, dict):
        return
    for reader in (read_usage_status, read_auth_status):
        try:
            found = reader(answer, NOW)
        except UnreadableUsage:
            continue
        for one in found.values():
            assert (one.usage is None) == (one.trouble is not None)
            if one.usage is not None:
                sane(one.usage)
