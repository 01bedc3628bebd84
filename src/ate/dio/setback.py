"""`Setback`: work done offline that the chain would not take, for the program to decide about.

It stays in the outbox until it is merged, overwritten or dropped; nothing decides by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ate.dio.overlay import PROVISIONAL
from ate.dio.schema import Schema, schema_of
from ate.dio.typed import ANY
from ate.dio.work import Work
from ate.errors import AteError, Conflict, Deleted, LoadError, NotFound, UsageError, codes
from ate.event.draft import Draft
from ate.event.row import Kind
from ate.ids import ObjectId

if TYPE_CHECKING:
    from ate.dio.chain import Chain
    from ate.dio.dio import Dio
    from ate.dio.forwarder import Forwarder
    from ate.dio.receipt import Receipt
    from ate.dio.transaction import Transaction

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mine:
    """One change of a setback.

    Args:
        id: of the object.
        is_delete: it was deleted.
        base: seq of the version that was changed; 0 = a new object.
    """

    id: ObjectId
    is_delete: bool
    base: int
    _draft: Draft

    def value(self, type: type[T]) -> T:
        """Return the value that was to be stored; raises WrongType when it is of another type."""
        draft = self._draft
        schema: Schema[T] = Schema.any(draft.body) if type in ANY else schema_of(type)
        return schema.decode(self._draft.body, self._draft.codec)


class Setback:
    """A commit made offline that was refused.

    Attributes:
        error: what the chain had against it.
        changes: what it was to change; empty when only its sealed bytes are left.
    """

    def __init__(
        self, owner: Setbacks, number: int, drafts: Sequence[Draft], error: AteError
    ) -> None:
        self._owner, self.number, self.error = owner, number, error
        self._drafts = list(drafts)
        self.changes = tuple(
            Mine(ObjectId(d.id), d.kind == Kind.TOMBSTONE, d.base, d) for d in drafts
        )

    def __repr__(self) -> str:
        return f"Setback({len(self.changes)} changes, {self.error.message!r})"

    def drop(self) -> None:
        """Forget the work."""
        self._owner.forget(self)

    async def overwrite(self, chain: Chain) -> None:
        """Commit it again; it replaces what is there now.

        Raises:
            AteError: as any commit; the setback stays.
        """
        index = chain._ledger.view.index
        drafts = []
        for draft in self._drafts:
            again = Draft(
                draft.kind, draft.id, draft.parent, draft.collection, 0, 0, draft.schema,
                draft.codec, draft.body, draft.header, overwrite=True,
            )  # fmt: skip
            drafts.append(again)
        drafts = [d for d in drafts if d.kind != Kind.TOMBSTONE or index.locate(d.id)]
        if drafts:
            await chain._writer.submit(drafts, chain.session, chain.durability, None)
        self.drop()

    async def merge(self, chain: Chain, *types: type[Any]) -> Receipt | None:
        """Merge it with what is there now, field by field, and commit.

        Args:
            types: of the objects that were changed.

        Raises:
            Conflict: both sides changed the same thing; decide by hand, then `drop()`.
        """
        dio = chain.dio()
        for change in self.changes:
            await self._merge(dio, change, types)
        receipt = await dio.commit() if dio.has_changes else None
        self.drop()
        return receipt

    async def _merge(self, dio: Dio, change: Mine, types: Sequence[type[Any]]) -> None:
        draft = change._draft
        kind = next((one for one in types if schema_of(one).schema_id == draft.schema), None)
        if kind is None and not change.is_delete:
            raise UsageError(
                "the type of a changed object was not named", hint="pass all types to merge()"
            )
        try:
            theirs = await dio.load(kind or dict, change.id)
        except NotFound:
            if not change.is_delete:
                mine = dio.store(
                    change.value(kind or dict), parent=ObjectId(draft.parent), id=change.id,
                    collection=draft.collection,
                )  # fmt: skip
                mine._header = draft.header
            return
        except Deleted:
            if change.is_delete:
                return
            raise Conflict(
                f"object {change.id.hex()} was deleted meanwhile", object=change.id
            ) from None
        if change.is_delete:
            if theirs.seq != change.base:
                raise Conflict(
                    f"object {change.id.hex()} was changed meanwhile", object=change.id,
                    theirs=theirs.seq,
                )  # fmt: skip
            theirs.delete()
            return
        assert kind is not None
        if change.base >= PROVISIONAL:
            raise Conflict(
                "what it was changed from was refused as well", object=change.id,
                hint="decide about the older conflict first, then overwrite or drop this one",
            )  # fmt: skip
        try:
            base = (await dio.load(kind, change.id, at_seq=change.base)).value
        except LoadError as error:
            raise Conflict(
                "the version that was changed is not kept any more", object=change.id
            ) from error
        theirs.value = schema_of(kind).merge(base, change.value(kind), theirs.value)


class Setbacks:
    """All of one chain.

    Args:
        forwarder: whose work it was.
    """

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder
        self._open: dict[int, Setback] = {}

    def __len__(self) -> int:
        return len(self._open)

    def all(self) -> list[Setback]:
        """Return them, the oldest first."""
        return [self._open[number] for number in sorted(self._open)]

    def meet(self, transaction: Transaction, error: AteError) -> None:
        """A commit that nobody waits for was refused."""
        drafts, parking = transaction.drafts, self._forwarder.parking
        number = parking.refuse(transaction.entry, drafts, transaction.first, error)
        self._open[number] = Setback(self, number, drafts, error)

    def add(self, number: int, work: Work | None, note: bytes) -> None:
        """One that was met before the program was started."""
        code, _, text = note.decode(errors="replace").partition("\n")
        cls = codes().get(code, AteError)
        try:
            error = cls(text)
        except TypeError:
            error = AteError(text)
        self._open[number] = Setback(self, number, work.drafts if work else (), error)

    def forget(self, setback: Setback) -> None:
        """Somebody has decided."""
        if self._open.pop(setback.number, None) is not None:
            self._forwarder.outbox.remove(setback.number)
            self._forwarder.outbox.flush()
