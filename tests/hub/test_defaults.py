"""The numbers of CHANNEL section 5, defaults, as the configuration and the hub have them."""

from __future__ import annotations

from edgebotd.config import Settings
from edgebotd.hub.settings import HubSettings

DAY = 86_400


def test_the_defaults_are_those_of_the_contract() -> None:
    """Section 5, defaults; and of section 2 those of C8, C14 and C15."""
    channel = Settings().channel
    assert channel.ring_events == 10_000
    assert channel.journal_days == 7
    assert channel.journal_events == 1_000_000
    assert channel.backlog_bytes == 1024 * 1024
    assert (channel.max_streams, channel.max_streams_per_user) == (2_000, 64)
    assert channel.heartbeat_seconds == 15
    assert channel.max_age_seconds == 6 * 3600
    assert channel.delta_frames_per_second == 20
    assert Settings().storage.message_days is None
    assert Settings().chat.idempotency_seconds == DAY
    assert Settings().chat.queued_seconds == 15 * 60


def test_what_the_configuration_says_is_what_the_hub_does() -> None:
    channel = Settings().channel
    assert HubSettings.of(channel) == HubSettings()
    changed = channel.model_copy(update=dict.fromkeys(type(channel).model_fields, 7))
    of_changed = HubSettings.of(changed)
    for name in type(channel).model_fields:
        assert getattr(of_changed, name) == 7, name
