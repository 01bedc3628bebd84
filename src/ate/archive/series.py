"""`Series`: the restore points of one chain at a destination; it never looks at a live chain.

    NAME~ID16/points/00000007            the manifest of point 7
    NAME~ID16/data/00000005/DIGEST       a piece that point 5 brought

A `/` in the chain's name is a `~`. A manifest is written when everything that it names is there.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from typing import Final, NamedTuple

from ate import limits
from ate.archive.point import Piece, Point, decode, encode
from ate.archive.store import ObjectStore
from ate.crypto.hash import digest
from ate.errors import Conflict, CorruptBackup, NotFound, StorageError, UsageError

_GROUP: Final = re.compile(r"([^~/].*)~([0-9a-f]{16})")
_NUMBER: Final = re.compile(r"[0-9]{8,}")
_AGAIN: Final = "run it again: it goes on from the newest restore point"


class Kept(NamedTuple):
    """A restore point as it is kept, and the digest of its manifest."""

    point: Point
    digest: str


class Series:
    """The restore points of one chain.

    Args:
        store: where they are.
        name: of the chain.
        chain: its id in hex, or the first 16 digits of it.
    """

    def __init__(self, store: ObjectStore, name: str, chain: str) -> None:
        self.store, self.name, self.chain = store, name, chain[:16]
        self.group = f"{name.replace('/', '~')}~{self.chain}"

    def key(self, number: int) -> str:
        """Return the key of a manifest."""
        return f"{self.group}/points/{number:08d}"

    def folder(self, number: int) -> str:
        """Return the prefix of the pieces that a point brought."""
        return f"{self.group}/data/{number:08d}/"

    def piece_key(self, piece: Piece) -> str:
        """Return the key of a piece."""
        return self.folder(piece.point) + piece.digest

    def numbers(self) -> list[int]:
        """Return the numbers of the restore points, in order."""
        prefix = f"{self.group}/points/"
        words = [entry.key.removeprefix(prefix) for entry in self.store.walk(prefix)]
        return sorted(int(word) for word in words if _NUMBER.fullmatch(word))

    def load(self, number: int) -> Kept:
        """Return a restore point; raises CorruptBackup when it is not what was written."""
        key = self.key(number)
        try:
            raw = self.store.get(key, limits.MANIFEST_BYTES_MAX)
        except NotFound:
            raise CorruptBackup("the restore point is missing", object=key) from None
        point = decode(raw, key)
        if (point.point, point.name, point.chain[:16]) != (number, self.name, self.chain):
            raise CorruptBackup("this is another restore point", object=key)
        return Kept(point, digest(raw).hex())

    def load_linked(self, number: int, numbers: list[int]) -> Kept:
        """Return a restore point, checked against its neighbours as well."""
        kept = self.load(number)
        if number + 1 in numbers and self.load(number + 1).point.previous != kept.digest:
            raise CorruptBackup("it is not the one that the next point goes on from",
                                object=self.key(number))  # fmt: skip
        if number - 1 in numbers and self.load(number - 1).digest != kept.point.previous:
            raise CorruptBackup("it does not go on from the point before", object=self.key(number))
        return kept

    def newest(self) -> Kept | None:
        """Return the newest restore point, None when there is none."""
        numbers = self.numbers()
        return self.load_linked(numbers[-1], numbers) if numbers else None

    def publish(self, point: Point) -> Kept:
        """Write a manifest, the newest; what it names must be there.

        Raises:
            Conflict: another backup made a point meanwhile.
            StorageError: the destination would have overwritten it.
        """
        raw, key = encode(point), self.key(point.point)
        limits.check("manifest bytes", len(raw), limits.MANIFEST_BYTES_MAX)
        numbers = self.numbers()
        if numbers and numbers[-1] >= point.point:
            raise Conflict(f"another backup made point {numbers[-1]} meanwhile", hint=_AGAIN)
        if not self.store.put_new(key, raw):
            raise Conflict(f"another backup made point {point.point} meanwhile", hint=_AGAIN)
        # The same bytes once more do no harm, and tell a server that knows no conditions.
        if point.point == 1 and self.store.put_new(key, raw):
            raise StorageError(
                "the destination overwrites objects although it is asked not to",
                hint="use a server that keeps `If-None-Match: *`",
            )
        return Kept(point, digest(raw).hex())

    def fetch(self, piece: Piece) -> bytes:
        """Return the bytes of a piece; raises CorruptBackup naming its object."""
        key = self.piece_key(piece)
        try:
            data = self.store.get(key, piece.length)
        except NotFound:
            raise CorruptBackup("the object is missing", object=key) from None
        if len(data) < piece.length:
            raise CorruptBackup(f"{len(data)} of {piece.length} bytes are there", object=key)
        if len(data) > piece.length or digest(data).hex() != piece.digest:
            raise CorruptBackup("the bytes are not those that were written", object=key)
        return data

    def earliest(self, holds: Callable[[Point], bool]) -> Kept | None:
        """Return the earliest point for which `holds` is true, when all later ones hold it too."""
        numbers = self.numbers()
        at = bisect_left(numbers, True, key=lambda number: holds(self.load(number).point))
        return self.load_linked(numbers[at], numbers) if at < len(numbers) else None


def every(store: ObjectStore) -> list[Series]:
    """Return all chains at a destination, by name."""
    found = [_GROUP.fullmatch(word) for word in store.folders()]
    made = [Series(store, one[1].replace("~", "/"), one[2]) for one in found if one]
    return sorted(made, key=lambda one: (one.name, one.chain))


def find(store: ObjectStore, name: str, chain: str = "") -> Series:
    """Return the restore points of the chain of this name.

    Args:
        chain: the id in hex, or how it begins, where two chains had one name.

    Raises:
        NotFound: there is no such chain at the destination.
        UsageError: there are several.
    """
    found = [
        one
        for one in every(store)
        if one.name == name.strip("/") and one.chain.startswith(chain[:16])
    ]
    if not found:
        raise NotFound(f"there is no backup of {name!r} in {store.name}",
                       hint="`ate backups DEST` lists what there is")  # fmt: skip
    if len(found) > 1:
        ids = ", ".join(one.chain for one in found)
        raise UsageError(f"two chains had the name {name!r}", hint=f"choose one with --id: {ids}")
    return found[0]
