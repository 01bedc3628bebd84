"""`Dio`: a unit of work. Load and store objects, then commit them together or not at all.

Its own uncommitted changes overlay what it loads; nobody else sees them. When a commit fails the
changes stay here, so that it can be tried again. It never appends: the chain's writer does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, cast

from ate.chain.index import DEAD, SEQ_MASK
from ate.chain.reader import Opened, Reader
from ate.chain.standing import Guards
from ate.dio.attempt import Attempt
from ate.dio.clash import Guard
from ate.dio.collections import bind
from ate.dio.dao import Dao
from ate.dio.descent import check_move
from ate.dio.history import Version, history
from ate.dio.receipt import Receipt
from ate.dio.reconcile import reconcile
from ate.dio.schema import Schema, schema_of
from ate.dio.transaction import Durability
from ate.dio.typed import ANY, check_pending, checked, fits, not_of
from ate.dio.upcoming import shown, unlisted
from ate.errors import Conflict, Deleted, LoadError, NoReadKey, UsageError
from ate.event.access import Access
from ate.event.draft import Draft
from ate.event.header import Header
from ate.event.row import Kind
from ate.ids import ROOT, ObjectId
from ate.session import Session

if TYPE_CHECKING:
    from ate.dio.chain import Chain

T = TypeVar("T")

#: Rows opened together while iterating: large enough to batch, small enough to stop early.
_BATCH = 256
_MERGE_TRIES = 16
_OBJECT: Final = cast("Any", object)
_DATA = int(Kind.DATA)


class Dio:
    """A unit of work on one chain, for one session.

    Use it as `async with chain.dio() as dio:` to commit when the block ends well.
    """

    def __init__(self, chain: Chain, session: Session | None, *, codec: int = 1) -> None:
        self.chain, self.session, self.codec = chain, session, codec
        self._reader: Reader = chain._reader(session)
        self._ids = chain._ids
        self.resolve = chain._neighbours.resolve  # for `Link`
        self._changed: dict[bytes, Dao[Any]] = {}
        #: The last commit, when it is not known whether it has landed.
        self._doubtful: Attempt | None = None
        #: What waits for the server, of this session; None where nothing ever does.
        self._overlay = chain._overlay(session)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self.has_changes:
            await self.commit()
        else:
            self.cancel()

    # --- changing ---------------------------------------------------------------------------

    def store(
        self,
        value: T,
        *,
        parent: Dao[Any] | ObjectId | None = None,
        access: Access | None = None,
        id: ObjectId | None = None,
        collection: int = 0,
        reply: ObjectId | None = None,
    ) -> Dao[T]:
        """Add a new object; no await, its id is known at once.

        Args:
            value: see the guide for the types that can be stored.
            parent: the object it hangs under; None is the top of the chain.
            access: its own rule; None inherits the parent's.
            id: a chosen id instead of a random one; it must be free when the commit lands.
            collection: number of the parent's collection field, for Vec, Map and Child.
            reply: the request this object answers.

        Raises:
            UsageError: the value cannot be stored, or this Dio holds another object of that id.
        """
        schema: Schema[T] = schema_of(type(value))
        object_id = self._ids.next() if id is None else checked(id)
        parent_id = ROOT if parent is None else self._parent_id(parent)
        dao: Dao[T] = Dao(self, schema, object_id, value, None)
        dao._place = (parent_id, collection)
        if id is not None and (other := self._changed.get(id)) is not None:
            if not other._deleted:
                raise UsageError(f"this Dio holds an object {id.hex()} already")
            dao._version = other._version
        if access is not None or reply is not None:
            dao._header = Header(access, reply=reply)
        if schema.has_fields:
            self._bind(dao)
        self._changed[object_id] = dao
        return dao

    def delete(self, id: ObjectId) -> None:
        """Delete an object by id, without decoding it; raises NotFound or Deleted."""
        pending = self._changed.get(id)
        if pending is None:
            upcoming = self._overlay.get(id) if self._overlay else None
            if upcoming is not None:
                pending = shown(self, upcoming, dict)
            else:
                pending = self._handle(id, self._reader.seq_of(id))
        elif pending._deleted:
            raise Deleted(f"object {id.hex()} was deleted in this Dio")
        pending.delete()

    def cancel(self) -> None:
        """Forget all changes."""
        self._changed.clear()
        self._doubtful = None

    @property
    def has_changes(self) -> bool:
        """Whether a commit would change anything."""
        return any(dao._version or not dao._deleted for dao in self._changed.values())

    # --- reading ----------------------------------------------------------------------------

    async def load(self, type: type[T], id: ObjectId, *, at_seq: int | None = None) -> Dao[T]:
        """Return an object.

        Args:
            type: what it was stored as; `dict` or `object` for anything.
            at_seq: as of this seq instead of now.

        Raises:
            NotFound, Deleted, WrongType: see `LoadError`.
            NoReadKey: this session may not read it.
        """
        if at_seq is None and self._changed:
            pending = self._changed.get(id)
            if pending is not None:
                return check_pending(pending, type)
        if self._overlay is not None:
            self.chain._check_readable()
            upcoming = self._overlay.get(id) if at_seq is None else None
            if upcoming is not None:
                return shown(self, upcoming, type)
        reader = self._reader
        seq = reader.seq_of(id) if at_seq is None else reader.view.seq_at(id, at_seq)
        opened = await reader.open(seq)
        schema = None if type in ANY else schema_of(type)
        return self._dao(opened, type, schema, id)

    def history(
        self,
        id: ObjectId,
        type: type[T] = _OBJECT,
        *,
        oldest_first: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Version[T]]:
        """Yield the committed versions of an object, newest first; deletions are among them.

        Args:
            type: what the values are; `dict` or `object` for anything.
            limit: no more than these.

        Where compaction dropped what is older, the oldest that is left says so: `older_dropped`.

        Raises (when iterated):
            NotFound: there never was such an object.
        """
        return history(self._reader, id, type, oldest_first=oldest_first, limit=limit)

    async def load_many(
        self,
        ids: Iterable[ObjectId],
        type: type[T] = _OBJECT,
        *,
        missing: str = "raise",
    ) -> list[Dao[T]]:
        """Return several objects, in the order asked.

        Args:
            missing: "raise", or "skip" what is not there, deleted or unreadable.
        """
        found: list[Dao[T]] = []
        for one in ids:
            try:
                found.append(await self.load(type, one))
            except (LoadError, NoReadKey):
                if missing != "skip":
                    raise
        return found

    async def exists(self, id: ObjectId) -> bool:
        """Return whether there is a live object of this id."""
        pending = self._changed.get(id)
        if pending is not None:
            return not pending._deleted
        upcoming = self._overlay.get(id) if self._overlay else None
        if upcoming is not None:
            return upcoming.draft.kind != Kind.TOMBSTONE
        flagged = self._reader.view.index.locate(id)
        return bool(flagged) and not flagged & DEAD

    async def children(
        self, parent: Dao[Any] | ObjectId | None, type: type[T], *, collection: int = 0
    ) -> AsyncIterator[Dao[T]]:
        """Yield the children of one type, in order of creation; unreadable ones are skipped."""
        here = self._parent_id(parent), collection
        async for dao in self._iterate(self._reader.view.index.children(*here), type, here):
            yield dao

    async def roots(self, type: type[T]) -> AsyncIterator[Dao[T]]:
        """Yield the objects of one type at the top of the chain."""
        async for dao in self.children(None, type):
            yield dao

    async def all(self, type: type[T]) -> AsyncIterator[Dao[T]]:
        """Yield all objects of one type (`object` or `dict`: of any), in the order of the log."""
        async for dao in self._iterate(self._reader.view.index.all(), type, None):
            yield dao

    async def _iterate(
        self, seqs: Sequence[int], type: type[T], here: tuple[bytes, int] | None
    ) -> AsyncIterator[Dao[T]]:
        """Open rows in batches; those of other types are left out before they are opened."""
        wanted = None if type in ANY else schema_of(type)
        wanted_id = None if wanted is None else wanted.schema_id
        changed, seqs = self._changed, self._reader.view.listings.add(seqs)
        if (overlay := self._overlay) is not None:
            self.chain._check_readable()
        ahead = {one.draft.id: one for one in overlay} if overlay else {}  # as of now
        for start in range(0, len(seqs), _BATCH):
            some = [seq & SEQ_MASK for seq in seqs[start : start + _BATCH] if seq < DEAD >> 1]
            for opened in await self._reader.open_many(some, schema_id=wanted_id):
                pending = changed.get(opened.row.id) if changed else None
                if pending is None:
                    if opened.row.id in ahead:
                        continue  # what it will be is listed at the end
                    pending = self._dao(opened, type, wanted)
                elif pending._deleted or not fits(pending._schema, type):
                    continue
                if here is None or pending.place == here:
                    yield pending
        for dao in unlisted(self, type, here, ahead.values()):
            yield dao

    # --- committing -------------------------------------------------------------------------

    async def commit(
        self,
        durability: Durability | None = None,
        *,
        at: int | None = None,
        on_conflict: str = "error",
        lease: Guard | None = None,
    ) -> Receipt:
        """Make all changes durable and visible, or none.

        After an error that left open whether they have landed (`Disconnected`, a cancellation) do
        it again: that first finds out, and applies nothing twice.

        Args:
            durability: when to return; the chain's default if not given.
            at: refuse unless the head of the chain is this seq (compare-and-append).
            on_conflict: "error"; "merge" combines field by field; "last" overwrites.
            lease: raises Fenced when somebody else holds it by then.

        Raises:
            Conflict: an object changed since it was loaded. The Dio keeps its changes.
            WriteDenied, Refused, LimitExceeded, OutOfSpace …: likewise.
        """
        if on_conflict not in ("error", "merge", "last"):
            raise UsageError("on_conflict is 'error', 'merge' or 'last'")
        if not self._changed:
            raise UsageError("there is nothing to commit")
        how = self.chain.durability if durability is None else durability
        taken, self._changed = self._changed, {}
        try:
            if self._doubtful is not None:
                receipt = await self._doubtful.settle(taken)
                self._doubtful = None
                if receipt is not None and not taken:
                    return receipt
            guards: Guards = lease.guards if lease is not None else ()
            for tries in range(_MERGE_TRIES):
                attempt = Attempt(self, taken, overwrite=on_conflict == "last")
                try:
                    return await attempt.run(how, at, guards)
                except Conflict as conflict:
                    dao = taken.get(conflict.object) if conflict.object else None
                    if on_conflict != "merge" or dao is None or tries == _MERGE_TRIES - 1:
                        raise
                    await reconcile(self, dao, conflict)
                except BaseException:
                    self._doubtful = attempt if attempt.is_in_doubt else None
                    raise
            raise AssertionError("unreachable")
        except BaseException:
            self._changed = {**taken, **self._changed}
            raise

    def _draft(self, dao: Dao[Any], *, overwrite: bool) -> Draft:
        schema, version, place = dao._schema, dao._version, dao._place
        if version is None and place is not None and not dao._deleted:
            return Draft(
                _DATA, dao.id, place[0], place[1], 0, 0, schema.schema_id, self.codec,
                schema.encode(dao._value, self.codec), dao._header, overwrite,
            )  # fmt: skip
        return self._new_version(dao, overwrite=overwrite)

    def _new_version(self, dao: Dao[Any], *, overwrite: bool) -> Draft:
        """Return the draft of an object that is there: its next version, or its end."""
        schema, version = dao._schema, dao._version
        base, schema_id, codec = version.seq, schema.schema_id, 0
        if dao._deleted:
            kind, body = int(Kind.TOMBSTONE), b""
            known = getattr(version, "schema", 0)  # `delete(id)` knows no type
            schema_id = known or self._reader.view.schema_at(base)
        elif version.plain:
            # Fields that this program does not know survive only in the format they were stored in.
            kind, codec = _DATA, version.codec
            body = schema.encode_keeping(dao._value, version.plain, codec)
        else:
            kind, codec = _DATA, self.codec
            body = schema.encode(dao._value, codec)
        dao._header = dao.header
        parent, collection = dao.place
        return Draft(
            kind, dao.id, parent, collection, base, version.created, schema_id, codec, body,
            dao._header, overwrite,
        )  # fmt: skip

    # --- for Dao and collections ------------------------------------------------------------

    def _dao(
        self,
        opened: Opened,
        type: type[T],
        schema: Schema[T] | None = None,
        id: ObjectId | None = None,
    ) -> Dao[T]:
        if schema is None:
            schema = Schema.any(opened.plain) if type in ANY else schema_of(type)
        if opened.schema_id != schema.schema_id or not opened.plain:
            raise not_of(opened, schema)
        object_id = id if id.__class__ is ObjectId else ObjectId(opened.row.id)
        value = schema.decode(opened.plain, opened.codec)
        dao: Dao[T] = Dao(self, schema, object_id, value, opened)
        if schema.has_fields:
            bind(value, self, dao.id)
        return dao

    def _handle(self, object_id: ObjectId, seq: int) -> Dao[Any]:
        """Return a handle for deleting an object whose body is not opened."""
        record, at = self._reader.view.find(seq)
        version = Opened(seq, record, at, record.row(at).schema, 0, b"")
        return Dao(self, schema_of(dict), object_id, {}, version)

    def _bind(self, dao: Dao[Any]) -> None:
        if dao._schema.has_fields:
            bind(dao._value, self, dao.id)

    def _touch(self, dao: Dao[Any]) -> None:
        other = self._changed.setdefault(dao.id, dao)
        if other is not dao:
            raise UsageError(
                f"object {dao.id.hex()} was loaded twice and is changed through both handles",
                hint="change it through one Dao, or commit in between",
            )

    def _parent_id(self, parent: Dao[Any] | ObjectId | None) -> bytes:
        if parent is None:
            return ROOT
        if isinstance(parent, Dao):
            return parent.id
        raw: object = parent
        if isinstance(raw, bytes) and len(raw) == 16:
            return raw
        raise UsageError(f"a parent is a Dao or an ObjectId, not {type(parent).__name__}")

    def _new_parent(self, dao: Dao[Any], parent: Dao[Any] | ObjectId | None) -> bytes:
        parent_id = self._parent_id(parent)
        check_move(self._reader.view, self._changed, dao.id, parent_id)
        return parent_id
