"""One example of each type of the catalogue, and the contract's word on how it is kept (CHANNEL section 1)."""

from __future__ import annotations

from typing import Any

from edgebotd.events import EVENT_ADAPTER, Event

CONVERSATION = "c_" + "a" * 20

EXAMPLES: dict[str, dict[str, Any]] = {
    "bot-activity": {"botId": "atlas", "activity": "tool", "detail": "bash"},
    "bots-status-update": {
        "bots": [
            {
                "botId": "atlas",
                "state": "connected",
                "source": "connection",
                "sinceAt": 1,
                "name": "Atlas",
                "kind": "echo",
            },
            {"botId": "iris", "state": "stopped", "source": "connection", "sinceAt": 1, "name": "Iris", "kind": "echo"},
        ]
    },
    "bot:status": {"botId": "atlas", "state": "error", "reason": "needs_pairing", "source": "connection", "sinceAt": 5},
    "chat-status": {"botId": "atlas", "conversationId": CONVERSATION, "runId": "r1", "state": "stopping", "at": 3},
    "chat-delta": {"botId": "atlas", "conversationId": CONVERSATION, "runId": "r1", "offset": 4, "text": "hello"},
    "chat-message": {
        "botId": "atlas",
        "conversationId": CONVERSATION,
        "message": {
            "id": "m1",
            "botId": "atlas",
            "conversationId": CONVERSATION,
            "runId": "r1",
            "role": "assistant",
            "parts": [
                {"type": "text", "text": "hi"},
                {"type": "toolCall", "toolCallId": "t1", "name": "bash", "arguments": {"command": "ls"}},
                {"type": "toolResult", "toolCallId": "t1", "result": "a b"},
                {"type": "attachment", "sha256": "0" * 64, "name": "a.png", "mediaType": "image/png", "size": 3},
                {"type": "error", "message": "the model was away"},
            ],
            "createdAt": 1,
        },
    },
    "conversation-update": {"botId": "atlas", "conversationId": CONVERSATION, "change": "deleted"},
    "code-session:status": {"botId": "atlas", "sessionId": "s1", "state": "running", "at": 1},
    "code-session:event": {"botId": "atlas", "sessionId": "s1", "kind": "diff", "data": {"a": [1, None]}},
    "docker:status": {
        "engine": {"state": "up", "version": "28", "detail": "/run/docker.sock", "sinceAt": 1},
        "containers": [
            {"name": "atlas-1", "botId": "atlas", "state": "running", "drift": ["/etc"], "sinceAt": 1, "seenAt": 1},
            {"name": "db", "state": "running", "sinceAt": 1, "seenAt": 1},
        ],
        "pulls": [{"image": "x", "bytesDone": 1}],
    },
    "bot-log": {"botId": "atlas", "lines": [{"at": 1, "text": "listening"}]},
    "bot-stats": {"botId": "atlas", "at": 1, "cpuPercent": 12.5, "memoryBytes": 2048},
    "provision-log": {"provisionId": "p1", "step": "pull", "text": "50 %", "at": 1},
    "provision-done": {"provisionId": "p1", "ok": False, "reason": "name taken", "at": 1},
    "auth-profiles:refreshed": {"profileId": "anthropic:work", "outcome": "refreshed", "expiresAt": 9, "at": 1},
    "auth-profiles:usage-updated": {
        "profileId": "anthropic:work",
        "botIds": ["atlas", "iris"],
        "plan": "max",
        "windows": [{"id": "five_hour", "label": "5 hours", "usedPercent": 40.5, "resetsAt": 9, "runsOutAt": 5}],
        "billing": [{"type": "balance", "unit": "USD", "amount": 3.5}],
        "fetchedAt": 1,
        "source": "poll",
        "error": {"kind": "rate_limited", "status": 429, "detail": "asked too often", "sinceAt": 2, "retryAt": 9},
    },
    "alert": {"alertId": "a1", "severity": "critical", "state": "open", "title": "login dead", "at": 1},
    "job:status": {"job": "retention", "state": "waiting", "at": 1},
}

JOURNALLED = {
    "bot:status",
    "chat-message",
    "conversation-update",
    "code-session:status",
    "code-session:event",
    "provision-log",
    "provision-done",
    "auth-profiles:refreshed",
    "alert",
}


def example(type_: str) -> Event:
    """Return the example of a type as an event."""
    return EVENT_ADAPTER.validate_python({"type": type_, **EXAMPLES[type_]})
