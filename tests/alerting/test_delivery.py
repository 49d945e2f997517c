"""Delivery: once each, in order, until it arrives, over restarts, and not at night."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
import trio
from trio.testing import MockClock
from typing_extensions import override

from edgebotd.alerting.message import Message
from edgebotd.alerting.senders import NotDelivered
from edgebotd.config import AlertsSettings
from edgebotd.store import bots, containers, deliveries, profiles
from edgebotd.store.bots import StoredBot
from edgebotd.store.database import Transaction, open_database
from edgebotd.store.profiles import Profile
from tests.alerting.house import PAGE, FakeSender, House, channel, open_house
from tests.web.house import START, Clock

BERLIN = ZoneInfo("Europe/Berlin")


def settings(**channels: object) -> AlertsSettings:
    return AlertsSettings.model_validate({"channels": channels or {"a": channel()}})


def away(seconds: float | None = None, *, final: bool = False) -> NotDelivered:
    return NotDelivered("hooks.example answers with the status 503.", retry_after=seconds, final=final)


async def test_an_alert_and_its_end_are_told_once(autojump_clock: MockClock) -> None:
    async with open_house(settings()) as house:
        await house.tell("disk", bot_id="atlas", wake=False)
        await trio.sleep(601)
        assert len(house.senders["a"].came) == 1
        # Nothing new: the same again, and milder.
        await house.tell("disk", bot_id="atlas")
        await house.tell("disk", severity="info", bot_id="atlas")
        await trio.sleep(60)
        await house.tell("disk", "resolved", bot_id="atlas")
        await house.tell("disk", "resolved", bot_id="atlas")
        await trio.sleep(60)
        opened, mended = house.senders["a"].came
        assert (opened.kind, opened.title, opened.url) == ("open", "disk open", f"{PAGE}/bots/atlas")
        assert (mended.kind, mended.title) == ("resolved", "Mended: disk resolved")
        assert opened.id != mended.id
        assert await house.database.read(lambda conn: deliveries.told(conn, 10)) == []


async def test_what_grows_worse_is_told_again(autojump_clock: MockClock) -> None:
    async with open_house(settings()) as house:
        for severity in ("info", "warning", "critical", "warning"):
            await house.tell("usage", severity=severity)
            await trio.sleep(10)
        await house.tell("usage", "resolved")
        await trio.sleep(10)
        assert [(one.kind, one.severity) for one in house.senders["a"].came] == [
            ("open", "warning"),
            ("open", "critical"),
            ("resolved", "critical"),
        ]


async def test_each_channel_gets_what_it_asks_for(autojump_clock: MockClock) -> None:
    every, bad, one = channel(min_severity="info"), channel(min_severity="critical"), channel(bots=("b",))
    async with open_house(settings(all=every, bad=bad, one=one)) as house:
        await house.tell("x", severity="info")
        await house.tell("y", severity="critical", bot_id="a")
        await house.tell("z", severity="warning", bot_id="b")
        for alert_id, bot_id in (("x", None), ("y", "a"), ("z", "b")):
            await trio.sleep(10)
            await house.tell(alert_id, "resolved", bot_id=bot_id)
        await trio.sleep(10)
        told = {name: [(one.kind, one.alerts[0].alert_id) for one in s.came] for name, s in house.senders.items()}
        assert told["bad"] == [("open", "y"), ("resolved", "y")]
        assert told["one"] == [("open", "z"), ("resolved", "z")]
        assert [word for word in told["all"] if word[0] == "open"] == [("open", one) for one in "xyz"]
        assert len(told["all"]) == 6


async def test_a_channel_of_some_bots_hears_of_the_accounts_that_they_use(autojump_clock: MockClock) -> None:
    async with open_house(settings(one=channel(bots=("a", "b")), other=channel(bots=("c",)))) as house:

        def furnish(tx: Transaction) -> None:
            for bot_id in ("a", "b", "c"):
                bots.add(tx.connection, StoredBot(bot_id, "echo", bot_id, {}))
            for name in ("work", "workshop", "spare"):
                profiles.add(tx.connection, Profile(f"p:{name}", "p", "oauth"), None)
            profiles.set_bots(tx.connection, "p:work", ("b",))
            profiles.set_bots(tx.connection, "p:workshop", ("c",))

        await house.database.write(furnish)
        for name in ("work", "workshop", "spare"):
            await house.tell(f"profile:p:{name}:7d:opus", severity="critical")
        await house.tell("engine", severity="critical")
        await trio.sleep(10)
        # The bot uses another one by now, and one of them is gone: that it is mended is told to who knew of it.
        await house.database.write(lambda tx: profiles.set_bots(tx.connection, "p:work", ()))
        await house.database.write(lambda tx: profiles.remove(tx.connection, "p:workshop"))
        for name in ("work", "workshop", "spare"):
            await house.tell(f"profile:p:{name}:7d:opus", "resolved")
        await house.tell("profile:p:work:login", severity="critical")
        await trio.sleep(10)
        told = {name: [(one.kind, one.alerts[0].alert_id) for one in s.came] for name, s in house.senders.items()}
        assert told == {
            channel_id: [("open", alert_id), ("resolved", alert_id)]
            for channel_id, alert_id in (("one", "profile:p:work:7d:opus"), ("other", "profile:p:workshop:7d:opus"))
        }


async def test_what_came_and_went_before_anybody_was_told_is_no_message(autojump_clock: MockClock) -> None:
    async with open_house(settings()) as house:
        await house.tell("blip")
        await house.tell("blip", "resolved")
        await trio.sleep(60)
        assert house.senders["a"].came == []


async def test_what_comes_back_soon_is_told_only_if_it_stays(autojump_clock: MockClock) -> None:
    async with open_house(settings()) as house:
        sender = house.senders["a"]
        await house.tell("flaps")
        await trio.sleep(60)
        await house.tell("flaps", "resolved")
        await trio.sleep(60)
        for _ in range(5):
            await house.tell("flaps")
            await trio.sleep(20)
            await house.tell("flaps", "resolved")
            await trio.sleep(20)
        assert len(sender.came) == 2
        await house.tell("flaps")
        await trio.sleep(60)
        assert len(sender.came) == 2
        await trio.sleep(600)
        assert len(sender.came) == 3 and sender.came[-1].kind == "open"
        # Worse than before is told at once.
        await house.tell("flaps", "resolved")
        await trio.sleep(60)
        await house.tell("flaps", severity="critical")
        await trio.sleep(10)
        assert [one.severity for one in sender.came[-2:]] == ["warning", "critical"]


async def test_it_is_tried_again_with_backoff_and_in_order(autojump_clock: MockClock) -> None:
    async with open_house(settings()) as house:
        sender = house.senders["a"]
        sender.fails = [away() for _ in range(6)]
        await house.tell("first")
        await trio.sleep(8)
        await house.tell("second")
        await house.tell("first", "resolved")
        await trio.sleep(0.5)
        (shown,) = await house.alerting.channels.all()
        assert shown.waiting == 3 and shown.error == "hooks.example answers with the status 503." and shown.last is None
        await trio.sleep(3600)
        assert sender.words == [("open", "first open"), ("open", "second open"), ("resolved", "Mended: first resolved")]
        pauses = [after - before for before, after in zip(sender.at, sender.at[1:], strict=False)][:6]
        assert all(2.5 * 2**n <= pause <= 5 * 2**n + 1 for n, pause in enumerate(pauses))
        (shown,) = await house.alerting.channels.all()
        assert shown.waiting == 0 and shown.error is None and shown.last is not None and shown.last.state == "sent"
        assert house.alerting.channels.counts == {("a", "sent"): 3, ("a", "retried"): 6, ("a", "failed"): 0}


async def test_a_channel_that_is_down_keeps_no_other_waiting(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgebotd.alerting.delivery.GIVE_UP_MS", 7_200_000)
    async with open_house(settings(a=channel(), b=channel())) as house:
        house.senders["a"].fails = [away() for _ in range(1000)]
        await house.tell("x")
        await trio.sleep(10)
        assert len(house.senders["b"].came) == 1
        await trio.sleep(4 * 3600)
        # After a while it is given up, and that it is mended is no news there.
        assert len(house.senders["a"].fails) > 800
        (a, _b) = await house.alerting.channels.all()
        assert a.waiting == 0 and a.last is not None and a.last.state == "failed" and a.last.error is not None
        house.senders["a"].fails = []
        await house.tell("x", "resolved")
        await trio.sleep(60)
        assert house.senders["a"].came == [] and len(house.senders["b"].came) == 2


async def test_what_a_receiver_asks_for_and_what_it_will_never_take(autojump_clock: MockClock) -> None:
    async with open_house(settings()) as house:
        sender = house.senders["a"]
        sender.fails = [away(120)]
        await house.tell("x")
        await trio.sleep(300)
        assert sender.at[1] - sender.at[0] == pytest.approx(120, abs=1)
        sender.fails = [away(final=True)]
        await house.tell("y")
        await house.tell("z")
        await trio.sleep(60)
        assert [message.alerts[0].alert_id for message in sender.came] == ["x", "z"]
        assert house.alerting.channels.counts == {("a", "sent"): 2, ("a", "retried"): 1, ("a", "failed"): 1}


async def test_a_restart_goes_on_where_it_was(autojump_clock: MockClock) -> None:
    clock = Clock()
    async with open_database(None) as database:
        async with open_house(settings(), database=database, clock=clock) as house:
            house.senders["a"].fails = [away() for _ in range(3)]
            await house.tell("told before")
            await trio.sleep(200)
            house.senders["a"].fails = [away() for _ in range(100)]
            await house.tell("tried before")
            await trio.sleep(10)
        # Told while nobody delivers.
        async with open_house(settings(), database=database, clock=clock, run=False) as house:
            await house.tell("told meanwhile")
            await house.tell("told before", "resolved")
        async with open_house(settings(), database=database, clock=clock) as house:
            await trio.sleep(60)
            assert sorted(house.senders["a"].words) == [
                ("open", "told meanwhile open"),
                ("open", "tried before open"),
                ("resolved", "Mended: told before resolved"),
            ]
        # A channel that is gone is forgotten.
        async with open_house(settings(other=channel()), database=database, clock=clock) as house:
            await house.tell("tried before", "resolved")
            await trio.sleep(60)
            assert house.senders["other"].came == []


class Cut(FakeSender):
    """Ends the daemon's life while the message is on its way, after it has arrived."""

    @override
    async def send(self, message: Message) -> None:
        self.came.append(message)
        await trio.sleep_forever()


