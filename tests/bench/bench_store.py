"""The store at a million messages over 50 bots: capture, history pages, searches.

Usage: `./dev bench store`, or `python -m tests.bench.bench_store [--messages N] [--database FILE]`; a database that is
there already is used as it is.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path

import outcome
import trio

from edgebotd.events import ChatMessage, Conversation, Message, TextPart, encode
from edgebotd.store import bots, conversations, journal, messages, search
from edgebotd.store.database import Database, Transaction, open_database

BOTS = 50
CONVERSATIONS = 40
"""Of each bot."""
ALONE = 50_000
"""So many are captured one a write; the rest as a bot's history is filled in, `PER_WRITE` a write."""
PER_WRITE = 100
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
    """Make the messages, in turn of user and assistant."""
    rng = random.Random(2)
    for number, (bot, text) in enumerate(texts(count)):
        yield Message(
            id=f"m-{rng.getrandbits(80):020x}",
            bot_id=f"bot-{bot}",
            conversation_id=conversation_of(bot, rng.randrange(CONVERSATIONS)),
            run_id=f"r-{rng.getrandbits(80):020x}",
            role="assistant" if number % 2 else "user",
            parts=(TextPart(text=text),),
            created_at=START_AT + number * 1000,
        )


def capture(batch: list[Message], seq: int) -> Callable[[Transaction], None]:
    """Return the write that stores messages and their events, as the daemon does."""

    def write(transaction: Transaction) -> None:
        conn = transaction.connection
        puts = [messages.put(conn, batch[0])] if len(batch) == 1 else messages.put_many(conn, batch)
        rows = []
        for number, put in enumerate(puts):
            stored = put.message
            event = ChatMessage(bot_id=stored.bot_id, conversation_id=stored.conversation_id, message=stored)
            rows.append(
                journal.JournalRow(1, seq + number, stored.created_at, stored.bot_id, event.type, encode(event))
            )
        journal.append_many(conn, rows)

    return write


async def fill(path: Path, count: int) -> dict[str, list[float]]:
    """Capture so many messages; return the rates of each 50,000 by way, in messages a second."""
    rates: dict[str, list[float]] = {"one a write": [], f"{PER_WRITE} a write": []}
    async with open_database(path) as database:
        await database.write(lambda transaction: prepare(transaction.connection))
        source = made(count)
        done = 0
        while True:
            batch = [message for _, message in zip(range(50_000), source, strict=False)]
            if not batch:
                return rates
            way, size = ("one a write", 1) if done < ALONE else (f"{PER_WRITE} a write", PER_WRITE)
            cpu = time.process_time()
            seconds = await _capture_all(database, batch, size, done)
            cpu = (time.process_time() - cpu) / len(batch) * 1e6
            done += len(batch)
            rates[way].append(len(batch) / seconds)
            print(f"  {done:9,} messages, {way}: {rates[way][-1]:8,.0f} /s, {cpu:4.0f} us of CPU each", flush=True)


async def _capture_all(database: Database, batch: list[Message], size: int, done: int) -> float:
    slots = trio.Semaphore(WAITING)

    def committed(result: outcome.Outcome[None]) -> None:
        result.unwrap()
        slots.release()

    begun = time.perf_counter()
    for start in range(0, len(batch), size):
        await slots.acquire()
        database.submit(capture(batch[start : start + size], done + start + 1), committed)
    await database.write(lambda _: None)
    return time.perf_counter() - begun


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
        for way, rates in trio.run(fill, path, count).items():
            middle = sorted(rates)[len(rates) // 2] if rates else 0.0
            word = "reached" if middle >= CAPTURED_PER_SECOND else "MISSED"
            slowest = min(rates, default=0)
            print(f"captured, {way}: median {middle:,.0f} /s, slowest {slowest:,.0f} /s, target 10,000: {word}")
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
