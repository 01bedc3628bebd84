from __future__ import annotations

import pytest

from ate.chain.replay import Replay
from ate.chain.view import View
from ate.errors import CorruptLog
from ate.event.prefix import is_commit
from ate.log.memory import MemoryLog
from ate.testing.stage import Note, Stage
from ate.trust.pipeline import Pipeline


async def frames(*, compacted: bool) -> list[bytes]:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    async with stage.open(alice) as chain:
        dio = chain.dio()
        notes = [dio.store(Note(str(n))) for n in range(20)]
        await dio.commit()
        for turn in range(4):
            notes[turn % 2].value = Note(f"changed {turn}")
            await dio.commit()
        if compacted:
            await chain.compact()
            dio = chain.dio()
            dio.store(Note("behind"))
            await dio.commit()
        return [bytes(one) for _, one in chain._ledger.store.scan()]


async def taken(payloads: list[bytes], *, bodies: bool = False) -> View:
    log = MemoryLog()
    view = View(log)
    replay = Replay(view, Pipeline((), view.origins), bodies=bodies)
    for payload in payloads:
        record = await replay.take(log.append([payload]), memoryview(payload))
        assert (record is not None) == is_commit(payload)
    replay.end()
    return view


@pytest.mark.parametrize("bodies", [False, True])
async def test_a_log_compacted_or_not(bodies: bool) -> None:
    assert (await taken(await frames(compacted=False), bodies=bodies)).index.live == 20
    view = await taken(await frames(compacted=True), bodies=bodies)
    assert view.index.live == 21
    assert view.cut


async def test_frames_in_the_wrong_place() -> None:
    payloads = await frames(compacted=True)
    plain = await frames(compacted=False)
    nodes = next(one for one in payloads if one[0] == 0x83)
    thin = next(one for one in payloads if one[0] == 0x81)
    for wrong in (
        [nodes, *payloads],
        [payloads[0], *payloads],
        [*payloads, payloads[0]],
        [*plain, nodes],
        [*plain, thin],
        payloads[:-2],
        [*payloads[:-2], payloads[-1]],
        payloads[:1],
        [*plain[:2], b"", *plain[2:]],
        [*plain, plain[-1]],
    ):
        with pytest.raises(CorruptLog):
            await taken(wrong)


async def test_a_thinned_commit_behind_the_cut() -> None:
    payloads = await frames(compacted=True)
    cut = payloads[0]
    thin = next(one for one in payloads if one[0] == 0x81)
    moved = bytearray(thin)
    moved[208:216] = (1 << 20).to_bytes(8, "little")
    with pytest.raises(CorruptLog, match="lost rows"):
        await taken([*payloads, bytes(moved)])
    assert cut[0] == 0x82
