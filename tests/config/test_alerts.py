"""Channels of alerts: tables below a table, whose URL is a secret in three ways, whatever kind they are of."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgebotd.config import ConfigError, explain, load

HOME = {"HOME": "/home/nobody"}
SECRET = "canary-0123456789"
URL = f"https://hooks.example/{SECRET}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "edgebotd.toml"
    path.touch(mode=0o600)
    return path


def wrong(file: Path, text: str, env: dict[str, str] | None = None) -> str:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file, {**HOME, **(env or {})})
    assert SECRET not in str(caught.value)
    return "\n".join(f"{one.key}: {one.message}" for one in caught.value.findings)


@pytest.mark.parametrize("way", ["url", "url_file", "url_credential"])
def test_a_url_comes_in_three_ways_and_is_never_told(file: Path, way: str) -> None:
    named = file.parent / "hook"
    named.write_text(URL + "\n")
    named.chmod(0o600)
    value = {"url": URL, "url_file": "hook", "url_credential": "hook"}[way]
    file.write_text(f'[alerts.channels.phone]\nkind = "webhook"\n{way} = "{value}"\n')
    warned: list[str] = []
    settings = load(file, {**HOME, "CREDENTIALS_DIRECTORY": str(file.parent)}, warn=warned.append)
    channel = settings.alerts.channels["phone"]
    assert channel.url is not None and channel.url.get_secret_value() == URL
    assert (channel.min_severity, channel.quiet, warned) == ("warning", None, [])
    told = {one.key: one for one in explain(settings)}
    url = told["alerts.channels.phone.url"]
    assert (url.secret, url.present, url.value, url.origin) == (True, True, None, "file")
    assert url.place == "edgebotd.toml:3:1" and SECRET not in str(told.values()) and SECRET not in repr(settings)
    assert told["alerts.down_seconds"].value == 300 and "alerts.channels" not in told


def test_variables_reach_a_channel() -> None:
    env = {
        **HOME,
        "EDGEBOTD_ALERTS__CHANNELS__MY_PHONE__KIND": "ntfy",
        "EDGEBOTD_ALERTS__CHANNELS__MY_PHONE__URL": "https://ntfy.example/topic",
        "EDGEBOTD_ALERTS__CHANNELS__MY_PHONE__BOTS": '["atlas"]',
        "EDGEBOTD_ALERTS__DOWN_SECONDS": "60",
    }
    alerts = load(None, env, search=False).alerts
    assert alerts.down_seconds == 60 and alerts.channels["my-phone"].bots == ("atlas",)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('kind = "webhook"', "url: is required"),
        (f'kind = "webhook"\nurl = "{SECRET}"', "url: must begin with https://"),
        (f'kind = "webhook"\nurl = "https://a:{SECRET}@b.example/"', "url: must hold no user and password"),
        (f'kind = "webhook"\nurl = "https://[{SECRET}"', "url: must begin with https://"),
        (f'kind = "ntfy"\nurl = "https://ntfy.example/a/{SECRET}"', "url: must be a server and a topic"),
        (f'kind = "apprise"\nurl = "{SECRET}"', "url: must be a URL of Apprise"),
        ('kind = "apprise"\nurl = "syslog://"', "url: syslog:// stays on this machine"),
        ('kind = "apprise"\nurl = "json://a"\nsecret = "abcd"', "secret: means nothing for kind apprise"),
        (f'kind = "webhook"\nurl = "{URL}"\nquiet = "22-7"', "quiet: must be two times of a day"),
        (f'kind = "webhook"\nurl = "{URL}"\nquiet = "07:00-07:00"', "quiet: must begin and end at different times"),
        (f'kind = "webhook"\nurl = "{URL}"\nquiet = "22:00-07:00"\ntimezone = "Mars"', "timezone: must be the name"),
        (f'kind = "webhook"\nurl = "{URL}"\ntimezone = "UTC"', "timezone: means nothing without quiet"),
        (f'kind = "webhook"\nurl = "{URL}"\nurl_file = "x"', "url_file: there is url too"),
        (f'kind = "webhook"\nurl = "{URL}"\nminseverity = "info"', "unknown setting, did you mean 'min_severity'?"),
    ],
)
def test_what_is_wrong_is_told_in_words(file: Path, table: str, says: str) -> None:
    assert says in wrong(file, f"[alerts.channels.phone]\n{table}\n")


def test_what_is_wrong_around_channels(file: Path) -> None:
    assert "must be tables" in wrong(file, "[alerts]\nchannels = 3\n")
    assert "a channel's id has" in wrong(file, f'[alerts.channels.Phone]\nkind = "webhook"\nurl = "{URL}"\n')
    assert "must lie between" in wrong(file, "[alerts]\nusage_warning_percent = 50.0\n")


@pytest.mark.parametrize(
    ("kind", "url", "says"),
    [
        ("webhook", "https://169.254.169.254/latest/meta-data", "neither of the open internet"),
        ("webhook", "https://2852039166/", "neither of the open internet"),
        ("webhook", "https://[fe80::1]/", "neither of the open internet"),
        ("ntfy", "https://192.168.1.5/topic", "neither of the open internet"),
        ("apprise", "mailto://me:x@192.168.1.5", "neither of the open internet"),
        ("webhook", "http://hooks.example/x", "must begin with https://"),
        ("ntfy", "http://93.184.215.14/topic", "must begin with https://"),
    ],
)
def test_a_channel_that_would_never_be_sent_to_is_told(file: Path, kind: str, url: str, says: str) -> None:
    (file.parent / "hook").write_text(url)
    (file.parent / "hook").chmod(0o600)
    for way, value in (("url", url), ("url_file", "hook")):
        file.write_text(f'[alerts.channels.phone]\nkind = "{kind}"\n{way} = "{value}"\n')
        with pytest.raises(ConfigError) as caught:
            load(file, HOME)
        (finding,) = caught.value.findings
        assert str(finding).startswith(f"{file}:3:1: alerts.channels.phone.{way}: ") and says in finding.message
        assert url not in finding.message


@pytest.mark.parametrize(
    "url",
    ["http://192.168.1.5/x", "http://nas.lan/x", "https://hooks.example/", "https://93.184.215.14/"],
)
def test_a_channel_of_the_house_is_fine_where_it_is_allowed(file: Path, url: str) -> None:
    file.write_text(
        f'[alerts]\nallow_networks = "192.168.1.0/24"\n[alerts.channels.p]\nkind = "webhook"\nurl = "{url}"\n'
    )
    assert load(file, HOME).alerts.channels["p"].url is not None


@pytest.mark.parametrize("network", ["0.0.0.0/0", "169.254.169.254", "::/0", "::ffff:0:0/96", "fe80::/64", "224.0.0.1"])
def test_networks_where_no_receiver_is_are_not_allowed(file: Path, network: str) -> None:
    assert "must not reach into" in wrong(file, f'[alerts]\nallow_networks = "{network}"\n')
    file.write_text('[alerts]\nallow_networks = ["192.168.1.0/24", "127.0.0.1", "fd12::/64"]\n')
    assert len(load(file, HOME).alerts.allow_networks) == 3
