"""Makes proofs from what a chain holds; it signs nothing and shows no value that it is not told to.

It collects the rows that a proof stands on, shows each to be in the tree of one checkpoint, and
checks the result itself before anybody gets it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from ate.chain.checker import check
from ate.chain.checkpoint import is_sealed
from ate.chain.evidence import Continued, Evidence, ShownCommit, ShownRow
from ate.chain.index import SEQ_MASK, SYSTEM
from ate.chain.ledger import Ledger
from ate.chain.paths import Paths, row_path
from ate.chain.present import CHECKPOINT_ID
from ate.chain.view import View
from ate.crypto.hash import digest
from ate.errors import Compacted, CorruptLog, NotFound, TrustError, UsageError
from ate.event.commit import Record
from ate.event.row import EPOCH_SHIFT, SIGNED_BYTES, Kind, Row
from ate.event.system import Checkpoint, Role, decode, system_id
from ate.session import Session
from ate.trust.confidentiality import commit_key
from ate.trust.state import ROOT_ROLE, SEQUENCER_ROLE

#: A state of the chain that a proof continues: how many commits, and their root if it is known.
Earlier = tuple[int, bytes | None]

_UNCOVERED: Final = "a root key signs one: `await chain.checkpoint()`, or `ate prove … --as ROOT`"


@dataclass(frozen=True, slots=True)
class Opened:
    """What is shown of a row's body.

    Args:
        body: as stored.
        key: opens it; empty when it is not sealed.
        others: how many other rows the key opens as well.
    """

    body: bytes = field(repr=False)
    key: bytes = field(repr=False)
    others: int = 0


def version(view: View, object_id: bytes, at_seq: int | None = None) -> int:
    """Return the seq of an object's newest row, or of the one that was newest at `at_seq`.

    A deletion counts.

    Raises:
        NotFound: there was no such object.
        UsageError: it is a row about keys and rules, not an object.
    """
    flagged = view.index.locate(object_id)
    if not flagged:
        raise NotFound(f"no object {object_id.hex()}")
    if flagged & SYSTEM:
        raise UsageError("this is no object, but a row about keys and rules")
    return flagged & SEQ_MASK if at_seq is None else view.seq_at(object_id, at_seq)


def is_covered(view: View, seq: int, earlier: Sequence[Earlier] = ()) -> bool:
    """Return whether the newest checkpoint covers a row, and with `earlier` all there is."""
    newest = view.trust.checkpoint
    if newest is None:
        return False
    if not seq or earlier:
        return is_sealed(view) and all(size <= newest.size for size, _ in earlier)
    return view.find(seq)[0].sequencer.index < newest.size


def opened(ledger: Ledger, session: Session | None, seq: int) -> Opened:
    """Return what it takes to show the value of a row.

    Raises:
        NoReadKey: this session may not read it.
    """
    view = ledger.view
    record, at = view.find(seq)
    row = record.row(at)
    if row.kind != Kind.DATA:
        raise UsageError("a deletion has no value to show")
    body = bytes(view.body(record, row))
    if not row.epoch:
        return Opened(body, b"")
    domain_key = ledger.domains(session).key(row.domain, row.epoch)
    salt = record.author.salt
    key = commit_key(view.trust.chain_id, salt, row.domain, row.epoch, domain_key)
    same = sum(1 for one in range(record.row_count) if _is_under(record.row(one), row))
    # Rows that compaction dropped were sealed in this commit too, and a backup may have them.
    return Opened(body, key, same - 1 + record.author.row_count - record.row_count)


def _is_under(one: Row, row: Row) -> bool:
    return one.domain == row.domain and one.stamp >> EPOCH_SHIFT == row.epoch


def prove(
    ledger: Ledger,
    seq: int = 0,
    *,
    shown: Opened | None = None,
    earlier: Sequence[Earlier] = (),
    to: int | None = None,
) -> Evidence:
    """Return the proof of a row, or with seq 0 of the chain alone.

    Args:
        seq: of the row.
        shown: its body, when the value is to be shown.
        earlier: states that the proof continues.
        to: the number of commits that the checkpoint covers; the newest one if not given.

    Raises:
        UsageError: there is no such checkpoint, it does not cover the row, or there are no keys.
        Compacted: what the proof stands on is not kept any more.
        TrustError: the chain does not continue one of `earlier`: it is another one.
    """
    view = ledger.view
    if not view.trust.has_roots:
        raise UsageError(
            "this chain has no keys, so nobody can sign a proof",
            hint="make the chain with a session: sealed and signed from its first commit on",
        )
    checkpoint = _checkpoint(view, to)
    builder = _Builder(ledger, checkpoint.size)
    if seq:
        record, at = view.find(seq)
        if record.sequencer.index >= checkpoint.size:
            raise UsageError(
                f"the checkpoint covers {checkpoint.size} commits, and row {seq} came later",
                hint=_UNCOVERED,
            )
        builder.show_signed(record, at)
        if shown is not None:
            builder.bodies[seq] = shown.body
    paths = Paths(view, checkpoint.size)
    evidence = Evidence(
        builder.commits(paths), checkpoint, seq, shown.key if shown else b"",
        tuple(_continued(paths, *one) for one in sorted({one[0]: one for one in earlier}.values())),
    )  # fmt: skip
    check(evidence)
    return evidence


def _continued(paths: Paths, size: int, root: bytes | None) -> Continued:
    found = paths.root_at(size)
    if root is not None and root != found:
        raise TrustError(
            f"this chain does not continue that history: its first {size} commits are others",
            hint="somebody with a root key, or the host, has shown different things to you",
        )
    return Continued(size, found, paths.consistency(size))


def _checkpoint(view: View, to: int | None) -> Checkpoint:
    """Return the newest checkpoint, or the one over `to` commits."""
    newest = view.trust.checkpoint
    if newest is None:
        raise UsageError("the chain holds no checkpoint yet", hint=_UNCOVERED)
    if to is None or to == newest.size:
        return newest
    for record, at in _versions(view, CHECKPOINT_ID):
        found = decode(Checkpoint, _body(view, record, at))
        if found.size == to:
            return found
    raise UsageError(f"there is no checkpoint over {to} commits", hint="leave --to out")


def _versions(view: View, row_id: bytes) -> Iterator[tuple[Record, int]]:
    """Yield the versions of a row, newest first.

    Raises:
        Compacted: one is not kept any more.
    """
    seq = view.index.locate(row_id) & SEQ_MASK
    while seq:
        record, at = view.find(seq)
        yield record, at
        seq = record.row(at).base


def _body(view: View, record: Record, at: int) -> bytes:
    row = record.row(at)
    body = bytes(view.body(record, row))
    if digest(body) != row.body_hash:
        raise CorruptLog(f"the body of row {record.seq_at(at)} was altered")
    return body


class _Builder:
    """Collects rows, and whatever their signatures need, below `size` commits."""

    def __init__(self, ledger: Ledger, size: int) -> None:
        self.view, self.size = ledger.view, size
        #: Stored bodies of data rows that are to be shown, by seq.
        self.bodies: dict[int, bytes] = {}
        self._records: dict[int, Record] = {}
        self._rows: dict[int, set[int]] = {}
        self._signed: set[int] = {0}
        #: Long-term keys, and the commit from which on the proof shows them.
        self._published: dict[bytes, int] = {}
        self._show(*self.view.find(1))
        genesis = self.view.trust.genesis
        assert genesis is not None
        self._published = {one.principal.key_id: 0 for one in genesis.roots}
        for record, at in _versions(self.view, system_id("role", ROOT_ROLE.encode())):
            if record.sequencer.index < size:
                self.show_signed(record, at)

    def _show(self, record: Record, at: int) -> None:
        index = record.sequencer.index
        self._records[index] = record
        self._rows.setdefault(index, set()).add(at)

    def show_signed(self, record: Record, at: int) -> None:
        """Show a row and who signed its commit."""
        self._show(record, at)
        index = record.sequencer.index
        if index not in self._signed:
            self._signed.add(index)
            self._publish_signer(record)

    def _publish_signer(self, record: Record) -> None:
        trust, key_id = self.view.trust, record.author.key_id
        if record.author.suite == 0:
            self._show_sequencers(record)
        certified = trust.certified.get(key_id)
        if certified is None:
            self._publish(key_id, record)
            return
        is_known = False
        for issuer, until in certified.issuers.items():
            row_id = system_id("certificate", certified.key.raw + issuer)
            if until >= record.sequencer.time_us:
                try:
                    self._publish(issuer, record)
                    self._show(*self._before(row_id, record))
                except Compacted:
                    continue  # another issuer will do
                is_known = True
        if not is_known:
            raise Compacted("the certificates of the row's author are not kept any more")

    def _show_sequencers(self, record: Record) -> None:
        """Show the row that named the servers which might sign in place of authors."""
        for found, at in _versions(self.view, system_id("role", SEQUENCER_ROLE.encode())):
            if found.sequencer.index < record.sequencer.index:
                self.show_signed(found, at)
                return

    def _publish(self, key_id: bytes, record: Record) -> None:
        """Show the row that makes a long-term key known before `record`."""
        if self._published.get(key_id, self.size) <= record.sequencer.index:
            return
        row_id = system_id("key", key_id)
        is_known = self.view.index.locate(row_id)
        found, at = self._before(row_id, record) if is_known else self._listed(key_id, record)
        self._show(found, at)
        self._published[key_id] = found.sequencer.index

    def _before(self, row_id: bytes, record: Record) -> tuple[Record, int]:
        """Return the version of a row that was there when `record` came."""
        for found, at in _versions(self.view, row_id):
            if found.sequencer.index <= record.sequencer.index:
                return found, at
        raise Compacted("a key that the proof needs is not kept any more")

    def _listed(self, key_id: bytes, record: Record) -> tuple[Record, int]:
        """Return the role row that lists a key."""
        for name in self.view.trust.roles:
            for found, at in _versions(self.view, system_id("role", name.encode())):
                if found.sequencer.index > record.sequencer.index:
                    continue
                role = decode(Role, _body(self.view, found, at))
                if any(one.principal.key_id == key_id for one in role.keys):
                    return found, at
        raise Compacted("a key that the proof needs is not kept any more")

    def commits(self, paths: Paths) -> tuple[ShownCommit, ...]:
        """Return what was collected, each commit with its path."""
        return tuple(self._commit(index, paths) for index in sorted(self._records))

    def _commit(self, index: int, paths: Paths) -> ShownCommit:
        record = self._records[index]
        part = record.sequencer
        return ShownCommit(
            index, part.first_seq, part.time_us, record.author.encode(),
            record.signature if index in self._signed else b"", paths.inclusion(index),
            tuple(self._row(record, at) for at in sorted(self._rows[index])),
        )  # fmt: skip

    def _row(self, record: Record, at: int) -> ShownRow:
        seq = record.seq_at(at)
        row = record.row(at)
        is_system = row.kind not in (Kind.DATA, Kind.TOMBSTONE)
        body = _body(self.view, record, at) if is_system else self.bodies.get(seq)
        signed = bytes(record.signed_rows()[at][:SIGNED_BYTES])
        return ShownRow(seq - record.first_seq, signed, row_path(record, at), body)
