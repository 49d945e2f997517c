"""What looked wrong once, measured: what does not fit is cut where it may be, and nothing moves what is beside it."""

from __future__ import annotations

from playwright.sync_api import Browser, FloatRect, Locator, Page, expect

from tests.browser.house import DESK, PHONE, Demo, open_tabs, sign_in, wait_live
from tests.browser.talk import composer, connect_bot, open_chat, post, replies, send

LONG = "Donaudampfschifffahrtsgesellschaftskapitaenskajuetenschluesselverwalter"
ARABIC = "اكتملت النسخة الاحتياطية، وتم تخطي ملفين: الأول أكبر من الحد المسموح به، والثاني في قائمة الاستثناءات. " * 2


def box(locator: Locator) -> FloatRect:
    """Return where an element is."""
    found = locator.bounding_box()
    assert found is not None
    return found


def test_a_name_of_one_long_word_stays_on_a_phone(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser, PHONE) as context:
        page = sign_in(context, demo)
        connect_bot(page, "long", name=LONG)
        open_chat(page, demo, "long/new")
        empty = box(composer(page))["height"]
        assert empty < 2 * 24 + 20, "the placeholder with the name is one line"
        send(page, "[[say Hello]]")
        expect(replies(page)).to_contain_text("Hello")
        name = box(replies(page).locator("header strong"))
        assert name["x"] + name["width"] <= PHONE["width"]


def test_a_message_in_arabic_is_cut_at_its_own_end(page: Page, demo: Demo) -> None:
    post(page, "echo", f"[[say {ARABIC.strip()}]]")
    said = page.locator("a.last-said [dir]")
    expect(said).to_contain_text("اكتملت")
    expect(said).not_to_contain_text("[[say")
    expect(said).to_have_css("direction", "rtl")
    # The element that holds the text cuts it: one around it, which flows the other way, would cut its beginning.
    assert said.evaluate("(node) => node.scrollWidth > node.clientWidth")
    assert said.evaluate("(node) => node.parentElement.scrollWidth <= node.parentElement.clientWidth")


def test_a_table_and_a_list_keep_what_their_author_said_of_them(page: Page, demo: Demo) -> None:
    open_chat(page, demo)
    send(page, "[[say | file | size |\n|---|---:|\n| a | 4 GB |\n\n3. third\n4. fourth]]")
    expect(replies(page).locator("td").last).to_have_css("text-align", "end")
    expect(replies(page).locator("ol")).to_have_attribute("start", "3")


def test_a_reply_that_failed_offers_another_try_unasked(page: Page, demo: Demo) -> None:
    open_chat(page, demo)
    send(page, "[[error The model is tired]]")
    expect(replies(page)).to_contain_text("The model is tired")
    composer(page).hover()
    expect(replies(page).get_by_role("button", name="Try again")).to_have_css("opacity", "1")
    expect(replies(page).locator("footer")).to_have_css("opacity", "1")


def test_a_filter_that_fits_nothing_is_left_by_a_button(page: Page) -> None:
    page.get_by_role("searchbox").fill("nothing like this")
    expect(page.get_by_role("main")).to_contain_text("0 bots fit")
    page.get_by_role("button", name="Show all bots").click()
    expect(page.locator("[data-row]")).to_have_count(1)


def test_every_dialog_is_of_one_width(page: Page, demo: Demo) -> None:
    connect_bot(page, "atlas")
    page.goto(f"{demo.origin}/?connect")
    connect = box(page.get_by_role("dialog"))["width"]
    page.goto(f"{demo.origin}/bots/atlas/about")
    wait_live(page)
    page.get_by_role("button", name="Edit").click()
    assert box(page.get_by_role("dialog"))["width"] == connect


def test_rows_keep_their_height_while_a_bot_works(page: Page, demo: Demo) -> None:
    connect_bot(page, "atlas", pace_ms=10)
    row = page.locator(".bot-row", has_text="atlas")
    for width in (DESK["width"], 768, PHONE["width"]):
        page.set_viewport_size({"width": width, "height": 800})
        before = box(row)["height"]
        post(page, "atlas", f"[[slow]] [[tool weather]] [[say at {width}]]")
        expect(row.locator(".c-doing:not(.resting)")).to_be_visible()
        assert box(row)["height"] == before
        expect(row.locator(".resting")).to_be_attached()


def test_all_bots_of_the_chat_tell_what_was_said_last(page: Page, demo: Demo) -> None:
    connect_bot(page, "atlas", name="Atlas")
    post(page, "atlas", "[[say On its way]]")
    page.goto(f"{demo.origin}/chat")
    wait_live(page)
    first = page.locator("a.conversation").first
    expect(first).to_contain_text("Atlas")
    expect(first).to_contain_text("On its way")
