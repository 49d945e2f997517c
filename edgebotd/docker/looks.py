"""Which containers look like an OpenClaw gateway, and where it answers. No value of an environment is shown."""

from __future__ import annotations

import ipaddress
import itertools
import posixpath
import re
from collections.abc import Iterator
from typing import Final

from edgebotd.docker.spec import GATEWAY_PORT, STATE_PATH
from edgebotd.docker.violations import ports_of
from edgebotd.protocol.docker.containers import Container
from edgebotd.protocol.fields import mapping, strings

CONFIG_FILE: Final = "openclaw.json"
_PRODUCT: Final = re.compile(r"(?:^|[^a-z])(?:openclaw|clawdbot|moltbot)", re.IGNORECASE)
"""OpenClaw, and what it was called before."""
_VARIABLE: Final = re.compile(r"^(?:OPENCLAW|CLAWDBOT|MOLTBOT)_[A-Z_]+$")
_LABELS: Final = (
    "com.docker.compose.service",
    "com.docker.compose.project",
    "org.opencontainers.image.title",
    "org.opencontainers.image.source",
)
_WRONG_ID: Final = re.compile(r"[^a-z0-9]+")


def reasons(container: Container) -> tuple[str, ...]:
    """Return why an inspected container looks like an OpenClaw gateway, in words; empty where it does not."""
    return tuple(_reasons(container))


def _reasons(container: Container) -> Iterator[str]:
    config = mapping(container.raw.get("Config"))
    if _PRODUCT.search(container.image):
        yield f"its image is {container.image}"
    command = [*strings(config.get("Entrypoint")), *strings(config.get("Cmd"))]
    if "gateway" in command and any(_PRODUCT.search(word) or word.endswith("dist/index.js") for word in command):
        # Not the command itself: a token may stand in it.
        yield "its command starts a gateway"
    if f"{GATEWAY_PORT}/tcp" in {*ports_of(container), *mapping(config.get("ExposedPorts"))}:
        yield f"it has the port {GATEWAY_PORT}"
    if names := sorted(name for name in environment_of(container) if _VARIABLE.match(name)):
        yield f"its environment has {', '.join(names[:3])}"
    for label in _LABELS:
        if _PRODUCT.search(value := container.labels.get(label, "")):
            yield f"its label {label} is {value[:100]}"
            break
    else:
        if _PRODUCT.search(container.name):
            yield "its name says so"


def environment_of(container: Container) -> dict[str, str]:
    """Return a container's environment, secrets included: for looking, not for showing."""
    config = mapping(container.raw.get("Config"))
    return dict(text.partition("=")[::2] for text in strings(config.get("Env")) if "=" in text)


def gateway_port(container: Container) -> int:
    """Return the port on which its gateway listens inside: its command's, its environment's, or the usual one."""
    command = strings(mapping(container.raw.get("Config")).get("Cmd"))
    given = [after for word, after in itertools.pairwise(command) if word == "--port"]
    given += [word.removeprefix("--port=") for word in command if word.startswith("--port=")]
    given.append(environment_of(container).get("OPENCLAW_GATEWAY_PORT", ""))
    ports = (int(text) for text in given if text.isdecimal() and len(text) <= 5)
    return next((port for port in ports if 0 < port <= 65_535), GATEWAY_PORT)


def has_host_network(container: Container) -> bool:
    """Whether it shares this machine's network."""
    return mapping(container.raw.get("HostConfig")).get("NetworkMode") == "host"


def address_of(container: Container) -> tuple[str, int] | None:
    """Return where this machine reaches its gateway, loopback before anything else; None: nowhere."""
    inside = gateway_port(container)
    if has_host_network(container):
        return "127.0.0.1", inside
    places = [(_reached_at(address), port) for address, port in ports_of(container).get(f"{inside}/tcp", ()) if port]
    return min(places, key=lambda place: (place[0] != "127.0.0.1", place), default=None)


def _reached_at(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.is_unspecified:
        return "127.0.0.1" if found.version == 4 else "::1"
    return str(found)


def url_of(address: tuple[str, int]) -> str:
    """Return the gateway's URL at an address."""
    host, port = address
    return f"ws://[{host}]:{port}" if ":" in host else f"ws://{host}:{port}"


def obstacle(container: Container) -> str | None:
    """Return what has to be done before it can be adopted, in words; None for nothing."""
    if container.state != "running":
        return f"It does not run ({container.state}). Start it, then look again."
    if address_of(container) is None:
        port = gateway_port(container)
        return (
            f"Its port {port} is not published, so nothing outside reaches its gateway. Make the container anew with"
            f" -p 127.0.0.1:{port}:{port} (in a compose file: ports: ['127.0.0.1:{port}:{port}']); what is in its"
            " volumes stays."
        )
    return None


def config_paths(container: Container) -> list[str]:
    """Return where in a container its gateway's configuration may be, the likeliest first."""
    environment = environment_of(container)
    found = [environment.get("OPENCLAW_CONFIG_PATH", "")]
    if folder := environment.get("OPENCLAW_STATE_DIR"):
        found.append(f"{folder.rstrip('/')}/{CONFIG_FILE}")
    if home := environment.get("HOME"):
        found.append(f"{home.rstrip('/')}/.openclaw/{CONFIG_FILE}")
    found += [f"{STATE_PATH}/{CONFIG_FILE}", posixpath.join("/", "root", ".openclaw", CONFIG_FILE)]
    return [path for path in dict.fromkeys(found) if path.startswith("/")]


def suggested_id(name: str, taken: frozenset[str]) -> str:
    """Return an id for the bot of a container's name that no other bot has."""
    # What compose makes of project, service and number says the same twice.
    words = list(dict.fromkeys(word for word in _WRONG_ID.sub(" ", name.lower()).split() if not word.isdecimal()))
    plain = [word for word in words if word not in ("gateway", "openclaw")] or words[:1] or ["openclaw"]
    base = "-".join(plain)[:28].rstrip("-")
    return next(one for number in range(1, 10_000) if (one := base if number == 1 else f"{base}-{number}") not in taken)
