"""What `load` makes of files, variables and flags, and what it says when it cannot."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from edgebotd import config, events
from edgebotd.config import AlertChannelSettings, ConfigError, Settings, load
from edgebotd.config.load import SECTIONS
from edgebotd.config.providers import OAuthSettings, ProviderSettings, UsageSettings, UsageWindowSettings
from edgebotd.config.settings import BotSettings
from edgebotd.config.values import BOT_ID_PATTERN

HOME = {"HOME": "/home/nobody"}
EXAMPLE = Path(__file__).parents[2] / "config.example.toml"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "edgebotd.toml"
    path.touch(mode=0o600)
    return path


def _problems(file: Path | None, env: dict[str, str] | None = None, **overrides: object) -> list[str]:
    """Return what is wrong, the file's name shortened."""
    flags = {key.replace("__", "."): value for key, value in overrides.items()}
    with pytest.raises(ConfigError) as caught:
        load(file, {**HOME, **(env or {})}, flags, search=False)
    return [line.replace(str(file), "F") for line in str(caught.value).split("\n")]


def test_a_mistake_hides_no_contradiction_of_its_section(file: Path) -> None:
    file.write_text('[server]\nbindd = "x"\nbind = "0.0.0.0:80"\nmax_body_bytes = "10"\ntls_key = "k"\n')
    assert [line.partition(",")[0] for line in _problems(file)] == [
        "F:2:1: server.bindd: unknown setting",
        "F:3:1: server.bind: 0.0.0.0:80 is reachable from other machines",
        "F:4:1: server.max_body_bytes: must be a whole number",
        "F:5:1: server.tls_key: needs tls_certificate too",
    ]
    file.write_text('[server]\ntls_certificate = 1\ntls_key = "k"\n[bots.a]\nkind = "openclaw"\nurl = 1\n')
    told = _problems(file)
    assert len(told) == 2, "nothing follows from a value that is wrong already"


def test_values_of_the_wrong_kind_are_told_in_words(file: Path) -> None:
    file.write_text(
        '[server]\ngraceful_seconds = "9"\nadmin_uids = 1\npublic_url = 1\n[channel]\nmax_streams = 1.5\n'
        '[bots.a]\nkind = "openclaw"\nurl = "ws://h"\ndevice = "yes"\nagent_id = "a b"\n'
        "[storage]\nstate_dir = 5\n"
    )
    assert [line.split(": ", 2)[2] for line in _problems(file)] == [
        "must be a number, without quotes",
        "must be a list in square brackets",
        "must be text in quotes",
        "must be a whole number, without quotes",
        "must be true or false, without quotes",
        "may hold letters, digits, _ and - only, and must not be empty",
        "must be text in quotes",
    ]


@pytest.mark.parametrize("mount", ["/:/x", "notes:/x", "/srv/notes", "/srv/notes:/x:rw", "/srv:/x\ny"])
def test_a_folder_for_a_bot_is_refused_in_words(file: Path, mount: str) -> None:
    file.write_text(f"[docker]\nmounts = {{ a = [{json.dumps(mount)}] }}\n")
    (line,) = _problems(file)
    assert line.endswith("must be FOLDER:PLACE or FOLDER:PLACE:ro, both in full and neither of them / itself")


@pytest.mark.parametrize(
    "socket", ["/run/docker.sock", "/run", "//var/run", "/srv/x/../podman.sock", "/srv/engine/sock"]
)
def test_a_container_engines_socket_is_given_to_no_bot(file: Path, socket: str) -> None:
    mounts = f'{{ a = ["/srv/notes:/notes", "{socket}:/there"] }}'
    file.write_text(f'[docker]\nsocket = "/srv/engine/sock"\nmounts = {mounts}\n')
    (line,) = _problems(file)
    assert line == "F:3:38: docker.mounts.a[1]: holds a container engine's socket: the bot would have this machine"


@pytest.mark.parametrize("ports", ["18900", "a-b", "0-5", "9-1", "1-99999"])
def test_ports_are_refused_in_words(file: Path, ports: str) -> None:
    file.write_text(f'[docker]\nports = "{ports}"\n')
    (line,) = _problems(file)
    assert line.endswith("docker.ports: must be FIRST-LAST out of 1-65535, such as 18900-19899")


