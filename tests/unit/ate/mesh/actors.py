"""A hall, a port and certificates for the tests of the mesh; the sockets are real or simulated."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ate.errors import AteError
from ate.mesh.attend import Visitor, attend
from ate.mesh.transport import Transport
from ate.mesh.url import Url
from ate.wire.message import AnyMessage, Close, Fetch, Message, Records, Submit
from ate.wire.terms import PeerSession, Terms

SERVER = Url.parse("ws://server")


class EchoHall:
    """Sends every commit back as a record; fails a `Fetch`, and stumbles over a `Close`."""

    def __init__(self) -> None:
        self.here: list[Visitor] = []
        self.arrivals = 0
        self.heard: list[Message] = []
        self.refuse: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.changed = asyncio.Event()

    async def arrived(self, visitor: Visitor) -> None:
        self.arrivals += 1
        self.here.append(visitor)
        self.changed.set()
        if self.refuse is not None:
            raise self.refuse

    async def handle(self, visitor: Visitor, message: Message) -> None:
        self.heard.append(message)
        self.changed.set()
        await self.gate.wait()
        if isinstance(message, Submit):
            visitor.send(Records(message.ch, [message.commit]))
        elif isinstance(message, Fetch):
            raise AteError("no such body", hint="ask for another")
        elif isinstance(message, Close):
            raise ZeroDivisionError("a secret of the server")

    async def left(self, visitor: Visitor) -> None:
        self.here.remove(visitor)
        self.changed.set()

    async def until(self, condition: Callable[[EchoHall], bool]) -> None:
        """Return when something holds of this hall."""
        while not condition(self):
            self.changed.clear()
            await self.changed.wait()

    async def accept(self, transport: Transport) -> None:
        """Serve a connection of a simulated network."""
        await attend(transport, self)


class EarPort:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.errors: list[AteError] = []
        self.peer: PeerSession | None = None
        self.messages: list[AnyMessage] = []
        self._changed = asyncio.Event()

    def connected(self, peer: PeerSession) -> None:
        self.peer = peer
        self._note("up")

    def received(self, message: AnyMessage) -> None:
        self.messages.append(message)
        self._note("message")

    def disconnected(self, error: AteError) -> None:
        self.errors.append(error)
        self._note("down")

    def _note(self, event: str) -> None:
        self.events.append(event)
        self._changed.set()

    async def until(self, event: str, times: int = 1) -> None:
        """Return when an event has happened so often."""
        while self.events.count(event) < times:
            self._changed.clear()
            await self._changed.wait()


def quick(**changes: float) -> Terms:
    """Return terms with short times, for tests on real sockets."""
    return Terms(**{"keepalive_s": 0.2, "handshake_s": 0.3} | changes)  # type: ignore[arg-type]


def descriptors() -> int:
    """Return how many descriptors this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


class Certificates:
    """A self-signed certificate for this machine, and contexts for both sides."""

    def __init__(self, folder: Path, name: str = "localhost") -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = dt.datetime.now(dt.UTC)
        names = x509.SubjectAlternativeName(
            [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(names, critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.certificate, self.key = folder / "certificate.pem", folder / "key.pem"
        self.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))
