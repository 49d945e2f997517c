"""A server of the open internet, played on loopback: real TLS by an authority of its own, and names that lead to it."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edgebotd.outgoing import Network

PUBLIC = "93.184.215.14"
NAMES = ("images.example", "other.example")
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 100


@dataclass
class Outside:
    """What the names lead to, what paths answer, and what was asked.

    Attributes:
        names: name -> what each time that it is resolved comes back; the last one stays.
        answers: path -> the whole answer, head and body. `HANG` at its end: no more comes, and no end.
        asked: heads of requests.
        placed: addresses that were connected to.
    """

    port: int
    trust: ssl.SSLContext
    names: dict[str, list[list[str]]] = field(default_factory=lambda: {name: [[PUBLIC]] for name in NAMES})
    answers: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    placed: list[str] = field(default_factory=list)
    source: str | None = "192.0.2.7"
    _more: trio.Event = field(default_factory=trio.Event)

    @property
    def network(self) -> Network:
        return Network(self._resolve, lambda address: self.source, self._place, lambda: self.trust)

    async def _resolve(self, name: str) -> list[str]:
        await trio.lowlevel.checkpoint()
        if name not in self.names:
            raise OSError("no such name")
        told = self.names[name]
        return told.pop(0) if len(told) > 1 else told[0]

    def _place(self, address: str, port: int) -> tuple[str, int]:
        self.placed.append(address)
        return "127.0.0.1", self.port

    async def wait_asked(self, count: int) -> None:
        """Wait until so many requests have come."""
        while len(self.asked) < count:
            await self._more.wait()

    async def serve(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        """Answer one request."""
        head = bytearray()
        try:
            while not head.endswith(b"\r\n\r\n"):
                if not (more := await stream.receive_some()):
                    return
                head += more
            self.asked.append(head.decode())
            self._more.set()
            self._more = trio.Event()
            answer = self.answers.get(head.split()[1].decode(), b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            await stream.send_all(answer.removesuffix(HANG))
            if answer.endswith(HANG):
                await trio.sleep_forever()
        except trio.BrokenResourceError:
            pass  # the client does not trust this, or has enough
        finally:
            with trio.move_on_after(1, shield=True):
                await stream.aclose()


HANG = b"<hang>"


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """Return a whole answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: image/png", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def redirect(location: str) -> bytes:
    """Return an answer that leads elsewhere."""
    return answer(b"", f"Location: {location}", "Set-Cookie: a=b", status="302 Found")


@asynccontextmanager
async def open_outside() -> AsyncIterator[Outside]:
    """Serve until the block ends."""
    server, trust = _authority()
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_ssl_over_tcp_listeners(0, server, host="127.0.0.1", https_compatible=True)
        socket_listener = listeners[0].transport_listener
        assert isinstance(socket_listener, trio.SocketListener)
        outside = Outside(socket_listener.socket.getsockname()[1], trust)
        await nursery.start(trio.serve_listeners, outside.serve, listeners)
        yield outside
        nursery.cancel_scope.cancel()


def _authority() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's context for `NAMES`, and one that trusts who signed its certificate."""
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)

    def made(
        subject: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> bytes:
        builder = x509.CertificateBuilder(
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "An authority")]),
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]),
            key.public_key(),
            x509.random_serial_number(),
            now - day,
            now + day,
        )
        certificate = builder.add_extension(extension, critical=True).sign(signer, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM)

    authority, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    basic = x509.BasicConstraints(ca=True, path_length=0)
    trust = ssl.create_default_context(cadata=made("An authority", authority, authority, basic).decode())
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in NAMES])
    key = own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        path = Path(folder, "both.pem")
        path.write_bytes(key + made(NAMES[0], own, authority, names))
        server.load_cert_chain(path)
    return server, trust
