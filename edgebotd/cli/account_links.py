"""`accounts link`: a bot's gateway reads the key of a provider from the file that edgebotd writes."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from edgebotd.cli.output import clean, json_option, note, print_json
from edgebotd.cli.target import Target

if TYPE_CHECKING:
    from edgebotd.cli.client import ApiError, Client

SECONDS: Final = 240.0
"""The file is written, turns begin, and a gateway that is busy takes its time to read its configuration again."""


@click.command()
@click.argument("login", metavar="PROVIDER:NAME")
@click.argument("bot")
@click.option("--provider", help="What the gateway calls the provider, where that is not PROVIDER.")
@click.option("--path", "file", help="Where the gateway finds the file, where that is not where edgebotd writes it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what would be changed, and leave.")
@json_option
@click.pass_obj
def link(
    target: Target,
    login: str,
    bot: str,
    provider: str | None,
    file: str | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Have a bot use a login: its gateway reads the key from the file that edgebotd keeps up to date.

    Shows what that changes in the gateway's configuration and asks. The gateway is not restarted; what it cannot or may
    not change itself is said, to be written by hand.
    """
    from edgebotd.cli.client import ApiError, path

    place = path("/api/profiles/{}/link", login)
    wanted = {"bot": bot, "provider": provider, "file": file}
    with target.client() as client:
        try:
            plan = client.get(place, **wanted)
            if not as_json:
                _print_plan(plan)
            if not dry_run:
                if not yes:
                    if not sys.stdin.isatty():
                        raise click.UsageError("Nothing is changed yet; say --yes to change it, or --dry-run.")
                    click.confirm("Change it?", abort=True, err=True)
                plan = _link(client, place, {**wanted, "baseHash": plan["baseHash"]})
        except ApiError as exc:
            _print_by_hand(exc, bot)
            raise
    if as_json:
        print_json(plan)
    elif plan["done"] is not None:
        done = "reads its key from the file" if plan["done"] else "was linked so already; nothing was changed"
        click.echo(f"{bot} uses {plan['profileId']}: its gateway {done}.")
    if plan["complaint"] is not None:
        raise click.ClickException(clean(plan["complaint"]))


def _link(client: Client, place: str, body: dict[str, Any]) -> dict[str, Any]:
    given = {key: value for key, value in body.items() if value is not None}
    done: dict[str, Any] = client.post(place, given, seconds=SECONDS)
    return done


def _print_plan(plan: dict[str, Any]) -> None:
    click.echo(clean(f"{plan['botId']} (OpenClaw {plan['version']}) would have this in {plan['config']}:"))
    click.echo(_indented(plan["patch"]))
    if not plan["uses"]:
        click.echo(clean(f"It would be among the bots that use {plan['profileId']}, and be given it."))
    for text in plan["notes"]:
        click.echo(clean(text))


def _print_by_hand(refusal: ApiError, bot: str) -> None:
    """Say what to write where, for a refusal that has it with it."""
    if (patch := refusal.members.get("write")) is None:
        return
    note(f"By hand it is this, merged into {refusal.members['into']} of the gateway of {bot}:")
    note(_indented(patch))
    note(f"It is given the file as one of the bots of `edgebotd accounts bots {_login_of(patch)}`.")


def _login_of(patch: dict[str, Any]) -> str:
    (entry,) = patch["models"]["providers"].values()
    return str(entry["apiKey"]["id"]).removeprefix("/")


def _indented(patch: dict[str, Any]) -> str:
    return "\n".join(f"  {clean(line)}" for line in json.dumps(patch, indent=2).splitlines())
