"""A chain much larger than what is read of it: opened sparse, one row fetched.

With `make long` it is 1 GB. What is copied all the same are the headers of every row, some 150
bytes each: they are what proves the one row that is fetched.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.test_flip import served
from tests.effort import effort

import ate
from ate.clock import SystemClock
from ate.mesh.dial import dialer
from ate.mesh.registry import Registry
from ate.mesh.transport import Transport
from ate.mesh.url import Url

BODY_BYTES = 1 << 20
ROWS = effort(48, 1000)
IN_ONE_COMMIT = 16
#: What the row promises at full size on an idle machine, and what a busy one gets.
OPEN_S = effort(10.0, 1.0)


@dataclass
class Counted:
    """A transport that counts what comes."""

    inner: Transport
    total: list[int]

    @property
    def address(self) -> str:
        return self.inner.address

    @property
    def queued(self) -> int:
        return self.inner.queued

    def send(self, frames: Sequence[bytes]) -> None:
        self.inner.send(frames)

    async def drain(self) -> None:
        await self.inner.drain()

    async def receive(self) -> bytes:
        frame = await self.inner.receive()
        self.total[0] += len(frame)
        return frame

    async def close(self) -> None:
        await self.inner.close()


async def test_one_row_of_a_large_chain_costs_little(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    dial, total, clock = dialer(), [0], SystemClock()

    async def counting(url: Url) -> Any:
        return Counted(await dial(url), total)

    lines = Registry(counting)
    async with served(tmp_path / "s") as (hall, server):
        async with ate.open("big", url=server.url, path=tmp_path / "w") as chain:
            dio, keys = chain.dio(codec=3), []
            for number in range(ROWS):
                keys.append(dio.store(number.to_bytes(4, "big") + os.urandom(BODY_BYTES)).id)
                if number % IN_ONE_COMMIT == IN_ONE_COMMIT - 1 or number == ROWS - 1:
                    await dio.commit()
        size = hall.roots["big"].ledger.store.size()
        begun_s = clock.monotonic_s()
        async with ate.open(
            "big", url=server.url, sparse=4096, path=tmp_path / "r", connection={"lines": lines}
        ) as chain:
            opened_s, headers = clock.monotonic_s() - begun_s, total[0]
            wanted = ROWS // 2
            dao = await chain.dio().load(bytes, keys[wanted])
            took_s = clock.monotonic_s() - begun_s
            assert dao.value[:4] == wanted.to_bytes(4, "big")
            assert len(dao.value) == BODY_BYTES + 4
        await lines.close()
        record_property("bytes of the chain", size)
        record_property("opened after seconds, bytes", (round(opened_s, 3), headers))
        record_property("one row after seconds, bytes", (round(took_s, 3), total[0]))
        assert size > ROWS * BODY_BYTES
        assert took_s < OPEN_S
        assert headers < 1000 * ROWS + 100_000
        assert total[0] - headers < 2 * BODY_BYTES
