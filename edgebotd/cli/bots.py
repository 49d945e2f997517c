"""`bots`: which there are, and connecting new ones."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from edgebotd.cli import containers
from edgebotd.cli.adopt import adopt, take_over
from edgebotd.cli.output import age, clean, json_option, note, print_fields, print_items, print_json, size
from edgebotd.cli.provision import create, recreate, upgrade
from edgebotd.cli.status import BOT_HEADS, NO_BOTS, bot_row
from edgebotd.cli.target import Target


@click.group()
def bots() -> None:
    """List, show, create, adopt, connect, edit and remove bots; start and stop their containers."""


for _command in (containers.start, containers.stop, containers.restart, containers.logs, containers.crashes):
    bots.add_command(_command)
bots.add_command(adopt)
bots.add_command(take_over)


@bots.command("list")
@json_option
@click.pass_obj
def list_bots(target: Target, as_json: bool) -> None:
    """List bots with their state. --json prints one bot a line."""
    with target.client() as client:
        items = client.get("/api/bots")["items"]
    print_items(items, as_json, BOT_HEADS, bot_row, empty=NO_BOTS)


@bots.command()
@click.argument("bot")
@json_option
@click.pass_obj
def show(target: Target, bot: str, as_json: bool) -> None:
    """Show everything about one bot. --json prints one document."""
    from edgebotd.cli.client import path

    with target.client() as client:
        answer = client.get(path("/api/bots/{}", bot))
    if as_json:
        print_json(answer)
    else:
        _print_bot(answer)


_FIRST = ("botId", "name", "kind", "state", "sinceAt", "reason", "detail", "extra", "activity", "activityDetail", "url")
"""What is asked for first; the rest follows as the daemon tells it."""
_ORIGINS = {"file": "the configuration file", "store": "connected at run time"}


def _print_bot(bot: dict[str, Any]) -> None:
    fields = {**bot.get("summary", {}), **bot}
    fields.pop("summary", None)
    shown: dict[str, object] = {}
    for name in sorted(fields, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST)):
        value = fields[name]
        if name == "extra":
            # What mends it, such as the command that approves a pairing.
            shown.update({_words(key): inner for key, inner in value.items()})
        elif name == "origin":
            shown["from"] = _ORIGINS.get(value, value)
        elif name.endswith("At") and isinstance(value, int):
            shown[_words(name)] = f"{age(value)} ago"
        else:
            shown[_words(name)] = _listed(name, value)
    print_fields(shown)


def _listed(name: str, value: object) -> object:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(
            f"{_words(key.removesuffix('Bytes'))} {_listed(key, inner)}"
            for key, inner in value.items()
            if inner is not None
        )
    return size(value) if name.endswith("Bytes") and isinstance(value, int) else value


def _words(name: str) -> str:
    return "".join(f" {char.lower()}" if char.isupper() else char for char in name.removesuffix("At"))


def _shared_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the settings that `connect` and `edit` share."""
    for option in (
        click.pass_obj,
        json_option,
        click.option("--system-prompt", help="openai: said before each conversation."),
        click.option("--model", help="openai: the model to ask for."),
        click.option("--agent", help="openclaw: which agent of the gateway."),
        click.option("--ask-token", is_flag=True, help="Ask for the token; it is not shown."),
        click.option("--token-file", type=click.File("r"), help="File that holds the token; - for standard input."),
        click.option("--name", help="The name that people see."),
        click.option("--url", help="ws(s):// of the gateway, http(s):// of the API."),
    ):
        command = option(command)
    return command


@bots.command()
@click.argument("bot")
@click.option("--kind", type=click.Choice(["openclaw", "openai", "echo"]), default="openclaw", show_default=True)
@_shared_options
def connect(target: Target, bot: str, kind: str, as_json: bool, **given: Any) -> None:
    """Connect a bot while the daemon runs, and say whether it answers.

    BOT is its id for ever: 1 to 32 of a-z, 0-9 and -. The token never stands on the command line, where other users of
    the machine could read it.
    """
    body = {"id": bot, "kind": kind, **_settings(**given)}
    with target.client() as client:
        answer = client.post("/api/bots/connect", body)
    _print_verdict(bot, answer, as_json)


