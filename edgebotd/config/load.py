"""From the layers to checked settings; all that is wrong is found in one go."""

from __future__ import annotations

import difflib
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from edgebotd.config.alerts import AlertChannelSettings, ChannelId
from edgebotd.config.credentials import (
    SecretError,
    check_secret,
    open_to_group,
    read_secret_credential,
    read_secret_file,
)
from edgebotd.config.positions import Key
from edgebotd.config.providers import ProviderId, ProviderSettings
from edgebotd.config.section import Section, inner_section, secrets_of
from edgebotd.config.settings import BotSettings, Settings, default_socket, default_state_dir
from edgebotd.config.sources import Finding, Layers, dotted, find_file, read_environment, read_file, read_flags
from edgebotd.config.values import BotId
from edgebotd.errors import EdgebotdError

logger = logging.getLogger(__name__)

S = TypeVar("S", bound=Section)

SECTIONS: Final[dict[str, type[Section]]] = {
    name: info.annotation
    for name, info in Settings.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, Section)
}
TABLES: Final[dict[Key, tuple[type[Section], TypeAdapter[str], str]]] = {
    ("bots",): (BotSettings, TypeAdapter(BotId), "a bot"),
    ("providers",): (ProviderSettings, TypeAdapter(ProviderId), "a provider"),
    ("alerts", "channels"): (AlertChannelSettings, TypeAdapter(ChannelId), "a channel"),
}
"""What has a table for each of several: [bots.<id>], [alerts.channels.<id>]."""
_PATHS: Final = (
    ("storage", "state_dir"),
    ("server", "socket"),
    ("server", "tls_certificate"),
    ("server", "tls_key"),
    ("accounts", "key_file"),
)
_PATHS_OF_TABLES: Final = (
    (("bots",), ("token_file",)),
    (("providers",), ("oauth", "client_secret_file")),
    (("alerts", "channels"), ("url_file",)),
    (("alerts", "channels"), ("secret_file",)),
)


class ConfigError(EdgebotdError):
    """The configuration cannot be used. `findings` has one entry for each thing that is wrong."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in findings))


def load(
    path: Path | None = None,
    env: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
    *,
    warn: Callable[[str], None] = logger.warning,
    search: bool = True,
    defaults: Mapping[str, object] | None = None,
) -> Settings:
    """Read, merge and check the settings: defaults < file < environment < flags.

    Reads the files that hold secrets too; relative paths in the file are relative to the file.

    Args:
        path: the file; None for the first that `find_file` finds, or none at all.
        env: the process's environment unless given.
        overrides: what flags say, by dotted key.
        warn: gets a sentence for each thing that is allowed but unwise.
        search: whether to look for a file where `path` is None.
        defaults: other defaults than the settings' own, by dotted key.

    Raises:
        ConfigError: with every finding.
    """
    env = os.environ if env is None else env
    layers = Layers()
    if path is None and search:
        path = find_file(env)
    if path is not None:
        read_file(layers, path)
        _anchor_paths(layers, path.absolute().parent)
    read_environment(layers, env, Settings.model_fields, TABLES, _wants_text)
    read_flags(layers, overrides or {})
    sources = layers.sources()
    places = {"storage.state_dir": str(default_state_dir(env)), "server.socket": str(default_socket(env))}
    # The defaults of paths depend on the environment, which the models know only as the process's own.
    _fill(layers.data, {**places, **(defaults or {})})
    return _Checker(layers, env, warn).settings().told_by(sources)


def _anchor_paths(layers: Layers, folder: Path) -> None:
    """Make the file's relative paths relative to the file."""
    paths: list[Key] = list(_PATHS)
    for several, path in _PATHS_OF_TABLES:
        ids = _at(layers.data, several)
        paths += [(*several, one, *path) for one in ids] if isinstance(ids, dict) else []
    for *tables, key in paths:
        table = _at(layers.data, tables)
        if isinstance(table, dict) and isinstance(value := table.get(key), str) and value.strip():
            table[key] = str(folder / os.path.expanduser(value))


def _at(data: Any, key: Iterable[str | int]) -> Any:
    """Return what is at a path, None where there is nothing, or something else on the way."""
    for name in key:
        data = data.get(name) if isinstance(data, dict) else None
    return data


def _fill(data: dict[str, Any], defaults: Mapping[str, object]) -> None:
    """Set what nobody has said."""
    for key, value in defaults.items():
        *tables, name = key.split(".")
        table: Any = data
        for one in tables:
            table = table.setdefault(one, {}) if isinstance(table, dict) else None
        if isinstance(table, dict):
            table.setdefault(name, value)


def _wants_text(key: tuple[str, ...]) -> bool:
    """Whether a setting is text, so that a variable's value is taken as it is."""
    model = TABLES[key[:-2]][0] if key[:-2] in TABLES else SECTIONS.get(key[0])
    info = model.model_fields.get(key[-1]) if model else None
    return info is not None and _is_text(info.annotation)


