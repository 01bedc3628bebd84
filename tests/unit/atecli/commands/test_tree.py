"""`ate tree` draws children below parents, however deep."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.unit.atecli.conftest import Ate

import ate as library
from ate.event.access import Access, Only
from ate.ids import ObjectId
from atecli import identity


def test_branches(ate: Ate) -> None:
    one, two, three, four = (f"{number:032x}" for number in range(1, 5))
    ate("put", "t", '"1"', "--id", one)
    ate("put", "t", '"2"', "--id", two, "--parent", one)
    ate("put", "t", '"3"', "--id", three, "--parent", two)
    ate("put", "t", '"4"', "--id", four, "--parent", one)
    assert ate("tree", "t").out.splitlines() == [
        f"{one}  str  1",
        f"├── {two}  str  2",
        f"│   └── {three}  str  3",
        f"└── {four}  str  4",
    ]
    top = ate("tree", "t", "--json").document
    assert [child["value"] for child in top["children"]] == ["2", "4"]
    assert top["children"][0]["children"][0]["id"] == three


def test_depth_is_no_limit(ate: Ate, home: Path) -> None:
    async def dig() -> None:
        async with library.open("deep") as chain:
            dio = chain.dio()
            parent: ObjectId | None = None
            for _ in range(200):
                parent = dio.store("x", parent=parent).id
            await dio.commit()

    asyncio.run(dig())
    assert len(ate("tree", "deep").out.splitlines()) == 200
    assert ate("tree", "deep", "--json").status == 0


def test_a_sealed_parent_is_a_place(ate: Ate, alice: str, home: Path) -> None:
    async def hide() -> ObjectId:
        session = identity.load(alice, "correct battery")
        everyone = Access(read=library.Everyone)
        async with library.open("t", session=session) as chain:
            dio = chain.dio()
            parent = dio.store("hidden", access=Access(read=Only(session.public)))
            dio.store("shown", parent=parent, access=everyone)
            await dio.commit()
            return parent.id

    parent = asyncio.run(hide())
    seen = ate("tree", "t")
    first, second = seen.out.splitlines()
    assert first == f"{parent}  (sealed)"
    assert second.startswith("└── ")
    assert second.endswith("  str  shown")
    assert "1 object not shown" in seen.err
    assert ate("tree", "t", "--json").document["value"] == "shown"
