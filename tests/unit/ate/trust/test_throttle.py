"""The throttle: a chain's own rule about how fast commits may come."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

import ate
from ate.errors import Throttled, UsageError, WriteDenied
from ate.event.access import Access, Any, Everyone
from ate.mesh.hall import Hall
from ate.mesh.shelf import DiskShelf
from ate.server import serve
from ate.session import Session
from ate.testing.simclock import SimClock
from ate.testing.stage import Stage
from ate.trust.throttle import Pace

SECOND = 1_000_000


@dataclass
class Note:
    """One row."""

    text: str


def test_no_rule_no_bounds() -> None:
    pace = Pace()
    assert not pace.is_set
    assert pace.lacks(0, 10**9, 10**12) == ""
    for nonsense in (None, 7, [1], [1, -1], [1, "2"], [True, 0], [1 << 48, 0]):
        pace.set(nonsense)
        assert not pace.is_set


def test_a_bucket_holds_what_one_second_brings() -> None:
    pace = Pace()
    pace.set([10, 0])
    for _ in range(10):
        assert pace.lacks(SECOND, 1, 100) == ""
        pace.apply(SECOND, 1, 100)
    assert "10 rows" in pace.lacks(SECOND, 1, 100)
    assert pace.lacks(SECOND + SECOND // 10, 1, 100) == ""
    assert "10 rows" in pace.lacks(SECOND + SECOND // 10, 2, 100)
    assert pace.lacks(3 * SECOND, 10, 100) == ""


def test_bytes_are_counted_too_and_large_commits_wait_for_a_full_bucket() -> None:
    pace = Pace()
    pace.set([0, 1000])
    assert pace.lacks(SECOND, 1, 5000) == ""
    pace.apply(SECOND, 1, 5000)
    assert "1000 bytes" in pace.lacks(4 * SECOND, 1, 1)
    assert pace.lacks(7 * SECOND, 1, 900) == ""


def test_the_same_rule_again_does_not_fill_the_bucket() -> None:
    pace = Pace()
    pace.set([2, 0])
    pace.apply(0, 2, 0)
    pace.set([2, 0])
    assert pace.lacks(0, 1, 0)


async def test_members_are_bound_and_roots_are_free_here_and_after_reopening() -> None:
    stage = Stage(access=Access(read=Everyone, write=Any("root", "member")))
    root, member = await stage.cast("root", "member")
    stage.clock = SimClock(tick_us=1)
    async with stage.open(root) as chain:
        await chain.set_role("member", [member.public])
        await chain.set_throttle(rows_s=10)
    for _ in range(2):  # the second time from the snapshot
        stage.clock.advance(2)
        async with stage.open(member) as chain:
            dio = chain.dio()
            dio.store(Note("0"))
            await dio.commit()  # may bring the member's keys as well
            stage.clock.advance(2)
            for number in range(10):
                dio.store(Note(str(number)))
                await dio.commit()
            dio.store(Note("too much"))
            with pytest.raises(Throttled):
                await dio.commit()
            stage.clock.advance(1)
            await dio.commit()
            with pytest.raises((WriteDenied, Throttled)):
                await chain.set_throttle(rows_s=0)
    async with stage.open(root) as chain:
        dio = chain.dio()
        for number in range(30):
            dio.store(Note(str(number)))
            await dio.commit()
        with pytest.raises(UsageError):
            await chain.set_throttle(rows_s=-1)
        await chain.set_throttle()
        assert not chain._ledger.view.pace.is_set


async def test_a_server_refuses_what_is_too_much_for_the_chain(tmp_path: object) -> None:
    root, member = Session.new("root"), Session.new("member")
    hall = Hall(DiskShelf(str(tmp_path)))
    async with serve(hall, host="127.0.0.1", port=0) as server:
        rule = Access(read=Everyone, write=Any(root.public, member.public))
        async with ate.open("n", url=server.url, session=root, access=rule) as one:
            await one.set_throttle(rows_s=3)
            async with ate.open("n", url=server.url, session=member) as other:
                dio = other.dio()
                accepted = 0
                with pytest.raises(Throttled):
                    for number in range(50):
                        dio.store(Note(str(number)))
                        await dio.commit()
                        accepted += 1
                assert accepted < 40
                await other.sync()
    await hall.close()
