"""The hash of the present: which object is at which row, as a checkpoint vouches for it.

It covers what compaction must never lose, and leaves out what it may: tombstones, certificates, the
checkpoint itself.

    D("ate present"; objects u64 · for each, sorted by id: id (16) · seq with flags (u64)
                     · origins u64 · for each, sorted: device, session, lsn, first seq (u64 each))
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from ate.chain.index import DEAD, SEQ_MASK, SYSTEM
from ate.chain.run import U64
from ate.chain.view import View
from ate.crypto.hash import derive
from ate.event.system import system_id

CHECKPOINT_ID: Final = system_id("checkpoint", b"")


def vouched(view: View, high: U64, low: U64, seq: U64) -> npt.NDArray[np.bool_]:
    """Return which of these entries the hash of the present covers."""
    covered = seq < np.uint64(DEAD)
    system = np.flatnonzero(seq >= np.uint64(SYSTEM))
    if not len(system):
        return covered
    left_out = {CHECKPOINT_ID}
    for certified in view.trust.certified.values():
        for issuer in certified.issuers:
            left_out.add(system_id("certificate", certified.key.raw + issuer))
    pairs = np.empty((len(system), 2), np.uint64)
    pairs[:, 0], pairs[:, 1] = high[system], low[system]
    raw = pairs.tobytes()
    for n, at in enumerate(system.tolist()):
        if raw[16 * n : 16 * n + 16] in left_out:
            covered[at] = False
    return covered


def state_of(view: View, dropped: U64 | None = None) -> bytes:
    """Return the hash of the present, 32 bytes.

    Args:
        view: the chain up to the commit before.
        dropped: seqs of live rows that retention is about to drop, sorted.
    """
    run = view.index.run()
    high, low, seq = run.high, run.low, run.seq
    covered = vouched(view, high, low, seq)
    if dropped is not None and len(dropped):
        covered &= ~np.isin(seq & np.uint64(SEQ_MASK), dropped)
    return hash_of(view, high[covered], low[covered], seq[covered])


def hash_of(view: View, high: U64, low: U64, seq: U64) -> bytes:
    """Return the hash over these entries, sorted by id, and the origins of `view`."""
    columns = np.empty((len(seq), 3), "<u8")
    columns[:, 0], columns[:, 1], columns[:, 2] = high, low, seq
    order = np.lexsort((low, high))  # numbers, not bytes: as the columns of the index are sorted
    origins = np.array(sorted(origin_rows(view)), "<u8").reshape(-1, 4)
    return derive(
        "ate present",
        b"".join(
            (
                len(seq).to_bytes(8, "little"), columns[order].tobytes(),
                len(origins).to_bytes(8, "little"), origins.tobytes(),
            )
        ),
    )  # fmt: skip


def origin_rows(view: View) -> list[tuple[int, int, int, int]]:
    """Return (device, session, lsn, first seq) of the newest commit of each session, sorted."""
    return sorted((*key, *value) for key, value in view.origins.table.items())
