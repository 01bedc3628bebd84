"""`take`: takes the leases of free jobs, all of them in one commit; it looks for no job."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ate.dio.clash import Guard
from ate.dio.dio import Dio
from ate.dio.job import Job
from ate.dio.landing import land
from ate.dio.lease import Lease, lease_id_of, standing
from ate.errors import AteError, Conflict, Disconnected, Fenced, LoadError, NoReadKey
from ate.ids import ObjectId

if TYPE_CHECKING:
    from ate.dio.queue import Queue

T = TypeVar("T")


async def take(queue: Queue[T], ids: Sequence[bytes]) -> list[Job[T]]:
    """Take these jobs; none when somebody was faster with one of them.

    A job that cannot be read is left to others.

    Raises:
        AteError: as for any commit; nothing was taken, or it is not known.
    """
    dio = Dio(queue.chain, queue.session)
    jobs: list[Job[T]] = []
    for one in ids:
        job = Job(queue, ObjectId(one))
        try:
            await job._load()  # before the lease: what cannot be read is left to others
            await _lay_hand_on(job, dio)
        except NoReadKey:
            queue._jobs.pop(one, None)
        except LoadError:
            pass  # it is gone, and the search goes on
        else:
            jobs.append(job)
    if not jobs:
        return []
    before = [job._lease.seq for job in jobs]
    try:
        await _commit(queue, dio, standing(dio, jobs[0]._lease))
    except (Conflict, Fenced):
        return []
    except asyncio.CancelledError:
        if jobs[0]._lease.seq != before[0]:  # it has landed and nobody will use it
            await offer_again(jobs)
        raise
    try:
        return [job for job in jobs if await _is_held(job, dio)]
    except BaseException:  # one cannot be held: the others must not wait for their leases' end
        await offer_again(jobs)
        raise


async def _commit(queue: Queue[Any], dio: Dio, guard: Guard | None) -> None:
    """Commit, and without an answer again when there is a connection.

    Leases that nobody knows of would keep their jobs from everybody for as long as they last.
    """
    while True:
        try:
            await land(dio, queue._durability, lease=guard)
        except Disconnected:
            await queue._reconnected()
        else:
            return


async def _lay_hand_on(job: Job[Any], dio: Dio) -> None:
    """Make the new version of a job's lease part of a unit of work."""
    queue, lease_id = job._queue, lease_id_of(job.id)
    try:
        lease = await dio.load(Lease, lease_id)
        lease.value = queue._new_lease(lease.value.number + 1)
    except LoadError:
        lease = dio.store(queue._new_lease(1), parent=job.id, id=lease_id)
    job._lease = lease


async def _is_held(job: Job[Any], dio: Dio) -> bool:
    try:
        await job._hold()
    except LoadError:
        # Done by its holder between the look and the lease: the lease came too late.
        with contextlib.suppress(AteError):
            job._lease.delete()
            await dio.commit(job._queue._durability)
        return False
    return True


async def offer_again(jobs: Sequence[Job[Any]]) -> None:
    """Offer several jobs again, at once."""
    await asyncio.gather(*(job._offer_again() for job in jobs))
