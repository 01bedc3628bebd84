"""`Queue`: objects of one type as jobs, each done once; it holds no job outside the chain.

A job is an ordinary object. Who works on it is said by a lease, a child object whose id follows
from the job's, so that taking a job is one compare-and-append. The end of a job is the commit that
deletes it and its lease together with all that its work changed: done is committed, and a holder
whose lease went to somebody else cannot commit, whatever the clocks say.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ate.chain.index import DEAD, SEQ_MASK
from ate.dio.bell import Bell
from ate.dio.dao import Dao
from ate.dio.dio import Dio
from ate.dio.job import Claim, Job
from ate.dio.landing import land
from ate.dio.lease import NEVER_US, Lease, lease_id_of
from ate.dio.schema import schema_of
from ate.dio.transaction import Durability
from ate.errors import AteError, Conflict, LoadError, NoReadKey, UsageError, WrongType
from ate.event.row import Kind, Row
from ate.ids import ROOT, ObjectId
from ate.session import Session

if TYPE_CHECKING:
    from ate.dio.chain import Chain

T = TypeVar("T")


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
    jobs. Jobs that the session cannot read are left to others.
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
        #: Ids of the jobs that there are, oldest first, with the ids of their leases.
        self._jobs: dict[bytes, ObjectId] = {}
        self._trying: set[bytes] = set()
        self._leases: dict[bytes, tuple[int, Lease]] = {}
        self._bells: dict[Bell, None] = {}
        #: Leases of other writing sessions are void: nobody else can be alive.
        self._alone = chain.is_sequencer
        self._seen = self._reader.view.head
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
        while True:
            try:
                job = await self._claim()
            except UsageError:
                if self.chain._closed:
                    return
                raise
            try:
                yield job
            finally:
                if not job._entered:
                    await job.give_back()

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
        for flagged in view.index.children(self.parent, self.collection):
            if not flagged & DEAD:
                record, at = view.find(flagged & SEQ_MASK)
                self._sort_in(record.row(at))

    def _catch_up(self) -> None:
        view = self._reader.view
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
            if row.id not in self._jobs:
                self._jobs[row.id] = lease_id_of(row.id)
        elif row.kind <= Kind.TOMBSTONE and self._jobs.pop(row.id, None) is not None:
            self._leases.pop(row.id, None)

    # --- taking one -------------------------------------------------------------------------

    async def _claim(self) -> Job[T]:
        return (await self._claim_some(1))[0]

    async def _claim_some(self, most: int) -> list[Job[T]]:
        """Wait until there is a job; return those that are free, at most so many."""
        with Bell(self.chain) as bell:
            self._bells[bell] = None
            try:
                while True:
                    jobs, wait_s = await self._look_for(most)
                    if jobs:
                        return jobs
                    if bell.ended:
                        raise UsageError("the chain is closed")
                    await bell.rest(wait_s)
            finally:
                self._bells.pop(bell, None)

    async def _look_for(self, most: int = 1) -> tuple[list[Job[T]], float | None]:
        """Return jobs that were free, or none and in how many seconds a lease will run out."""
        passed: set[bytes] = set()
        free: list[bytes] = []
        wait_s: float | None = None
        self._catch_up()
        while not self.chain._closed:
            # Jobs come and go while this waits, so the search starts anew each time; what it has to
            # step over are jobs in other hands, as many as there are holders.
            job_id = next((one for one in self._jobs if one not in passed), None)
            if job_id is not None:
                passed.add(job_id)
                lease = await self._lease(job_id)
                left_s = self._left_s(lease) if lease else 0
                if left_s > 0:
                    wait_s = left_s if wait_s is None else min(wait_s, left_s)
                elif job_id not in self._trying:
                    free.append(job_id)
            if free and (job_id is None or len(free) == most):
                jobs = await self._try_all(free)
                if jobs:
                    return jobs, None
                free = []
            if job_id is None:
                break
        return [], wait_s

    async def _try_all(self, ids: list[bytes]) -> list[Job[T]]:
        """Take what can be taken of these, together in one commit where possible."""
        if len(ids) == 1:
            job = await self._try(ids[0])
            return [job] if job is not None else []
        tasks = [asyncio.ensure_future(self._try(one)) for one in ids]
        try:
            found = await asyncio.gather(*tasks)
        except BaseException:
            for one in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(one, Job):
                    await one.give_back()
            raise
        return [job for job in found if job is not None]

    async def _lease(self, job_id: bytes) -> Lease | None:
        lease_id = self._jobs[job_id]
        flagged = self._reader.view.index.locate(lease_id)
        if not flagged or flagged & DEAD:
            return None
        known = self._leases.get(job_id)
        if known is None or known[0] != flagged:
            known = self._leases[job_id] = (flagged, await self._read_lease(job_id, lease_id))
        return known[1]

    async def _read_lease(self, job_id: bytes, lease_id: ObjectId) -> Lease:
        try:
            dao = await Dio(self.chain, self.session).load(Lease, lease_id)
            if dao.parent == job_id:
                return dao.value
        except WrongType:
            pass
        # Somebody has put another object where the lease belongs: only this job cannot be taken.
        return Lease(0, self._holder, NEVER_US)

    def _left_s(self, lease: Lease) -> float:
        if self._alone and lease.holder != self._holder:
            return 0
        return (lease.until_us - self.chain._ledger.clock.now_us()) / 1e6

    @property
    def _holder(self) -> int:
        return self.chain._writer._session_number

    def _new_lease(self, number: int) -> Lease:
        until_us = self.chain._ledger.clock.now_us() + int(self.lease_s * 1e6)
        return Lease(number, self._holder, until_us)

    async def _try(self, job_id: bytes) -> Job[T] | None:
        """Take a job whose lease is free; None when somebody was faster."""
        job = None
        self._trying.add(job_id)
        try:
            job = await self._take(ObjectId(job_id))
        except (Conflict, LoadError):
            pass  # the job was taken or is gone, and the search goes on
        except NoReadKey:
            self._jobs.pop(job_id, None)
        finally:
            self._trying.discard(job_id)
            if job is None:
                for bell in self._bells:  # those who passed by while this task tried
                    bell.wake()
        return job

    async def _take(self, job_id: ObjectId) -> Job[T]:
        job = Job(self, job_id)
        await job._load()  # before the lease: what cannot be read is left to others
        dio = Dio(self.chain, self.session)
        lease_id = lease_id_of(job_id)
        try:
            lease = await dio.load(Lease, lease_id)
            lease.value = self._new_lease(lease.value.number + 1)
        except LoadError:
            lease = dio.store(self._new_lease(1), parent=job_id, id=lease_id)
        job._lease, before = lease, lease.seq
        try:
            await land(dio, self._durability)
        except asyncio.CancelledError:
            if lease.seq != before:  # it has landed and nobody will use it
                await job._offer_again()
            raise
        try:
            await job._hold()
        except LoadError:
            # Done by its holder between the look and the lease: the lease came too late.
            with contextlib.suppress(AteError):
                lease.delete()
                await dio.commit(self._durability)
            raise
        return job

    @property
    def _durability(self) -> Durability | None:
        """A lease that is lost with this process is void anyway; elsewhere it must be accepted."""
        return Durability.NONE if self._alone else None
