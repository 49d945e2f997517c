"""`accounts`: logins at model providers. No secret is an argument, which every user of the machine could read."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import IO, Any, Final

import click

from edgebotd.cli.account_import import import_logins
from edgebotd.cli.account_links import link
from edgebotd.cli.account_usage import usage
from edgebotd.cli.output import age, clean, json_option, note, one_line, print_json, print_table, until
from edgebotd.cli.target import Target

_secret_option: Final = click.option(
    "--file", "file", type=click.File("r"), help="A file with the secret; - for standard input. Else it is asked for."
)
_days_option: Final = click.option("--days", type=click.IntRange(1, 3650), help="token: days until it ends.")


@click.group()
def accounts() -> None:
    """Manage logins at model providers: API keys, tokens, and those of other programs."""


accounts.add_command(import_logins)
accounts.add_command(usage)
accounts.add_command(link)


@accounts.command("list")
@json_option
@click.pass_obj
def list_accounts(target: Target, as_json: bool) -> None:
    """List logins and how they are. --json prints one a line."""
    with target.client() as client:
        items = client.get("/api/profiles")["items"]
    if as_json:
        for one in items:
            print_json(one)
        return
    print_table(
        ("LOGIN", "TYPE", "OWNER", "STATE", "EXPIRES", "BOTS", "FINGERPRINT", "LABEL"),
        (
            (
                one["id"],
                one["type"],
                one["owner"],
                _state(one),
                None if one["expiresAt"] is None else until(one["expiresAt"]),
                ", ".join(one["bots"]),
                one["fingerprint"],
                one["label"],
            )
            for one in items
        ),
        empty="No logins. `edgebotd accounts add PROVIDER:NAME` adds one by its API key.",
    )
    for one in items:
        if one["reason"]:
            note(f"{one['id']}: {one_line(one['reason'], 300)}")


@accounts.command()
@click.argument("login", metavar="PROVIDER:NAME")
@json_option
@click.pass_obj
def show(target: Target, login: str, as_json: bool) -> None:
    """Show a login, and what its bots have of it."""
    from edgebotd.cli.client import path

    with target.client() as client:
        one = client.get(path("/api/profiles/{}", login))
    if as_json:
        print_json(one)
        return
    of = f", generation {one['generation']}" if one["generation"] else ""
    click.echo(clean(f"{one['id']}: {_state(one)}{of}"))
    if one["reason"]:
        click.echo(one_line(one["reason"], 300))
    if one["delivered"] is None or one["owner"] == "gateway":  # not for users to know; given to nobody
        click.echo(clean(f"Used by {', '.join(one['bots'])}" + (", whose gateway keeps it." if one["owner"] else ".")))
        return
    given = {bot_id: {} for bot_id in one["bots"]} | {row["botId"]: row for row in one["delivered"]}
    print_table(
        ("BOT", "HAS", "SINCE", ""),
        (
            (
                bot_id,
                "the present one" if row.get("current") else "an older one" if row.get("generation") else "none",
                None if row.get("at") is None else age(row["at"]),
                row.get("error"),
            )
            if row
            # Where there is no file to write nothing is tried: "none" alone read as if the bot had no key.
            else (bot_id, None, None, "It has what it was started with: edgebotd knows no file to give it more by.")
            for bot_id, row in given.items()
        ),
        empty="No bot uses it.",
    )


def _state(one: dict[str, Any]) -> str:
    return "expired" if one["expired"] and one["state"] in ("static", "fresh") else str(one["state"])


@accounts.command()
@click.argument("login", metavar="PROVIDER:NAME")
@click.option("--token", "is_token", is_flag=True, help="It is a long-lived token, not an API key.")
@_days_option
@click.option("--label", help="What people call it.")
@click.option("--account-id", help="What the provider calls the account, where it wants to be told.")
@click.option("--bot", "bots", multiple=True, help="A bot that uses it; may be repeated.")
@_secret_option
@json_option
@click.pass_obj
def add(
    target: Target,
    login: str,
    is_token: bool,
    days: int | None,
    label: str | None,
    account_id: str | None,
    bots: tuple[str, ...],
    file: IO[str] | None,
    as_json: bool,
) -> None:
    """Add a login by its API key or token, which is asked for, and never shown again."""
    provider, colon, name = login.partition(":")
    if not colon:
        raise click.BadParameter("A login is called PROVIDER:NAME, such as anthropic:work.", param_hint="PROVIDER:NAME")
    body: dict[str, object] = {
        "provider": provider,
        "name": name,
        "type": "token" if is_token else "api_key",
        "secret": _secret(file),
        "expiresAt": _ends(days),
        "label": label,
        "accountId": account_id,
        "bots": list(bots),
    }
    with target.client() as client:
        made = client.post("/api/profiles", {key: value for key, value in body.items() if value is not None})
    if as_json:
        print_json(made)
        return
    click.echo(f"{made['id']} is added, fingerprint {made['fingerprint']}.")


@accounts.command()
@click.argument("login", metavar="PROVIDER:NAME")
@_days_option
@_secret_option
@click.pass_obj
def secret(target: Target, login: str, days: int | None, file: IO[str] | None) -> None:
    """Give a login by API key or token another secret."""
    from edgebotd.cli.client import path

    body = {"secret": _secret(file), **({} if days is None else {"expiresAt": _ends(days)})}
    with target.client() as client:
        made = client.put(path("/api/profiles/{}/secret", login), body)
    click.echo(f"{made['id']} has another secret, fingerprint {made['fingerprint']}.")


@accounts.command()
@click.argument("provider")
@click.option("--name", default="default", show_default=True, help="What the login is called.")
@click.option("--device", is_flag=True, help="By a code that is typed elsewhere.")
@click.option("--paste", is_flag=True, help="Do not wait for the browser: ask for the address that it landed on.")
@click.pass_obj
def login(target: Target, provider: str, name: str, device: bool, paste: bool) -> None:
    """Log in at a provider with OAuth, anew where there is such a login."""
    from edgebotd.cli.client import path

    body = {"provider": provider, "name": name, **({"method": "device"} if device else {})}
    with target.client() as client:
        begun = client.post("/api/profiles/login", body)
        one = path("/api/profiles/login/{}", begun["id"])
        click.echo(f"Open this address and agree there:\n\n  {clean(begun['url'])}\n")
        if begun["userCode"]:
            click.echo(f"The code is {clean(begun['userCode'])}.")
        if begun["method"] == "browser" and (paste or not begun["landsHere"]):
            # Not an argument: others could read it in the list of processes while it is good.
            begun = client.post(f"{one}/finish", {"address": _landed()})
        while begun["state"] == "waiting":
            time.sleep(2)
            begun = client.get(one)
    if begun["state"] == "failed":
        raise click.ClickException(one_line(begun["reason"] or "It failed.", 300))
    click.echo(f"{begun['profileId']} is logged in.")


@accounts.command()
@click.argument("login", metavar="PROVIDER:NAME")
@click.pass_obj
def refresh(target: Target, login: str) -> None:
    """Refresh a login's token now."""
    from edgebotd.cli.client import path

    with target.client() as client:
        now = client.post(path("/api/profiles/{}/refresh", login), {})
    if now["state"] != "fresh":
        raise click.ClickException(f"{now['id']} is {now['state']}: {one_line(now['reason'] or '', 300)}")
    click.echo(f"{now['id']} is fresh" + (f", until {until(now['expiresAt'])}." if now["expiresAt"] else "."))


