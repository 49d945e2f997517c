"""References of images, and what a pull's lines come to."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebotd.protocol.docker.images import BadReference, Progress, Pull, Reference, parse_reference

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("busybox", Reference("busybox", "latest")),
        ("ghcr.io/openclaw/openclaw:2026.9.6", Reference("ghcr.io/openclaw/openclaw", "2026.9.6")),
        ("127.0.0.1:5000/a/b", Reference("127.0.0.1:5000/a/b", "latest")),
        ("localhost:5000/a:1.0-slim_x", Reference("localhost:5000/a", "1.0-slim_x")),
        (f"a/b@{DIGEST}", Reference("a/b", None, DIGEST)),
        (f"a/b:tag@{DIGEST}", Reference("a/b", "tag", DIGEST)),
        ("a__b/c--d/e.f", Reference("a__b/c--d/e.f", "latest")),
    ],
)
def test_a_reference_is_read_and_written(text: str, reference: Reference) -> None:
    assert parse_reference(text) == reference
    assert parse_reference(str(reference)) == reference
    assert parse_reference(reference.pinned).pinned == reference.pinned


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-rf",
        "a b",
        "a:",
        ":tag",
        "a@sha256:short",
        "a@md5:" + "0" * 64,
        "A/B",
        "a//b",
        "/a",
        "a/",
        "a:b:c",
        "../etc/passwd",
        "a/../b",
        "a?x=1",
        "a#b",
        "a%2f",
        "a\n",
        "a\0",
        "\u00e4",
        "0" * 64,
        "http://host/a",
        "user:pw@host/a",
        "a" * 600,
        "a:" + "t" * 129,
    ],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(BadReference):
        parse_reference(text)


@given(st.text(max_size=80) | st.from_regex(r"[a-z0-9./:@_-]{1,60}", fullmatch=True))
def test_what_is_read_may_stand_in_a_path(text: str) -> None:
    try:
        reference = parse_reference(text)
    except BadReference:
        return
    assert parse_reference(str(reference)) == reference
    assert not set(str(reference)) & set(" ?#%&\\\n\0") and "//" not in str(reference) and ".." not in reference.name


LINES: list[dict[str, Any]] = [
    {"status": "Pulling from edgebotd-test/bot", "id": "big"},
    {"status": "Already exists", "progressDetail": {}, "id": "aaa"},
    {"status": "Pulling fs layer", "progressDetail": {}, "id": "bbb"},
    {"status": "Pulling fs layer", "progressDetail": {}, "id": "ccc"},
    {"status": "Downloading", "progressDetail": {"current": 100, "total": 1000}, "id": "bbb"},
    {"status": "Downloading", "progressDetail": {"current": 110, "total": 1020}, "id": "ccc"},
    {"status": "Verifying Checksum", "progressDetail": {}, "id": "bbb"},
    {"status": "Download complete", "progressDetail": {}, "id": "bbb"},
    {"status": "Extracting", "progressDetail": {"current": 10, "total": 1000}, "id": "bbb"},
    {"status": "Download complete", "progressDetail": {}, "id": "ccc"},
    {"status": "Pull complete", "progressDetail": {}, "id": "bbb"},
    {"status": "Pull complete", "progressDetail": {}, "id": "ccc"},
    {"status": f"Digest: {DIGEST}"},
    {"status": "Status: Downloaded newer image for x:big"},
]


def progress_of(lines: list[dict[str, Any]]) -> list[Progress]:
    pull, seen = Pull(), []
    for line in lines:
        pull.feed(line)
        seen.append(pull.progress)
    return seen


def test_a_pull_sums_its_layers() -> None:
    seen = progress_of(LINES)
    assert seen[1] == Progress(0, None, 1, 1)
    assert seen[5] == Progress(210, 2020, 1, 3)
    assert seen[-1] == Progress(2020, 2020, 3, 3)
    assert all(one.bytes_done <= two.bytes_done for one, two in itertools.pairwise(seen))
    pull = Pull()
    for line in LINES:
        pull.feed(line)
    assert (pull.digest, pull.error) == (DIGEST, None)


@pytest.mark.parametrize(
    "line",
    [
        {"errorDetail": {"message": "unknown blob"}, "error": "unknown blob"},
        {"errorDetail": {"message": "unknown blob"}},
        {"error": "unknown blob", "progressDetail": {}},
    ],
)
def test_a_pull_that_fails_in_the_middle_says_so_in_its_last_line(line: dict[str, Any]) -> None:
    pull = Pull()
    for told in (*LINES[:6], line):
        pull.feed(told)
    assert pull.error == "unknown blob"


# Of a layer everything may come, in every order, or not at all.
statuses = st.sampled_from([*sorted({line["status"] for line in LINES}), "Waiting", "Retrying in 5 seconds", 7])
numbers = st.integers(-5, 1 << 40) | st.none() | st.text(max_size=2)
any_line = st.fixed_dictionaries(
    {},
    optional={
        "status": statuses,
        "id": st.sampled_from(["aaa", "bbb", "ccc", 5]),
        "progressDetail": st.fixed_dictionaries({}, optional={"current": numbers, "total": numbers}) | st.none(),
        "error": st.none() | st.text(max_size=3),
    },
)


@given(st.lists(any_line, max_size=15))
def test_progress_never_goes_back_or_beyond_its_end(lines: list[dict[str, Any]]) -> None:
    seen = progress_of(lines)
    for one in seen:
        assert 0 <= one.bytes_done <= (one.bytes_total or 0) or (one.bytes_done == 0 and one.bytes_total is None)
        assert 0 <= one.layers_done <= one.layers
    assert all(one.bytes_done <= two.bytes_done for one, two in itertools.pairwise(seen))
