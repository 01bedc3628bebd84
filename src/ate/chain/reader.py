"""Opens rows for one session: place → stored body → digest check → plaintext.

It decodes no objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from ate.chain.index import DEAD, SEQ_MASK
from ate.chain.ledger import Ledger
from ate.chain.lineage import lineage
from ate.crypto.aead import Sealer
from ate.crypto.hash import digest, digest_many
from ate.errors import CannotOpen, Compacted, CorruptLog, Deleted, NoReadKey, NotFound
from ate.event.commit import Brief, Record
from ate.event.header import Header
from ate.event.row import (
    CODEC_DELTA,
    CODEC_FORMAT,
    EPOCH_SHIFT,
    FLAG_HEADER,
    PLACE_ABSENT,
    PLACE_BODY_FILE,
    Row,
)
from ate.session import Session
from ate.trust import delta

#: Commit keys kept at hand: one AEAD handle for each (commit, domain).
_SEALERS_MAX = 4096


class Opened(msgspec.Struct, eq=False, gc=False):
    """One opened row: its plaintext, and where the rest of it can be read.

    Args:
        seq: its place in the order.
        record, at: the commit it belongs to, and its index in it.
        schema_id, codec: what `plain` is.
        plain: the body in plain; empty for tombstones.
    """

    seq: int
    record: Record
    at: int
    schema_id: int
    codec: int
    plain: bytes
    _row: Row | None = None

    def __repr__(self) -> str:
        return f"Opened(seq {self.seq})"

    @property
    def row(self) -> Row:
        if self._row is None:
            self._row = self.record.row(self.at)
        return self._row

    @property
    def created(self) -> int:
        """Seq of the object's first version."""
        return self.row.created or self.seq

    @property
    def header(self) -> Header | None:
        """What the row says about its object, without what it says about its body."""
        header = self.record.header(self.at) if self.row.flags & FLAG_HEADER else None
        return header and header.lasting

    @property
    def time_us(self) -> int:
        return self.record.sequencer.time_us

    @property
    def author(self) -> bytes:
        """Key id that signed the commit."""
        return self.record.author.key_id


