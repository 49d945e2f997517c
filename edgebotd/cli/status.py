"""`status` and `connections`: how the daemon and its streams are."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import click

from edgebotd.cli.engine import engine_words
from edgebotd.cli.output import age, clean, json_option, print_fields, print_json, print_table, size, span
from edgebotd.cli.target import Target

BOT_HEADS = ("BOT", "KIND", "STATE", "SINCE", "DOING", "NOTE")
NO_BOTS = (
    "No bots yet. `edgebotd bots create` makes one with a container, `bots adopt` finds gateways that run here, and"
    " `bots connect` takes an address."
)


def bot_row(bot: Mapping[str, Any]) -> tuple[object, ...]:
    """Return one bot's row of a table."""
    bot = bot.get("summary", bot)
    doing = bot.get("activity")
    if bot.get("activityDetail"):
        doing = f"{doing}: {bot['activityDetail']}"
    note = bot.get("detail") or bot.get("reason")
    return bot["botId"], bot.get("kind"), bot["state"], age(bot.get("sinceAt")), doing, note


@click.command()
@json_option
@click.pass_obj
def status(target: Target, as_json: bool) -> None:
    """Show how the daemon and its bots are. --json prints one document."""
    with target.client() as client:
        answer = client.get("/api/status")
    if as_json:
        print_json(answer)
        return
    print_fields(
        {
            "version": answer.get("version"),
            "running": span((answer.get("nowAt", time.time() * 1000) - answer["startedAt"]) / 1000),
            "streams": answer.get("streams"),
            "engine": engine_words(answer["engine"]) if answer.get("engine") else None,
            "containers": ", ".join(f"{count} {state}" for state, count in (answer.get("containers") or {}).items()),
        }
    )
    for name, value in sorted((answer.get("health") or {}).items()):
        if name == "jobs":
            value = [f"{job['job']} {job['state']}" + _more(job.get("detail")) for job in value]
        click.echo(clean(f"{name}: {_short(value)}"))
    click.echo()
    print_table(BOT_HEADS, map(bot_row, answer["bots"]), empty=NO_BOTS)


def _more(detail: str | None) -> str:
    return f" ({detail})" if detail else ""


def _short(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(inner)}" for name, inner in value.items())
    return ", ".join(map(_short, value)) if isinstance(value, list) else str(value)


@click.command()
@json_option
@click.pass_obj
def connections(target: Target, as_json: bool) -> None:
    """Show who is connected to the live channel, and why earlier streams ended. --json prints one document."""
    with target.client() as client:
        answer = client.get("/api/connections")
    if as_json:
        print_json(answer)
        return
    print_table(
        ("USER", "ADDRESS", "AGE", "QUEUED", "VERDICT", "STATE", "BOTS"),
        (
            (
                row["userId"],
                row["address"],
                span(row["ageSeconds"]),
                size(row["queuedBytes"]),
                row["verdict"],
                row["state"],
                ", ".join(row["bots"]) if row.get("bots") is not None else "all",
            )
            for row in answer["items"]
        ),
        empty="Nobody is connected.",
    )
    for name, words in (("opened", "opened"), ("closed", "ended"), ("refused", "refused")):
        if counts := answer.get(name):
            listed = ", ".join(f"{count} {reason}" for reason, count in counts.items())
            click.echo(f"{words} since the start: {clean(listed)}")
