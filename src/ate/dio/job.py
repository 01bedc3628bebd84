"""`Job`: one job in the hands of one holder, and the work that ends it; it looks for no job."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from ate.dio.clash import Guard
from ate.dio.dao import Dao
from ate.dio.dio import Dio
from ate.dio.lease import Lease, standing
from ate.dio.receipt import Receipt
from ate.dio.transaction import Durability
from ate.errors import AteError, BodyNotHeld, Conflict, Fenced, LoadError, Offline, UsageError
from ate.event.draft import Draft
from ate.event.header import Header
from ate.ids import ObjectId

if TYPE_CHECKING:
    from ate.dio.queue import Queue

T = TypeVar("T")


class Job(Generic[T]):
    """A job in the hands of one holder.

    Attributes:
        id, value, header: of the object that is the job.
        dio: unit of work whose first commit ends the job.
        fence: fencing number; a later holder's is larger. Hand it to systems outside the chain, and
            look at it to find out how often the job was tried.
    """

    __slots__ = ("_dao", "_entered", "_lease", "_queue", "dio", "header", "id", "value")

    value: T
    header: Header | None
    _dao: Dao[T]
    _lease: Dao[Lease]

    def __init__(self, queue: Queue[T], job_id: ObjectId) -> None:
        self._queue, self.id = queue, job_id
        self._entered = False
        self.dio = Work(queue.chain, queue.session)

    def __repr__(self) -> str:
        return f"Job({self.id.hex()[:8]}, fence {self.fence})"

    @property
    def fence(self) -> int:
        return self._lease.value.number

    @property
    def is_over(self) -> bool:
        """Whether the end of the job is committed, or it was given back."""
        return not self.dio._ending

    async def _load(self) -> None:
        try:
            dao = await self.dio.load(self._queue.type, self.id)
        except BodyNotHeld as error:  # the job is there: to look on would never end
            raise Offline(f"the job is at the server: {error.message}") from error
        self.value, self.header, self._dao = dao.value, dao.header, dao

    async def _hold(self) -> None:
        """From now on the work ends the job; raises LoadError when it is gone."""
        if self.dio._reader.view.index.locate(self.id) != self._dao.seq:
            await self._load()
        self.dio._will_end(self._dao, self._lease)

    def _is_held_for(self, seconds: float) -> bool:
        """Whether the lease lasts so long yet, and is the newest."""
        ledger, lease = self._queue.chain._ledger, self._lease
        is_newest = ledger.view.index.locate(lease.id) == lease.seq
        return is_newest and lease.value.until_us - ledger.now_us() >= seconds * 1e6

    async def __aenter__(self) -> Self:
        self._entered = True
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            await self.give_back()
            return
        try:
            if self.dio.has_changes:
                await self.dio.commit()
        except BaseException:
            await self.give_back()
            raise

    async def renew(self) -> None:
        """Start the lease anew, for work that takes longer.

        Raises:
            Fenced: somebody else has taken the job.
            UsageError: it is done or was given back.
        """
        if self.is_over:
            raise UsageError("this job is done or was given back")
        await self._change_lease(self._queue._new_lease(self.fence))
        self.dio._will_end(self.dio._ending[0], self._lease)

    async def give_back(self) -> None:
        """Drop what was done and offer the job again at once; nothing happens when it is over."""
        if self.is_over:
            return
        self.dio._will_end()
        self.dio.cancel()
        await self._offer_again()

    async def _offer_again(self) -> None:
        # Where this fails somebody else has the job, or the lease runs out by itself.
        with contextlib.suppress(AteError):
            await self._change_lease(Lease(self.fence, self._queue._holder, 0))

    async def _change_lease(self, new: Lease) -> None:
        dio = Dio(self._queue.chain, self._queue.session)
        try:
            lease = await dio.load(Lease, self._lease.id)
            if lease.seq != self._lease.seq:
                raise Fenced("another holder took the job")
            lease.value = new
            await dio.commit(self._queue._durability, lease=standing(dio, lease))
        except (Conflict, LoadError) as error:
            raise Fenced(f"the job is in other hands: {error.message}") from error
        self._lease = lease


class Work(Dio):
    """The unit of work of a job: every commit of it ends the job, until one has succeeded."""

    _ending: tuple[Dao[Any], ...] = ()

    def _will_end(self, *daos: Dao[Any]) -> None:
        """Delete these with the next commit, and nothing that was named here before."""
        for dao in self._ending:
            self._changed.pop(dao.id, None)
        self._ending = daos
        for dao in daos:
            dao._deleted = True
            self._changed[dao.id] = dao

    def cancel(self) -> None:
        """Forget all changes; the job's end stays."""
        super().cancel()
        self._will_end(*self._ending)

    async def commit(
        self,
        durability: Durability | None = None,
        *,
        at: int | None = None,
        on_conflict: str = "error",
        lease: Guard | None = None,
    ) -> Receipt:
        """Commit the work and the end of the job together.

        Raises:
            Fenced: somebody else took the job; nothing was committed.
            AteError: as for any commit.
        """
        if self._ending and not self.chain.is_sequencer:
            lease = standing(self, self._ending[-1], lease)
        try:
            receipt = await super().commit(durability, at=at, on_conflict=on_conflict, lease=lease)
        except Conflict as conflict:
            if conflict.object in {dao.id for dao in self._ending}:
                raise Fenced(
                    "the job was done or taken by another holder; nothing was committed",
                    hint="give the queue a longer lease_s, or call job.renew() in between",
                ) from conflict
            raise
        self._ending = ()
        return receipt

    def _draft(self, dao: Dao[Any], *, overwrite: bool) -> Draft:
        # on_conflict="last" is for the user's objects, never for the lease that fences them.
        return super()._draft(dao, overwrite=overwrite and dao not in self._ending)


class Claim(Generic[T]):
    """A job that is waited for when the block is entered."""

    __slots__ = ("_job", "_queue")

    def __init__(self, queue: Queue[T]) -> None:
        self._queue = queue
        self._job: Job[T] | None = None

    async def __aenter__(self) -> Job[T]:
        self._job = await self._queue._claim()
        return await self._job.__aenter__()

    async def __aexit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        assert self._job is not None
        await self._job.__aexit__(kind, *raised)
