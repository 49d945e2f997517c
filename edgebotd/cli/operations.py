"""`operations`: work on bots' containers, its live log until it ends, and its cancelling or trying again."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from edgebotd.cli.output import age, clean, json_option, note, print_items, print_json
from edgebotd.cli.target import Target

if TYPE_CHECKING:
    from edgebotd.cli.client import Client

HEADS = ("OPERATION", "BOT", "KIND", "STATE", "STEP", "BEGAN", "NOTE")
TYPES = ("provision-log", "provision-done")


@click.command()
@click.argument("operation", required=False)
@click.option("--bot", help="List those of one bot.")
@click.option("--follow", "-f", is_flag=True, help="Stay until it has ended; the exit code says how.")
@click.option("--cancel", is_flag=True, help="End it before its time; what it has made is taken away.")
@click.option("--retry", is_flag=True, help="Begin it anew, with the same request.")
@json_option
@click.pass_obj
def operations(
    target: Target, operation: str | None, bot: str | None, follow: bool, cancel: bool, retry: bool, as_json: bool
) -> None:
    """List work on bots' containers; with an OPERATION's id, show its log. --json prints one document a line."""
    from edgebotd.cli.client import path

    if operation is None and (follow or cancel or retry):
        raise click.UsageError("Say which OPERATION; `edgebotd operations` lists them.")
    if cancel and retry:
        raise click.UsageError("--cancel and --retry exclude each other.")
    with target.client() as client:
        if operation is None:
            items = client.get("/api/operations", botId=bot)["items"]
            empty = "No work on containers yet. `edgebotd bots create` begins some."
            print_items(items, as_json, HEADS, _row, empty=empty)
        elif follow or cancel or retry:
            action = "cancel" if cancel else "retry"
            place = path(f"/api/operations/{{}}/{action}", operation)
            watch(client, (lambda: client.post(place, {})) if cancel or retry else None, operation, as_json=as_json)
        else:
            found = client.get(path("/api/operations/{}", operation))
            if as_json:
                print_json(found)
                return
            for line in found["lines"]:
                print_line(line)
            _print_end(found)


def _row(item: dict[str, Any]) -> tuple[object, ...]:
    began = age(item["startedAt"])
    return item["id"], item["botId"], item["kind"], item["state"], item["step"], began, item["reason"]


def watch(
    client: Client,
    begin: Callable[[], dict[str, Any]] | None,
    operation_id: str | None = None,
    *,
    as_json: bool = False,
) -> None:
    """Begin an operation and print its log as it comes, until it ends; exit with 1 where it did not succeed.

    The channel is opened first, so that no line is missed; what came before it is read from the operation itself.
    """
    from edgebotd.cli.client import path
    from edgebotd.cli.tail import Tail

    printed: set[tuple[Any, ...]] = set()
    tail = Tail(client, on_break=note, types=TYPES)
    begun = False
    try:
        for kind, event in tail.events():
            if kind == "hello":
                if begin is not None and not begun:
                    operation_id = begin()["id"]
                begun = True
                found = client.get(path("/api/operations/{}", operation_id or ""))
                for line in found["lines"]:
                    _print_new(line, printed, as_json)
                if found["endedAt"] is not None:
                    break
            elif kind == "message" and event.get("provisionId") == operation_id:
                if event["type"] == "provision-done":
                    break
                _print_new(event, printed, as_json)
    except KeyboardInterrupt:
        note(f"The work goes on. See it: edgebotd operations {operation_id} --follow")
        sys.exit(1)
    found = client.get(path("/api/operations/{}", operation_id or ""))
    for line in found["lines"]:
        _print_new(line, printed, as_json)
    if as_json:
        print_json(found)
    else:
        _print_end(found)
    if found["state"] != "succeeded":
        sys.exit(1)


def _print_new(line: dict[str, Any], printed: set[tuple[Any, ...]], as_json: bool) -> None:
    key = (line["at"], line["step"], line["text"])
    if key not in printed:
        printed.add(key)
        if not as_json:
            print_line(line)


def print_line(line: dict[str, Any]) -> None:
    """Print one line of an operation's log."""
    when = time.strftime("%H:%M:%S", time.localtime(line["at"] / 1000))
    click.echo(clean(f"{when}  {line['step']:<9}  {line['text']}"))


def _print_end(found: dict[str, Any]) -> None:
    words = {
        "succeeded": "is done",
        "failed": "failed",
        "cancelled": "was cancelled",
        "running": f"goes on, in the step {found['step']}",
        "undoing": "is being undone",
    }[found["state"]]
    reason = f": {found['reason']}" if found["state"] == "failed" and found["reason"] else "."
    click.echo(clean(f"{found['kind']} of {found['botId']} {words}{reason}"))
    if found["state"] in ("failed", "cancelled"):
        note(f"To try it again: edgebotd operations {found['id']} --retry")
