"""The layers that settings come from (file, environment, flags) as plain data, each value with its place."""

from __future__ import annotations

import grp
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from typing_extensions import override

from edgebotd.config.positions import Key, position_at, positions

ENV_PREFIX: Final = "EDGEBOTD_"
SEARCHED_NAME: Final = "edgebotd.toml"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. `key` is dotted, "" where it is about no key."""

    place: str
    key: str
    message: str

    @override
    def __str__(self) -> str:
        return f"{self.place}: {self.key}: {self.message}" if self.key else f"{self.place}: {self.message}"


@dataclass(frozen=True)
class Given:
    """Who said what a setting is."""

    origin: Literal["file", "environment", "flag"]
    place: str
    """`edgebotd.toml:12:1`, the variable's name or the flag."""


@dataclass(frozen=True)
class Sources:
    """Where settings come from; a key that is not in `given` has its default.

    All are equal: settings are the same, whoever said so.
    """

    file: Path | None = field(default=None, compare=False)
    given: Mapping[Key, Given] = field(default_factory=dict, compare=False)


@dataclass
class Layers:
    """All layers merged, the higher ones over the lower ones."""

    data: dict[str, Any] = field(default_factory=dict)
    file: Path | None = None
    places: dict[Key, str] = field(default_factory=dict)
    """Who gave a value: `file:line:col`, the variable's name or the flag."""
    spelled_out: dict[Key, bool] = field(default_factory=dict)
    """Whether the place names the key already, as a variable does."""
    findings: list[Finding] = field(default_factory=list)

    def finding(self, key: Key, message: str) -> Finding:
        """Return a finding about a key, at the nearest place that somebody wrote."""
        at = key
        while at and at not in self.places:
            at = at[:-1]
        nobody = str(self.file) if self.file else "configuration"
        inside = (place for given, place in self.places.items() if given[: len(key)] == key)
        place = self.places[at] if at else next(inside, nobody)
        named = at == key and self.spelled_out.get(at, False)
        return Finding(place, "" if named else dotted(key), message)

    def sources(self) -> Sources:
        """Return who said what each setting is, as far as somebody did."""
        return Sources(self.file, dict(self._all_given((), self.data)))

    def _all_given(self, key: Key, table: dict[str, Any]) -> Iterator[tuple[Key, Given]]:
        for name, value in table.items():
            inner = (*key, name)
            if key and (given := self._given(inner)) is not None:
                yield inner, given
            if isinstance(value, dict):
                yield from self._all_given(inner, value)

    def _given(self, key: Key) -> Given | None:
        at = key
        while at and at not in self.places:
            at = at[:-1]
        if not at:
            return None
        place = self.places[at]
        if self.spelled_out.get(at, False):
            return Given("flag" if place.startswith("--") else "environment", place)
        return Given("file", place if self.file is None else place.replace(str(self.file), self.file.name, 1))

    def put(self, key: tuple[str, ...], value: object, place: str) -> None:
        """Set one value of a higher layer, named by its place alone."""
        table = self.data
        for name in key[:-1]:
            inner = table.get(name)
            # What is no table is already a finding of the file; nothing of it is lost by going over it.
            inner = dict(inner) if isinstance(inner, dict) else {}
            table[name] = inner
            table = inner
        table[key[-1]] = value
        for given in [given for given in self.places if given[: len(key)] == key]:
            del self.places[given]
        self.places[key] = place
        self.spelled_out[key] = True


def dotted(key: Key) -> str:
    """Write a path as TOML would: `server.bind[1]`."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else repr(part)
            text += f".{name}" if text else name
    return text


def find_file(env: Mapping[str, str]) -> Path | None:
    """Return the configuration file that is used when `--config` names none, None where there is no file.

    `EDGEBOTD_CONFIG` first, which must exist then; else the first that exists of `edgebotd.toml` in systemd's
    ConfigurationDirectory=, in the user's configuration directory, in /etc/edgebotd. Never the working directory: what
    a program does as root must not depend on where it was started.
    """
    if given := env.get("EDGEBOTD_CONFIG"):
        return Path(given)
    return next((path for path in searched_files(env) if _exists(path)), None)


def _exists(path: Path) -> bool:
    """Whether there is such a file for us: the folder of a service's configuration may be closed to a mere user."""
    try:
        return path.exists()
    except PermissionError:
        return False


