"""`containers` and `images`: what is in the container engine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import click

from edgebotd.cli.output import age, clean, json_option, note, print_items, size
from edgebotd.cli.target import Target

CONTAINER_HEADS = ("BOT", "CONTAINER", "STATE", "SINCE", "IMAGE", "NOTE")
IMAGE_HEADS = ("IMAGE", "ID", "SIZE", "AGE", "USED BY")
ID_CHARACTERS = 12
_SHORT_ID = re.compile(r"[0-9a-f]{12,64}")


def engine_words(engine: Mapping[str, Any]) -> str:
    """Return how the engine is, as one line."""
    named = " ".join(word for word in (engine.get("kind"), engine.get("version")) if word)
    since = f" for {age(engine['sinceAt'])}" if engine["state"] in ("up", "down", "frozen") else ""
    detail = f". {engine['detail']}" if engine.get("detail") else ""
    return f"{named}{', ' if named else ''}{engine['state']}{since}{detail}"


@click.command()
@json_option
@click.pass_obj
def containers(target: Target, as_json: bool) -> None:
    """Show the engine's containers and how they are, those of no bot last. --json prints one container a line."""
    with target.client() as client:
        answer = client.get("/api/containers")
    if not as_json and answer["engine"]["state"] != "up":
        note(f"engine: {engine_words(answer['engine'])}")
    print_items(answer["containers"], as_json, CONTAINER_HEADS, _container_row, empty="No containers.")
    if as_json:
        return
    for pull in answer["pulls"]:
        total = f" of {size(pull['bytesTotal'])}" if pull.get("bytesTotal") else ""
        click.echo(clean(f"{pull['image']} is on its way: {size(pull['bytesDone'])}{total}"))


def _container_row(container: Mapping[str, Any]) -> tuple[object, ...]:
    state = container["state"]
    if (more := container.get("health") or (container.get("exitCode") if state == "exited" else None)) is not None:
        state = f"{state} ({more})"
    notes = [container.get("doing"), "crash loop" if container.get("crashLoop") else None, container.get("detail")]
    said = "; ".join([text for text in notes if text] + list(container.get("drift") or ()))
    return container.get("botId"), container["name"], state, age(container["sinceAt"]), container.get("image"), said


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def images(ctx: click.Context, as_json: bool) -> None:
    """Show the engine's images and who uses them. --json prints one image a line."""
    if ctx.invoked_subcommand is not None:
        return
    target: Target = ctx.obj
    with target.client() as client:
        items = client.get("/api/images")["items"]
    print_items(items, as_json, IMAGE_HEADS, _image_row, empty="No images.")


def _image_row(image: Mapping[str, Any]) -> tuple[object, ...]:
    short = image["id"].removeprefix("sha256:")[:ID_CHARACTERS]
    users = ", ".join([*image["bots"], *image["containers"]])
    names = image["tags"] or [digest.partition("@")[0] for digest in image["digests"]]
    return ", ".join(names), short, size(image["sizeBytes"]), age(image.get("createdAt")), users


@images.command()
@click.argument("reference")
@click.pass_obj
def remove(target: Target, reference: str) -> None:
    """Remove an image that nobody uses, by its name, or by its id as the list shows it."""
    with target.client() as client:
        asked = reference
        if _SHORT_ID.fullmatch(reference):
            ids = [image["id"] for image in client.get("/api/images")["items"]]
            found = [one for one in ids if one.removeprefix("sha256:").startswith(reference)]
            asked = found[0] if len(found) == 1 else reference
        client.delete("/api/images", {"reference": asked})
    click.echo(clean(f"{reference} is removed."))
