"""`user`: people and what they may do."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from edgebotd.cli.output import age, json_option, print_json, print_table
from edgebotd.cli.target import Target, page_link

if TYPE_CHECKING:
    from edgebotd.cli.client import Client


@click.group()
def user() -> None:
    """Manage people and what they may do."""


def read_password(prompt: str) -> str:
    """Ask twice for a password without showing it; where nobody sits there, take the first line of standard input."""
    if sys.stdin.isatty():
        answer: str = click.prompt(prompt, hide_input=True, confirmation_prompt=True, err=True)
        return answer
    password = sys.stdin.readline().removesuffix("\n")
    if not password:
        raise click.ClickException("Standard input holds no password.")
    return password


def print_link(target: Target, client: Client, purpose: str, user_id: str) -> None:
    """Make a one-time link for a user and print it."""
    made = client.post("/api/codes", {"purpose": purpose, "userId": user_id})
    click.echo(f"This link works once, for {user_id}:\n  {page_link(*target.page(), made['code'])}")


@user.command()
@click.argument("user_id", metavar="USER")
@click.option("--name", help="The name that others see.")
@click.option("--admin", is_flag=True, help="An administrator: every bot, all settings.")
@click.option("--link", is_flag=True, help="No password now: print a one-time link with which the user sets one.")
@json_option
@click.pass_obj
def add(target: Target, user_id: str, name: str | None, admin: bool, link: bool, as_json: bool) -> None:
    """Add a user. Asks for the password, or takes the first line of standard input."""
    body: dict[str, Any] = {"id": user_id, "admin": admin, **({"name": name} if name else {})}
    with target.client() as client:
        if not link:
            body["password"] = read_password(f"Password of {user_id}")
        answer = client.post("/api/users", body)
        if as_json:
            print_json(answer)
        else:
            click.echo(f"{user_id} is added{' as an administrator' if admin else ''}.")
        if link:
            print_link(target, client, "setup", user_id)
        elif not admin and not as_json:
            click.echo(f"Give a bot with: edgebotd user grant {user_id} BOT chat")


@user.command()
@click.argument("user_id", metavar="USER")
@click.option("--link", is_flag=True, help="Print a one-time link with which the user sets one.")
@click.pass_obj
def passwd(target: Target, user_id: str, link: bool) -> None:
    """Set a user's password; the user's sessions end."""
    from edgebotd.cli.client import path

    with target.client() as client:
        if link:
            print_link(target, client, "setup", user_id)
            return
        client.put(path("/api/users/{}/password", user_id), {"password": read_password(f"New password of {user_id}")})
    click.echo(f"{user_id} has a new password; its sessions have ended.")


@user.command("list")
@json_option
@click.pass_obj
def list_users(target: Target, as_json: bool) -> None:
    """List users and their grants. --json prints one user a line."""
    with target.client() as client:
        items = client.get("/api/users")["items"]
    if as_json:
        for one in items:
            print_json(one)
        return
    print_table(
        ("USER", "NAME", "ROLE", "GRANTS", "SESSIONS", "TOKENS", "SINCE"),
        (
            (
                one["id"],
                one["name"],
                _role(one),
                "all" if one["admin"] else ", ".join(f"{bot} {grant}" for bot, grant in one["grants"].items()),
                one.get("sessions"),
                one.get("tokens"),
                age(one["createdAt"]),
            )
            for one in items
        ),
        empty="No users yet. `edgebotd user add NAME --admin` makes the first.",
    )


def _role(one: Mapping[str, Any]) -> str:
    role = "admin" if one["admin"] else "user"
    return f"{role}, disabled" if one.get("disabled") else role


@user.command()
@click.argument("user_id", metavar="USER")
@click.pass_obj
def remove(target: Target, user_id: str) -> None:
    """Remove a user; sessions and tokens end at once. Messages stay."""
    from edgebotd.cli.client import path

    with target.client() as client:
        client.delete(path("/api/users/{}", user_id))
    click.echo(f"{user_id} is removed.")


@user.command()
@click.argument("user_id", metavar="USER")
@click.argument("bot")
@click.argument("level", type=click.Choice(["view", "chat", "operate"]), default="chat")
@click.pass_obj
def grant(target: Target, user_id: str, bot: str, level: str) -> None:
    """Let a user view, chat with (the default) or operate a bot; each includes the one before."""
    from edgebotd.cli.client import path

    with target.client() as client:
        client.put(path("/api/users/{}/grants/{}", user_id, bot), {"grant": level})
    click.echo(f"{user_id} may {level} {bot}." if level != "chat" else f"{user_id} may chat with {bot}.")


@user.command()
@click.argument("user_id", metavar="USER")
@click.argument("bot")
@click.pass_obj
def revoke(target: Target, user_id: str, bot: str) -> None:
    """Take a user's grant on a bot; open streams follow at once."""
    from edgebotd.cli.client import path

    with target.client() as client:
        client.delete(path("/api/users/{}/grants/{}", user_id, bot))
    click.echo(f"{user_id} has no access to {bot} any more.")