class Reader:
    """Reads a ledger with the keys of one session."""

    def __init__(self, ledger: Ledger, session: Session | None) -> None:
        self.ledger, self.session = ledger, session
        self.view = ledger.view
        self._domains = ledger.domains(session)
        self._how = ledger.pipeline.confidentiality
        self._sealers: dict[tuple[int, bytes, int], Sealer] = {}

    def seq_of(self, object_id: bytes) -> int:
        """Return the seq of an object's newest row; raises NotFound or Deleted."""
        flagged = self.view.index.locate(object_id)
        if not flagged:
            raise NotFound(f"no object {object_id.hex()}")
        if flagged & DEAD:
            raise Deleted(f"object {object_id.hex()} was deleted")
        return flagged & SEQ_MASK

    async def open(self, seq: int, *, whole: bool = True) -> Opened:
        """Return row `seq`, opened.

        Args:
            whole: put a delta together; otherwise it is handed out as it is.

        Raises:
            NoReadKey: this session may not read it.
            CorruptLog: the body is not the one the row names.
            ProtocolError: the body is a delta that makes no sense.
        """
        # One function without helpers: every object that is loaded comes through here.
        view = self.view
        first, place = view.commits.find(seq)
        record = view.recent.get(place) or view.record(place)
        index = seq - first
        # The commit found is the last one before: that of the row, or the row is gone with its own.
        at = record.at(seq) if record.is_thinned or index >= record.row_count else index
        if at < 0:
            raise Compacted(f"row {seq} was superseded and is not kept any more")
        _, codec, schema_id, domain, stamp, wanted, length, place = record.brief(at)
        if place < PLACE_BODY_FILE and record.reaches(place, length):
            body = record.payload[place : place + length]
        elif place == PLACE_ABSENT and self.ledger.fetched is not None:
            body = memoryview((await self.ledger.fetched.get([seq]))[0])
        else:
            body = view.body(record, record.row(at))  # elsewhere, or nowhere
        if digest(body) != wanted:
            raise CorruptLog(f"the body of object {record.row(at).id.hex()} was altered")
        epoch = stamp >> EPOCH_SHIFT
        if epoch:
            sealer = self._sealers.get((first, domain, epoch)) or self._sealer(
                record, domain, epoch
            )
            plain = await self._how.open_one(sealer, body, record.head(at), index)
        else:
            plain = bytes(body)
        if codec > CODEC_FORMAT:
            codec, plain = self._unfilter(codec, plain)
            if codec & CODEC_DELTA and whole:
                codec, plain = codec & CODEC_FORMAT, await self._put_together(seq, plain)
        return Opened(seq, record, at, schema_id, codec, plain)

    async def open_many(self, seqs: Iterable[int], *, schema_id: int | None = None) -> list[Opened]:
        """Return rows that this session can read, in the order asked; others are skipped.

        Rows of one commit and read domain that follow each other are opened in one batch.

        Args:
            schema_id: leave out rows of other types, before they are opened.
        """
        out: list[Opened] = []
        for record, run, briefs in self._runs(seqs, schema_id):
            bodies = await self._stored_bodies(record, run, briefs)
            for at, brief, found in zip(run, briefs, digest_many(bodies), strict=True):
                if found != brief[5]:
                    raise CorruptLog(f"the body of object {record.row(at).id.hex()} was altered")
            try:
                plains = await self._open_run(record, run, briefs[0], bodies)
            except NoReadKey:
                continue
            for at, (_, codec, schema, *_rest), plain in zip(run, briefs, plains, strict=True):
                seq = record.seq_at(at)
                if codec > CODEC_FORMAT:
                    plain_codec, body = self._unfilter(codec, plain)
                    if plain_codec & CODEC_DELTA:
                        plain_codec &= CODEC_FORMAT
                        body = await self._put_together(seq, body)
                    out.append(Opened(seq, record, at, schema, plain_codec, body))
                else:
                    out.append(Opened(seq, record, at, schema, codec, plain))
        return out

    def _runs(
        self, seqs: Iterable[int], schema_id: int | None
    ) -> Iterator[tuple[Record, list[int], list[Brief]]]:
        """Group seqs that follow each other by commit, read domain and epoch."""
        run: list[int] = []
        briefs: list[Brief] = []
        record: Record | None = None
        first = last = 0
        key: tuple[bytes, int] | None = None
        for seq in seqs:
            if first <= seq <= last and record is not None:
                at = record.at(seq)
                if at < 0:
                    raise Compacted(f"row {seq} was superseded and is not kept any more")
            else:
                if run and record is not None:
                    yield record, run, briefs
                    run, briefs = [], []
                record, at = self.view.find(seq)
                first, last = record.first_seq, record.last_seq
            brief = record.brief(at)
            if schema_id is not None and brief[2] != schema_id:
                continue
            here = (brief[3], brief[4] >> EPOCH_SHIFT)
            if run and here != key:
                yield record, run, briefs
                run, briefs = [], []
            run.append(at)
            briefs.append(brief)
            key = here
        if run and record is not None:
            yield record, run, briefs

    async def _stored_bodies(
        self, record: Record, run: list[int], briefs: list[Brief]
    ) -> list[memoryview]:
        if all(brief[7] < PLACE_BODY_FILE for brief in briefs):
            return [record.inline_at(brief[7], brief[6]) for brief in briefs]
        bodies: dict[int, memoryview] = {}
        absent = [at for at, brief in zip(run, briefs, strict=True) if brief[7] == PLACE_ABSENT]
        if absent and self.ledger.fetched is not None:
            seqs = [record.seq_at(at) for at in absent]
            found = await self.ledger.fetched.get(seqs)
            bodies = {at: memoryview(body) for at, body in zip(absent, found, strict=True)}
        return [
            bodies[at] if at in bodies else self.view.body(record, record.row(at)) for at in run
        ]

    async def _open_run(
        self, record: Record, run: list[int], brief: Brief, bodies: list[memoryview]
    ) -> list[bytes]:
        """Open rows of one commit and one domain."""
        epoch = brief[4] >> EPOCH_SHIFT
        if not epoch:
            return [bytes(body) for body in bodies]
        sealer, how = self._sealer(record, brief[3], epoch), self._how
        indexes = run if not record.is_thinned else [record.indexes[at] for at in run]
        if indexes == list(range(indexes[0], indexes[-1] + 1)):
            return await how.open(sealer, bodies, [record.head(at) for at in run], indexes[0])
        return [
            await how.open_one(sealer, body, record.head(at), index)
            for at, index, body in zip(run, indexes, bodies, strict=True)
        ]

    def _sealer(self, record: Record, domain: bytes, epoch: int) -> Sealer:
        known = self._sealers.get((record.sequencer.first_seq, domain, epoch))
        if known is None:
            key = self._domains.key(domain, epoch)
            chain_id = self.view.trust.chain_id
            how = self.ledger.pipeline.confidentiality
            known = how.sealer(chain_id, record.author.salt, domain, epoch, key)
            if len(self._sealers) >= _SEALERS_MAX:
                self._sealers.clear()
            self._sealers[record.sequencer.first_seq, domain, epoch] = known
        return known

    def _unfilter(self, codec: int, plain: bytes) -> tuple[int, bytes]:
        """Undo the filters; whether what they were given is a delta is none of their business."""
        packed = codec & CODEC_DELTA
        codec, plain = self.ledger.pipeline.decode(codec & ~CODEC_DELTA, plain)
        if codec > CODEC_FORMAT:
            raise CannotOpen(
                "the body was encoded by a filter that is not loaded",
                hint="open the chain with the plug-in that wrote it, e.g. plugins=[Zstd()]",
            )
        return codec | packed, plain

    async def _put_together(self, seq: int, packed: bytes) -> bytes:
        """Return the whole body of a row that is kept as a delta; from the oldest on.

        So two versions and one delta are in memory, however many there are.
        """
        _, *between, oldest = lineage(self.view, seq)
        plain = (await self.open(oldest, whole=False)).plain
        for base in reversed(between):
            step = await self.open(base, whole=False)
            plain = delta.apply(plain, step.plain, check=False)
        return delta.apply(plain, packed)
