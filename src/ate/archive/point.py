"""`Point`: what a restore point says of a chain, as bytes; it never reads an object.

A manifest is one line of JSON and a line with its digest. docs/spec/backup.md describes it.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from ate import limits
from ate.crypto.hash import digest
from ate.errors import CorruptBackup, UnsupportedFormat

FORMAT: Final = "ate-backup/1"
_SEAL: Final = b"\nblake3 "
_SEAL_BYTES: Final = len(_SEAL) + 64 + 1
_FILE: Final = re.compile(r"(head|body)\.([0-9]{6})")
_HEX: Final = re.compile(r"[0-9a-f]{64}")


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """A range of a file, as one object.

    Args:
        point: number of the restore point that brought it.
        digest: BLAKE3 of its bytes, in hex.
        length: how many bytes.
    """

    point: int
    digest: str
    length: int


class File(msgspec.Struct, frozen=True):
    """A segment file: its pieces, one behind the other."""

    name: str
    pieces: tuple[Piece, ...]

    @property
    def length(self) -> int:
        return sum(piece.length for piece in self.pieces)


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A restore point: the state of one chain right behind one durable commit.

    Args:
        point: its number, from 1.
        previous: digest of the manifest before it, in hex; empty for the first.
        name, chain: the chain's name, and its id in hex.
        line: grows when the log was found not to go on from the point before.
        generation: of the log.
        head: seq of the newest row.
        commits: how many.
        time_us: of the newest commit.
        made_us: when the backup was made.
        root, link: root of the tree over all commits, and the link behind the newest, in hex.
        frontier: what is needed to go on with that tree, in hex.
        last_place, last_digest: of the newest commit's frame, and of its payload, in hex.
        bodies_end: place behind the newest large body, 0 when there is none.
        thinned: seq of the newest row of the part that compaction has thinned out, 0 for none.
        files: the segments, heads first, each in order.
    """

    format: str = FORMAT
    point: int
    previous: str
    name: str
    chain: str
    line: int
    generation: int
    head: int
    commits: int
    time_us: int
    made_us: int
    root: str
    link: str
    frontier: str
    last_place: int
    last_digest: str
    bodies_end: int
    thinned: int
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        """Bytes of the log."""
        return sum(file.length for file in self.files)


class _Format(msgspec.Struct):
    format: str = ""


def encode(point: Point) -> bytes:
    """Return the bytes of a manifest."""
    text = msgspec.json.encode(point)
    return text + _SEAL + digest(text).hex().encode() + b"\n"


def decode(raw: bytes, key: str) -> Point:
    """Read a manifest.

    Args:
        raw: its bytes.
        key: of the object they come from, for the message.

    Raises:
        CorruptBackup: they are not what was written.
        UnsupportedFormat: a newer version wrote them.
    """
    if len(raw) > limits.MANIFEST_BYTES_MAX:
        raise CorruptBackup("the list of objects is too long", object=key)
    text, seal = raw[:-_SEAL_BYTES], raw[-_SEAL_BYTES:]
    if seal != _SEAL + digest(text).hex().encode() + b"\n":
        raise CorruptBackup("the list of objects was altered or cut short", object=key)
    try:
        written = msgspec.json.decode(text, type=_Format).format
        if written != FORMAT:
            raise UnsupportedFormat(
                f"{key} has format {written[:40]!r}, this version reads {FORMAT}"
            )
        point = msgspec.json.decode(text, type=Point)
    except msgspec.MsgspecError as error:
        raise CorruptBackup(f"not a list of objects: {error}", object=key) from None
    if not _is_sound(point):
        raise CorruptBackup("the list of objects does not add up", object=key)
    return point


def _is_sound(point: Point) -> bool:
    """Tell whether numbers and names are possible; what they say is judged later."""
    numbers: dict[str, list[int]] = {"head": [], "body": []}
    for file in point.files:
        match = _FILE.fullmatch(file.name)
        if match is None:
            return False
        numbers[match[1]].append(int(match[2]))
        for piece in file.pieces:
            is_whole = 0 < piece.length <= limits.PIECE_BYTES_MAX and piece.point > 0
            if not is_whole or not _HEX.fullmatch(piece.digest):
                return False
    return (
        bool(numbers["head"])
        and all(some == [*range(1, len(some) + 1)] for some in numbers.values())
        and 0 < point.generation < 1_000_000
        and min(point.point, point.head, point.commits, point.line) > 0
        and all(_HEX.fullmatch(one) for one in (point.chain, point.root, point.last_digest))
    )
