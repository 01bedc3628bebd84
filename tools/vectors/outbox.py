"""Vectors of outbox files, put together by hand from the specification; it opens no outbox."""

from __future__ import annotations

from typing import Any

from ate.crypto.hash import digest


def check(data: bytes) -> bytes:
    """Return the eight bytes that find accidents."""
    return digest(data)[:8]


def number(value: int, size: int) -> bytes:
    """Return a little-endian number."""
    return value.to_bytes(size, "little")


def header(following: int = 1, *, version: int = 1) -> bytes:
    """Return the header of a file."""
    front = b"ATEOUT1\n" + number(version, 2) + bytes(6) + number(following, 8) + bytes(32)
    return front + check(front)


def payload(kind: int, entry: int, *, state: int = 0, at: tuple[int, int] = (0, 0),
            note: bytes = b"", work: bytes = b"", commit: bytes = b"") -> bytes:  # fmt: skip
    """Return what one frame says."""
    lengths = number(len(note), 2) + number(len(work), 4)
    front = bytes((kind, state)) + lengths + number(entry, 8) + number(at[0], 8) + number(at[1], 8)
    return front + note + work + commit


def file(*payloads: bytes, following: int = 1, flushed: bool = True) -> bytes:
    """Return a file; `flushed`: each frame knows all before it to be durable."""
    raw = header(following)
    for one in payloads:
        rest = number(len(raw) if flushed else 64, 8) + bytes(8) + one
        raw += b"ATEf" + number(len(one), 4) + check(rest) + rest + bytes(-len(one) % 8)
    return raw


ADDED = payload(1, 1, work=b"first")
PREPARED = payload(2, 1, state=1, at=(70, 1), commit=b"commit")
SECOND = payload(1, 2, state=1, at=(70, 2), commit=b"second")
REMOVED = payload(4, 1)
WORK = [payload(1, n, work=b"w%d" % n) for n in (1, 2, 3)]
SHARED = payload(5, 2, state=1, at=(70, 3), work=number(1, 8), commit=b"both")

FIRST = {"number": 1, "state": "waiting", "work": b"first".hex()}
SENT = {**FIRST, "state": "sent", "session": 70, "lsn": 1, "commit": b"commit".hex()}
PREPARED_SAYS = {"state": "sent", "session": 70, "lsn": 1, "commit": b"commit".hex()}
OTHER = {"number": 2, "state": "sent", "session": 70, "lsn": 2, "commit": b"second".hex()}
WAIT = [{"number": n, "state": "waiting", "work": (b"w%d" % n).hex()} for n in (1, 2, 3)]
BOTH = {"state": "sent", "session": 70, "lsn": 3, "shares": [2, 1]}
CLASH = {**SENT, "state": "conflict", "note": b"why".hex()}

VALID: list[tuple[str, bytes, list[dict[str, Any]], int]] = [
    ("empty", header(), [], 1),
    ("empty, written anew", header(9), [], 9),
    ("one that waits", file(ADDED), [FIRST], 2),
    ("prepared", file(ADDED, PREPARED), [SENT], 2),
    ("two, and zeros behind", file(ADDED, PREPARED, SECOND) + bytes(500), [SENT, OTHER], 3),
    ("conflict", file(ADDED, PREPARED, payload(3, 1, state=2, note=b"why")), [CLASH], 2),
    ("waiting again", file(ADDED, PREPARED, payload(3, 1)), [FIRST], 2),
    ("removed", file(ADDED, SECOND, REMOVED), [OTHER], 3),
    ("written anew", file(SECOND, following=7), [OTHER], 7),
    (
        "two share a commit",
        file(*WORK, SHARED),
        [{**WAIT[0], **BOTH}, {**WAIT[1], **BOTH, "commit": b"both".hex()}, WAIT[2]],
        4,
    ),
    ("one of them waits, so both do", file(*WORK, SHARED, payload(3, 1)), WAIT, 4),
    ("one of them is gone", file(*WORK, SHARED, payload(4, 2)), [WAIT[0], WAIT[2]], 4),
    ("they landed", file(*WORK, SHARED, payload(6, 1)), [WAIT[2]], 4),
    (
        "one of them gets another commit",
        file(*WORK, SHARED, PREPARED),
        [{**WAIT[0], **PREPARED_SAYS}, WAIT[1], WAIT[2]],
        4,
    ),
    ("a torn end", file(ADDED, SECOND)[:-5], [FIRST], 2),
    ("two frames lost before a flush", file(ADDED, SECOND, flushed=False)[:-48], [FIRST], 2),
]


def flipped(raw: bytes, at: int) -> bytes:
    """Return the bytes with one bit changed."""
    return raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :]


INVALID: list[tuple[str, bytes, str]] = [
    ("nothing", b"", "unsupported_format"),
    ("something else", b"x" * 64, "unsupported_format"),
    ("a newer version", header(version=2), "unsupported_format"),
    ("a newer kind", file(payload(7, 1)), "unsupported_format"),
    ("a newer state", file(payload(1, 1, state=3)), "unsupported_format"),
    ("a damaged header", flipped(header(), 40), "corrupt_log"),
    ("next number 0", header(0), "corrupt_log"),
    ("damage that a later frame proves", flipped(file(ADDED, SECOND), 100), "corrupt_log"),
    ("no such entry", file(REMOVED), "corrupt_log"),
    ("a number again", file(ADDED, ADDED), "corrupt_log"),
    ("number 0", file(payload(1, 0)), "corrupt_log"),
    ("sent without a commit", file(payload(1, 1, state=1)), "corrupt_log"),
    ("a session without a commit", file(payload(1, 1, at=(7, 1))), "corrupt_log"),
    ("lsn 0", file(payload(1, 1, state=1, at=(7, 0), commit=b"c")), "corrupt_log"),
    ("removed with a note", file(ADDED, payload(4, 1, note=b"n")), "corrupt_log"),
    ("marked with work", file(ADDED, payload(3, 1, work=b"w")), "corrupt_log"),
    (
        "shared with nobody",
        file(*WORK, payload(5, 2, state=1, at=(7, 1), commit=b"c")),
        "corrupt_log",
    ),
    (
        "shared with half a number",
        file(*WORK, payload(5, 2, state=1, at=(7, 1), work=b"1234", commit=b"c")),
        "corrupt_log",
    ),
    (
        "shared with itself",
        file(*WORK, payload(5, 1, state=1, at=(7, 1), work=number(1, 8), commit=b"c")),
        "corrupt_log",
    ),
    (
        "shared with one that is not there",
        file(*WORK, payload(5, 1, state=1, at=(7, 1), work=number(9, 8), commit=b"c")),
        "corrupt_log",
    ),
    (
        "shared with one without work",
        file(
            *WORK,
            payload(1, 4, state=1, at=(7, 1), commit=b"c"),
            payload(5, 1, state=1, at=(7, 2), work=number(4, 8), commit=b"c"),
        ),
        "corrupt_log",
    ),
    ("one that shares is sent alone", file(*WORK, SHARED, payload(3, 2, state=1)), "corrupt_log"),
    ("landed with a note", file(ADDED, payload(6, 1, note=b"n")), "corrupt_log"),
    ("lengths that reach too far", file(ADDED[:34]), "corrupt_log"),
]


def outboxes() -> dict[str, Any]:
    """Return valid and invalid files."""
    return {
        "valid": [
            {"name": name, "file": raw.hex(), "entries": entries, "next": following}
            for name, raw, entries, following in VALID
        ],
        "invalid": [
            {"name": name, "file": raw.hex(), "error": error} for name, raw, error in INVALID
        ],
    }
