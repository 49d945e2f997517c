"""What bots and people write, as it is shown: formatted, harmless, and the same whether it was streamed or not."""

from __future__ import annotations

import sqlite3

from playwright.sync_api import Browser, Page, Request, expect

from edgebotd.events import AttachmentPart, ErrorPart, Message, TextPart, ToolCallPart, ToolResultPart
from edgebotd.store import attachments
from edgebotd.store.attachments import Attachment
from tests.browser.house import Demo, open_tabs, sign_in
from tests.browser.talk import (
    FIRST_AT,
    add_conversation,
    connect_bot,
    evaluate_with,
    fill_store,
    id_of,
    open_chat,
    replies,
    send,
    text_message,
)

XSS = (
    "<script>window.pwned = 1</script>",
    '<img src=x onerror="window.pwned = 1">',
    '<svg onload="window.pwned = 1">',
    "<svg><script>window.pwned = 1</script></svg>",
    '<svg><animate onbegin="window.pwned = 1" attributeName=x dur=1s>',
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=x onerror=window.pwned=1&gt;">',
    '<iframe src="javascript:parent.pwned = 1"></iframe>',
    '<iframe srcdoc="<script>parent.pwned = 1</script>"></iframe>',
    '<object data="https://evil.example/x.swf"></object>',
    '<embed src="https://evil.example/x">',
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<style>@import url(https://evil.example/x.css); * { background: url(https://evil.example/y) }</style>",
    '<meta http-equiv=refresh content="0;url=https://evil.example/">',
    "<base href=https://evil.example/>",
    "<form action=https://evil.example/><button>press</button></form>",
    '<body onload="window.pwned = 1">',
    '<details open ontoggle="window.pwned = 1">x</details>',
    '<video src=https://evil.example/v poster=https://evil.example/p onerror="window.pwned = 1"></video>',
    '<audio src=x onerror="window.pwned = 1"></audio>',
    '<input autofocus onfocus="window.pwned = 1">',
    '<a href="javascript:window.pwned = 1" style="position:fixed;inset:0">x</a>',
    '<div style="background:url(https://evil.example/b)">x</div>',
    '<noscript><p title="</noscript><img src=x onerror=window.pwned=1>">',
    "<template><script>window.pwned = 1</script></template>",
    '"><img src=x onerror=window.pwned=1>',
    "'-alert(1)-'",
    "[x](javascript:window.pwned=1)",
    "[x](JaVaScRiPt:window.pwned=1)",
    "[x](java\tscript:window.pwned=1)",
    "[x](&#106;avascript:window.pwned=1)",
    "[x](data:text/html,<script>window.opener.pwned=1</script>)",
    "[x](vbscript:x)",
    "[x](/api/logout)",
    "[x](//evil.example/)",
    "<javascript:window.pwned=1>",
    "![x](https://evil.example/track.png)",
    "![x](data:image/svg+xml,<svg/onload=window.pwned=1>)",
    '![x" onerror="window.pwned=1](https://evil.example/x.png)',
    '![x](https://evil.example/"onerror="window.pwned=1)',
    '[x](https://evil.example/ "t\\" onmouseover=\\"window.pwned=1")',
    "[ref]\n\n[ref]: javascript:window.pwned=1",
    '```"><img src=x onerror=window.pwned=1>\ncode\n```',
    "```html\n<script>window.pwned = 1</script>\n```",
    "`<img src=x onerror=window.pwned=1>`",
    "| <img src=x onerror=window.pwned=1> | b |\n|---|---|\n| <script>window.pwned=1</script> | [x](javascript:x) |",
    "&lt;img src=x onerror=window.pwned=1&gt;",
    '<a class=remote-image href="javascript:window.pwned=1">x</a>',
    "<p id=app name=cookie>clobbered</p><form id=document><input name=body></form>",
    "{{constructor.constructor('window.pwned=1')()}} ${window.pwned=1}",
    "\u202e<img src=x onerror=window.pwned=1>\u2066",
)

SAMPLES = (
    "One paragraph only",
    "# Head\n\nText with **bold**\nand a second line.\n\n- a\n- b\n\n  still b\n\n- c\n\nAfter the list.\n",
    "1. one\n\n2. two\n\n   ```js\n   inside();\n\n   more();\n   ```\n\n3. three\n\nend",
    "text\n```python\ndef f():\n\n    return 1\n```\nafter\n\n~~~\n```\nno end here ```\n~~~\n\nlast",
    "> quote\n> more\n\n> another\n\n    indented\n\n    code\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
    "````md\n```\nnested\n```\n````\n\n```unclosed\nand so on\n\nand on",
    "\n\n\nleading lines\n\n\n\n\ntrailing lines\n\n\n",
    "- item\n```\nfence right after an item\n```\ntext",
    "Zwölf Boxkämpfer 🥊🥊\n\nالسلام عليكم\n\n你好，世界\n\n```\n🥊\n```\n",
)

CUT_EVERYWHERE = """argument.flatMap((text) => {
    const whole = it.blocksOf(text);
    const wrong = [];
    if (whole.join("").trim() !== text.trim()) wrong.push(["lost", whole.join("")]);
    for (const step of [1, 2, 3, 7, 12, 50]) {
        const blocks = new it.Blocks();
        for (let at = 0; at < text.length; at += step) {
            blocks.append(text.slice(at, at + step));
            if (blocks.closed.join("") + blocks.open !== text.slice(0, at + step)) wrong.push(["apart", step, at]);
        }
        if (JSON.stringify(blocks.finish()) !== JSON.stringify(whole)) wrong.push(["not", step, blocks.closed, whole]);
    }
    for (let at = 0; at <= text.length; at += 1) {
        const blocks = new it.Blocks();
        blocks.append(text);
        blocks.append("\\n\\nwhat will be taken back\\n\\nand more");
        blocks.cut(at);
        blocks.append(text.slice(at));
        if (blocks.text !== text) wrong.push(["cut", at]);
        if (JSON.stringify(blocks.finish()) !== JSON.stringify(whole)) wrong.push(["cut", at, blocks.closed, whole]);
    }
    return wrong;
})"""


def test_blocks_are_the_same_however_a_text_came(page: Page) -> None:
    assert evaluate_with(page, "./chat/blocks.js", CUT_EVERYWHERE, list(SAMPLES)) == []


def test_finished_blocks_are_never_touched_again(page: Page) -> None:
    kept = evaluate_with(
        page,
        "./chat/blocks.js",
        """(() => {
            const blocks = new it.Blocks();
            let most = 0;
            for (let n = 0; n < 1000; n += 1) {
                blocks.append(`paragraph ${n}\\n\\n`);
                most = Math.max(most, blocks.open.length);
            }
            return [blocks.closed.length, most];
        })()""",
    )
    assert kept[0] >= 998
    assert kept[1] < 40


def test_markdown_is_formatted(page: Page, demo: Demo) -> None:
    open_chat(page, demo)
    send(
        page,
        "[[say # Head\n\nSome **bold**, `code`, [a link](https://example.org/x) and <b>no HTML</b>.\n\n"
        "```python\ndef f():\n    return 1\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- [x] done\n\n"
        "![a cat](https://images.example/cat.png)]]",
    )
    said = replies(page).locator(".said")
    expect(said.get_by_role("heading", name="Head")).to_be_visible()
    expect(said).to_contain_text("<b>no HTML</b>")
    link = said.get_by_role("link", name="a link")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    expect(link).to_have_attribute("target", "_blank")
    expect(said.locator(".code-head span")).to_have_text("python")
    expect(said.locator(".hljs-keyword").first).to_have_text("def")
    expect(said.get_by_role("button", name="Copy").first).to_be_visible()
    expect(said.locator(".table-box table")).to_be_visible()
    expect(said).to_contain_text("☑ done")
    expect(said.get_by_role("button", name="Show image from images.example")).to_be_visible()
    expect(said.locator("img")).to_have_count(0)


def test_code_is_copied(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser, permissions=["clipboard-read", "clipboard-write"]) as context:
        page = sign_in(context, demo)
        open_chat(page, demo)
        send(page, '[[say ```sh\nls -la && echo "<ok>"\n```]]')
        expect(replies(page).locator("footer")).to_have_count(1)
        replies(page).locator(".code-copy").click()
        expect(replies(page).locator(".code-copy")).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == 'ls -la && echo "<ok>"'


def test_what_is_nested_too_deeply_is_shown_as_text(page: Page, demo: Demo) -> None:
    open_chat(page, demo)
    send(page, f"[[say {'>' * 20_000} deep]]")
    expect(replies(page).locator(".said")).to_contain_text("deep")


def hostile(conn: sqlite3.Connection) -> None:
    """Put every string of the corpus into every place that a bot, its tools, files and people can fill."""
    made = []
    for number, text in enumerate(XSS):
        sha256 = f"{number:064x}"
        attachments.add(conn, Attachment(sha256, 5, "image/png", FIRST_AT))
        parts = (
            TextPart(text=text),
            ToolCallPart(tool_call_id=f"call-{number}", name=text, arguments={"query": text}),
            ToolResultPart(tool_call_id=f"call-{number}", name=text, result=text, is_error=True),
            AttachmentPart(sha256=sha256, name=text, media_type="image/png", size=5),
            AttachmentPart(sha256=sha256, name=text, media_type="text/html", size=5),
            ErrorPart(message=text),
        )
        base = text_message(2 * number + 1, text)
        made.append(text_message(2 * number, text))
        made.append(base.model_copy(update={"parts": parts, "source": "plugin:" + text[:40]}))
    add_conversation(conn, 1, "The corpus", made)
    for number, text in enumerate(XSS, start=2):
        add_conversation(conn, number, text[:200], [one_message(number, text)])


def one_message(number: int, text: str) -> Message:
    """Make the only message of a conversation."""
    return text_message(1, text, conversation=number)


def test_hostile_text_runs_no_script_and_loads_nothing_from_elsewhere(browser: Browser, demo: Demo) -> None:
    fill_store(demo, hostile)
    with open_tabs(browser) as context:
        foreign: list[str] = []

        def look(request: Request) -> None:
            if not request.url.startswith((demo.origin, "blob:")):
                foreign.append(request.url)

        context.on("request", look)
        page = sign_in(context, demo)
        page.on("dialog", lambda dialog: foreign.append(f"dialog: {dialog.message}"))
        connect_bot(page, "hostile", name="<img src=x onerror=window.pwned=1>")
        page.goto(f"{demo.origin}/chat")
        expect(page.locator("a.conversation[href='/chat/hostile']")).to_contain_text(
            "<img src=x onerror=window.pwned=1>"
        )
        open_chat(page, demo, f"echo/{id_of(1)}")
        for _ in range(4):
            # The whole corpus is more than is rendered at once: towards its beginning.
            expect(replies(page).first).to_be_visible()
            page.evaluate("for (const card of document.querySelectorAll('details.tool')) card.open = true")
            expect(page.locator(".tool-body").first).to_be_attached()
            page.locator(".lines").evaluate("(box) => box.scrollTo(0, 0)")
        expect(page.locator(".asked", has_text=XSS[0]).first).to_be_attached()
        page.get_by_label("Search messages and titles").fill("pwned")
        expect(page.locator("mark").first).to_be_visible()
        for text in XSS[:3]:
            send(page, text)
            expect(page.locator(".asked:not(.leaving)").filter(has_text=text).last).to_be_attached()
        assert page.evaluate("window.pwned") is None
        assert (
            page.locator(
                ".said :is(script, iframe, object, embed, style, link, form, input, svg:not(.icon), math, video, audio)"
            ).count()
            == 0
        )
        assert page.evaluate(
            "[...document.querySelectorAll('.chat *')]"
            ".every((one) => one.getAttributeNames().every((name) => !name.startsWith('on')))"
        )
        hrefs = page.evaluate("[...document.querySelectorAll('.md a')].map((one) => one.getAttribute('href'))")
        assert hrefs and all(href.startswith(("https://", "http://", "mailto:")) for href in hrefs)
        sources = page.evaluate("[...document.querySelectorAll('.chat img')].map((one) => one.getAttribute('src'))")
        assert all(source.startswith("/api/attachments/") for source in sources)
        assert foreign == []


def test_hostile_words_in_the_address_change_nothing(page: Page, demo: Demo) -> None:
    for place in ("echo/<img src=x onerror=window.pwned=1>", "echo?m=%22%5D,script", "..%2f..%2fapi", "echo/c_x?m=*"):
        page.goto(f"{demo.origin}/chat/{place}")
        page.wait_for_selector("#main")
        assert page.evaluate("window.pwned") is None
