"""`token`: API tokens."""

from __future__ import annotations

import time

import click

from edgebotd.cli.output import age, json_option, note, print_items, print_json, until
from edgebotd.cli.target import Target


@click.group()
def token() -> None:
    """Manage API tokens."""


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
            ", ".join(one["scopes"]),
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
