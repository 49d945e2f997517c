"""The scanner of positions against tomllib, on generated documents."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebotd.config.positions import Key, position_at, positions


def _paths(value: object, key: Key = ()) -> Iterator[Key]:
    """All paths of what tomllib has read."""
    if key:
        yield key
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _paths(inner, (*key, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _paths(inner, (*key, number))


def test_every_kind_of_thing_is_found_where_it_stands() -> None:
    text = (
        "# [not.a.table]\n"
        "top = 1 # a = 2\n"
        "[server]  \n"
        '  bind = [ "a", # ] "\n'
        "           'b' ]\n"
        'text = """\n[bots.no]\nx = 1 \\""" """\n'
        "a.'b c'.\"d\\u0065\" = { e = [1], f = {} }\n"
        "\n"
        "[[list]]\n"
        "x = 1979-05-27 07:32:00\n"
        "[[list]]\n"
        "[list.sub]\n"
        "y = '''it's'''''\n"
        "z=2"
    )
    found = positions(text)
    assert set(found) == set(_paths(tomllib.loads(text)))
    assert found[("top",)] == (2, 1)
    assert found[("server",)] == (3, 2)
    assert found[("server", "bind")] == (4, 3)
    assert found[("server", "bind", 1)] == (5, 12)
    assert found[("server", "text")] == (6, 1)
    assert found[("server", "a", "b c", "de")] == (9, 9)
    assert found[("server", "a", "b c", "de", "e", 0)] == (9, 28)
    assert found[("list", 1)] == (13, 3)
    assert found[("list", 1, "sub", "y")] == (15, 1)
    assert found[("list", 1, "sub", "z")] == (16, 1)


@pytest.mark.parametrize(
    "text", ["", "\n", "#", "a=1", "a=1\r\nb=2\r\n", "a = ''''''", 'a = """"""""\n', "[a]\n[a.b]\n[a.c]"]
)
def test_short_and_odd_documents(text: str) -> None:
    assert set(positions(text)) == set(_paths(tomllib.loads(text)))


# Documents are made as text, so that their spelling varies more than any writer's would.
_name = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{1,6}", fullmatch=True),
    st.text(max_size=5).map(lambda text: json.dumps(text).replace("\x7f", "\\u007f")).filter(lambda t: "\\ud" not in t),
    st.text('ab .#[]="{}\\', max_size=5).map(lambda text: f"'{text}'"),
)
_blank = st.sampled_from(["", " ", "\t "])
_gap = st.sampled_from(["", " ", "\n", " # ] } \" '\n", "\r\n\t"])
_scalar = st.one_of(
    st.integers().map(str),
    st.sampled_from(["true", "1.5e3", "inf", "0xff", "1979-05-27 07:32:00Z", "07:32:00"]),
    st.text("ab #[]={},'\\\"\n", max_size=8).map(json.dumps),
    st.text('ab #[]={},"\n\\', max_size=8).filter(lambda t: '"""' not in t).map(lambda text: f"'''{text}'''"),
    st.text("ab #[]={},'\n", max_size=8).map(lambda text: f'"""{text}\\""""'),
)


def _array(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    items = st.lists(st.tuples(_gap, inner, _gap).map("".join), max_size=3)
    return st.tuples(items, st.sampled_from(["", ","]), _gap).map(
        lambda parts: "[" + ",".join(parts[0]) + (parts[1] if parts[0] else "") + parts[2] + "]"
    )


def _inline(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(_blank, _name, _blank, st.just("="), _blank, inner, _blank).map("".join)
    return st.lists(pair, max_size=3).map(lambda pairs: "{" + ",".join(pairs) + "}")


_value = st.recursive(_scalar, lambda inner: st.one_of(_array(inner), _inline(inner)), max_leaves=6)
_dotted = st.lists(_name, min_size=1, max_size=3).map(" . ".join)
_line = st.one_of(
    st.tuples(_blank, _dotted, _blank, st.just("="), _blank, _value, st.sampled_from(["", " # x = [", "\r"])).map(
        "".join
    ),
    st.tuples(_blank, _dotted, _blank).map(lambda parts: f"{parts[0]}[{parts[1]}{parts[2]}]"),
    st.tuples(_blank, _dotted).map(lambda parts: f"{parts[0]}[[{parts[1]}]] # y"),
    st.sampled_from(["", "# z = 1"]),
)


@given(st.lists(_line, max_size=8))
def test_the_scanner_finds_what_tomllib_reads(lines: list[str]) -> None:
    document: list[str] = []
    for line in lines:  # keep what makes a valid document, so that few examples are wasted
        try:
            tomllib.loads("\n".join([*document, line]))
        except tomllib.TOMLDecodeError:
            continue
        document.append(line)
    text = "\n".join(document)
    found = positions(text)
    assert set(found) == set(_paths(tomllib.loads(text)))
    rows = text.split("\n")
    for key, (row, column) in found.items():
        rest = rows[row - 1][column - 1 :]
        assert rest, (key, row, column)
        if isinstance(key[-1], str):
            assert rest[0] in "\"'" or rest.startswith(key[-1])


@given(st.text("ab\n", max_size=20), st.integers(0, 20))
def test_positions_count_lines_and_characters_from_one(text: str, index: int) -> None:
    before = text[: min(index, len(text))].split("\n")
    assert position_at(text, min(index, len(text))) == (len(before), len(before[-1]) + 1)
