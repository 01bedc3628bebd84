"""Opens rows for one session: place → stored body → digest check → plaintext; it decodes no objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from ate.chain.ledger import Ledger
from ate.chain.view import DEAD, SEQ_MASK
from ate.crypto.aead import Sealer
from ate.crypto.hash import digest, digest_many
from ate.errors import CannotOpen, CorruptLog, Deleted, NoReadKey, NotFound
from ate.event.commit import Record
from ate.event.header import Header
from ate.event.row import CODEC_FORMAT, EPOCH_SHIFT, FLAG_HEADER, PLACE_BODY_FILE, Row
from ate.session import Session

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

    def __repr__(self) -> str:
        return f"Opened(seq {self.seq})"

    @property
    def row(self) -> Row:
        return self.record.row(self.at)

    @property
    def created(self) -> int:
        """Seq of the object's first version."""
        return self.row.created or self.seq

    @property
    def header(self) -> Header | None:
        return self.record.headers.get(self.at) if self.row.flags & FLAG_HEADER else None

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

    async def open(self, seq: int) -> Opened:
        """Return row `seq`, opened.

        Raises:
            NoReadKey: this session may not read it.
            CorruptLog: the body is not the one the row names.
        """
        # One function without helpers: every object that is loaded comes through here.
        view = self.view
        first, place = view.commits.find(seq)
        record = view.recent.get(place) or view.record(place)
        at = seq - first
        kind, codec, schema_id, domain, stamp, wanted, length, place = record.brief(at)
        body = (
            record.inline_at(place, length)
            if place < PLACE_BODY_FILE
            else view.body(record, record.row(at))
        )
        if digest(body) != wanted:
            raise CorruptLog(f"the body of object {record.row(at).id.hex()} was altered")
        epoch = stamp >> EPOCH_SHIFT
        if epoch:
            sealer = self._sealers.get((first, domain, epoch)) or self._sealer(record, domain, epoch)
            plain = await self._how.open_one(sealer, body, record.head(at), at)
        else:
            plain = bytes(body)
        if codec > CODEC_FORMAT:
            codec, plain = self._unfilter(codec, plain)
        return Opened(seq, record, at, schema_id, codec, plain)

    async def open_many(self, seqs: Iterable[int]) -> list[Opened]:
        """Return rows that this session can read, in the order asked; others are skipped.

        Rows of one commit and domain that follow each other are opened in one batch.
        """
        out: list[Opened] = []
        for record, run in self._runs(seqs):
            rows = [record.row(at) for at in run]
            bodies = [self.view.body(record, row) for row in rows]
            for row, found in zip(rows, digest_many(bodies), strict=True):
                if found != row.body_hash:
                    raise CorruptLog(f"the body of object {row.id.hex()} was altered")
            try:
                plains = await self._open_run(record, run, rows, bodies)
            except NoReadKey:
                continue
            first = record.first_seq
            for at, row, plain in zip(run, rows, plains, strict=True):
                codec = row.codec
                body = plain
                if codec > CODEC_FORMAT:
                    codec, body = self._unfilter(codec, plain)
                out.append(Opened(first + at, record, at, row.schema, codec, body))
        return out

    async def _open_run(
        self, record: Record, run: list[int], rows: list[Row], bodies: list[memoryview]
    ) -> list[bytes]:
        """Open rows of one commit and one domain."""
        domain, epoch = rows[0].domain, rows[0].epoch
        if not epoch:
            return [bytes(body) for body in bodies]
        sealer = self._sealer(record, domain, epoch)
        if run[-1] - run[0] + 1 == len(run):
            heads = [record.head(at) for at in run]
            return await self._how.open(sealer, bodies, heads, run[0])
        how = self._how
        return [
            await how.open_one(sealer, body, record.head(at), at)
            for at, body in zip(run, bodies, strict=True)
        ]

    def _runs(self, seqs: Iterable[int]) -> Iterator[tuple[Record, list[int]]]:
        """Group seqs that follow each other by commit, read domain and epoch."""
        run: list[int] = []
        record: Record | None = None
        first = end = 0
        key = b""
        for seq in seqs:
            if record is not None and first <= seq < end:
                at = seq - first
                here = record.domain_key(at)
                if here == key:
                    run.append(at)
                    continue
                yield record, run
            else:
                if record is not None:
                    yield record, run
                record, at = self.view.find(seq)
                first, end = seq - at, seq - at + record.row_count
                here = record.domain_key(at)
            run, key = [at], here
        if record is not None:
            yield record, run

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
        codec, plain = self.ledger.pipeline.decode(codec, plain)
        if codec > CODEC_FORMAT:
            raise CannotOpen(
                "the body was encoded by a filter that is not loaded",
                hint="open the chain with the plug-in that wrote it, e.g. plugins=[Zstd()]",
            )
        return codec, plain
