"""Every living object comes once, whatever became of its parents."""

from __future__ import annotations

import ate
from ate.event.commit import Record
from ate.event.row import Kind
from ate.ids import ObjectId
from ate.testing.forger import Line
from ate.testing.stage import Stage
from ate.testing.tamper import following, ordered
from atecli import forest
from atecli.forest import Node

BODY = b"\xa3int\x05"


async def seen(chain: ate.Chain) -> list[Node]:
    return [node async for node in forest.nodes(chain)]


async def test_the_order_is_that_of_a_tree() -> None:
    async with ate.open("c", memory=True) as chain:
        dio = chain.dio()
        tops = [dio.store(number) for number in range(3)]
        for top in tops[:2]:
            for number in range(2):
                child = dio.store(f"child {number}", parent=top)
                dio.store("leaf", parent=child)
        await dio.commit()
        lines = [forest.drawn(node) for node in await seen(chain)]
    shapes = [line[: len(line) - len(line.lstrip("├─└│ "))] for line in lines]
    assert shapes == ["", "├── ", "│   └── ", "└── ", "    └── "] * 2 + [""]
    assert lines[-1].endswith("  int  2")


async def test_a_deep_tree_is_walked() -> None:
    async with ate.open("c", memory=True) as chain:
        dio = chain.dio()
        parent = dio.store(0)
        for number in range(1, 200):
            parent = dio.store(number, parent=parent)
        await dio.commit()
        found = await seen(chain)
    assert [node.value for node in found] == list(range(200))
    assert found[-1].document()["depth"] == 199


async def test_what_has_no_place_comes_too() -> None:
    stage = Stage()
    first = await stage.as_(None).store("first")
    child = await stage.as_(None).store("child", parent=first)
    await stage.as_(None).store("grandchild", parent=child)
    forger = await stage.forger(None)
    ring = [bytes([at]) * 16 for at in (0x51, 0x52)]
    lines = [
        Line(b"\x50" * 16, parent=b"\x09" * 16, body=BODY, codec=1),
        Line(child, parent=first, kind=Kind.TOMBSTONE, base=3, created=3),
        Line(ring[0], parent=ring[1], body=BODY, codec=1),
        Line(ring[1], parent=ring[0], body=b"no value", codec=1),
    ]
    async with stage.open(None, readonly=True) as chain:
        view = chain._ledger.view
        payload = ordered(forger.commit(*lines), following(stage.tamperer().payloads(), 1 << 60))
        record = Record(memoryview(payload))
        view.recent[1 << 50] = record
        view.apply(record, 1 << 50)
        found = {ObjectId(node.row.id): node for node in await seen(chain)}
    assert len(found) == 5
    below = {node.below for node in found.values()}
    assert below == {
        "", "a deleted object", "an object that was never stored", "itself, in a circle",
    }  # fmt: skip
    broken = found[ObjectId(ring[1])]
    assert broken.is_damaged
    assert "value" not in broken.document()
    odd = found[ObjectId(b"\x50" * 16)]
    assert odd.document()["below"] == "an object that was never stored"
    assert forest.drawn(odd).endswith("(below an object that was never stored)")


async def test_what_no_key_opens_is_marked() -> None:
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    await stage.as_(alice).store("secret")
    async with stage.open(bob, readonly=True) as chain:
        (node,) = await seen(chain)
    assert node.state == "sealed"
    assert node.type.startswith("#")
    assert "(sealed, " in forest.drawn(node)
