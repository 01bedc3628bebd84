"""Finds every damaged range of a log and the commits and bodies that belong there; it writes none.

The order of commits is what finds them: each names its index and the hash link over all before it,
so at a damaged place there is one commit that fits, and its length says where the next one begins.
No word of a source is believed: what it gives must fit the links of the log's own commits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from ate.chain.bodies import bad_inline, is_body, outside, relocated
from ate.chain.course import Course
from ate.chain.form import check_form, check_rows
from ate.chain.mended import Mend, Stretch, Tail
from ate.chain.source import Source, index_of
from ate.errors import (
    Conflict,
    CorruptLog,
    LimitExceeded,
    NotFound,
    ProtocolError,
    UntrustedRoot,
)
from ate.event.commit import Buffer, Record
from ate.event.prefix import is_commit
from ate.event.thinned import decode_record
from ate.limits import SEGMENT_BYTES_MAX
from ate.log import segment
from ate.log.patch import Patch
from ate.log.salvage import Salvage
from ate.log.segment import BODY, BODY_BIT, HEAD, HEADER_BYTES, PADDING, place_of

#: So many frames behind damage are tried for where their segment begins.
_ANCHORS_MAX: Final = 8
_UNFIT: Final = (ProtocolError, LimitExceeded, CorruptLog)


@dataclass(slots=True)
class Survey:
    """What is wrong with a log, and what makes it whole. Call `run`, then look.

    Args:
        ours: the damaged log.
        sources: where to find what is missing.

    Attributes:
        mends: the ranges to replace, in the order of the log.
        patches: the same as changes of files, by kind and number of the segment.
        stretches: every frame of the repaired log.
        bodies: bodies that are put in, by place.
        size, head: commits and rows of the repaired log.
        torn: bytes of an unfinished write at the end; they are no damage.
        has_moved: frames are not where they were, so the snapshot is of no use any more.
    """

    ours: Salvage
    sources: Sequence[Source]
    mends: list[Mend] = field(default_factory=list)
    patches: dict[tuple[int, int], Patch] = field(default_factory=dict)
    stretches: list[Stretch] = field(default_factory=list)
    bodies: dict[int, Buffer] = field(default_factory=dict)
    torn: int = 0
    has_moved: bool = False
    _proof: int = -1
    _body_end: int = 0
    _open: Mend | None = None
    _course: Course = field(default_factory=Course)

    @property
    def size(self) -> int:
        return self._course.size

    @property
    def head(self) -> int:
        return self._course.head

    def run(self) -> None:
        """Walk the log from its first byte to its last.

        Raises:
            UntrustedRoot: a source holds another chain.
            NotFound: no source has what is missing.
            Conflict: what a source has instead does not lead to what follows here.
            UnsupportedFormat: a newer version wrote some of it.
            CorruptLog: nothing is left to tell what belongs here.
        """
        self._check_sources()
        for kind in (HEAD, BODY):
            for number in range(1, self.ours.last[kind] + 1):
                self._check_header(kind, number)
        for number in range(1, self.ours.last[HEAD] + 1):
            self._walk(number)

    def _check_sources(self) -> None:
        mine = self.chain_id()
        if not mine:
            raise CorruptLog(
                "no commit is left to tell which chain this is",
                hint="copy the whole directory of a replica, or restore a backup",
            )
        for source in self.sources:
            first = next(source.commits(0, source.newest()), None)
            if first is not None and chain_of(first) != mine:
                raise UntrustedRoot(
                    f"{source.name} holds another chain",
                    hint="a source is a copy of the same chain: compare the ids with `ate info`",
                )

    def chain_id(self) -> bytes:
        """Return the id of the chain by the first commit that is whole; empty without any."""
        for number in range(1, self.ours.last[HEAD] + 1):
            for _, payload in self.ours.whole(number):
                if index_of(payload) >= 0:
                    try:
                        return chain_of(Record(payload))
                    except (ProtocolError, LimitExceeded):
                        continue
        return b""

    def _check_header(self, kind: int, number: int) -> None:
        if self.ours.is_sound(kind, number):
            return
        name = segment.file_name(kind, number)
        raw = segment.encode_header(kind, number, self.ours.generation)
        self._patch(kind, number).writes.append((0, (raw,)))
        self.mends.append(Mend(name, 0, HEADER_BYTES, "header"))

    def _patch(self, kind: int, number: int) -> Patch:
        return self.patches.setdefault((kind, number), Patch())

    # --- one head segment -------------------------------------------------------------------

    def _walk(self, number: int) -> None:
        is_last = number == self.ours.last[HEAD]
        bound = None if is_last else self._first_of(number + 1)
        self._proof, self._open, offset = -1, None, HEADER_BYTES
        while True:
            offset = self._keep(number, offset)
            if self._is_end(number, offset, bound, is_last=is_last):
                break
            offset = self._put_in(number, offset)
        rest = self.ours.rest(number, offset)
        if rest and not is_last:
            name = segment.file_name(HEAD, number)
            self._patch(HEAD, number).size = offset
            self.mends.append(Mend(name, offset, rest, "end"))
        elif rest:
            self.torn = rest

    def _keep(self, number: int, offset: int) -> int:
        """Take the log's own frames as long as they fit; return where they end."""
        start, view = offset, self.ours.view(HEAD, number)
        for at, payload in segment.frames(view, offset, len(view)):
            if is_commit(payload):
                record = self._own(payload)
                if record is None:
                    break
                self._mend_bodies(record)
                self._course.follow(record)
            else:
                self._course.take(payload)
            offset = at + segment.frame_size(len(payload))
        if offset > start:
            self.stretches.append(Stretch(number, start, offset))
            self._proof, self._open = -1, None
        return offset

    def _own(self, payload: memoryview) -> Record | None:
        """Return a commit of the log when it is the next one, and is what its author signed."""
        try:
            record = decode_record(payload)
            if self._course.fits(record):
                check_form(record)
                check_rows(record)
                return None if bad_inline(record) else record
        except _UNFIT:
            pass
        return None

    def _is_end(self, number: int, offset: int, bound: int | None, *, is_last: bool) -> bool:
        """Tell whether a segment has no more frames behind `offset`, where no own one fits."""
        if bound is not None:
            if self.size > bound:
                raise _fork(f"commit {bound} begins another segment here")
            return self.size == bound
        rest = self.ours.rest(number, offset)
        if not is_last:
            # The next one does not say where it begins, so this one is as long as its file is.
            self.has_moved = True
            return not rest
        if self._proof < 0:
            view = self.ours.view(HEAD, number)
            place = place_of(number, offset)
            self._proof = segment.confirms(view, offset, place) if rest else -1
            return self._proof < 0
        if offset > self._proof:
            raise _fork(f"its commits up to {self.size - 1} do not lead to those behind the damage")
        return False

    def _first_of(self, number: int) -> int | None:
        """Return the index of the commit that a segment begins with; None when nothing tells."""
        for tried, (at, payload) in enumerate(self.ours.whole(number)):
            index, offset = index_of(payload), at
            if tried >= _ANCHORS_MAX:
                break
            while offset > HEADER_BYTES and index > 0:
                index -= 1
                before = next((r for one in self.sources for r in one.commits(index, index)), None)
                if before is None:
                    break
                offset -= segment.frame_size(len(before.payload))
            if offset == HEADER_BYTES and index >= 0:
                return index
        return None

    # --- from the sources -------------------------------------------------------------------

    def _put_in(self, number: int, offset: int) -> int:
        """Put what comes next, from a source, at a damaged place; return where it ends."""
        copied = self._copied(number, offset)
        if copied is not None:
            source, payload, record = copied
        else:
            source, record, large = self.pick()
            payload = record.payload
            if large:
                places = {at: self._settle(record, at, one, source) for at, one in large.items()}
                payload = relocated(record, places)
        size = segment.frame_size(len(payload))
        front = segment.encode_frame(bytes(payload), place_of(number, offset))
        parts = (front, payload, PADDING[len(payload) & 7])
        self._patch(HEAD, number).writes.append((offset, parts))
        if self._open is not None:
            stretch = self.stretches[-1]
            assert stretch.payloads is not None
            stretch.payloads.append(payload)
            stretch.stop += size
            self._open.length += size
            self._open.last = self.size
        else:
            self.stretches.append(Stretch(number, offset, offset + size, [payload]))
            name = segment.file_name(HEAD, number)
            self._open = Mend(name, offset, size, "commits", self.size, self.size, source.name)
            self.mends.append(self._open)
        if record is None:
            self._course.take(payload)
        else:
            self._course.follow(record)
        return offset + size

    def _copied(self, number: int, offset: int) -> tuple[Source, memoryview, Record | None] | None:
        """Return what a copy of the same generation has at the very place, in a thinned part.

        There nothing but the place tells what comes next; the proof is the whole log's.
        """
        course, generation = self._course, self.ours.generation
        if not course.is_thinned and (course.size or course.prefix or generation == 1):
            return None
        for source in self.sources:
            payload = source.frame(generation, number, offset)
            if payload is None:
                continue
            if not is_commit(payload):
                return source, payload, None
            if course.is_thinned and (record := self._own(payload)) is not None:
                self._mend_bodies(record)
                return source, payload, record
        return None

    def pick(self) -> tuple[Source, Record, dict[int, Buffer]]:
        """Return the commit that comes next, from a source, with its large bodies by row.

        Raises:
            NotFound: there is none.
            Conflict: there are only others of that index.
        """
        self._course.pass_cut()
        others = 0
        for source in self.sources:
            for record in source.commits(self.size, self.size):
                others += 1
                try:
                    if not self._course.is_next(record):
                        continue
                    check_form(record)
                    check_rows(record)
                    large = {at: self._body(source, record, at) for at in outside(record)}
                except (*_UNFIT, NotFound):
                    continue
                if not bad_inline(record):
                    return source, record, large
        if others:
            raise _fork(f"another commit {self.size}, or a damaged one")
        raise NotFound(
            f"commit {self.size} is damaged here, and the source does not have it",
            hint="name another copy with a further --from",
        )

    # --- bodies -----------------------------------------------------------------------------

    def _mend_bodies(self, record: Record) -> None:
        """Find the large bodies of an own commit that are not what its rows name."""
        for at in outside(record):
            row = record.row(at)
            found = self.ours.body(row.place, row.length)
            if found is None or not is_body(record, at, found):
                self._put_body(row.place, *self._replacement(record, at))

    def _replacement(self, record: Record, at: int) -> tuple[Buffer, str]:
        """Return the body of a row of an own commit, and which source it comes from."""
        for source in self.sources:
            for other in source.commits(self.size, self.size):
                there = other.at(record.seq_at(at))
                if other.leaf != record.leaf or there < 0:
                    continue
                for found in source.bodies(other, there):
                    if is_body(record, at, found):
                        return found, source.name
        raise NotFound(
            f"a body of commit {self.size} is damaged here, and the source does not have it",
            hint="name another copy with a further --from",
        )

    def _body(self, source: Source, record: Record, at: int) -> Buffer:
        """Return the body of a row as a source has it; raises NotFound when it has not."""
        for found in source.bodies(record, at):
            if is_body(record, at, found):
                return found
        row = record.row(at)
        own = self.ours.body(row.place, row.length)
        if own is not None and is_body(record, at, own):
            return own
        raise NotFound(f"the body of row {record.seq_at(at)} is not in {source.name}")

    def _settle(self, record: Record, at: int, body: Buffer, source: Source) -> int:
        """Return where a large body of a commit that is put in lies, or is put."""
        row = record.row(at)
        own = self.ours.body(row.place, row.length)
        if own is not None and is_body(record, at, own):
            return row.place
        place = self.new_place(len(body))
        self._put_body(place, body, source.name)
        return place

    def new_place(self, length: int) -> int:
        """Return a place for another body behind all there are."""
        number, end = segment.split(self._body_end)
        if not self._body_end:
            number = max(self.ours.last[BODY], 1)
            end = max(len(self.ours.view(BODY, number)), HEADER_BYTES)
        offset = (end + 7) & ~7
        if offset > HEADER_BYTES and offset + length > SEGMENT_BYTES_MAX:
            number, offset = number + 1, HEADER_BYTES
        self._body_end = BODY_BIT | place_of(number, offset + length)
        return BODY_BIT | place_of(number, offset)

    def _put_body(self, place: int, body: Buffer, source: str) -> None:
        number, offset = segment.split(place)
        for missing in range(self.ours.last[BODY] + 1, number + 1):
            if (BODY, missing) not in self.patches:
                self._check_header(BODY, missing)
        self.bodies[place] = body
        self._patch(BODY, number).writes.append((offset, (body,)))
        name = segment.file_name(BODY, number)
        self.mends.append(Mend(name, offset, len(body), "body", self.size, self.size, source))

    # --- behind the end ---------------------------------------------------------------------

    def beyond(self) -> int:
        """Return how many more commits a source claims to have."""
        return max((one.newest() + 1 - self.size for one in self.sources), default=0)

    def tail(self) -> Iterator[Tail]:
        """Yield the commits behind the end that the sources have, each with its bodies.

        Raises:
            Conflict: what a source has there does not follow.
        """
        while self.beyond() > 0:
            try:
                _, record, large = self.pick()
            except NotFound:
                return
            self._course.follow(record)
            yield Tail(record, large)


def chain_of(record: Record) -> bytes:
    """Return the id of the chain that a commit belongs to by its own word."""
    return record.root if record.sequencer.index == 0 else record.author.chain_id


def _fork(what: str) -> Conflict:
    return Conflict(
        f"the source does not fit: {what}",
        hint="one of the two was damaged or rewritten: run `ate verify` on both, try another copy",
    )
