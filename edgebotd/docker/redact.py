"""Takes secrets out of what a container writes: those that are known, and what looks like one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from edgebotd import logs
from edgebotd.protocol.docker.containers import Container
from edgebotd.protocol.fields import mapping, sequence
from edgebotd.store import containers as rows
from edgebotd.store.database import Database

Redact = Callable[[str], str]

SHORTEST: Final = 6
_SECRET_NAME: Final = re.compile(
    r"TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|AUTH|COOKIE|API_?KEY|_KEY$|^KEY$", re.I
)
_HEAD: Final = r"[\"']?\s*[:=]\s*[\"']?"
_SHAPES: Final = (
    # "Authorization: Bearer ...", in a header, a repr, JSON.
    (re.compile(rf"(?i)(authorization{_HEAD}(?:(?:bearer|basic|token)\s+)?)[^\s\"',;]{{{SHORTEST},}}"), r"\1"),
    (re.compile(r"(?i)(\bbearer\s+)[A-Za-z0-9._~+/=-]{8,}"), r"\1"),
    (re.compile(rf"(?i)((?:api[_-]?key|token|secret|passw(?:or)?d){_HEAD})[^\s\"'&,;}}]{{{SHORTEST},}}"), r"\1"),
    # https://user:password@host
    (re.compile(r"(?i)(\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{0,64}:)[^\s/@]{1,256}(?=@)"), r"\1"),
    # Keys of model providers, GitHub, GitLab, Stripe, Hugging Face, npm, Slack, AWS, Google; a Telegram bot's token;
    # JSON Web Tokens; private keys.
    (re.compile(r"()\b(?:sk|pk|rk|xai|pplx|tvly|nvapi)-[A-Za-z0-9_-]{16,}"), r"\1"),
    (re.compile(r"()\b(?:gh[opusr]_|github_pat_|glpat-|gsk_|hf_|npm_)[A-Za-z0-9_-]{20,}"), r"\1"),
    (re.compile(r"()\b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}"), r"\1"),
    (re.compile(r"()\bxox[a-z]-[A-Za-z0-9-]{10,}"), r"\1"),
    (re.compile(r"()\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), r"\1"),
    (re.compile(r"(-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----)[^-]+"), r"\1"),
    (re.compile(r"()\bAIza[A-Za-z0-9_-]{30,}"), r"\1"),
    (re.compile(r"()\b[0-9]{8,10}:[A-Za-z0-9_-]{35}\b"), r"\1"),
    (re.compile(r"()\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"), r"\1"),
)


# Colours and other commands to a terminal: logs have them between a name and its value, where no secret looks like one.
_COMMAND: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")


def redact_shapes(text: str) -> str:
    """Replace what looks like a secret."""
    for pattern, head in _SHAPES:
        text = pattern.sub(head + logs.REDACTED, text)
    return text


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name holds a secret, by what people call theirs."""
    return _SECRET_NAME.search(name) is not None


def secrets_of(container: Container, names: frozenset[str]) -> list[str]:
    """Return values of an inspected container's environment that are secret by their name, or by the spec's word."""
    found = []
    for entry in sequence(mapping(container.raw.get("Config")).get("Env")):
        name, _, value = entry.partition("=") if isinstance(entry, str) else ("", "", "")
        if len(value) >= SHORTEST and (name in names or is_secret_name(name)):
            found.append(value)
    return found


async def redactor(database: Database, bot_id: str, container: Container) -> Redact:
    """Return what takes secrets out of lines of this container."""
    stored = await database.read(lambda conn: rows.get(conn, bot_id))
    spec = {} if stored is None else stored.spec
    named = mapping(spec.get("secretEnvironment") or spec.get("secret_environment"))
    return redact_all(secrets_of(container, frozenset(named)))


def redact_all(secrets: Iterable[str]) -> Redact:
    """Return what takes these secrets, all that the daemon knows, and what looks like one out of a line of output."""
    own = logs.Secrets()
    for secret in secrets:
        own.add(secret)

    def redact(text: str) -> str:
        return redact_shapes(own.redact(logs.redact(_COMMAND.sub("", text))))

    return redact
