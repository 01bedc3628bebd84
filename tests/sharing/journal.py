"""What clients of the library did and were told, at two levels; it judges nothing.

A deed is a call of the public API. Below it is a commit as it is sent, noted where a chain's
writer hands it on and hears what became of it: a `History` of these is what `check` wants.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec

import ate.joining
from ate.dio.forwarder import Forwarder
from ate.dio.parcel import Parcel
from ate.dio.transaction import Transaction
from ate.errors import AteError, OutOfSpace, StorageError
from ate.event.commit import Record
from ate.merkle import Frontier
from ate.testing.history import Answer, Append, Follower, History, Operation, load

#: How a deed's name stands in what it stores.
TOKEN: Final = re.compile(rb"<([a-z]+[0-9]*)\.(\d+)\.(\d+)>")
Outcome: TypeAlias = Literal["ok", "kept", "fail", "info"]


def token(client: str, life: int, number: int) -> str:
    """Return the name of a deed; no two deeds of a run have the same."""
    return f"<{client}.{life}.{number}>"


class Deed(msgspec.Struct, tag=True):
    """A call of the public API that writes.

    Args:
        outcome: "ok": it is in the chain; "kept": on this client's disk; "fail": it did not happen
            and never will; "info": nobody knows.
        durability: of the commit that was asked for.
        rows: how many objects bear its token.
        seq: of its first row, when it is ok.
        fence: number of the lease that it was done under; 0 = none.
    """

    token: str
    chain: str
    kind: str
    durability: int
    invoked: float
    rows: int = 1
    done: float = -1.0
    outcome: Outcome = "info"
    seq: int = 0
    code: str = ""
    fence: int = 0


class Sent(msgspec.Struct, tag=True):
    """A commit on its way: the tokens of deeds of its own author in it, one for each row."""

    chain: str
    device: int
    session: int
    lsn: int
    tokens: list[str]


class SetBack(msgspec.Struct, tag=True):
    """Work done offline that was refused, and is known to the program."""

    chain: str
    tokens: list[str]


class Watched(msgspec.Struct, tag=True):
    """What a watcher saw: rows behind `since`."""

    chain: str
    watcher: str
    since: int
    seqs: list[int]


class Broken(msgspec.Struct, tag=True):
    """A promise that is broken on its face."""

    what: str


class Facts(msgspec.Struct, tag=True):
    """How a copy of a chain is at some moment."""

    moment: str
    chain: str
    who: str
    commits: int = 0
    root: str = ""
    state: str = ""


AnyNote: TypeAlias = Deed | Sent | SetBack | Watched | Broken | Facts


class Journal:
    """Everything that one client, or all of a simulation, did.

    Args:
        clock: seconds that all clients share.
        write: gets each line, notes and the history's.
    """

    def __init__(
        self, clock: Callable[[], float], write: Callable[[bytes], object] | None = None
    ) -> None:
        self.clock, self._write = clock, write
        self.notes: list[AnyNote] = []
        self.watched: list[Watched] = []
        self.followers: list[Follower] = []
        self.history = History(clock, write)

    def note(self, one: AnyNote) -> None:
        """Keep a note. A deed is noted when it starts, and again when it is done."""
        self.notes.append(one)
        if isinstance(one, Watched):
            self.watched.append(one)
        if self._write is not None:
            self._write(_encode(one) + b"\n")

    def done(self, deed: Deed, outcome: Outcome, *, seq: int = 0, code: str = "") -> None:
        """Note what became of a deed."""
        deed.done, deed.outcome, deed.seq, deed.code = self.clock(), outcome, seq, code
        if self._write is not None:
            self._write(_encode(deed) + b"\n")


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AnyNote).decode


def load_notes(paths: Iterable[Path]) -> tuple[list[AnyNote], list[Operation]]:
    """Return the notes and the history that clients left in files; a torn last line is none."""
    deeds: dict[str, Deed] = {}
    notes: list[AnyNote] = []
    operations: list[Operation] = []
    for path in paths:
        history = []
        for line in path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                continue
            if not line.startswith(b'{"type"'):
                history.append(line)
                continue
            note = _decode(line)
            if isinstance(note, Deed):
                deeds[note.token] = note
            else:
                notes.append(note)
        operations += load(history)
    return [*deeds.values(), *notes], operations


# --- commits on their way -----------------------------------------------------------------------


class Author:
    """Who makes commits in one life of one client; a dead one notes nothing any more."""

    def __init__(self, journal: Journal, name: str) -> None:
        self.journal, self.name, self.is_dead = journal, name, False
        self.client = name.partition(".")[0]
        self.following: list[Follower] = []

    def die(self) -> None:
        """Note nothing from now on, and be told nothing."""
        self.is_dead = True
        for one in self.following:
            one.until = min(one.until, self.journal.clock())


AUTHOR: ContextVar[Author] = ContextVar("author")


class NotingForwarder(Forwarder):
    """A writer that notes each commit that it sends, and what it hears of it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._noter = AUTHOR.get()
        self._sent: dict[Parcel, Operation] = {}
        self.chain_name = ""

    def _send(self, parcel: Parcel) -> None:
        if not self._noter.is_dead:
            journal, record = self._noter.journal, Record(memoryview(parcel.payload))
            author, chain = record.author, self._chain()
            rows = [draft for one in parcel.group for draft in one.drafts]
            mine = [own_token(self._noter.client, bytes(draft.body)) for draft in rows]
            source = author.device, author.session, author.lsn
            journal.note(Sent(chain, *source, mine))
            call = Append(chain, *source, record.root.hex(), at=parcel.at, rows=record.row_count)
            self._sent[parcel] = journal.history.invoke(self._noter.name, call)
        super()._send(parcel)

    def _chain(self) -> str:
        return self.chain_name or str(getattr(self.carrier, "name", ""))

    def landed(self, parcel: Parcel, record: Record, frontier: Frontier) -> None:
        place = record.sequencer
        self._answer(parcel, "ok", Answer(seq=record.first_seq, index=place.index))
        super().landed(parcel, record, frontier)

    def passed(self, parcel: Parcel) -> None:
        self._answer(parcel, "info", Answer(code="compacted"))
        super().passed(parcel)

    def refused(self, parcel: Parcel, error: AteError) -> None:
        told = getattr(error, "theirs", 0) if error.code == "conflict" and parcel.at else 0
        answer = Answer(code=error.code, head=told or None)
        # Of what was given up it is only known that it was not in the chain a moment ago; and what
        # a full server did not take is in the outbox again if this disk loses its removal.
        is_open = parcel.abandoned or isinstance(error, OutOfSpace)
        self._answer(parcel, "info" if is_open else "fail", answer)
        super().refused(parcel, error)

    def skipped(self, parcels: Sequence[Parcel]) -> None:
        for parcel in parcels:
            self._answer(parcel, "fail", Answer(code="lsn_gap"))
        super().skipped(parcels)

    def _fail(self, group: Sequence[Transaction], error: BaseException) -> None:
        """A disk that fails is told to the program at once, with all that waits on it."""
        super()._fail(group, error)
        if not self._noter.is_dead and isinstance(error, StorageError):
            rows = [draft for one in group if one.first for draft in one.drafts]
            mine = [own_token(self._noter.client, bytes(draft.body)) for draft in rows]
            self._noter.journal.note(SetBack(self._chain(), [one for one in mine if one]))

    def _answer(self, parcel: Parcel, outcome: str, answer: Answer) -> None:
        operation = self._sent.pop(parcel, None)
        if operation is not None and not self._noter.is_dead:
            getattr(self._noter.journal.history, outcome)(operation, answer)


def own_token(client: str, body: bytes) -> str:
    """Return the token of this client in a body; empty when there is none."""
    for found in TOKEN.finditer(body):
        if found[1].decode() == client:
            return found[0].decode()
    return ""


def install(patch: Any, make: type[NotingForwarder] = NotingForwarder) -> None:
    """Let chains that are opened from now on note what they send."""
    patch.setattr(ate.joining, "Forwarder", make)
