from __future__ import annotations

import pytest

import ate
from ate.chain.ledger import Ledger
from ate.crypto.entropy import SeededEntropy
from ate.crypto.sign import SigningKey
from ate.errors import StorageError, UntrustedRoot
from ate.log.beside import Beside
from ate.mesh.evidence import Contradiction, decode, judge
from ate.mesh.stating import stating
from ate.mesh.vigil import Vigil
from ate.testing.platter import STYLES
from ate.testing.simdisk import SimDisk
from ate.testing.spokesman import Story
from ate.trust.attest import StatementSigner

IDENTITY = SigningKey.generate(SeededEntropy(1))
OTHER = SigningKey.generate(SeededEntropy(2))
FILE = f"witness.{IDENTITY.public.key_id.hex()[:16]}"


class Copy:
    """A chain on a disk, whose owner plays the server as well."""

    def __init__(self, chain: ate.Chain, disk: SimDisk) -> None:
        self.chain, self.disk = chain, disk
        self.ledger: Ledger = chain._ledger
        self.state = stating(IDENTITY)

    def vigil(self, disk: SimDisk | None = None) -> Vigil:
        """Return a vigil as it is after a restart."""
        vigil = Vigil(Beside(disk or self.disk, "/disk/c"))
        vigil.meet(IDENTITY.public, self.ledger.view.trust.chain_id)
        return vigil

    async def commit(self, count: int = 1) -> None:
        for _ in range(count):
            dio = self.chain.dio()
            dio.store({"n": 1})
            await dio.commit()

    def lie(self, size: int, answers: bytes = b"") -> bytes:
        root = Story(("a lie", size)).root(size)
        return StatementSigner(IDENTITY).sign(
            self.ledger.view.trust.chain_id, size, root, size,
            now_us=self.ledger.now_us(), answers=answers,
        ).encode()  # fmt: skip

    def evidence(self) -> bytes | None:
        """Return the newest evidence that was kept."""
        found = [one for one in self.disk.listdir("/disk/c") if one.startswith("evidence.")]
        return Beside(self.disk, "/disk/c").read(found[-1]) if found else None


@pytest.fixture
async def copy():  # type: ignore[no-untyped-def]
    disk = SimDisk(1)
    async with ate.open("c", path="/disk", disk=disk) as chain:
        made = Copy(chain, disk)
        await made.commit(4)
        yield made


async def test_an_answer_is_kept_at_once_and_other_words_now_and_then(copy: Copy) -> None:
    vigil = copy.vigil()
    assert vigil.show() == b""
    vigil.hear(copy.state(copy.ledger, b""), copy.ledger, is_answer=True)
    first = vigil.show()
    for style in STYLES:
        assert copy.vigil(copy.disk.cut(style)).show() == first
    for _ in range(15):
        await copy.commit()
        vigil.hear(copy.state(copy.ledger, b""), copy.ledger)
    assert copy.vigil().show() == first
    vigil.hear(copy.state(copy.ledger, b""), copy.ledger)
    assert copy.vigil().show() == vigil.show() != first
    await copy.commit()
    vigil.hear(copy.state(copy.ledger, b""), copy.ledger)
    vigil.keep()
    assert copy.vigil().show() == vigil.show()


async def test_nobody_is_watched_who_has_no_key_or_no_chain(copy: Copy) -> None:
    vigil = Vigil(Beside())
    vigil.meet(None, bytes(32))
    vigil.meet(IDENTITY.public, b"")
    vigil.hear(b"nonsense", copy.ledger)
    vigil.look(copy.ledger)
    vigil.keep()
    assert vigil.show() == b""


async def test_a_server_that_was_set_back_leaves_a_file(copy: Copy) -> None:
    copy.vigil().hear(copy.state(copy.ledger, b""), copy.ledger, is_answer=True)
    vigil = copy.vigil()
    with pytest.raises(Contradiction) as found:
        vigil.hear(copy.lie(3, vigil.show()), copy.ledger, is_answer=True)
    raw = copy.evidence()
    assert raw is not None
    verdict = judge(decode(raw))
    assert (verdict.kind, verdict.server) == ("shrunk", IDENTITY.public)
    assert found.value.hint.count("/disk/c/evidence") == 1


async def test_what_is_said_before_it_is_sent_is_compared_when_it_comes(copy: Copy) -> None:
    vigil = copy.vigil()
    vigil.hear(copy.lie(copy.ledger.view.frontier.size + 2), copy.ledger)
    await copy.commit()
    vigil.look(copy.ledger)
    await copy.commit(3)
    with pytest.raises(Contradiction, match="other commits"):
        vigil.look(copy.ledger)
    assert copy.evidence() is None
    with pytest.raises(Contradiction) as found:
        vigil.hear(copy.state(copy.ledger, b""), copy.ledger)
    raw = copy.evidence()
    assert raw is not None
    assert judge(decode(raw)).kind == "rewritten"
    assert found.value.hint.count("/disk/c/evidence") == 1


async def test_an_old_answer_is_no_answer(copy: Copy) -> None:
    vigil = copy.vigil()
    old = copy.state(copy.ledger, b"")
    vigil.hear(old, copy.ledger, is_answer=True)
    vigil.show()
    with pytest.raises(Contradiction, match="does not answer"):
        vigil.hear(old, copy.ledger, is_answer=True)


async def test_the_lie_is_told_when_the_evidence_cannot_be_written(copy: Copy) -> None:
    vigil = copy.vigil()
    vigil.hear(copy.state(copy.ledger, b""), copy.ledger)
    copy.disk.fail("write", StorageError("full"), name="evidence")
    with pytest.raises(Contradiction) as found:
        vigil.hear(copy.lie(3, vigil.show()), copy.ledger)
    assert found.value.evidence is not None
    assert "/disk/c" not in found.value.hint


async def test_each_server_has_a_memory_of_its_own(copy: Copy) -> None:
    vigil, chain_id = copy.vigil(), copy.ledger.view.trust.chain_id
    vigil.hear(copy.state(copy.ledger, b""), copy.ledger, is_answer=True)
    first = vigil.show()
    with pytest.raises(UntrustedRoot):
        vigil.hear(stating(OTHER)(copy.ledger, b""), copy.ledger)
    vigil.meet(OTHER.public, chain_id)
    assert vigil.show() == b""
    vigil.hear(stating(OTHER)(copy.ledger, b""), copy.ledger, is_answer=True)
    second = vigil.show()
    vigil.meet(IDENTITY.public, chain_id)
    assert vigil.show() == first != second


async def test_a_garbled_memory_is_begun_anew(copy: Copy) -> None:
    copy.vigil().hear(copy.state(copy.ledger, b""), copy.ledger, is_answer=True)
    for raw in (b"", b"x" * 100, copy.disk.snapshot()[f"/disk/c/{FILE}"][:-1]):
        copy.disk.put(f"/disk/c/{FILE}", raw)
        assert copy.vigil().show() == b""
