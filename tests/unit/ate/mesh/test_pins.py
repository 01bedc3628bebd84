"""What was once known is never silently forgotten, and all that know anything must agree."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

import ate
from ate.chain.ledger import Ledger
from ate.crypto.entropy import system_entropy
from ate.crypto.sign import SigningKey
from ate.errors import OutOfSpace, StorageError, UntrustedRoot, UsageError
from ate.log.disk import RealDisk
from ate.log.memory import MemoryLog
from ate.mesh.pins import Identity, Pins, key_text, parse_key
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.testing.stage import member

ALICE, MALLORY, SERVER = bytes(range(16)), bytes([7] * 16), bytes([9] * 16)
CHAIN, OTHER = bytes([1] * 32), bytes([2] * 32)
SEEN = Identity(CHAIN, ALICE)


def test_the_first_use_is_remembered_and_a_later_one_compared(tmp_path: Path) -> None:
    assert Pins(tmp_path).check_chain("example.com", "a/b", SEEN) == "first use"
    pins = Pins(tmp_path)
    assert pins.check_chain("example.com", "a/b", SEEN) == "remembered"
    assert pins.chain("example.com", "a/b") == SEEN
    assert pins.chain("example.com", "other") is None
    with pytest.raises(UntrustedRoot) as caught:
        pins.check_chain("example.com", "a/b", Identity(OTHER, MALLORY))
    hint = caught.value.hint
    assert str(pins.chain_file("example.com", "a/b")) in hint
    assert ALICE.hex() in hint
    assert MALLORY.hex() in hint
    with pytest.raises(UntrustedRoot, match=OTHER.hex()):  # the same founder, another chain
        pins.check_chain("example.com", "a/b", Identity(OTHER, ALICE))
    with pytest.raises(UntrustedRoot, match="nobody"):  # it lost its signature
        pins.check_chain("example.com", "a/b", Identity(CHAIN, b""))
    assert pins.check_chain("example.com", "a/b", SEEN) == "remembered", "nothing was overwritten"


def test_servers_and_chains_do_not_share_a_memory(tmp_path: Path) -> None:
    pins, other = Pins(tmp_path), Identity(OTHER, MALLORY)
    assert pins.check_chain("one", "a", SEEN) == "first use"
    for server, name in (("two", "a"), ("one", "b"), ("one:5001", "a"), ("one", "a/b")):
        assert pins.check_chain(server, name, other) == "first use"
    long = "x" * 250
    for name in (long + "/1", long + "/2", "a/b/c", "a/b_c", "a_b/c"):
        assert pins.check_chain("one", name, SEEN) == "first use"
    for server in ("::1", "..", ".", "a/../b", "", "/etc", "münchen.de", "a\0b", "a\nb", "~"):
        assert pins.check_chain(server, "a", SEEN) == "first use"
        assert pins.chain_file(server, "a").parent.parent == tmp_path / "pins"


def test_files_and_folders_are_the_users_own(tmp_path: Path) -> None:
    home = tmp_path / "not" / "there" / "yet"
    pins = Pins(home)
    pins.check_chain("h", "a", SEEN)
    pins.check_server("h", SERVER)
    files = [one for one in (home / "pins").rglob("*") if one.is_file()]
    assert sorted(one.name for one in files) == ["chain.a", "identity"]
    for one in files:
        assert stat.S_IMODE(one.stat().st_mode) == 0o600
        assert stat.S_IMODE(one.parent.stat().st_mode) == 0o700


def test_what_is_given_or_published_must_agree_with_the_chain_and_the_memory() -> None:
    pins = Pins(None)
    assert pins.check_chain("h", "a", SEEN, given=[MALLORY, ALICE]) == "given"
    assert pins.check_chain("h", "a", SEEN, published={ALICE}) == "published"
    assert pins.check_chain("h", "a", SEEN, given=[ALICE], published=[ALICE]) == "given"
    for options in (
        {"given": [MALLORY]},
        {"published": [MALLORY]},
        {"given": [ALICE], "published": [MALLORY]},
    ):
        with pytest.raises(UntrustedRoot) as caught:
            pins.check_chain("h", "a", SEEN, **options)
        assert ALICE.hex() in str(caught.value)
        assert MALLORY.hex() in str(caught.value)
    # Even the right founder cannot put another chain in its place.
    with pytest.raises(UntrustedRoot, match="first met"):
        pins.check_chain("h", "a", Identity(OTHER, ALICE), given=[ALICE])
    with pytest.raises(UntrustedRoot, match="is nobody"):
        pins.check_chain("h", "b", Identity(CHAIN, b""), given=[ALICE])
    assert pins.chain("h", "b") is None, "what is refused is not remembered"


def test_a_chain_that_nobody_signed_is_known_by_its_id() -> None:
    pins, plain = Pins(None), Identity(CHAIN, b"")
    assert pins.check_chain("h", "a", plain) == "first use"
    assert pins.chain("h", "a") == plain
    with pytest.raises(UntrustedRoot):
        pins.check_chain("h", "a", Identity(OTHER, b""))


@pytest.mark.parametrize("kept", [True, False])
def test_a_server_is_known_by_its_key_and_never_downgraded(tmp_path: Path, kept: bool) -> None:
    pins = Pins(tmp_path if kept else None)
    assert pins.check_server("h", None) == "anybody"
    assert pins.check_server("h", SERVER) == "first use"
    assert pins.check_server("h", SERVER) == "remembered"
    assert pins.check_server("h", SERVER, published=[SERVER]) == "published"
    with pytest.raises(UntrustedRoot) as caught:
        pins.check_server("h", MALLORY)
    assert str(pins.server_file("h")) in caught.value.hint
    for options in ({}, {"given": [SERVER]}, {"published": [SERVER]}):
        with pytest.raises(UntrustedRoot, match=r"nobody|proves no key"):
            pins.check_server("h", None, **options)
    with pytest.raises(UntrustedRoot, match="the pin given"):
        pins.check_server("new", None, given=[SERVER])
    pins.forget_server("h")
    assert pins.check_server("h", MALLORY) == "first use"
    pins.forget_server("nobody was here")


async def test_a_chain_is_what_its_first_commit_says() -> None:
    alice = member("alice")
    async with ate.open("a", memory=True, session=alice) as chain:
        assert Identity.of(chain._ledger.view) == Identity(chain.id, alice.public.key_id)
    async with ate.open("a", memory=True) as chain:
        assert Identity.of(chain._ledger.view) == Identity(chain.id, b"")
    with pytest.raises(UntrustedRoot, match="genesis"):
        Identity.of(Ledger(MemoryLog(), clock=SimClock(), entropy=system_entropy).view)


def test_the_key_of_a_connection_is_judged() -> None:
    pins, key = Pins(None), SigningKey.from_seed(bytes(64)).public
    judge = pins.trust("h")
    judge(None)
    judge(key)
    judge(key)
    with pytest.raises(UntrustedRoot):
        judge(None)
    with pytest.raises(UntrustedRoot):
        pins.trust("new", given=[SERVER])(key)


def test_a_chain_can_be_forgotten(tmp_path: Path) -> None:
    pins = Pins(tmp_path)
    pins.check_chain("h", "a", SEEN)
    pins.forget_chain("h", "a")
    assert pins.check_chain("h", "a", Identity(OTHER, MALLORY)) == "first use"


def test_of_many_at_once_one_writes_and_the_others_compare(tmp_path: Path) -> None:
    """Half of them are lied to: whoever came first decides, and exactly the others are refused."""
    results: list[tuple[bytes, str]] = []
    start = threading.Barrier(16)

    def meet(founder: bytes) -> None:
        pins = Pins(tmp_path)
        start.wait()
        try:
            results.append((founder, pins.check_chain("h", "a", Identity(CHAIN, founder))))
        except UntrustedRoot:
            results.append((founder, "refused"))

    threads = [threading.Thread(target=meet, args=((ALICE, MALLORY)[n % 2],)) for n in range(16)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    known = Pins(tmp_path).chain("h", "a")
    assert known is not None
    assert [how for _, how in results].count("first use") == 1
    for founder, how in results:
        assert (how == "refused") == (founder != known.founder)
    assert [one.name for one in (tmp_path / "pins" / "h").iterdir()] == ["chain.a"]


def test_after_any_cut_it_is_known_or_met_anew_and_never_broken() -> None:
    disk = SimDisk()
    Pins("/data/ate", disk=disk).check_chain("h", "a", SEEN)
    ends = []
    for moment, _, survivor in disk.cuts():
        how = Pins("/data/ate", disk=survivor).check_chain("h", "a", SEEN)
        assert how in ("first use", "remembered")
        if moment == len(disk.journal):
            ends.append(how)
    assert set(ends) == {"remembered"}, "once it was returned it is on the disk"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"\xff\xfe",
        b"ate pin 2\nid 00\n",
        b"ate pin 1\nid\n",
        b"ate pin 1\n" + b"a b\n" * 2000,
    ],
)
def test_a_file_that_is_none_is_told_and_left_alone(tmp_path: Path, content: bytes) -> None:
    pins = Pins(tmp_path)
    path = pins.chain_file("h", "a")
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(StorageError) as caught:
        pins.check_chain("h", "a", SEEN)
    assert str(path) in str(caught.value)
    with pytest.raises(StorageError):
        pins.chain("h", "a")
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "text", ["ate pin 1\n", "ate pin 1\nid 00\nroot -\n", "ate pin 1\nid q\nroot -\n"]
)
def test_a_file_with_less_in_it_agrees_with_nothing(tmp_path: Path, text: str) -> None:
    pins = Pins(tmp_path)
    path = pins.chain_file("h", "a")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(UntrustedRoot):
        pins.check_chain("h", "a", SEEN)
    with pytest.raises(StorageError):
        pins.chain("h", "a")


class Full(RealDisk):
    """A disk that has no room left."""

    def create(self, path: str) -> object:  # type: ignore[override]
        raise OutOfSpace("full")


def test_who_cannot_remember_trusts_only_what_others_know(tmp_path: Path) -> None:
    pins = Pins(tmp_path, disk=Full())
    with pytest.raises(OutOfSpace):
        pins.check_chain("h", "a", SEEN)
    assert pins.check_chain("h", "a", SEEN, given=[ALICE]) == "given"
    assert pins.check_server("h", SERVER, published=[SERVER]) == "published"


def test_key_ids_are_read_as_they_are_written() -> None:
    assert parse_key(key_text(ALICE)) == ALICE
    assert parse_key(f" {key_text(ALICE).upper()}\n") == ALICE
    for text in ("", "00", "g" * 32, key_text(ALICE) + "0", "é" * 32):
        with pytest.raises(UsageError, match="not a key id"):
            parse_key(text)
    for wrong in ((b"", ALICE), (CHAIN, b"x")):
        with pytest.raises(UsageError):
            Identity(*wrong)
    with pytest.raises(UsageError):
        Pins(None).check_server("h", b"short")
