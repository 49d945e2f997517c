"""Bots made in the browser on a real engine, each try at an address of its own; adopting; images and the disk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.browser.axe import violations
from tests.browser.house import PHONE, Demo, open_tabs, sign_in, wait_live
from tests.peers.engine import REMOTE, DockerEngine

OPERATION: dict[str, Any] = {
    "id": "op_1", "botId": "atlas", "kind": "create", "state": "running", "step": "pull", "reason": None,
    "userId": "admin", "steps": ["validate", "pull", "create"], "startedAt": 1_000_000, "endedAt": None,
    "request": {"image": "bot:1"},
    "lines": [
        {"number": 1, "at": 1_000_000, "step": "validate", "text": "begins"},
        {"number": 2, "at": 1_000_500, "step": "pull", "text": "begins"},
        {"number": 3, "at": 1_000_600, "step": "pull", "text": "1.0 of 8.0 MiB, 0 of 2 layers"},
        {"number": 4, "at": 1_001_600, "step": "pull", "text": "4.0 of 8.0 MiB, 1 of 2 layers"},
    ],
}  # fmt: skip
CLAW: dict[str, Any] = {
    "kind": "container", "container": "claw-gateway-1", "suggestedId": "claw", "botId": None, "image": "openclaw:2",
    "state": "running", "why": ["it has the port 18789"], "url": "ws://127.0.0.1:18789", "reachable": True,
    "obstacle": None, "notes": [], "violations": ["It may take all of this machine's memory."],
    "config": ["/home/node/.openclaw/openclaw.json"],
}  # fmt: skip
STOPPED = {**CLAW, "container": "far", "url": None, "reachable": False, "obstacle": "It does not run. Start it."}
IMAGES = [
    {"id": f"sha256:{'a' * 64}", "tags": ["openclaw:2", "openclaw:latest"], "digests": [], "sizeBytes": 2_000_000_000,
     "createdAt": 1, "bots": ["echo"], "containers": ["stranger"]},
    {"id": f"sha256:{'b' * 64}", "tags": ["old:1", "old:2"], "digests": [], "sizeBytes": 5, "createdAt": None,
     "bots": [], "containers": []},
    {"id": f"sha256:{'c' * 64}", "tags": [], "digests": [], "sizeBytes": 7, "createdAt": 1,
     "bots": [], "containers": []},
]  # fmt: skip
DISK = {
    "at": 1,
    "images": {"count": 3, "sizeBytes": 2_000_000_000, "reclaimableBytes": 500_000_000},
    "containers": {"count": 1, "sizeBytes": 0, "reclaimableBytes": 0},
    "volumes": {"count": 2, "sizeBytes": 3_000_000, "reclaimableBytes": 0},
    "buildCache": {"count": 0, "sizeBytes": 0, "reclaimableBytes": 0},
    "eachVolume": [
        {"name": "edgebotd-echo-1", "botId": "echo", "sizeBytes": 3_000_000, "used": True},
        {"name": "edgebotd-gone-1", "botId": "gone", "sizeBytes": None, "used": False},
    ],
}


@pytest.fixture(scope="module")
def house(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A daemon with a real engine. Bots' ports are in the engine's own network: no try comes further than pairing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{engine.socket}")
        demo = Demo(tmp_path_factory.mktemp("house"))
        try:
            yield demo
        finally:
            demo.stop()


@pytest.fixture(scope="module")
def signed_in(browser: Browser, house: Demo) -> Any:
    with open_tabs(browser) as context:
        sign_in(context, house)
        return context.storage_state()


@pytest.fixture
def tab(browser: Browser, house: Demo, signed_in: Any) -> Iterator[Page]:
    with open_tabs(browser, storage_state=signed_in) as context:
        yield context.new_page()


def show(page: Page, house: Demo, path: str) -> None:
    page.goto(house.origin + path)
    wait_live(page)


def step(page: Page, name: str) -> Locator:
    return page.locator(".work-step", has=page.get_by_role("heading", name=name, exact=True))


def make(page: Page, house: Demo, name: str, tag: str, **variables: str) -> None:
    """Fill in the form and begin; ends at the operation's own address."""
    show(page, house, "/operations/new")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Image").fill(f"{REMOTE}:{tag}")
    if variables:
        page.locator("summary", has_text="Environment").click()
    for key, value in variables.items():
        page.get_by_role("button", name="Add a variable").click()
        page.get_by_label("Variable's name").last.fill(key)
        page.get_by_label("Value", exact=True).last.fill(value)
    page.get_by_role("button", name="Make the bot").click()
    expect(page).to_have_url(re.compile("/operations/op_"))


