"""Letting old restore points go, and checking the others; it never touches a live chain.

Manifests go before the pieces that only they name, so a point that is listed is whole whenever
this stops. Pieces of a point that is being made are newer than the newest manifest, and stay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ate.archive.crew import each
from ate.archive.point import Piece
from ate.archive.series import Series
from ate.errors import CorruptBackup, UsageError

WORKERS: Final = 4


class Pruned(NamedTuple):
    """What went."""

    points: int
    objects: int
    bytes: int


def prune(series: Series, keep: int) -> Pruned:
    """Let all but the newest `keep` restore points go, and the pieces that no point names.

    Raises:
        UsageError: none would be kept.
        CorruptBackup: one of the points to keep is damaged; nothing was removed.
    """
    if keep < 1:
        raise UsageError(f"cannot keep {keep} restore points", hint="keep at least one")
    numbers = series.numbers()
    if not numbers:
        return Pruned(0, 0, 0)
    named: set[str] = set()
    for number in numbers[-keep:]:
        point = series.load(number).point
        named |= {series.piece_key(piece) for file in point.files for piece in file.pieces}
    going = numbers[:-keep]
    for number in going:
        series.store.delete(series.key(number))
    objects = size = 0
    prefix = f"{series.group}/data/"
    for entry in list(series.store.walk(prefix)):
        folder = entry.key.removeprefix(prefix).partition("/")[0]
        if entry.key not in named and folder.isdigit() and int(folder) <= numbers[-1]:
            series.store.delete(entry.key)
            objects, size = objects + 1, size + entry.size
    return Pruned(len(going), objects, size)


def check(
    series: Series, progress: Callable[[int], None] = lambda _: None, *, workers: int = WORKERS
) -> list[str]:
    """Read every object that a restore point names; return what is wrong, a line for each."""
    problems: list[str] = []
    wanted: dict[str, Piece] = {}
    numbers = series.numbers()
    for number in numbers:
        try:
            point = series.load_linked(number, numbers).point
        except CorruptBackup as error:
            problems.append(error.message)
            continue
        for file in point.files:
            wanted |= {series.piece_key(piece): piece for piece in file.pieces}

    def look(piece: Piece) -> str:
        try:
            progress(len(series.fetch(piece)))
        except CorruptBackup as error:
            return error.message
        return ""

    pieces = [wanted[key] for key in sorted(wanted)]
    return problems + [one for one in each(look, pieces, workers=workers) if one]