def test_without_any_source_there_are_the_defaults() -> None:
    settings = load(None, {**HOME, "XDG_RUNTIME_DIR": "/run/user/7"}, search=False)
    assert settings.server.bind == ("127.0.0.1:8787",)
    assert settings.server.socket == Path("/run/user/7/edgebotd.sock")
    assert settings.storage.state_dir == Path("/home/nobody/.local/state/edgebotd")
    assert settings.bots == {}


def test_places_of_state_and_socket_follow_the_environment() -> None:
    under_systemd = load(None, {"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, search=False)
    assert under_systemd.storage.state_dir == Path("/var/lib/a")
    assert under_systemd.server.socket == Path("/run/edgebotd.sock")
    xdg = load(None, {**HOME, "XDG_STATE_HOME": "/s"}, search=False)
    assert xdg.storage.state_dir == Path("/s/edgebotd")


def test_flags_beat_the_environment_which_beats_the_file(file: Path) -> None:
    file.write_text('[server]\nbind = ["127.0.0.1:1"]\n[chat]\nsettle_seconds = 1\nqueued_seconds = 1\n')
    env = {**HOME, "EDGEBOTD_SERVER__BIND": '["127.0.0.1:2"]', "EDGEBOTD_CHAT__SETTLE_SECONDS": "2"}
    settings = load(file, env, {"server.bind": ("127.0.0.1:3",)})
    assert settings.server.bind == ("127.0.0.1:3",)
    assert settings.chat.settle_seconds == 2
    assert settings.chat.queued_seconds == 1


def test_a_variable_reaches_lists_flags_numbers_text_and_a_bots_key() -> None:
    env = {
        **HOME,
        "EDGEBOTD_SERVER__BIND": "127.0.0.1:2",
        "EDGEBOTD_SERVER__ADMIN_UIDS": "[7, 8]",
        "EDGEBOTD_SERVER__TRUSTED_PROXIES": '["10.0.0.0/8", "::1"]',
        "EDGEBOTD_BOTS__my_bot__KIND": "openclaw",
        "EDGEBOTD_BOTS__MY_BOT__URL": "ws://h:1",
        "EDGEBOTD_BOTS__MY_BOT__TOKEN": "12345",
        "EDGEBOTD_BOTS__MY_BOT__DEVICE": "false",
        "EDGEBOTD_BOTS__MY_BOT__NAME": "[x]",
        "EDGEBOTD_TOKEN": "is not a setting",
    }
    settings = load(None, env, search=False)
    assert settings.server.bind == ("127.0.0.1:2",)
    assert settings.server.admin_uids == (7, 8)
    assert [str(network) for network in settings.server.trusted_proxies] == ["10.0.0.0/8", "::1/128"]
    bot = settings.bots["my-bot"]
    assert bot.token is not None
    assert bot.token.get_secret_value() == "12345"
    assert bot.device is False
    assert bot.name == "[x]"


def test_everything_that_is_wrong_is_told_at_once_with_its_place(file: Path) -> None:
    file.write_text(
        "serverr = 1\n"
        "[server]\n"
        'bindd = ["127.0.0.1:1"]\n'
        "graceful_seconds = -1\n"
        'state_dir = "/x"\n'
        'trusted_proxies = ["10.0.0.1", "ten"]\n'
        "[bots.Atlas]\n"
        'kind = "echo"\n'
        "[bots.nova]\n"
        'kind = "openai"\n'
        '  url = "ftp://x"\n'
        "[bots.iris]\n"
    )
    problems = _problems(file, {"EDGEBOTD_CHANNEL__MAX_STREAMS": "many", "EDGEBOTD_CHAT_QUEUED_SECONDS": "1"})
    assert problems == [
        "F:1:1: serverr: unknown section, did you mean 'server'?",
        "F:3:1: server.bindd: unknown setting, did you mean 'bind'?",
        "F:4:1: server.graceful_seconds: must be greater than 0",
        "F:5:1: server.state_dir: unknown setting here; it belongs in [storage]",
        "F:6:32: server.trusted_proxies[1]: must be an IP address, or a network such as 10.0.0.0/8",
        "F:7:7: bots.Atlas: a bot's id has 1 to 32 of a-z, 0-9 and -, and does not begin with -",
        "F:9:7: bots.nova.model: is required for kind openai",
        "F:11:3: bots.nova.url: must begin with http:// or https:// and name a host",
        "F:12:7: bots.iris.kind: is required",
        "EDGEBOTD_CHANNEL__MAX_STREAMS: must be a whole number, without quotes",
        "EDGEBOTD_CHAT_QUEUED_SECONDS: no such setting, did you mean EDGEBOTD_CHAT__QUEUED_SECONDS?",
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a = [1,\nb = 2\n", r"F:2:1: .+"),
        (b"[server]\nbind = 1\nbind = 2\n", r"F:3:\d+: .+overwrite.+"),
        (b'a = """\n', r"F:2:1: .+"),
        ("a = 1\nb = 'ü".encode("latin-1"), r"F:2:6: not UTF-8, as TOML must be"),
        (b"server = 1\n", r"F:1:1: server: must be a table: \[server\]"),
        (b"bots = 1\n", r"F:1:1: bots: must be tables: \[bots.<id>\]"),
        (b"[bots]\nx = 1\n", r"F:2:1: bots.x: must be a table: \[bots.x\]"),
        (b"[server]\ngraceful_seconds = true\n", r"F:2:1: server.graceful_seconds: must be a number, without quotes"),
        (b'[server]\ngraceful_seconds = "10"\n', r"F:2:1: server.graceful_seconds: must be a number, without quotes"),
        (b"[server]\ngraceful_seconds = inf\n", r"F:2:1: server.graceful_seconds: must be a finite number"),
        (b'[server]\nbind = ["x"]\n', r"F:2:9: server.bind\[0\]: must be host:port, .+"),
        (b'[server]\nbind = ["127.0.0.1:99999"]\n', r"F:2:9: server.bind\[0\]: must be host:port, .+"),
        (b'[server]\nbind = ["localhost:1", "localhost:1"]\n', r"F:2:1: server.bind: names an address twice"),
        (b'[server]\npublic_url = "https://x/y"\n', r"F:2:1: server.public_url: must be an origin without a path.+"),
        (b'[server]\npublic_url = "x.org"\n', r"F:2:1: server.public_url: must be an origin such as .+"),
        (b'[server]\nchat_host = "https://x"\n', r"F:2:1: server.chat_host: must be a host name.+"),
        (b'[storage]\nstate_dir = " "\n', r"F:2:1: storage.state_dir: must not be empty"),
        (b'[server]\nsocket = "/' + b"x" * 110 + b'"\n', r"F:2:1: server.socket: .+ 107 bytes at most"),
    ],
)
def test_each_mistake_has_a_place_and_a_plain_sentence(file: Path, content: bytes, problem: str) -> None:
    file.write_bytes(content)
    problems = _problems(file)
    assert len(problems) == 1
    assert re.fullmatch(problem, problems[0]), problems[0]


def test_a_file_that_is_missing_or_a_folder_is_named(tmp_path: Path) -> None:
    assert _problems(tmp_path / "no.toml")[0].startswith("F: No such file or directory; `edgebotd init`")
    assert _problems(tmp_path) == ["F: Is a directory"]


def test_variables_of_no_known_form_are_refused() -> None:
    assert _problems(
        None, {"EDGEBOTD_SERVR__BIND": "x", "EDGEBOTD_BOTS__A": "x", "EDGEBOTD_SERVER__BIND__X": "x", "EDGEBOTD_X": "y"}
    ) == [
        "EDGEBOTD_BOTS__A: must be of the form EDGEBOTD_BOTS__ID__KEY",
        "EDGEBOTD_SERVER__BIND__X: must be of the form EDGEBOTD_SECTION__KEY",
        "EDGEBOTD_SERVR__BIND: servr: unknown section, did you mean 'server'?",
    ]


def test_a_flag_is_named_as_the_flag(file: Path) -> None:
    file.write_text("[server]\nbind = []\n")
    assert _problems(file, server__bind=("x",)) == [
        "--bind: server.bind[0]: must be host:port, such as 127.0.0.1:8787 or [::1]:8787, not 'x'"
    ]


# Rules between keys


def test_an_address_that_others_reach_needs_tls_or_a_trusted_proxy(file: Path) -> None:
    file.write_text("[server]\ngraceful_seconds = 0\n[storage]\nstate_dir='s'\n")
    file.write_text('[server]\nbind = ["127.0.0.1:1", "[::1]:1", "localhost:2", "0.0.0.0:80"]\n')
    [problem] = _problems(file)
    assert problem.startswith("F:2:1: server.bind: 0.0.0.0:80 is reachable from other machines")
    for line in ('tls_certificate = "c.pem"\ntls_key = "k.pem"', 'trusted_proxies = "10.0.0.1"'):
        file.write_text(f'[server]\nbind = [":80"]\n{line}\n')
        assert load(file, HOME).server.bind == (":80",)


def test_certificate_and_key_come_together(file: Path) -> None:
    file.write_text('[server]\ntls_key = "k.pem"\n')
    assert _problems(file) == ["F:2:1: server.tls_key: needs tls_certificate too"]


def test_no_two_things_share_a_host(file: Path) -> None:
    file.write_text(
        '[server]\npublic_url = "https://Bots.example:8443"\nchat_host = "chat.example"\n'
        '[bots.a]\nkind = "echo"\nhost = "CHAT.example."\n[bots.b]\nkind = "echo"\nhost = "bots.example"\n'
    )
    assert _problems(file) == [
        "F:6:1: bots.a.host: chat.example is the host of server.chat_host too; each needs its own",
        "F:9:1: bots.b.host: bots.example is the host of server.public_url too; each needs its own",
    ]


def test_a_key_that_means_nothing_for_the_kind_is_refused(file: Path) -> None:
    file.write_text('[bots.a]\nkind = "echo"\nurl = "ws://x"\nmodel = "m"\n[bots.b]\nkind = "openclaw"\npace_ms = 1\n')
    assert _problems(file) == [
        "F:3:1: bots.a.url: a bot of kind echo has none",
        "F:4:1: bots.a.model: means nothing for kind echo, only for openai",
        "F:5:7: bots.b.url: is required for kind openclaw",
        "F:7:1: bots.b.pace_ms: means nothing for kind openclaw, only for echo",
    ]


def test_a_url_with_a_secret_in_it_is_refused_without_showing_it(file: Path) -> None:
    file.write_text(
        '[bots.a]\nkind = "openclaw"\nurl = "ws://u:hunter2@h"\n[bots.b]\nkind = "openclaw"\nurl = "ws://h?token=hunter2"\n'
    )
    problems = _problems(file)
    assert [problem[:7] for problem in problems] == ["F:3:1: ", "F:6:1: "]
    assert "hunter2" not in "".join(problems)


def test_paths_of_the_file_are_relative_to_it_and_know_the_home(file: Path, tmp_path: Path) -> None:
    file.write_text('[storage]\nstate_dir = "state"\n[server]\nsocket = "~/s.sock"\n')
    settings = load(file, HOME)
    assert settings.storage.state_dir == tmp_path / "state"
    assert settings.server.socket == Path("~/s.sock").expanduser()


# Where the file is looked for


def test_the_file_is_found_in_the_documented_order(tmp_path: Path) -> None:
    by_systemd, xdg = tmp_path / "etc", tmp_path / "xdg"
    env = {**HOME, "CONFIGURATION_DIRECTORY": str(by_systemd), "XDG_CONFIG_HOME": str(xdg)}
    assert config.searched_files(env) == [
        by_systemd / "edgebotd.toml",
        xdg / "edgebotd/edgebotd.toml",
        Path("/etc/edgebotd/edgebotd.toml"),
    ]
    (xdg / "edgebotd").mkdir(parents=True)
    (xdg / "edgebotd/edgebotd.toml").write_text("[chat]\nsettle_seconds = 7\n")
    assert load(None, env).chat.settle_seconds == 7
    by_systemd.mkdir()
    (by_systemd / "edgebotd.toml").write_text("[chat]\nsettle_seconds = 8\n")
    assert load(None, env).chat.settle_seconds == 8
    named = tmp_path / "named.toml"
    with pytest.raises(ConfigError, match=r"named\.toml: No such file"):
        load(None, {**env, "EDGEBOTD_CONFIG": str(named)})
    named.write_text("[chat]\nsettle_seconds = 9\n")
    assert load(None, {**env, "EDGEBOTD_CONFIG": str(named)}).chat.settle_seconds == 9


# The example


def test_the_example_loads_and_its_comments_state_the_defaults() -> None:
    bare = load(EXAMPLE, HOME)
    assert bare.model_copy(update={"bots": {}}) == load(None, HOME, search=False)
    assert list(bare.bots) == ["echo"]


def test_the_example_has_each_key_of_the_models_and_no_other() -> None:
    shown: dict[str, set[str]] = {}
    section = ""
    for line in EXAMPLE.read_text().splitlines():
        if header := re.fullmatch(r"#?\[{1,2}(alerts\.channels|[a-z]+)(?:\.[a-z-]+((?:\.[a-z]+)*))?\]{1,2}", line):
            section = header[1] + (header[2] or "")
        elif pair := re.match(r"#?([a-z_]+) = ", line):
            shown.setdefault(section, set()).add(pair[1])
    expected = {name: set(model.model_fields) for name, model in SECTIONS.items()}
    expected["alerts"] -= {"channels"}
    expected["bots"] = set(BotSettings.model_fields)
    assert set(expected) | {"providers"} == set(Settings.model_fields)
    expected["providers"] = set(ProviderSettings.model_fields) - {"oauth", "usage"}
    expected["providers.oauth"] = set(OAuthSettings.model_fields)
    expected["providers.usage"] = set(UsageSettings.model_fields) - {"windows"}
    expected["alerts.channels"] = set(AlertChannelSettings.model_fields)
    expected["providers.usage.windows"] = set(UsageWindowSettings.model_fields)
    assert shown == expected


def _uncommented() -> str:
    """Return the example with every comment removed, of a secret's three ways but one, placeholders left."""
    ways = r"#(token|client_secret|key|url|secret)(_file|_credential) = "
    keys = [
        re.sub(r"^#(?=[a-z_]+ = |\[)", "", line)
        for line in EXAMPLE.read_text().splitlines()
        if not re.match(ways, line) or "key_file" in line
    ]
    return "\n".join(line for line in keys if not line.startswith("#"))


def test_the_example_loads_with_every_comment_removed(file: Path) -> None:
    file.write_text(re.sub(r'"<[^"]*>"', '"filled-in"', _uncommented()))
    settings = load(file, HOME, search=False)
    assert sorted(settings.bots) == ["atlas", "echo", "nova"]
    assert list(settings.providers) == ["anthropic", "openai", "google", "github-copilot", "openrouter", "other"]
    secret = settings.providers["google"].oauth
    assert secret is not None and secret.client_secret == SecretStr("filled-in")
    for name, model in SECTIONS.items():
        for key, info in model.model_fields.items():
            default = info.get_default(call_default_factory=True)
            shown = getattr(getattr(settings, name), key)
            if default not in (None, (), {}) and info.default_factory is None:
                assert shown == default, f"{name}.{key} is shown with another default"


def test_a_placeholder_of_the_example_is_no_value(file: Path) -> None:
    file.write_text(_uncommented())
    told = _problems(file)
    assert [line.split(": ")[1] for line in told if "client_id: is still a placeholder" in line] == [
        f"providers.{one}.oauth.client_id" for one in ("anthropic", "openai", "google", "github-copilot")
    ]


def test_bot_ids_are_those_of_the_events() -> None:
    assert BOT_ID_PATTERN == events.BOT_ID_PATTERN


def test_settings_are_loaded_without_the_stack() -> None:
    code = "import sys, edgebotd.config as c; c.load(None, {'HOME': '/'}, search=False); " + (
        "print([m for m in ('trio', 'quart', 'hypercorn', 'httpx2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
