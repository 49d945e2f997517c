"""The handshake: the parameters of `connect`, the device's proof, and what `hello-ok` tells."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from edgebotd.protocol.fields import integer, mapping, milliseconds, string, strings, words

READ, WRITE = "operator.read", "operator.write"
APPROVALS, ADMIN, PAIRING = "operator.approvals", "operator.admin", "operator.pairing"
FIRST_SCOPES = (READ, WRITE, APPROVALS, ADMIN)
"""What the first pairing asks for: asking for more later makes the gateway want a new approval."""

# Both are closed lists in the gateway, and only this pair gets its scopes without a device (reference, section 2).
CLIENT_ID, CLIENT_MODE = "gateway-client", "backend"
# Part of what a pairing binds: another value later means a new approval.
PLATFORM = "linux"
# What 2026.9.6 announces; 2026.5.28 takes the same and announces nothing.
DEFAULT_MAX_ATTACHMENT, DEFAULT_MAX_IMAGE = 19_464_192, 6_291_456
DEFAULT_MAX_PAYLOAD, DEFAULT_TICK_MS = 26_214_400, 30_000


@dataclass(frozen=True, slots=True)
class Challenge:
    """What the gateway sends first: the nonce to sign, and its clock in Unix milliseconds."""

    nonce: str
    at_ms: int


def parse_challenge(payload: Mapping[str, Any]) -> Challenge | None:
    """Read the payload of a `connect.challenge` event; None when it can't be answered."""
    nonce, at_ms = string(payload.get("nonce")), integer(payload.get("ts"))
    return None if not nonce or at_ms is None else Challenge(nonce, at_ms)


@dataclass(frozen=True, slots=True)
class Device:
    """An Ed25519 identity that a gateway can pair. Its key never shows in `repr`."""

    key: Ed25519PrivateKey = field(repr=False)
    id: str
    """Lower-case hex SHA-256 of the raw public key."""
    public_key: str
    """The raw key, base64url without padding."""

    def pem(self) -> bytes:
        """Return the private key as unencrypted PKCS #8, for a file that only its owner may read."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def device_of(key: Ed25519PrivateKey) -> Device:
    """Return the identity of a key (made with `Ed25519PrivateKey.generate()`)."""
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return Device(key, hashlib.sha256(raw).hexdigest(), _base64url(raw))


def load_device(pem: bytes) -> Device:
    """Read what `Device.pem` wrote.

    Raises:
        ValueError: it is no unencrypted Ed25519 key in PEM.
    """
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Without the cause: its message may quote the file.
        raise ValueError("not an unencrypted private key in PEM form") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("not an Ed25519 key")
    return device_of(key)


def device_proof(device: Device, params: Mapping[str, Any], challenge: Challenge) -> dict[str, Any]:
    """Return the `device` member of connect parameters: the signature of text v3 over them and the challenge."""
    client, auth = params["client"], params.get("auth", {})
    signed = (
        "v3",
        device.id,
        client["id"],
        client["mode"],
        params["role"],
        ",".join(params["scopes"]),
        str(challenge.at_ms),
        auth.get("token") or auth.get("deviceToken") or "",
        challenge.nonce,
        client["platform"].strip().lower(),
        client.get("deviceFamily", "").strip().lower(),
    )
    return {
        "id": device.id,
        "publicKey": device.public_key,
        "signature": _base64url(device.key.sign("|".join(signed).encode())),
        "signedAt": challenge.at_ms,
        "nonce": challenge.nonce,
    }


def connect_params(
    challenge: Challenge,
    *,
    version: str,
    token: str | None = None,
    device: Device | None = None,
    device_token: str | None = None,
    scopes: Sequence[str] = FIRST_SCOPES,
    instance_id: str | None = None,
) -> dict[str, Any]:
    """Build the parameters of `connect`.

    Args:
        challenge: what the gateway sent first.
        version: of this program.
        token: the gateway's shared token; it goes before `device_token`.
        device: identity to prove; without it only the gateway's own loopback gets scopes.
        device_token: what an earlier hello handed out to this device.
        scopes: to ask for; the hello says which were granted.
        instance_id: tells installations apart in the gateway's lists.
    """
    client: dict[str, Any] = {
        "id": CLIENT_ID,
        "displayName": "edgebotd",
        "version": version,
        "platform": PLATFORM,
        "mode": CLIENT_MODE,
    }
    if instance_id is not None:
        client["instanceId"] = instance_id
    auth = {"token": token} if token else {"deviceToken": device_token} if device_token else {}
    params: dict[str, Any] = {
        # A gateway before 2026.5.12 spoke 3; one that speaks 4 takes any range with 4 in it.
        "minProtocol": 3,
        "maxProtocol": 4,
        "client": client,
        "role": "operator",
        "scopes": list(scopes),
        # Without it the `tool` stream does not come for runs that this connection starts.
        "caps": ["tool-events"],
        "auth": auth,
    }
    if device is not None:
        params["device"] = device_proof(device, params, challenge)
    return params


@dataclass(frozen=True, slots=True)
class Hello:
    """What a gateway tells on a connection that it accepted."""

    protocol: int
    version: str
    boot_id: str | None
    """New at each start of the gateway; None from 2026.5.28."""
    uptime_ms: int | None
    """How long the gateway's process had been running."""
    scopes: frozenset[str]
    methods: frozenset[str]
    tick_interval_ms: int
    max_payload: int
    max_attachment_bytes: int
    max_image_bytes: int
    default_agent_id: str
    main_key: str
    device_token: str | None = field(repr=False)

    @property
    def has_rights(self) -> bool:
        """Whether chat works. Off the gateway's loopback a connection without a device gets no scopes at all."""
        return {READ, WRITE} <= self.scopes or ADMIN in self.scopes

    @property
    def missing_scopes(self) -> list[str]:
        """Scopes of `FIRST_SCOPES` that were not granted."""
        return [scope for scope in FIRST_SCOPES if scope not in self.scopes]

    def can(self, method: str) -> bool:
        """Tell whether the gateway has a method; one that lists none is taken to have all."""
        return not self.methods or method in self.methods


