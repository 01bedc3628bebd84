from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import pytest
from tools.race.cells import WrongDataError
from tools.race.goals import lines
from tools.race.jobs import tally
from tools.race.plan import FULL, QUICK, Sizes
from tools.race.servers.known import SERVERS
from tools.race.traffic import RECORD_BYTES, body_of, compare, read_body


async def stream(bodies: Iterable[bytes]) -> AsyncIterator[bytes]:
    for body in bodies:
        yield body


def written() -> list[bytes]:
    return [body_of(client, number) for number in range(5) for client in (0, 3)]


def test_a_record_has_a_kibibyte_and_says_whose_it_is() -> None:
    body = body_of(3, 70_000, 1.5)
    assert len(body) == RECORD_BYTES == 1024
    assert read_body(body) == (3, 70_000, 1.5)


@pytest.mark.parametrize("at", [0, 5, 16, 1023])
def test_a_flipped_bit_is_seen(at: int) -> None:
    body = bytearray(body_of(3, 7))
    body[at] ^= 1
    with pytest.raises(WrongDataError):
        read_body(bytes(body))


@pytest.mark.parametrize("size", [0, 15, 1023, 1025])
def test_a_record_of_another_length_is_seen(size: int) -> None:
    with pytest.raises(WrongDataError):
        read_body((body_of(1, 1) + b"x")[:size])


async def test_all_records_once_in_any_order_are_what_was_written() -> None:
    await compare(stream(reversed(written())), {0: 5, 3: 5})


async def test_a_lost_record_voids_the_cell() -> None:
    with pytest.raises(WrongDataError, match="lost"):
        await compare(stream(written()[1:]), {0: 5, 3: 5})


@pytest.mark.parametrize("extra", [body_of(0, 4), body_of(0, 5), body_of(1, 0), body_of(0, 4, 1.0)])
async def test_a_record_too_many_voids_the_cell(extra: bytes) -> None:
    with pytest.raises(WrongDataError, match="twice"):
        await compare(stream([*written(), extra]), {0: 5, 3: 5})


def test_lost_and_doubled_jobs_are_counted() -> None:
    assert tally([0, 1, 2], 3) == (0, 0)
    assert tally([0, 2, 2, 2], 4) == (2, 2)
    assert tally([], 2) == (2, 0)
    with pytest.raises(WrongDataError):
        tally([3], 3)


GOALS = {"G14", "G15", "G15W", "G16", "G17", "G24", "G24K"}


@pytest.mark.parametrize("sizes", [FULL, QUICK])
def test_whoever_acknowledges_unflushed_says_so_and_is_no_must(sizes: Sizes) -> None:
    rows = [line for line in lines(sizes) if line.goal in GOALS]
    assert {line.goal for line in rows} == GOALS
    for line in rows:
        assert line.ours.store in SERVERS
        if line.peer is not None:
            assert line.peer.store in SERVERS
            assert line.must is None or "UNFLUSHED" not in line.peer.store
            assert dict(line.ours.options) == dict(line.peer.options), "the same work"
