"""`bots adopt`: take over a gateway that runs already, without changing anything about it."""

from __future__ import annotations

import sys
from typing import Any

import click

from edgebotd.cli.output import clean, json_option, note, print_json
from edgebotd.cli.target import Target


@click.command()
@click.argument("name", required=False)
@click.option("--host", is_flag=True, help="The gateway that runs on this machine itself, in no container.")
@click.option("--id", "bot_id", help="The bot's id for ever; by default made of the container's name.")
@click.option("--as", "shown_name", metavar="NAME", help="The name that people see.")
@click.option("--read-token", is_flag=True, help="Let edgebotd read the token from the gateway's own configuration.")
@click.option("--token-file", type=click.File("r"), help="File that holds the token; - for standard input.")
@click.option("--ask-token", is_flag=True, help="Ask for the token; it is not shown.")
@json_option
@click.pass_obj
def adopt(
    target: Target,
    name: str | None,
    host: bool,
    bot_id: str | None,
    shown_name: str | None,
    read_token: bool,
    token_file: Any,
    ask_token: bool,
    as_json: bool,
) -> None:
    """List gateways that could be adopted; with the NAME of a container, or --host, adopt one.

    edgebotd connects to it and pairs. How it runs stays as it is; nothing is restarted.
    """
    from edgebotd.cli.bots import ask_for_token
    from edgebotd.cli.operations import watch

    if name is not None and host:
        raise click.UsageError("A container's NAME and --host exclude each other.")
    chosen = name is not None or host
    token = ask_for_token(token_file, ask_token)
    if chosen and (token is None) is not read_token:
        raise click.UsageError("Say where the token comes from: --read-token, --token-file or --ask-token.")
    with target.client() as client:
        found = client.get("/api/adoptable")
        if not chosen:
            _print_found(found, as_json)
            return
        one = _one_of(found["items"], name)
        body = {"id": bot_id or one.get("suggestedId") or name, "container": name, "name": shown_name, "token": token}
        body = {key: value for key, value in body.items() if value is not None}
        if read_token:
            body["readToken"] = True
        watch(client, lambda: dict(client.post("/api/bots/adopt", body)), as_json=as_json)


def _one_of(items: list[dict[str, Any]], name: str | None) -> dict[str, Any]:
    """Return what is known of the one that is meant; a container that looks like nothing may be named all the same."""
    return next((item for item in items if item.get("container") == name), {})


def _print_found(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        for item in found["items"]:
            print_json(item)
        return
    if found.get("detail"):
        note(f"Containers could not be looked at: {found['detail']}")
    if not found["items"]:
        click.echo("Nothing here looks like an OpenClaw gateway. `edgebotd bots connect` takes an address.")
    for item in found["items"]:
        for line in _lines(item):
            click.echo(clean(line))


def _lines(item: dict[str, Any]) -> list[str]:
    """Return what is told of one: what it is, why, what is in the way, how it stands against the profile."""
    lines = [item.get("container") or "this machine itself (--host)"]
    if item.get("botId"):
        lines.append(f"is the bot {item['botId']} already")
    lines.append(f"looks like a gateway: {', '.join(item['why'])}")
    if item.get("url"):
        lines.append(f"{item['url']}: {'answers' if item['reachable'] else 'does not answer'}")
    if item.get("obstacle"):
        lines.append(f"first: {item['obstacle']}")
    lines += [*item["notes"], *(f"stays as it is: {text}" for text in item["violations"])]
    return [lines[0], *(f"  {line}" for line in lines[1:])]


@click.command("take-over")
@click.argument("bot")
@click.option("--yes", is_flag=True, help="Accept what it would lose; do not ask.")
@json_option
@click.pass_obj
def take_over(target: Target, bot: str, yes: bool, as_json: bool) -> None:
    """Let edgebotd make an adopted container anew when it is asked to. Until then the container stays as it is."""
    from edgebotd.cli.client import path

    place = path("/api/bots/{}/container/take-over", bot)
    with target.client() as client:
        plan = client.get(place)
        if not plan["taken"] and not plan["obstacles"]:
            if not as_json:
                _print_plan(plan)
            if plan["loses"] and not yes:
                if not sys.stdin.isatty():
                    raise click.UsageError("It would lose something when it is made anew; say --yes.")
                click.confirm("Take it over?", abort=True, err=True)
            plan = client.post(place, {"accepted": plan["loses"]})
    if as_json:
        print_json(plan)
    elif plan["taken"]:
        click.echo(f"{bot} is taken over; `edgebotd bots recreate {bot}` makes its container anew.")
    else:
        _print_plan(plan)
    if not plan["taken"]:
        sys.exit(1)


def _print_plan(plan: dict[str, Any]) -> None:
    for heading, name in (("Made anew, it keeps", "keeps"), ("and is otherwise", "loses"), ("First", "obstacles")):
        if plan[name]:
            click.echo(f"{heading}:")
            for text in plan[name]:
                click.echo(clean(f"  {text}"))
