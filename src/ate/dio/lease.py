"""`Lease`: who works on a job, as an object of the chain; it takes nothing and gives nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, Final

import msgspec

from ate.chain.index import DEAD, SEQ_MASK
from ate.chain.standing import Guards
from ate.crypto.hash import derive, keyed
from ate.dio.clash import Guard
from ate.dio.dao import Dao
from ate.dio.dio import Dio
from ate.errors import LoadError, WrongType
from ate.ids import ObjectId
from ate.session import Session

if TYPE_CHECKING:
    from ate.dio.chain import Chain

_KEY: Final = derive("ate queue lease", b"")
#: A time that does not come.
NEVER_US: Final = 1 << 62


class Lease(msgspec.Struct, frozen=True):
    """A job's lease, a child of the job.

    Args:
        number: fencing number: 1 for the first holder, one more for each that follows.
        holder: the writing session of the process that holds it.
        until_us: from here on anybody may take the job; 0 = given back.
        ttl_us: as long without a new version is long enough, too, for whoever watched.
    """

    __ate_type__: ClassVar[str] = "ate.Lease"

    number: int
    holder: int
    until_us: int
    ttl_us: int = 0


def lease_id_of(job_id: bytes) -> ObjectId:
    """Return the id of a job's lease: it follows from the job's, so that a job has one at most."""
    return ObjectId(keyed(_KEY, job_id)[:16])


class Leases:
    """What is known of the leases of a queue's jobs; each version is opened once.

    Args:
        alone: leases of other writing sessions are void: nobody else can be alive.
    """

    def __init__(self, chain: Chain, session: Session | None, *, alone: bool) -> None:
        self._chain, self._session, self.alone = chain, session, alone
        #: By job: where its lease is in the log, what it says, when it was seen first.
        self._known: dict[bytes, tuple[int, Lease, float]] = {}

    def forget(self, job_id: bytes) -> None:
        self._known.pop(job_id, None)

    def place(self, job_id: bytes) -> int:
        """Return the seq of a job's lease, 0 when it has none."""
        flagged = self._chain._ledger.view.index.locate(lease_id_of(job_id))
        return 0 if flagged & DEAD else flagged

    async def is_there(self, job_id: bytes) -> float:
        """Return infinity when the job has a lease, whatever it says, else 0."""
        return float("inf") if self.place(job_id) else 0.0

    async def left_s(self, job_id: bytes) -> float:
        """Return for how many seconds a job is held yet, 0 or less when it may be taken.

        It may when the chain's time says so, and also when nothing new was seen of its lease for as
        long as it lasts: a clock that is behind the chain's time tells nothing.
        """
        place = self.place(job_id)
        if not place:
            return 0.0
        loop_s = asyncio.get_running_loop().time
        known = self._known.get(job_id)
        if known is None or known[0] != place:
            known = self._known[job_id] = (place, await self._read(job_id), loop_s())
        lease, since_s = known[1], known[2]
        if not lease.until_us or (self.alone and lease.holder != self._me):
            return 0.0
        left_s = (lease.until_us - self._chain._ledger.now_us()) / 1e6
        if lease.ttl_us and not self.alone:
            left_s = min(left_s, since_s + lease.ttl_us / 1e6 - loop_s())
        return left_s

    async def _read(self, job_id: bytes) -> Lease:
        try:
            dao = await Dio(self._chain, self._session).load(Lease, lease_id_of(job_id))
            if dao.parent == job_id:
                return dao.value
        except WrongType:
            pass
        except LoadError:  # it is gone meanwhile
            return Lease(0, self._me, 0)
        # Somebody has put another object where the lease belongs: only this job cannot be taken.
        return Lease(0, self._me, NEVER_US)

    @property
    def _me(self) -> int:
        return self._chain._writer._session_number


class Standing:
    """A guard: what is named here must be as it is now; such a commit never waits in the outbox."""

    def __init__(self, guards: Guards) -> None:
        self.guards = guards


def standing(dio: Dio, lease: Dao[Lease], other: Guard | None = None) -> Guard | None:
    """Return the guard for a commit that stands on a version of a lease.

    Where nobody else can order commits its base says the same, and None is returned.

    Args:
        lease: as it was loaded; a new one must not be there.
        other: what the commit stands on besides.
    """
    if dio.chain.is_sequencer:
        return other
    seq = lease.seq or dio.chain._ledger.view.index.locate(lease.id) & SEQ_MASK
    return Standing(((lease.id, seq), *(other.guards if other is not None else ())))
