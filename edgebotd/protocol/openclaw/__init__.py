"""The WebSocket protocol of OpenClaw gateways, versions 4 (observed: 2026.9.6 and 2026.5.28) and 3, without IO.

Frames in, values out: no await, no clock, no randomness, no logging. Nothing here raises because of what a gateway
sent; wrong types read as absent, unknown events, states, streams and fields are ignored.
"""

from edgebotd.protocol.openclaw.connect import (
    ADMIN,
    APPROVALS,
    FIRST_SCOPES,
    PAIRING,
    READ,
    WRITE,
    Challenge,
    Device,
    Hello,
    connect_params,
    device_of,
    device_proof,
    load_device,
    parse_challenge,
    parse_hello,
)
from edgebotd.protocol.openclaw.frames import (
    MAX_FRAME_BYTES,
    Event,
    Response,
    Shutdown,
    canonical_session_key,
    parse_frame,
    parse_shutdown,
    request,
)
from edgebotd.protocol.openclaw.history import (
    WHOLE_TEXT,
    History,
    Row,
    busy_sessions,
    fold,
    parse_history,
    parse_row,
    parse_sessions,
)
from edgebotd.protocol.openclaw.runs import Runs
from edgebotd.protocol.openclaw.trouble import Kind, Trouble, classify, classify_close, classify_http, no_rights

__all__ = [
    "ADMIN",
    "APPROVALS",
    "FIRST_SCOPES",
    "MAX_FRAME_BYTES",
    "PAIRING",
    "READ",
    "WHOLE_TEXT",
    "WRITE",
    "Challenge",
    "Device",
    "Event",
    "Hello",
    "History",
    "Kind",
    "Response",
    "Row",
    "Runs",
    "Shutdown",
    "Trouble",
    "busy_sessions",
    "canonical_session_key",
    "classify",
    "classify_close",
    "classify_http",
    "connect_params",
    "device_of",
    "device_proof",
    "fold",
    "load_device",
    "no_rights",
    "parse_challenge",
    "parse_frame",
    "parse_hello",
    "parse_history",
    "parse_row",
    "parse_sessions",
    "parse_shutdown",
    "request",
]
