"""`Backup`: brings what is new in one chain to a destination; it never writes to the chain.

Pieces first, the manifest last: a backup that stops anywhere leaves the earlier restore points as
they were, and the next one finds the pieces that are there already. It takes no lock: what it
read is known to be of one chain, because the newest frame is looked at again before the manifest
is written, and that frame's link covers all before it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from ate import merkle
from ate.archive import pieces
from ate.archive.crew import Bar, each, no_bar
from ate.archive.pace import Pause, Stop, Throttle
from ate.archive.point import File, Piece, Point
from ate.archive.series import Kept, Series
from ate.archive.source import Facts, Moved, Source
from ate.archive.store import ObjectStore
from ate.clock import Clock, SystemClock
from ate.crypto.hash import digest
from ate.errors import CorruptBackup, StorageError
from ate.log.disk import Disk

#: Threads that send; each holds at most two pieces.
WORKERS: Final = 4
#: How often a chain may be compacted or replaced while it is backed up.
_ROUNDS: Final = 4
_FIRST: Final = Kept(
    Point(
        point=0, previous="", name="", chain="", line=1, generation=0, head=0, commits=0,
        time_us=0, made_us=0, root="", link="", frontier="", last_place=0, last_digest="",
        bodies_end=0, thinned=0, files=(),
    ),
    "",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Done:
    """What a backup did.

    Args:
        point: the newest restore point.
        is_new: False when nothing had changed.
        put_bytes, put_objects: what was sent, without the manifest.
        began_line: the chain did not go on from the point before, and was sent whole.
    """

    point: Point
    is_new: bool
    put_bytes: int = 0
    put_objects: int = 0
    began_line: bool = False


class _Range(NamedTuple):
    name: str
    offset: int
    length: int


@dataclass(slots=True)
class _Sent:
    bytes: int = 0
    objects: int = 0


class Backup:
    """One chain and its destination; `run` as often as you like, nothing else keeps state.

    Args:
        directory: of the chain.
        store: the destination.
        disk: where the chain is; the machine's file system when not given.
        clock, pause: time.
        rate: bytes a second that are read from the chain at most; 0 is no bound.
        workers: threads that send.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        store: ObjectStore,
        *,
        disk: Disk | None = None,
        clock: Clock | None = None,
        pause: Pause | None = None,
        rate: float = 0,
        workers: int = WORKERS,
    ) -> None:
        self._source = Source(directory, disk=disk)
        self._store = store
        self._clock = clock or SystemClock()
        self._throttle = Throttle(rate, self._clock, pause or Stop())
        self._workers = workers
        self._facts: Facts | None = None
        self._newest: Kept | None = None
        self._series: Series | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the files of the chain back."""
        self._source.close()
        self._facts = self._newest = None

    @property
    def series(self) -> Series:
        """The restore points of this chain; known after the first run."""
        assert self._series is not None
        return self._series

    def run(self, bar: Bar = no_bar) -> Done:
        """Make a restore point of the chain as it is now, if it is not the newest already.

        Args:
            bar: shows how far it is.

        Raises:
            NotFound: there is no chain, or it has no commit yet.
            CorruptLog: the chain is damaged; a backup of it could not be restored.
            CorruptBackup: the newest restore point is damaged.
            Conflict: another backup of this chain came first.
            StorageError, NetworkError: the destination failed.
        """
        try:
            for _ in range(_ROUNDS):
                try:
                    return self._round(bar)
                except Moved as error:
                    self.close()
                    moved = error
        except BaseException:
            self.close()  # what is known may be wrong, so that the next run looks again
            raise
        raise StorageError(f"{moved}, each time it was read", hint="run it again later")

    def _round(self, bar: Bar) -> Done:
        facts, newest, goes_on = self._look()
        point = newest.point
        if goes_on and (point.head, point.generation) == (facts.head, facts.generation):
            self._source.check_unmoved(facts)
            self._facts, self._newest = facts, newest
            return Done(point, is_new=False)
        number = point.point + 1
        files, missing = self._plan(facts, point if goes_on else None)
        sent = _Sent()
        with bar("sending", sum(one.length for one in missing)) as advance:
            made = self._send(facts, number, missing, sent, advance)
        self._source.check_unmoved(facts)
        # A compacted log is the same line in other files; anything else that differs is another.
        line = point.line + (not goes_on and bool(point.point) and not self._is_same(facts, point))
        kept = self.series.publish(
            Point(
                point=number, previous=newest.digest, name=facts.name, chain=facts.chain.hex(),
                line=line, generation=facts.generation, head=facts.head,
                commits=facts.frontier.size, time_us=facts.time_us,
                made_us=self._clock.now_us(), root=facts.frontier.root().hex(),
                link=facts.link.hex(), frontier=facts.frontier.encode().hex(),
                last_place=facts.last_place, last_digest=facts.last_digest.hex(),
                bodies_end=facts.bodies_end, thinned=facts.thinned,
                files=tuple(
                    File(name, (*old, *(made[one] for one in missing if one.name == name)))
                    for name, old in files.items()
                ),
            )
        )  # fmt: skip
        self._facts, self._newest = facts, kept
        return Done(kept.point, True, sent.bytes, sent.objects, line > point.line)

    def _is_same(self, facts: Facts, point: Point) -> bool:
        """Tell whether a new generation holds the history that the point before ended with."""
        return facts.generation > point.generation and facts.frontier.size >= point.commits

    def _look(self) -> tuple[Facts, Kept, bool]:
        """Return what the chain says, the newest restore point, and whether the one goes on."""
        log = self._source.look()
        facts, newest = self._facts, self._newest
        if facts is None or newest is None or facts.generation != log.generation:
            facts, newest = None, None
            identity = self._source.identity(log)
            if identity is not None:
                self._series = Series(self._store, *identity)
                newest = self._series.newest()
                facts = newest and _facts_of(newest.point)
        if (
            facts is not None
            and newest is not None
            and facts.generation == log.generation
            and self._source.goes_on(log, facts.last_place, facts.last_digest)
        ):
            return self._source.survey_more(log, facts), newest, True
        facts = self._source.survey(log)
        self._series = Series(self._store, facts.name, facts.chain.hex())
        return facts, newest or self._series.newest() or _FIRST, False

    def _plan(
        self, facts: Facts, point: Point | None
    ) -> tuple[dict[str, tuple[Piece, ...]], list[_Range]]:
        """Return the pieces that stay, for each file, and the ranges that are to be sent."""
        known = {file.name: file.pieces for file in point.files} if point else {}
        stay: dict[str, tuple[Piece, ...]] = {}
        missing: list[_Range] = []
        for name, total in self._source.lengths(facts).items():
            old = known.get(name, ())
            lengths = [piece.length for piece in old]
            if sum(lengths) > total:
                raise CorruptBackup(
                    f"it has {sum(lengths)} bytes of {name}, the chain only {total}",
                    object=self.series.key(point.point if point else 0),
                )
            keep = pieces.kept(lengths, total)
            stay[name] = old[:keep]
            start = sum(lengths[:keep])
            missing += [_Range(name, *one) for one in pieces.cut(start, total)]
        return stay, missing

    def _send(
        self,
        facts: Facts,
        number: int,
        missing: list[_Range],
        sent: _Sent,
        advance: Callable[[int], None],
    ) -> dict[_Range, Piece]:
        """Bring ranges to the destination; those an earlier try brought are not sent again."""
        folder = self.series.folder(number)
        there = {entry.key: entry.size for entry in self._store.walk(folder)}

        def bring(one: _Range) -> tuple[_Range, Piece, bool]:
            self._throttle.take(one.length)
            data = self._source.read(facts.generation, *one)
            piece = Piece(number, digest(data).hex(), one.length)
            key = folder + piece.digest
            is_new = key not in there and self._store.put_new(key, data)
            if there.get(key, one.length) != one.length:
                raise CorruptBackup(f"{there[key]} of {one.length} bytes are there", object=key)
            return one, piece, is_new

        made = {}
        for one, piece, is_new in each(bring, missing, workers=min(self._workers, len(missing))):
            made[one] = piece
            advance(one.length)
            sent.objects += is_new
            sent.bytes += is_new * one.length
        return made


def _facts_of(point: Point) -> Facts:
    return Facts(
        point.name, bytes.fromhex(point.chain), point.generation, 0, point.head, point.time_us,
        bytes.fromhex(point.link), merkle.Frontier.decode(bytes.fromhex(point.frontier)),
        point.last_place, bytes.fromhex(point.last_digest), point.bodies_end, point.thinned,
    )  # fmt: skip
