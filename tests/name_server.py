"""A small authoritative DNS server on loopback, for tests; it can sign its zones, and lie."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ate.testing.simclock import START_US

#: Signatures of these tests are good for a day before and after the time of a SimClock.
_DAY_S = 86_400
_NOW_S = START_US // 1_000_000
IN = dns.rdataclass.IN


class Zone:
    """One zone: its records, and its key if it is signed."""

    def __init__(self, origin: str, *, signed: bool = False, seed: int = 1) -> None:
        self.origin = dns.name.from_text(origin)
        self.records: dict[tuple[dns.name.Name, int], dns.rrset.RRset] = {}
        self.signatures: dict[tuple[dns.name.Name, int], dns.rrset.RRset] = {}
        self.key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32) if signed else None
        if self.key is not None:
            self.dnskey = dns.dnssec.make_dnskey(self.key.public_key(), "ED25519", flags=257)
            self.add_rrset(dns.rrset.from_rdata(self.origin, 300, self.dnskey))

    def add(self, name: str, kind: str, *values: str) -> None:
        self.add_rrset(dns.rrset.from_text(dns.name.from_text(name), 300, "IN", kind, *values))

    def add_rrset(self, rrset: dns.rrset.RRset, *, sign: bool = True) -> None:
        self.records[rrset.name, int(rrset.rdtype)] = rrset
        if self.key is not None and sign:
            self.sign(rrset)

    def sign(self, rrset: dns.rrset.RRset, *, inception: int = -1, expiration: int = 1) -> None:
        made = dns.dnssec.sign(
            rrset,
            self.key,
            self.origin,
            self.dnskey,
            inception=_NOW_S + inception * _DAY_S,
            expiration=_NOW_S + expiration * _DAY_S,
        )
        self.signatures[rrset.name, int(rrset.rdtype)] = dns.rrset.from_rdata(rrset.name, 300, made)

    def ds(self, digest: str = "SHA256") -> str:
        """Return the DS record that the zone above would hold, or an anchor."""
        return dns.dnssec.make_ds(self.origin, self.dnskey, digest, validating=True).to_text()

    def delegate(self, child: Zone) -> None:
        self.add(child.origin.to_text(), "DS", child.ds())


class NameServer:
    """Answers for its zones over UDP and TCP on one port.

    `bend` may change or replace what is sent: it takes the query, the answer and whether it goes
    over TCP, and returns a message, bytes, several of them, or None for silence.
    """

    def __init__(self, *zones: Zone) -> None:
        self.zones = list(zones)
        self.asked: list[str] = []
        self.bend: Callable[[Any, Any, bool], Any] = lambda query, answer, tcp: answer
        self.address = ""

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._tcp = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._tcp.sockets[0].getsockname()[1]
        self._udp, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self), local_addr=("127.0.0.1", port)
        )
        self.address = f"127.0.0.1:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._udp.close()
        self._tcp.close()
        await self._tcp.wait_closed()

    def answers(self, raw: bytes, *, tcp: bool) -> list[bytes]:
        query = dns.message.from_wire(raw)
        question = query.question[0]
        self.asked.append(f"{question.name} {dns.rdatatype.to_text(question.rdtype)}")
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA
        self._fill(answer, question.name, question.rdtype)
        bent = self.bend(query, answer, tcp)
        parts = bent if isinstance(bent, list) else [bent]
        return [
            one if isinstance(one, bytes) else one.to_wire(max_size=65535)
            for one in parts
            if one is not None
        ]

    def _fill(self, answer: dns.message.Message, name: dns.name.Name, kind: int) -> None:
        holders = [one for one in self.zones if name.is_subdomain(one.origin)]
        if kind == dns.rdatatype.DS:  # it belongs to the zone above
            holders = [one for one in holders if one.origin != name]
        if not holders:
            answer.set_rcode(dns.rcode.REFUSED)
            return
        zone = max(holders, key=lambda one: len(one.origin))
        for one in (kind, dns.rdatatype.CNAME):
            found = zone.records.get((name, int(one)))
            if found is None or found in answer.answer:
                continue
            answer.answer.append(found)
            if (name, int(one)) in zone.signatures:
                answer.answer.append(zone.signatures[name, int(one)])
            if one != kind:
                self._fill(answer, found[0].target, kind)
            return

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            size = int.from_bytes(await reader.readexactly(2), "big")
            for one in self.answers(await reader.readexactly(size), tcp=True):
                writer.write(len(one).to_bytes(2, "big") + one)
            await writer.drain()
        except (OSError, EOFError):
            pass
        finally:
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self.server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for one in self.server.answers(data, tcp=False):
            self.transport.sendto(one, addr)  # type: ignore[attr-defined]


def truncated(query: Any, answer: Any, tcp: bool) -> Any:
    """Bend: send everything over TCP."""
    if not tcp:
        answer.answer.clear()
        answer.flags |= dns.flags.TC
    return answer
