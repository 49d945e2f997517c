"""Samples in the documents: configurations load, commands exist, sessions and examples run as they are printed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import xml.dom.minidom
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from edgebotd.cli import root
from edgebotd.config import load
from tests.cli.place import DEADLINE, PROGRAM, Place, stop, until

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
DEMO_ADDRESS = "http://127.0.0.1:8787"


@dataclass(frozen=True)
class Sample:
    """One fenced block of a document."""

    document: Path
    number: int
    language: str
    text: str


def _samples(*languages: str) -> list[Sample]:
    found = []
    for document in DOCUMENTS:
        # Indented ones belong to a list.
        blocks = re.findall(r"^( *)```(\w+)\n(.*?)^\1```$", document.read_text(), re.MULTILINE | re.DOTALL)
        for number, (_, language, text) in enumerate(blocks):
            if language in languages:
                found.append(Sample(document, number, language, text))
    assert found, languages
    return found


def _name(sample: Sample) -> str:
    return f"{sample.document.stem}-{sample.number}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.stem)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text())
    gone = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert not gone


def test_modules_that_documents_name_exist_and_every_package_is_told_of() -> None:
    there = {path.name for folder in ("edgebotd", "tests", "docs") for path in (ROOT / folder).rglob("*.py")}
    named = {name for document in DOCUMENTS for name in re.findall(r"\b([a-z_0-9]+\.py)\b", document.read_text())}
    assert not named - there
    architecture = (ROOT / "docs" / "architecture.md").read_text()
    packages = {path.parent.name for path in (ROOT / "edgebotd").glob("*/__init__.py")}
    assert not {name for name in packages if f"`{name}`" not in architecture}


@pytest.mark.parametrize("picture", sorted((ROOT / "docs").glob("*.svg")), ids=lambda picture: picture.stem)
def test_pictures_can_be_read_in_the_dark_and_aloud(picture: Path) -> None:
    text = picture.read_text()
    drawing = xml.dom.minidom.parseString(text).documentElement
    assert drawing is not None
    assert drawing.getElementsByTagName("title") and drawing.getElementsByTagName("desc")
    assert "prefers-color-scheme: dark" in text


@pytest.mark.parametrize("sample", _samples("toml"), ids=_name)
def test_a_sample_of_the_configuration_loads(sample: Sample, tmp_path: Path) -> None:
    file = tmp_path / "edgebotd.toml"
    file.write_text(sample.text.replace('"/etc/edgebotd/', f'"{tmp_path}/'))
    file.chmod(0o600)
    for secret in re.findall(r'^token_(?:file|credential) = "(?:[^"\n]*/)?([^"\n]+)"', sample.text, re.MULTILINE):
        (tmp_path / secret).write_text("s3cret\n")
        (tmp_path / secret).chmod(0o600)
    load(file, {"HOME": str(tmp_path), "CREDENTIALS_DIRECTORY": str(tmp_path)})


def _commands(sample: Sample) -> Iterator[list[str]]:
    """Yield the arguments of each call of edgebotd in a sample for the shell."""
    text = sample.text.replace("\\\n", " ")
    if sample.language == "console":
        text = "\n".join(line[2:] for line in text.splitlines() if line.startswith("$ "))
    for call in re.findall(r"(?:^|[|;(]|\s|/)edgebotd (?=[a-z-])([^|;)\n]*)", text):
        yield shlex.split(call.replace("…", ""), comments=True)


@pytest.mark.parametrize("sample", _samples("sh", "console"), ids=_name)
def test_every_command_of_a_sample_is_one(sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for secret in re.findall(r"--(?:token-)?file (\S+)", sample.text):
        (tmp_path / secret).touch()
    for words in _commands(sample):
        command: click.Command = root
        arguments = words[: words.index(">")] if ">" in words else words
        context = click.Context(root, info_name="edgebotd")
        while isinstance(command, click.Group) and (arguments or not command.invoke_without_command):
            with command.make_context(context.info_name, list(arguments), parent=None) as context:
                name, found, arguments = command.resolve_command(context, [*context._protected_args, *context.args])
            assert found is not None, f"{words}: no command {name}"
            command, context = found, click.Context(found, info_name=name)
        command.make_context(command.name, list(arguments)).close()


# Run for real


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, str]]:
    """Run a demo; yields its user's surroundings and its address."""
    place = Place(tmp_path_factory.mktemp("reader"))
    with place.demo() as (process, printed):
        address = re.search(r"http://127\.0\.0\.1:\d+", printed)
        assert address is not None
        yield place, address[0]
        assert stop(process) == 0


