from __future__ import annotations

import pytest

from ate.chain.absorb import Absorption, check_vouched
from ate.chain.retention import Retention
from ate.chain.view import View
from ate.errors import AteError, CorruptLog, ProtocolError
from ate.event.commit import Record
from ate.event.prefix import Prefix, decode_nodes, decode_prefix, is_commit
from ate.event.thinned import decode_record
from ate.log.memory import MemoryLog
from ate.testing.stage import Note, Stage
from ate.trust.pipeline import Pipeline


async def frames(*, rotate: bool = False, policy: dict[str, bool] | None = None) -> list[bytes]:
    """Return the frames of a compacted log."""
    stage = Stage(policy=policy)
    alice, bob = await stage.cast("alice", "bob")
    async with stage.open(alice) as chain:
        if rotate:
            await chain.set_role("root", [alice.public, bob.public])
        dio = chain.dio()
        notes = [dio.store(Note(str(n))) for n in range(5)]
        await dio.commit()
        for turn in range(3):
            notes[0].value = Note(f"turn {turn}")
            await dio.commit()
        notes[4].delete()
        await dio.commit()
        await chain.compact(Retention())
        return [bytes(one) for _, one in chain._ledger.store.scan()]


class Absorbing:
    """One absorption, fed by hand."""

    def __init__(self, payloads: list[bytes], **told: object) -> None:
        prefix = decode_prefix(memoryview(payloads[0]))
        known = {name: getattr(prefix, name) for name in prefix.__struct_fields__}
        self.view = View(MemoryLog())
        pipeline = Pipeline((), self.view.origins)
        self.absorption = Absorption(self.view, Prefix(**{**known, **told}), pipeline)
        nodes = [one for one in payloads[1:] if not is_commit(one)]
        for one in nodes:
            self.absorption.add_nodes(decode_nodes(memoryview(one)))
        self.records = [decode_record(memoryview(one)) for one in payloads if is_commit(one)]
        self.cut = prefix.cut

    async def all(self) -> bytes:
        for record in self.below():
            await self.take(record)
        return self.absorption.finish()

    async def take(self, record: Record) -> None:
        await self.absorption.take(
            record, lambda kept: (self.view.store.append([kept.payload]), kept)
        )

    def below(self) -> list[Record]:
        return [one for one in self.records if one.sequencer.index < self.cut]

    @property
    def vouching(self) -> Record:
        return next(one for one in self.records if one.sequencer.index == self.cut)


@pytest.mark.parametrize("rotate", [False, True])
async def test_what_is_below_the_cut_is_taken_in_and_vouched_for(rotate: bool) -> None:
    absorbing = Absorbing(await frames(rotate=rotate))
    state = await absorbing.all()
    view = absorbing.view
    assert len(state) == 32
    assert view.index.live == 4
    assert (view.cut, view.frontier.size) == (absorbing.cut, absorbing.cut)
    assert view.head == absorbing.vouching.first_seq - 1
    assert view.origins.table
    check_vouched(view, absorbing.vouching, state)
    with pytest.raises(CorruptLog, match="vouches"):
        check_vouched(view, absorbing.vouching, bytes(32))
    view.head += 1
    with pytest.raises(CorruptLog, match="does not end where"):
        check_vouched(view, absorbing.vouching, state)


async def test_what_vouches_for_nothing() -> None:
    absorbing = Absorbing(await frames())
    state = await absorbing.all()
    other = absorbing.below()[-1]
    absorbing.view.head = other.author.seen_seq
    with pytest.raises(CorruptLog, match="vouches"):
        check_vouched(absorbing.view, other, state)
    payload = bytearray(absorbing.vouching.payload)
    payload[-9] ^= 1  # in the checkpoint's body, which the row does not name any more
    altered = Record(memoryview(bytes(payload)))
    absorbing.view.head = altered.author.seen_seq
    with pytest.raises((CorruptLog, ProtocolError)):
        check_vouched(absorbing.view, altered, state)


async def test_commits_left_out_repeated_and_swapped() -> None:
    payloads = await frames()
    for change in (
        lambda some: some[1:],
        lambda some: some[:-1],
        lambda some: [some[0], some[0], *some[1:]],
        lambda some: [some[1], some[0], *some[2:]],
    ):
        absorbing = Absorbing(payloads)
        below = change(absorbing.below())
        with pytest.raises(AteError):
            for record in below:
                await absorbing.take(record)
            absorbing.absorption.finish()


@pytest.mark.parametrize("told", [{"head": 1}, {"time_us": 1}])
async def test_a_prefix_that_does_not_fit(told: dict[str, int]) -> None:
    with pytest.raises(CorruptLog, match="does not fit"):
        await Absorbing(await frames(), **told).all()


async def test_nodes_that_do_not_fit() -> None:
    payloads = await frames()
    absorbing = Absorbing(payloads)
    with pytest.raises(ProtocolError):
        absorbing.absorption.add_nodes(b"half")
    absorbing.absorption.add_nodes(bytes(32))
    with pytest.raises(CorruptLog, match="does not fit"):
        await absorbing.all()
    with pytest.raises(CorruptLog, match="in front"):
        absorbing.absorption.add_nodes(bytes(32))
    without = Absorbing([one for one in payloads if one[0] != 0x83])
    with pytest.raises(CorruptLog, match="nothing stands for"):
        await without.all()


async def test_no_first_commit_no_chain() -> None:
    absorbing = Absorbing(await frames())
    absorbing.absorption.add_nodes(bytes(32 * 64))
    with pytest.raises(CorruptLog, match="first commit"):
        absorbing.absorption.finish()
    begun = Absorbing(await frames())
    await begun.all()
    with pytest.raises(CorruptLog, match="not its first frame"):
        Absorption(begun.view, begun.absorption.prefix, Pipeline((), begun.view.origins))


async def test_a_write_once_chain_and_one_without_roots() -> None:
    absorbing = Absorbing(await frames())
    await absorbing.all()
    genesis = absorbing.view.trust.genesis
    assert genesis is not None
    for name, value in (("policy", {"worm": True}), ("roots", ())):
        known = {one: getattr(genesis, one) for one in genesis.__struct_fields__}
        absorbing.view.trust.genesis = type(genesis)(**{**known, name: value})
        absorbing.absorption._nodes.clear()
        if name == "policy":
            with pytest.raises(CorruptLog, match="write-once"):
                absorbing.absorption.finish()
        else:
            assert absorbing.absorption.finish() == b""
