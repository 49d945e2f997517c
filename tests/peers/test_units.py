"""The units of systemd/ on a real systemd: what `docs/install.md` promises, from the first start to the uninstall."""

from __future__ import annotations

import json
import re
import subprocess

from tests.peers.systemd import Container
from tests.peers.units import (
    CONFIG,
    CONFIGURATION,
    CREDENTIALS,
    EDGEBOTD,
    UNITS,
    ask,
    configure,
    edgebotd,
    failed_start,
    main_pid,
    set_drop_in,
    start,
    starts,
)

# Starting


def test_a_start_returns_when_the_daemon_serves_and_the_status_line_says_how_it_is(fresh: Container) -> None:
    start(fresh)
    assert ask(fresh, "/readyz").startswith("200")
    assert re.fullmatch(
        r"Ready: 2 listeners, [01] of 1 bots connected, 0 streams", fresh.show("edgebotd", "StatusText")
    )
    # From the units alone: both are on after an `enable` of the service.
    fresh.run("systemctl", "enable", "edgebotd.service")
    assert fresh.run("systemctl", "is-enabled", *UNITS).stdout.split() == ["enabled", "enabled"]
    fresh.run("systemctl", "disable", *UNITS)


def test_root_and_those_named_are_administrators_on_the_socket_and_nobody_else(fresh: Container) -> None:
    fresh.run(
        "sh",
        "-c",
        "id ann || { useradd -u 1500 -G edgebotd ann; useradd -u 1501 -G edgebotd ben; useradd -u 1502 eve; }",
    )
    configure(fresh, CONFIGURATION.replace("[server]", "[server]\nadmin_uids = [1500]"))
    start(fresh)
    assert json.loads(edgebotd(fresh, "status", "--json"))["version"]

    def status_as(uid: int) -> subprocess.CompletedProcess[str]:
        who = ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--init-groups")
        return fresh.run(*who, EDGEBOTD, "status", check=False)

    assert status_as(1500).returncode == 0, status_as(1500).stderr
    assert "does not take you (uid 1501) for an administrator" in status_as(1501).stderr
    assert "not allowed for this user" in status_as(1502).stderr


def test_init_the_units_and_a_link_are_all_that_a_first_start_needs(fresh: Container) -> None:
    fresh.run("rm", CONFIG)
    first = edgebotd(fresh, "init", "--config", CONFIG, "--state-dir", "/var/lib/edgebotd")
    assert "http://127.0.0.1:8787/#code=" in first
    # The folder's group is the service's; the file belongs to whoever ran init, that is to root.
    assert "chgrp edgebotd /etc/edgebotd/edgebotd.toml && chmod 640" in failed_start(fresh)
    assert fresh.show("edgebotd", "ExecMainStatus") == "78"
    fresh.run("sh", "-c", f"chgrp edgebotd {CONFIG} && chmod 640 {CONFIG}")
    start(fresh)
    # The state that root's init made is the service's now, and a second init makes a second link.
    assert fresh.run("stat", "-c", "%U %a", "/var/lib/edgebotd/edgebotd.db").stdout == "edgebotd 600\n"
    assert "#code=" in edgebotd(fresh, "init", "--config", CONFIG)


def test_a_broken_configuration_is_told_with_its_place_and_not_tried_again(fresh: Container) -> None:
    configure(fresh, "[server]\nbindd = []\n")
    journal = failed_start(fresh)
    assert f"{CONFIG}:2:1: server.bindd: unknown setting, did you mean 'bind'?" in journal
    assert fresh.show("edgebotd", "ExecMainStatus") == "78"
    assert fresh.show("edgebotd", "SubState") == "failed"  # not "auto-restart"
    assert fresh.show("edgebotd", "NRestarts") == "0"


def test_who_knocks_at_a_broken_daemon_makes_it_start_a_bounded_number_of_times(fresh: Container) -> None:
    set_drop_in(fresh, "[Unit]\nStartLimitBurst=3\n")
    configure(fresh, "[server]\nbindd = []\n")
    fresh.run("systemctl", "start", "edgebotd.socket")
    assert fresh.run(EDGEBOTD, "status", check=False).returncode == 1
    fresh.until(lambda: fresh.show("edgebotd.socket", "ActiveState") == "failed", "the socket to give up")
    assert starts(fresh) == 3
    # As docs/install.md says.
    configure(fresh, CONFIGURATION)
    fresh.run("systemctl", "reset-failed", *UNITS)
    start(fresh)
    assert "echo" in edgebotd(fresh, "status")


