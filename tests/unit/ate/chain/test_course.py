"""What may come next follows from what was there."""

from __future__ import annotations

from ate.chain.course import Course
from ate.event.commit import Record
from ate.event.prefix import Prefix
from ate.testing.stage import Stage


async def records() -> list[Record]:
    stage = Stage()
    for number in range(5):
        await stage.as_(None).store(f"note {number}")
    return [Record(memoryview(one)) for one in stage.tamperer().payloads()]


async def test_commits_come_one_by_one() -> None:
    some, course = await records(), Course()
    for at, record in enumerate(some):
        assert [course.fits(one) for one in some] == [number == at for number in range(len(some))]
        course.follow(record)
    assert (course.size, course.head, course.is_thinned) == (6, 6, False)
    course.pass_cut()
    assert course.size == 6


async def test_in_a_thinned_part_some_are_missing_and_behind_it_none() -> None:
    some, course, whole = await records(), Course(), Course()
    for record in some[:4]:
        whole.follow(record)
    prefix = Prefix(4, whole.head, 0, whole.link, [])
    course.take(memoryview(prefix.encode()))
    course.take(memoryview(bytes([0x83]) + bytes(39)))
    assert course.is_thinned
    assert [course.is_left(one) for one in some] == [True] * 4 + [False] * 2
    course.follow(some[2])
    assert [course.is_left(one) for one in some] == [False] * 3 + [True] + [False] * 2
    assert not course.is_next(some[4])
    assert course.fits(some[4])
    assert (course.size, course.head, course.is_thinned) == (4, whole.head, False)
    course.follow(some[4])
    assert course.fits(some[5])