def answer(page: Page, path: str, body: object, *, reads: bool = True) -> list[Any]:
    """Answer a path in the daemon's place, but for reads where these are its own; return what will have been sent."""
    sent: list[Any] = []

    def fulfil(route: Route) -> None:
        if route.request.method != "GET":
            sent.append((route.request.method, route.request.post_data_json))
        elif not reads:
            return route.continue_()
        route.fulfill(json=body)

    page.route(f"**{path}", fulfil)
    return sent


def module(page: Page, path: str) -> str:
    """Return the address of a module of the page's own, as it imports it itself."""
    source = page.locator('script[type="module"]').get_attribute("src")
    assert source is not None
    return source.replace("main.js", path)


def test_a_bot_is_made_under_ones_eyes_over_reload_and_crash_until_it_is_cancelled(tab: Page, house: Demo) -> None:
    make(tab, house, "Atlas Zwei", "big")
    expect(tab.get_by_role("heading", level=1)).to_have_text("New bot: Atlas Zwei")
    expect(step(tab, "Fetch the image")).to_contain_text("@sha256:")
    expect(step(tab, "Pair")).to_contain_text("Nothing answers", timeout=30_000)
    expect(tab.locator(".work-verdict")).to_contain_text(re.compile(r"goes on for \d+:\d\d"))
    expect(step(tab, "Wait until it is healthy")).to_contain_text("done")
    expect(step(tab, "First hello")).to_contain_text("waiting")
    assert violations(tab) == []
    tab.reload()
    expect(step(tab, "Fetch the image")).to_contain_text("@sha256:")
    expect(step(tab, "Pair")).to_have_attribute("aria-current", "step")
    house.restart(kill=True)
    expect(step(tab, "Pair")).to_contain_text("edgebotd started again; going on here.", timeout=40_000)
    tab.get_by_role("button", name="Cancel").click()
    expect(tab.get_by_role("status").filter(has_text="It was cancelled.")).to_be_visible(timeout=40_000)
    expect(tab.get_by_role("button", name="Cancel")).to_have_count(0)
    expect(step(tab, "Pair")).to_contain_text("cancelled")
    expect(step(tab, "First hello")).to_contain_text("not reached")
    expect(tab.locator(".work-verdict")).to_contain_text("has been taken away again")
    # The same with a change begins with what was asked for.
    tab.get_by_role("link", name="Change it and try again").click()
    expect(tab.get_by_label("Id", exact=True)).to_have_value("atlas-zwei")
    expect(tab.get_by_label("Image")).to_have_value(f"{REMOTE}:big")


def test_what_failed_says_why_and_is_tried_again_at_an_address_of_its_own(tab: Page, house: Demo) -> None:
    make(tab, house, "Nova", "nothere")
    reason = tab.get_by_role("alert")
    expect(reason).to_contain_text("nothere could not be pulled")
    expect(step(tab, "Fetch the image")).to_contain_text("failed")
    assert violations(tab) == []
    first = tab.url
    tab.get_by_role("button", name="Try again").click()
    expect(tab).not_to_have_url(first)
    expect(reason).to_contain_text("nothere could not be pulled")
    tab.get_by_role("link", name="Operations").click()
    rows = tab.get_by_role("row").filter(has_text="nova")
    expect(rows).to_have_count(2)
    rows.last.get_by_role("link", name="New bot").click()
    expect(tab).to_have_url(first)
    make(tab, house, "Nova", "1", EXIT_AFTER="1", EXIT_CODE="3")
    expect(reason).to_contain_text("ended by itself", timeout=30_000)
    expect(step(tab, "Pair")).to_contain_text("not reached")


