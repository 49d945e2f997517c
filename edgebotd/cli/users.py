"""`user`: people and what they may do."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from edgebotd.cli.output import age, json_option, print_items, print_json, until
from edgebotd.cli.target import Target

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


def make_link(target: Target, client: Client, user_id: str) -> dict[str, Any]:
    """Make a one-time link with which a user sets a password: `link` and `expiresAt`."""
    made = client.post("/api/codes", {"purpose": "setup", "userId": user_id})
    return {"link": target.link(made), "expiresAt": made["expiresAt"]}


def print_link(user_id: str, made: Mapping[str, Any]) -> None:
    """Print what `make_link` made."""
    click.echo(
        f"With this link {user_id} sets a password. It works once, and expires {until(made['expiresAt'])}:\n"
        f"  {made['link']}"
    )


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
        made = make_link(target, client, user_id) if link else {}
    if as_json:
        print_json({**answer, **made})
        return
    click.echo(f"{user_id} is added{' as an administrator' if admin else ''}.")
    if link:
        print_link(user_id, made)
    if not admin:
        click.echo(f"{user_id} sees no bot yet; give one with: edgebotd user grant {user_id} BOT")


@user.command()
@click.argument("user_id", metavar="USER")
@click.option("--link", is_flag=True, help="Print a one-time link with which the user sets one.")
@json_option
@click.pass_obj
def passwd(target: Target, user_id: str, link: bool, as_json: bool) -> None:
    """Set a user's password; the user's sessions end. Asks for it, or takes the first line of standard input."""
    from edgebotd.cli.client import path

    with target.client() as client:
        if link:
            made = make_link(target, client, user_id)
            if as_json:
                print_json(made)
            else:
                print_link(user_id, made)
            return
        client.put(path("/api/users/{}/password", user_id), {"password": read_password(f"New password of {user_id}")})
    if as_json:
        print_json({"id": user_id})
    else:
        click.echo(f"{user_id} has a new password; the sessions that there were have ended.")


@user.command("list")
@json_option
@click.pass_obj
def list_users(target: Target, as_json: bool) -> None:
    """List users and their grants. --json prints one user a line."""
    with target.client() as client:
        items = client.get("/api/users")["items"]
    print_items(
        items,
        as_json,
        ("USER", "NAME", "ROLE", "GRANTS", "SESSIONS", "TOKENS", "SINCE"),
        lambda one: (
            one["id"],
            one["name"],
            _role(one),
            "all" if one["admin"] else ", ".join(f"{bot} {grant}" for bot, grant in one["grants"].items()),
            one.get("sessions"),
            one.get("tokens"),
            age(one["createdAt"]),
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
