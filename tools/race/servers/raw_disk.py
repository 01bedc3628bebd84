"""The floor: one writer in this process appends and calls fdatasync; no server, no protocol."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from tools.race.servers.contract import Deliver

_LENGTH_BYTES = 4


class RawDisk:
    """A file beside which nothing runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    async def client(self, stream: str = "bench") -> RawFile:
        return RawFile(self._folder / stream)


class RawFile:
    """Records one after the other, each after its length."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_RDWR)

    async def append(self, body: bytes) -> None:
        os.write(self._file, len(body).to_bytes(_LENGTH_BYTES, "little") + body)
        os.fdatasync(self._file)

    async def append_batch(self, bodies: Sequence[bytes]) -> None:
        os.write(
            self._file,
            b"".join(len(one).to_bytes(_LENGTH_BYTES, "little") + one for one in bodies),
        )
        os.fdatasync(self._file)

    async def subscribe(self, deliver: Deliver) -> None:
        raise NotImplementedError("a file tells nobody")

    async def catch_up(self, count: int) -> None:
        pass

    async def records(self, count: int) -> AsyncIterator[bytes]:
        with self._path.open("rb") as file:
            for _ in range(count):
                yield file.read(int.from_bytes(file.read(_LENGTH_BYTES), "little"))

    async def close(self) -> None:
        os.close(self._file)
