"""`Survey`: which objects a fork takes along, in which order, and which it cannot; it opens none.

Order of creation, with parents before their children. What was moved below something younger comes
right behind it, so siblings keep their order.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from ate import limits
from ate.chain.ledger import Ledger
from ate.chain.past import Heads, standing_at
from ate.chain.run import I64, U64, Run
from ate.errors import NoReadKey, ProtocolError
from ate.event.row import CREATED_MASK, EPOCH_SHIFT
from ate.session import Session

Bools = npt.NDArray[np.bool_]

#: Positions of parents that are no object of the survey: the top of the chain, or nothing.
_TOP: Final = -2
_GONE: Final = -1


class Survey:
    """The objects that lived at one row of a chain and that a session can take along.

    Args:
        ledger: the chain.
        session: whose keys open it.
        at: as of this row.

    Attributes:
        seqs: rows of the objects, in order.
        heads: the heads of these rows.
        depths: how far below the top each object hangs.
        is_parent: whether something hangs below it.
        sealed: how many objects the session cannot read.
        stranded: how many hang below those, or below something that is deleted.

    Raises:
        Compacted: not all of them are held any more.
    """

    def __init__(self, ledger: Ledger, session: Session | None, at: int) -> None:
        seqs, heads = standing_at(ledger.view, at)
        above = _parents(heads)
        sealed = _sealed(ledger, session, heads)
        left = _with_what_is_below(sealed | (above == _GONE), above)
        self.sealed = int(sealed.sum())
        self.stranded = int(left.sum()) - self.sealed
        keep = ~left
        seqs, heads = seqs[keep], heads[keep]
        above = _parents(heads)
        created = (heads["stamp"] & np.uint64(CREATED_MASK)).astype(np.uint64)
        created = np.where(created == 0, seqs, created)
        depths, place = _levels(above, created)
        order = np.lexsort((created, depths, place))
        self.seqs, self.heads, self.depths = seqs[order], heads[order], depths[order]
        has_child = np.zeros(len(seqs), np.bool_)
        has_child[above[above >= 0]] = True
        self.is_parent = has_child[order]

    def __len__(self) -> int:
        return len(self.seqs)


def _parents(heads: Heads) -> I64:
    """Return for each object the position of its parent, `_TOP` or `_GONE`."""
    if not len(heads):
        return np.empty(0, np.int64)
    places = np.arange(len(heads), dtype=np.uint64)
    high, low = (heads[name].astype(np.uint64) for name in ("id_hi", "id_lo"))
    run = Run.of(high, low, places, places, places)
    high, low = (heads[name].astype(np.uint64) for name in ("parent_hi", "parent_lo"))
    at = run.positions(high, low)
    found = np.where(at >= 0, run.seq[np.maximum(at, 0)].astype(np.int64), _GONE)
    return np.where((high == 0) & (low == 0), _TOP, found)


def _sealed(ledger: Ledger, session: Session | None, heads: Heads) -> Bools:
    """Return which rows a session has no key for: read domains are asked, no body is opened."""
    domains = ledger.domains(session)
    kinds = np.empty((len(heads), 3), np.uint64)
    kinds[:, 0], kinds[:, 1] = heads["domain_hi"], heads["domain_lo"]
    kinds[:, 2] = heads["stamp"] >> np.uint64(EPOCH_SHIFT)
    distinct, which = np.unique(kinds, axis=0, return_inverse=True)
    closed = np.zeros(len(distinct), np.bool_)
    for at, (high, low, epoch) in enumerate(distinct.tolist()):
        if epoch:
            try:
                domains.key(high.to_bytes(8, "little") + low.to_bytes(8, "little"), epoch)
            except NoReadKey:
                closed[at] = True
    found: Bools = closed[which.reshape(-1)]
    return found


def _with_what_is_below(some: Bools, above: I64) -> Bools:
    """Return some objects with everything that hangs below them."""
    inside = np.maximum(above, 0)
    while True:
        more = some | ((above >= 0) & some[inside])
        if (more == some).all():
            return some
        some = more


def _levels(above: I64, created: U64) -> tuple[I64, U64]:
    """Return how deep each object hangs, and the latest creation on its way up.

    Raises:
        ProtocolError: the parents form a circle, or a tree is deeper than any rule is followed.
    """
    depths, place = np.zeros(len(above), np.int64), created
    inside, hangs = np.maximum(above, 0), above >= 0
    for _ in range(limits.TREE_DEPTH_MAX + 2):
        deeper = np.where(hangs, depths[inside] + 1, 0)
        later = np.where(hangs, np.maximum(created, place[inside]), created)
        if (deeper == depths).all() and (later == place).all():
            return depths, place
        depths, place = deeper, later
    raise ProtocolError(
        f"the parents of some objects form a circle or are more than {limits.TREE_DEPTH_MAX} deep"
    )
