"""One message and its run: send, follow the channel to the end, survive breaks, stop on Ctrl-C."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from edgebotd.cli.client import ApiError, Client, Unreachable, path
from edgebotd.cli.reply import Reply
from edgebotd.cli.tail import Tail

TYPES: Final = ("chat-delta", "chat-status", "chat-message", "bot-activity")
TERMINAL: Final = frozenset({"finished", "aborted", "failed", "interrupted"})


class Screen(Protocol):
    """Where a reply is shown."""

    def add(self, text: str) -> None: ...
    def begin_anew(self) -> None: ...
    def tell(self, text: str) -> None: ...


@dataclass
class Ended:
    """How a run ended. `state` is a terminal one, or the last that was seen when a person stopped waiting."""

    state: str
    run_id: str = ""
    conversation_id: str = ""
    text: str = ""
    detail: str | None = None
    message: dict[str, Any] | None = field(default=None, repr=False)

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "runId": self.run_id,
            "conversationId": self.conversation_id,
            "state": self.state,
            "detail": self.detail,
            "text": self.text,
            "message": self.message,
        }


class Turn:
    """One message on its way."""

    def __init__(self, client: Client, bot: str, body: dict[str, Any], screen: Screen) -> None:
        self._client = client
        self._bot = bot
        # Repeating the request with the same key cannot send twice.
        self._body = {**body, "idempotencyKey": secrets.token_urlsafe(16)}
        self._screen = screen
        self._reply = Reply()
        self._ended = Ended("queued")
        self._told: str | None = None

    def run(self) -> Ended:
        """Send and follow until the run has ended, or a person pressed Ctrl-C and the bot was asked to stop.

        Raises:
            ApiError: refused, before anything was sent.
        """
        try:
            self._follow()
        except KeyboardInterrupt:
            self._abort()
        self._ended.text = self._reply.text
        return self._ended

    def _follow(self) -> None:
        tail = Tail(self._client, on_break=self._screen.tell, bots=(self._bot,), types=TYPES)
        for kind, data in tail.events():
            if kind == "hello":
                # The stream stands before the message goes out, so nothing of the reply is missed.
                if not self._ended.run_id:
                    self._send()
                elif self._catch_up():
                    return
            elif kind == "message" and data.get("runId", _run_of(data)) == self._ended.run_id and self._take(data):
                self._complete()
                return

    def _send(self) -> None:
        route = path("/api/bots/{}/chat/send", self._bot)
        try:
            answer = self._client.post(route, self._body)
        except Unreachable:
            answer = self._client.post(route, self._body)
        self._ended.run_id, self._ended.conversation_id = answer["runId"], answer["conversationId"]
        self._ended.state = answer["state"]
        if answer["state"] == "queued":
            self._tell(_waits(answer.get("detail")))

    def _take(self, event: dict[str, Any]) -> bool:
        """Take an event of this run; returns whether it was the last."""
        match event["type"]:
            case "chat-delta":
                self._show(*self._reply.delta(event["offset"], event["text"]))
            case "chat-message" if event["message"].get("role") == "assistant":
                self._take_message(event["message"])
            case "bot-activity" if event.get("activity") == "tool" and event.get("detail"):
                self._tell(f"· {event['detail']}")
            case "chat-status":
                self._ended.state, self._ended.detail = event["state"], event.get("detail")
                if event["state"] in TERMINAL:
                    return True
                if event.get("detail"):
                    # In the words of the answer to the request, so that it is told once.
                    self._tell(_waits(event["detail"]) if event["state"] == "queued" else event["detail"])
        return False

    def _take_message(self, message: dict[str, Any]) -> None:
        self._ended.message = message
        text = "".join(part["text"] for part in message.get("parts", ()) if part.get("type") == "text")
        if text and message.get("state") == "final":
            self._show(*self._reply.replace(text))

    def _complete(self) -> None:
        """Get what the stream did not bring: the stored message has the whole reply."""
        if self._ended.message is None and (not self._reply.complete or not self._reply.text):
            self._read_history()

    def _catch_up(self) -> bool:
        """Learn what became of the run while there was no stream; returns whether it has ended.

        Its end is not told again, least of all by a daemon that was restarted, and need not have left a reply.
        """
        try:
            run = self._client.get(path("/api/bots/{}/runs/{}", self._bot, self._ended.run_id))
        except Unreachable:
            return False  # the stream breaks as well, and we come again
        except ApiError as exc:
            if exc.status != 404:
                return False
            if not self._read_history():
                self._ended.state = "interrupted"
                self._ended.detail = "edgebotd knows nothing of it any more."
            return True
        if run["state"] not in TERMINAL:
            return False
        self._read_history()
        self._ended.state, self._ended.detail = run["state"], run.get("detail")
        return True

    def _read_history(self) -> bool:
        """Look for this run's stored reply; returns whether the run has ended."""
        try:
            pages = self._client.pages(
                path("/api/bots/{}/chat/history", self._bot), limit=20, conversationId=self._ended.conversation_id
            )
            found = [m for m in pages if m["runId"] == self._ended.run_id and m["role"] == "assistant"]
        except (ApiError, Unreachable):
            return False  # the stream goes on, and tells
        if not found or found[0].get("state") == "pending":
            return False
        message = found[0]
        self._take_message(message)
        state = message.get("state", "final")
        self._ended.state = "finished" if state == "final" else state
        if state != "final":
            self._ended.detail = next((p["message"] for p in message["parts"] if p["type"] == "error"), None)
        return True

    def _show(self, text: str, anew: bool) -> None:
        if anew:
            self._screen.begin_anew()
        self._screen.add(text)

    def _tell(self, text: str) -> None:
        if text != self._told:
            self._told = text
            self._screen.tell(text)

    def _abort(self) -> None:
        """Ask the bot to stop, and say what came of it."""
        if not self._ended.run_id:
            raise KeyboardInterrupt
        self._screen.tell("Stopping (Ctrl-C again to leave it running).")
        try:
            answer = self._client.post(path("/api/bots/{}/chat/abort", self._bot), {"runId": self._ended.run_id})
        except ApiError as exc:
            self._ended.detail = exc.message
            return
        self._ended.state = answer.get("state", "stopping")
        self._ended.detail = None if self._ended.state == "aborted" else answer.get("detail")


def _waits(reason: str | None) -> str:
    return f"The message waits: {reason}" if reason else "The message waits."


def _run_of(event: dict[str, Any]) -> str | None:
    message = event.get("message")
    return message.get("runId") if isinstance(message, dict) else None
