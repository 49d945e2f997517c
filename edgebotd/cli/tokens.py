"""`token`: API tokens."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click
from typing_extensions import override

from edgebotd.cli.output import age, json_option, note, print_items, print_json, until
from edgebotd.cli.target import Target


class _TokenGroup(click.Group):
    """`edgebotd token anthropic:work` is a command of its own, which no name of a command looks like."""

    @override
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and ":" in args[0]:
            return of_login.name, of_login, args
        return super().resolve_command(ctx, args)


@click.group(cls=_TokenGroup, subcommand_metavar="COMMAND | PROVIDER:NAME")
def token() -> None:
    """Manage API tokens; with PROVIDER:NAME, print the access token of a login.

    For agents: it wants a token that was made for this one login (`edgebotd accounts grant`), in EDGEBOTD_TOKEN or in
    a file that EDGEBOTD_TOKEN_FILE names, and the daemon's unix socket.
    """


@click.command("PROVIDER:NAME")
@click.argument("login", metavar="PROVIDER:NAME")
@json_option
@click.pass_obj
def of_login(target: Target, login: str, as_json: bool) -> None:
    """Print what the provider of a login takes now, alone on standard output."""
    from edgebotd.cli.client import Client, path

    if target.url is not None:
        raise click.UsageError("Access tokens are handed out over the unix socket only.")
    with Client.local(target.find_socket(), _own_token()) as client:
        found = client.get(path("/api/profiles/{}/token", login))
    if as_json:
        print_json(found)
    else:
        click.echo(found["token"])


def _own_token() -> str:
    from edgebotd.config.credentials import SecretError, check_secret, read_secret_file

    try:
        if file := os.environ.get("EDGEBOTD_TOKEN_FILE"):
            return read_secret_file(Path(file))[0]
        if text := os.environ.get("EDGEBOTD_TOKEN"):
            return check_secret(text)
    except SecretError as exc:
        raise click.ClickException(f"The token for this login cannot be used: {exc}.") from None
    raise click.ClickException(
        "This needs a token that was made for this login, in EDGEBOTD_TOKEN or in a file that EDGEBOTD_TOKEN_FILE"
        " names; an administrator makes one with `edgebotd accounts grant`."
    )


@token.command()
@click.argument("user_id", metavar="USER")
@click.option("--name", required=True, help="What it is for.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["read", "chat", "operate", "publish", "admin"]),
    default=("chat",),
    show_default=True,
    help="May be repeated.",
)
@click.option("--bot", "bots", multiple=True, help="For this bot only; may be repeated.")
@click.option("--days", type=click.IntRange(1, 3650), help="Days until it expires; for ever otherwise.")
@json_option
@click.pass_obj
def create(
    target: Target,
    user_id: str,
    name: str,
    scopes: tuple[str, ...],
    bots: tuple[str, ...],
    days: int | None,
    as_json: bool,
) -> None:
    """Make a token that acts as USER, within scopes and bots. It is shown this once, alone on standard output."""
    body: dict[str, object] = {"name": name, "scopes": list(scopes), "userId": user_id}
    if bots:
        body["bots"] = list(bots)
    if days is not None:
        body["expiresAt"] = int((time.time() + days * 86_400) * 1000)
    with target.client() as client:
        made = client.post("/api/tokens", body)
    if as_json:
        print_json(made)
        return
    note(f"Token {made['id']} of {user_id}. Keep it safe; it is not shown again.")
    click.echo(made["token"])


@token.command("list")
@json_option
@click.pass_obj
def list_tokens(target: Target, as_json: bool) -> None:
    """List tokens, without their secrets. --json prints one token a line."""
    with target.client() as client:
        items = client.get("/api/tokens")["items"]
    print_items(
        items,
        as_json,
        ("ID", "USER", "NAME", "SCOPES", "BOTS", "MADE", "USED", "EXPIRES"),
        lambda one: (
            one["id"],
            one["userId"],
            one["name"],
            f"the login {one['profileId']}" if one["profileId"] else ", ".join(one["scopes"]),
            "all" if one.get("bots") is None else ", ".join(one["bots"]),
            age(one["createdAt"]),
            age(one.get("usedAt")),
            until(one.get("expiresAt")),
        ),
        empty="No tokens.",
    )


@token.command()
@click.argument("token_id", metavar="ID")
@click.pass_obj
def revoke(target: Target, token_id: str) -> None:
    """Revoke a token; what is open with it ends at once."""
    from edgebotd.cli.client import path

    with target.client() as client:
        client.delete(path("/api/tokens/{}", token_id))
    click.echo(f"Token {token_id} is revoked.")
