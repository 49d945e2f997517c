"""`bots create`, `bots recreate` and `bots upgrade`: bots whose containers edgebotd makes."""

from __future__ import annotations

import json
from typing import Any

import click

from edgebotd.cli.output import json_option, print_json
from edgebotd.cli.target import Target

wait_option = click.option("--no-wait", is_flag=True, help="Print the operation's id and leave; the work goes on.")


@click.command()
@click.argument("bot")
@click.option("--image", help="registry/name:tag or name@sha256:digest; by default docker.image of the settings.")
@click.option("--name", help="The name that people see.")
@click.option("--model", help="What its agents use by default, as provider/model.")
@click.option("--env", multiple=True, metavar="NAME=VALUE", help="A value for its environment. Not for secrets.")
@click.option(
    "--secret-env",
    multiple=True,
    metavar="NAME=SECRET",
    help="The same by a name out of docker.secrets, or by a login: KEY=profile:anthropic:work.",
)
@click.option(
    "--login",
    "logins",
    multiple=True,
    metavar="PROVIDER:NAME",
    help="A login of `edgebotd accounts` that its gateway uses, kept up to date while it runs; may be repeated.",
)
@click.option("--config", type=click.File("r"), help="JSON that goes into its openclaw.json; - for standard input.")
@click.option("--memory", type=int, metavar="MIB", help="Memory in MiB.")
@click.option("--cpus", type=float, help="Processors.")
@click.option("--host-network", is_flag=True, help="Where docker.host_network allows it.")
@wait_option
@json_option
@click.pass_obj
def create(
    target: Target,
    bot: str,
    image: str | None,
    name: str | None,
    model: str | None,
    env: tuple[str, ...],
    secret_env: tuple[str, ...],
    logins: tuple[str, ...],
    config: Any,
    memory: int | None,
    cpus: float | None,
    host_network: bool,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Make a bot with a container of its own, and show how it goes until it answers.

    BOT is its id for ever: 1 to 32 of a-z, 0-9 and -. The gateway's token is made, and its device paired, by edgebotd.
    """
    limits = {"memoryBytes": None if memory is None else memory * 1024 * 1024, "cpus": cpus}
    body = {
        "id": bot,
        "image": image,
        "name": name,
        "model": model,
        "environment": _pairs("--env", env),
        "secretEnvironment": _pairs("--secret-env", secret_env),
        "logins": list(logins),
        "config": _object(config),
        "limits": {key: value for key, value in limits.items() if value is not None},
        "network": "host" if host_network else None,
    }
    _run(target, "/api/bots", {key: value for key, value in body.items() if value}, no_wait, as_json)


@click.command()
@click.argument("bot")
@wait_option
@json_option
@click.pass_obj
def recreate(target: Target, bot: str, no_wait: bool, as_json: bool) -> None:
    """Make a bot's container anew from what it was made from, with the same volumes.

    The old one comes back where the new one does not come up.
    """
    from edgebotd.cli.client import path

    _run(target, path("/api/bots/{}/container/recreate", bot), {}, no_wait, as_json)


@click.command()
@click.argument("bot")
@click.option("--image", help="registry/name:tag or name@sha256:digest; by default docker.image, or its own anew.")
@click.option("--back", is_flag=True, help="To what the last upgrade replaced, its memory and files as they were then.")
@click.option("--no-probe-turn", is_flag=True, help="Keep it without asking it for an answer.")
@click.option("--drain", type=click.Choice(["wait", "abort"]), default="wait", show_default=True, help="What runs.")
@wait_option
@json_option
@click.pass_obj
def upgrade(
    target: Target,
    bot: str,
    image: str | None,
    back: bool,
    no_probe_turn: bool,
    drain: str,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Bring a bot's container to another image, and show how it goes.

    The new version works on a copy of the bot's memory and files. Where it does not come up, or does not answer, the
    old one comes back by itself, with everything as it was.
    """
    from edgebotd.cli.client import path

    if image is not None and back:
        raise click.UsageError("--image and --back exclude each other.")
    body = {
        "image": image,
        "back": back or None,
        "probeTurn": False if no_probe_turn else None,
        "drain": None if drain == "wait" else drain,
    }
    given = {key: value for key, value in body.items() if value is not None}
    _run(target, path("/api/bots/{}/container/upgrade", bot), given, no_wait, as_json)


def _run(target: Target, place: str, body: dict[str, Any], no_wait: bool, as_json: bool) -> None:
    from edgebotd.cli.operations import watch

    with target.client() as client:
        if not no_wait:
            watch(client, lambda: dict(client.post(place, body)), as_json=as_json)
            return
        operation = client.post(place, body)
        if as_json:
            print_json(operation)
        else:
            click.echo(operation["id"])


def _pairs(option: str, given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter("must be NAME=VALUE.", param_hint=option)
        found[name] = value
    return found


def _object(file: Any) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        value = json.load(file)
    except ValueError as exc:
        raise click.BadParameter(f"is no JSON: {exc}", param_hint="--config") from None
    if not isinstance(value, dict):
        raise click.BadParameter("must hold a JSON object.", param_hint="--config")
    return value
