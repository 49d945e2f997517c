"""The audit's entries: a detail may have any name."""

from edgebotd.people.audit import SYSTEM, entry


def test_a_detail_is_named_as_the_request_names_it() -> None:
    # A stop that is asked for to be quicker has `now`.
    made = entry(SYSTEM, 7, "bot.stop", "atlas", bot_id="atlas", now=True, action="again", subject=None)
    assert (made.at, made.action, made.bot_id) == (7, "bot.stop", "atlas")
    assert made.detail == {"now": True, "action": "again", "subject": None}
