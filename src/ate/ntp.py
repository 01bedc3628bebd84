"""`NtpClock`: time that servers agree on, asked with SNTP (RFC 5905); the one door to sockets.

It orders nothing, holds up no commit and never goes back: it runs on the machine's monotonic clock,
and what the servers say moves it. An answer is believed when it answers our question, comes from a
server that is itself in step, and more than half of all servers agree with it.
"""

from __future__ import annotations

import logging
import math
import queue
import socket
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median_low
from typing import Final, NamedTuple, Self

from ate import limits
from ate.clock import Clock, SystemClock
from ate.crypto.entropy import Entropy, system_entropy
from ate.errors import NetworkError, TimedOut, UsageError

_log = logging.getLogger("ate")

PORT: Final = 123
_PACKET: Final = struct.Struct(">BBbbiI4sQQQQ")
#: No leap second is announced, version 4, a client asks.
_ASK: Final = 0x23
_SERVER_MODE: Final = 4
_UNSYNCHRONIZED: Final = 3
_STRATUM_MAX: Final = 15
#: RFC 5905, 7.4: how far from the truth a server may itself be, half of the way to it included.
_DISTANCE_S_MAX: Final = 1.5
#: Two servers agree when their answers are no further apart than their errors, and this.
_SLACK_S: Final = 0.005
#: From 1900 to 1970, and one turn of the 32-bit seconds, which ends in 2036.
_TO_1970_S: Final = 2_208_988_800
_ERA_S: Final = 1 << 32
#: How much slower time runs while the clock is ahead and waits: at least nine tenths as fast.
_SLEW: Final = 0.1
_SECOND_US: Final = 1_000_000


class Answer(NamedTuple):
    """What one server said.

    Args:
        offset_s: its time minus ours.
        error_s: how far that can be off.
    """

    offset_s: float
    error_s: float


class Sync(NamedTuple):
    """What the servers said the last time they agreed.

    Args:
        offset_s: by how much the clock was moved.
        error_s: how far it can be off.
        agreed: how many servers agree.
    """

    offset_s: float
    error_s: float
    agreed: int


class Refused(NetworkError):
    """An answer that is not believed."""


class _Goodbye(Refused):
    """A kiss-o'-death: the server does not want to be asked, `for_ever` or for a while."""

    def __init__(self, code: str, *, for_ever: bool) -> None:
        super().__init__(f"it does not want to be asked ({code})")
        self.for_ever = for_ever


@dataclass(frozen=True, slots=True)
class _Course:
    """Where the clock goes: `shift_us` beside the monotonic clock, and `ahead_us` to lose yet."""

    shift_us: int
    ahead_us: int = 0
    since_s: float = 0.0

    def now_us(self, at_s: float) -> int:
        lost_us = int((at_s - self.since_s) * _SECOND_US * _SLEW)
        return int(at_s * _SECOND_US) + self.shift_us + max(self.ahead_us - lost_us, 0)


@dataclass(slots=True)
class _Server:
    """A server: its address, when it may be asked again, and what was wrong with it."""

    host: str
    port: int
    quiet_until_s: float = -math.inf
    problem: str = field(default="", repr=False)


class NtpClock:
    """A `Clock` that is kept right by time servers.

        with ate.NtpClock("ntp1.example.org", "ntp2.example.org", "ntp3.example.org") as clock:
            async with ate.open("notes", clock=clock) as chain:
                ...

    Entering asks once, for at most `timeout_s`; from then on a thread asks in the background. When
    nobody answers the machine's own time is used, and that is told. Only the first agreement may
    set the clock back; later ones slow it down until time has caught up.

    Args:
        servers: host, host:port or [address]:port. One is believed alone; of two both must agree,
            of three or more the most.
        interval_s: how often they are asked.
        timeout_s: how long an answer may take.
        clock, entropy: handed in by tests.
    """

    def __init__(
        self,
        *servers: str,
        interval_s: float = 900,
        timeout_s: float = 2,
        clock: Clock | None = None,
        entropy: Entropy = system_entropy,
    ) -> None:
        if not 0 < len(servers) <= limits.NTP_SERVERS_MAX:
            raise UsageError(f"an NtpClock asks 1 to {limits.NTP_SERVERS_MAX} servers")
        if not interval_s >= limits.NTP_INTERVAL_S_MIN or not 0 < timeout_s < interval_s:
            raise UsageError(
                f"time servers are asked every {limits.NTP_INTERVAL_S_MIN} seconds at most, "
                "and answer sooner than they are asked again"
            )
        self.interval_s, self.timeout_s = interval_s, timeout_s
        self.last: Sync | None = None
        self._servers = [_server(one) for one in servers]
        self._clock, self._entropy = clock or SystemClock(), entropy
        shift_us = self._clock.now_us() - int(self._clock.monotonic_s() * _SECOND_US)
        self._course = _Course(shift_us)
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def now_us(self) -> int:
        return self._course.now_us(self._clock.monotonic_s())

    def monotonic_s(self) -> float:
        return self._clock.monotonic_s()

    def __enter__(self) -> Self:
        self._try()
        self._stopped.clear()
        self._thread = threading.Thread(target=self._run, name="ate ntp", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self.interval_s):
            self._try()

    def _try(self) -> None:
        try:
            self.sync()
        except NetworkError as error:
            _log.warning("the clock goes on without the time servers: %s", error)

    def sync(self) -> Sync:
        """Ask all servers, for at most `timeout_s`, and move the clock to what they agree on.

        In a program with an event loop: `await asyncio.to_thread(clock.sync)`.

        Raises:
            TimedOut: too few servers answered in time.
            NetworkError: they do not agree, or what they say is beyond belief; the clock goes on
                as before.
        """
        answers = self._ask_all()
        agreed = _agreed(answers, len(self._servers))
        offset_s = median_low(one.offset_s for one in agreed)
        at_s = self._clock.monotonic_s()
        course, before_us = self._course, self._course.now_us(at_s)
        target_us = before_us + round(offset_s * _SECOND_US)
        if self.last is not None and abs(target_us - before_us) > limits.TIME_SKEW_US:
            raise Refused(f"the servers have moved time by {offset_s:.0f} seconds since they last "
                          "agreed, and that is beyond belief")  # fmt: skip
        ahead_us = before_us - target_us if self.last is not None else 0
        shift_us = course.shift_us + target_us - course._plain_us(at_s)
        self._course = _Course(shift_us, max(ahead_us, 0), at_s)
        self.last = Sync(offset_s, max(one.error_s for one in agreed), len(agreed))
        return self.last
