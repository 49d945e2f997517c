"""One bot's turns on their way out: one at a time per conversation, in order, each durable before it is sent."""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import outcome
import trio

from edgebotd.bots.capture import Capture
from edgebotd.bots.connector import Accepted, Connector, ConnectorError, Hello, Outgoing, Trouble
from edgebotd.bots.fill import put_message
from edgebotd.bots.queued import Item
from edgebotd.bots.runs import MESSAGE_STATES, LiveRun
from edgebotd.config import ChatSettings
from edgebotd.errors import Problem
from edgebotd.events import RunState
from edgebotd.hub.hub import Hub
from edgebotd.store import conversations, messages, turns
from edgebotd.store.database import Database
from edgebotd.store.turns import Turn
from edgebotd.store.writer import Transaction

log = logging.getLogger(__name__)

RESEND_SECONDS: Final = 2.0
"""Pause before a turn is offered again on the same connection, where the peer does not say how long."""
QUEUED_PER_CONVERSATION: Final = 100
"""Turns that may wait in one conversation. Full: sending is refused with 429."""

SENDING: Final = "It is being sent."
"""Detail of a turn whose answer has not come; a restart tells by it what to send again."""
STILL: Final = "Its gateway is reading its keys again. This goes out in a moment."

Compose = Callable[[Turn, str, Hello], Awaitable[Outgoing]]
"""Makes what is sent of a turn and its session key; raises `Problem` where the peer's limits forbid it."""


