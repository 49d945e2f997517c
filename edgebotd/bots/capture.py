"""Capture: what a bot's runs and history tell becomes stored messages and published events, each once."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from edgebotd.bots.fill import Filled, Filling, ensure_conversation, put_message, restore_deleted
from edgebotd.bots.ids import new_id
from edgebotd.bots.runs import MESSAGE_STATES, RUN_STATES, LiveRun
from edgebotd.errors import Problem
from edgebotd.events import BotActivity, ChatDelta, ChatStatus, ErrorPart, Message, RunState
from edgebotd.hub.hub import Hub
from edgebotd.protocol.fields import encodable
from edgebotd.protocol.run import (
    Activity,
    History,
    Outcome,
    PastMessage,
    RunDelta,
    RunEnded,
    RunEnding,
    RunEvent,
    RunStatus,
    SessionSeen,
    ToolActivity,
)
from edgebotd.store import conversations, messages, turns
from edgebotd.store.database import Database
from edgebotd.store.writer import Transaction

log = logging.getLogger(__name__)

REMEMBERED_ENDS: Final = 2000
"""Runs whose end is remembered, so that late events of theirs are ignored; the oldest are forgotten first."""
FILL_ROWS: Final = 200
"""Rows of a history that one write takes: a longer one would hold up all other writes."""


class Capture:
    """The messages and runs of one bot.

    Args:
        now: wall clock in Unix milliseconds.
        tell_activity: told what the bot does now: word, detail.
        want_history: asked to fetch a session's history soon; with a run's id, to settle that run by it.
    """

    def __init__(
        self,
        bot_id: str,
        database: Database,
        hub: Hub,
        now: Callable[[], int],
        tell_activity: Callable[[str, str | None], None],
        want_history: Callable[[str, str | None], None],
    ) -> None:
        self.bot_id = bot_id
        self.live: dict[str, LiveRun] = {}
        self.unknown_end = RunState.INTERRUPTED
        """How a run ends that the peer knows nothing of; FAILED for peers that never remember."""
        self._database = database
        self._hub = hub
        self._now = now
        self._tell_activity = tell_activity
        self._want_history = want_history
        self._shown: LiveRun | None = None
        """Whose activity was told last."""
        self._conversations: dict[str, str] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()

    async def load(self) -> None:
        """Learn which conversation is which session."""
        known = await self._database.read(lambda conn: conversations.all_of_bot(conn, self.bot_id))
        self._conversations = {key: conversation.id for key, conversation in known if conversation.deleted_at is None}

    def learn(self, session_key: str, conversation_id: str) -> None:
        """Note a conversation that was made elsewhere."""
        self._conversations[session_key] = conversation_id

    def forget(self, conversation_id: str) -> None:
        """Note that a conversation was deleted: what is said in it later brings it back."""
        self._conversations = {key: known for key, known in self._conversations.items() if known != conversation_id}

    # Runs

    def begin(self, run_id: str, conversation_id: str, session_key: str) -> LiveRun:
        """Expect a run that we are about to ask for, or have asked for before a restart."""
        run = self.live.get(run_id)
        if run is None:
            run = self.live[run_id] = LiveRun(run_id, conversation_id, session_key)
        return run

    async def deliver(self, event: RunEvent) -> None:
        """Take what a connector tells. Returns when it is durable, where it has to be."""
        if isinstance(event, PastMessage):
            await self.take_history(History(event.session_key, (event,), complete=False), frozenset(self.live))
            return
        if isinstance(event, SessionSeen):
            if event.session_key not in self._conversations:
                await self._conversation(event.session_key, event.source or "gateway", event.title)
            self._want_history(event.session_key, None)
            return
        if event.run_id in self._ended:
            return
        run = self.live.get(event.run_id)
        if run is None:
            if isinstance(event, RunEnded) and event.outcome is Outcome.MERGED:
                return
            conversation_id = await self._conversation(event.session_key)
            run = self.begin(event.run_id, conversation_id, event.session_key)
            self.tell(run, RunState.STARTED)
        run.doubtful = False
        run.heard += 1
        if isinstance(event, RunStatus):
            self._take_status(run, event)
        elif isinstance(event, RunDelta):
            self._told(run, run.append(event.offset, encodable(event.text)))
        elif isinstance(event, ToolActivity):
            run.tool(event)
            if event.phase == "start":
                self._activity("tool", event.name, run)
        elif isinstance(event, RunEnding):
            if not run.ending:
                self.settle_soon(run)
        else:
            await self._take_end(run, event)

    def _take_status(self, run: LiveRun, event: RunStatus) -> None:
        if event.activity is Activity.STARTED:
            self._activity("thinking", None, run)
        elif event.activity is Activity.RETRYING:
            self.tell(run, run.state, event.detail or "It tries again.")
        else:
            self._activity(event.activity.value, event.detail, run)

    def sync(self, run: LiveRun, text: str) -> None:
        """Take the whole text so far, as a history tells it; what came live in the meantime may be longer."""
        if not run.text.startswith(text):
            run.heard += 1
            self._told(run, run.replace(encodable(text)))
        run.whole = True

    def _told(self, run: LiveRun, news: tuple[int, str] | None) -> None:
        if news is None:
            return
        if run.state is RunState.STARTED:
            self.tell(run, RunState.STREAMING)
            self._activity("streaming", None, run)
        offset, text = news
        delta = ChatDelta(
            bot_id=self.bot_id, conversation_id=run.conversation_id, run_id=run.run_id, offset=offset, text=text
        )
        self._hub.publish(self.bot_id, delta)

    def tell(self, run: LiveRun, state: RunState, detail: str | None = None) -> None:
        """Publish a run's state."""
        run.state = state
        self.tell_run(run.run_id, run.conversation_id, state, detail)

    def tell_run(self, run_id: str, conversation_id: str, state: RunState, detail: str | None = None) -> None:
        """Publish the state of a run that need not be live."""
        status = ChatStatus(
            bot_id=self.bot_id,
            conversation_id=conversation_id,
            run_id=run_id,
            state=state,
            detail=detail,
            at=self._now(),
        )
        self._hub.publish(self.bot_id, status)

    def _activity(self, activity: str, detail: str | None, run: LiveRun | None = None) -> None:
        if run is not None and run is self._shown and run.activity == (activity, detail):
            return  # a gateway tells of a tool's call in several streams, and at each of its steps
        event = BotActivity(
            bot_id=self.bot_id,
            activity=activity,
            detail=detail,
            run_id=None if run is None else run.run_id,
            conversation_id=None if run is None else run.conversation_id,
            since_at=self._now(),
        )
        self._shown = run
        if run is not None:
            run.activity = (activity, detail)
        self._hub.publish(self.bot_id, event)
        self._tell_activity(activity, detail)

    def _rest_of_activity(self) -> None:
        """Tell what the bot still does: nothing, where all that is left was not sent or has shown nothing."""
        for run in reversed(self.live.values()):
            if run.activity is not None:
                self._activity(*run.activity, run)
                return
        self._activity("idle", None)

    # Ends

    async def _take_end(self, run: LiveRun, event: RunEnded) -> None:
        if event.truncated or (event.text is None and not run.whole and not run.ending):
            if event.text is not None:
                self.sync(run, event.text)
            if not run.ending:
                # One that is ending is looked up already.
                self.settle_soon(run)
            return
        if event.text and event.outcome is not Outcome.MERGED:
            self._told(run, run.replace(encodable(event.text)))
        detail = event.error
        if event.outcome is Outcome.MERGED:
            detail = "It was answered together with another message."
        await self.finish(run, RUN_STATES[event.outcome], error=event.error, code=event.error_kind, detail=detail)

    async def finish(
        self,
        run: LiveRun,
        state: RunState,
        *,
        error: str | None = None,
        code: str | None = None,
        detail: str | None = None,
    ) -> None:
        """End a run, once: store its reply and its turn's end in one transaction, then tell. Later ends are ignored."""
        if self.live.pop(run.run_id, None) is None:
            return
        self._ended[run.run_id] = None
        if len(self._ended) > REMEMBERED_ENDS:
            self._ended.popitem(last=False)
        now = self._now()
        parts = run.parts(error, code)

        def write(tx: Transaction) -> None:
            turns.set_state(tx.connection, run.run_id, state, now, detail)
            old = {message.role: message for message in messages.by_run(tx.connection, self.bot_id, run.run_id)}
            asked = old.get("user")
            if asked is not None and asked.state == "pending":
                put_message(tx, asked.model_copy(update={"state": "final"}), now=now)
            reply = old.get("assistant")
            if parts and (reply is None or reply.state != "final"):
                conversation = conversations.get(tx.connection, run.conversation_id)
                if conversation is not None:
                    restore_deleted(tx, conversation)
                put_message(
                    tx,
                    Message(
                        id=new_id("m_", now),
                        bot_id=self.bot_id,
                        conversation_id=run.conversation_id,
                        run_id=run.run_id,
                        role="assistant",
                        parts=parts,
                        state=MESSAGE_STATES[state],
                        source="gateway" if asked is None else asked.source,
                        created_at=now,
                    ),
                    now=now,
                )

        try:
            await self._hub.transact(write)
        except Problem as exc:
            # The turn stays open in the store, and the next start settles it; nobody waits for ever until then.
            log.error("bot %s: the end of run %s is not stored: %s", self.bot_id, run.run_id, exc.detail)
            detail = exc.detail
        finally:
            # Cancelled here, the write still happens; the order holds because a publish queues behind it.
            self.tell(run, state, detail)
            if not self.live or self._shown is run:
                self._rest_of_activity()
            run.done.set()

    def settle_soon(self, run: LiveRun) -> None:
        """Have the run's end looked up in the history, after the grace period."""
        run.ending = True
        self._want_history(run.session_key, run.run_id)

    def doubt(self, run: LiveRun) -> None:
        """Have a run looked up again and again until something comes of it, or its end is known.

        A gateway that was killed says for a while that something runs, and not that it is another run than before.
        """
        if not run.doubtful:
            run.doubtful = True
            self._want_history(run.session_key, run.run_id)

    async def interrupt_all(self, detail: str) -> None:
        """End every run whose end we can no longer learn."""
        for run in list(self.live.values()):
            await self.finish(run, RunState.INTERRUPTED, error=detail, code="interrupted", detail=detail)

    # History

    async def take_history(self, history: History, settle: frozenset[str], *, unknown: str | None = None) -> list[str]:
        """Store what is missing of a session, and settle those of the given runs whose end it tells.

        Args:
            settle: runs that were going on before the history was asked for.
            unknown: when set, runs of the session that it knows nothing of end as interrupted, with this detail.

        Returns the runs of the session that are still open.
        """
        going = history.active_run_ids | {history.in_flight_run_id} - {None}
        active = frozenset(run_id for run_id in going if run_id is not None)
        # The reply of a run whose end is still to come is stored with that end, not as far as it stands there now.
        live = frozenset(self.live)
        filled = await self._fill(history, active, active | (live - settle if history.complete else live))
        for run_id in active:
            if run_id not in self._ended and run_id not in self.live and filled is not None:
                run = self.begin(run_id, filled.conversation.id, history.session_key)
                self.tell(run, RunState.STARTED)
                self.doubt(run)
        if history.in_flight_run_id in self.live and history.in_flight_text:
            self.sync(self.live[history.in_flight_run_id], history.in_flight_text)
        left = []
        for run_id in settle:
            maybe = self.live.get(run_id)
            if maybe is None or maybe.session_key != history.session_key:
                continue
            reply = None if filled is None else filled.replies.get(run_id)
            if run_id in active:
                left.append(run_id)
            elif reply is not None:
                state = {"failed": RunState.FAILED, "aborted": RunState.ABORTED, "interrupted": RunState.INTERRUPTED}
                errors = [part.message for part in reply.parts if isinstance(part, ErrorPart)]
                await self.finish(
                    maybe, state.get(reply.state, RunState.FINISHED), detail=errors[-1] if errors else None
                )
            elif unknown is not None and maybe.state is RunState.STOPPING:
                await self.finish(maybe, RunState.ABORTED)
            elif unknown is not None:
                await self.finish(maybe, self.unknown_end, error=unknown, code="interrupted", detail=unknown)
            else:
                left.append(run_id)
        return left

    async def _fill(self, history: History, active: frozenset[str], busy: frozenset[str]) -> Filled | None:
        rows = [row for row in history.messages if not row.internal]
        filled: Filled | None = None
        for start in range(0, max(len(rows), 1), FILL_ROWS):
            piece = rows[start : start + FILL_ROWS]
            now = self._now()

            def write(tx: Transaction, piece: list[PastMessage] = piece, now: int = now) -> Filled:
                conversation = ensure_conversation(tx, self.bot_id, history.session_key, now)
                return Filling(tx, conversation, busy, now).take(piece)

            if not piece and not active:
                return None
            done = await self._hub.transact(write)
            if done.conversation.deleted_at is None:
                self._conversations[history.session_key] = done.conversation.id
            if filled is not None:
                done.replies = {**filled.replies, **done.replies}
            filled = done
        return filled

    async def _conversation(self, session_key: str, source: str = "gateway", title: str | None = None) -> str:
        known = self._conversations.get(session_key)
        if known is None:
            now = self._now()
            made = await self._hub.transact(
                lambda tx: restore_deleted(
                    tx, ensure_conversation(tx, self.bot_id, session_key, now, source=source, title=title)
                )
            )
            known = self._conversations[session_key] = made.id
        return known
