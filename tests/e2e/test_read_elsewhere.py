"""What one client has written is read by another one within a tenth of a second."""

from __future__ import annotations

import statistics
from pathlib import Path

from tests.e2e.test_flip import served

import ate
from ate.clock import SystemClock

ROUNDS = 50
PROMISED_S = 0.1


async def test_what_was_written_here_is_read_there_at_once(tmp_path: Path) -> None:
    clock, took = SystemClock(), list[float]()
    async with (
        served(tmp_path / "s") as (_, server),
        ate.open("n", url=server.url, path=tmp_path / "a") as writer,
        ate.open("n", url=server.url, path=tmp_path / "b") as reader,
    ):
        news = reader.watch(type=int)
        for number in range(ROUNDS):
            begun_s = clock.monotonic_s()
            async with writer.dio() as dio:
                key = dio.store(number).id
            change = await anext(news)
            assert (await reader.dio().load(int, key)).value == number == change.value
            took.append(clock.monotonic_s() - begun_s)
    print(f"commit to read elsewhere: median {statistics.median(took) * 1000:.1f} ms")
    assert statistics.median(took) < PROMISED_S
