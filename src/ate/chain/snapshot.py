r"""The index snapshot: the view as arrays in one file, so that opening costs the same at any size.

It is never truth: guarded by a keyed hash that only this session can make, it is ignored and
rebuilt whenever it is missing, stale or wrong. It does bear witness: a log that is shorter than
what the snapshot has seen was cut, and that is reported.

    0   magic "ATEIDX1\n" · version u32 · header length u32 · keyed BLAKE3 of all that follows (32)
    48  header (MessagePack) · zero padding to 64 bytes · columns, each padded to 64 bytes
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from ate import merkle
from ate.chain.commits import LEAF_BYTES, CommitColumns
from ate.chain.index import SEQ_MASK, SYSTEM
from ate.chain.run import U64
from ate.crypto.hash import keyed
from ate.crypto.sign import FastVerifyKey
from ate.errors import AteError, CorruptLog
from ate.event.prefix import is_commit
from ate.event.row import Kind
from ate.event.system import Checkpoint, Genesis, PublicKeys, Role, decode
from ate.event.thinned import decode_record
from ate.trust.state import Certified, Trust
from ate.trust.throttle import FIELD

if TYPE_CHECKING:
    from ate.chain.ledger import Ledger

_HEAD: Final = struct.Struct("<8sII32s")
_MAGIC: Final = b"ATEIDX1\n"
_VERSION: Final = 2
_ALIGN: Final = 64
#: Five of the index, its order by child key; first seq, place and leaf of each commit.
_KINDS: Final = tuple(np.dtype(kind) for kind in ("<u8",) * 5 + ("<u4", "<u8", "<u8", "u1"))


class _Public(msgspec.Struct):
    """The fold of the system rows, as stored."""

    chain_id: bytes
    genesis: Genesis | None
    keys: list[PublicKeys]
    roles: list[Role]
    certified: list[tuple[bytes, dict[bytes, int]]]
    checkpoint: Checkpoint | None


class _Header(msgspec.Struct):
    """Everything but the columns."""

    head: int
    time_us: int
    link: bytes
    frontier: bytes
    rules: int
    live: int
    held: int
    settled: tuple[int, int]
    cut: int
    lasting: list[int]
    bodies_end: int
    last_place: int
    last_leaf: bytes
    origins: list[tuple[int, int, int, int]]
    public: _Public
    columns: list[int]


def write_snapshot(ledger: Ledger) -> None:
    """Write the view of `ledger` as it is now, all of which must be flushed."""
    view = ledger.view
    ledger.store.write_index(
        encode_snapshot(
            ledger, view.commits.columns(), held=view.held, cut=view.cut, lasting=view.lasting,
            bodies_end=view.bodies_end,
        )
    )  # fmt: skip


def encode_snapshot(
    ledger: Ledger,
    commits: CommitColumns,
    *,
    held: int,
    cut: int,
    lasting: list[int],
    bodies_end: int,
    dropped: U64 | None = None,
    size: int = 0,
) -> list[bytes]:
    """Return the snapshot of the present, for a log that holds these commits.

    Args:
        commits: first seqs, places in that log and leaves.
        held: rows in them.
        cut, lasting, bodies_end: as in `View`, for that log.
        dropped: seqs of newest rows that it does not hold, sorted; None for the log that lives.
        size: of a log that is about to take over, in bytes.
    """
    view = ledger.view
    first, place, leaves = commits
    run = view.index.run() if dropped is None else view.index.run().without(dropped)
    settled = (view.settled_rows, view.settled_bytes)
    if dropped is not None:
        settled = (held - len(run.seq), size)
    index: list[np.ndarray[Any, Any]] = [*run.columns(), run.order()]
    columns: list[np.ndarray[Any, Any]] = [*index, first, place, leaves]
    header = _Header(
        head=view.head,
        time_us=view.time_us,
        link=view.link,
        frontier=view.frontier.encode(),
        rules=view.rules,
        live=int(np.count_nonzero(run.seq < np.uint64(SYSTEM))),
        held=held,
        settled=settled,
        cut=cut,
        lasting=lasting,
        bodies_end=bodies_end,
        last_place=int(place[-1]) if len(place) else 0,
        last_leaf=leaves[-LEAF_BYTES:].tobytes(),
        origins=[(*key, *value) for key, value in view.origins.table.items()],
        public=_export(view.trust),
        columns=[column.nbytes for column in columns],
    )
    encoded = msgspec.msgpack.encode(header)
    parts: list[bytes | memoryview] = [encoded, bytes(-(_HEAD.size + len(encoded)) % _ALIGN)]
    for column in columns:
        parts.append(np.ascontiguousarray(column).data.cast("B"))
        parts.append(bytes(-column.nbytes % _ALIGN))
    raw = b"".join(parts)
    return [_HEAD.pack(_MAGIC, _VERSION, len(encoded), _guard(ledger, raw)), raw]


def read_snapshot(ledger: Ledger) -> int:
    """Fill the view from the snapshot and return the place behind which the log must be replayed.

    Returns 0, with an untouched view, when there is no snapshot that this session can trust.

    Raises:
        CorruptLog: the snapshot is sound and the log does not hold what it has seen.
    """
    raw = ledger.store.read_index()
    if raw is None or len(raw) < _HEAD.size:
        return 0
    magic, version, size, guard = _HEAD.unpack_from(raw, 0)
    if magic != _MAGIC or version != _VERSION or guard != _guard(ledger, raw[_HEAD.size :]):
        return 0
    try:
        end = _HEAD.size + size
        header = msgspec.msgpack.decode(raw[_HEAD.size : end], type=_Header)
        if ledger.session is None and not ledger.guard and _is_signed(ledger):
            return 0
        _check_tail(ledger, header)
        _restore(ledger, header, raw, end + (-end % _ALIGN))
    except CorruptLog:
        raise
    except (msgspec.MsgspecError, ValueError, AteError):
        return 0
    return header.last_place


def _check_tail(ledger: Ledger, header: _Header) -> None:
    """The newest commit the snapshot saw must still be there."""
    if not header.last_place:
        return
    hint = "commits that were here are gone: restore from a backup or a replica"
    try:
        record = decode_record(ledger.store.read(header.last_place))
        found = record.leaf
    except AteError:
        raise CorruptLog(
            "the log is shorter than it was: it has been truncated", hint=hint
        ) from None
    # A compaction may have dropped the last commit of all, when nothing but it was below the cut.
    is_cut = header.cut == merkle.Frontier.decode(header.frontier).size
    if found != header.last_leaf or (record.last_seq != header.head and not is_cut):
        raise CorruptLog("the log does not hold the commits it held before", hint=hint)


def _restore(ledger: Ledger, header: _Header, raw: memoryview, at: int) -> None:
    view = ledger.view
    columns: list[Any] = []
    for kind, size in zip(_KINDS, header.columns, strict=True):
        columns.append(np.frombuffer(raw, kind, size // kind.itemsize, at))
        at += size + (-size % _ALIGN)
    frontier = merkle.Frontier.decode(header.frontier)
    if ledger.session is None:
        _check_shape(header, columns, frontier.size)
    _import(view.trust, header.public)
    view.frontier = frontier
    view.index.adopt(columns[:5], columns[5], header.live)
    view.commits.adopt(columns[6], columns[7], columns[8])
    view.origins.table.update({(d, s): (lsn, seq) for d, s, lsn, seq in header.origins})
    view.head, view.time_us, view.link = header.head, header.time_us, header.link
    view.rules, view.bodies_end = header.rules, header.bodies_end
    view.settled_rows, view.settled_bytes = header.settled
    view.cut, view.lasting, view.held = header.cut, header.lasting, header.held
    view.pace.set(view.field(FIELD))


def _check_shape(header: _Header, columns: list[Any], commits: int) -> None:
    """Raise ValueError when the columns do not belong together.

    A guard with a key vouches for them. One without a key can be made by anybody, and what anybody
    makes must not lead outside of the arrays.
    """
    objects = len(columns[0])
    sizes = [len(column) for column in columns]
    held = sizes[6]
    is_whole = held == commits or (header.cut and 0 < held < commits)
    if sizes != [objects] * 6 + [held, held, LEAF_BYTES * held] or not is_whole:
        raise ValueError("columns of different lengths")
    high, order, first, place = columns[0], columns[5], columns[6], columns[7]
    if (
        (high[1:] < high[:-1]).any()
        or (first[1:] <= first[:-1]).any()
        or (place[1:] <= place[:-1]).any()
    ):
        raise ValueError("columns that are not sorted")
    known = objects == 0 or (
        int(order.max()) < objects and int((columns[2] & SEQ_MASK).max()) <= header.head
    )
    if not known or first[0] != 1 or first[-1] > header.head or place[-1] != header.last_place:
        raise ValueError("columns that point nowhere")


def _guard(ledger: Ledger, raw: bytes | memoryview) -> bytes:
    """Return the keyed hash over the snapshot: keyed by the session, or unkeyed on unsigned chains.

    A server keys it with a secret of its own. Without either there is nothing to key it with; then
    it only serves chains that have no roots (see `_is_signed`), where whoever could forge it could
    as well write the chain.
    """
    key = ledger.session.local_key(b"index") if ledger.session else ledger.guard or bytes(32)
    return keyed(key, raw)


def _is_signed(ledger: Ledger) -> bool:
    """Read from the log itself whether the chain has roots.

    An unkeyed guard is worth nothing there.
    """
    for _, payload in ledger.store.scan(0):
        if not is_commit(payload):
            continue
        record = decode_record(payload)
        row = record.row(0)
        return row.kind != Kind.GENESIS or bool(decode(Genesis, record.inline(row)).roots)
    return True


def _export(trust: Trust) -> _Public:
    return _Public(
        chain_id=trust.chain_id,
        genesis=trust.genesis,
        keys=[PublicKeys.of(one) for one in trust.keys.values()],
        roles=list(trust.roles.values()),
        certified=[(one.key.raw, one.issuers) for one in trust.certified.values()],
        checkpoint=trust.checkpoint,
    )


def _import(trust: Trust, public: _Public) -> None:
    """Take over what `_export` returned: all of it or, on an error, nothing."""
    keys = {one.principal.key_id: one.principal for one in public.keys}
    certified = [(FastVerifyKey(raw), issuers) for raw, issuers in public.certified]
    trust.chain_id, trust.genesis, trust.checkpoint = (
        public.chain_id,
        public.genesis,
        public.checkpoint,
    )
    trust.keys, trust.roles = keys, {role.name: role for role in public.roles}
    trust.certified.update((key.key_id, Certified(key, issuers)) for key, issuers in certified)
