"""The handshake, and what refusals mean."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from edgebotd.protocol.openclaw import (
    Challenge,
    Event,
    Kind,
    Response,
    canonical_session_key,
    classify,
    classify_close,
    classify_http,
    connect_params,
    device_of,
    load_device,
    parse_challenge,
    parse_frame,
    parse_hello,
    parse_shutdown,
    request,
)
from tests.protocol.openclaw_frames import errors, frames

CHALLENGE = Challenge("the-nonce", 1_795_470_802_571)


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_token_goes_into_the_parameters_and_the_range_holds_both_protocols() -> None:
    params = connect_params(CHALLENGE, version="1.2.3", token="secret", scopes=["operator.read"])
    assert params["auth"] == {"token": "secret"} and "device" not in params
    assert (params["minProtocol"], params["maxProtocol"]) == (3, 4)
    assert (params["client"]["id"], params["client"]["mode"]) == ("gateway-client", "backend")
    assert params["scopes"] == ["operator.read"] and params["caps"] == ["tool-events"]


def test_device_signs_text_v3_over_parameters_and_challenge() -> None:
    device = device_of(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    params = connect_params(CHALLENGE, version="1", device=device, device_token="dt", scopes=["a", "b"])
    proof = params["device"]
    assert params["auth"] == {"deviceToken": "dt"}
    assert proof["id"] == hashlib.sha256(decode(proof["publicKey"])).hexdigest()
    assert (proof["signedAt"], proof["nonce"]) == (CHALLENGE.at_ms, CHALLENGE.nonce)
    text = f"v3|{device.id}|gateway-client|backend|operator|a,b|1795470802571|dt|the-nonce|linux|"
    # Raises when it was made over any other text.
    device.key.public_key().verify(decode(proof["signature"]), text.encode())


def test_device_survives_its_file_and_hides_its_key() -> None:
    device = device_of(Ed25519PrivateKey.generate())
    again = load_device(device.pem())
    assert (again.id, again.public_key) == (device.id, device.public_key)
    assert "Private" not in repr(device)


def test_file_that_is_no_device_key_is_refused_without_quoting_it() -> None:
    other = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for pem in (b"", b"canary-secret", other):
        with pytest.raises(ValueError, match="not an") as caught:
            load_device(pem)
        assert "canary" not in str(caught.value) and caught.value.__cause__ is None


def hello_of(scenario: str) -> Response:
    return next(f for f in frames(scenario) if isinstance(f, Response) and parse_hello(f.payload) is not None)


def test_hello_of_the_current_version() -> None:
    hello = parse_hello(hello_of("9.6:turn").payload)
    assert hello is not None and hello.has_rights
    assert (hello.version, hello.protocol, hello.tick_interval_ms) == ("2026.9.6", 4, 30_000)
    assert hello.boot_id and hello.max_payload == 26_214_400
    assert (hello.max_attachment_bytes, hello.max_image_bytes) == (19_464_192, 6_291_456)
    assert (hello.default_agent_id, hello.main_key) == ("main", "main")
    assert hello.can("chat.send") and not hello.can("no.such.method")
    assert hello.missing_scopes == ["operator.approvals", "operator.admin"]


def test_hello_of_the_older_version_lacks_what_it_lacks() -> None:
    hello = parse_hello(hello_of("5.28:turn").payload)
    assert hello is not None and hello.has_rights
    assert hello.version == "2026.5.28" and hello.boot_id is None
    assert (hello.max_attachment_bytes, hello.max_image_bytes) == (19_464_192, 6_291_456)


def test_hello_that_grants_no_scopes_has_no_rights() -> None:
    hello = parse_hello(hello_of("cli/backend").payload)
    assert hello is not None and not hello.has_rights and hello.scopes == frozenset()


def test_hello_hides_the_device_token() -> None:
    hello = parse_hello({"type": "hello-ok", "auth": {"deviceToken": "canary"}})
    assert hello is not None and hello.device_token == "canary" and "canary" not in repr(hello)
    assert parse_hello({"type": "other"}) is None and parse_hello(None) is None


@pytest.mark.parametrize(
    ("scenario", "kind", "code"),
    [
        ("backend+badtoken", Kind.BAD_CREDENTIALS, "AUTH_TOKEN_MISMATCH"),
        ("backend+notoken", Kind.BAD_CREDENTIALS, "DEVICE_IDENTITY_REQUIRED"),
        ("dev-cli-badsig", Kind.BAD_CREDENTIALS, "DEVICE_AUTH_SIGNATURE_INVALID"),
        ("backend+proto3", Kind.PROTOCOL_MISMATCH, "PROTOCOL_MISMATCH"),
        ("backend+origin", Kind.ORIGIN_REFUSED, "CONTROL_UI_ORIGIN_NOT_ALLOWED"),
        ("custom-client-id", Kind.INVALID, "INVALID_REQUEST"),
        ("lan:backend+token", Kind.NO_RIGHTS, "MISSING_SCOPE"),
        ("idem", Kind.CONFLICT, "INVALID_REQUEST"),
        ("admin", Kind.RESTARTING, "UNAVAILABLE"),
        ("re", Kind.RESTARTING, "UNAVAILABLE"),
    ],
)
def test_recorded_refusals_are_told_apart(scenario: str, kind: Kind, code: str) -> None:
    trouble = classify(errors(scenario)[-1])
    assert (trouble.kind, trouble.code) == (kind, code)
    assert trouble.detail[0].isupper()


def test_pairing_names_the_request_and_the_command_that_approves_it() -> None:
    (error,) = errors("lan:dev-backend") if len(errors("lan:dev-backend")) == 1 else errors("lan:dev-backend")[-1:]
    trouble = classify(error)
    assert trouble.kind is Kind.NEEDS_PAIRING and trouble.kind.needs_person and trouble.reason == "not-paired"
    assert trouble.request_id and trouble.device_id
    assert trouble.approve_command == f"openclaw devices approve {trouble.request_id}"


def test_request_id_that_is_no_id_never_reaches_a_command_line() -> None:
    for evil in ("x; rm -rf /", "--all", "a" * 200, "a\nb", 7, None):
        trouble = classify({"code": "NOT_PAIRED", "details": {"code": "PAIRING_REQUIRED", "requestId": evil}})
        assert trouble.kind is Kind.NEEDS_PAIRING and trouble.approve_command is None


def test_waiting_time_is_taken_within_reason() -> None:
    for given, taken in ((1000, 1000), (-5, 0), (10**12, 300_000), ("soon", None)):
        trouble = classify({"code": "UNAVAILABLE", "message": "busy", "retryAfterMs": given})
        assert (trouble.kind, trouble.retry_after_ms) == (Kind.UNAVAILABLE, taken)


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (1012, "service restart", Kind.RESTARTING),
        (1013, "gateway starting", Kind.RESTARTING),
        (1006, None, Kind.LOST),
        (None, None, Kind.LOST),
        (1000, None, Kind.LOST),
        (1002, "protocol mismatch", Kind.PROTOCOL_MISMATCH),
        (1008, "pairing required: device is not approved yet", Kind.NEEDS_PAIRING),
        (1008, "unauthorized: gateway token mismatch", Kind.BAD_CREDENTIALS),
        (1008, "slow consumer", Kind.LOST),
        (1009, "max payload", Kind.INVALID),
        (4000, "tick timeout", Kind.LOST),
    ],
)
def test_close_codes(code: int | None, reason: str | None, kind: Kind) -> None:
    assert classify_close(code, reason).kind is kind


def test_http_refusals_of_the_upgrade() -> None:
    kinds = {status: classify_http(status).kind for status in (503, 403, 401, 404, 502)}
    assert kinds == {
        503: Kind.RESTARTING,
        403: Kind.ORIGIN_REFUSED,
        401: Kind.BAD_CREDENTIALS,
        404: Kind.INVALID,
        502: Kind.LOST,
    }


def test_challenge_and_shutdown_are_read() -> None:
    first = frames("9.6:turn")[0]
    assert isinstance(first, Event) and first.name == "connect.challenge" and first.seq is None
    challenge = parse_challenge(first.payload)
    assert challenge is not None and challenge.at_ms > 0
    assert parse_challenge({"nonce": 1}) is None
    event = next(f for f in frames("watcher") if isinstance(f, Event) and f.name == "shutdown")
    shutdown = parse_shutdown(event.payload)
    assert shutdown.restarting and shutdown.restart_expected_ms == 1500
    assert not parse_shutdown({"reason": "gateway stopping"}).restarting


def test_request_frame() -> None:
    frame = json.loads(request("7", "chat.abort", {"sessionKey": "main"}))
    assert frame == {"type": "req", "id": "7", "method": "chat.abort", "params": {"sessionKey": "main"}}
    assert parse_frame(json.dumps(frame)) is None, "a gateway sends no requests"


@pytest.mark.parametrize(
    ("key", "canonical"),
    [
        ("main", "agent:main:main"),
        ("X", "agent:main:x"),
        ("agent:Work:Edgebotd:c_1", "agent:work:edgebotd:c_1"),
        ("agent:x", "agent:main:agent:x"),
        ("agent:main:telegram:direct:5", "agent:main:telegram:direct:5"),
    ],
)
def test_session_keys_are_brought_to_the_gateways_form(key: str, canonical: str) -> None:
    assert canonical_session_key(key) == canonical == canonical_session_key(canonical)
