"""Asks a gateway whether it lives, over the port that it has on this machine."""

from __future__ import annotations

from typing import Final

import httpx2
import trio

PROBE_SECONDS: Final = 3.0


async def gateway_lives(port: int) -> bool:
    """Ask OpenClaw's `/healthz` on 127.0.0.1; whatever else answers or does not, it is no."""
    return await gateway_answers("127.0.0.1", port)


async def gateway_answers(host: str, port: int) -> bool:
    """Ask the same at another address of this machine."""
    transport = httpx2.AsyncHTTPTransport(verify=False)  # no TLS is spoken
    shown = f"[{host}]" if ":" in host else host
    try:
        with trio.fail_after(PROBE_SECONDS):
            async with httpx2.AsyncClient(transport=transport, trust_env=False) as client:
                answer = await client.get(f"http://{shown}:{port}/healthz")
    except (httpx2.HTTPError, trio.TooSlowError):
        return False
    return answer.status_code == 200
