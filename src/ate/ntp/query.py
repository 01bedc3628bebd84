"""The one door to sockets: asks a time server over UDP, for a bounded time; it believes nothing."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final

from ate.clock import SystemClock
from ate.errors import NetworkError, TimedOut
from ate.ntp import packet

#: More than an answer, so that a longer one is seen to be longer.
_READ_BYTES: Final = 1024
#: Waiting is measured on the machine, whatever clock is being kept right.
_TIMER: Final = SystemClock()


def ask(
    host: str, port: int, nonce: bytes, timeout_s: float, read_us: Callable[[], int]
) -> packet.Answer:
    """Return what a server says now.

    Args:
        nonce: 8 random bytes; what does not carry them is no answer to this question.
        timeout_s: for the answer; looking up the name takes as long as the system lets it.
        read_us: our time, which the answer is compared with.

    Raises:
        TimedOut: nothing came.
        Goodbye: it does not want to be asked.
        NetworkError: there is no way to it, or its answer is not to be believed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise NetworkError(f"its name is not known: {error.strerror}") from None
    problem = NetworkError("it has no address")
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as link:
                # Connected: what others send to us is not even seen.
                link.connect(address)
                return _exchange(link, nonce, timeout_s, read_us)
        except TimeoutError:
            raise TimedOut("it did not answer", hint="") from None
        except OSError as error:
            problem = NetworkError(f"there is no way to it: {error.strerror}")
    raise problem


def _exchange(
    link: socket.socket, nonce: bytes, timeout_s: float, read_us: Callable[[], int]
) -> packet.Answer:
    until_s = _TIMER.monotonic_s() + timeout_s
    sent_us = read_us()
    link.send(packet.question(nonce))
    while (left_s := until_s - _TIMER.monotonic_s()) > 0:
        link.settimeout(left_s)
        raw = link.recv(_READ_BYTES)
        came_us = read_us()
        if packet.answers(raw, nonce):
            return packet.read(raw, sent_us, came_us)
    raise TimeoutError
