"""`chat`: one message and its reply, or a conversation."""

from __future__ import annotations

import base64
import mimetypes
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from typing_extensions import override

from edgebotd.cli.output import clean, json_option, note, print_json
from edgebotd.cli.target import Target

if TYPE_CHECKING:
    from edgebotd.cli.client import Client
    from edgebotd.cli.turn import Ended


@click.command()
@click.argument("bot")
@click.argument("text", nargs=-1)
@click.option("--file", "files", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--conversation", help="Continue this conversation.")
@click.option("--new", is_flag=True, help="Begin a new conversation.")
@click.option("--interrupt", is_flag=True, help="Stop what the bot is saying, rather than wait for its end.")
@json_option
@click.pass_obj
def chat(
    target: Target,
    bot: str,
    text: tuple[str, ...],
    files: tuple[Path, ...],
    conversation: str | None,
    new: bool,
    interrupt: bool,
    as_json: bool,
) -> None:
    """Send TEXT to a bot and show the reply as it comes.

    Without TEXT: a conversation, line by line, until Ctrl-D; or what comes on standard input, where that is no
    terminal. Ctrl-C stops a reply. Exits with 1 when the run fails or is stopped. --json prints one document per reply.
    """
    if new and conversation is not None:
        raise click.UsageError("--new and --conversation exclude each other.")
    message = " ".join(text)
    if not text and not sys.stdin.isatty():
        message = sys.stdin.read().strip()
    interactive = not text and not message and sys.stdin.isatty() and not as_json
    if not interactive and not message and not files:
        raise click.UsageError("There is nothing to send.")
    with target.client() as client:
        if new:
            conversation = _new_conversation(client, bot)
        sender = _Sender(client, bot, conversation, "interrupt" if interrupt else None, as_json)
        if not interactive:
            sys.exit(0 if sender.say(message, files) else 1)
        _converse(sender, bot, files)


def _new_conversation(client: Client, bot: str) -> str:
    from edgebotd.cli.client import path

    made: str = client.post(path("/api/bots/{}/conversations", bot), {})["id"]
    return made


def _converse(sender: _Sender, bot: str, files: tuple[Path, ...]) -> None:
    import contextlib

    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  # editing and history of input()
    note(f"Talking to {bot}. Ctrl-D ends, Ctrl-C stops a reply.")
    while True:
        try:
            line = input("> ").strip()
        except (EOFError, KeyboardInterrupt):
            click.echo()
            return
        if line:
            sender.say(line, files)
            files = ()  # they went with the first message


class _Sender:
    """Sends messages of one conversation, one after the other."""

    def __init__(self, client: Client, bot: str, conversation: str | None, mode: str | None, as_json: bool) -> None:
        self._client = client
        self._bot = bot
        self._conversation = conversation
        self._mode = mode
        self._as_json = as_json

    def say(self, text: str, files: tuple[Path, ...]) -> bool:
        """Send one message and show the reply; returns whether the run finished."""
        from edgebotd.cli.turn import Turn

        body: dict[str, Any] = {"text": text}
        if self._conversation is not None:
            body["conversationId"] = self._conversation
        if self._mode is not None:
            body["mode"] = self._mode
        if files:
            body["attachments"] = [read_attachment(file) for file in files]
        screen = _Quiet() if self._as_json else _Screen()
        turn = Turn(self._client, self._bot, body, screen)
        ended = turn.run()
        self._conversation = ended.conversation_id or self._conversation
        screen.end(ended)
        if self._as_json:
            print_json(ended.document())
        return ended.state == "finished"


def read_attachment(file: Path) -> dict[str, str]:
    """Return a file as a send request takes it."""
    try:
        data = file.read_bytes()
    except OSError as exc:
        raise click.ClickException(f"{file} cannot be read: {exc.strerror}.") from exc
    media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return {"name": file.name, "mediaType": media_type, "data": base64.b64encode(data).decode()}


class _Screen:
    """Shows a reply as it grows, on standard output; what is about the reply goes to standard error."""

    def __init__(self) -> None:
        self._mid_line = False

    def add(self, text: str) -> None:
        if text:
            click.echo(clean(text), nl=False)
            sys.stdout.flush()
            self._mid_line = not text.endswith("\n")

    def begin_anew(self) -> None:
        self.finish_line()
        self.tell("The bot began its reply anew.")

    def tell(self, text: str) -> None:
        # The line break goes where the note goes: the reply on standard output stays as it was said.
        note(f"\n{text}" if self._mid_line else text)

    def finish_line(self) -> None:
        if self._mid_line:
            click.echo()
            self._mid_line = False

    def end(self, ended: Ended) -> None:
        self.finish_line()
        words = {"aborted": "Stopped", "failed": "The run failed", "interrupted": "The run was interrupted"}
        if ended.state != "finished":
            what = words.get(ended.state, f"The run is {ended.state}")
            note(f"{what}: {ended.detail}" if ended.detail else f"{what}.")


class _Quiet(_Screen):
    """Shows nothing but notes: the whole is printed as JSON."""

    @override
    def add(self, text: str) -> None: ...

    @override
    def end(self, ended: Ended) -> None: ...
