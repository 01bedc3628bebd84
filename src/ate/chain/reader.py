"""Opens rows for one session: place → stored body → digest check → plaintext; it decodes no objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ate.chain.ledger import Ledger
from ate.chain.view import DEAD, SEQ_MASK
from ate.crypto.aead import Sealer
from ate.crypto.hash import digest, digest_many
from ate.errors import CannotOpen, CorruptLog, Deleted, NoReadKey, NotFound
from ate.event.commit import Record
from ate.event.header import Header
from ate.event.row import CODEC_FORMAT, EPOCH_SHIFT, FLAG_HEADER, Row
from ate.session import Session

#: Commit keys kept at hand: one AEAD handle for each (commit, domain).
_SEALERS_MAX = 4096


class Opened:
    """One opened row.

    Args:
        seq: its place in the order.
        row, header: as stored.
        plain: the body in plain; empty for tombstones.
        codec: format of `plain`.
        record: the commit it belongs to.
    """

    __slots__ = ("codec", "plain", "record", "row", "seq")

    def __init__(self, seq: int, row: Row, plain: bytes, codec: int, record: Record) -> None:
        self.seq, self.row, self.plain, self.codec, self.record = seq, row, plain, codec, record

    @property
    def header(self) -> Header | None:
        if not self.row.flags & FLAG_HEADER:
            return None
        return self.record.headers.get(self.seq - self.record.first_seq)

    @property
    def time_us(self) -> int:
        return self.record.sequencer.time_us

    @property
    def author(self) -> bytes:
        return self.record.author.key_id


class Reader:
    """Reads a ledger with the keys of one session."""

    def __init__(self, ledger: Ledger, session: Session | None) -> None:
        self.ledger, self.session = ledger, session
        self.view = ledger.view
        self._domains = ledger.domains(session)
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
        record, at = self.view.find(seq)
        row = record.row(at)
        body = self.view.body(record, row)
        if digest(body) != row.body_hash:
            raise CorruptLog(f"the body of object {row.id.hex()} was altered")
        return await self._opened(record, at, row, body)

    async def open_many(self, seqs: Iterable[int]) -> list[Opened]:
        """Return rows that this session can read, in the order asked; others are skipped.

        Runs of rows from one commit and domain are opened in one batch.
        """
        out: list[Opened] = []
        for record, run in self._runs(seqs):
            rows = [(at, record.row(at)) for at in run]
            bodies = [self.view.body(record, row) for _, row in rows]
            for (_, row), found in zip(rows, digest_many(bodies), strict=True):
                if found != row.body_hash:
                    raise CorruptLog(f"the body of object {row.id.hex()} was altered")
            for (at, row), body in zip(rows, bodies, strict=True):
                try:
                    out.append(await self._opened(record, at, row, body))
                except NoReadKey:
                    continue
        return out

    def _runs(self, seqs: Iterable[int]) -> Iterator[tuple[Record, list[int]]]:
        """Group consecutive seqs by commit."""
        run: list[int] = []
        record: Record | None = None
        first = end = 0
        for seq in seqs:
            if record is None or not first <= seq < end:
                if record is not None:
                    yield record, run
                record, at = self.view.find(seq)
                first, end, run = seq - at, seq - at + record.row_count, [at]
            else:
                run.append(seq - first)
        if record is not None:
            yield record, run

    async def _opened(self, record: Record, at: int, row: Row, body: memoryview) -> Opened:
        epoch = row.stamp >> EPOCH_SHIFT
        plain: bytes
        if epoch:
            sealer = self._sealer(record, row.domain, epoch)
            how = self.ledger.pipeline.confidentiality
            (plain,) = await how.open(sealer, (body,), (record.head(at),), at)
        else:
            plain = bytes(body)
        codec = row.codec
        if codec > CODEC_FORMAT:
            codec, plain = self._unfilter(codec, plain)
        return Opened(record.first_seq + at, row, plain, codec, record)

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
