"""What commands print: aligned tables, ages, and text that cannot play with the terminal."""

from __future__ import annotations

import json
import math
import re
import time
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import click

# C0 and C1 controls but tab and line feed, and what reorders text: a bot's words must not move the cursor, set the
# title or type into the terminal.
_UNSAFE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def clean(text: str) -> str:
    """Return text that a terminal only shows."""
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def one_line(text: str, limit: int = 100) -> str:
    """Return the text's beginning as one line."""
    line = " ".join(text.split())
    return clean(line if len(line) <= limit else line[: limit - 1] + "…")


def print_json(value: object) -> None:
    """Print one value as one line of JSON."""
    click.echo(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def note(text: str) -> None:
    """Say something about what is going on, apart from the output."""
    click.echo(clean(text), err=True)


def span(seconds: float) -> str:
    """Write a duration with its largest unit: `3 d`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def size(count: int) -> str:
    """Write a number of bytes with its largest unit: `1.5 MiB`."""
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f}".removesuffix(".0") + f" {unit}"


def age(at: int | None) -> str:
    """Write how long ago a Unix time in milliseconds was; `-` for never."""
    return "-" if at is None else span(time.time() - at / 1000)


def until(at: int | None) -> str:
    """Write how long it is to a Unix time in milliseconds; `never` for None."""
    if at is None:
        return "never"
    left = at / 1000 - time.time()
    # Rounded up: what was made just now for 15 minutes expires in 15, not in 14.
    return f"in {span(math.ceil(left / 60) * 60)}" if left > 0 else "expired"


def clock(at: int) -> str:
    """Write a Unix time in milliseconds as local time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at / 1000))


def width(text: str) -> int:
    """Return how many columns a text takes."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def print_items(
    items: Sequence[Mapping[str, Any]],
    as_json: bool,
    heads: Sequence[str],
    row: Callable[[dict[str, Any]], Sequence[object]],
    *,
    empty: str,
) -> None:
    """Print a list that the daemon gave: each item as a line of JSON, or as a row of a table."""
    if as_json:
        for item in items:
            print_json(item)
    else:
        print_table(heads, (row(dict(item)) for item in items), empty=empty)


def print_table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print rows under their heads, in columns; the sentence `empty` where there is none."""
    cells = [["-" if cell in (None, "") else one_line(str(cell)) for cell in row] for row in rows]
    if not cells:
        note(empty)
        return
    widths = [max(width(row[column]) for row in [list(heads), *cells]) for column in range(len(heads))]
    click.echo(_row(heads, widths, dim=True))
    for row in cells:
        click.echo(_row(row, widths))


def _row(cells: Sequence[str], widths: Sequence[int], *, dim: bool = False) -> str:
    padded = "  ".join(cell + " " * (space - width(cell)) for cell, space in zip(cells, widths, strict=True)).rstrip()
    return styled(padded, dim=True) if dim else padded


def styled(text: str, **style: Any) -> str:
    """Return the text with style, where the output is a terminal that wants it (https://no-color.org)."""
    import os
    import sys

    return click.style(text, **style) if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text


def print_fields(fields: Mapping[str, object]) -> None:
    """Print names and values in two columns, what is None left out."""
    shown = {name: value for name, value in fields.items() if value not in (None, "")}
    space = max((width(name) for name in shown), default=0)
    for name, value in shown.items():
        click.echo(f"{name}{' ' * (space - width(name))}  {clean(str(value))}")