def test_the_form_says_what_is_wrong_while_one_types(tab: Page, house: Demo) -> None:
    show(tab, house, "/operations/new")
    name, identity = tab.get_by_label("Name", exact=True), tab.get_by_label("Id", exact=True)
    name.fill("Écho")
    expect(identity).to_have_value("echo")
    expect(identity).to_have_accessible_description("There is a bot 'echo' already.")
    identity.fill("Bad Id")
    expect(identity).to_have_accessible_description(re.compile("lower-case letters"))
    image = tab.get_by_label("Image")
    expect(image).to_have_accessible_description(re.compile("ghcr.io/openclaw/openclaw"))
    image.fill("--privileged")
    expect(image).to_have_accessible_description(re.compile("named like"))
    for words in ("Limits", "Environment", "Advanced"):
        tab.locator("summary", has_text=words).click()
    tab.get_by_label("Memory in MiB").fill("12")
    expect(tab.get_by_label("Memory in MiB")).to_have_accessible_description("At least 64 MiB.")
    tab.get_by_role("button", name="Add a variable").click()
    variable = tab.get_by_label("Variable's name")
    variable.fill("OPENAI_API_KEY")
    expect(variable).to_have_accessible_description(re.compile("looks like a secret"))
    config = tab.get_by_label("The gateway's configuration")
    for typed, said in {
        "{": "no JSON",
        "[]": "one object",
        '{"gateway": {"auth": {}}}': "gateway.auth",
        '{"a": {"token": "x"}}': "a.token",
    }.items():
        config.fill(typed)
        expect(config).to_have_accessible_description(re.compile(said))
    config.fill('{"a": {"token": "${A_TOKEN}"}}')
    expect(config).to_have_accessible_description(re.compile("openclaw.json"))
    assert violations(tab) == []
    # Nothing is sent; the first field that is wrong has the focus.
    tab.locator("summary", has_text="Limits").click()
    tab.get_by_role("button", name="Make the bot").click()
    expect(identity).to_be_focused()
    identity.fill("iris")
    image.fill("")
    tab.get_by_role("button", name="Make the bot").click()
    expect(tab.get_by_label("Memory in MiB")).to_be_focused()


def test_everything_that_was_said_is_sent_and_secrets_by_name(tab: Page, house: Demo) -> None:
    values = {
        "docker.image": "openclaw:2", "docker.memory_bytes": 2**31, "docker.cpus": 2.0, "docker.pids": 512,
        "docker.secrets": {"openai": "/etc/openai"},
    }  # fmt: skip
    answer(tab, "/api/config", {"items": [{"key": key, "value": value} for key, value in values.items()]})
    sent = answer(tab, "/api/bots", OPERATION, reads=False)
    answer(tab, "/api/operations/op_1", OPERATION)
    show(tab, house, "/operations/new")
    tab.get_by_label("Name", exact=True).fill("Iris")
    tab.get_by_label("Model").fill("openai/gpt")
    for words in ("Limits", "Environment", "Advanced"):
        tab.locator("summary", has_text=words).click()
    tab.get_by_label("Memory in MiB").fill("512")
    tab.get_by_label("Processors", exact=True).fill("1,5")
    for _ in range(2):
        tab.get_by_role("button", name="Add a variable").click()
    tab.get_by_label("Variable's name").first.fill("TZ")
    tab.get_by_label("Value", exact=True).first.fill("Europe/Berlin")
    tab.get_by_label("Variable's name").last.fill("OPENAI_API_KEY")
    tab.get_by_label("Kind of value").last.select_option("secret")
    tab.get_by_label("Secret's name").select_option("openai")
    tab.get_by_label("The gateway's configuration").fill('{"tools": {"deny": ["exec"]}}')
    tab.get_by_role("button", name="Make the bot").click()
    expect(tab).to_have_url(f"{house.origin}/operations/op_1")
    assert sent == [("POST", {
        "id": "iris", "name": "Iris", "model": "openai/gpt", "limits": {"memoryBytes": 512 * 2**20, "cpus": 1.5},
        "environment": {"TZ": "Europe/Berlin"}, "secretEnvironment": {"OPENAI_API_KEY": "openai"},
        "config": {"tools": {"deny": ["exec"]}},
    })]  # fmt: skip


