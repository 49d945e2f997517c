"""A model provider on loopback: people log in at it, its tokens are refreshed, and it tells how much is used."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from typing_extensions import override

CODE: Final = "WDJB-MJHT"
HOUR: Final = 3600.0


@dataclass
class Provider:
    """What it answers, which a test may change, and what it was asked."""

    port: int = 0
    agreed: bool = False
    """Whether the person has typed the device's code."""
    token_status: int = 200
    usage_status: int = 200
    windows: dict[str, tuple[float, float]] = field(
        default_factory=lambda: {"five": (62.0, 1.5 * HOUR), "week": (31.0, 4 * 24 * HOUR)}
    )
    """By window: the used share, and in how many seconds it starts anew."""
    tokens: int = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def settings(self, provider_id: str = "example", name: str = "Example", *, fixed: bool = False) -> str:
        """Return the settings of it; `fixed`: with a way back that is nobody's, so that its address is pasted."""
        back = 'redirect_uri = "https://back.invalid/done"\n' if fixed else ""
        windows = (("five", "5 hours", 18_000), ("week", "7 days", 604_800))
        return f"""
[providers.{provider_id}]
name = "{name}"

[providers.{provider_id}.oauth]
token_url = "{self.url}/token"
authorize_url = "{self.url}/authorize"
device_url = "{self.url}/device"
client_id = "client-of-{provider_id}"
{back}
[providers.{provider_id}.usage]
kind = "json"
url = "{self.url}/usage"
interval_seconds = 600.0
floor_seconds = 1.0
""" + "".join(
            f"""
[[providers.{provider_id}.usage.windows]]
id = "{name}"
label = "{label}"
percent = "{name}.percent"
resets_at = "{name}.resets"
seconds = {seconds}.0
"""
            for name, label, seconds in windows
        )

    def answer(self, method: str, address: str, form: dict[str, list[str]]) -> tuple[int, Any]:
        """Return a status and a body; the status 302 goes to where the body says."""
        parts = urlsplit(address)
        match method, parts.path:
            case "GET", "/authorize":
                asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
                return 302, f"{asked['redirect_uri']}?{urlencode({'code': 'c0de', 'state': asked['state']})}"
            case "POST", "/device":
                page = f"{self.url}/agree"
                return 200, {
                    "device_code": "d3vice",
                    "user_code": CODE,
                    "verification_uri": page,
                    "interval": 1,
                    "expires_in": 600,
                }
            case "GET", "/agree":
                self.agreed = True
                return 200, {"agreed": True}
            case "POST", "/token":
                if form.get("device_code") and not self.agreed:
                    return 400, {"error": "authorization_pending"}
                if self.token_status != 200:
                    return self.token_status, {"error": "invalid_grant" if self.token_status == 400 else "later"}
                self.tokens += 1
                return 200, {
                    "access_token": f"at-{self.tokens}-{'a' * 24}",
                    "refresh_token": f"rt-{self.tokens}-{'r' * 24}",
                    "token_type": "Bearer",
                    "expires_in": 8 * 3600,
                }
            case "GET", "/usage" if self.usage_status == 200:
                now = time.time()
                return 200, {
                    name: {"percent": used, "resets": round((now + seconds) * 1000)}
                    for name, (used, seconds) in self.windows.items()
                }
            case "GET", "/usage":
                return self.usage_status, {}
            case _:
                return 404, {}


@contextmanager
def open_provider() -> Iterator[Provider]:
    """Serve one in a thread."""
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def _answer(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
            status, answer = provider.answer(method, self.path, parse_qs(body))
            said = b"" if status == 302 else json.dumps(answer).encode()
            self.send_response(status)
            if status == 302:
                self.send_header("Location", answer)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()
