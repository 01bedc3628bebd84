"""What clients asked and were told, as one JSON line per event; it judges nothing.

A client notes each call before it starts and each answer when it has it. A call whose answer never
came is `info`: it may have happened or not, but once. What `ate.testing.checkers` then wants to
know is in a `Case`: these operations, and the logs as every server has them at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from ate.errors import UsageError

Outcome: TypeAlias = Literal["ok", "fail", "info"]


class Call(msgspec.Struct, frozen=True, tag_field="call", omit_defaults=True):
    """What a client asks; `chain` is the chain's name."""

    chain: str


class Append(Call, frozen=True, tag="append", omit_defaults=True):
    """Order a commit. All attempts of one commit have the same device, session and lsn.

    Args:
        digest: its leaf in the chain's tree, in hexadecimal; no two commits have the same.
        at: refuse unless the chain's head is this seq.
        lease, fence: refuse when this lease was taken with a larger number since; 0 = no fence.
        rows: how many seqs it takes.
    """

    device: int
    session: int
    lsn: int
    digest: str
    at: int | None = None
    lease: str = ""
    fence: int = 0
    rows: int = 1

    @property
    def key(self) -> Key:
        return self.chain, self.device, self.session, self.lsn


class Head(Call, frozen=True, tag="head", omit_defaults=True):
    """Ask for the seq of the last row; one that is not `fresh` may be behind."""

    fresh: bool = True


class Read(Call, frozen=True, tag="read", omit_defaults=True):
    """Read commits from the one at seq `first` on: all when it is `fresh`, or else some.

    When the answer has a head, the reader was told that this is all there is.
    """

    first: int
    fresh: bool = False


class Lookup(Call, frozen=True, tag="lookup", omit_defaults=True):
    """Was this commit applied? The answer's seq is 0 when it was not."""

    device: int
    session: int
    lsn: int

    @property
    def key(self) -> Key:
        return self.chain, self.device, self.session, self.lsn


class Revoke(Call, frozen=True, tag="revoke", omit_defaults=True):
    """Take no more commits from a device.

    When it is a commit of the chain itself, the answer has its seq.
    """

    device: int