def test_secrets_come_as_credentials_and_the_daemon_cannot_read_their_files(fresh: Container) -> None:
    secret = "a-secret-of-the-gateway"
    bot = 'kind = "openai"\nmodel = "m"\nurl = "http://127.0.0.1:9/v1"\ntoken_credential = "nova"\n'
    configure(fresh, f"[bots.nova]\n{bot}")
    journal = failed_start(fresh)
    assert f"{CONFIG}:5:1: bots.nova.token_credential: no credential 'nova'" in journal
    assert f"{CREDENTIALS}/nova" in journal
    fresh.write(f"{CREDENTIALS}/nova", secret + "\n", 0o600)
    start(fresh)
    assert secret not in fresh.journal()
    pid = main_pid(fresh)
    mine = ("nsenter", "-t", pid, "-m", "setpriv", "--reuid=edgebotd", "--regid=edgebotd", "--clear-groups")
    seen = fresh.run(*mine, "cat", "/run/credentials/edgebotd.service/edgebotd_nova").stdout
    assert seen.strip() == secret
    assert "Permission denied" in fresh.run(*mine, "cat", f"{CREDENTIALS}/nova", check=False).stderr
    # By hand there are none, unless root names the folder.
    by_hand = fresh.run(EDGEBOTD, "check", "--config", CONFIG, check=False)
    assert f"CREDENTIALS_DIRECTORY={CREDENTIALS} edgebotd check" in by_hand.stderr
    fresh.run("env", f"CREDENTIALS_DIRECTORY={CREDENTIALS}", EDGEBOTD, "check", "--config", CONFIG)


def test_without_the_folder_of_credentials_it_starts(fresh: Container) -> None:
    fresh.run("rmdir", CREDENTIALS)
    start(fresh)
    assert fresh.show("edgebotd", "ActiveState") == "active"


# Listening


def test_the_first_connection_starts_it_and_a_stop_lasts(fresh: Container) -> None:
    fresh.run("systemctl", "start", "edgebotd.socket")
    assert fresh.show("edgebotd", "ActiveState") == "inactive"
    assert ask(fresh, "/readyz").startswith("200")
    fresh.run("systemctl", "stop", "edgebotd.service")
    # systemd listens on; what stops must not knock at its own door.
    fresh.run("systemctl", "daemon-reload")
    assert fresh.show("edgebotd", "ActiveState") == "inactive"
    assert "echo" in edgebotd(fresh, "status")
    assert starts(fresh) == 2
    fresh.run("systemctl", "stop", *UNITS)
    assert fresh.run("test", "-e", "/run/edgebotd.sock", check=False).returncode == 1


def test_an_address_of_the_configuration_that_systemd_overrules_is_warned_of(fresh: Container) -> None:
    configure(fresh, '[server]\nbind = ["127.0.0.1:9000"]\n')
    start(fresh)
    assert "127.0.0.1:9000 is not listened on" in fresh.journal()


KNOCK = """
import http.client, json, socket, time

class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/edgebotd.sock")

def tcp():
    return http.client.HTTPConnection("127.0.0.1", 8787, timeout=60)

def unix():
    return Unix("localhost", timeout=60)

counts, refused, done = {"tcp": 0, "unix": 0}, [], None
while done is None or time.monotonic() < done:
    for name, make in (("tcp", tcp), ("unix", unix)):
        try:
            connection = make()
            connection.request("GET", "/healthz", headers={"Connection": "close"})
            assert connection.getresponse().read()
            counts[name] += 1
        except Exception as exc:
            refused.append(f"{name}: {exc!r}")
    if counts["tcp"] == 1:
        print("knocking", flush=True)
    if done is None:
        try:
            open("/run/host/test/restarted").close()
            done = time.monotonic() + 0.5
        except FileNotFoundError:
            pass
    time.sleep(0.01)
print(json.dumps([counts, refused]), flush=True)
"""


