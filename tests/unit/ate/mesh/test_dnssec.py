"""A chain of signatures from the anchor to the answer, or nothing: every link is attacked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.rrset
import pytest
from tests.name_server import NameServer, Zone, truncated

from ate.errors import RemoteProtocolError, UntrustedRoot, UsageError
from ate.mesh.dns import Names
from ate.mesh.dnssec import ROOT_ANCHORS, read_anchors
from ate.testing.simclock import SimClock

ALICE, MALLORY = bytes([1] * 16), bytes([2] * 16)
OWNER = dns.name.from_text("_ate.example.com")


def text(key: bytes) -> str:
    return f'"ate1 root={key.hex()}"'


class World:
    """The root, com, example.com and other.com, each signed and vouched for by the one above."""

    def __init__(self) -> None:
        self.root = Zone(".", signed=True, seed=1)
        self.com = Zone("com", signed=True, seed=2)
        self.example = Zone("example.com", signed=True, seed=3)
        self.other = Zone("other.com", signed=True, seed=4)
        self.root.delegate(self.com)
        self.com.delegate(self.example)
        self.com.delegate(self.other)
        self.example.add("_ate.example.com", "TXT", text(ALICE))
        self.zones = [self.root, self.com, self.example, self.other]
        self.anchors = {".": [self.root.ds()]}
        self.clock = SimClock()
        self.bend: Any = None

    async def roots(self, domain: str = "example.com") -> frozenset[bytes]:
        async with NameServer(*self.zones) as server:
            if self.bend is not None:
                server.bend = self.bend
            self.asked = server.asked
            names = Names(
                [server.address], dnssec=True, anchors=self.anchors, clock=self.clock, timeout_s=10
            )
            return await names.roots(domain, "any")

    def replace(self, kind: str, zone: Zone, *values: str, name: str = "_ate.example.com") -> None:
        """Put a record in place of another and leave the signature as it was."""
        made = dns.rrset.from_text(dns.name.from_text(name), 300, "IN", kind, *values)
        zone.add_rrset(made, sign=False)


async def test_an_answer_is_proved_from_the_root_down() -> None:
    world = World()
    assert await world.roots() == {ALICE}
    assert len(world.asked) == len(set(world.asked)) <= 9
    world.bend = truncated
    assert await world.roots() == {ALICE}


async def test_the_way_may_begin_at_any_zone_one_knows_the_key_of() -> None:
    for name in ("com", "example"):
        world = World()
        zone = getattr(world, name)
        world.anchors = {zone.origin.to_text(): [zone.ds("SHA384")], **world.anchors}
        world.zones.remove(world.root)
        assert await world.roots() == {ALICE}
    world.anchors = {"other.com": [world.other.ds()]}
    with pytest.raises(UntrustedRoot, match="no trust anchor"):
        await world.roots()


async def test_names_between_two_zones_are_no_step() -> None:
    world = World()
    deep = Zone("a.b.c.other.com", signed=True, seed=7)
    deep.add("_ate.a.b.c.other.com", "TXT", text(ALICE))
    world.other.delegate(deep)
    world.zones.append(deep)
    assert await world.roots("a.b.c.other.com") == {ALICE}


async def test_each_alias_on_the_way_is_proved() -> None:
    world = World()
    world.other.add("_ate.other.com", "CNAME", "_ate.example.com.")
    assert await world.roots("other.com") == {ALICE}
    world.replace("CNAME", world.other, "_ate.evil.com.", name="_ate.other.com")
    world.zones.append(evil := Zone("evil.com", signed=True, seed=9))
    evil.add("_ate.evil.com", "TXT", text(MALLORY))
    with pytest.raises(UntrustedRoot, match="CNAME"):
        await world.roots("other.com")


def altered(world: World) -> None:
    world.replace("TXT", world.example, text(MALLORY))


def added_to(world: World) -> None:
    world.replace("TXT", world.example, text(ALICE), text(MALLORY))


def unsigned(world: World) -> None:
    altered(world)
    del world.example.signatures[OWNER, 16]


def removed(world: World) -> None:
    del world.example.records[OWNER, 16]


def another_key_for_the_zone(world: World) -> None:
    fake = Zone("example.com", signed=True, seed=99)
    fake.add("_ate.example.com", "TXT", text(MALLORY))
    world.zones[world.zones.index(world.example)] = fake


def another_key_and_its_ds_record(world: World) -> None:
    another_key_for_the_zone(world)
    world.replace("DS", world.com, world.zones[2].ds(), name="example.com")


def another_key_signed_by_nobody_above(world: World) -> None:
    """The delegation is not signed; the zone says of itself that it is."""
    another_key_for_the_zone(world)
    name = dns.name.from_text("example.com")
    del world.com.records[name, 43], world.com.signatures[name, 43]


def a_ds_record_that_the_child_signed(world: World) -> None:
    fake = Zone("example.com", signed=True, seed=99)
    fake.add("_ate.example.com", "TXT", text(MALLORY))
    fake.add("example.com", "DS", fake.ds())
    world.zones[world.zones.index(world.example)] = fake
    key = dns.name.from_text("example.com"), 43
    world.com.records[key], world.com.signatures[key] = fake.records[key], fake.signatures[key]


def a_key_beside_the_signed_ones(world: World) -> None:
    fake = Zone("example.com", signed=True, seed=99)
    fake.add("_ate.example.com", "TXT", text(MALLORY))
    keys = world.example.records[world.example.origin, 48]
    keys.add(fake.dnskey)
    world.example.records[OWNER, 16] = fake.records[OWNER, 16]
    world.example.signatures[OWNER, 16] = fake.signatures[OWNER, 16]


def signed_by_a_neighbour(world: World) -> None:
    made = dns.rrset.from_text(OWNER, 300, "IN", "TXT", text(MALLORY))
    world.other.sign(made)
    world.example.records[OWNER, 16] = made
    world.example.signatures[OWNER, 16] = world.other.signatures[OWNER, 16]


def expired(world: World) -> None:
    world.clock.jump(2 * 86_400)


def not_yet_good(world: World) -> None:
    world.clock.jump(-2 * 86_400)


def a_digest_that_proves_nothing(world: World) -> None:
    """Somebody still has a DS record with SHA-1."""
    sha1 = dns.dnssec.make_ds(
        world.example.origin, world.example.dnskey, "SHA1", policy=dns.dnssec.allow_all_policy
    )
    world.com.add("example.com", "DS", sha1.to_text())


def an_anchor_of_another_root(world: World) -> None:
    world.anchors = {".": [Zone(".", signed=True, seed=42).ds()]}


def the_anchors_of_the_internet(world: World) -> None:
    world.anchors = dict(ROOT_ANCHORS)


def a_wildcard(world: World) -> None:
    """Good for names that are not there; whether this one is, nobody has proved."""
    star = dns.rrset.from_text("*.example.com.", 300, "IN", "TXT", text(MALLORY))
    world.example.sign(star)
    signature = world.example.signatures[star.name, 16]
    world.example.records[OWNER, 16] = dns.rrset.from_rdata_list(OWNER, 300, list(star))
    world.example.signatures[OWNER, 16] = dns.rrset.from_rdata_list(OWNER, 300, list(signature))


def a_server_that_says_it_has_checked(world: World) -> None:
    unsigned(world)

    def bend(query: Any, answer: Any, tcp: bool) -> Any:
        answer.flags |= dns.flags.AD
        return answer

    world.bend = bend


ATTACKS: list[Callable[[World], None]] = [
    altered,
    added_to,
    unsigned,
    removed,
    another_key_for_the_zone,
    another_key_and_its_ds_record,
    another_key_signed_by_nobody_above,
    a_ds_record_that_the_child_signed,
    a_key_beside_the_signed_ones,
    signed_by_a_neighbour,
    expired,
    not_yet_good,
    a_digest_that_proves_nothing,
    an_anchor_of_another_root,
    the_anchors_of_the_internet,
    a_wildcard,
    a_server_that_says_it_has_checked,
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda one: one.__name__)
async def test_nothing_else_is_believed(attack: Callable[[World], None]) -> None:
    world = World()
    attack(world)
    with pytest.raises(UntrustedRoot) as caught:
        await world.roots()
    assert "DNSSEC" in caught.value.hint


async def test_a_zone_that_changes_its_key_is_good_with_either_signature() -> None:
    world = World()
    new = Zone("example.com", signed=True, seed=5)
    keys = dns.rrset.from_rdata(world.example.origin, 300, world.example.dnskey, new.dnskey)
    world.example.add_rrset(keys)
    signatures = world.example.signatures[OWNER, 16]
    new.sign(world.example.records[OWNER, 16])
    signatures.add(new.signatures[OWNER, 16][0])
    assert await world.roots() == {ALICE}


async def test_too_many_keys_are_not_tried() -> None:
    world = World()
    keys = [Zone(".", signed=True, seed=n).dnskey for n in range(100, 170)]
    world.root.add_rrset(dns.rrset.from_rdata(world.root.origin, 300, world.root.dnskey, *keys))
    world.bend = truncated
    with pytest.raises(RemoteProtocolError, match="71 DNSKEY records"):
        await world.roots()


def test_anchors_are_ds_records() -> None:
    found = read_anchors(ROOT_ANCHORS)
    assert [one.key_tag for one in found[dns.name.root]] == [20326, 38696]
    for wrong in ({".": ["1 2 3"]}, {"a..b": []}):
        with pytest.raises(UsageError):
            read_anchors(wrong)