async def test_an_attempt_that_was_cut_off_is_made_again_under_its_id(autojump_clock: MockClock) -> None:
    clock = Clock()
    async with open_database(None) as database:
        async with open_house(settings(), database=database, clock=clock, run=False) as house:
            cut = Cut()
            house.senders["a"] = cut
            house.alerting.outbox._senders["a"] = cut  # type: ignore[index]  # a dict in truth
            with trio.move_on_after(20):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(house.alerting.outbox.run)
                    await house.tell("x")
        async with open_house(settings(), database=database, clock=clock) as house:
            # It may have arrived, so its end is told even where that comes first.
            await house.tell("x", "resolved")
            await trio.sleep(30)
            assert house.senders["a"].came[0].id == cut.came[0].id
            assert [message.kind for message in house.senders["a"].came] == ["open", "resolved"]


async def test_what_went_with_its_container_is_told_when_it_comes_again(autojump_clock: MockClock) -> None:
    async with open_house(settings()) as house:
        await house.tell("loop", bot_id="atlas")
        await trio.sleep(60)
        await house.database.write(lambda tx: containers.remove(tx.connection, "atlas"))
        await trio.sleep(3600)
        await house.tell("loop", bot_id="atlas")
        await trio.sleep(60)
        assert house.senders["a"].words == [("open", "loop open")] * 2