def parse_hello(payload: object) -> Hello | None:
    """Read the payload of the response to `connect`; None when it is no hello."""
    hello = mapping(payload)
    if hello.get("type") != "hello-ok":
        return None
    server, auth, policy = mapping(hello.get("server")), mapping(hello.get("auth")), mapping(hello.get("policy"))
    limits = mapping(policy.get("attachments"))
    defaults = mapping(mapping(hello.get("snapshot")).get("sessionDefaults"))
    return Hello(
        protocol=integer(hello.get("protocol")) or 0,
        version=words(server.get("version")) or "unknown",
        boot_id=words(server.get("bootId")),
        uptime_ms=milliseconds(mapping(hello.get("snapshot")).get("uptimeMs")),
        scopes=frozenset(strings(auth.get("scopes"))),
        methods=frozenset(strings(mapping(hello.get("features")).get("methods"))),
        tick_interval_ms=_positive(policy.get("tickIntervalMs"), DEFAULT_TICK_MS),
        max_payload=_positive(policy.get("maxPayload"), DEFAULT_MAX_PAYLOAD),
        max_attachment_bytes=_positive(limits.get("maxBytes"), DEFAULT_MAX_ATTACHMENT),
        max_image_bytes=_positive(limits.get("maxImageBytes"), DEFAULT_MAX_IMAGE),
        default_agent_id=words(defaults.get("defaultAgentId")) or "main",
        main_key=words(defaults.get("mainKey")) or "main",
        device_token=string(auth.get("deviceToken")) or None,
    )


def _positive(value: object, default: int) -> int:
    number = integer(value)
    return number if number is not None and number > 0 else default


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