@accounts.command()
@click.argument("login", metavar="PROVIDER:NAME")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def remove(target: Target, login: str, yes: bool) -> None:
    """Forget a login with its secrets. At the provider it goes on to exist: revoke it there."""
    from edgebotd.cli.client import path

    with target.client() as client:
        row = client.get(path("/api/profiles/{}", login))
        if not yes:
            if not sys.stdin.isatty():
                raise click.UsageError("Forgetting a secret asks first; say --yes.")
            used = f", which {', '.join(row['bots'])} use" if row["bots"] else ""
            click.confirm(clean(f"Forget {row['id']}{used}? This cannot be undone"), abort=True, err=True)
        client.delete(path("/api/profiles/{}", login))
    click.echo(f"{row['id']} is removed.")


@accounts.command()
@click.argument("login", metavar="PROVIDER:NAME")
@click.argument("text", required=False)
@click.pass_obj
def label(target: Target, login: str, text: str | None) -> None:
    """Set what people call a login; without TEXT it has no label."""
    from edgebotd.cli.client import path

    with target.client() as client:
        row = client.patch(path("/api/profiles/{}", login), {"label": text})
    click.echo(clean(f"{row['id']}: {row['label'] or 'no label'}"))


@accounts.command("bots")
@click.argument("login", metavar="PROVIDER:NAME")
@click.argument("bots", nargs=-1, metavar="[BOT]...")
@click.option("--none", "none", is_flag=True, help="No bot uses it.")
@click.pass_obj
def set_bots(target: Target, login: str, bots: tuple[str, ...], none: bool) -> None:
    """Say which bots use a login, in place of those that did; without BOT show them."""
    from edgebotd.cli.client import path

    if none and bots:
        raise click.UsageError("Say either --none or which bots.")
    with target.client() as client:
        place = path("/api/profiles/{}", login)
        row = client.put(f"{place}/bots", {"bots": list(bots)}) if bots or none else client.get(place)
    for bot_id in row["bots"]:
        click.echo(bot_id)


