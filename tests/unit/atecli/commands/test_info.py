"""`ate info` tells facts."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.unit.atecli.conftest import Ate

import ate as library
from ate.clock import SystemClock
from ate.testing.simclock import SimClock


def test_for_people(ate: Ate, alice: str) -> None:
    ate("put", "notes", "1", "--as", alice)
    shown = ate("info", "notes").out
    for line in ("chain       notes\n", "objects     1\n", "mode        distributed\n"):
        assert line in shown
    assert "suite       2, each commit signed by a certified session key\n" in shown
    assert "root key    alice@example.org  " in shown
    assert "role        root, generation 1\n" in shown
    assert " an object\n" in shown
    assert "generation  1\n" in shown
    assert "file        000001/head.000001  " in shown


def test_checkpoints_and_a_clock_that_is_wrong(ate: Ate, alice: str) -> None:
    note = ate("put", "notes", "1", "--as", alice).out.strip()
    assert "sealed      no checkpoint\n" in ate("info", "notes").out
    ate("prove", "notes", note, "-o", "p", "--as", alice)
    assert "sealed      checkpoint over 2 of 3 commits\n" in ate("info", "notes").out
    known = ate("info", "notes", "--json").document
    assert (known["checkpoint"], known["clock_skew"]) == (2, 0.0)
    assert "clock " not in ate("info", "notes").out

    async def ahead() -> None:
        late = SimClock(SystemClock().now_us() + 86_400_000_000)
        async with library.open("late", clock=late):
            pass

    asyncio.run(ahead())
    assert "clock       -86" in ate("info", "late").out


def test_for_programs(ate: Ate) -> None:
    ate("put", "notes", "1")
    known = ate("info", "notes", "--json").document
    assert (known["objects"], known["commits"], known["head"]) == (1, 2, 2)
    assert (known["suite"], known["roots"], known["generations"]) == (0, [], [1])
    assert known["bytes"] == sum(known["files"].values())
    assert known["bytes_per_object"] == known["bytes"]


def test_an_empty_chain_and_its_policy(ate: Ate, home: Path) -> None:
    async def make() -> None:
        async with library.open("worm", policy={"worm": True}):
            pass

    asyncio.run(make())
    assert ate("info", "worm", "--json").document["bytes_per_object"] is None
    assert "policy      worm: True\n" in ate("info", "worm").out


def test_how_much_of_the_past_is_there(ate: Ate) -> None:
    object_id = ate("put", "notes", "1").out.strip()
    ate("put", "notes", "2", "--id", object_id, "--replace")
    assert "rows        3, all there ever were\n" in ate("info", "notes").out
    ate("compact", "notes")
    known = ate("info", "notes", "--json").document
    assert (known["rows"], known["cut"], known["generations"]) == (2, 3, [2])
    shown = ate("info", "notes").out
    assert "rows        2 are kept, and all since commit 3\n" in shown
    assert "generation  2\n" in shown


def test_a_retention_policy(ate: Ate) -> None:
    async def make() -> None:
        async with library.open("kept", policy={"retention": {"versions": 3, "days": 365}}):
            pass

    asyncio.run(make())
    assert "policy      retention: 3 versions, 365 days\n" in ate("info", "kept").out
