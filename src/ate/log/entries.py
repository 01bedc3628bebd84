r"""The bytes of an outbox: its file header, and the payloads of its frames; it never opens a file.

    file header  64 bytes: magic "ATEOUT1\n" · u16 version · 6 zeros · u64 next number · zeros
                 · u64 check of the first 56 bytes
    payload      u8 kind · u8 state · u16 length of the note · u32 length of the work · u64 number
                 · u64 session · u64 lsn · note · work · commit

All little-endian. The frames around the payloads are those of log segments (`ate.log.segment`).
Entry (1) tells a whole entry, Prepared (2) its commit, Marked (3) its state and note, and Removed
(4) that it is gone. Shared (5) tells the commit that the entry has together with others, whose
numbers are the work, a u64 each; Landed (6) that it is gone with all that share its commit. What a
kind has no use for is zero or empty.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias, get_args

from ate import limits
from ate.crypto.hash import check64
from ate.errors import CorruptLog, UnsupportedFormat, UsageError
from ate.log.disk import Buffer
from ate.log.segment import HEADER_BYTES

NAME: Final = "outbox"
VERSION: Final = 1
State: TypeAlias = Literal["waiting", "sent", "conflict"]
STATES: Final[tuple[State, ...]] = get_args(State)
ENTRY: Final = 1
PREPARED: Final = 2
MARKED: Final = 3
REMOVED: Final = 4
SHARED: Final = 5
LANDED: Final = 6

_MAGIC: Final = b"ATEOUT1\n"
_WORD_MAX: Final = (1 << 64) - 1
_HEADER: Final = struct.Struct("<8sH6xQ32x")
_CHECK: Final = struct.Struct("<Q")
_FRONT: Final = struct.Struct("<BBHIQQQ")
#: What an entry's bytes weigh besides its note, work and commit.
FRONT_BYTES: Final = _FRONT.size


@dataclass(frozen=True, slots=True)
class Entry:
    """One commit that was accepted here and is not in the chain yet.

    Attributes:
        number: 1, 2, … within this outbox; one that was flushed is never used again.
        work: what was asked, sealed by the caller; may be empty.
        session, lsn: of the commit; 0 = not prepared yet.
        commit: the exact bytes that were or will be sent; empty until prepared.
        state: "waiting" to be prepared; "sent": it is prepared, so it may have been sent;
            "conflict": somebody has to decide.
        note: the caller's words about the state.
        shares: the numbers of all whose work is in one commit with this one's, in its order; the
            first of them has the commit. Empty: it has a commit of its own, or none.
    """

    number: int
    work: bytes = b""
    session: int = 0
    lsn: int = 0
    commit: bytes = b""
    state: State = "waiting"
    note: bytes = b""
    shares: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """How many bytes it takes."""
        return FRONT_BYTES + len(self.note) + len(self.work) + len(self.commit)


def encode_header(number: int) -> bytes:
    """Return the first bytes of an outbox whose next entry gets at least this number."""
    front = _HEADER.pack(_MAGIC, VERSION, number)
    return front + _CHECK.pack(check64((front,)))


def decode_header(raw: Buffer) -> int:
    """Return the next number.

    Raises:
        UnsupportedFormat: this is no outbox, or one of another version.
        CorruptLog: it is one, and its header is damaged.
    """
    head = bytes(raw[:HEADER_BYTES])
    if head[:8] != _MAGIC or len(head) < HEADER_BYTES:
        raise UnsupportedFormat(f"{NAME} is not a list of commits to send")
    _, version, number = _HEADER.unpack_from(head)
    if version != VERSION:
        raise UnsupportedFormat(f"{NAME} has format {version}, this version reads {VERSION}")
    if not number or head != encode_header(number):
        raise CorruptLog("the header is damaged", offset=0, file=NAME)
    return int(number)


def encode(kind: int, entry: Entry) -> bytes:
    """Return a payload: the parts of `entry` that this kind tells."""
    state = STATES.index(entry.state)
    front = _FRONT.pack(
        kind, state, len(entry.note), len(entry.work), entry.number, entry.session, entry.lsn
    )
    return b"".join((front, entry.note, entry.work, entry.commit))


def decode(raw: Buffer) -> tuple[int, Entry]:
    """Return kind and content of a payload; raises ValueError when it is none.

    Raises:
        UnsupportedFormat: a newer version has written it.
    """
    if len(raw) < FRONT_BYTES:
        raise ValueError("a payload that is cut short")
    kind, state, note, work, number, session, lsn = _FRONT.unpack_from(raw)
    if not ENTRY <= kind <= LANDED or state >= len(STATES):
        raise UnsupportedFormat(f"{NAME} tells something of kind {kind}, state {state}")
    at, behind = FRONT_BYTES + note, FRONT_BYTES + note + work
    if behind > len(raw) or not number:
        raise ValueError("lengths or a number that cannot be")
    entry = Entry(
        number=number,
        work=bytes(raw[at:behind]),
        session=session,
        lsn=lsn,
        commit=bytes(raw[behind:]),
        state=STATES[state],
        note=bytes(raw[FRONT_BYTES:at]),
    )
    if not _makes_sense(kind, entry):
        raise ValueError("parts that this kind does not have")
    return kind, entry


def _makes_sense(kind: int, entry: Entry) -> bool:
    bare = Entry(entry.number)
    if kind == ENTRY and not entry.commit:
        return entry.state != "sent" and not entry.session and not entry.lsn
    if kind == ENTRY:
        return entry.state != "waiting" and entry.session > 0 < entry.lsn
    if kind in (PREPARED, SHARED):
        as_prepared = prepared(bare, entry.session, entry.lsn, entry.commit)
        if kind == SHARED:
            as_prepared = replace(as_prepared, work=entry.work)
        is_whole = len(entry.work) % 8 == 0 and bool(entry.work) == (kind == SHARED)
        has_commit = bool(entry.commit) and entry.session > 0 < entry.lsn
        return entry == as_prepared and is_whole and has_commit
    if kind == MARKED:
        return entry == replace(bare, state=entry.state, note=entry.note)
    return entry == bare


def prepared(entry: Entry, session: int, lsn: int, commit: bytes) -> Entry:
    """Return the entry once it has a commit."""
    return replace(entry, session=session, lsn=lsn, commit=commit, state="sent", note=b"")


def marked(entry: Entry, state: State, note: bytes) -> Entry:
    """Return the entry in another state; one that waits again has no commit."""
    if state == "waiting":
        return Entry(entry.number, entry.work, note=note)
    return replace(entry, state=state, note=note)


def shared(numbers: Sequence[int], session: int, lsn: int, commit: bytes) -> tuple[int, Entry]:
    """Return the kind and content of what tells that this is the commit of these entries."""
    told = prepared(Entry(numbers[0]), session, lsn, commit)
    if len(numbers) == 1:
        return PREPARED, told
    return SHARED, replace(told, work=struct.pack(f"<{len(numbers) - 1}Q", *numbers[1:]))


def others(told: Entry) -> tuple[int, ...]:
    """Return the numbers that `shared` has put behind the first one."""
    return struct.unpack(f"<{len(told.work) // 8}Q", told.work)


def check_commit(session: int, lsn: int, commit: bytes) -> None:
    """Raise LimitExceeded or UsageError unless an entry can hold this commit."""
    limits.check("bytes of a commit", len(commit), limits.COMMIT_BYTES_MAX)
    if not commit or not (0 < session <= _WORD_MAX and 0 < lsn <= _WORD_MAX):
        raise UsageError("a prepared commit has bytes, a session and an lsn")