def test_a_pull_shows_how_far_it_is_and_the_log_only_its_newest_line(tab: Page, house: Demo) -> None:
    answer(tab, "/api/operations/op_1", OPERATION)
    show(tab, house, "/operations/op_1")
    pull = step(tab, "Fetch the image")
    expect(pull).to_contain_text("4.0 of 8.0 MiB")
    expect(pull).not_to_contain_text("1.0 of 8.0 MiB")
    tab.evaluate(
        """async (path) => {
            const { docker } = await import(path);
            const pulls = [{ image: "bot:1", bytesDone: 6e6, bytesTotal: 8e6, layersDone: 1, layers: 2 }];
            docker.value = { ...docker.value, pulls };
        }""",
        module(tab, "docker.js"),
    )
    bar = pull.get_by_role("progressbar", name="The image bot:1 is on its way")
    expect(bar).to_have_js_property("value", 6e6)
    expect(pull).to_contain_text("6.0 MB of 8.0 MB · 1 of 2 layers")
    assert violations(tab) == []


def test_work_that_waits_for_the_engine_says_so(tab: Page, house: Demo) -> None:
    answer(tab, "/api/operations/op_1", OPERATION)
    show(tab, house, "/operations/op_1")
    expect(tab.get_by_text("It hangs. It goes on once the engine answers.")).to_have_count(0)
    tab.evaluate(
        """async (path) => {
            const { docker } = await import(path);
            docker.value = { ...docker.value, engine: { state: "frozen", detail: "It hangs.", sinceAt: 1 } };
        }""",
        module(tab, "docker.js"),
    )
    expect(tab.get_by_text("It hangs. It goes on once the engine answers.")).to_be_visible()


def test_going_back_is_called_so(tab: Page, house: Demo) -> None:
    back = {**OPERATION, "kind": "upgrade", "state": "succeeded", "endedAt": 1_002_000, "request": {"back": True}}
    answer(tab, "/api/operations/op_1", back)
    show(tab, house, "/operations/op_1")
    expect(tab.get_by_role("heading", level=1)).to_have_text("Go back with atlas")
    expect(tab.locator(".work-verdict")).to_contain_text("from before its upgrade")


def test_adopting_promises_to_change_nothing_and_asks_for_the_token(tab: Page, house: Demo) -> None:
    answer(tab, "/api/adoptable", {"items": [CLAW, STOPPED], "detail": None})
    sent = answer(tab, "/api/bots/adopt", {**OPERATION, "kind": "adopt"})
    adopting = {**OPERATION, "kind": "adopt", "state": "failed", "endedAt": 1_002_000, "reason": "The token is wrong."}
    answer(tab, "/api/operations/op_1", {**adopting, "request": {"container": "claw-gateway-1", "token": "word"}})
    show(tab, house, "/?add")
    tab.get_by_role("dialog", name="Add a bot").get_by_role("link", name="Adopt a gateway").click()
    claw = tab.get_by_role("listitem").filter(has_text="claw-gateway-1")
    expect(claw).to_contain_text("Looks like a gateway: it has the port 18789.")
    expect(claw).to_contain_text("ws://127.0.0.1:18789 answers")
    claw.locator("summary").click()
    expect(claw).to_contain_text("It may take all of this machine's memory.")
    stopped = tab.get_by_role("listitem").filter(has_text="It does not run")
    expect(stopped.get_by_role("button")).to_have_count(0)
    assert violations(tab) == []
    claw.get_by_role("button", name="Adopt").click()
    dialog = tab.get_by_role("dialog", name="Adopt claw-gateway-1")
    expect(dialog).to_contain_text("nothing about how it runs changes")
    expect(dialog).to_contain_text("/home/node/.openclaw/openclaw.json")
    assert violations(tab) == []
    dialog.locator("[name=id]").fill("echo")
    expect(dialog.get_by_role("button", name="Adopt")).to_be_disabled()
    dialog.locator("[name=id]").fill("claw")
    dialog.get_by_role("button", name="Adopt").click()
    expect(tab.get_by_role("alert")).to_have_text("The token is wrong.")
    expect(tab.locator(".work-verdict")).to_contain_text("The gateway runs on as it did.")
    # A token that was typed is kept nowhere: to try again is to type it again.
    expect(tab.get_by_role("button", name="Try again")).to_have_count(0)
    tab.get_by_role("link", name="Adopt it anew").click()
    dialog.get_by_label("I type it in").check()
    dialog.locator("[name=token]").fill("abc")
    dialog.get_by_role("button", name="Adopt").click()
    expect(tab).to_have_url(f"{house.origin}/operations/op_1")
    claws = {"id": "claw", "container": "claw-gateway-1"}
    assert sent == [("POST", {**claws, "readToken": True}), ("POST", {**claws, "token": "abc"})]


