"""What the tests of chat share: sending, looking at the timeline, and a store filled before the daemon starts."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any

from playwright.sync_api import BrowserContext, Locator, Page

from edgebotd.events import Conversation, Message, TextPart
from edgebotd.store import connection, conversations, indexing, messages
from tests.browser.house import Demo, wait_live

PASSWORD = "a long enough password"
FIRST_AT = 1_750_000_000_000
MINUTE_MS = 60_000


def open_chat(page: Page, demo: Demo, place: str = "echo") -> None:
    """Open a bot's chat, or one of its conversations: `echo/c_...`."""
    page.goto(f"{demo.origin}/chat/{place}")
    wait_live(page)
    page.wait_for_selector(".lines", state="attached")


def composer(page: Page) -> Locator:
    """Return where one writes."""
    return page.locator(".composer textarea")


def send(page: Page, text: str) -> None:
    """Type a message and send it by its key."""
    composer(page).fill(text)
    composer(page).press("Enter")


def asked(page: Page) -> Locator:
    """Return the messages of people that the daemon has."""
    return page.locator(".asked:not(.leaving)")


def replies(page: Page) -> Locator:
    """Return the bot's messages."""
    return page.locator(".reply")


def leaving(page: Page) -> Locator:
    """Return the messages that the daemon does not have yet."""
    return page.locator(".leaving")


def conversation_of(page: Page) -> str:
    """Return the id of the conversation that is shown, once it has one."""
    page.wait_for_url("**/c_*")
    return page.url.partition("?")[0].rpartition("/")[2]


def evaluate_with(page: Page, module: str, body: str, argument: Any = None) -> Any:
    """Evaluate an expression with one of the page's own modules as `it`, the very one that the page uses."""
    script = f"""async (argument) => {{
        const main = document.querySelector('script[type="module"]').src;
        const it = await import(new URL({module!r}, main).href);
        return {body};
    }}"""
    return page.evaluate(script, argument)


def fill_store(demo: Demo, write: Callable[[sqlite3.Connection], None]) -> None:
    """Stop the daemon, write into its store, and start it again."""
    demo.stop()
    conn = connection.open_writer(demo.folder / "state" / "edgebotd.db", FIRST_AT)
    try:
        conn.execute("BEGIN")
        write(conn)
        conn.execute("COMMIT")
        indexing.index_all(conn)
    finally:
        conn.close()
    demo.restart()


def add_conversation(
    conn: sqlite3.Connection, number: int, title: str, made: Iterable[Message], *, bot_id: str = "echo"
) -> str:
    """Store a conversation with its messages and return its id."""
    conversation_id = id_of(number)
    known = Conversation(
        id=conversation_id, bot_id=bot_id, title=title, created_at=FIRST_AT, updated_at=FIRST_AT + number
    )
    conversations.insert(conn, known, f"agent:main:edgebotd:{conversation_id}")
    for message in made:
        messages.put(conn, message)
    return conversation_id


def id_of(number: int) -> str:
    """Return the id of a conversation of `add_conversation`."""
    return f"c_{number:020d}"


def text_message(number: int, text: str, *, conversation: int = 1, minutes: float = 1) -> Message:
    """Make a message of one text: even ones are a person's, odd ones the bot's."""
    return Message(
        id=f"m-{conversation}-{number}",
        bot_id="echo",
        conversation_id=id_of(conversation),
        run_id=f"r-{conversation}-{number // 2}",
        role="assistant" if number % 2 else "user",
        parts=(TextPart(text=text),),
        created_at=FIRST_AT + int(number * minutes * MINUTE_MS),
        user_id=None if number % 2 else "ada",
    )


def add_user(demo: Demo, user_id: str, grant: str) -> None:
    """Make a user with a grant on the built-in bot."""
    demo.run("user", "add", user_id, text=f"{PASSWORD}\n")
    demo.run("user", "grant", user_id, "echo", grant)


def log_in(context: BrowserContext, demo: Demo, user_id: str, place: str = "/chat/echo") -> Page:
    """Open a tab of a user, who logs in by hand."""
    page = context.new_page()
    page.goto(demo.origin + place)
    page.get_by_label("User").fill(user_id)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    wait_live(page)
    return page


def call_api(page: Page, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Call the API as the page does, and return what it answers."""
    script = """async ([method, path, body]) => {
        const headers = body ? { "content-type": "application/json" } : {};
        const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
        const text = await answer.text();
        if (!answer.ok) throw new Error(text);
        return text ? JSON.parse(text) : null;
    }"""
    return page.evaluate(script, [method, path, body])


def connect_bot(page: Page, bot_id: str, *, name: str | None = None, pace_ms: int = 30) -> None:
    """Connect another of the built-in bots."""
    call_api(
        page, "POST", "/api/bots/connect", {"id": bot_id, "kind": "echo", "name": name or bot_id, "paceMs": pace_ms}
    )


def post(page: Page, bot_id: str, text: str, **more: Any) -> Any:
    """Send a message without the page."""
    body = {"text": text, "idempotencyKey": f"test-{hash(text)}", **more}
    return call_api(page, "POST", f"/api/bots/{bot_id}/chat/send", body)


def count_frames(page: Page) -> None:
    """Count frames from now on."""
    page.evaluate(
        "() => { window.frames_ = 0; const count = () => { window.frames_ += 1; requestAnimationFrame(count); };"
        " requestAnimationFrame(count); }"
    )


def frames_of(page: Page) -> int:
    """Return how many there were since."""
    return int(page.evaluate("window.frames_"))