# Quiet hours


def evening() -> Clock:
    """A clock that begins at a quarter to ten in the evening."""
    return Clock(round(datetime(2027, 1, 20, 21, 45, tzinfo=BERLIN).timestamp() * 1000) - START)


def at(house: House, day: int, hour: int, minute: int = 0) -> float:
    """Seconds until a time in January 2027, in Berlin."""
    return datetime(2027, 1, day, hour, minute, tzinfo=BERLIN).timestamp() - house.clock() / 1000


NIGHT = {"quiet": "22:00-07:00", "timezone": "Europe/Berlin"}


async def test_the_night_is_summed_up_in_the_morning(autojump_clock: MockClock) -> None:
    async with open_house(settings(a=channel(**NIGHT)), clock=evening()) as house:
        sender = house.senders["a"]
        await trio.sleep(at(house, 20, 21, 50))
        await house.tell("evening")
        await trio.sleep(at(house, 20, 23))
        await house.tell("night")
        await house.tell("blip")
        await house.tell("evening", "resolved")
        await house.tell("worse")
        await trio.sleep(60)
        await house.tell("blip", "resolved")
        await trio.sleep(60)
        await house.tell("worse", severity="critical")
        await house.tell("bad", severity="critical")
        await trio.sleep(at(house, 21, 3))
        await house.tell("bad", "resolved", severity="critical")
        await trio.sleep(at(house, 21, 6, 59))
        assert sender.words == [
            ("open", "evening open"),
            ("open", "worse open"),
            ("open", "bad open"),
            ("resolved", "Mended: bad resolved"),
        ]
        (shown,) = await house.alerting.channels.all()
        assert shown.held == 5 and shown.quiet_until == house.clock() + 60_000
        await trio.sleep(90)
        summary = sender.came[-1]
        assert summary.kind == "summary" and summary.title == "3 alerts in the quiet hours, 1 still open"
        assert summary.text.splitlines() == ["open: night open", "mended: evening resolved", "mended: blip resolved"]
        # What mends what was only summed up is told as ever.
        await house.tell("night", "resolved")
        await house.tell("worse", "resolved")
        await house.tell("blip", "resolved")
        await trio.sleep(60)
        assert sender.words[5:] == [("resolved", "Mended: night resolved"), ("resolved", "Mended: worse resolved")]
        (shown,) = await house.alerting.channels.all()
        assert shown.held == 0 and shown.quiet_until is None


