"""The sockets that the edge listens on: bound before anything else, or taken over from systemd."""

from __future__ import annotations

import logging
import os
import socket
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgebotd import systemd
from edgebotd.config import ServerSettings, address_url, is_loopback, parse_address
from edgebotd.errors import EdgebotdError

log = logging.getLogger(__name__)


class ListenError(EdgebotdError):
    """An address cannot be listened on; the text says which, why, and what to do."""


class NoAdministrator(EdgebotdError):
    """The daemon would be open to other machines before anybody can administrate it."""


class ServerSection(Protocol):
    """What this module reads of the configuration's section `server`."""

    @property
    def bind(self) -> tuple[str, ...]: ...
    @property
    def socket(self) -> Path: ...
    @property
    def admin_uids(self) -> tuple[int, ...]: ...


@dataclass
class Listeners:
    """What the edge listens on. From `open_listeners`; whoever took it calls `close`."""

    sockets: list[socket.socket]
    _made: tuple[Path, int] | None = None
    """The unix socket's file that we made, and its inode. What systemd made is its own: it goes on listening there."""

    def close(self) -> None:
        """Close what the server has not, and remove the unix socket's file if it is still ours."""
        for sock in self.sockets:
            sock.close()
        if self._made is None:
            return
        path, inode = self._made
        try:
            # Not asked whether somebody answers there: a mere connect would make systemd start us anew.
            if path.lstat().st_ino == inode:
                path.unlink()
        except FileNotFoundError:
            pass  # removed by somebody else


def open_listeners(settings: ServerSection) -> Listeners:
    """Return bound sockets, TCP and unix.

    Those from systemd stand in for the configured ones of their kind: with a TCP socket from systemd `server.bind` is
    not used, with a unix one `server.socket` is not.

    Raises:
        ListenError: an address is taken, not ours, or not allowed; what was bound is closed again.
        systemd.SystemdError: what systemd handed over is no listening socket.
    """
    listeners = Listeners([taken.socket for taken in systemd.listen_sockets()])
    families = {sock.family for sock in listeners.sockets}
    try:
        if families <= {socket.AF_UNIX}:
            for address in settings.bind:
                listeners.sockets.append(_bind_tcp(address))
        else:
            _tell_unused(settings.bind, addresses(listeners.sockets))
        if socket.AF_UNIX not in families:
            listeners.sockets.append(_bind_unix(settings.socket, settings.admin_uids))
            listeners._made = (settings.socket, settings.socket.lstat().st_ino)
    except BaseException:
        listeners.close()
        raise
    return listeners


def _tell_unused(configured: Sequence[str], taken: Sequence[str]) -> None:
    """Warn of addresses that stand in the configuration and are not listened on, because systemd has the listeners."""
    if unused := [address for address in configured if address not in taken]:
        log.warning(
            "server.bind: %s is not listened on: systemd's socket unit says where, which is %s. To change that: "
            "systemctl edit edgebotd.socket",
            ", ".join(unused),
            ", ".join(taken),
        )


def reachable_from_outside(sockets: Sequence[socket.socket]) -> list[str]:
    """Return the addresses that other machines can reach, as `host:port`."""
    names = [sock.getsockname() for sock in sockets if sock.family != socket.AF_UNIX]
    return [address_words(name) for name in names if not is_loopback(name[0])]


def check_exposure(server: ServerSettings, sockets: Sequence[socket.socket], has_admin: Callable[[], bool]) -> None:
    """Refuse to be reachable by strangers without TLS or a proxy, or before there is an administrator.

    Raises:
        ListenError: plain HTTP, other machines, no trusted proxy. The configuration's own check has refused such a
            `server.bind` before; this one knows the sockets of systemd too.
        NoAdministrator: whoever came first with a setup link would own it.
    """
    if not (outside := reachable_from_outside(sockets)):
        return
    if server.tls_certificate is None and not server.trusted_proxies:
        raise ListenError(
            f"{outside[0]} is reachable from other machines, which needs server.tls_certificate and server.tls_key, "
            "or server.trusted_proxies for a reverse proxy that does TLS."
        )
    if not has_admin():
        raise NoAdministrator(
            f"{outside[0]} is reachable from other machines, and there is no administrator yet. Start once with "
            "--bind 127.0.0.1:8787, make one with 'edgebotd user add NAME --admin', then start again."
        )


def addresses(sockets: Sequence[socket.socket]) -> list[str]:
    """Return the TCP addresses as `host:port`."""
    return [address_words(sock.getsockname()) for sock in sockets if sock.family != socket.AF_UNIX]


def page_url(public_url: str | None, sockets: Sequence[socket.socket], *, tls: bool) -> str | None:
    """Return where people reach the page, as far as this machine knows: the configured URL, else the first address."""
    names = [sock.getsockname() for sock in sockets if sock.family != socket.AF_UNIX]
    if public_url is not None or not names:
        return public_url
    host, port = names[0][:2]
    return address_url(host, port, tls=tls)


def address_words(name: tuple[str, int]) -> str:
    """Return an address as people write it."""
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bind_tcp(address: str) -> socket.socket:
    host, port = parse_address(address)
    try:
        family, kind, protocol, _, name = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as exc:
        raise ListenError(f"server.bind: {address} is no address of this machine ({exc.strerror}).") from exc
    sock = socket.socket(family, kind, protocol)
    try:
        # Else a restart has to wait until the kernel has forgotten the last connections.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(name)
    except OSError as exc:
        sock.close()
        hint = "Is another edgebotd running? Choose another port in server.bind." if port else "Choose another address."
        raise ListenError(f"server.bind: cannot listen on {address} ({exc.strerror}). {hint}") from exc
    return sock


def _bind_unix(path: Path, admin_uids: tuple[int, ...]) -> socket.socket:
    if _answers(path):
        raise ListenError(
            f"server.socket: another daemon answers on {path}. Stop it, or choose another path with --socket."
        )
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if path.exists() and stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()  # left by a daemon that was killed
        before = os.umask(0o177)
        try:
            sock.bind(str(path))
        finally:
            os.umask(before)
        # Who connects is known by its uid and is nobody unless listed, so the file's mode only keeps strangers from
        # knocking; administrators of other uids must be able to.
        others = set(admin_uids) - {0, os.geteuid()}
        path.chmod(0o666 if others else 0o600)
    except OSError as exc:
        sock.close()
        raise ListenError(
            f"server.socket: cannot listen on {path} ({exc.strerror}). Choose another path with --socket."
        ) from exc
    return sock


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
