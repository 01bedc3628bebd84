"""`Attempt`: one try to commit the changes of a `Dio`, and what became of it.

Its author may never be told: the connection is lost, or the author is cancelled, while the commit
is on its way. Trying again begins by finding that out; it applies nothing twice and sends nothing
itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ate.chain.standing import Guards
from ate.dio.dao import Dao, Landed
from ate.dio.descent import fell
from ate.dio.receipt import Receipt
from ate.dio.transaction import Durability, Outcome, Transaction
from ate.errors import UsageError
from ate.event.draft import Draft
from ate.event.row import Kind

if TYPE_CHECKING:
    from ate.dio.dio import Dio


class Attempt:
    """See the module.

    Args:
        dio: whose changes they are.
        taken: what it changed.
        overwrite: replaces whatever is there by then.

    Raises:
        UsageError: nothing is left to commit.
    """

    def __init__(self, dio: Dio, taken: dict[bytes, Dao[Any]], *, overwrite: bool) -> None:
        self._dio = dio
        below: list[Draft] = []
        if any(dao._deleted for dao in taken.values()):
            below = fell(dio._reader.view, taken, dio._overlay or ())
        self._daos = [dao for dao in taken.values() if dao._version or not dao._deleted]
        if not self._daos:
            raise UsageError("all that was stored was deleted again: nothing to commit")
        drafts = [dio._draft(dao, overwrite=overwrite) for dao in self._daos]
        self._drafts = [*drafts, *below]
        self._transaction: Transaction | None = None

    @property
    def is_in_doubt(self) -> bool:
        """Whether it has landed, or may land yet, although it did not answer."""
        made = self._transaction
        if made is None:
            return False
        if made.outcome is not None or (made.parcel is not None and made.parcel.abandoned):
            return True
        return made in self._dio.chain._writer.under_way()

    async def run(self, how: Durability, at: int | None, guards: Guards) -> Receipt:
        """Commit; raises what `Dio.commit` does."""
        dio = self._dio
        landed = await dio.chain._writer.submit(
            self._drafts, dio.session, how, at, guards=guards, made=self._keep
        )
        self._land(landed)
        return landed.receipt()

    def _keep(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def settle(self, changed: dict[bytes, Dao[Any]]) -> Receipt | None:
        """Find out what became of it; what has landed and is as it was goes from `changed`.

        Returns:
            Its receipt; None when it has not landed and never will.

        Raises:
            Disconnected: that cannot be known yet.
            Compacted: it has landed, and was superseded and compacted since.
        """
        assert self._transaction is not None
        landed = await self._dio.chain._writer.learn(self._transaction)
        if landed is None:
            return None
        self._land(landed)
        for dao, draft in zip(self._daos, self._drafts, strict=False):
            if changed.get(dao.id) is dao and self._is_as_sent(dao, draft):
                del changed[dao.id]
        return landed.receipt()

    def _is_as_sent(self, dao: Dao[Any], sent: Draft) -> bool:
        if dao._deleted:
            return sent.kind == Kind.TOMBSTONE
        now = self._dio._draft(dao, overwrite=False)
        return (now.kind, now.parent, now.collection, now.body, now.header) == (
            sent.kind, sent.parent, sent.collection, sent.body, sent.header,
        )  # fmt: skip

    def _land(self, landed: Outcome) -> None:
        time_us, signer = landed.time_us, landed.signer
        for seq, (dao, draft) in enumerate(zip(self._daos, self._drafts, strict=False), landed.seq):
            created = draft.created or seq
            dao._version = Landed(seq, created, time_us, signer, draft.body, draft.codec)
