"""The sockets that the edge listens on: where people reach the page through them, and what is left of them."""

from __future__ import annotations

import socket
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgebotd.web.listeners import ListenError, open_listeners, page_url


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_page_is_where_the_first_socket_is(host: str) -> None:
    with closing(socket.socket()) as bound, closing(socket.socket(socket.AF_UNIX)) as unix:
        bound.bind((host, 0))
        port = bound.getsockname()[1]
        assert page_url(None, [unix, bound], tls=False) == f"http://127.0.0.1:{port}"
        assert page_url(None, [bound], tls=True) == f"https://127.0.0.1:{port}"
        assert page_url("https://bots.example.org", [bound], tls=False) == "https://bots.example.org"
        assert page_url(None, [unix], tls=False) is None


@dataclass(frozen=True)
class Section:
    """What the configuration says."""

    socket: Path
    bind: tuple[str, ...] = ()
    admin_uids: tuple[int, ...] = ()


def test_the_unix_sockets_file_goes_with_its_daemon(tmp_path: Path) -> None:
    path = tmp_path / "d.sock"
    listeners = open_listeners(Section(path))
    assert path.is_socket()
    listeners.close()
    assert not path.exists()


def test_what_took_the_files_place_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "d.sock"
    listeners = open_listeners(Section(path))
    path.rename(tmp_path / "moved")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        listeners.close()
        assert path.is_socket()


def test_a_failed_start_leaves_neither_sockets_nor_a_file(tmp_path: Path) -> None:
    path = tmp_path / "d.sock"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=f"cannot listen on 127.0.0.1:{port} .*Is another edgebotd running"):
            open_listeners(Section(path, (f"127.0.0.1:{port}",)))
    assert not path.exists()


def test_a_file_left_by_a_killed_daemon_is_replaced_and_a_living_ones_is_not(tmp_path: Path) -> None:
    path = tmp_path / "d.sock"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    listeners = open_listeners(Section(path))
    try:
        listeners.sockets[0].listen()
        with pytest.raises(ListenError, match="another daemon answers"):
            open_listeners(Section(path))
        assert path.is_socket()
    finally:
        listeners.close()