def test_what_is_done_to_a_container_says_before_what_is_kept(tab: Page, house: Demo) -> None:
    mounting = """async ([lib, admin, origin]) => {
        const [{ html, render }, { ContainerActions }] = await Promise.all([import(lib), import(admin)]);
        const host = document.createElement("div");
        document.querySelector("main").prepend(host);
        const bot = { botId: "atlas", name: "Atlas" };
        const previous = { spec: { image: "openclaw:0" }, at: 1000 };
        render(html`<${ContainerActions} bot=${bot} image="openclaw:1" previous=${previous} origin=${origin} />`, host);
    }"""
    for path in ("recreate", "upgrade", "remove"):
        answer(tab, f"/api/bots/atlas/container/{path}", OPERATION)
    answer(tab, "/api/operations/op_1", OPERATION)
    asked: list[Any] = []
    tab.on("request", lambda one: asked.append(one.post_data_json) if "/api/bots/atlas/" in one.url else None)

    def dialog(button: str, title: str) -> Locator:
        show(tab, house, "/account")
        tab.evaluate(mounting, [module(tab, "lib.js"), module(tab, "pages/container-admin.js"), "provisioned"])
        tab.get_by_role("button", name=button).click()
        opened = tab.get_by_role("dialog", name=title)
        expect(opened).to_contain_text("What is kept")
        assert violations(tab) == []
        return opened

    dialog("Recreate…", "Recreate Atlas's container?").get_by_role("button", name="Recreate").click()
    expect(tab).to_have_url(f"{house.origin}/operations/op_1")
    upgrade = dialog("Upgrade…", "Upgrade Atlas")
    upgrade.get_by_label("New image").fill("not a name")
    expect(upgrade.get_by_role("button", name="Upgrade")).to_be_disabled()
    upgrade.get_by_label("New image").fill("openclaw:2")
    upgrade.get_by_role("button", name="Upgrade").click()
    expect(tab).to_have_url(f"{house.origin}/operations/op_1")
    upgrade = dialog("Upgrade…", "Upgrade Atlas")
    expect(upgrade).to_contain_text("openclaw:1")
    upgrade.get_by_role("button", name="Upgrade").click()
    expect(tab).to_have_url(f"{house.origin}/operations/op_1")
    back = dialog("Go back…", "Go back with Atlas?")
    expect(back).to_contain_text("openclaw:0")
    back.get_by_role("button", name="Go back").click()
    expect(tab).to_have_url(f"{house.origin}/operations/op_1")
    removal = dialog("Remove…", "Remove Atlas?")
    removal.get_by_label("its memory and files").uncheck()
    expect(removal).to_contain_text("are removed for good")
    removal.get_by_role("button", name="Remove").click()
    expect(tab).to_have_url(f"{house.origin}/operations/op_1")
    assert asked == [None, {"image": "openclaw:2"}, {}, {"back": True}, {"keepHistory": True, "keepVolumes": False}]
    # One that was there before is taken over first, with what it would lose in view.
    plan = {"keeps": ["Its volumes."], "loses": ["Its network."], "obstacles": [], "taken": False}
    taken = answer(tab, "/api/bots/atlas/container/take-over", plan)
    show(tab, house, "/account")
    tab.evaluate(mounting, [module(tab, "lib.js"), module(tab, "pages/container-admin.js"), "adopted"])
    tab.get_by_role("button", name="Take over…").click()
    taking = tab.get_by_role("dialog", name="Take over Atlas's container?")
    expect(taking.get_by_role("button", name="Take over")).to_be_disabled()
    taking.get_by_label("That is fine").check()
    assert violations(tab) == []
    taking.get_by_role("button", name="Take over").click()
    expect(taking).to_have_count(0)
    assert taken == [("POST", {"accepted": ["Its network."]})]


