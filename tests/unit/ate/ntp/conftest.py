"""A time server of our own on loopback: it answers as the test says, rightly or not."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Self

import pytest

from ate.testing.simclock import SimClock

PACKET = struct.Struct(">BBbbiI4sQ8sQQ")
TO_1970_S = 2_208_988_800
Reply = Callable[[bytes], "list[bytes]"]


def stamp(us: int) -> int:
    """Return a time as the wire has it, in whatever era it is."""
    seconds, part = divmod(us, 1_000_000)
    return ((seconds + TO_1970_S) % (1 << 32) << 32) | (part << 32) // 1_000_000


def packet(us: int, nonce: bytes, **fields: Any) -> bytes:
    """Return the answer of a good server whose time is `us`, with some fields replaced."""
    told = {
        "first": 0x24, "stratum": 2, "poll": 4, "precision": -20, "delay": 0, "dispersion": 0,
        "code": b"GPS\0", "reference": stamp(us), "origin": nonce, "receive": stamp(us),
        "transmit": stamp(us), **fields,
    }  # fmt: skip
    return PACKET.pack(*told.values())


class TimeServer:
    """Answers each question with what `reply` makes of its nonce."""

    def __init__(self, reply: Reply) -> None:
        self.reply, self.asked = reply, 0
        self._link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._link.bind(("127.0.0.1", 0))
        self.port = self._link.getsockname()[1]
        self.name = f"127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            raw, who = self._link.recvfrom(2048)
            if raw == b"stop":
                return
            assert len(raw) == 48
            assert raw[0] == 0x23
            self.asked += 1
            for one in self.reply(raw[40:48]):
                self._link.sendto(one, who)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.sendto(b"stop", ("127.0.0.1", self.port))
        self._thread.join()
        self._link.close()


Start = Callable[[Reply], TimeServer]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts a server."""
    with ExitStack() as stack:
        yield lambda reply: stack.enter_context(TimeServer(reply))


def right(clock: SimClock, *, off_s: float = 0, **fields: Any) -> Reply:
    """Return the replies of a server that is `off_s` away from a clock."""
    off_us = round(off_s * 1_000_000)
    return lambda nonce: [packet(clock.now_us() + off_us, nonce, **fields)]


def silent(_: bytes) -> list[bytes]:
    return []
