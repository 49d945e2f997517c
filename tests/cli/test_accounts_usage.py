"""The whole of it: a daemon, a provider beside it, and what a person sees before and after a restart."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from typing_extensions import override

from tests.cli.place import Place, stop, until
from tests.protocol.usage_answers import CODEX

SECRET = "canary-0123456789"


@contextmanager
def provider(asked: list[str | None], statuses: list[int]) -> Iterator[str]:
    """Answer with the next status; the last one stays."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers["Authorization"])
            status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
            body = json.dumps(CODEX if status == 200 else {"error": SECRET}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        @override
        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/wham/usage"
        finally:
            server.shutdown()
            thread.join()


def test_a_daemon_learns_how_much_is_used_and_knows_it_after_a_restart(tmp_path: Path) -> None:
    place, asked = Place(tmp_path), list[str | None]()
    config = tmp_path / "c.toml"
    to = ("--socket", f"{tmp_path}/socket", "accounts")
    with provider(asked, [200, 429]) as url:
        config.write_text(
            f'[server]\nbind = []\nsocket = "{tmp_path}/socket"\n[storage]\nstate_dir = "{tmp_path}/state"\n'
            "[alerts]\nusage_info_percent = 30.0\n"
            f'[providers.acme.usage]\nkind = "codex"\nurl = "{url}"\ninterval_seconds = 10.0\nfloor_seconds = 10.0\n'
        )
        config.chmod(0o600)
        with place.started("run", "--config", str(config)) as daemon:
            said = until(daemon, "is ready")
            assert place.run(*to, "usage") == ""
            place.run(*to, "add", "acme:work", input=SECRET)
            deadline = time.monotonic() + 30
            while "5 hours" not in (shown := place.run(*to, "usage")):
                assert time.monotonic() < deadline, shown
            first = shown.splitlines()
            assert first[0].startswith("acme:work  plus, as of ") and "15 %" in first[1] and "7 days" in first[2]
            assert "balance 12.50 credits" in shown
            stop(daemon)
        assert asked == [f"Bearer {SECRET}"]
        with place.started("run", "--config", str(config)) as daemon:
            said += until(daemon, "is ready")
            [again] = [json.loads(line) for line in place.run(*to, "usage", "--json", "acme:work").splitlines()]
            assert [one["usedPercent"] for one in again["windows"]] == [15.0, 5.5, 40.0]
            # What is known from before is looked at with all else: the alert does not wait for another answer.
            while not (alerts := place.run(*to[:-1], "alerts", "list", "--json")):
                assert time.monotonic() < deadline + 30
            [alert] = [json.loads(line) for line in alerts.splitlines()]
            assert alert["title"] == "acme:work: 30 % of 5 hours, Code spark is used"
            stop(daemon)
            assert daemon.returncode == 0
    assert len(asked) <= 2 and SECRET not in said
