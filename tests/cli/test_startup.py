"""What starts where: lazy imports, exit codes, `check`, `init`."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner

from edgebotd.accounts.cipher import Cipher, new_key
from edgebotd.accounts.secrets import Login
from edgebotd.accounts.vault import load_vault
from edgebotd.cli import COMMANDS, root
from edgebotd.cli.demo import _own_command
from edgebotd.config import load
from edgebotd.people.secret import digest
from edgebotd.store import codes, users
from edgebotd.store.connection import only_daemon
from edgebotd.store.database import open_database
from edgebotd.store.profiles import Profile
from tests.cli.daemon import Script, serve

STACK = ("trio", "quart", "quart_trio", "hypercorn", "httpx2", "pydantic")


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], *([name, "--help"] for name in COMMANDS), ["user", "add", "--help"]]
)
def test_help_and_version_import_no_part_of_the_stack(arguments: list[str]) -> None:
    code = (
        "import sys, atexit\n"
        f"atexit.register(lambda: print([m for m in {STACK!r} if m in sys.modules], file=sys.stderr))\n"
        f"sys.argv[1:] = {arguments!r}\n"
        "from edgebotd.__main__ import main; main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "[]\n"
    assert done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(root, [name, "--help"])
    assert result.exit_code == 0
    assert COMMANDS[name][1].split()[0] in CliRunner().invoke(root, ["--help"]).stdout


def test_a_wrong_command_is_wrong_usage_and_the_right_one_is_named() -> None:
    result = CliRunner().invoke(root, ["cht"])
    assert result.exit_code == 2
    assert "No such command 'cht'. Did you mean 'chat'?" in result.stderr


def test_completion_of_the_shell_knows_the_commands() -> None:
    env = {**os.environ, "_EDGEBOTD_COMPLETE": "bash_complete", "COMP_WORDS": "edgebotd ev", "COMP_CWORD": "1"}
    done = subprocess.run([sys.executable, "-m", "edgebotd"], env=env, capture_output=True, text=True)
    assert done.stdout == "plain,events\n"


def test_the_demo_tells_the_command_as_it_is_called_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    module, python = "/somewhere/edgebotd/__main__.py", str(folder / "python")
    assert _own_command(module, python) == f"{python} -m edgebotd"
    (folder / "edgebotd").touch(mode=0o755)
    assert _own_command(module, python) == ".venv/bin/edgebotd"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert _own_command(module, python) == f"{folder}/edgebotd"
    monkeypatch.setenv("PATH", str(folder))
    assert _own_command(f"{folder}/edgebotd", python) == "edgebotd"


# check, and the configuration of run


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_wrong_configuration_exits_with_78_and_tells_everything(tmp_path: Path, command: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[server]\nbindd = 1\n[chat]\nsettle_seconds = 0\n")
    result = CliRunner().invoke(root, [command, "--config", str(file)])
    assert result.exit_code == 78
    assert result.stderr.splitlines() == [
        f"{file}:2:1: server.bindd: unknown setting, did you mean 'bind'?",
        f"{file}:4:1: chat.settle_seconds: must be greater than 0",
    ]


def _config(folder: Path, bind: str, more: str = "") -> Path:
    file = folder / "c.toml"
    file.write_text(f'[server]\nbind = ["{bind}"]\nsocket = "d.sock"\n{more}\n[storage]\nstate_dir = "state"\n')
    return file


def test_check_is_content_with_what_would_start_and_leaves_nothing_behind(tmp_path: Path) -> None:
    file = _config(tmp_path, "127.0.0.1:0")
    before = sorted(tmp_path.rglob("*"))
    result = CliRunner().invoke(root, ["check", "--config", str(file)])
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{file}: good\n"
    assert sorted(tmp_path.rglob("*")) == before


def test_check_finds_a_taken_address_but_not_when_the_daemon_itself_has_it(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        file = _config(tmp_path, f"127.0.0.1:{other.getsockname()[1]}")
        result = CliRunner().invoke(root, ["check", "--config", str(file)])
        assert result.exit_code == 1
        assert "server.bind: 127.0.0.1:" in result.stderr
        assert "Address already in use" in result.stderr
        with socket.socket(socket.AF_UNIX) as running:
            running.bind(str(tmp_path / "d.sock"))
            running.listen()
            assert CliRunner().invoke(root, ["check", "--config", str(file)]).exit_code == 0
        assert CliRunner().invoke(root, ["check", "--config", str(file)]).exit_code == 1
        # systemd's socket unit has put the daemon's socket elsewhere than these settings say.
        with only_daemon(tmp_path / "state" / "edgebotd.db"):
            assert CliRunner().invoke(root, ["check", "--config", str(file)]).exit_code == 0


def test_check_finds_bad_certificates_and_a_state_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    (tmp_path / "bad.pem").write_text("nothing")
    file = _config(tmp_path, "127.0.0.1:0", 'tls_certificate = "bad.pem"\ntls_key = "no.pem"')
    result = CliRunner().invoke(root, ["check", "--config", str(file), "--json"])
    assert result.exit_code == 1
    assert "state is not a directory" in result.stdout
    assert "no.pem: " in result.stdout


def test_check_tells_of_a_key_that_opens_nothing_of_what_is_stored(tmp_path: Path) -> None:
    file, key, store = _config(tmp_path, "127.0.0.1:0"), tmp_path / "key", tmp_path / "state" / "edgebotd.db"
    file.write_text(f'{file.read_text()}[accounts]\nkey_file = "key"\n')
    right, wrong = new_key(), new_key()

    def look() -> None:
        for one, code in ((right, 0), (wrong, 1)):
            key.write_text(one.get_secret_value())
            key.chmod(0o600)
            before = sorted(tmp_path.rglob("*"))
            result = CliRunner().invoke(root, ["check", "--config", str(file)])
            assert result.exit_code == code, result.output
            assert sorted(tmp_path.rglob("*")) == before
        assert f"{file}:8:1: accounts.key_file: it is another key than the stored logins" in result.stderr

    async def seal() -> None:
        async with open_database(store) as database:
            vault = await load_vault(database, Cipher(right), now=lambda: 1)
            await vault.add(Profile("acme:work", "acme", "api_key"), Login(access="canary"))
            # Beside a daemon, whose newest is in the log only.
            look()

    trio.run(seal)
    look()


def test_check_online_looks_up_the_channels_of_alerts(tmp_path: Path) -> None:
    file = _config(tmp_path, "127.0.0.1:0")
    alerts = (
        '[alerts]\nallow_networks = "10.1.2.3"\n[alerts.channels.p]\nkind = "webhook"\nurl = "http://localhost/x"\n'
    )
    file.write_text(f"{file.read_text()}{alerts}")
    assert CliRunner().invoke(root, ["check", "--config", str(file)]).exit_code == 0
    result = CliRunner().invoke(root, ["check", "--online", "--config", str(file)])
    assert result.exit_code == 1
    assert f"{file}:11:1: alerts.channels.p.url: localhost leads to an address" in result.stderr


def test_check_online_tries_each_bots_address(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound, and nobody listens
        port = free.getsockname()[1]
        bots = f'[bots.a]\nkind = "openclaw"\nurl = "ws://127.0.0.1:{port}"\n[bots.b]\nkind = "openai"\nmodel = "m"\n'
        file = _config(tmp_path, "127.0.0.1:0")
        file.write_text(f'{file.read_text()}{bots}url = "http://127.0.0.1:{port}/v1"\n')
        assert CliRunner().invoke(root, ["check", "--config", str(file)]).exit_code == 0
        result = CliRunner().invoke(root, ["check", "--online", "--config", str(file)])
    assert result.exit_code == 1
    assert f"bots.a: ws://127.0.0.1:{port} does not answer: Connection refused" in result.stderr
    assert f"bots.b: http://127.0.0.1:{port}/v1 does not answer" in result.stderr


# init


def test_init_writes_a_private_configuration_and_a_link_that_is_in_the_store(tmp_path: Path) -> None:
    file, state = tmp_path / "etc" / "c.toml", tmp_path / "state"
    result = CliRunner().invoke(root, ["init", "--config", str(file), "--state-dir", str(state)])
    assert result.exit_code == 0, result.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    code = result.stdout.partition("http://127.0.0.1:8787/#code=")[2].strip()
    assert CliRunner().invoke(root, ["check", "--config", str(file)]).exit_code in (0, 1)  # 1: 8787 is taken here

    async def find() -> codes.Code | None:
        async with open_database(state / "edgebotd.db") as database:
            return await database.read(lambda conn: codes.find(conn, digest(code), 1))

    found = trio.run(find)
    assert found is not None
    assert (found.purpose, found.user_id) == ("setup", None)


def test_init_never_overwrites_but_makes_a_new_link_while_there_is_no_administrator(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    server = '[server]\nbind = "0.0.0.0:9000"\ntrusted_proxies = "10.0.0.1"\nsocket = "d.sock"\n'
    file.write_text(f'# mine\n{server}[storage]\nstate_dir = "s"\n')
    before = file.read_text()
    result = CliRunner().invoke(root, ["init", "--config", str(file)])
    assert result.exit_code == 0, result.output
    assert "is there already and stays as it is" in result.stdout
    assert "  http://127.0.0.1:9000/#code=" in result.stdout
    assert file.read_text() == before
    other = CliRunner().invoke(root, ["init", "--config", str(file), "--state-dir", str(tmp_path / "other")])
    assert other.exit_code == 1
    assert "names another state directory" in other.stderr

    async def add_admin() -> None:
        async with open_database(tmp_path / "s" / "edgebotd.db") as database:
            await database.write(lambda tx: users.add(tx.connection, users.User("ada", "Ada", True, None, 1)))

    trio.run(add_admin)
    again = CliRunner().invoke(root, ["init", "--config", str(file)])
    assert again.exit_code == 0
    assert "There is an administrator already" in again.stdout
    assert "#code=" not in again.stdout
    document = json.loads(CliRunner().invoke(root, ["init", "--config", str(file), "--json"]).stdout)
    assert document == {"config": str(file), "wrote": False, "stateDir": str(tmp_path / "s")}


def test_init_asks_a_running_daemon_which_knows_its_address(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[server]\nsocket = "d.sock"\n')
    script = Script()
    script.answers["POST", "/api/codes"] = (201, {"code": "c", "link": "http://127.0.0.1:4711/#code=c", "expiresAt": 1})
    with serve(tmp_path / "d.sock", script):
        result = CliRunner().invoke(root, ["init", "--config", str(file)])
        assert "http://127.0.0.1:4711/#code=c" in result.stdout
        assert "Start the daemon" not in result.stdout
        script.answers["POST", "/api/codes"] = (409, {"code": "already_set_up", "detail": "There is one."})
        assert "an administrator already" in CliRunner().invoke(root, ["init", "--config", str(file)]).stdout


def test_init_finds_a_running_daemon_whose_socket_is_not_where_the_settings_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[storage]\nstate_dir = "state"\n')
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "of-my-login"))
    monkeypatch.setenv("EDGEBOTD_SOCKET", str(tmp_path / "d.sock"))
    script = Script()
    script.answers["POST", "/api/codes"] = (201, {"code": "c", "link": "http://127.0.0.1:4711/#code=c", "expiresAt": 1})
    with serve(tmp_path / "d.sock", script):
        with only_daemon(tmp_path / "state" / "edgebotd.db"):
            running = CliRunner().invoke(root, ["init", "--config", str(file)])
        other = CliRunner().invoke(root, ["init", "--config", str(file)])
    assert "http://127.0.0.1:4711/#code=c" in running.stdout, running.output
    assert "http://127.0.0.1:8787/#code=" in other.stdout, "what answers there has another state directory"


def test_init_says_in_words_that_the_state_directory_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    config, state = str(tmp_path / "c.toml"), str(tmp_path / "state")
    result = CliRunner().invoke(root, ["init", "--config", config, "--state-dir", state])
    assert result.exit_code == 1
    assert "its folder is a file" in result.stderr
    assert "Errno" not in result.stderr


@pytest.mark.parametrize(
    ("uid", "sudo", "named"), [(1000, "", 1000), (0, "", None), (0, "1000", 1000), (1000, "7", 1000)]
)
def test_init_lets_the_person_who_calls_use_the_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uid: int, sudo: str, named: int | None
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: uid)
    monkeypatch.setenv("SUDO_UID", sudo)
    file = tmp_path / "c.toml"
    assert CliRunner().invoke(root, ["init", "--config", str(file), "--state-dir", str(tmp_path / "s")]).exit_code == 0
    assert load(file).server.admin_uids == (() if named is None else (named,))