def test_a_restart_loses_no_connection(fresh: Container) -> None:
    start(fresh)
    flag = fresh.folder / "restarted"
    flag.unlink(missing_ok=True)
    with fresh.popen_python(KNOCK) as knocking:
        assert knocking.stdout is not None
        assert knocking.stdout.readline() == "knocking\n"
        fresh.run("systemctl", "restart", "edgebotd")
        flag.touch()
        output, _ = knocking.communicate(timeout=60)
    counts, refused = json.loads(output.splitlines()[-1])
    assert refused == []
    assert min(counts.values()) > 5
    assert starts(fresh) == 2


# Trouble


def test_a_frozen_daemon_is_killed_by_the_watchdog_and_started_again(fresh: Container) -> None:
    set_drop_in(fresh, "[Service]\nWatchdogSec=3s\n")
    start(fresh)
    fresh.run("kill", "-STOP", main_pid(fresh))
    fresh.until(lambda: fresh.show("edgebotd", "NRestarts") == "1", "the watchdog")
    fresh.until(lambda: fresh.show("edgebotd", "ActiveState") == "active", "the restart")
    assert ask(fresh, "/readyz").startswith("200")
    journal = fresh.journal(lines=500)
    assert "Watchdog timeout" in journal
    assert "Fatal Python error: Aborted" in journal  # and the stack, which says where it hung


def test_a_killed_daemon_comes_back_with_all_that_was_acknowledged(fresh: Container) -> None:
    start(fresh)
    edgebotd(fresh, "chat", "echo", "[[say first]]")
    fresh.run("kill", "-KILL", main_pid(fresh))
    fresh.until(lambda: fresh.show("edgebotd", "NRestarts") == "1", "the restart")
    said = edgebotd(fresh, "chat", "echo", "[[say second]]")
    assert "second" in said
    history = edgebotd(fresh, "history", "echo")
    assert history.count("[[say first]]") == 1 and history.count("[[say second]]") == 1


# The sandbox


def test_it_writes_to_its_state_alone_and_has_no_privilege(fresh: Container) -> None:
    start(fresh)
    pid = main_pid(fresh)
    status = dict(line.split(":\t", 1) for line in fresh.run("cat", f"/proc/{pid}/status").stdout.splitlines())
    assert fresh.run("ps", "-o", "user=,group=", "-p", pid).stdout.split() == ["edgebotd", "edgebotd"]
    assert {status[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0000000000000000"}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    # As root, so that the sandbox itself is asked and not the files' modes.
    for place in ("/etc/edgebotd", CREDENTIALS, "/etc", "/usr", "/opt", "/var/lib", "/var/log", "/home"):
        refused = fresh.run("nsenter", "-t", pid, "-m", "touch", f"{place}/x", check=False)
        assert "Read-only file system" in refused.stderr, place
    fresh.run("nsenter", "-t", pid, "-m", "touch", "/var/lib/edgebotd/x")
    modes = fresh.run("sh", "-c", "cd /var/lib/edgebotd; rm x; stat -c '%U:%G %a %n' . *").stdout.splitlines()
    assert modes[0] == "edgebotd:edgebotd 700 ."
    assert all(line.startswith("edgebotd:edgebotd 600 ") or " 700 " in line for line in modes), modes


def test_the_user_cannot_log_in(machine: Container) -> None:
    name, _, _, _, _, home, shell = machine.run("getent", "passwd", "edgebotd").stdout.strip().split(":")
    assert (name, home, shell) == ("edgebotd", "/var/lib/edgebotd", "/usr/sbin/nologin")
    assert machine.run("getent", "shadow", "edgebotd").stdout.split(":")[1].startswith("!")


def test_the_units_are_understood_and_their_exposure_is_low(machine: Container) -> None:
    verified = machine.run("systemd-analyze", "verify", "--man=no", *(f"/etc/systemd/system/{name}" for name in UNITS))
    assert verified.stdout + verified.stderr == ""
    security = machine.run("systemd-analyze", "security", "--no-pager", "edgebotd.service").stdout
    match = re.search(r"Overall exposure level for edgebotd.service: ([0-9.]+)", security)
    assert match and float(match[1]) <= 1.2, security
