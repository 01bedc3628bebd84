"""Author of malformed input: whole chains made to break whoever opens them.

Frames are in order, so that every byte reaches the decoders behind them. Whatever is wrong, opening
ends with one of a few typed errors, and soon. `tests/fuzz` asks the same of each decoder alone.
"""

from __future__ import annotations

import asyncio
from functools import cache

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ate.crypto.hash import keyed
from ate.errors import CorruptLog, LimitExceeded, ProtocolError, TrustError, UnsupportedFormat
from ate.event.access import Access, Only
from ate.testing.stage import Stage
from ate.testing.tamper import copy_of, relinked, spliced

FOUND_OUT = (ProtocolError, CorruptLog, LimitExceeded, UnsupportedFormat, TrustError)


@cache
def template(signed: bool) -> tuple[Stage, tuple[bytes, ...]]:
    """Return a chain with everything in it, and its commits."""

    async def play() -> Stage:
        stage = Stage()
        alice = None
        if signed:
            alice, bob = await stage.cast("alice", "bob")
            rule = Access(read=Only(alice.public, bob.public))
            folder = await stage.as_(alice).store("folder", access=rule)
            await stage.as_(alice).rule(folder, Access(read=Only(alice.public)))
            await stage.as_(alice).set_role("root", 2, alice.public)
        notes = await stage.as_(alice).store_many(["one", "two", "three"])
        await stage.as_(alice).change(notes[0], "uno")
        await stage.as_(alice).delete(notes[1])
        return stage

    stage = asyncio.run(play())
    return stage, tuple(stage.tamperer().payloads())


def copied(signed: bool) -> tuple[Stage, list[bytes]]:
    stage, payloads = template(signed)
    twin = Stage()
    twin.disk = copy_of(stage.disk)
    twin.tamperer().remove("index")
    return twin, list(payloads)


def open_and_use(stage: Stage) -> None:
    """Open, read everything, verify; end with an error that is allowed, or well."""

    async def use() -> None:
        assert isinstance((await stage.verify()).problems, list)
        async with stage.open(None, readonly=True) as chain:
            dio = chain.dio()
            [dao async for dao in dio.all(object)]
            [dao async for dao in dio.roots(object)]

    try:
        asyncio.run(use())
    except FOUND_OUT:
        pass


CHANGES = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=9)),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("signed", [False, True])
@given(which=st.integers(0, 20), changes=CHANGES)
def test_bytes_changed_anywhere(
    signed: bool, which: int, changes: list[tuple[float, bytes]]
) -> None:
    stage, payloads = copied(signed)
    which %= len(payloads)
    for where, data in changes:
        at = int(where * len(payloads[which]))
        payloads[which] = spliced(payloads[which], at, data)[: len(payloads[which])]
    stage.tamperer().write(payloads)
    open_and_use(stage)


@pytest.mark.parametrize("signed", [False, True])
@given(which=st.integers(0, 20), cut=st.floats(0, 1), more=st.binary(max_size=40))
def test_commits_cut_short_or_made_longer(
    signed: bool, which: int, cut: float, more: bytes
) -> None:
    stage, payloads = copied(signed)
    which %= len(payloads)
    payload = payloads[which]
    payloads[which] = payload[: int(cut * len(payload)) & -8] + more
    stage.tamperer().write(payloads)
    open_and_use(stage)


@given(st.lists(st.binary(max_size=400), min_size=1, max_size=5))
def test_garbage_in_perfect_frames(garbage: list[bytes]) -> None:
    stage, payloads = copied(signed=False)
    stage.tamperer().write([*payloads, *garbage])
    open_and_use(stage)
    stage.tamperer().write(garbage)
    open_and_use(stage)


@given(st.permutations(range(6)))
def test_any_order_of_commits(order: list[int]) -> None:
    stage, payloads = copied(signed=True)
    stage.tamperer().write(relinked([payloads[at] for at in order if at < len(payloads)]))
    open_and_use(stage)


# --- snapshots that anybody can make: those of chains without keys -------------------------------


def reguarded(raw: bytes) -> bytes:
    return raw[:64] + raw[64:80] + keyed(bytes(32), raw[112:]) + raw[112:]


@cache
def snapshot() -> bytes:
    stage, _ = template(signed=False)
    return stage.disk.snapshot()[stage.tamperer().path("index")]


def with_snapshot(raw: bytes) -> Stage:
    stage, _ = template(signed=False)
    twin = Stage()
    twin.disk = copy_of(stage.disk)
    twin.disk.put(twin.tamperer().path("index"), raw)
    return twin


@given(changes=CHANGES)
def test_a_snapshot_with_a_good_guard_and_bad_content(changes: list[tuple[float, bytes]]) -> None:
    raw = snapshot()
    for where, data in changes:
        raw = spliced(raw, 112 + int(where * (len(raw) - 112)), data)[: len(raw)]
    open_and_use(with_snapshot(reguarded(raw)))


VALUES = st.one_of(
    st.none(), st.integers(-1, 10), st.integers(1 << 30, (1 << 64) - 1), st.binary(max_size=80),
    st.lists(st.integers(0, 1 << 62), max_size=10), st.text(max_size=5),
)  # fmt: skip


@given(name=st.sampled_from(["head", "time_us", "link", "frontier", "rules", "live", "bodies_end",
                             "last_place", "last_leaf", "origins", "public", "columns"]),
       value=VALUES)  # fmt: skip
def test_a_snapshot_with_a_good_guard_and_a_bad_header(name: str, value: object) -> None:
    raw = snapshot()
    size = int.from_bytes(raw[76:80], "little")
    header = msgspec.msgpack.decode(raw[112 : 112 + size])
    assert name in header
    header[name] = value
    encoded = msgspec.msgpack.encode(header)
    columns = raw[112 + size + (-(48 + size) % 64) :]
    body = encoded + bytes(-(48 + len(encoded)) % 64) + columns
    front = raw[64:76] + len(encoded).to_bytes(4, "little")
    open_and_use(with_snapshot(reguarded(raw[:64] + front + bytes(32) + body)))


@given(number=st.integers(0, 8), seed=st.integers(0, 1000))
def test_a_snapshot_with_a_good_guard_and_shuffled_columns(number: int, seed: int) -> None:
    raw = snapshot()
    size = int.from_bytes(raw[76:80], "little")
    header = msgspec.msgpack.decode(raw[112 : 112 + size])
    at = 64 + (48 + size + 63) // 64 * 64
    for length in header["columns"][:number]:
        at += length + -length % 64
    length = header["columns"][number]
    values = np.random.default_rng(seed).integers(0, 256, length, dtype=np.uint8)
    open_and_use(with_snapshot(reguarded(spliced(raw, at, values.tobytes()))))