AnyCall: TypeAlias = Append | Head | Read | Lookup | Revoke
#: Names a commit: chain, device, session, lsn.
Key: TypeAlias = tuple[str, int, int, int]


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a client was told.

    Args:
        seq: of the commit's first row. index: of the commit.
        head: seq of the chain's last row, as it was told; None when it was not.
        code: of the error.
        entries: what was read, (seq, digest) each.
    """

    seq: int = 0
    index: int = -1
    head: int | None = None
    code: str = ""
    entries: list[tuple[int, str]] = []


class _Line(msgspec.Struct, frozen=True, omit_defaults=True):
    id: str
    time: float
    event: Literal["invoke", "ok", "fail", "info"]
    client: str = ""
    invoke: AnyCall | None = None
    answer: Answer = Answer()


@dataclass(slots=True)
class Operation:
    """A call with its answer.

    Args:
        id: unique in the history.
        invoked, done: seconds of one clock that all clients share; `done` is None when no answer
            came.
    """

    id: str
    client: str
    call: AnyCall
    invoked: float
    done: float | None = None
    outcome: Outcome = "info"
    answer: Answer = field(default_factory=Answer)

    def __str__(self) -> str:
        words = [f"{name}={value}" for name, value in _told(self.call) if value != ""]
        until = "…" if self.done is None else f"{self.done:g}"
        kind = type(self.call).__name__.lower()
        return f"{self.id} ({kind} {' '.join(words)}, {self.invoked:g} to {until})"


class History:
    """Notes what happens, in memory or in a file as well.

    Args:
        clock: seconds; the same clock for all clients, such as `SystemClock().monotonic_s`.
        write: gets each line as it is noted, before the call starts.
    """

    def __init__(
        self, clock: Callable[[], float], write: Callable[[bytes], object] | None = None
    ) -> None:
        self.operations: list[Operation] = []
        self._clock, self._write = clock, write

    def invoke(self, client: str, call: AnyCall) -> Operation:
        """Note that a call starts. A client that starts again needs another name."""
        now = self._clock()
        operation = Operation(f"{client}/{len(self.operations)}", client, call, now)
        self.operations.append(operation)
        self._note(_Line(operation.id, now, "invoke", client, call))
        return operation

    def ok(self, operation: Operation, answer: Answer | None = None) -> None:
        """Note that it happened."""
        self._done(operation, "ok", answer or Answer())

    def fail(self, operation: Operation, answer: Answer | None = None) -> None:
        """Note that it did not happen and never will."""
        self._done(operation, "fail", answer or Answer())

    def info(self, operation: Operation, answer: Answer | None = None) -> None:
        """Note that nobody knows."""
        self._done(operation, "info", answer or Answer())

    def _done(self, operation: Operation, outcome: Outcome, answer: Answer) -> None:
        if operation.done is not None:
            raise UsageError(f"{operation.id} was answered before")
        operation.done, operation.outcome, operation.answer = self._clock(), outcome, answer
        self._note(_Line(operation.id, operation.done, outcome, answer=answer))

    def _note(self, line: _Line) -> None:
        if self._write is not None:
            self._write(_ENCODE(line) + b"\n")


def load(lines: Iterable[bytes]) -> list[Operation]:
    """Return the operations of the lines of one or more clients.

    A line without its end is what a killed client left: it is no line.

    Raises:
        UsageError: a line is none of ours, or an answer has no call.
    """
    found: dict[str, Operation] = {}
    for number, raw in enumerate(lines, 1):
        if not raw.endswith(b"\n"):
            continue
        try:
            line = _DECODE(raw)
        except msgspec.DecodeError as error:
            raise UsageError(f"line {number} is no event of a history: {error}") from None
        if line.event == "invoke":
            if line.invoke is None or line.id in found:
                raise UsageError(f"line {number}: {line.id} starts twice, or calls nothing")
            found[line.id] = Operation(line.id, line.client, line.invoke, line.time)
        elif line.id not in found or found[line.id].done is not None:
            raise UsageError(f"line {number}: {line.id} was not called, or answered before")
        else:
            one = found[line.id]
            one.done, one.outcome, one.answer = line.time, line.event, line.answer
    return list(found.values())


def load_files(paths: Iterable[Path]) -> list[Operation]:
    """Return the operations of several files."""
    found: list[Operation] = []
    for path in paths:
        with path.open("rb") as file:
            found += load(file)
    return found


# --- the end ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """A commit as a log has it; see `Append`. Without an origin, device and session are 0."""

    seq: int
    index: int
    digest: str
    device: int = 0
    session: int = 0
    lsn: int = 0
    lease: str = ""
    fence: int = 0
    rows: int = 1

    @property
    def last(self) -> int:
        """Seq of its last row."""
        return self.seq + self.rows - 1


@dataclass(frozen=True, slots=True)
class FinalLog:
    """A chain as one server has it at the end.

    Args:
        entries: in the log's order.
        cut: commits with a smaller index may be missing: they were compacted.
        leaves: hashes of all commits, also of those that are missing; of the entries when empty.
    """

    server: str
    chain: str
    entries: Sequence[Entry]
    cut: int = 0
    leaves: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class Stated:
    """A root that a server has signed: a receipt, or a statement of its head.

    Args:
        commits: the size of the tree that has this root.
        source: the operation or server that it came from, for the message.
    """

    chain: str
    commits: int
    root: bytes
    source: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a chain amounts to at one head, as seen by someone at some moment.

    Args:
        state: hash of what the objects are. origins: hash of the newest lsn of each session.
        moment: "before compaction", "after restart of b", …
    """

    chain: str
    head: int
    state: str
    origins: str
    moment: str


@dataclass(slots=True)
class Follower:
    """Someone who wants to be told how long a chain is, for as long as they do.

    Args:
        name: of this subscription; one that begins anew has another.
        since, until: seconds, when it began and ended.
        told: (moment, seq of the chain's last row), in the order in which they came.
    """

    name: str
    chain: str
    since: float
    told: list[tuple[float, int]] = field(default_factory=list)
    until: float = inf


@dataclass(frozen=True, slots=True)
class Mended:
    """From this moment on nothing was broken.

    Args:
        length: seq of the chain's last row, of which all who follow it are to be told.
        within_s: so soon.
    """

    chain: str
    moment: float
    length: int
    within_s: float = 10.0


@dataclass(slots=True)
class Case:
    """All that is known after a run.

    Args:
        revoke_bound_s: a device that was revoked may go on for so long.
    """

    operations: Sequence[Operation] = ()
    logs: Sequence[FinalLog] = ()
    stated: Sequence[Stated] = ()
    snapshots: Sequence[Snapshot] = ()
    revoke_bound_s: float = 0.0
    followers: Sequence[Follower] = ()
    mended: Sequence[Mended] = ()


def _told(call: AnyCall) -> list[tuple[str, object]]:
    """Return the fields that say something, the digest not in full."""
    found: list[tuple[str, object]] = []
    for name, value in msgspec.structs.asdict(call).items():
        if name == "digest":
            found.append((name, str(value)[:8]))
        elif value is not None and not (name == "fence" and value == 0):
            found.append((name, value))
    return found


_ENCODE: Final = msgspec.json.Encoder().encode
_DECODE: Final = msgspec.json.Decoder(_Line).decode
