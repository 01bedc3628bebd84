"""`NtpClock`: a clock that time servers keep right; it holds nobody up and never steps back.

It runs on the machine's monotonic clock, and what the servers say moves it. They are believed when
more than half of them agree.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Final, NamedTuple, Self

from ate import limits
from ate.clock import Clock, SystemClock
from ate.crypto.entropy import Entropy, system_entropy
from ate.errors import NetworkError, TimedOut, UsageError
from ate.ntp import packet
from ate.ntp.packet import Answer, Goodbye
from ate.ntp.query import ask

_log = logging.getLogger("ate")

PORT: Final = 123
_SECOND_US: Final = 1_000_000
#: Servers agree when they are no further apart than they can be off, and this.
_SLACK_US: Final = 5_000
#: While the clock is ahead it runs at nine tenths of its speed.
_SLEW: Final = 10
#: Who asked for fewer questions is left out for so many rounds.
_ROUNDS_OF_REST: Final = 4


class Sync(NamedTuple):
    """What the servers said the last time they agreed.

    Args:
        offset_s: by how much they moved the clock.
        error_s: how far it could be off then.
        agreed: how many of them agreed.
    """

    offset_s: float
    error_s: float
    agreed: int


@dataclass(frozen=True, slots=True)
class _Course:
    """Where the clock goes: beside the monotonic clock, and what it is ahead at `since_s`."""

    shift_us: int
    ahead_us: int = 0
    since_s: float = 0.0

    def true_us(self, at_s: float) -> int:
        return int(at_s * _SECOND_US) + self.shift_us

    def told_us(self, at_s: float) -> int:
        lost_us = int((at_s - self.since_s) * _SECOND_US) // _SLEW
        return self.true_us(at_s) + max(self.ahead_us - lost_us, 0)


@dataclass(slots=True)
class _Server:
    name: str
    host: str
    port: int
    quiet_until_s: float = -math.inf
    problem: str = ""


class NtpClock:
    """A `Clock` that time servers keep right.

        with ate.NtpClock("ntp1.example.org", "ntp2.example.org", "ntp3.example.org") as clock:
            async with ate.open("notes", clock=clock) as chain:
                ...

    Entering it asks once and waits for at most `timeout_s`; from then on a thread asks in the
    background. When nobody answers, the clock goes on as it was, at first as the machine's, and
    the log is told. Their first agreement may set the clock in both directions; after that it goes
    ahead at once and never back: it runs slower until time has caught up. More than ten minutes are
    believed when they are said twice.

    Args:
        servers: host, host:port or [address]:port. One is believed alone, of two both must agree,
            of more than two more than half.
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
                f"time servers are asked every {limits.NTP_INTERVAL_S_MIN} seconds at the most, "
                "and must have answered by then"
            )
        self.interval_s, self.timeout_s = interval_s, timeout_s
        self.last: Sync | None = None
        self._servers = [_server(one) for one in servers]
        self._clock, self._entropy = clock or SystemClock(), entropy
        at_s = self._clock.monotonic_s()
        self._course = _Course(self._clock.now_us() - int(at_s * _SECOND_US))
        self._doubted_us: int | None = None
        self._syncing = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"NtpClock({', '.join(one.name for one in self._servers)}, last {self.last})"

    def now_us(self) -> int:
        return self._course.told_us(self._clock.monotonic_s())

    def monotonic_s(self) -> float:
        return self._clock.monotonic_s()

    @property
    def problems(self) -> dict[str, str]:
        """What was wrong with a server when it was asked last, by the name it was given under."""
        return {one.name: one.problem for one in self._servers if one.problem}

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
        """Ask all servers, for at most `timeout_s`, and follow what they agree on.

        It waits for them: beside an event loop, `await asyncio.to_thread(clock.sync)`.

        Raises:
            TimedOut: too few of them answered.
            NetworkError: they do not agree, or their time is beyond belief. The clock goes on as it
                did.
        """
        with self._syncing:
            agreed = _agreed(self._ask_all(), len(self._servers), self.problems)
            moved_us = median_low(one.offset_us for one in agreed)
            at_s, course = self._clock.monotonic_s(), self._course
            ahead_us = course.told_us(at_s) - course.true_us(at_s) - moved_us
            shift_us = course.shift_us + moved_us
            if self.last is None:
                ahead_us = 0  # a clock that nobody has set yet may go back
            elif abs(ahead_us) > limits.TIME_SKEW_US and not self._is_repeated(shift_us):
                raise NetworkError(
                    f"the servers agree on a time {abs(ahead_us) // _SECOND_US} seconds away from "
                    "what they agreed on before: it is followed when they say so again"
                )
            self._doubted_us = None
            self._course = _Course(shift_us, max(ahead_us, 0), at_s)
            error_us = max(one.error_us for one in agreed)
            self.last = Sync(moved_us / _SECOND_US, error_us / _SECOND_US, len(agreed))
            return self.last

    def _is_repeated(self, shift_us: int) -> bool:
        """Return whether the servers said the same the last time; a paused machine loses time."""
        doubted_us, self._doubted_us = self._doubted_us, shift_us
        return doubted_us is not None and abs(doubted_us - shift_us) < _SECOND_US

    def _ask_all(self) -> list[Answer]:
        """Ask all at once, each in a thread of its own: to look up a name can take for ever."""
        answers: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
        now_s = self._clock.monotonic_s()
        asked = [one for one in self._servers if one.quiet_until_s <= now_s]
        for server in asked:
            server.problem = "it did not answer in time"
            nonce = self._entropy(packet.NONCE_BYTES)
            told = (server, nonce, answers)
            threading.Thread(target=self._ask, args=told, name="ate ntp", daemon=True).start()
        timer = SystemClock()
        until_s = timer.monotonic_s() + self.timeout_s
        found: list[Answer | None] = []
        while len(found) < len(asked):
            try:
                found.append(answers.get(timeout=max(until_s - timer.monotonic_s(), 0)))
            except queue.Empty:
                break
        return [one for one in found if one is not None]

    def _ask(
        self, server: _Server, nonce: bytes, answers: queue.SimpleQueue[Answer | None]
    ) -> None:
        course = self._course
        try:
            answer = ask(
                server.host, server.port, nonce, self.timeout_s,
                lambda: course.true_us(self._clock.monotonic_s()),
            )  # fmt: skip
        except NetworkError as error:
            server.problem = error.message
            answers.put(None)
        except Goodbye as word:
            server.problem = str(word)
            rest_s = math.inf if word.for_ever else _ROUNDS_OF_REST * self.interval_s
            server.quiet_until_s = self._clock.monotonic_s() + rest_s
            answers.put(None)
        else:
            server.problem = ""
            answers.put(answer)


def _agreed(answers: Sequence[Answer], count: int, problems: dict[str, str]) -> list[Answer]:
    """Return the answers that agree, more than half of what all `count` servers could have said."""
    told = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
    if len(answers) <= count // 2:
        raise TimedOut(f"{len(answers)} of {count} time servers answered; {told}", hint="")
    middle = sorted(answers)[(len(answers) - 1) // 2]
    agreed = [
        one
        for one in answers
        if abs(one.offset_us - middle.offset_us) <= one.error_us + middle.error_us + _SLACK_US
    ]
    if len(agreed) <= count // 2:
        raise NetworkError(f"{len(answers)} of {count} time servers answered, and do not agree")
    return agreed


def _server(text: str) -> _Server:
    """Return a server from host, host:port, [address] or [address]:port."""
    host, port = text, ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    number = int(port) if port.isascii() and port.isdecimal() else PORT
    if not host or (port and not port.isdecimal()) or not 0 < number < 1 << 16:
        raise UsageError(f"no time server: {text[:80]!r}", hint="host, host:port or [address]:port")
    return _Server(text, host, number)
