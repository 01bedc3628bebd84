"""`Queue`: objects of one type as jobs, each done once; it holds no job outside the chain.

A job is an ordinary object. Who works on it is said by a lease, a child object whose id follows
from the job's, so that taking a job is one compare-and-append. The end of a job is the commit that
deletes it and its lease together with all that its work changed: done is committed, and a holder
whose lease went to somebody else cannot commit, whatever the clocks say.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ate.chain.index import DEAD, SEQ_MASK
from ate.dio.bell import Bell
from ate.dio.dao import Dao
from ate.dio.dio import Dio
from ate.dio.job import Claim, Job
from ate.dio.lease import Lease, Leases
from ate.dio.schema import schema_of
from ate.dio.stock import Stock
from ate.dio.taking import take
from ate.dio.transaction import Durability
from ate.errors import Disconnected, Offline, UsageError
from ate.event.row import Kind, Row
from ate.ids import ROOT, ObjectId
from ate.session import Session

if TYPE_CHECKING:
    from ate.dio.chain import Chain

T = TypeVar("T")

#: Parts that free jobs are cut into at most, when many take at the same time.
_SPREAD_MAX = 8
#: At least so often leases are looked into, though there are jobs without: one may have run out.
_LOOK_EVERY_S = 1.0


class Queue(Generic[T]):
    """The jobs of one type below one object.

    Args:
        chain: an open chain.
        type: what a job is stored as.
        parent: the object that the jobs hang under; None is the top of the chain.
        lease_s: how long a holder may work before the job is offered again.
        collection: number of the parent's collection.
        session: acts instead of the session the chain was opened with.

    Any number of tasks may claim from one Queue, and any number of Queues may stand over the same
    jobs, on any number of machines when the chain is shared: there a loop over the queue takes
    quick jobs several at a time, and waits while there is no connection. Jobs that the session
    cannot read are left to others.
    """

    def __init__(
        self,
        chain: Chain,
        type: type[T],
        *,
        parent: Dao[Any] | ObjectId | None = None,
        lease_s: float = 30,
        collection: int = 0,
        session: Session | None = None,
    ) -> None:
        if lease_s <= 0:
            raise UsageError("lease_s must be more than 0")
        self.chain, self.type, self.lease_s, self.collection = chain, type, lease_s, collection
        self.session = session or chain.session
        self.parent = ROOT if parent is None else parent.id if isinstance(parent, Dao) else parent
        self._schema_id = schema_of(type).schema_id
        self._reader = chain._reader(self.session)
        #: Ids of the jobs that there are, oldest first.
        self._jobs: dict[bytes, None] = {}
        self._trying: set[bytes] = set()
        self._leases = Leases(chain, self.session, alone=chain.is_sequencer)
        self._bells: dict[Bell, None] = {}
        self._stock: Stock[T] = Stock(self)
        #: When leases were opened last, by the event loop's clock.
        self._looked_s = float("-inf")
        #: Into how many parts the free jobs are cut, one for each taker: more after a lost race.
        self._spread = 1
        self._turn = self._holder
        self._look_around()

    def __repr__(self) -> str:
        return f"Queue({schema_of(self.type).name}, {len(self)} jobs)"

    # --- using ------------------------------------------------------------------------------

    async def push(self, value: T, *, dio: Dio | None = None) -> Dao[T]:
        """Add a job.

        Args:
            value: the job.
            dio: put it into this unit of work; it is offered once that is committed. Without one
                the job is durable when this returns.
        """
        unit = dio or Dio(self.chain, self.session)
        dao = unit.store(value, parent=self.parent, collection=self.collection)
        if dio is None:
            await unit.commit()
        return dao

    def claim(self) -> Claim[T]:
        """Wait for a job and hold it: `async with queue.claim() as job:`.

        When the block ends well, the job is deleted in one commit with everything done through
        `job.dio`. When it raises, the job is offered again and the changes are dropped.

        Raises (at the end of the block):
            Fenced: the lease had run out and somebody else took the job; nothing was committed.
        """
        return Claim(self)

    async def __aiter__(self) -> AsyncIterator[Job[T]]:
        """Yield held jobs until the chain closes; do each in `async with job:`.

        A job whose block was not entered is given back when the next one is asked for.
        """
        with self._stock:
            while True:
                try:
                    job = await self._stock.take()
                except UsageError:
                    if self.chain._closed:
                        return
                    raise
                try:
                    yield job
                finally:
                    if not job._entered:
                        await job.give_back()

    async def work(self, handler: Callable[[Job[T]], Awaitable[object]], at_once: int = 16) -> None:
        """Do jobs with `await handler(job)`, several at a time, until the chain closes.

        Jobs that end at the same moment end in one commit: that is much faster than one by one.

        Raises:
            ExceptionGroup: a handler has failed; its job is offered again, no other is begun.
        """

        async def do() -> None:
            async for job in self:
                async with job:
                    await handler(job)

        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(do())

    async def count(self) -> int:
        """Return how many jobs there are, those being worked on included."""
        return len(self)

    def __len__(self) -> int:
        self._catch_up()
        return len(self._jobs)

    async def join(self) -> None:
        """Return when no job is left; raises UsageError when the chain closes before."""
        with Bell(self.chain) as bell:
            while len(self):
                if bell.ended:
                    raise UsageError("the chain is closed")
                await bell.rest()

    # --- which jobs there are: headers only, no body is opened --------------------------------

    def _look_around(self) -> None:
        view = self._reader.view
        self._store, self._seen = view.store, view.head
        self._jobs.clear()
        for flagged in view.index.children(self.parent, self.collection):
            if not flagged & DEAD:
                record, at = view.find(flagged & SEQ_MASK)
                self._sort_in(record.row(at))

    def _catch_up(self) -> None:
        view = self._reader.view
        if view.store is not self._store:
            self._look_around()  # another generation of the log: what ended a job may be gone
            return
        for _, record, at in view.rows(self._seen + 1, view.head):
            self._sort_in(record.row(at))
        self._seen = view.head

    def _sort_in(self, row: Row) -> None:
        if (
            row.kind == Kind.DATA
            and row.schema == self._schema_id
            and row.parent == self.parent
            and row.collection == self.collection
        ):
            self._jobs[row.id] = None
        elif row.kind <= Kind.TOMBSTONE and row.id in self._jobs:
            del self._jobs[row.id]
            self._leases.forget(row.id)

    # --- taking some ------------------------------------------------------------------------

    async def _claim(self) -> Job[T]:
        return self._stock.pop() or (await self._claim_some(1))[0]

    async def _claim_some(self, most: int) -> list[Job[T]]:
        """Wait until there is a job; return those that are free, at most so many."""
        with Bell(self.chain) as bell:
            self._bells[bell] = None
            try:
                while True:
                    try:
                        jobs, wait_s = await self._look_for(most)
                    except (Disconnected, Offline):
                        await self._reconnected()
                        continue
                    if jobs:
                        return jobs
                    if bell.ended:
                        raise UsageError("the chain is closed")
                    await bell.rest(wait_s)
                    if stocked := self._stock.pop():
                        return [stocked]
            finally:
                self._bells.pop(bell, None)

    async def _reconnected(self) -> None:
        """Wait for the connection; raises what ended it for good."""
        chain, remote = self.chain, self.chain._remote
        if remote is None:
            raise UsageError("the chain is closed")
        link = remote.link  # what is behind may be refused to be read just as well
        await remote.wait(lambda: chain._closed or (link.is_online and link.is_current), None)

    async def _look_for(self, most: int = 1) -> tuple[list[Job[T]], float | None]:
        """Return jobs that were free, or none and in how many seconds a lease will run out."""
        now_s = asyncio.get_running_loop().time()
        if not self._alone and now_s < self._looked_s + _LOOK_EVERY_S:
            # No lease is opened while there are jobs without one.
            jobs, _ = await self._walk(most, self._leases.is_there)
            if jobs:
                return jobs, None
        self._looked_s = now_s
        return await self._walk(most, self._leases.left_s)

    async def _walk(
        self, most: int, left_s_of: Callable[[bytes], Awaitable[float]]
    ) -> tuple[list[Job[T]], float | None]:
        free: list[bytes] = []
        wait_s: float | None = None
        async for job_id in self._each():
            left_s = await left_s_of(job_id)
            if left_s > 0:
                wait_s = left_s if wait_s is None else min(wait_s, left_s)
            elif job_id not in self._trying:
                free.append(job_id)
                if len(free) >= most * self._spread:
                    if jobs := await self._try_all(self._share(free, most)):
                        return jobs, None
                    free = []
        if free and (jobs := await self._try_all(self._share(free, most))):
            return jobs, None
        return [], wait_s

    async def _each(self) -> AsyncIterator[bytes]:
        """Yield each job once, oldest first; jobs come and go while whoever asks waits."""
        passed: set[bytes] = set()
        self._catch_up()
        rest = iter(self._jobs)
        while not self.chain._closed:
            try:
                job_id = next(rest, None)
            except RuntimeError:  # some came or went
                rest = iter(self._jobs)
                continue
            if job_id is None:
                return
            if job_id not in passed:
                passed.add(job_id)
                yield job_id

    def _share(self, free: list[bytes], most: int) -> list[bytes]:
        """Return the part of the free jobs that this queue tries to take."""
        most = min(most, max(1, len(free) // self._spread))
        parts = max(1, len(free) // most)
        at = self._turn % parts * most
        return free[at : at + most]

    async def _try_all(self, ids: list[bytes]) -> list[Job[T]]:
        """Take what can be taken of these, together in one commit where possible."""
        self._trying.update(ids)
        jobs: list[Job[T]] = []
        try:
            jobs = await take(self, ids)
            if not jobs and len(ids) > 1 and self._alone:
                for one in ids:
                    jobs += await take(self, [one])
        finally:
            self._trying.difference_update(ids)
            if not jobs:
                for bell in self._bells:  # those who passed by while this task tried
                    bell.wake()
        if self._alone:
            return jobs
        if jobs:
            self._spread = max(1, self._spread - 1)
        else:
            self._spread, self._turn = min(2 * self._spread, _SPREAD_MAX), self._turn + 1
        return jobs

    async def _try(self, job_id: bytes) -> Job[T] | None:
        """Take a job whose lease is free; None when somebody was faster."""
        return next(iter(await self._try_all([job_id])), None)

    @property
    def _alone(self) -> bool:
        """Whether nobody but this process can take a job."""
        return self._leases.alone

    @property
    def _holder(self) -> int:
        return self.chain._writer._session_number

    def _new_lease(self, number: int) -> Lease:
        ttl_us = int(self.lease_s * 1e6)
        return Lease(number, self._holder, self.chain._ledger.now_us() + ttl_us, ttl_us)

    @property
    def _durability(self) -> Durability | None:
        """A lease that is lost with this process is void anyway; elsewhere it must be accepted."""
        return Durability.NONE if self._alone else None
