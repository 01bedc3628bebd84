"""DNSSEC: the way from a trust anchor down to one signed answer; it asks only through others.

Only what is there is proved, step by step: an anchor names a key of its zone, that key signs the
zone's keys, those sign the DS record of the next zone below. Nothing is concluded from a record
that is missing, and no name server is believed that it has checked anything (its AD flag).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ate import limits
from ate.clock import Clock
from ate.errors import RemoteProtocolError, UntrustedRoot, UsageError

if TYPE_CHECKING:
    from dns.message import Message
    from dns.name import Name
    from dns.rdataset import Rdataset

#: The keys of the root of all names, as IANA publishes them: KSK-2017 and KSK-2024.
ROOT_ANCHORS: Final = {
    ".": (
        "20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
        "38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
    )
}


class Prover:
    """Proves answers to one question; keys of zones are proved once.

    Args:
        ask: returns the answer to a name and a kind of record.
        anchors: see `read_anchors`.
        clock: tells whether signatures are still good.
    """

    def __init__(
        self,
        ask: Callable[[Name, str], Awaitable[Message]],
        anchors: Mapping[Name, Sequence[Any]],
        clock: Clock,
    ) -> None:
        self._ask, self._anchors, self._clock = ask, anchors, clock
        self._keys: dict[Name, Rdataset] = {}

    async def check(self, answer: Message, name: Name, found: Rdataset) -> None:
        """Raise UntrustedRoot unless a zone above the name, proved from an anchor, signed it."""
        import dns.rdatatype

        covers = dns.rdatatype.to_text(found.rdtype)
        signed = pick(answer, name, "RRSIG", covers) or ()
        zones = {one.signer for one in signed if name.is_subdomain(one.signer)}
        error = unproved(f"the {covers} record of {name} is not signed")
        for zone in sorted(zones, reverse=True)[: limits.DNS_SIGNERS_MAX]:
            try:
                keys = await self._keys_of(zone)
                self._verify(answer, name, found, zone, keys)
            except UntrustedRoot as caught:
                error = caught
            else:
                return
        raise error

    async def _keys_of(self, target: Name) -> Rdataset:
        """Return the keys of a zone, each step from an anchor to it proved by the one before.

        A label with no proved DS record is no step: either no zone begins there, or one that
        nobody vouches for, and then nothing below it will be reached.
        """
        import dns.name

        if target in self._keys:
            return self._keys[target]
        above = [one for one in self._anchors if target.is_subdomain(one)]
        if not above:
            raise unproved(f"no trust anchor is above {target}")
        zone = max(above, key=len)
        keys = await self._zone_keys(zone, self._anchors[zone])
        for depth in range(len(zone) + 1, len(target) + 1):
            child = dns.name.Name(target.labels[-depth:])
            answer = await self._ask(child, "DS")
            delegated = pick(answer, child, "DS")
            if delegated is not None:
                self._verify(answer, child, delegated, zone, keys)
                zone, keys = child, await self._zone_keys(child, list(delegated))
        if zone != target:
            raise unproved(f"no chain of signatures leads to the zone {target}")
        return keys

    async def _zone_keys(self, zone: Name, delegated: Sequence[Any]) -> Rdataset:
        """Return the keys of a zone, signed by one that a DS record names."""
        import dns.dnssec
        import dns.rdataset

        if zone in self._keys:
            return self._keys[zone]
        answer = await self._ask(zone, "DNSKEY")
        keys = pick(answer, zone, "DNSKEY")
        named = dns.rdataset.Rdataset(keys.rdclass, keys.rdtype) if keys else None
        for key in keys or ():
            if any(_is_of(zone, key, one) for one in delegated):
                assert named is not None
                named.add(key, keys.ttl if keys else 0)
        if not keys or not named:
            raise unproved(f"the zone {zone} has no key that is vouched for")
        self._verify(answer, zone, keys, zone, named)
        self._keys[zone] = keys
        return keys

    def _verify(
        self, answer: Message, name: Name, found: Rdataset, zone: Name, keys: Rdataset
    ) -> None:
        """Raise UntrustedRoot unless a key of the zone signed this."""
        import dns.dnssec
        import dns.rdataset
        import dns.rdatatype

        covers = dns.rdatatype.to_text(found.rdtype)
        signed = pick(answer, name, "RRSIG", covers) or ()
        # Fewer labels are a wildcard's: that there is no nearer name would have to be proved too.
        good = [one for one in signed if one.signer == zone and one.labels == len(name) - 1]
        good = good[: limits.DNS_SIGNATURES_MAX]
        if not good:
            raise unproved(f"the {covers} record of {name} is not signed by the zone {zone}")
        try:
            dns.dnssec.validate(
                (name, found),
                (name, dns.rdataset.from_rdata_list(found.ttl, good)),
                {zone: keys},
                now=self._clock.now_us() / 1e6,
            )
        except dns.exception.DNSException as error:
            text = f"the signature of the {covers} record of {name} is not good: {error}"
            raise unproved(text) from None


def read_anchors(anchors: Mapping[str, Sequence[str]]) -> dict[Name, list[Any]]:
    """Return zones with their DS records; raises UsageError when a text is none."""
    import dns.exception
    import dns.name
    import dns.rdata

    try:
        return {
            dns.name.from_text(zone): [dns.rdata.from_text("IN", "DS", line) for line in lines]
            for zone, lines in anchors.items()
        }
    except (dns.exception.DNSException, ValueError) as error:
        raise UsageError(f"this is no DS record of a trust anchor: {error}") from None


def pick(answer: Message, name: Name, kind: str, covers: str = "TYPE0") -> Rdataset | None:
    """Return the records of one kind in an answer; raises RemoteProtocolError for too many."""
    import dns.rdataclass
    import dns.rdatatype

    found = answer.get_rrset(
        answer.answer, name, dns.rdataclass.IN, dns.rdatatype.from_text(kind),
        dns.rdatatype.from_text(covers),
    )  # fmt: skip
    if found is None or not len(found):
        return None
    if len(found) > limits.DNS_RECORDS_MAX:
        raise RemoteProtocolError(f"{name} has {len(found)} {kind} records: far too many")
    return found.to_rdataset()


def _is_of(zone: Name, key: Any, delegated: Any) -> bool:
    """Tell whether a DS record names this key, by a digest that still proves something."""
    import dns.dnssec
    from dns.dnssectypes import DSDigest

    if delegated.digest_type not in (DSDigest.SHA256, DSDigest.SHA384):
        return False
    if (dns.dnssec.key_id(key), key.algorithm) != (delegated.key_tag, delegated.algorithm):
        return False
    made = dns.dnssec.make_ds(zone, key, delegated.digest_type, validating=True)
    return bool(made.digest == delegated.digest)


def unproved(text: str) -> UntrustedRoot:
    """Return the error for what is not proved."""
    return UntrustedRoot(
        text, hint="DNSSEC is wanted: sign the zone, or pin the key with roots= instead"
    )
