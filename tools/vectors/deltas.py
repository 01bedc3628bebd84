"""Vectors of deltas, put together by hand from the specification; it searches for no matches."""

from __future__ import annotations

from typing import Any

from ate.crypto.hash import digest

BASE = b"\xa4Note" + b"0123456789" * 4


def varint(number: int) -> bytes:
    """Return a number in groups of seven bits, lowest first."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def literal(data: bytes) -> bytes:
    """Return a piece that says its bytes itself."""
    return varint(len(data)) + data


def copy(skip: int, length: int) -> bytes:
    """Return a piece that says where to find its bytes."""
    return varint(skip << 1 if skip >= 0 else ~(skip << 1)) + varint(length)


def made(number: int, plain: bytes, *pieces: bytes, size: int | None = None) -> bytes:
    """Return a delta of these pieces that claims to make `plain`."""
    said = len(plain) if size is None else size
    return varint(number) + varint(said) + digest(plain)[:16] + b"".join(pieces)


VALID: list[tuple[str, int, bytes, tuple[bytes, ...]]] = [
    ("all of it", 1, BASE, (literal(b""), copy(0, 45))),
    (
        "a byte replaced", 2, BASE[:20] + b"x" + BASE[21:],
        (literal(b""), copy(0, 20), literal(b"x"), copy(0, 24)),
    ),
    (
        "three bytes inserted", 3, BASE[:20] + b"new" + BASE[20:],
        (literal(b""), copy(0, 20), literal(b"new"), copy(-3, 25)),
    ),
    (
        "ten bytes removed", 200, BASE[:10] + BASE[20:],
        (literal(b""), copy(0, 10), literal(b""), copy(10, 25)),
    ),
    ("a tail added", (1 << 40) - 1, BASE + b"more", (literal(b""), copy(0, 45), literal(b"more"))),
    (
        "halves that changed places", 4, BASE[25:] + BASE[:25],
        (literal(b""), copy(25, 20), literal(b""), copy(-45, 25)),
    ),
    ("nothing copied", 5, b"all new", (literal(b"all new"),)),
    ("nothing at all", 6, b"", ()),
]  # fmt: skip

INVALID: list[tuple[str, bytes, str]] = [
    ("no bytes", b"", "protocol"),
    ("a number without an end", b"\x80", "protocol"),
    ("a number of eight bytes", b"\x80" * 7 + b"\x01", "protocol"),
    ("a check of 15 bytes", made(1, b"")[:-1], "protocol"),
    ("a literal that is cut off", made(1, b"hello", literal(b"hello"))[:-1], "protocol"),
    ("a copy without a length", made(1, BASE, literal(b""), copy(0, 45))[:-1], "protocol"),
    ("a copy from before the base", made(1, BASE, literal(b""), copy(-1, 45)), "protocol"),
    ("a copy from beyond the base", made(1, BASE, literal(b""), copy(1, 45)), "protocol"),
    ("less than announced", made(1, BASE, literal(b""), copy(0, 44)), "protocol"),
    ("more than announced", made(1, BASE, literal(b""), copy(0, 45), literal(b"x")), "protocol"),
    ("another version's check", made(1, BASE[:-1] + b"x", literal(b""), copy(0, 45)), "protocol"),
    ("17 MiB", made(1, b"", literal(b""), copy(0, 1), size=17 << 20), "limit_exceeded"),
    ("too many copies", made(1, b"", b"\0\0\0" * 9000), "limit_exceeded"),
]


def deltas() -> dict[str, Any]:
    """Deltas and the versions they make."""
    base = BASE.hex()
    return {
        "about": "deltas, what they are of and what they make; seals and zstd are off",
        "valid": [
            {
                "name": name,
                "number": number,
                "base": base,
                "delta": made(number, plain, *pieces).hex(),
                "plain": plain.hex(),
                "check": digest(plain)[:16].hex(),
            }
            for name, number, plain, pieces in VALID
        ],
        "invalid": [
            {"name": name, "base": base, "delta": raw.hex(), "error": error}
            for name, raw, error in INVALID
        ],
        "bases": [
            {"number": number, "base": base_of}
            for number, base_of in ((1, 0), (2, 0), (3, 2), (6, 4), (7, 6), (8, 0), (12, 8))
        ],
    }
