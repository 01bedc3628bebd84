"""Fills a log's next generation, in steps; whoever compacts takes them, this drives none."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from ate.chain.compact import Compaction, Step
from ate.chain.index import SEQ_MASK
from ate.chain.retention import Retention, old_tombstones, older_versions
from ate.chain.thinning import newest_rows
from ate.chain.view import View

#: Rounds of copying what came during the one before; what is left then is copied while nobody
#: commits.
_ROUNDS: Final = 4


def fill(
    compaction: Compaction, view: View, retention: Retention, extra: set[int], now_us: int
) -> Generator[Step, Any, None]:
    """Write the next generation, up to what is being committed now.

    Args:
        view: of the chain.
        extra: seqs of rows that are kept besides; older versions are added to it.
    """
    cut = compaction.cut
    yield from cut.present()
    cut.check()
    newest = newest_rows(cut)
    if retention.keeps_past:
        seqs = [one & SEQ_MASK for one in newest]
        yield from older_versions(view, seqs, retention, now_us, extra)
    if retention.tombstones is not None:
        gone: set[int] = set()
        yield from old_tombstones(view, newest, retention.tombstones, now_us, gone)
        cut.drop(gone)
    yield from compaction.thin(extra, now_us)
    for _ in range(_ROUNDS):
        yield from compaction.catch_up()
    yield from compaction.prepare()
