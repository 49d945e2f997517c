"""The store at a million messages over 50 bots: capture, history pages, searches.

Usage: `./dev bench store`, or `python -m tests.bench.bench_store [--messages N] [--database FILE]`; a database that is
there already is used as it is.
"""

from __future__ import annotations

import argparse
import gc
import random
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from itertools import accumulate, islice
from pathlib import Path

import outcome
import trio

from edgebotd.bots.capture import Capture
from edgebotd.bots.fill import put_message
from edgebotd.bots.ids import new_id
from edgebotd.events import ChatMessage, Conversation, Message, TextPart, encode
from edgebotd.hub.hub import Hub, open_hub
from edgebotd.hub.settings import HubSettings
from edgebotd.protocol.run import History, PastMessage
from edgebotd.store import bots, conversations, journal, messages, search
from edgebotd.store.database import Database, Transaction, open_database
from edgebotd.store.installation import load_or_create

BOTS = 50
CONVERSATIONS = 40
"""Of each bot."""
BLOCK = 50_000
"""Messages between two figures of the rate of capture."""
HUB_BLOCKS = 2
"""So many blocks, the last ones, are captured in each of the ways above the store."""
WAITING = 2000
"""Writes that wait at once while capturing."""

PAGE_MS = 10.0
SEARCH_MS = 50.0
CAPTURED_PER_SECOND = 10_000.0

START_AT = 1_700_000_000_000
FREQUENT = "server"
"""In 30 % of all messages, but hardly ever used by the bots that CALM names."""
CALM = {7, 31}
RARE = "xylograph"
PHRASE = "rolling restart of the cluster"
BOT_WORD = "quokka"
"""Used by one bot only, in each tenth of its messages."""


def _vocabulary(rng: random.Random) -> tuple[list[str], list[float]]:
    """30,000 words whose frequencies follow Zipf's law, as those of a language do."""
    syllables = ["ba", "con", "de", "er", "fi", "ga", "hel", "in", "jo", "ka", "li", "mo", "ner", "o", "pre", "qui"]
    syllables += ["ra", "sta", "ti", "un", "ver", "wa", "ex", "ya", "zo", "ment", "ing", "tion", "al", "ness"]
    found: dict[str, None] = dict.fromkeys(["the", "of", "a", "to", "is", "rolling", "restart", "cluster"])
    while len(found) < 30_000:
        found["".join(rng.choice(syllables) for _ in range(rng.randint(1, 4)))] = None
    return list(found), list(accumulate(1 / (rank + 2.7) for rank in range(len(found))))


