"""The hash of the present: which object is at which row, as a checkpoint vouches for it.

It covers what compaction must never lose, and leaves out what it may: tombstones, certificates, the
checkpoint itself.

    D("ate present"; objects u64 · for each: id (16) · seq with flags (u64)
                     · origins u64 · for each, sorted: device, session, lsn, first seq (u64 each))
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from ate.chain.index import DEAD, SEQ_MASK, SYSTEM
from ate.chain.run import U64
from ate.chain.seqs import among
from ate.chain.view import View
from ate.crypto.hash import derive
from ate.event.system import system_id

#: Device and session → newest lsn, first seq of that commit.
Origin: TypeAlias = Mapping[tuple[int, int], tuple[int, int]]
CHECKPOINT_ID: Final = system_id("checkpoint", b"")


def vouched(view: View, high: U64, low: U64, seq: U64) -> npt.NDArray[np.bool_]:
    """Return which of these entries the hash of the present covers."""
    covered = seq < np.uint64(DEAD)
    system = np.flatnonzero(covered & (seq >= np.uint64(SYSTEM)))
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
        covered &= ~among(seq & np.uint64(SEQ_MASK), dropped)
    return hash_of(view.origins.table, high[covered], low[covered], seq[covered])


def hash_of(origins: Origin, high: U64, low: U64, seq: U64) -> bytes:
    """Return the hash over these entries, sorted as in the index, and a table of origins."""
    columns = np.empty((len(seq), 3), "<u8")
    columns[:, 0], columns[:, 1], columns[:, 2] = high, low, seq
    rows = np.array(sorted((*key, *value) for key, value in origins.items()), "<u8").reshape(-1, 4)
    return derive(
        "ate present",
        b"".join(
            (
                len(columns).to_bytes(8, "little"), columns.tobytes(),
                len(rows).to_bytes(8, "little"), rows.tobytes(),
            )
        ),
    )  # fmt: skip
