"""Stored bodies and the rows that name them."""

from __future__ import annotations

from ate.chain.bodies import bad_inline, is_body, outside, relocated
from ate.event.commit import Record
from ate.event.row import PLACE_BODY_FILE
from ate.testing.stage import Stage
from ate.testing.tamper import row_span, spliced

LARGE = "large " * 12_000


async def records() -> list[Record]:
    stage = Stage()
    await stage.as_(None).store_many(["a", LARGE, "b"])
    await stage.as_(None).store(LARGE)
    return [Record(memoryview(one)) for one in stage.tamperer().payloads()]


async def test_bodies_outside_are_known_by_their_place() -> None:
    first, mixed, alone = await records()
    assert (outside(first), outside(mixed), outside(alone)) == ([], [1], [0])


async def test_an_altered_body_is_found() -> None:
    _, mixed, alone = await records()
    assert not bad_inline(mixed)
    assert not bad_inline(alone)
    payload = bytes(mixed.payload)
    row = mixed.row(2)
    flipped = spliced(payload, row.place, bytes([payload[row.place] ^ 1]))
    assert bad_inline(Record(memoryview(flipped)))
    at = row_span(2).start + 120
    assert bad_inline(Record(memoryview(spliced(payload, at, b"\xff\xff\xff"))))
    assert is_body(mixed, 2, mixed.inline(row))
    assert not is_body(mixed, 2, b"x" * row.length)
    assert not is_body(mixed, 2, b"")


async def test_a_row_is_told_its_new_place_and_nothing_else_changes() -> None:
    _, mixed, _ = await records()
    place = PLACE_BODY_FILE | 3 << 40 | 640
    moved = Record(relocated(mixed, {1: place}))
    assert moved.row(1) == mixed.row(1)._replace(place=place)
    assert (moved.row(0), moved.leaf) == (mixed.row(0), mixed.leaf)
    assert not bad_inline(moved)