@accounts.command()
@click.option("--config", type=click.Path(readable=False, path_type=Path), help="The configuration file.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def reset(target: Target, config: Path | None, yes: bool) -> None:
    """Forget every secret, where the vault's key is lost. The daemon must not run; each login has to be made anew."""
    from edgebotd.cli.run import load_or_exit

    settings = load_or_exit(config or target.config, {})
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("Forgetting every secret asks first; say --yes.")
        click.confirm(f"Forget the secrets of all logins in {settings.storage.database}?", abort=True, err=True)
    forgotten = _offline(settings.storage.database)
    click.echo(f"The secrets of {forgotten} logins are forgotten. At the next start the key that is there counts.")


def _offline(database: Path) -> int:
    import trio

    from edgebotd.store import profiles
    from edgebotd.store.database import open_database
    from edgebotd.store.errors import StoreError

    reason, now = "The vault's key was lost, and its secret with it. Log in again.", time.time_ns() // 1_000_000
    if not database.exists():
        raise click.ClickException(f"{database}: there is no store.")

    async def forget() -> int:
        async with open_database(database, now=now) as store:
            return await store.write(lambda tx: profiles.forget_secrets(tx.connection, reason, now))

    try:
        return trio.run(forget)
    except (StoreError, OSError) as exc:
        raise click.ClickException(str(exc)) from exc


def _secret(file: IO[str] | None) -> str:
    """Return the secret of a file, of standard input where that is no terminal, or as it is typed without echo."""
    if file is not None:
        return file.read().strip("\r\n")
    if not sys.stdin.isatty():
        return sys.stdin.read().strip("\r\n")
    return str(click.prompt("Key or token", hide_input=True, err=True))


def _landed() -> str:
    """Return the address that a person pastes, without echo; the next line of standard input if that is no terminal."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    return str(click.prompt("The address that the browser landed on", hide_input=True, err=True))


def _ends(days: int | None) -> int | None:
    return None if days is None else int((time.time() + days * 86_400) * 1000)


@accounts.command()
@click.argument("login", metavar="PROVIDER:NAME")
@click.option("--user", "user_id", required=True, help="Whose token it is; it ends with them.")
@click.option("--name", required=True, help="What it is for.")
@click.option("--hours", type=click.IntRange(1, 8760), default=24, show_default=True, help="Until it expires.")
@json_option
@click.pass_obj
def grant(target: Target, login: str, user_id: str, name: str, hours: int, as_json: bool) -> None:
    """Make a token with which `edgebotd token PROVIDER:NAME` prints this login's access token, and that may nothing
    else. It is shown this once, alone on standard output.
    """
    from edgebotd.cli.client import path

    body = {"userId": user_id, "name": name, "expiresAt": int((time.time() + hours * 3600) * 1000)}
    with target.client() as client:
        made = client.post(path("/api/profiles/{}/grants", login), body)
    if as_json:
        print_json(made)
        return
    note(f"Token {made['id']} for {made['profileId']}. Give it to the agent as EDGEBOTD_TOKEN; it is not shown again.")
    click.echo(made["token"])
