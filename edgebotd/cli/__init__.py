"""The command line. This module knows the names of the commands and loads only the one that is called.

Exit codes: 0 done, 1 failed, 2 wrong usage, 78 wrong configuration (EX_CONFIG of sysexits(3); systemd names it so).
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Final

import click
from typing_extensions import override

from edgebotd import __version__

EXIT_CONFIG: Final = 78

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "run": ("run:run", "Run the daemon."),
    "demo": ("demo:demo", "Try it: a daemon with a built-in bot, nothing to set up."),
    "init": ("init:init", "Write a configuration and print the link that makes the first administrator."),
    "check": ("check:check", "Say whether the daemon would start, and what is wrong."),
    "status": ("status:status", "Show how the daemon is."),
    "bots": ("bots:bots", "List, show, create, connect, adopt and remove bots."),
    "operations": ("operations:operations", "Show the work on bots' containers."),
    "chat": ("chat:chat", "Talk to a bot."),
    "alerts": ("alerts:alerts", "Show what needs somebody, and test where that is sent."),
    "containers": ("engine:containers", "Show the engine's containers and how they are."),
    "images": ("engine:images", "Show the engine's images, and remove one."),
    "history": ("messages:history", "Show what was said."),
    "search": ("messages:search", "Find messages."),
    "events": ("events:events", "Watch the live channel."),
    "connections": ("status:connections", "Show who is connected to the live channel."),
    "accounts": ("accounts:accounts", "Manage logins at model providers."),
    "user": ("users:user", "Manage people and what they may do."),
    "token": ("tokens:token", "Manage API tokens."),
}
"""Command -> where it is, and its line of help; in the order of `--help`."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, so that `--help` is quick."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(f"edgebotd.cli.{module}"), name)
        return command

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    @override
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as exc:
            # click suggests from the commands that it knows, and those here are not loaded.
            raise click.NoSuchCommand(exc.command_name, possibilities=COMMANDS, ctx=ctx) from None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="edgebotd", message="%(prog)s %(version)s")
@click.option("--config", type=click.Path(readable=False, path_type=Path), help="The configuration file.")
@click.option("--socket", type=click.Path(path_type=Path), help="The daemon's unix socket.")
@click.option("--url", help="A daemon elsewhere, such as https://bots.example.org; its token in EDGEBOTD_TOKEN.")
@click.pass_context
def root(ctx: click.Context, config: Path | None, socket: Path | None, url: str | None) -> None:
    """Control daemon of your own AI bots.

    Try it with `edgebotd demo`. For good: `edgebotd init`, `edgebotd run`, and `edgebotd chat BOT` in another terminal.

    \b
    Completion of commands in the shell:
      bash: eval "$(_EDGEBOTD_COMPLETE=bash_source edgebotd)"     (zsh, fish: zsh_source, fish_source)
    """
    from edgebotd.cli.target import Target

    ctx.obj = Target(config=config, socket=socket, url=url or os.environ.get("EDGEBOTD_URL") or None)


def main() -> None:
    """Run the command line and exit."""
    try:
        root(prog_name="edgebotd")
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`); Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
