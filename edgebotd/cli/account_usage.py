"""`accounts usage`: how much of each account is used, as bars."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import click

from edgebotd.cli.output import age, clean, clock, json_option, note, one_line, print_json, styled, until, width
from edgebotd.cli.target import Target

BAR: Final = 24
_MARKS: Final = ((95.0, "red"), (80.0, "yellow"), (0.0, "green"))


@click.command()
@click.argument("login", metavar="[PROVIDER:NAME]", required=False)
@click.option("--now", "now", is_flag=True, help="Ask the provider first; it is never asked sooner than it bears.")
@json_option
@click.pass_obj
def usage(target: Target, login: str | None, now: bool, as_json: bool) -> None:
    """Show how much of each account is used, when it starts anew, and whether it lasts until then.

    The figures are those that were learned last, unless --now asks for those of one login. --json prints one login a
    line.
    """
    from edgebotd.cli.client import path

    if now and login is None:
        raise click.UsageError("Say of which login: edgebotd accounts usage --now PROVIDER:NAME.")
    with target.client() as client:
        if login is None:
            items = client.get("/api/usage")["items"]
        else:
            place = path("/api/profiles/{}/usage", login)
            items = [client.post(place, {}) if now else client.get(place)]
    if as_json:
        for item in items:
            print_json(item)
        return
    if not items:
        note("Nothing is known of any account. [providers.<id>.usage] in the settings says where to ask.")
    space = max((width(one["label"]) for item in items for one in item["windows"]), default=0)
    for at, item in enumerate(items):
        if at:
            click.echo()
        for line in _lines(item, space):
            click.echo(line)


def _lines(item: dict[str, Any], space: int) -> Iterator[str]:
    known = f"as of {age(item['fetchedAt'])} ago" if item["fetchedAt"] is not None else "nothing is known yet"
    about = ", ".join(one_line(part, 60) for part in (item["plan"], known) if part)
    yield f"{styled(clean(item['profileId']), bold=True)}  {styled(about, dim=True)}"
    for window in item["windows"]:
        label = one_line(window["label"])
        yield f"  {label}{' ' * (space - width(label))}  {_bar(window['usedPercent'])}  {_when(window)}".rstrip()
    for billing in item["billing"]:
        yield f"  {_billing(billing)}"
    if (error := item["error"]) is not None:
        again = "" if error["retryAt"] is None else f" Asked again {_soon(error['retryAt'])}."
        yield styled(f"  {one_line(error['detail'], 300)}{again}", fg="yellow")


def _bar(percent: float) -> str:
    filled = min(BAR, round(percent / 100 * BAR))
    # Neither full nor empty before it is.
    filled = max(1, filled) if percent > 0 else filled
    filled = min(BAR - 1, filled) if percent < 100 else filled
    color = next(color for least, color in _MARKS if percent >= least)
    return f"{styled('█' * filled, fg=color)}{styled('░' * (BAR - filled), dim=True)} {int(percent):>5} %"


def _when(window: dict[str, Any]) -> str:
    resets, ends = window["resetsAt"], window["runsOutAt"]
    words = [] if ends is None else [f"runs out at {_time(ends)} at this pace"]
    if resets is not None:
        past = resets <= time.time() * 1000
        words.append(f"has started anew at {_time(resets)}" if past else f"resets {_time(resets)} ({until(resets)})")
    return ", ".join(words)


def _time(at: int) -> str:
    """Write a time of today without its date."""
    text = clock(at)
    return text[11:] if text[:10] == clock(round(time.time() * 1000))[:10] else text


def _soon(at: int) -> str:
    return until(at) if at > time.time() * 1000 else "soon"


def _billing(billing: dict[str, Any]) -> str:
    unit = one_line(billing["unit"], 20)
    period = f" this {one_line(billing['period'], 20)}" if billing["period"] else ""
    match billing["type"]:
        case "balance":
            return f"balance {billing['amount']:,.2f} {unit}"
        case "budget":
            return f"{billing['used']:,.2f} of {billing['limit']:,.2f} {unit} used{period}"
        case _:
            return f"{billing['used']:,.2f} {unit} used{period}"
