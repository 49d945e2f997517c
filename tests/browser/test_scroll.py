"""Where the timeline stands while history is put in above what one looks at."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.browser.talk import evaluate_with

SCROLLED_WHILE_OLDER_COME = """(async () => {
  const box = document.createElement("div"), list = document.createElement("div");
  box.style.cssText = "block-size: 200px; overflow-y: scroll; overflow-anchor: none";
  box.append(list);
  document.body.append(box);
  const row = (size, id) => {
    const one = document.createElement("article");
    one.style.blockSize = `${size}px`;
    one.dataset.id = id;
    return one;
  };
  for (let number = 0; number < 40; number += 1) list.append(row(100, `m${number}`));
  const keeper = new it.Keeper(box, list, { onNear() {}, onMove() {}, mayStick: () => true });
  const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  box.scrollTop = 1500;
  await frame();
  // In one task: somebody scrolls, of which the browser tells with the next frame, and older ones come.
  box.scrollTop = argument;
  list.prepend(row(300, "older"));
  keeper.settle();
  const kept = box.scrollTop;
  await frame();
  const later = box.scrollTop;
  keeper.close();
  box.remove();
  return [kept, later];
})()"""


def test_a_scroll_is_not_taken_back_by_what_comes_in_above(page: Page) -> None:
    """Up and down: what is seen then stays, 300 pixels lower."""
    for place in (0, 400, 1500, 2200):
        assert evaluate_with(page, "./chat/scroll.js", SCROLLED_WHILE_OLDER_COME, place) == [place + 300] * 2
