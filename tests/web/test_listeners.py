"""Where people reach the page, as the sockets say."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest

from edgebotd.web.listeners import page_url


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_page_is_where_the_first_socket_is(host: str) -> None:
    with closing(socket.socket()) as bound, closing(socket.socket(socket.AF_UNIX)) as unix:
        bound.bind((host, 0))
        port = bound.getsockname()[1]
        assert page_url(None, [unix, bound], tls=False) == f"http://127.0.0.1:{port}"
        assert page_url(None, [bound], tls=True) == f"https://127.0.0.1:{port}"
        assert page_url("https://bots.example.org", [bound], tls=False) == "https://bots.example.org"
        assert page_url(None, [unix], tls=False) is None