@bots.command()
@click.argument("bot")
@_shared_options
def edit(target: Target, bot: str, as_json: bool, **given: Any) -> None:
    """Change a bot that was connected at run time, such as a wrong token, and try it again.

    What is left out stays as it is.
    """
    from edgebotd.cli.client import path

    body = _settings(**given)
    if not body:
        raise click.UsageError("Say what to change, such as --token-file or --url.")
    with target.client() as client:
        answer = client.patch(path("/api/bots/{}", bot), body)
    _print_verdict(bot, answer, as_json)


def ask_for_token(token_file: Any, ask: bool) -> str | None:
    if token_file is not None and ask:
        raise click.UsageError("--token-file and --ask-token exclude each other.")
    token: str | None = token_file.read().strip() if token_file is not None else None
    if ask:
        token = click.prompt("Token", hide_input=True, err=True)
    if token is not None and not token:
        raise click.ClickException("The token is blank.")
    return token


def _settings(
    *,
    url: str | None,
    name: str | None,
    token_file: Any,
    ask_token: bool,
    agent: str | None,
    model: str | None,
    system_prompt: str | None,
) -> dict[str, str]:
    """Return what was given by `_shared_options`, as the API names it."""
    token = ask_for_token(token_file, ask_token)
    found = {"url": url, "name": name, "token": token, "agentId": agent, "model": model, "systemPrompt": system_prompt}
    return {key: value for key, value in found.items() if value is not None}


def _print_verdict(bot: str, answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    click.echo(clean(f"{bot}: {answer['message']}"))
    if not answer["ok"]:
        # What a script asked for is not there yet.
        for name, value in answer["bot"].get("extra", {}).items():
            click.echo(clean(f"  {_words(name)}: {value}"))
        note(
            f"{bot} is kept and tried again by itself; `edgebotd bots edit {bot}` corrects it, "
            "`bots remove` forgets it."
        )
        sys.exit(1)


@bots.command()
@click.argument("bot")
@click.pass_obj
def retry(target: Target, bot: str) -> None:
    """Try to connect now: what needed a person, such as a pairing, is done."""
    from edgebotd.cli.client import path

    with target.client() as client:
        client.post(path("/api/bots/{}/retry", bot), {})
    click.echo(f"{bot} is tried again; `edgebotd bots list` shows what comes of it.")


@bots.command()
@click.argument("bot")
@click.option("--delete-history", is_flag=True, help="Delete its conversations too; they are kept otherwise.")
@click.option("--delete-volumes", is_flag=True, help="Delete its own memory and files too, where edgebotd made it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def remove(target: Target, bot: str, delete_history: bool, delete_volumes: bool, yes: bool) -> None:
    """Disconnect a bot and forget it, with the container that was made for it. Its id is not given again."""
    from edgebotd.cli.client import ApiError, path
    from edgebotd.cli.operations import watch

    if (delete_history or delete_volumes) and not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("Deleting what cannot be had again asks first; say --yes.")
        doomed = ["every conversation with it"] * delete_history + ["its own memory and files"] * delete_volumes
        click.confirm(f"Delete {bot}, {' and '.join(doomed)}? This cannot be undone", abort=True, err=True)
    with target.client() as client:
        try:
            client.delete(path("/api/bots/{}", bot), **({"history": "true"} if delete_history else {}))
        except ApiError as exc:
            if exc.code != "bot_has_container":
                raise
            kept = {"keepHistory": not delete_history, "keepVolumes": not delete_volumes}
            place = path("/api/bots/{}/container/remove", bot)
            watch(client, lambda: dict(client.post(place, kept)))
            return
    click.echo(f"{bot} is removed{', with its history' if delete_history else '; its history is kept'}.")


bots.add_command(create)
bots.add_command(recreate)
bots.add_command(upgrade)
