"""systemd's side: real datagram sockets, real handed-over descriptors, and systemd's own tools where they are."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TextIO

import pytest

from edgebotd import systemd
from tests.support import require_or_skip

# A child that takes its sockets over and says what it got, in one line.
CHILD = """
import os
from edgebotd import systemd
try:
    taken = systemd.listen_sockets()
except systemd.SystemdError as exc:
    print("error:", exc)
else:
    names = ",".join(f"{each.name}:{each.socket.family.name}:{each.socket.get_inheritable()}" for each in taken)
    left = [name for name in os.environ if name.startswith("LISTEN_")]
    print(names, left, systemd.listen_sockets())
"""


@contextmanager
def manager(address: str) -> Iterator[socket.socket]:
    """Listen as the service manager does."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.bind("\0" + address[1:] if address.startswith("@") else address)
        listener.settimeout(5)
        yield listener


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "path" else f"@edgebotd-test-{os.getpid()}-{tmp_path.name}"


# What systemd does between fork and exec: the socket becomes descriptor 3, and LISTEN_PID the process to come.
LAUNCHER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.setdefault("LISTEN_PID", str(os.getpid()))
os.execv(sys.executable, [sys.executable, "-c", sys.argv[2]])
"""


def hand_over(first: socket.socket | TextIO, **environ: str) -> str:
    """Start the child as systemd would, with `first` as its descriptor 3; returns what it says."""
    return subprocess.run(
        [sys.executable, "-c", LAUNCHER, str(first.fileno()), CHILD],
        env={"PYTHONPATH": str(Path(__file__).parent.parent), **environ},
        pass_fds=[first.fileno()],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield listener


def test_messages_reach_the_manager_on_a_path_and_in_the_abstract_namespace(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with manager(address) as listener:
        assert systemd.notify_ready("Ready: 2 listeners")
        assert listener.recv(1024) == b"READY=1\nSTATUS=Ready: 2 listeners"
        assert systemd.notify_watchdog()
        assert listener.recv(1024) == b"WATCHDOG=1"
        assert systemd.extend_timeout(2.5)
        assert listener.recv(1024) == b"EXTEND_TIMEOUT_USEC=2500000"
        assert systemd.notify_reloading("Reloading")
        reloading = listener.recv(1024).decode().splitlines()
        assert reloading[0] == "RELOADING=1" and reloading[2] == "STATUS=Reloading"
        assert reloading[1].removeprefix("MONOTONIC_USEC=").isdigit()
        assert systemd.notify_stopping("Draining 1 run")
        assert listener.recv(1024) == b"STOPPING=1\nSTATUS=Draining 1 run"


def test_a_status_cannot_smuggle_in_another_assignment(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with manager(address) as listener:
        assert systemd.notify_status("two\nSTOPPING=1 lines")
        assert listener.recv(1024) == b"STATUS=two STOPPING=1 lines"


@pytest.mark.parametrize("value", ["", "relative", "/nowhere/notify", "@nobody-listens-here"])
def test_no_manager_is_no_error(value: str) -> None:
    assert systemd.notify("READY=1", environ={"NOTIFY_SOCKET": value}) is False
    assert systemd.notify("READY=1", environ={}) is False


def test_a_full_manager_is_not_waited_for(tmp_path: Path) -> None:
    environ = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
    with manager(environ["NOTIFY_SOCKET"]):
        answers = [systemd.notify("WATCHDOG=1", environ=environ) for _ in range(2000)]
    assert answers[0] and not answers[-1]


def test_systemds_own_tool_and_ours_send_the_same(tmp_path: Path) -> None:
    if not (tool := shutil.which("systemd-notify")):
        require_or_skip("systemd-notify (Debian package systemd)")
    environ = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
    with manager(environ["NOTIFY_SOCKET"]) as listener:
        subprocess.run([tool, "--no-block", "--status=hi", "WATCHDOG=1"], env=environ, check=True)
        theirs = listener.recv(1024)
        systemd.notify("STATUS=hi", "WATCHDOG=1", environ=environ)
        assert listener.recv(1024) == theirs


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_interval_is_taken_only_when_it_is_ours(environ: dict[str, str], seconds: float | None) -> None:
    assert systemd.watchdog_interval(environ) == seconds


def test_handed_over_sockets_are_named_closed_on_exec_and_taken_once(listener: socket.socket) -> None:
    answer = hand_over(listener, LISTEN_FDS="1", LISTEN_FDNAMES="http")
    assert answer == "http:AF_INET:False [] []"


def test_sockets_without_names_are_taken(listener: socket.socket) -> None:
    assert hand_over(listener, LISTEN_FDS="1") == ":AF_INET:False [] []"


def test_sockets_of_another_process_are_left_alone_and_the_variables_removed(listener: socket.socket) -> None:
    assert hand_over(listener, LISTEN_FDS="1", LISTEN_PID="1") == "[] []"


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"LISTEN_FDS": "many"}, "LISTEN_FDS is 'many'"),
        ({"LISTEN_FDS": "1", "LISTEN_FDNAMES": "a:b"}, "2 names for 1 descriptors"),
        ({"LISTEN_FDS": "1", "LISTEN_FDNAMES": "a\x01"}, "malformed"),
        ({"LISTEN_FDS": "2"}, "descriptor 4 from systemd cannot be used"),
    ],
)
def test_malformed_handover_says_what_is_wrong(listener: socket.socket, environ: dict[str, str], words: str) -> None:
    answer = hand_over(listener, **environ)
    assert answer.startswith("error:") and words in answer


def test_what_is_no_listening_stream_socket_is_refused() -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as datagram:
        assert "not a listening stream socket" in hand_over(datagram, LISTEN_FDS="1")
    with closing(socket.socket()) as silent:
        assert "not a listening stream socket" in hand_over(silent, LISTEN_FDS="1")
    with Path(os.devnull).open() as file:
        assert "is not a socket" in hand_over(file, LISTEN_FDS="1")


def test_systemds_own_activation_hands_over_two_sockets(tmp_path: Path) -> None:
    if not (tool := shutil.which("systemd-socket-activate")):
        require_or_skip("systemd-socket-activate (Debian package systemd)")
    path = tmp_path / "edgebotd.sock"
    root = str(Path(__file__).parent.parent)
    command = [tool, "--fdname=first:second", f"--listen={path}", f"--listen={tmp_path / 'other.sock'}"]
    command += [f"--setenv=PYTHONPATH={root}", sys.executable, "-c", CHILD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            while "Listening on" not in (line := process.stderr.readline()) or "other.sock" not in line:
                assert line, "the tool ended before it listened"
            with closing(socket.socket(socket.AF_UNIX)) as client:
                client.connect(str(path))
                output, _ = process.communicate(timeout=20)
        finally:
            process.kill()
    assert output.strip() == "first:AF_UNIX:False,second:AF_UNIX:False [] []"


def test_credentials_of_a_directory_come_before_single_ones(tmp_path: Path) -> None:
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert systemd.credential("token", environ) is None
    (tmp_path / "token").write_bytes(b"single\n")
    assert systemd.credential("token", environ) == b"single\n"
    (tmp_path / "edgebotd_token").write_bytes(b"of a directory")
    assert systemd.credential("token", environ) == b"of a directory"
    assert systemd.credential("token", {}) is None


def test_a_credential_that_cannot_be_read_is_an_error_with_its_path(tmp_path: Path) -> None:
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    (tmp_path / "edgebotd_token").mkdir()
    with pytest.raises(systemd.SystemdError, match="edgebotd_token cannot be read: Is a directory"):
        systemd.credential("token", environ)
    (tmp_path / "edgebotd_large").write_bytes(b"s" * (systemd.MAX_CREDENTIAL_BYTES + 1))
    with pytest.raises(systemd.SystemdError, match="larger than"):
        systemd.credential("large", environ)


@pytest.mark.parametrize("name", ["", "../token", "a/b", ".hidden", "a\n"])
def test_a_credentials_name_cannot_leave_its_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a credential"):
        systemd.credential(name, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
