"""What a domain publishes about its chains and servers, and where hosts are; it remembers nothing.

    _ate.example.com.         TXT  "ate1 root=<key id>"                  all chains of the domain
    _ate.example.com.         TXT  "ate1 root=<key id> chain=<name>"     this chain
    _ate-server.example.com.  TXT  "ate1 key=<key id>"                   a server's own key

Several records are alternatives. An answer without DNSSEC is worth as much as the way it came.
With `dnssec=True` the signatures are checked here, from a trust anchor down: the word of a name
server that it has checked them counts for nothing. What is not proved is then refused, an answer
"there is none" as well.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from ate import limits
from ate.clock import Clock, SystemClock
from ate.errors import AteError, Disconnected, RemoteProtocolError, TimedOut, UsageError
from ate.mesh.dnssec import ROOT_ANCHORS, Prover, pick, read_anchors, unproved
from ate.mesh.pins import parse_key

if TYPE_CHECKING:
    from dns.message import Message
    from dns.name import Name

_VERSION: Final = "ate1"
#: What resolvers can send in one packet wherever they are.
_PAYLOAD_BYTES: Final = 1232
#: SOCK_STREAM: one result for each address.
_STREAM: Final = 1
_TRIES: Final = 2
_HINT: Final = "is the name server right, and can it be reached? see --dns-server"


class Names:
    """A way to ask the DNS.

    Args:
        nameservers: addresses, "8.8.8.8" or "127.0.0.1:5353" or "[::1]:53"; those of the system if
            none is given.
        timeout_s: for one question to this class, however many it asks itself.
        dnssec: believe only what is signed, from an anchor down.
        anchors: zones with the DS records of their keys; the root's if not given.
        clock: tells whether signatures are still good.

    Raises:
        UsageError: dnspython is not installed; an address or anchor is none.
    """

    def __init__(
        self,
        nameservers: Sequence[str] = (),
        *,
        timeout_s: float = 5.0,
        dnssec: bool = False,
        anchors: Mapping[str, Sequence[str]] | None = None,
        clock: Clock | None = None,
    ) -> None:
        if importlib.util.find_spec("dns") is None:
            raise UsageError("names need the package dnspython", hint="install ate[net]")
        self._servers = [_address(one) for one in nameservers]
        self.timeout_s, self.dnssec = timeout_s, dnssec
        self._clock = clock or SystemClock()
        self._anchors = read_anchors(ROOT_ANCHORS if anchors is None else anchors)

    async def roots(self, domain: str, chain: str) -> frozenset[bytes]:
        """Return the ids of the root keys that a domain publishes for a chain; none if it does not.

        Records that name the chain take precedence over those for all chains.

        Raises:
            TimedOut, Disconnected: no name server answers.
            RemoteProtocolError: a record is malformed; it is not passed over.
            UntrustedRoot: DNSSEC is wanted, and this is not proved.
        """
        found = await self._published(f"_ate.{domain}", "root")
        mine = {key for key, fields in found if fields.get("chain") == chain}
        return frozenset(mine or {key for key, fields in found if "chain" not in fields})

    async def servers(self, domain: str) -> frozenset[bytes]:
        """Return the ids of the keys that a domain publishes for its servers; see `roots`."""
        return frozenset(key for key, _ in await self._published(f"_ate-server.{domain}", "key"))

    async def addresses(self, host: str) -> list[str]:
        """Return all addresses of a host, sorted, those of IPv4 first.

        Raises:
            TimedOut, Disconnected: no name server answers, or there is no such host.
            UntrustedRoot: DNSSEC is wanted, and an answer is not proved.
        """
        try:
            return [str(ip_address(host))]
        except ValueError:
            pass
        if not self._servers and not self.dnssec:
            found = await self._system(host)
        else:
            name = _name(host)
            walk = _Walk(self)
            found = await self._in_time(host, lambda: walk.addresses(name))
        if not found:
            raise Disconnected(f"there is no host {host!r}", hint="look at the name again")
        return [str(one) for one in sorted(map(ip_address, found), key=_order)]

    async def _system(self, host: str) -> set[str]:
        """Ask as every program of this machine does: its list of hosts counts too."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.timeout_s):
                found = await loop.getaddrinfo(host, None, type=_STREAM)
        except TimeoutError:
            raise TimedOut(f"nobody says where {host!r} is", hint=_HINT) from None
        except (OSError, UnicodeError) as error:
            raise Disconnected(f"there is no host {host!r}: {error}", hint=_HINT) from None
        return {str(one[4][0]) for one in found}

    async def _published(self, name: str, wanted: str) -> list[tuple[bytes, dict[str, str]]]:
        """Return the keys of the records at a name, with the other fields of each."""
        walk, found = _Walk(self), []
        for record in await self._in_time(
            name, lambda: walk.records(_name(name), "TXT", needed=True)
        ):
            words = b"".join(record.strings).decode("utf-8", "replace").split()
            if words[:1] != [_VERSION]:
                continue  # of another program, or for a later version
            fields = dict(word.partition("=")[::2] for word in words[1:])
            try:
                found.append((parse_key(fields.pop(wanted, "")), fields))
            except UsageError as error:
                raise RemoteProtocolError(
                    f"a TXT record of {name} is malformed: {error.message}",
                    hint=f'it reads "{_VERSION} {wanted}=<32 hex digits>"',
                ) from None
        return found

    async def _in_time(self, what: str, work: Callable[[], Any]) -> Any:
        try:
            async with asyncio.timeout(self.timeout_s):
                return await work()
        except TimeoutError:
            raise TimedOut(f"no name server answers for {what}", hint=_HINT) from None

    async def _ask(self, name: Name, kind: str) -> Message:
        """Return the answer of the first server that has one."""
        import dns.asyncquery
        import dns.flags
        import dns.rcode

        query = dns.message.make_query(
            name, kind, want_dnssec=self.dnssec, use_edns=0, payload=_PAYLOAD_BYTES
        )
        if self.dnssec:
            query.flags |= dns.flags.CD
        servers = self._servers or _system_servers()
        error: Exception | None = None
        for where, port in (*servers,) * _TRIES:
            try:
                answer, _ = await dns.asyncquery.udp_with_fallback(
                    query, where, self.timeout_s / _TRIES / len(servers), port=port,
                    ignore_unexpected=True, ignore_errors=True,
                )  # fmt: skip
            except (dns.exception.DNSException, OSError, EOFError, ValueError) as caught:
                error = caught
                continue
            if answer.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                return answer
            error = Disconnected(dns.rcode.to_text(answer.rcode()))
        kind_of = TimedOut if isinstance(error, dns.exception.Timeout) else Disconnected
        why = f": {error}" if isinstance(error, AteError) else ""
        raise kind_of(f"no name server answers for {name}{why}", hint=_HINT) from error