async def test_critical_ones_wait_too_where_it_is_wished(autojump_clock: MockClock) -> None:
    async with open_house(settings(a=channel(critical_passes=False, **NIGHT)), clock=evening()) as house:
        await trio.sleep(at(house, 20, 23))
        await house.tell("bad", severity="critical")
        await trio.sleep(at(house, 21, 6, 59))
        assert house.senders["a"].came == []
        await trio.sleep(90)
        (summary,) = house.senders["a"].came
        assert (summary.severity, summary.title) == ("critical", "One alert in the quiet hours, 1 still open")


async def test_the_night_goes_on_after_a_restart(autojump_clock: MockClock) -> None:
    clock = evening()
    async with open_database(None) as database:
        async with open_house(settings(a=channel(**NIGHT)), database=database, clock=clock) as house:
            await trio.sleep(at(house, 20, 23))
            await house.tell("night")
            await trio.sleep(60)
        async with open_house(settings(a=channel(**NIGHT)), database=database, clock=clock) as house:
            await trio.sleep(at(house, 21, 6, 59))
            assert house.senders["a"].came == []
            await trio.sleep(90)
            assert [message.kind for message in house.senders["a"].came] == ["summary"]


async def test_a_test_is_sent_at_night_too(autojump_clock: MockClock) -> None:
    async with open_house(settings(a=channel(**NIGHT)), clock=evening()) as house:
        await trio.sleep(at(house, 20, 23))
        await house.alerting.channels.test("a")
        assert house.senders["a"].words == [("test", "edgebotd can reach you")]
        house.senders["a"].fails = [away()]
        with pytest.raises(Exception, match=r"did not arrive: hooks\.example answers"):
            await house.alerting.channels.test("a")
