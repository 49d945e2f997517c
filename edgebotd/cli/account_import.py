"""`accounts import`: the logins of other programs, shown, taken over or watched."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from edgebotd.cli.output import clean, json_option, note, print_json, print_table, until
from edgebotd.cli.target import Target

if TYPE_CHECKING:
    from edgebotd.protocol.logins import Kind

KINDS: Final = ("openclaw", "claude", "codex", "gemini")
"""As protocol.logins has them; a test holds them equal, so that --help imports nothing."""


@click.command("import")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("place", metavar="[PATH]", required=False, type=click.Path(path_type=Path))
@click.option("--take", "owner", flag_value="edgebotd", help="edgebotd refreshes them from now on; log out there.")
@click.option("--watch", "owner", flag_value="external", help="The program goes on refreshing them; edgebotd looks.")
@click.option("--only", multiple=True, metavar="PROVIDER:NAME", help="This login only; may be repeated.")
@json_option
@click.pass_obj
def import_logins(
    target: Target, kind: Kind, place: Path | None, owner: str | None, only: tuple[str, ...], as_json: bool
) -> None:
    """Import the logins of another program, whose files stay as they are. Without --take or --watch: show them.

    PATH is its file, or OpenClaw's state directory; the usual place where it is left out. With --watch it is read by
    the daemon, which has to be allowed to.
    """
    from edgebotd.accounts import stores
    from edgebotd.errors import Invalid

    at = (place or Path(stores.USUAL[kind])).expanduser().absolute()
    more: dict[str, object] = {"kind": kind, **({} if owner is None else {"owner": owner})}
    if only:
        more["only"] = list(only)
    try:
        texts = [] if owner == "external" else stores.read_texts(kind, at)
    except Invalid as exc:
        raise click.ClickException(exc.detail) from exc
    wheres: Iterable[dict[str, object]] = (
        [{"path": str(at)}] if owner == "external" else [{"content": t} for t in texts]
    )
    with target.client() as client:
        answers = [client.post("/api/profiles/import", {**more, **where}) for where in wheres]
    items = [item for answer in answers for item in answer["items"]]
    if as_json:
        for item in items:
            print_json(item)
    else:
        _print_found(items, owner)
        # Of what was not imported it is not so.
        done = [one for one in answers if owner is None or any(item["outcome"] == "added" for item in one["items"])]
        for meaning in dict.fromkeys(answer["meaning"] for answer in done):
            note(meaning)
    if missing := [one for one in only if one not in {item["profileId"] for item in items}]:
        raise click.ClickException(f"There is no {' and no '.join(map(clean, missing))} in it.")
    if owner is not None and not any(item["outcome"] == "added" for item in items):
        raise click.ClickException("Nothing was imported.")


def _print_found(items: list[dict[str, Any]], owner: str | None) -> None:
    rows = ((i["profileId"], i["type"], i["label"], _expiry(i), i["outcome"], i["problem"]) for i in items)
    print_table(("LOGIN", "TYPE", "LABEL", "EXPIRES", "", ""), rows, empty="There are no logins in it.")
    if owner != "external":
        for item in items:
            if item["type"] == "oauth" and item["problem"] is None and not item["refreshable"]:
                note(
                    f"{item['profileId']}: edgebotd can refresh it only with [providers.{item['provider']}.oauth] in"
                    " the settings, and with a refresh token in it."
                )


def _expiry(item: dict[str, Any]) -> str | None:
    return None if item["expiresAt"] is None else until(item["expiresAt"])
