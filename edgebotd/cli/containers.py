"""`bots start`, `stop`, `restart`, `logs`, `crashes`: a bot's container."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

from edgebotd.cli.output import clean, clock, json_option, note, print_json, styled
from edgebotd.cli.target import Target

if TYPE_CHECKING:
    from edgebotd.cli.client import Client

LOOK_SECONDS: Final = 0.5
_SPAN: Final = re.compile(r"(\d+)\s*(s|m|h|d)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DONE: Final = {"start": "is started", "stop": "is stopped", "restart": "is restarted"}

no_wait: Final = click.option("--no-wait", is_flag=True, help="Do not wait until it is done.")


def _halt_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that `stop` and `restart` share."""
    for option in (
        click.pass_obj,
        no_wait,
        click.option("--now", is_flag=True, help="Wait for nothing; it has ten seconds. Said once more: none."),
        click.option("--seconds", type=click.FloatRange(1, 86_400), help="After so many it is killed."),
        click.option("--abort", is_flag=True, help="Ask for the end of the runs instead of waiting for them."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("bot")
@no_wait
@click.pass_obj
def start(target: Target, bot: str, no_wait: bool) -> None:
    """Start a bot's container."""
    _work(target, bot, "start", {}, wait=not no_wait)


@click.command()
@click.argument("bot")
@_halt_options
def stop(target: Target, bot: str, abort: bool, seconds: float | None, now: bool, no_wait: bool) -> None:
    """Stop a bot's container once its runs have ended; messages that come meanwhile wait.

    Said again while it is being stopped, it is quicker: with --abort, --now. Ctrl-C ends the waiting only.
    """
    _work(target, bot, "stop", _halt(abort, seconds, now), wait=not no_wait)


@click.command()
@click.argument("bot")
@_halt_options
def restart(target: Target, bot: str, abort: bool, seconds: float | None, now: bool, no_wait: bool) -> None:
    """Stop a bot's container, then start it."""
    _work(target, bot, "restart", _halt(abort, seconds, now), wait=not no_wait)


def _halt(abort: bool, seconds: float | None, now: bool) -> dict[str, Any]:
    return {"drain": "abort" if abort else "wait", "seconds": seconds, "now": now}


def _work(target: Target, bot: str, kind: str, body: dict[str, Any], *, wait: bool) -> None:
    from edgebotd.cli.client import path

    with target.client() as client:
        operation = client.post(path(f"/api/bots/{{}}/container/{kind}", bot), body)["operationId"]
        if not wait:
            click.echo(f"{bot}: asked for; `edgebotd bots show {bot}` shows how it is.")
            return
        try:
            _wait(client, bot, kind, operation)
        except KeyboardInterrupt:
            note(f"{bot}: it goes on without this command.")
            sys.exit(130)


def _wait(client: Client, bot: str, kind: str, operation: str) -> None:
    who = client.get("/api/me")
    work = _Work(client, bot, operation)
    if who["admin"] and who["scopes"] is None and who["bots"] is None:
        work.listen()
    else:
        # Nobody but administrators is told how work has ended (`provision-done`), and the container's status, which
        # operators are told, is the last one before that: nothing would come when there is something to see.
        work.poll()
    if work.reason is not None:
        raise click.ClickException(f"{bot}: {work.reason}")
    click.echo(f"{bot} {_DONE[kind]}.")


class _Work:
    """Work on a bot's container, waited for; each thing that it is at is said once."""

    def __init__(self, client: Client, bot: str, operation: str) -> None:
        self._client = client
        self._bot = bot
        self._operation = operation
        self._told: str | None = None
        self.reason: str | None = None
        """Why it did not succeed."""

    def listen(self) -> None:
        """Wait for its end on the channel."""
        from edgebotd.cli.tail import Tail

        tail = Tail(self._client, on_break=note, types=("docker:status", "provision-done"))
        for kind, event in tail.events():
            if kind == "hello" or event.get("provisionId") == self._operation:
                # Over a break too, what came before it is told by nothing else.
                if self._is_over():
                    return
            elif event.get("type") == "docker:status":
                for container in event["containers"]:
                    if container.get("botId") == self._bot:
                        self._tell(container.get("doing"))

    def poll(self) -> None:
        """Wait for its end by looking."""
        while not self._is_over():
            time.sleep(LOOK_SECONDS)

    def _is_over(self) -> bool:
        from edgebotd.cli.client import path

        work = self._client.get(path("/api/bots/{}/container/operation", self._bot))["operation"]
        if work is None or work["operationId"] != self._operation:
            return True  # other work has begun since
        if work["state"] in ("running", "undoing"):
            self._tell(work["doing"])
            return False
        if work["state"] != "succeeded":
            self.reason = work["reason"] or work["state"]
        return True

    def _tell(self, doing: str | None) -> None:
        if doing not in (None, self._told):
            self._told = doing
            note(f"{self._bot} {doing}")


def _since(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    match = _SPAN.fullmatch(value.strip())
    if match is None:
        raise click.BadParameter("Say how long ago, such as 90s, 10m, 2h or 1d.")
    return round((time.time() - int(match[1]) * _SECONDS[match[2]]) * 1000)


@click.command()
@click.argument("bot")
@click.option("-f", "--follow", is_flag=True, help="Show what comes too, until Ctrl-C; restarts do not end it.")
@click.option("-n", "--lines", type=click.IntRange(1, 5000), default=100, show_default=True, help="The last so many.")
@click.option("--since", metavar="SPAN", callback=_since, help="Not older than this: 90s, 10m, 2h, 1d.")
@click.option("--contains", help="Only lines with this text, whatever its case.")
@click.option("--stream", type=click.Choice(["stdout", "stderr"]), help="Only what was written there.")
@json_option
@click.pass_obj
def logs(
    target: Target,
    bot: str,
    follow: bool,
    lines: int,
    since: int | None,
    contains: str | None,
    stream: str | None,
    as_json: bool,
) -> None:
    """Show what a bot's container writes, without secrets. --json prints one line's object a line."""
    query = {"tail": lines, "since": since, "contains": contains, "stream": stream}
    with target.client() as client:
        shown = _Shown(client, bot, query, as_json)
        if not follow:
            shown.read()
            return
        try:
            shown.follow()
        except KeyboardInterrupt:
            pass  # how a person ends this


class _Shown:
    """Lines as they are shown: the last ones and what comes meet without one twice."""

    def __init__(self, client: Client, bot: str, query: dict[str, Any], as_json: bool) -> None:
        self._client = client
        self._bot = bot
        self._query = query
        self._as_json = as_json
        self._newest = 0
        self._last: Counter[tuple[int, str, str]] = Counter()
        """Shown lines of the newest times, which may come once more."""

    def read(self) -> None:
        """Show the last lines; on another call those since the last one shown."""
        from edgebotd.cli.client import path

        query = dict(self._query)
        if self._newest:
            query |= {"since": self._newest, "tail": 5000}
        known = self._last.copy()
        for line in self._client.get(path("/api/bots/{}/container/logs", self._bot), **query)["items"]:
            self._show(line, known)

    def follow(self) -> None:
        """Show what comes, for ever."""
        from edgebotd.cli.tail import Tail

        known: Counter[tuple[int, str, str]] = Counter()
        for kind, data in Tail(self._client, on_break=note, bots=(self._bot,), types=("bot-log",)).events():
            if kind == "hello":
                # In this order: what comes in between is told twice, and shown once.
                self._client.put(f"/api/streams/{data['streamId']}/watch", {"logs": [self._bot], "stats": []})
                self.read()
                known = self._last.copy()
            elif kind == "message":
                if data.get("missed"):
                    note(f"({data['missed']} lines left out: it writes more than can be shown)")
                for line in data["lines"]:
                    if self._wanted(line):
                        self._show(line, known)

    def _wanted(self, line: dict[str, Any]) -> bool:
        contains, stream = self._query["contains"], self._query["stream"]
        return stream in (None, line["stream"]) and (not contains or contains.casefold() in line["text"].casefold())

    def _show(self, line: dict[str, Any], known: Counter[tuple[int, str, str]]) -> None:
        key = (line["at"], line["stream"], line["text"])
        if known[key] > 0:
            known[key] -= 1
            return
        if line["at"] > self._newest:
            self._newest = line["at"]
            self._last = Counter({shown: count for shown, count in self._last.items() if shown[0] > line["at"] - 2000})
        self._last[key] += 1
        if self._as_json:
            print_json(line)
        else:
            at = time.strftime("%H:%M:%S", time.localtime(line["at"] / 1000))
            head = styled(f"{at} {'E' if line['stream'] == 'stderr' else ' '}", dim=True)
            click.echo(f"{head} {clean(line['text'])}")


@click.command()
@click.argument("bot")
@json_option
@click.pass_obj
def crashes(target: Target, bot: str, as_json: bool) -> None:
    """Show how a bot's container ended by itself, and its last lines then. --json prints one end a line."""
    from edgebotd.cli.client import path

    with target.client() as client:
        items = client.get(path("/api/bots/{}/container/crashes", bot))["items"]
    for crash in items:
        if as_json:
            print_json(crash)
            continue
        click.echo(clean(f"{clock(crash['at'])}  {crash['detail']}"))
        for line in crash["lines"]:
            click.echo(styled(f"    {clean(line)}", dim=True))
    if not items:
        note(f"{bot} has not ended by itself, as far as is known.")