def test_a_bot_with_a_container_of_its_own_is_asked_about_what_to_keep(tab: Page, house: Demo) -> None:
    house.run("bots", "connect", "far", "--kind", "echo")
    refusal = {"code": "bot_has_container", "detail": "It has a container."}
    tab.route("**/api/bots/far", lambda route: route.fulfill(status=409, json=refusal)
              if route.request.method == "DELETE" else route.continue_())  # fmt: skip
    show(tab, house, "/bots/far/about")
    tab.get_by_role("button", name="Remove").click()
    tab.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(tab.get_by_label("its memory and files")).to_be_checked()


def test_images_say_who_uses_them_and_only_the_others_are_removed(tab: Page, house: Demo) -> None:
    sent = answer(tab, "/api/images", {"items": IMAGES})
    show(tab, house, "/admin/images")
    used = tab.get_by_role("row").filter(has_text="openclaw:latest")
    expect(used).to_contain_text("2 GB")
    expect(used.get_by_role("link", name="Echo")).to_have_attribute("href", "/bots/echo")
    expect(used.get_by_role("button")).to_have_count(0)
    assert violations(tab) == []
    tab.get_by_role("button", name="Remove unused").click()
    dialog = tab.get_by_role("dialog", name="Remove 2 images that nobody uses?")
    dialog.get_by_role("button", name="Remove").click()
    expect(tab.get_by_text("2 images are removed.")).to_be_visible()
    names = ["old:1", "old:2", f"sha256:{'c' * 64}"]
    assert sorted(body["reference"] for method, body in sent if method == "DELETE") == names


def test_the_disk_is_told_in_bars_and_in_words(tab: Page, house: Demo) -> None:
    answer(tab, "/api/engine/disk", DISK)
    show(tab, house, "/admin/disk")
    rooms = tab.locator(".work-room")
    expect(rooms.first).to_contain_text("2 GB · 500 MB that nothing uses")
    used, whole = (tab.locator(f".work-meter{part}").first.bounding_box() for part in ("-used", ""))
    assert used is not None and whole is not None and 0.7 < used["width"] / whole["width"] < 0.8
    expect(tab.get_by_role("row").filter(has_text="edgebotd-gone-1")).to_contain_text("gone, which is removed")
    assert violations(tab) == []


def test_by_keys_alone_from_the_palette_to_the_log(tab: Page, house: Demo) -> None:
    show(tab, house, "/")
    tab.keyboard.press("Control+k")
    expect(tab.get_by_role("combobox", name="Find anything")).to_be_focused()
    tab.keyboard.type("new bot")
    expect(tab.get_by_role("option", name="New bot")).to_be_visible()
    tab.keyboard.press("Enter")
    expect(tab.get_by_label("Name", exact=True)).to_be_focused()
    tab.keyboard.type("Zed")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    tab.keyboard.type(f"{REMOTE}:nothere")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("alert")).to_contain_text("could not be pulled")


def test_on_a_phone_in_the_dark(browser: Browser, house: Demo, signed_in: Any) -> None:
    """The other tests look at the same on a desk in the light."""
    with open_tabs(browser, PHONE, storage_state=signed_in, color_scheme="dark", has_touch=True) as context:
        page = context.new_page()
        answer(page, "/api/adoptable", {"items": [CLAW, STOPPED], "detail": "The engine is away."})
        answer(page, "/api/images", {"items": IMAGES})
        answer(page, "/api/engine/disk", DISK)
        answer(page, "/api/operations/op_1", {**OPERATION, "state": "failed", "endedAt": 1_002_000, "reason": "x" * 90})
        for path in ("?add", "operations/new", "operations/adopt", "operations/op_1", "admin/images", "admin/disk"):
            show(page, house, f"/{path}")
            ready = ".way, .work-form, .work-candidate, .work-verdict, .admin-rows, .work-rooms"
            expect(page.locator(ready).first).to_be_visible()
            for fold in page.locator(".work-fold summary").all():
                fold.click()
            assert violations(page) == [], path
            widths = page.evaluate("() => [document.querySelector('main').scrollWidth, innerWidth]")
            assert widths[0] <= widths[1], path


def test_it_is_for_administrators(browser: Browser, house: Demo) -> None:
    house.run("user", "add", "ada", text="correct horse battery\n")
    with open_tabs(browser) as context:
        page = context.new_page()
        page.goto(f"{house.origin}/operations/new")
        page.get_by_label("User").fill("ada")
        page.get_by_label("Password").fill("correct horse battery")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("heading", name="This is for administrators")).to_be_visible()
