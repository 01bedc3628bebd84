"""Asked of a real server on loopback: what it publishes, and what of its lies is believed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import dns.rrset
import pytest
from tests.name_server import NameServer, Zone, truncated

from ate.errors import Disconnected, RemoteProtocolError, TimedOut, UntrustedRoot, UsageError
from ate.mesh.dns import Names, _system_servers
from ate.testing.simclock import SimClock

ALICE, BOB, SERVER = bytes([1] * 16), bytes([2] * 16), bytes([3] * 16)


def zone(*roots: str) -> Zone:
    made = Zone("example.com")
    if roots:
        made.add("_ate.example.com", "TXT", *(f'"{one}"' for one in roots))
    return made


def names(server: NameServer, **options: Any) -> Names:
    return Names([server.address], **options)


async def test_a_domain_publishes_the_roots_of_its_chains() -> None:
    records = zone(
        f"ate1 root={ALICE.hex()}",
        f"ate1 root={BOB.hex().upper()} chain=shop/orders later=yes",
        "v=spf1 -all",
        "ate2 root=something else",
        "",
    )
    records.add("_ate-server.example.com", "TXT", f'"ate1 " "key={SERVER.hex()}"')
    async with NameServer(records) as server:
        asking = names(server)
        assert await asking.roots("example.com", "a/b") == {ALICE}
        assert await asking.roots("example.com", "shop/orders") == {BOB}
        assert await asking.servers("example.com") == {SERVER}
        assert await asking.roots("www.example.com", "a/b") == frozenset()
        assert await asking.servers("www.example.com") == frozenset()


async def test_several_keys_are_alternatives() -> None:
    async with NameServer(zone(*(f"ate1 root={key.hex()}" for key in (ALICE, BOB)))) as server:
        assert await names(server).roots("example.com", "x") == {ALICE, BOB}


@pytest.mark.parametrize("record", ["ate1", "ate1 root=", "ate1 root=beef", "ate1 key=" + "0" * 32])
async def test_a_malformed_record_is_not_passed_over(record: str) -> None:
    """Else a slip of the pen would silently turn a published root into trust on first use."""
    async with NameServer(zone(f"ate1 root={ALICE.hex()}", record)) as server:
        with pytest.raises(RemoteProtocolError, match=r"_ate.example.com is malformed"):
            await names(server).roots("example.com", "x")


async def test_all_addresses_of_a_host_are_found_in_order() -> None:
    records = Zone("example.com")
    records.add("db.example.com", "A", "10.0.0.10", "10.0.0.9", "9.1.1.1")
    records.add("db.example.com", "AAAA", "2001:db8::2", "2001:db8::1")
    records.add("www.example.com", "CNAME", "db.example.com.")
    expected = ["9.1.1.1", "10.0.0.9", "10.0.0.10", "2001:db8::1", "2001:db8::2"]
    async with NameServer(records) as server:
        asking = names(server)
        assert await asking.addresses("db.example.com") == expected
        assert await asking.addresses("www.example.com") == expected
        with pytest.raises(Disconnected, match="no host 'nobody"):
            await asking.addresses("nobody.example.com")
        server.asked.clear()
        assert await asking.addresses("127.0.0.1") == ["127.0.0.1"]
        assert await asking.addresses("::1") == ["::1"]
        assert server.asked == []
        for wrong in ("a" * 64 + ".com", "a..b"):
            with pytest.raises(UsageError, match="no name"):
                await asking.addresses(wrong)


async def test_without_a_name_server_the_machine_is_asked() -> None:
    assert "127.0.0.1" in await Names().addresses("localhost")
    with pytest.raises(Disconnected):
        await Names().addresses("nobody.invalid")
    with pytest.raises(Disconnected):
        await Names().addresses("a" * 64 + ".invalid")


async def test_what_does_not_fit_into_a_packet_comes_over_tcp() -> None:
    async with NameServer(zone(f"ate1 root={ALICE.hex()}")) as server:
        server.bend = truncated
        assert await names(server).roots("example.com", "x") == {ALICE}


async def test_an_answer_to_another_question_is_not_taken() -> None:
    """Forged ones come first: another id, another name, garbage, then the real one."""

    def forge(query: Any, answer: Any, tcp: bool) -> Any:
        wrong_id, wrong_name = dns.message.make_response(query), dns.message.make_response(query)
        wrong_id.id ^= 1
        for one in (wrong_id, wrong_name):
            text = f'"ate1 root={BOB.hex()}"'
            one.answer.append(dns.rrset.from_text("_ate.example.com.", 1, "IN", "TXT", text))
        wrong_name.question = [dns.rrset.from_text("x.", 1, "IN", "TXT", '"x"')]
        return [b"", b"garbage", wrong_id, wrong_name, answer]

    async with NameServer(zone(f"ate1 root={ALICE.hex()}")) as server:
        server.bend = forge
        assert await names(server).roots("example.com", "x") == {ALICE}


async def test_records_of_other_names_in_an_answer_are_not_believed() -> None:
    def more(query: Any, answer: Any, tcp: bool) -> Any:
        answer.answer.append(
            dns.rrset.from_text("_ate.other.com.", 1, "IN", "TXT", f'"ate1 root={BOB.hex()}"')
        )
        return answer

    async with NameServer(zone(f"ate1 root={ALICE.hex()}")) as server:
        server.bend = more
        assert await names(server).roots("example.com", "x") == {ALICE}


@pytest.mark.parametrize("bend", [lambda *_: None, lambda *_: b"no answer"])
async def test_silence_and_garbage_end_in_time(bend: Any) -> None:
    async with NameServer(zone()) as server:
        server.bend = bend
        with pytest.raises(TimedOut, match="no name server answers"):
            await names(server, timeout_s=0.1).roots("example.com", "x")
        with pytest.raises(TimedOut):
            await names(server, timeout_s=0.1).addresses("example.com")
        assert len(server.asked) >= 2, "a lost packet is sent again"


async def test_a_server_that_stalls_over_tcp_ends_in_time() -> None:
    def half(query: Any, answer: Any, tcp: bool) -> Any:
        return answer.to_wire()[:20] if tcp else truncated(query, answer, tcp)

    async with NameServer(zone(f"ate1 root={ALICE.hex()}")) as server:
        server.bend = half
        with pytest.raises((TimedOut, Disconnected)):
            await names(server, timeout_s=0.2).roots("example.com", "x")


async def test_the_next_server_is_asked_when_one_fails() -> None:
    async with NameServer(zone(f"ate1 root={ALICE.hex()}")) as good, NameServer(zone()) as bad:

        def fail(query: Any, answer: Any, tcp: bool) -> Any:
            answer.set_rcode(dns.rcode.SERVFAIL)
            return answer

        bad.bend = fail
        assert await Names([bad.address, good.address]).roots("example.com", "x") == {ALICE}
        with pytest.raises(Disconnected, match="SERVFAIL") as caught:
            await names(bad).roots("example.com", "x")
        assert "name server" in caught.value.hint


async def test_nobody_listens() -> None:
    async with NameServer(zone()) as server:
        address = server.address
    with pytest.raises((Disconnected, TimedOut)):
        await Names([address], timeout_s=0.2).roots("example.com", "x")


async def test_what_has_no_end_is_cut_short() -> None:
    records = zone(*(f"ate1 root={n:032x}" for n in range(65)))
    records.add("_ate.loop.example.com", "CNAME", "_ate.back.example.com.")
    records.add("_ate.back.example.com", "CNAME", "_ate.loop.example.com.")

    def once(query: Any, answer: Any, tcp: bool) -> Any:
        answer.answer = answer.answer[:1]
        return truncated(query, answer, tcp)

    async with NameServer(records) as server:
        server.bend = once
        with pytest.raises(RemoteProtocolError, match="65 TXT records"):
            await names(server).roots("example.com", "x")
        with pytest.raises(RemoteProtocolError, match="do not end"):
            await names(server).roots("loop.example.com", "x")
        assert len(server.asked) < 40


async def test_dnssec_refuses_what_is_not_signed_and_that_there_is_nothing() -> None:
    signed = Zone("example.com", signed=True)
    signed.add("_ate.example.com", "TXT", f'"ate1 root={ALICE.hex()}"')
    signed.add("db.example.com", "A", "10.0.0.1")
    anchors = {"example.com": [signed.ds()]}
    async with NameServer(signed) as server:
        asking = names(server, dnssec=True, anchors=anchors, clock=SimClock())
        assert await asking.roots("example.com", "x") == {ALICE}
        assert await asking.addresses("db.example.com") == ["10.0.0.1"]
        with pytest.raises(UntrustedRoot, match="is not proved"):
            await asking.servers("example.com")
        signed.signatures.clear()
        for question in (asking.roots("example.com", "x"), asking.addresses("db.example.com")):
            with pytest.raises(UntrustedRoot, match="not signed") as caught:
                await question
            assert "roots=" in caught.value.hint


def test_addresses_of_name_servers_and_anchors_are_checked() -> None:
    assert Names(["8.8.8.8", "127.0.0.1:5353", "::1", "[::1]:54", "[::1]"])._servers == [
        ("8.8.8.8", 53),
        ("127.0.0.1", 5353),
        ("::1", 53),
        ("::1", 54),
        ("::1", 53),
    ]
    for wrong in ("dns.google", "", "1.2.3.4:0", "1.2.3.4:x", "1.2.3.4:70000", "[::1]x"):
        with pytest.raises(UsageError, match="no address of a name server"):
            Names([wrong])
    with pytest.raises(UsageError, match="trust anchor"):
        Names(anchors={".": ["nonsense"]})


def test_the_name_servers_of_the_system_are_used(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("".join(f"nameserver 127.0.0.{n}\n" for n in range(1, 6)))
    assert _system_servers(str(path)) == [(f"127.0.0.{n}", 53) for n in (1, 2, 3)]
    for gone in (path.with_name("none"), path.with_name("empty")):
        (tmp_path / "empty").write_text("")
        with pytest.raises(Disconnected, match="no name server"):
            _system_servers(str(gone))


def test_without_the_library_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dns", None)
    with pytest.raises(UsageError, match="dnspython"):
        Names()