_CHANGING = (
    (r"\b\d{4}-\d\d-\d\d \d\d:\d\d\b", "DATE"),
    (r"\b\d\d:\d\d:\d\d\b", "TIME"),
    (r"\bc_[a-z0-9]{20}\b", "CONVERSATION"),
    (r"\b\d+ (s|min|h|d)\b", "AGE"),
    (r" +", " "),
)


def _lasting(text: str) -> list[str]:
    """Return the lines without what is another at each run."""
    for pattern, word in _CHANGING:
        text = re.sub(pattern, word, text)
    return [line.rstrip() for line in text.strip().splitlines()]


def test_the_session_of_the_readme_is_as_printed(demo: tuple[Place, str]) -> None:
    place, _ = demo
    watch, talk = (sample.text for sample in _samples("console") if sample.document.name == "README.md")
    first, _, expected = watch.partition("\n")
    with place.started(*shlex.split(first)[2:]) as events:
        printed = until(events, "Connected as")
        for step in re.split(r"^\$ edgebotd ", talk, flags=re.MULTILINE)[1:]:
            call, _, shown = step.partition("\n")
            assert _lasting(place.run(*shlex.split(call))) == _lasting(shown), call
        printed += until(events, "finished")
        events.kill()
    assert _lasting(printed) == _lasting(expected)


def test_the_examples_of_the_http_api_run_as_they_are(demo: tuple[Place, str], tmp_path: Path) -> None:
    place, address = demo
    if shutil.which("curl") is None or shutil.which("bash") is None:
        pytest.skip("needs curl and bash")
    script = [f'set -eu\nexport EDGEBOTD TOKEN\nedgebotd() {{ {shlex.join(PROGRAM)} "$@"; }}\n']
    for sample in _samples("sh", "python"):
        if sample.document.name == "http-api.md":
            text = sample.text.replace("curl -fsS", "curl --fail-with-body -sS")
            script.append(text if sample.language == "sh" else f"{sys.executable} - <<'END'\n{text}END\n")
    [socket] = (place.folder / "tmp").glob("edgebotd-demo-*/edgebotd.sock")
    env = {**place.env, "EDGEBOTD_SOCKET": str(socket), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        ["bash", "-c", "\n".join(script).replace(DEMO_ADDRESS, address)],
        cwd=tmp_path, env=env, capture_output=True, text=True, timeout=DEADLINE,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert '"verdict":"exact"' in done.stdout
    assert '"text":"You have mail."' in done.stdout, "the WebSocket shows the plugin's message"


def test_a_backup_made_as_the_document_says_is_whole(demo: tuple[Place, str], tmp_path: Path) -> None:
    place, _ = demo
    place.run("chat", "echo", "--new", "[[say This is worth keeping.]]")
    [state] = (place.folder / "tmp").glob("edgebotd-demo-*")
    [backup] = [sample.text for sample in _samples("sh") if "BACKUP=" in sample.text]
    backup = backup.replace("/var/lib/edgebotd", str(state)).replace("/var/backups/edgebotd", str(tmp_path / "b"))
    subprocess.run(["sh", "-eu", "-c", backup], check=True, env=place.env)
    with place.demo("--state-dir", str(tmp_path / "b")) as (restored, _):
        socket = str(tmp_path / "b" / "edgebotd.sock")
        assert "This is worth keeping." in place.run("--socket", socket, "search", "worth keeping")
        assert stop(restored) == 0