def texts(count: int, seed: int = 1) -> Iterator[tuple[int, str]]:
    """Make (number of the bot, text); lengths from a few words to some hundred."""
    rng = random.Random(seed)
    words, weights = _vocabulary(rng)
    weighted = [1 / (bot + 5) for bot in range(BOTS)]
    bot_weights = list(accumulate(weighted))
    # Drawing is slower than what is measured: texts are cut from one long row of words.
    row = rng.choices(words, cum_weights=weights, k=2_000_000)
    owners = rng.choices(range(BOTS), cum_weights=bot_weights, k=count)
    for number, bot in enumerate(owners):
        length = min(400, int(rng.lognormvariate(3.0, 0.8)) + 3)
        start = rng.randrange(len(row) - length)
        piece = row[start : start + length]
        if rng.random() < (0.0002 if bot in CALM else 0.31):
            piece.insert(rng.randrange(length), FREQUENT)
        if number % 100_000 == 50_000:
            piece.append(RARE)
        if number % 500 == 0:
            piece.insert(length // 2, PHRASE)
        if bot == 12 and number % 10 == 0:
            piece.append(BOT_WORD)
        yield bot, " ".join(piece) + "."


def prepare(conn: sqlite3.Connection) -> None:
    """Make bots and conversations."""
    for bot in range(BOTS):
        bots.add(conn, bots.StoredBot(f"bot-{bot}", "echo", f"Bot {bot}"))
        for number in range(CONVERSATIONS):
            conversation = Conversation(
                id=conversation_of(bot, number), bot_id=f"bot-{bot}", created_at=START_AT, updated_at=START_AT
            )
            conversations.insert(conn, conversation, f"agent:main:{number}")


def conversation_of(bot: int, number: int) -> str:
    """Return the id of one of a bot's conversations."""
    return f"c_{bot:010d}{number:010d}"


def made(count: int) -> Iterator[Message]:
    """Make the messages, in turn of user and assistant, with ids as the daemon mints them."""
    rng = random.Random(2)
    conversation_id = ""
    run_id = ""
    for number, (bot, text) in enumerate(texts(count)):
        now = START_AT + number * 1000
        conversation_id = conversation_of(bot, rng.randrange(CONVERSATIONS))
        run_id = new_id("r_", now)
        yield Message(
            id=new_id("m_", now),
            bot_id=f"bot-{bot}",
            conversation_id=conversation_id,
            run_id=run_id,
            role="assistant" if number % 2 else "user",
            parts=(TextPart(text=text),),
            created_at=now,
        )


class Rate:
    """One measurement of how fast something goes, by the wall and by the CPU of all threads."""

    def __init__(self, name: str, done: int, seconds: float, cpu: float) -> None:
        self.name = name
        self.per_second = done / seconds
        self.cpu_us = cpu / done * 1e6


class Rates:
    """Measures blocks of work, and prints what came out of each way of capturing."""

    def __init__(self) -> None:
        self.all: list[Rate] = []

    async def measure(self, name: str, done: int, work: Callable[[], Awaitable[None]]) -> None:
        """Run a block of work and keep its rate."""
        # What the benchmark made beforehand is no garbage that the daemon would have to look through.
        gc.collect()
        gc.freeze()
        begun, cpu = time.perf_counter(), time.process_time()
        await work()
        rate = Rate(name, done, time.perf_counter() - begun, time.process_time() - cpu)
        self.all.append(rate)
        print(f"  {name}: {rate.per_second:8,.0f} /s, {rate.cpu_us:4.0f} us of CPU each", flush=True)

    def report(self) -> None:
        """Print the median of each way beside the target."""
        for name in dict.fromkeys(rate.name for rate in self.all):
            rates = sorted(rate.per_second for rate in self.all if rate.name == name)
            cpu = sorted(rate.cpu_us for rate in self.all if rate.name == name)
            middle = rates[len(rates) // 2]
            word = "reached" if middle >= CAPTURED_PER_SECOND else "MISSED"
            print(
                f"captured, {name}: median {middle:,.0f} /s, slowest {rates[0]:,.0f} /s,"
                f" {cpu[len(cpu) // 2]:.0f} us of CPU each; target {CAPTURED_PER_SECOND:,.0f}: {word}"
            )


async def fill(path: Path, count: int) -> None:
    """Capture so many messages in three ways, each with its journal row and its words."""
    rates = Rates()
    source = made(count)
    async with open_database(path) as database:
        await database.write(lambda transaction: prepare(transaction.connection))
        last = max(count - 2 * BLOCK * HUB_BLOCKS, 0)
        for start in range(0, last, BLOCK):
            batch = list(islice(source, min(BLOCK, last - start)))
            await rates.measure("by the store", len(batch), partial(_by_the_store, database, batch, start))
        installation = await database.write(lambda tx: load_or_create(tx.connection, START_AT))
        async with open_hub(
            database, HubSettings(), installation=installation, life=2, clock=lambda: START_AT, rng=random.Random(4)
        ) as hub:
            for _ in range(HUB_BLOCKS):
                batch = list(islice(source, BLOCK))
                await rates.measure("by the hub, one a transaction", len(batch), partial(_by_the_hub, hub, batch))
            for _ in range(HUB_BLOCKS):
                batch = list(islice(source, BLOCK))
                histories = _histories(batch)
                await rates.measure(
                    "a bot's history, 200 a transaction", len(batch), partial(_as_history, database, hub, histories)
                )
    rates.report()


async def _by_the_store(database: Database, batch: list[Message], done: int) -> None:
    """One message and its event a write, as the writer sees them."""
    room = trio.Event()

    def committed(result: outcome.Outcome[None]) -> None:
        result.unwrap()
        if database.waiting < WAITING // 2:
            room.set()

    for seq, message in enumerate(batch, done + 1):
        if database.waiting >= WAITING:
            room = trio.Event()
            await room.wait()
        database.submit(partial(_store_one, message, seq), committed)
    await database.write(lambda _: None)


def _store_one(message: Message, seq: int, transaction: Transaction) -> None:
    stored = messages.put(transaction.connection, message).message
    event = ChatMessage(bot_id=stored.bot_id, conversation_id=stored.conversation_id, message=stored)
    journal.append(transaction.connection, 1, seq, stored.created_at, stored.bot_id, event.type, encode(event))


async def _by_the_hub(hub: Hub, batch: list[Message]) -> None:
    """As capture does it: `Hub.transact`, with as many at once as there may be runs."""
    source = iter(batch)

    async def capture() -> None:
        for message in source:
            await hub.transact(partial(_put, message))

    async with trio.open_nursery() as nursery:
        for _ in range(1000):
            nursery.start_soon(capture)


def _put(message: Message, transaction: Transaction) -> None:
    put_message(transaction, message, now=message.created_at)


def _histories(batch: list[Message]) -> list[tuple[str, History]]:
    """Make of the messages what gateways tell: for each conversation its rows in order."""
    rows: dict[tuple[str, str], list[PastMessage]] = {}
    for message in batch:
        part = message.parts[0]
        assert isinstance(part, TextPart)
        key = f"agent:main:{int(message.conversation_id[-10:])}"
        past = PastMessage(
            key=message.id,
            role=message.role,
            session_key=key,
            parts=({"type": "text", "text": part.text},),
            run_id=message.run_id,
            created_at=message.created_at,
        )
        # Few conversations of each bot, so that a history has some hundred rows.
        rows.setdefault((message.bot_id, f"{key[:11]}{int(message.conversation_id[-10:]) % 4}"), []).append(past)
    return [(bot_id, History(key, tuple(past))) for (bot_id, key), past in rows.items()]


async def _as_history(database: Database, hub: Hub, histories: list[tuple[str, History]]) -> None:
    """What a bot says that it knows, on its first connection."""
    captures: dict[str, Capture] = {}
    for bot_id, _ in histories:
        if bot_id not in captures:
            captures[bot_id] = Capture(bot_id, database, hub, lambda: START_AT, lambda *_: None, lambda *_: None)

    async def take(bot_id: str) -> None:
        for owner, history in histories:
            if owner == bot_id:
                await captures[bot_id].take_history(history, frozenset())

    async with trio.open_nursery() as nursery:
        for bot_id in captures:
            nursery.start_soon(take, bot_id)


async def timed(path: Path, rounds: int) -> dict[str, list[float]]:
    """Time each kind of reading; milliseconds, as a caller in the event loop sees them."""
    rng = random.Random(3)
    everyone = None
    some = frozenset(f"bot-{bot}" for bot in range(0, BOTS, 2))

    def pages(conn: sqlite3.Connection) -> object:
        bot = rng.randrange(BOTS)
        conversation = conversation_of(bot, rng.randrange(CONVERSATIONS)) if rng.random() < 0.7 else None
        before = rng.randrange(1, 1_000_000) if rng.random() < 0.7 else None
        return messages.page(conn, f"bot-{bot}", conversation, before_seq=before, limit=50)

    def found(
        text: str, bot_ids: frozenset[str] | None, before_seq: int | None = None
    ) -> Callable[[sqlite3.Connection], object]:
        return lambda conn: search.search(conn, text, bot_ids, before_seq=before_seq)

    calm, big, last = (frozenset({f"bot-{bot}"}) for bot in (7, 0, 49))
    cases: dict[str, Callable[[sqlite3.Connection], object]] = {
        "history page": pages,
        "list of conversations": lambda conn: conversations.page(conn, f"bot-{rng.randrange(BOTS)}", "anna"),
        "rare word, all bots": found(RARE, everyone),
        "rare word, 25 bots": found(RARE, some),
        "rare word, one bot": found(RARE, big),
        "30 % word, all bots": found(FREQUENT, everyone),
        "30 % word, 25 bots": found(FREQUENT, some),
        "30 % word, one bot": found(FREQUENT, big),
        "30 % word, bot with few": found(FREQUENT, calm),
        "30 % word, old page": found(FREQUENT, everyone, before_seq=100_000),
        "phrase, all bots": found(f'"{PHRASE}"', everyone),
        "phrase, 25 bots": found(f'"{PHRASE}"', some),
        "phrase, one bot": found(f'"{PHRASE}"', last),
        "two words, all bots": found("rolling cluster", everyone),
        "two words, one bot": found("rolling cluster", last),
        "30 % word and another": found(f"{FREQUENT} restart", everyone),
        "prefix of 4, all bots": found("rest*", everyone),
        "prefix of 4, 25 bots": found("conf*", some),
        "prefix of 4, one bot": found("conf*", last),
        "prefix of 6, all bots": found("restar*", everyone),
        "word without a hit": found("absent", everyone),
        "bot without a hit": found(BOT_WORD, last),
        "word of one bot, all": found(BOT_WORD, everyone),
        "word of one bot, 25": found(BOT_WORD, some),
    }
    figures: dict[str, list[float]] = {}
    async with open_database(path) as database:
        for name, query in cases.items():
            values = []
            for _ in range(rounds):
                begun = time.perf_counter()
                await database.read(query)
                values.append((time.perf_counter() - begun) * 1000)
            figures[name] = sorted(values)
    return figures


def report(figures: dict[str, list[float]]) -> None:
    """Print what was measured beside the targets."""
    print(f"\n{'':26s}{'p50 ms':>9s}{'p99 ms':>9s}{'max ms':>9s}   target (p99)")
    for name, values in figures.items():
        target = SEARCH_MS if "page" not in name or "old" in name else PAGE_MS
        p99 = values[min(len(values) - 1, int(len(values) * 0.99))]
        word = "reached" if p99 <= target else "MISSED"
        print(f"{name:26s}{values[len(values) // 2]:9.2f}{p99:9.2f}{values[-1]:9.2f}   {target:.0f}: {word}")


def store(rounds: int, folder: Path, count: int = 1_000_000, path: Path | None = None) -> None:
    """Fill a database and time its reading; `rounds` hundred times each."""
    path = path or folder / "store.db"
    if not path.exists():
        print(f"capturing {count:,} messages over {BOTS} bots, each with its journal row and its words")
        begun = time.perf_counter()
        trio.run(fill, path, count)
        print(f"  {time.perf_counter() - begun:.0f} s with making them, {path.stat().st_size / 1e6:,.0f} MB")
    report(trio.run(timed, path, rounds * 100))


def main() -> None:
    """Run it alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--database", type=Path)
    # `python -m tests.bench store` has arguments of its own.
    arguments, _ = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        store(arguments.rounds, Path(folder), arguments.messages, arguments.database)


if __name__ == "__main__":
    main()
