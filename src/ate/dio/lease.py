"""`Lease`: who works on a job, as an object of the chain; it takes nothing and gives nothing."""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec

from ate.crypto.hash import derive, keyed
from ate.ids import ObjectId

_KEY: Final = derive("ate queue lease", b"")
#: A time that does not come.
NEVER_US: Final = 1 << 62


class Lease(msgspec.Struct, frozen=True):
    """A job's lease, a child of the job.

    Args:
        number: fencing number: 1 for the first holder, one more for each that follows.
        holder: the writing session of the process that holds it.
        until_us: from here on anybody may take the job; 0 = given back.
    """

    __ate_type__: ClassVar[str] = "ate.Lease"

    number: int
    holder: int
    until_us: int


def lease_id_of(job_id: bytes) -> ObjectId:
    """Return the id of a job's lease: it follows from the job's, so that a job has one at most."""
    return ObjectId(keyed(_KEY, job_id)[:16])
