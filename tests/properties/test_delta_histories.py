"""Large values edited at random, against a plain dictionary: every version, and what it costs."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import ate
from ate.chain.lineage import lineage
from ate.client import Chain
from ate.dio.schema import Schema
from ate.event.row import CODEC_DELTA
from ate.ids import ObjectId
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.testing.stage import member

NOISE = random.Random(5).randbytes(60_000)
PROSE = "".join(f"{number} sheep jump over the fence, " for number in range(2000))

EDITS = st.lists(
    st.tuples(
        st.sampled_from(["replace", "replace", "insert", "cut", "move", "double", "other", "none"]),
        st.floats(0, 1),
        st.integers(0, 400),
    ),
    min_size=1,
    max_size=14,
)


class Counter:
    """A filter that counts the bodies that are opened."""

    name = "counter"
    opened = 0

    def encode(self, codec: int, body: bytes) -> tuple[int, bytes]:
        return codec | 64, body + b"."

    def decode(self, codec: int, body: bytes) -> tuple[int, bytes]:
        if codec & 64:
            self.opened += 1
            return codec & ~64, body[:-1]
        return codec, body


def edited(value: Any, whole: Any, what: str, where: float, size: int) -> Any:
    at = int(where * len(value))
    head, middle, tail = value[:at], value[at : at + size], value[at + size :]
    if what == "replace":
        return head + whole[:size] + tail
    if what == "insert":
        return head + whole[size : 2 * size] + middle + tail
    if what == "cut":
        return head + tail
    if what == "move":
        return tail + head + middle
    if what == "double":
        return (value + middle + value)[:100_000]
    return value[::-1] if what == "other" else value


@given(EDITS, st.sampled_from([None, "alice"]), st.booleans())
@settings(max_examples=30)
def test_every_version_of_a_large_value(
    edits: list[tuple[str, float, int]], who: str | None, as_text: bool
) -> None:
    asyncio.run(play(edits, who, PROSE if as_text else NOISE))


async def play(edits: list[tuple[str, float, int]], who: str | None, whole: bytes | str) -> None:
    disk, counter, versions = SimDisk(), Counter(), {}
    session = member(who) if who else None

    def opening() -> ate.client.Opening:
        return ate.open(
            "h", path="/c", disk=disk, clock=SimClock(), session=session, plugins=[counter]
        )

    async with opening() as chain:
        dao = chain.dio().store(whole)
        await dao._dio.commit()
        versions[dao.seq] = whole
        for what, where, size in edits:
            dao.value = edited(dao.value, whole, what, where, size)
            await dao._dio.commit()
            versions[dao.seq] = dao.value
        await check(chain, dao.id, versions, counter)
    async with opening() as chain:
        await check(chain, dao.id, versions, counter)
        if session:
            await chain.checkpoint()
        before = lineage(chain._ledger.view, dao.seq)
        await chain.compact()
        view = chain._ledger.view
        held = [seq for seq, _, _ in view.rows(1, view.head) if seq in versions]
        assert held == before[::-1], "just what the newest version stands on"
        for seq in held:
            opened = await chain._reader(session).open(seq)
            assert Schema.any(opened.plain).decode(opened.plain, opened.codec) == versions[seq]
        value = edited(versions[dao.seq], whole, "insert", 0.5, 9)
        late = await chain.dio().load(object, dao.id)
        late.value = value
        await late._dio.commit()
        assert (await chain.dio().load(object, dao.id)).value == value


async def check(
    chain: Chain, id: ObjectId, versions: dict[int, bytes | str], counter: Counter
) -> None:
    for number, (seq, value) in enumerate(versions.items(), 1):
        counter.opened = 0
        dao = await chain.dio().load(object, id, at_seq=seq)
        assert dao.value == value
        assert counter.opened <= number.bit_length()  # ⌊log2 n⌋ + 1
        assert counter.opened == len(lineage(chain._ledger.view, seq))
    many = await chain._reader(chain.session).open_many(versions)
    assert [one.seq for one in many] == list(versions)


async def test_one_byte_of_ten_megabytes_costs_less_than_four_kibibytes() -> None:
    draw = random.Random(9)
    disk = SimDisk()
    async with ate.open("h", path="/c", disk=disk, session=member("alice")) as chain:
        value = bytearray(draw.randbytes(10 << 20))
        dao = chain.dio().store(bytes(value))
        await dao._dio.commit()
        view, store = chain._ledger.view, chain._ledger.store
        for _ in range(9):
            before, bodies = len(log_of(disk)), view.bodies_end
            value[draw.randrange(len(value))] ^= 1
            dao.value = bytes(value)
            await dao._dio.commit()
            record, at = view.find(dao.seq)
            assert record.row(at).codec & CODEC_DELTA
            assert record.row(at).length < 200
            assert len(record.payload) < 1024
            assert view.bodies_end == bodies, "nothing went to the body file"
            assert len(log_of(disk)) - before < 4096
            store.flush()
        assert (await chain.dio().load(bytes, dao.id)).value == bytes(value)


def log_of(disk: SimDisk) -> bytes:
    """Return what is written to the head segment, without the zeros ahead."""
    return disk.snapshot()["/c/h/000001/head.000001"].rstrip(b"\0")
