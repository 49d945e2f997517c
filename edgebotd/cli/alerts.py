"""`alerts`: what needs somebody, where that is sent, and a test of it."""

from __future__ import annotations

from typing import Any

import click

from edgebotd.cli.output import age, json_option, note, print_json, print_table, until
from edgebotd.cli.target import Target


@click.group()
def alerts() -> None:
    """Show what needs somebody, and where that is sent."""


@alerts.command("list")
@json_option
@click.pass_obj
def list_alerts(target: Target, as_json: bool) -> None:
    """List the alerts that are open. --json prints one document a line."""
    with target.client() as client:
        items = client.get("/api/alerts")["items"]
    if as_json:
        for item in items:
            print_json(item)
        return
    rows = [(item["severity"], age(item["at"]), item.get("botId"), item["title"], item.get("detail")) for item in items]
    print_table(("SEVERITY", "SINCE", "BOT", "WHAT", "NOTE"), rows, empty="Nothing needs anybody.")


@alerts.command()
@json_option
@click.pass_obj
def channels(target: Target, as_json: bool) -> None:
    """List where alerts are sent, and whether they arrive. --json prints one document a line."""
    with target.client() as client:
        items = client.get("/api/alerts/channels")["items"]
    if as_json:
        for item in items:
            print_json(item)
        return
    rows = [
        (item["id"], item["kind"], item["where"], item["minSeverity"], _state(item), _last(item), item["error"])
        for item in items
    ]
    heads = ("CHANNEL", "KIND", "WHERE", "FROM", "STATE", "LAST", "NOTE")
    print_table(heads, rows, empty="Alerts are sent nowhere. [alerts.channels.<id>] in the configuration changes that.")


@alerts.command()
@click.argument("channel")
@click.pass_obj
def test(target: Target, channel: str) -> None:
    """Send a test message by a CHANNEL, and wait until it has arrived."""
    from edgebotd.cli.client import path

    with target.client() as client:
        client.post(path("/api/alerts/channels/{}/test", channel), {})
    note(f"The test has arrived at {channel}.")


def _state(item: dict[str, Any]) -> str:
    if item["quietUntil"] is not None:
        return f"quiet, ends {until(item['quietUntil'])}, {item['held']} held"
    return f"{item['waiting']} waiting" if item["waiting"] else "idle"


def _last(item: dict[str, Any]) -> str:
    last = item["last"]
    return "" if last is None else f"{last['state']} {age(last['at'])} ago"
