from __future__ import annotations

from collections.abc import Sequence

import pytest

from ate import limits
from ate.chain.fetched import Fetched
from ate.errors import BodyNotHeld, Compacted


class Server:
    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.bodies: dict[int, bytes | None] = {}
        self.is_gone = False

    async def fetch(self, seqs: Sequence[int]) -> list[bytes | None]:
        if self.is_gone:
            raise BodyNotHeld("gone")
        self.asked.append(list(seqs))
        return [self.bodies.get(seq, b"%d" % seq) for seq in seqs]


async def test_bodies_are_asked_for_once() -> None:
    server = Server()
    fetched = Fetched(server.fetch)
    assert await fetched.get([1, 2]) == [b"1", b"2"]
    assert await fetched.get([2, 3, 1]) == [b"2", b"3", b"1"]
    assert server.asked == [[1, 2], [3]]
    server.is_gone = True
    assert await fetched.get([1]) == [b"1"]
    with pytest.raises(BodyNotHeld):
        await fetched.get([1, 9])
    assert await fetched.get([]) == []


async def test_what_is_kept_no_more_is_told() -> None:
    server = Server()
    server.bodies[4] = None
    with pytest.raises(Compacted, match="row 4"):
        await Fetched(server.fetch).get([3, 4])


async def test_the_ones_used_last_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FETCHED_BYTES_MAX", 300)
    server = Server()
    server.bodies = {n: bytes(100) for n in range(9)}
    fetched = Fetched(server.fetch)
    await fetched.get([1, 2, 3])
    await fetched.get([1])
    await fetched.get([4])
    assert fetched._size == 300
    await fetched.get([1, 3, 4])
    assert server.asked == [[1, 2, 3], [4]]
    await fetched.get([2])
    assert server.asked[-1] == [2]
    assert await fetched.get([5, 6, 7, 8]) == [bytes(100)] * 4, "also when they are too many"
    assert fetched._size <= 300


async def test_a_body_asked_for_twice_at_once_is_counted_once() -> None:
    server = Server()
    fetched = Fetched(server.fetch)
    await fetched.get([1, 1])
    assert fetched._size == sum(map(len, fetched._held.values()))