def _is_text(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_text(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return all(_is_text(part) for part in get_args(annotation) if part is not NoneType)
    if origin is Literal:
        return True
    return isinstance(annotation, type) and issubclass(annotation, str | Path | SecretStr)


class _Checker:
    """One pass over the merged data. Sections are checked apart, so that a mistake in one hides none in another."""

    def __init__(self, layers: Layers, env: Mapping[str, str], warn: Callable[[str], None]) -> None:
        self._layers = layers
        self._env = env
        self._warn = warn
        self._findings = layers.findings

    def settings(self) -> Settings:
        data = self._layers.data
        for name in data:
            if name not in Settings.model_fields:
                self._say((name,), _unknown(name, "section", Settings.model_fields))
        sections: dict[str, Any] = {}
        for name, model in SECTIONS.items():
            sections[name] = self._section((name,), model, data.get(name, {}))
        bots = self._tables(("bots",), data.get("bots", {}))
        providers = self._tables(("providers",), data.get("providers", {}))
        self._hosts(sections["server"], bots)
        if self._findings:
            raise ConfigError(sorted(self._findings, key=_reading_order))
        return Settings(**sections, bots=bots, providers=providers)

    def _say(self, key: Key, message: str) -> None:
        self._findings.append(self._layers.finding(key, message))

    def _section(self, key: Key, model: type[S], data: object) -> S | None:
        """Check a table and those in it; return it with its secrets read, None where anything is wrong with it."""
        if not isinstance(data, dict):
            self._say(key, f"must be a table: [{'.'.join(str(part) for part in key)}]")
            return None
        data, inner_wrong = self._inner(key, model, data)
        secrets = {name: self._secret(key, name, data) for name in secrets_of(model)}
        try:
            section = model.model_validate(data)
        except ValidationError as exc:
            wrong = set(inner_wrong)
            for error in exc.errors(include_url=False, include_input=False):
                # One that is missing only because it is wrong was told already.
                if error["loc"][0] not in inner_wrong:
                    self._say(*self._explained(key, model, error))
                wrong.add(error["loc"][0])
            self._contradictions_beside(key, model, data, wrong)
            return None
        if inner_wrong:
            self._contradictions_beside(key, model, data, inner_wrong)
            return None
        for name, message in section.contradictions():
            self._say(_inside(key, name), message)
        if secrets:
            section = section.model_copy(update=secrets)
            for name, message in section.wrong_secrets():
                assert isinstance(name, str)
                self._say((*key, next(way for way in _ways(name) if way in data)), message)
        return section

    def _inner(self, key: Key, model: type[S], data: dict[str, Any]) -> tuple[dict[str, Any], set[str | int]]:
        """Check the tables inside of a table apart; return it with them made, or taken out, and which were wrong."""
        made, wrong = dict(data), set[str | int]()
        for name, info in model.model_fields.items():
            inner, holder = inner_section(info.annotation)
            if inner is None or name not in data:
                continue
            given, before = data[name], len(self._findings)
            if holder is dict:
                made[name] = self._tables((*key, name), given)
            elif holder is None:
                made[name] = self._section((*key, name), inner, given)
            elif isinstance(given, list):
                made[name] = tuple(self._section((*key, name, at), inner, one) for at, one in enumerate(given))
            if len(self._findings) > before:
                del made[name]
                wrong.add(name)
        return made, wrong

    def _contradictions_beside(self, key: Key, model: type[S], data: dict[str, Any], wrong: set[str | int]) -> None:
        """Find what else is wrong in a section, as far as it does not follow from the values that are."""
        try:
            rest = model.model_validate({name: value for name, value in data.items() if name not in wrong})
        except ValidationError:
            return
        for name, message in rest.contradictions():
            at = _inside((), name)
            if not any(one == at[0] or str(one) in re.findall(r"\w+", message) for one in wrong):
                self._say((*key, *at), message)

    def _explained(self, key: Key, model: type[BaseModel], error: ErrorDetails) -> tuple[Key, str]:
        loc = error["loc"]
        if error["type"] == "extra_forbidden":
            name = str(loc[-1])
            elsewhere = [s for s, other in SECTIONS.items() if name in other.model_fields and other is not model]
            if elsewhere and name not in model.model_fields:
                return (*key, name), f"unknown setting here; it belongs in [{elsewhere[0]}]"
            return (*key, name), _unknown(name, "setting", model.model_fields)
        # A union's member (IPv4Network, IPv6Network) appears in the location; it is no part of the path, and one error
        # for the value is enough.
        path: list[str | int] = []
        info = model.model_fields.get(str(loc[0]))
        keys = 2 if info is not None and get_origin(info.annotation) is dict else 1
        for part in loc:
            if isinstance(part, str) and len(path) >= keys and part not in model.model_fields:
                break
            path.append(part)
        return (*key, *path), _plain(error)

    def _tables(self, key: Key, data: object) -> dict[str, Any]:
        """Check the tables of several, one by one."""
        model, of_id, what = TABLES[key]
        if not isinstance(data, dict):
            self._say(key, f"must be tables: [{dotted(key)}.<id>]")
            return {}
        found = {}
        for one, table in data.items():
            try:
                of_id.validate_python(one)
            except ValidationError:
                self._say((*key, one), f"{what}'s id has 1 to 32 of a-z, 0-9 and -, and does not begin with -")
            if (section := self._section((*key, one), model, table)) is not None:
                found[one] = section
        return found

    def _secret(self, key: Key, name: str, table: dict[str, Any]) -> SecretStr | None:
        """Return a secret that may be given in three ways, once."""
        given = [way for way in _ways(name) if way in table]
        for way in given[1:]:
            self._say((*key, way), f"there is {given[0]} too ({self._place(key, given[0])}); keep one of them")
        if len(given) != 1 or not isinstance(table[given[0]], str):
            return None
        value = table[given[0]]
        try:
            if given[0] == name:
                self._warn_of_open_file((*key, name))
                return SecretStr(check_secret(value))
            if given[0] == f"{name}_file":
                secret, loose = read_secret_file(Path(os.path.expanduser(value)))
                if loose:
                    self._warn(str(self._layers.finding((*key, given[0]), loose)))
                return SecretStr(secret)
            return SecretStr(read_secret_credential(value, self._env))
        except SecretError as exc:
            self._say((*key, given[0]), str(exc))
        except ValueError:
            self._say((*key, given[0]), "not a credential's name")
        return None

    def _place(self, key: Key, name: str) -> str:
        return self._layers.places.get((*key, name), dotted_place(key, name))

    def _warn_of_open_file(self, key: Key) -> None:
        file = self._layers.file
        in_file = not self._layers.spelled_out.get(key, False)
        if not in_file or file is None:
            return
        status = file.stat()
        if status.st_mode & 0o007 or open_to_group(status):
            self._warn(
                str(self._layers.finding(key, f"other users can read this file and the secret; run: chmod 600 {file}"))
            )

    def _hosts(self, server: Any, bots: Mapping[str, BotSettings]) -> None:
        """A request's Host decides what it is shown, so no two may share one."""
        taken: dict[str, str] = {}
        for key, host in _hosts_of(server, bots):
            if host in taken:
                self._say(key, f"{host} is the host of {taken[host]} too; each needs its own")
            else:
                taken[host] = ".".join(str(part) for part in key)


def _inside(key: Key, name: str | Key) -> Key:
    return (*key, name) if isinstance(name, str) else (*key, *name)


def _ways(name: str) -> tuple[str, str, str]:
    """Return the keys by which a secret may be given."""
    return name, f"{name}_file", f"{name}_credential"


def dotted_place(key: Key, name: str) -> str:
    """Name a value that no layer's place is known of."""
    return ".".join(str(part) for part in (*key, name))


def _hosts_of(server: Any, bots: Mapping[str, BotSettings]) -> Iterator[tuple[Key, str]]:
    if server is not None and server.public_url is not None:
        yield ("server", "public_url"), _host_of(server.public_url)
    if server is not None and server.chat_host is not None:
        yield ("server", "chat_host"), server.chat_host
    for bot_id, bot in bots.items():
        if bot.host is not None:
            yield ("bots", bot_id, "host"), bot.host


def _host_of(origin: str) -> str:
    return origin.split("://", 1)[1].rsplit(":", 1)[0] if origin.count(":") > 1 else origin.split("://", 1)[1]


def _unknown(name: str, what: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name.lower().replace("-", "_"), known, 1)
    return f"unknown {what}, did you mean {near[0]!r}?" if near else f"unknown {what}"


_WORDS: Final = {
    "missing": "is required",
    "int_type": "must be a whole number, without quotes",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number, without quotes",
    "bool_type": "must be true or false, without quotes",
    "string_type": "must be text in quotes",
    "path_type": "must be text in quotes",
    "tuple_type": "must be a list in square brackets",
    "string_pattern_mismatch": "may hold letters, digits, _ and - only, and must not be empty",
}
"""pydantic's kinds of errors that need other words for someone who writes TOML."""


def _plain(error: ErrorDetails) -> str:
    if words := _WORDS.get(error["type"]):
        return words
    message = error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return message[0].lower() + message[1:]


def _reading_order(finding: Finding) -> tuple[bool, str, int, int]:
    """The file by line, then variables and flags by name."""
    file, _, rest = finding.place.partition(":")
    numbers = [int(part) for part in rest.split(":") if part.isdigit()] + [0, 0]
    return not rest, file, numbers[0], numbers[1]
