"""What is said, where a line is all there is room for: words without the marks of markdown."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.house import Demo, wait_live
from tests.browser.talk import evaluate_with, post

SAID = {
    "# Head Text with **bold** and *it*": "Head Text with bold and it",
    'Some `code` and a [link](https://x.example/a_(b) "t") end': "Some code and a link end",
    "![a cat](https://images.example/cat.png?size": "a cat",
    "![a cat](https://images.example/cat…": "a cat",
    "![](https://images.example/cat.png)": "",
    "snake_case_name and 2 * 3 * 4 = 5 * 1, C:\\new": "snake_case_name and 2 * 3 * 4 = 5 * 1, C:\\new",
    "- one\n- [x] two\n\n> said\n\n1. first": "one two said 1. first",
    "```python\ndef f():\n    return 1\n```": "def f(): return 1",
    "Look: ```sh ls -la": "Look: ls -la",
    "| a | b |\n|---|---|\n| 1 | 2 |": "a · b · 1 · 2",
    "| a | b | |---|---| | 1 | 2 |": "a · b · 1 · 2",
    "a | b > c & d < e": "a | b > c & d < e",
    "You said: > hello I am": "You said: hello I am",
    "You said: >": "You said:",
    "Two files: | a | b | |---|---| | 1 | 2 |": "Two files: a · b · 1 · 2",
    "listed in *exc…": "listed in exc…",
    "5 * 3 and *this* but no_mark…": "5 * 3 and this but no_mark…",
    "**bold that is cut": "bold that is cut",
    "~~gone~~ ***both*** _it_ __so__": "gone both it so",
    "I said \\*not bold\\*": "I said *not bold*",
    "see <https://example.org/x>": "see https://example.org/x",
    "---\n\ntext": "text",
    "[[say Hello!]]": "[[say Hello!]]",
    "<b>no</b> HTML": "<b>no</b> HTML",
}


def test_markdown_becomes_plain_words(page: Page) -> None:
    found = evaluate_with(page, "./plain.js", "argument.map(it.plain)", list(SAID))
    assert dict(zip(SAID, found, strict=True)) == SAID


@pytest.mark.quiet
def test_odd_text_costs_little(page: Page) -> None:
    odd = ["*" * 240, "_a" * 120, "[" * 240, "![](" * 60, "`" * 240, "|-" * 120, "> " * 120, "\\" * 240, "(a(" * 80]
    took = evaluate_with(
        page,
        "./plain.js",
        "(() => { const begun = performance.now(); argument.forEach(it.plain); return performance.now() - begun; })()",
        odd,
    )
    assert took < 200


def test_the_last_message_is_shown_as_plain_words(page: Page, demo: Demo) -> None:
    post(page, "echo", "[[say ## Done\n\nIt has **three** `parts`, see [the page](https://example.org/x).]]")
    last = page.locator(".c-said a.last-said")
    expect(last).to_have_text("Done It has three parts, see the page.")
    # As the daemon tells it too.
    page.reload()
    wait_live(page)
    expect(last).to_have_text("Done It has three parts, see the page.")
    page.goto(f"{demo.origin}/chat/echo")
    expect(page.locator(".conversation-last")).to_have_text("Done It has three parts, see the page.")