class TurnQueue:
    """The queue of one bot. Its tasks live in the bot's nursery, one per conversation that has turns."""

    def __init__(
        self, bot_id: str, database: Database, hub: Hub, capture: Capture, chat: ChatSettings, now: Callable[[], int]
    ) -> None:
        self.bot_id = bot_id
        self.compose: Compose | None = None
        self._database = database
        self._hub = hub
        self._capture = capture
        self._queued_ms = int(chat.queued_seconds * 1000)
        self._now = now
        self._nursery: trio.Nursery | None = None
        self._link: tuple[Connector, Hello] | None = None
        self._why = "The bot is not connected yet."
        self._held: str | None = None
        self._still = 0
        self._let_through: set[str] = set()
        self._change = trio.Event()
        self._queues: dict[str, deque[Item]] = {}
        self._items: dict[str, Item] = {}

    # From the bot

    async def load(self) -> None:
        """Take up what a former life left: what waited waits on, what was sent is expected to be settled.

        To be called before anything can be put, else a turn that is stored just now would be found and put twice.
        """
        for turn in await self._database.read(partial(turns.open_of_bot, bot_id=self.bot_id)):
            key = await self._database.read(partial(_session_key, conversation_id=turn.conversation_id))
            if key is None:
                continue
            item = Item(turn, key, trio.Event(), aborted=turn.state is RunState.STOPPING)
            detail = self._why
            if turn.started_at is not None:
                item.run = self._capture.begin(turn.run_id, turn.conversation_id, key)
                item.run.state = turn.state
                # Without an answer the bot may not have got it: it is sent again, and runs once.
                item.answered = turn.detail != SENDING
                item.unsure = not item.answered
                detail = "edgebotd has restarted and asks the bot how far this is."
            self._capture.tell_run(turn.run_id, turn.conversation_id, turn.state, detail)
            self.put(item)

    def open(self, nursery: trio.Nursery) -> None:
        """Begin to work: from now on tasks of the queue run in the bot's nursery."""
        self._nursery = nursery
        for conversation_id in self._queues:
            self._start(self._work_off, conversation_id)

    def connected(self, connector: Connector, hello: Hello) -> None:
        """Turns can go out."""
        self._link = (connector, hello)
        self._poke()
        for item in self._items.values():
            if item.aborted and item.run is not None:
                self._start(self._ask_abort, item.run)

    def disconnected(self, why: ConnectorError | None) -> None:
        """No turn can go out; those under way go on without us."""
        self._link = None
        self.explain("The bot is not connected." if why is None else why.detail)
        self._poke()
        for run in self._capture.live.values():
            item = self._items.get(run.run_id)
            unsent = item is not None and item.refused
            words = "Not sent yet:" if unsent else "The connection is lost, the bot may be going on."
            self._capture.tell(run, run.state, f"{words} {self._why}")

    def explain(self, why: str) -> None:
        """Note why no turn can go out."""
        self._why = why

    def hold(self, why: str | None) -> None:
        """Let turns wait though the bot is connected, for this reason; None: let them go again."""
        self._held = why
        self._poke()

    def still(self, still: bool) -> None:
        """Let turns wait for a moment, whatever else holds them; each True wants its False."""
        self._still += 1 if still else -1
        self._poke()

    def let_through(self, conversation_id: str, through: bool) -> None:
        """Say whether a conversation's turns go out though the others are held: a check whether the bot answers."""
        (self._let_through.add if through else self._let_through.discard)(conversation_id)
        self._poke()

    def unanswered(self) -> frozenset[str]:
        """Return the runs that were sent but not accepted yet: they will be sent again."""
        return frozenset(run_id for run_id, item in self._items.items() if item.run is not None and not item.answered)

    # From people

    @property
    def busy(self) -> bool:
        """Whether any turn is unfinished."""
        return bool(self._items)

    @property
    def beginning(self) -> bool:
        """Whether a turn is on its way out at this moment."""
        return any(item.offering for item in self._items.values())

    def item(self, run_id: str) -> Item | None:
        """Return an unfinished turn."""
        return self._items.get(run_id)

    def item_in(self, conversation_id: str) -> Item | None:
        """Return the turn that a conversation is at."""
        queue = self._queues.get(conversation_id)
        return queue[0] if queue else None

    def room(self, conversation_id: str) -> None:
        """Pass where a further turn may wait.

        Raises:
            Problem: 429, too many wait already.
        """
        if len(self._queues.get(conversation_id, ())) >= QUEUED_PER_CONVERSATION:
            detail = f"{QUEUED_PER_CONVERSATION} messages wait in this conversation already. Cancel some, or wait."
            raise Problem(429, "queue_full", detail, headers={"Retry-After": "30"})

    def waiting_for(self, conversation_id: str) -> str | None:
        """Return why a turn of this conversation has to wait, None where it can go at once."""
        if (held := self._hold_of(conversation_id)) is not None or self._link is None:
            return held or self._why
        return "Another message of this conversation is being answered." if self._queues.get(conversation_id) else None

    def put(self, item: Item) -> None:
        """Queue a turn that is stored already; one that interrupts goes before those that wait, and stops what runs."""
        queue = self._queues.setdefault(item.turn.conversation_id, deque())
        self._items[item.turn.run_id] = item
        if not queue:
            queue.append(item)
            if self._nursery is not None:
                self._start(self._work_off, item.turn.conversation_id)
        elif item.turn.mode == "interrupt":
            running = queue[0]
            if running.run is None and not running.offering:
                # It waits as well, for its bot.
                queue.appendleft(item)
                self._poke()
            else:
                queue.insert(1, item)
                self.abort(running)
        else:
            queue.append(item)

    def abort(self, item: Item) -> None:
        """Stop a turn: one that was not sent ends at once, one that runs when the peer says so."""
        if item.aborted and (item.run is None or item.run.unstopped is None):
            return
        item.aborted = True
        if item.run is not None and not item.refused:
            self._start(self._ask_abort, item.run)
            return
        queue = self._queues[item.turn.conversation_id]
        if queue[0] is item or self._nursery is None:
            if item.pause is not None:
                item.pause.cancel()
            self._poke()
        else:
            queue.remove(item)
            self._start(self._end_unsent, item, RunState.ABORTED, None)

    def abort_run(self, run: LiveRun) -> None:
        """Stop a run that somebody else started."""
        self._start(self._ask_abort, run)

    async def fail_all(self, detail: str) -> None:
        """End every turn, because the bot goes away."""
        for item in list(self._items.values()):
            if item.run is None:
                await self._end_unsent(item, RunState.FAILED, detail)
        await self._capture.interrupt_all(detail)

    # Work

    def _hold_of(self, conversation_id: str) -> str | None:
        return None if conversation_id in self._let_through else STILL if self._still else self._held

    def _start(self, run: Callable[..., Awaitable[None]], *args: object) -> None:
        if self._nursery is None:
            # Nothing was sent yet, so there is nothing to stop either.
            return
        self._nursery.start_soon(run, *args, name=f"bot {self.bot_id} {run.__name__}")

    def _poke(self) -> None:
        self._change.set()
        self._change = trio.Event()

    async def _work_off(self, conversation_id: str) -> None:
        queue = self._queues[conversation_id]
        while queue:
            item, over = queue[0], True
            try:
                over = await self._work(item)
            except Exception:
                log.exception("bot %s: turn %s failed unexpectedly", self.bot_id, item.turn.run_id)
                await self._end(item, RunState.FAILED, "A bug of edgebotd's stopped this. The daemon's log says more.")
            finally:
                if over:
                    # Removed by identity: others may have come or gone meanwhile.
                    queue.remove(item)
                    self._items.pop(item.turn.run_id, None)
                    item.over.set()
        del self._queues[conversation_id]

    async def _work(self, item: Item) -> bool:
        """Bring a turn to its end; False where another one that interrupts has gone before it."""
        queue = self._queues[item.turn.conversation_id]
        while not (item.answered or item.over.is_set()):
            if item.run is not None and item.run.done.is_set():
                return True
            if item.aborted and item.unsent:
                await self._end(item, RunState.ABORTED, None)
                return True
            if queue[0] is not item:
                return False
            left = (item.turn.created_at + self._queued_ms - self._now()) / 1000
            if left <= 0:
                await self._end(item, RunState.FAILED, f"It could not be sent in time. {self._held or self._why}")
                return True
            if self._link is None or self._hold_of(item.turn.conversation_id) is not None:
                change = self._change
                with trio.move_on_after(left):
                    await change.wait()
                continue
            item.offering = True
            await self._offer(item, *self._link)
            item.offering = False
        if item.run is not None:
            await item.run.done.wait()
        return True

    async def _offer(self, item: Item, connector: Connector, hello: Hello) -> None:
        """Send the turn once; it is `answered` afterwards, over, or to be offered again."""
        assert self.compose is not None
        if item.aborted and item.run is not None:
            # Its answer was lost. Not sent again only to be stopped: the bot has it, or knows nothing of it.
            item.answered = True
            self._note_answered(item.turn.run_id)
            await self._ask_abort(item.run)
            return
        try:
            outgoing = await self.compose(item.turn, item.session_key, hello)
        except Problem as exc:
            await self._end(item, RunState.FAILED, exc.detail)
            return
        if item.aborted and item.unsent:
            return
        if item.run is None:
            await self._note_started(item)
            if item.aborted:
                return
            item.run = self._capture.begin(item.turn.run_id, item.turn.conversation_id, item.session_key)
            self._capture.tell(item.run, RunState.STARTED)
        item.refused = False
        try:
            accepted = await connector.send(outgoing)
        except ConnectorError as exc:
            if not exc.trouble.passing:
                await self._end(item, RunState.FAILED, exc.detail)
                return
            if not item.run.done.is_set():
                self._capture.tell(item.run, item.run.state, f"Not sent yet: {exc.detail}")
            self._why = exc.detail
            item.unsure = item.unsure or exc.trouble is Trouble.LOST
            item.refused = not item.unsure
            if item.aborted and item.refused:
                return
            # A connection that broke says so itself; this pause is for one that stays.
            pause = RESEND_SECONDS if exc.retry_after is None else exc.retry_after
            change = self._change
            with trio.move_on_after(max(pause, 0.1)) as item.pause:
                await (change if exc.trouble is Trouble.LOST else item.run.done).wait()
            return
        item.answered = True
        self._note_answered(item.turn.run_id)
        if accepted is Accepted.ENDED:
            self._capture.settle_soon(item.run)
        if item.aborted:
            await self._ask_abort(item.run)

    async def _note_started(self, item: Item) -> None:
        turn, now = item.turn, self._now()

        def write(tx: Transaction) -> None:
            turns.set_state(tx.connection, turn.run_id, RunState.STARTED, now, SENDING)
            asked = messages.get(tx.connection, self.bot_id, turn.message_id)
            if asked is not None and asked.state == "pending":
                put_message(tx, asked.model_copy(update={"state": "final"}), now=now)

        await self._hub.transact(write)

    def _note_answered(self, run_id: str) -> None:
        now = self._now()

        def done(result: outcome.Outcome[object]) -> None:
            # Lost, it only means that a restart sends the turn again, which is safe.
            if isinstance(result, outcome.Error):
                log.warning("bot %s: run %s: %s", self.bot_id, run_id, result.error)

        # Nobody waits for it: the reply may be streaming already.
        self._database.submit(lambda tx: turns.set_state(tx.connection, run_id, RunState.STARTED, now), done)

    async def _end(self, item: Item, state: RunState, detail: str | None) -> None:
        if item.run is None:
            await self._end_unsent(item, state, detail)
        else:
            await self._capture.finish(item.run, state, error=detail, code="not_sent", detail=detail)

    async def _end_unsent(self, item: Item, state: RunState, detail: str | None) -> None:
        turn, now = item.turn, self._now()

        def write(tx: Transaction) -> None:
            turns.set_state(tx.connection, turn.run_id, state, now, detail)
            asked = messages.get(tx.connection, self.bot_id, turn.message_id)
            if asked is not None and asked.state == "pending":
                put_message(tx, asked.model_copy(update={"state": MESSAGE_STATES[state]}), now=now)

        try:
            await self._hub.transact(write)
        except Problem as exc:
            log.error("bot %s: the end of turn %s is not stored: %s", self.bot_id, turn.run_id, exc.detail)
        finally:
            self._capture.tell_run(turn.run_id, turn.conversation_id, state, detail)
            self._items.pop(turn.run_id, None)
            item.over.set()

    async def _ask_abort(self, run: LiveRun) -> None:
        if run.done.is_set():
            return
        self._capture.tell(run, RunState.STOPPING)
        if self._link is None:
            # Asked again when there is a connection.
            return
        try:
            known = await self._link[0].abort(run.session_key, run.run_id)
        except ConnectorError as exc:
            log.info("bot %s: stopping run %s: %s", self.bot_id, run.run_id, exc.detail)
            run.unstopped = exc.detail
            if not run.done.is_set():
                self._capture.tell(run, run.state, f"The bot was asked to stop, and does not: {exc.detail}")
            return
        run.unstopped = None
        if not (known or run.done.is_set() or run.run_id in self.unanswered()):
            # It has ended just now, or the peer has lost it. Before it was accepted it is asked once more then.
            self._capture.settle_soon(run)


def _session_key(conn: sqlite3.Connection, conversation_id: str) -> str | None:
    return conversations.session_key_of(conn, conversation_id)
