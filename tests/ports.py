"""Ports for servers of the tests that must know theirs before they start; it opens none.

They lie below those that the system gives to connections: such a port stays free while a server
that had it is away, however many others connect meanwhile.
"""

from __future__ import annotations

import itertools
import os
import socket
from typing import Final

FIRST: Final = 10_000
COUNT: Final = 20_000
#: Workers that run at the same time begin far from each other.
_numbers = itertools.count(os.getpid() * 997)


def free_port() -> int:
    """Return a port of loopback that nobody has now; no two calls of a process return one."""
    while True:
        port = FIRST + next(_numbers) % COUNT
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(type=kind) as one:
                    one.bind(("127.0.0.1", port))
        except OSError:
            continue
        return port
