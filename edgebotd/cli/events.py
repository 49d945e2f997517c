"""`events`: the live channel, as it comes."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from edgebotd.cli.output import json_option, note, one_line, print_json, styled
from edgebotd.cli.target import Target

if TYPE_CHECKING:
    from edgebotd.cli.client import Client


@click.command()
@click.option("--as", "as_user", metavar="USER", help="What this user would see; for administrators.")
@click.option("--bot", "bots", multiple=True, help="Of this bot only; may be repeated.")
@click.option("--type", "types", multiple=True, help="Of this type only; may be repeated.")
@json_option
@click.pass_obj
def events(target: Target, as_user: str | None, bots: tuple[str, ...], types: tuple[str, ...], as_json: bool) -> None:
    """Watch the live channel until Ctrl-C.

    Resumes by itself where it was when the stream breaks; a gap is told on standard error. --json prints one event a
    line, exactly as it travels.
    """
    from edgebotd.cli.tail import Tail

    with target.client() as client:
        _warn_of_unknown(client, bots, types)
        tail = Tail(client, on_break=note, bots=bots, types=types, as_user=as_user)
        try:
            for kind, data in tail.events():
                if kind == "message":
                    if as_json:
                        print_json(data)
                    else:
                        click.echo(line(data))
                elif kind == "hello" and data.get("verdict") == "fresh":
                    user = data.get("user") or "local"
                    who = "local administrator" if user == "local" else user
                    note(f"Connected as {who}. Ctrl-C ends.")
                elif kind == "busy":
                    note("The daemon has too many streams; waiting.")
        except KeyboardInterrupt:
            pass  # how a person ends this


def _warn_of_unknown(client: Client, bots: tuple[str, ...], types: tuple[str, ...]) -> None:
    """Say that nothing will come of a mistyped filter; no error, for the daemon may be newer than this command."""
    if types:
        import difflib

        from edgebotd.events import CATALOGUE

        for name in types:
            if name not in CATALOGUE:
                near = difflib.get_close_matches(name, CATALOGUE, 1)
                known = f"did you mean {near[0]}?" if near else f"there are: {', '.join(CATALOGUE)}."
                note(f"No events of type {name} are known here; {known}")
    if bots:
        there = {bot["botId"] for bot in client.get("/api/bots")["items"]}
        for bot in bots:
            if bot not in there:
                note(f"There is no bot {bot} now; events come once there is.")


def line(event: dict[str, Any]) -> str:
    """Return one event as one line for people: time, bot, type, and what is most telling of the rest."""
    at = event.get("at") or event.get("sinceAt")
    when = time.strftime("%H:%M:%S", time.localtime(at / 1000 if isinstance(at, int) else None))
    head = f"{when}  {event.get('botId', '*'):<12}  {event.get('type', '?'):<20}"
    return f"{styled(head, dim=True)}  {one_line(_telling(event), 160)}"


def _bot_words(bot: dict[str, Any]) -> str:
    activity = bot.get("activity", "idle")
    return f"{bot['botId']} {bot['state']}" + (f" ({activity})" if activity != "idle" else "")


def _telling(event: dict[str, Any]) -> str:
    match event.get("type"):
        case "chat-delta":
            return repr(event.get("text"))
        case "chat-message":
            from edgebotd.cli.messages import text_of

            message = event.get("message", {})
            state = message.get("state", "final")
            return f"{message.get('role')}{'' if state == 'final' else f' ({state})'}: {text_of(message)}"
        case "chat-status" | "bot:status":
            return " ".join(str(event[key]) for key in ("state", "reason", "detail") if event.get(key))
        case "bot-activity":
            return " ".join(str(event[key]) for key in ("activity", "detail") if event.get(key))
        case "bots-status-update":
            return ", ".join(map(_bot_words, event.get("bots", ()))) or "no bots"
        case "conversation-update":
            title = (event.get("conversation") or {}).get("title")
            read = f"up to {event['readSeq']} by {event.get('userId')}" if event.get("readSeq") is not None else None
            return " ".join(filter(None, (event.get("change"), event.get("conversationId"), title, read)))
        case "job:status":
            return " ".join(str(event[key]) for key in ("job", "state", "detail") if event.get(key))
    rest = {key: value for key, value in event.items() if key not in ("type", "botId")}
    return json.dumps(rest, ensure_ascii=False, separators=(",", ":"))
