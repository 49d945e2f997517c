"""[accounts] and [providers.<id>]: tables in tables, each mistake with its place, a client's secret in three ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgebotd.config import ConfigError, Settings, explain, load

HOME = {"HOME": "/home/nobody"}
SECRET = "canary-0123456789"
OAUTH = '[providers.p.oauth]\ntoken_url = "https://h/token"\nclient_id = "c"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "edgebotd.toml"
    path.touch(mode=0o600)
    return path


def problems(file: Path, text: str, env: dict[str, str] | None = None) -> list[str]:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file, {**HOME, **(env or {})}, search=False)
    assert SECRET not in str(caught.value)
    return [line.replace(str(file), "F") for line in str(caught.value).split("\n")]


def test_each_mistake_of_each_table_is_told_where_it_is(file: Path) -> None:
    told = problems(
        file,
        '[accounts]\nkey_file = "k"\nkey_credential = "k"\n'
        '[providers.Bad]\n[providers.p]\nnam = "x"\n'
        '[providers.p.oauth]\ntoken_url = "http://h/token"\ntimeout_seconds = "3"\nheaders = { "a b" = "x", c = "é" }\n'
        '[providers.p.usage]\nkind = "json"\nurl = "https://u:p@h/"\n'
        '[[providers.p.usage.windows]]\nid = "a"\n'
        '[[providers.p.usage.windows]]\nid = "b"\npercent = "x"\nlabe = "B"\n'
        '[providers.q]\noauth = 3\nusage = { kind = "codex" }\n',
    )
    assert [line.split(", did")[0] for line in told] == [
        "F:3:1: accounts.key_credential: there is key_file too; keep one of them",
        "F:4:12: providers.Bad: a provider's id has 1 to 32 of a-z, 0-9 and -, and does not begin with -",
        "F:6:1: providers.p.nam: unknown setting",
        "F:7:14: providers.p.oauth.client_id: is required",
        "F:8:1: providers.p.oauth.token_url: must begin with https://, or http:// on loopback",
        "F:9:1: providers.p.oauth.timeout_seconds: must be a number, without quotes",
        "F:10:13: providers.p.oauth.headers.'a b': is no name of a header",
        "F:10:26: providers.p.oauth.headers.c: may have 1024 printable ASCII characters at most",
        "F:13:1: providers.p.usage.url: must name a host, without user and password",
        "F:15:1: providers.p.usage.windows[0].id: needs exactly one of percent, fraction, used, remaining",
        "F:19:1: providers.p.usage.windows[1].labe: unknown setting",
        "F:21:1: providers.q.oauth: must be a table: [providers.q.oauth]",
        "F:22:1: providers.q.usage.url: is required for kind codex",
    ]


def test_http_is_for_this_machine_only(file: Path) -> None:
    for url, good in (
        ("http://127.0.0.1:1/t", True), ("http://[::1]:1/t", True), ("http://localhost/t", True),
        ("https://h:8443/t?x=y", True), ("http://127.0.0.1.h/t", False), ("ftp://h/", False), ("https:///t", False),
        ("https://h/#f", False), ("https://h:x/", False), ("https://[::1/", False),
    ):  # fmt: skip
        text = f'[providers.p.oauth]\ntoken_url = "{url}"\nclient_id = "c"\n'
        if good:
            file.write_text(text)
            assert load(file, HOME).providers["p"].oauth is not None
        else:
            [told] = problems(file, text)
            assert told.startswith("F:2:1: providers.p.oauth.token_url: "), url


def with_secret(settings: Settings) -> str | None:
    oauth = settings.providers["p"].oauth
    assert oauth is not None
    return oauth.client_secret.get_secret_value() if oauth.client_secret else None


@pytest.mark.parametrize("way", ["client_secret", "client_secret_file", "client_secret_credential"])
def test_a_clients_secret_is_taken_in_three_ways_and_never_shown(file: Path, way: str) -> None:
    (file.parent / "own.secret").write_text(f"{SECRET}\n")
    (file.parent / "own.secret").chmod(0o600)
    value = SECRET if way == "client_secret" else "own.secret"  # relative to the configuration
    file.write_text(f'{OAUTH}client_auth = "basic"\n{way} = "{value}"\n')
    settings = load(file, {**HOME, "CREDENTIALS_DIRECTORY": str(file.parent)})
    assert with_secret(settings) == SECRET
    assert SECRET not in repr(settings) + settings.model_dump_json() + repr(explain(settings))
    found = {one.key: one for one in explain(settings)}
    one = found["providers.p.oauth.client_secret"]
    assert (one.secret, one.present, one.value, one.place) == (True, True, None, "edgebotd.toml:5:1")


def test_a_secret_that_does_not_fit_is_told(file: Path) -> None:
    text = f'{OAUTH}client_secret = "{SECRET}"\n'
    assert problems(file, text) == ['F:4:1: providers.p.oauth.client_secret: means nothing with client_auth = "none"']
    [told] = problems(file, f'{OAUTH}client_auth = "post"\n')
    assert "needs client_secret_file or client_secret_credential" in told
    [told] = problems(file, f'{text}client_auth = "post"\nclient_secret_file = "x"\n')
    assert told.startswith("F:6:1: providers.p.oauth.client_secret_file: there is client_secret too (F:4:1)")
    [told] = problems(file, f'{OAUTH}client_auth = "post"\nclient_secret_file = "none"\n')
    assert "cannot be read: No such file" in told


def test_every_setting_of_every_table_is_explained_without_what_is_secret(file: Path) -> None:
    file.write_text(
        f'{OAUTH}headers = {{ X-Api-Key = "{SECRET}", Accept = "a" }}\n'
        f'authorize_url = "https://h/a?key={SECRET}"\n'
        '[providers.q]\nname = "Q"\n[providers.q.usage]\nkind = "json"\nurl = "https://h/u"\n'
        '[[providers.q.usage.windows]]\nid = "a"\npercent = "x"\n'
    )
    settings = load(file, HOME)
    found = {one.key: one for one in explain(settings)}
    assert SECRET not in repr(found)
    told = {key: (one.value, one.origin, one.place) for key, one in found.items()}
    place = "edgebotd.toml"
    assert told["providers.p.oauth.headers"] == ({"X-Api-Key": "…", "Accept": "a"}, "file", f"{place}:4:1")
    assert told["providers.p.oauth.authorize_url"] == ("https://h/a?…", "file", f"{place}:5:1")
    assert told["providers.p.oauth.timeout_seconds"] == (30.0, "default", None)
    assert told["providers.p.usage.kind"] == ("none", "default", None)
    assert told["providers.q.oauth"] == (None, "default", None)
    assert told["providers.q.usage.kind"] == ("json", "file", f"{place}:9:1")
    windows, origin, _ = told["providers.q.usage.windows"]
    assert (windows[0]["id"], origin) == ("a", "file")
    assert all(one.doc for one in found.values())


def test_a_variable_says_that_providers_are_of_the_file(file: Path) -> None:
    env = {"EDGEBOTD_PROVIDERS__P__NAME": "x", "EDGEBOTD_PROVIDERS_P": "x", "EDGEBOTD_ACCOUNTS__HISTORY_DAYS": "0"}
    assert problems(file, "", env) == [
        "EDGEBOTD_ACCOUNTS__HISTORY_DAYS: must be greater than or equal to 1",
        "EDGEBOTD_PROVIDERS_P: providers are set in the file only: [providers.<id>]",
        "EDGEBOTD_PROVIDERS__P__NAME: providers are set in the file only: [providers.<id>]",
    ]
    assert load(None, {**HOME, "EDGEBOTD_ACCOUNTS__KEY_FILE": "/k"}, search=False).accounts.key_file == Path("/k")


@pytest.mark.parametrize("name", ["login", "refresh"])
def test_a_window_has_no_name_of_an_alert_about_the_login_itself(file: Path, name: str) -> None:
    window = f'[[providers.p.usage.windows]]\nid = "{name}"\npercent = "a"\n'
    file.write_text(f'[providers.p.usage]\nkind = "json"\nurl = "https://p.example/"\n{window}')
    with pytest.raises(ConfigError, match="is taken"):
        load(file, HOME)