class _Walk:
    """One question: follows aliases and, with DNSSEC, has each step of the way proved."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._prover = Prover(names._ask, names._anchors, names._clock) if names.dnssec else None

    async def addresses(self, name: Name) -> set[str]:
        # One after the other: they share what was proved on the way.
        found = [*await self.records(name, "A"), *await self.records(name, "AAAA")]
        return {one.address for one in found}

    async def records(self, name: Name, kind: str, *, needed: bool = False) -> Sequence[Any]:
        """Return the records of a name.

        Args:
            needed: with DNSSEC it is an error that there are none, for nobody has proved it.
        """
        asked, answer = name, await self._names._ask(name, kind)
        for _ in range(limits.DNS_ALIASES_MAX):
            found, alias = pick(answer, name, kind), pick(answer, name, "CNAME")
            if found is None and alias is None and asked != name:
                asked, answer = name, await self._names._ask(name, kind)
                found, alias = pick(answer, name, kind), pick(answer, name, "CNAME")
            chosen = found or alias
            if chosen is None:
                if needed and self._prover:
                    raise unproved(f"that {name} has no {kind} record is not proved")
                return []
            if self._prover:
                await self._prover.check(answer, name, chosen)
            if found is not None:
                return list(found)
            name = chosen[0].target
        raise RemoteProtocolError(f"the aliases of {name} do not end")


def _name(text: str) -> Name:
    import dns.exception
    import dns.name

    try:
        return dns.name.from_text(text)
    except (dns.exception.DNSException, UnicodeError):
        raise UsageError(f"{text[:80]!r} is no name of a host or domain") from None


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or ("]" not in host and ":" in host) or "]" in port:
        host, port = text, "53"
    try:
        number = int(port)
        if not 0 < number < 65536:
            raise ValueError(port)
        return str(ip_address(host.removeprefix("[").removesuffix("]"))), number
    except ValueError:
        raise UsageError(
            f"{text[:80]!r} is no address of a name server", hint="e.g. 8.8.8.8 or [::1]:5353"
        ) from None


def _system_servers(file: str = "/etc/resolv.conf") -> list[tuple[str, int]]:
    import dns.resolver

    try:
        found = dns.resolver.Resolver(file).nameservers
    except dns.exception.DNSException:
        found = []
    if not found:
        raise Disconnected("this machine has no name server", hint=_HINT)
    return [(str(one), 53) for one in found[: limits.DNS_SERVERS_MAX]]


def _order(address: Any) -> tuple[int, int]:
    return address.version, int(address)
