"""`history` and `search`: what was said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from edgebotd.cli.output import clean, clock, json_option, note, one_line, print_json, size, styled
from edgebotd.cli.target import Target


def text_of(message: Mapping[str, Any]) -> str:
    """Return a message as text: its parts in order, those that are no text in brackets."""
    pieces = []
    for part in message.get("parts", ()):
        kind = part.get("type")
        if kind == "text":
            pieces.append(part["text"])
        elif kind == "toolCall":
            pieces.append(f"[tool {part['name']}]")
        elif kind == "attachment":
            pieces.append(f"[file {part['name']}, {size(part['size'])}]")
        elif kind == "error":
            pieces.append(f"[error: {part['message']}]")
    return "\n".join(pieces)


def _speaker(message: Mapping[str, Any]) -> str:
    own = message.get("userId") or "user"
    name = message["botId"] if message["role"] == "assistant" else own
    state = message.get("state", "final")
    return name if state == "final" else f"{name} ({state})"


@click.command()
@click.argument("bot")
@click.option("-n", "--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many.")
@click.option("--conversation", help="Of this conversation only.")
@json_option
@click.pass_obj
def history(target: Target, bot: str, limit: int, conversation: str | None, as_json: bool) -> None:
    """Show the newest messages with a bot, oldest first. --json prints one message a line."""
    from edgebotd.cli.client import path

    with target.client() as client:
        pages = client.pages(path("/api/bots/{}/chat/history", bot), limit=limit, conversationId=conversation)
        messages = list(pages)[::-1]
    for message in messages:
        if as_json:
            print_json(message)
            continue
        head = f"{clock(message['createdAt'])}  {clean(_speaker(message))}"
        if conversation is None:
            head += f"  {message['conversationId']}"
        click.echo(styled(head, dim=True))
        click.echo(clean(text_of(message)).rstrip() + "\n")
    if not messages and not as_json:
        note(f"Nothing was said to {bot} yet.")


@click.command()
@click.argument("text", nargs=-1, required=True)
@click.option("--bot", help="In messages with this bot only.")
@click.option("-n", "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many.")
@json_option
@click.pass_obj
def search(target: Target, text: tuple[str, ...], bot: str | None, limit: int, as_json: bool) -> None:
    """Find messages that have all the words, newest first.

    "In quotes" stands together; wor* is all words that begin so. --json prints one result a line.
    """
    if not "".join(text).strip():
        raise click.UsageError("There is nothing to look for.")
    with target.client() as client:
        found = list(client.pages("/api/search", limit=limit, q=" ".join(text), bot=bot))
    for item in found:
        if as_json:
            print_json(item)
            continue
        message = item.get("message", item)
        click.echo(styled(f"{clock(message['createdAt'])}  {message['botId']}  {clean(_speaker(message))}", dim=True))
        click.echo("  " + one_line(item.get("snippet") or text_of(message), 200))
    if not found and not as_json:
        note("Nothing found.")
