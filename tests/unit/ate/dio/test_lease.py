"""A lease is one object for one job, and its bytes are what they are called."""

from __future__ import annotations

from ate.dio.lease import Lease, lease_id_of
from ate.dio.schema import schema_of
from ate.ids import ObjectId


def test_a_job_has_one_lease_and_every_job_another() -> None:
    one, two = ObjectId(bytes(16)), ObjectId(b"\x01" * 16)
    assert lease_id_of(one) == lease_id_of(bytes(one)) != lease_id_of(two)
    assert lease_id_of(one) != one


def test_it_comes_back_from_its_bytes() -> None:
    schema = schema_of(Lease)
    assert schema.name == "ate.Lease"
    lease = Lease(3, (1 << 64) - 1, 1 << 62)
    assert schema.decode(schema.encode(lease)) == lease
