from __future__ import annotations

from pathlib import Path

import pytest

import ate
from ate.chain.ledger import Ledger
from ate.crypto.entropy import SeededEntropy
from ate.crypto.sign import SigningKey
from ate.errors import Forked, StorageError, UnsupportedFormat, UntrustedRoot
from ate.mesh.evidence import decode, judge
from ate.mesh.kept import KeptWitness, stating
from ate.testing.platter import STYLES
from ate.testing.simdisk import SimDisk
from ate.testing.spokesman import Spokesman, Story
from ate.trust.attest import HeadStatement, StatementSigner


def signer(seed: int = 1) -> StatementSigner:
    entropy = SeededEntropy(seed)
    return StatementSigner(SigningKey.generate(entropy), entropy=entropy)


class Copy:
    """A chain on a disk, whose owner plays both sides."""

    def __init__(self) -> None:
        self.disk = SimDisk(1)
        self.signer = signer()
        self.state = stating(self.signer)

    def open(self) -> ate.client.Opening:  # type: ignore[name-defined]
        return ate.open("c", path="/disk", disk=self.disk)

    def witness(self) -> KeptWitness:
        return KeptWitness(self.disk, "/disk/c")

    def files(self, start: str) -> list[str]:
        return [name for name in self.disk.listdir("/disk/c") if name.startswith(start)]

    def lie(self, ledger: Ledger, size: int, answers: bytes = b"") -> bytes:
        view = ledger.view
        root = Story(("a lie", size)).root(size)
        return self.signer.sign(
            view.trust.chain_id, size, root, size, now_us=ledger.now_us(), answers=answers
        ).encode()


async def commit(chain: ate.Chain, count: int = 1) -> None:
    for _ in range(count):
        dio = chain.dio()
        dio.store({"n": 1})
        await dio.commit()


async def test_what_is_heard_is_there_again() -> None:
    copy = Copy()
    async with copy.open() as chain:
        ledger = chain._ledger
        kept = copy.witness()
        assert kept.seen == b""
        for _ in range(4):
            await commit(chain, 2)
            shown = kept.seen
            kept.check(copy.state(ledger, shown), ledger, answers=shown)
            for style in STYLES:  # a reply is durable
                assert KeptWitness(copy.disk.cut(style), "/disk/c").seen == kept.seen
        before = kept.seen
        kept.check(copy.state(ledger, b""), ledger)
        assert copy.witness().seen == before != kept.seen
        kept.save()
        kept.save()
        assert copy.witness().seen == kept.seen
        kept.destroy()
        assert kept.seen == copy.witness().seen == b""


async def test_what_came_ahead_of_its_records_is_compared_when_they_are_there() -> None:
    copy = Copy()
    async with copy.open() as chain:
        await commit(chain, 2)
        ledger, kept = chain._ledger, copy.witness()
        kept.check(copy.state(ledger, b""), ledger)
        size = ledger.view.frontier.size
        kept.check(copy.lie(ledger, size + 2), ledger)
        await commit(chain, 5)
        with pytest.raises(Forked, match="other commits") as found:
            kept.check(b"", ledger)
        assert found.value.evidence is None
        assert copy.files("evidence") == []
        # The server signs what it sent, after all: now everybody can see it.
        with pytest.raises(Forked) as found:
            kept.check(copy.state(ledger, b""), ledger)
        (name,) = copy.files("evidence")
        assert name in found.value.hint
        raw = copy.disk.snapshot()[f"/disk/c/{name}"]
        assert judge(decode(raw)).kind == "rewritten"
        assert copy.disk.cut(STYLES[0]).snapshot()[f"/disk/c/{name}"] == raw


async def test_a_server_that_was_set_back_leaves_a_file() -> None:
    copy = Copy()
    async with copy.open() as chain:
        await commit(chain, 4)
        ledger, kept = chain._ledger, copy.witness()
        kept.check(copy.state(ledger, b""), ledger)
        kept = copy.witness()
        with pytest.raises(Forked):
            kept.check(copy.lie(ledger, 3, kept.seen), ledger, answers=kept.seen)
        (name,) = copy.files("evidence")
        found = judge(decode(copy.disk.snapshot()[f"/disk/c/{name}"]))
        assert (found.kind, found.server) == ("shrunk", copy.signer.server)
        kept.destroy()
        assert copy.files("evidence") == [name]


async def test_evidence_that_cannot_be_written_is_not_passed_over() -> None:
    copy = Copy()
    async with copy.open() as chain:
        await commit(chain, 4)
        ledger, kept = chain._ledger, copy.witness()
        kept.check(copy.state(ledger, b""), ledger)
        copy.disk.fail("write", StorageError("full"), name="evidence")
        with pytest.raises(StorageError):
            kept.check(copy.lie(ledger, 3, kept.seen), ledger)


async def test_in_memory_the_error_alone_has_the_evidence() -> None:
    copy = Copy()
    async with copy.open() as chain:
        await commit(chain, 4)
        ledger, kept = chain._ledger, KeptWitness(None)
        kept.check(copy.state(ledger, b""), ledger)
        with pytest.raises(Forked) as found:
            kept.check(copy.lie(ledger, 3, kept.seen), ledger)
        assert judge(found.value.evidence).kind == "shrunk"
        kept.destroy()


async def test_the_first_server_is_the_server() -> None:
    copy = Copy()
    async with copy.open() as chain:
        await commit(chain)
        ledger, other = chain._ledger, stating(signer(2))
        kept = KeptWitness(copy.disk, "/disk/c", server=copy.signer.server)
        with pytest.raises(UntrustedRoot):
            kept.check(other(ledger, b""), ledger)
        assert kept.seen == b""
        kept.check(copy.state(ledger, b""), ledger)
        with pytest.raises(UntrustedRoot):
            copy.witness().check(other(ledger, b""), ledger)
        with pytest.raises(UntrustedRoot):
            _ = KeptWitness(copy.disk, "/disk/c", server=signer(2).server).seen


async def test_statements_about_another_chain() -> None:
    copy = Copy()
    async with copy.open() as chain:
        await commit(chain)
        kept = copy.witness()
        with pytest.raises(UntrustedRoot, match="another chain"):
            kept.check(Spokesman().say(Story(("a", 3))).encode(), chain._ledger)
        assert kept.seen == b""
        kept.check(copy.state(chain._ledger, b""), chain._ledger)
        assert kept.seen


async def test_a_statement_says_what_the_ledger_shows(tmp_path: Path) -> None:
    copy = Copy()
    async with copy.open() as chain:
        await commit(chain, 3)
        view = chain._ledger.view
        for answers, known in ((b"", b""), (b"short", b""), (bytes(32), bytes(32))):
            said = HeadStatement.decode(stating(signer(), epoch=4)(chain._ledger, answers))
            said.verify(signer().server)
            assert (said.size, said.root) == (view.frontier.size, view.frontier.root())
            assert (said.head, said.epoch, said.answers) == (view.head, 4, known)


def test_a_file_that_is_none() -> None:
    copy = Copy()
    copy.disk.mkdir("/disk")
    copy.disk.mkdir("/disk/c")
    copy.disk.put("/disk/c/witness", b"x" * 10)
    with pytest.raises(UnsupportedFormat):
        _ = copy.witness().seen