def searched_files(env: Mapping[str, str]) -> list[Path]:
    """Return where `find_file` looks, in order."""
    folders = [Path(folder) for folder in env.get("CONFIGURATION_DIRECTORY", "").split(":") if folder]
    home = env.get("XDG_CONFIG_HOME") or os.path.join(env.get("HOME") or os.path.expanduser("~"), ".config")
    return [folder / SEARCHED_NAME for folder in (*folders, Path(home, "edgebotd"), Path("/etc/edgebotd"))]


def read_file(layers: Layers, path: Path) -> None:
    """Add the TOML file. What keeps it from being read or parsed becomes a finding."""
    layers.file = path
    try:
        raw = path.read_bytes()
    except PermissionError:
        group = _group_name()
        how = f"as its owner: chgrp {group} {path} && chmod 640 {path}"
        layers.findings.append(Finding(str(path), "", f"not readable for the user that runs this; {how}"))
        return
    except OSError as exc:
        reason = exc.strerror or "cannot be read"
        hint = "; `edgebotd init` writes a configuration" if isinstance(exc, FileNotFoundError) else ""
        layers.findings.append(Finding(str(path), "", reason + hint))
        return
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        before = raw[: exc.start].decode("utf-8-sig")
        line, column = position_at(before, len(before))
        layers.findings.append(Finding(f"{path}:{line}:{column}", "", "not UTF-8, as TOML must be"))
        return
    try:
        layers.data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        layers.findings.append(_syntax_error(path, text, exc))
        return
    layers.places = {key: f"{path}:{line}:{column}" for key, (line, column) in positions(text).items()}


def _group_name() -> str:
    try:
        return grp.getgrgid(os.getegid()).gr_name
    except KeyError:  # a container may run with a number that has no name
        return str(os.getegid())


def _syntax_error(path: Path, text: str, error: tomllib.TOMLDecodeError) -> Finding:
    # Python 3.14 has attributes for it, the older ones only the message.
    match = re.fullmatch(r"(.*) \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)", str(error), re.DOTALL)
    if match is None:
        return Finding(f"{path}:1:1", "", str(error))
    text = text.replace("\r\n", "\n")
    line, column = (int(match[2]), int(match[3])) if match[2] else position_at(text, len(text))
    return Finding(f"{path}:{line}:{column}", "", match[1])


def read_environment(
    layers: Layers,
    env: Mapping[str, str],
    sections: Mapping[str, object],
    tables: Iterable[Key],
    wants_text: Callable[[tuple[str, ...]], bool],
) -> None:
    """Add the variables `EDGEBOTD_SECTION__KEY`, `EDGEBOTD_BOTS__ID__KEY`, `EDGEBOTD_ALERTS__CHANNELS__ID__KEY`.

    Names are taken in any case; a `_` in an id stands for `-`, which no shell allows in a name. Where the setting
    is text, the value is taken as it is, else as TOML (`10`, `true`, `["a", "b"]`), else as text.
    """
    for name in sorted(env):
        if not name.startswith(ENV_PREFIX):
            continue
        parts = tuple(name.removeprefix(ENV_PREFIX).lower().split("__"))
        if len(parts) == 1:
            section = next((s for s in sections if parts[0].startswith(f"{s}_")), None)
            if section is not None:
                if section == "providers":
                    layers.findings.append(Finding(name, "", "providers are set in the file only: [providers.<id>]"))
                    continue
                right = f"{ENV_PREFIX}{section.upper()}__{parts[0].removeprefix(f'{section}_').upper()}"
                layers.findings.append(Finding(name, "", f"no such setting, did you mean {right}?"))
            continue
        if parts[0] == "providers":
            layers.findings.append(Finding(name, "", "providers are set in the file only: [providers.<id>]"))
            continue
        form = f"{ENV_PREFIX}SECTION__KEY"
        if table := next((table for table in tables if parts[: len(table)] == table), None):
            at = len(table)
            parts = (*parts[:at], *(part.replace("_", "-") for part in parts[at : at + 1]), *parts[at + 1 :])
            form = f"{ENV_PREFIX}{'__'.join(map(str, table)).upper()}__ID__KEY"
        if not all(parts) or len(parts) != form.count("__") + 1:
            layers.findings.append(Finding(name, "", f"must be of the form {form}"))
            continue
        text = env[name]
        layers.put(parts, text if wants_text(parts) else _toml_value(text), name)


def _toml_value(text: str) -> object:
    try:
        document = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    return document["value"] if len(document) == 1 else text


def read_flags(layers: Layers, overrides: Mapping[str, object]) -> None:
    """Add what the command line says: values by dotted key, such as `{"server.bind": (...)}`."""
    for key, value in overrides.items():
        parts = tuple(key.split("."))
        layers.put(parts, value, "--" + parts[-1].replace("_", "-"))
