"""Counts what the server does, and writes it as Prometheus reads it; no names, no keys, no I/O.

The text form is version 0.0.4 of Prometheus' exposition format.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from ate.errors import codes
from ate.mesh.pump import Traffic

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
#: Upper bounds in seconds: from a write to a fast disk to what no user waits for.
_SECONDS: Final = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


class Counter:
    """A number that only grows, one for each label value."""

    def __init__(self, name: str, help: str, label: str = "") -> None:
        self.name, self.help, self._label = name, help, label
        self.values: dict[str, float] = {} if label else {"": 0}

    def add(self, amount: float = 1, label: str = "") -> None:
        self.values[label] = self.values.get(label, 0) + amount

    def lines(self) -> Iterator[str]:
        yield from _head(self.name, self.help, "counter")
        for label, value in self.values.items():
            shown = f'{{{self._label}="{label}"}}' if self._label else ""
            yield f"{self.name}{shown} {_number(value)}"


class Gauge:
    """A number as it is now.

    Args:
        measure: asked for it each time it is shown; without it, `value` is shown.
        kind: "counter" for one that somebody else counts.
    """

    def __init__(
        self,
        name: str,
        help: str,
        measure: Callable[[], float | None] | None = None,
        kind: str = "gauge",
    ) -> None:
        self.name, self.help, self.value = name, help, 0.0
        self._measure, self._kind = measure, kind

    def lines(self) -> Iterator[str]:
        value = self._measure() if self._measure is not None else self.value
        if value is not None:
            yield from _head(self.name, self.help, self._kind)
            yield f"{self.name} {_number(value)}"


class Histogram:
    """How long something took, counted in classes."""

    def __init__(self, name: str, help: str, bounds: Sequence[float] = _SECONDS) -> None:
        self.name, self.help, self._bounds = name, help, tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self) -> Iterator[str]:
        yield from _head(self.name, self.help, "histogram")
        total = 0
        for bound, count in zip(self._bounds, self._counts[:-1], strict=True):
            total += count
            yield f'{self.name}_bucket{{le="{_number(bound)}"}} {total}'
        total += self._counts[-1]
        yield f'{self.name}_bucket{{le="+Inf"}} {total}'
        yield f"{self.name}_sum {_number(self._sum)}"
        yield f"{self.name}_count {total}"


class Metrics:
    """All numbers of a server; its halls add to them through a `HallMeter`."""

    def __init__(self) -> None:
        self.known = frozenset(codes())
        self.connected = Counter("atedb_connections_total", "Connections since the start.")
        self.turned_away = Counter(
            "atedb_turned_away_total", "Connections and requests not served.", "reason"
        )
        self.http = Counter("atedb_http_requests_total", "HTTP requests by status.", "status")
        self.traffic = traffic = Traffic()
        self.received = Gauge(
            "atedb_received_bytes_total", "Bytes of frames received.",
            lambda: traffic.received, "counter",
        )  # fmt: skip
        self.sent = Gauge(
            "atedb_sent_bytes_total", "Bytes of frames sent.", lambda: traffic.sent, "counter"
        )
        self.chains = Gauge("atedb_chains_open", "Chains that are open.")
        self.channels = Gauge("atedb_channels_open", "Channels of connections to chains.")
        self.commits = Counter("atedb_commits_total", "Commits appended.")
        self.bytes = Counter("atedb_commit_bytes_total", "Bytes of commits appended.")
        self.refused = Counter("atedb_refused_total", "Commits and requests refused.", "code")
        self.flush = Histogram("atedb_flush_seconds", "How long flushes took.")
        self.fanout = Histogram(
            "atedb_fanout_seconds", "From durable to queued for the last follower."
        )
        self.records = Counter("atedb_records_sent_total", "Commits times their followers.")
        self.lagged = Counter("atedb_lagged_total", "Followers told that they are far behind.")
        self.compactions = Counter(
            "atedb_compactions_total", "Compactions where a chain's root said so.", "outcome"
        )
        self.reclaimed = Counter("atedb_reclaimed_bytes_total", "Bytes that they made free.")
        self.draining = Gauge("atedb_draining", "1 while the server ends.")
        self._all: list[Counter | Gauge | Histogram] = [
            one for one in vars(self).values() if isinstance(one, Counter | Gauge | Histogram)
        ]

    def measure(self, name: str, help: str, ask: Callable[[], float | None]) -> None:
        """Add a number that is looked up when it is shown; None leaves it out."""
        self._all.append(Gauge(name, help, ask))

    def text(self) -> str:
        """Return all numbers in Prometheus' form."""
        return "".join(f"{line}\n" for one in self._all for line in one.lines())


class HallMeter:
    """What one hall tells, added to the numbers of the server.

    Args:
        metrics: of the server.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._open = 0

    def chains(self, count: int) -> None:
        self._metrics.chains.value += count - self._open
        self._open = count

    def channels(self, change: int) -> None:
        self._metrics.channels.value += change

    def appended(self, commits: int, nbytes: int) -> None:
        # Each commit comes by here: no call for a plain sum.
        self._metrics.commits.values[""] += commits
        self._metrics.bytes.values[""] += nbytes

    def refused(self, code: str) -> None:
        # A label may take few values: a peer has no say in them.
        self._metrics.refused.add(1, code if code in self._metrics.known else "other")

    def flushed(self, seconds: float) -> None:
        self._metrics.flush.observe(seconds)

    def sent(self, followers: int, seconds: float) -> None:
        self._metrics.records.values[""] += followers
        self._metrics.fanout.observe(seconds)

    def lagged(self) -> None:
        self._metrics.lagged.add()

    def compacted(self, outcome: str, nbytes: int) -> None:
        self._metrics.compactions.add(1, outcome)
        self._metrics.reclaimed.add(max(nbytes, 0))


def _head(name: str, help: str, kind: str) -> tuple[str, str]:
    return f"# HELP {name} {help}", f"# TYPE {name} {kind}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
