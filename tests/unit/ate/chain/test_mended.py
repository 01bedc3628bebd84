"""A log with what is to be put in reads as if it had been put in."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ate.chain.mended import Mended, Stretch
from ate.errors import CorruptLog, ReadOnly
from ate.log.local import LocalLog
from ate.log.salvage import Salvage
from ate.log.segment import BODY_BIT, HEADER_BYTES, frame_size, place_of
from ate.testing.simdisk import SimDisk

OWN = [b"own one", b"own two"]
PUT = memoryview(b"put in")


def mended() -> Mended:
    disk = SimDisk()
    log = LocalLog.open("/c", disk=disk)
    log.write_body((b"b" * 90,))
    for payload in OWN:
        log.append((payload,))
    log.close()
    stop = HEADER_BYTES + sum(frame_size(len(one)) for one in OWN)
    stretches = [
        Stretch(1, HEADER_BYTES, stop),
        Stretch(1, stop, stop + frame_size(len(PUT)), [PUT]),
    ]
    body = BODY_BIT | place_of(1, 640)
    return Mended(Salvage(disk, "/c", 1), stretches, {body: b"another body"})


def test_all_frames_come_in_order() -> None:
    log = mended()
    found = list(log.scan())
    assert [bytes(payload) for _, payload in found] == [*OWN, bytes(PUT)]
    for at, (place, payload) in enumerate(found):
        assert bytes(log.read(place)) == bytes(payload)
        assert [one for one, _ in log.scan(place)] == [one for one, _ in found[at + 1 :]]
    assert log.end == found[-1][0] + frame_size(len(PUT))
    with pytest.raises(CorruptLog):
        log.read(log.end)


def test_bodies_come_from_both() -> None:
    log = mended()
    assert bytes(log.body(BODY_BIT | place_of(1, HEADER_BYTES), 90)) == b"b" * 90
    assert bytes(log.body(BODY_BIT | place_of(1, 640), 7)) == b"another"
    with pytest.raises(CorruptLog):
        log.body(BODY_BIT | place_of(2, 64), 5)


WRITES: list[Callable[[Mended], object]] = [
    lambda log: log.append([b"x"]),
    lambda log: log.append_many([[b"x"]]),
    lambda log: log.write_body([b"x"]),
    lambda log: log.write_index([b"x"]),
    lambda log: log.trim_bodies(0),
    lambda log: log.flush(),
    lambda log: log.destroy(),
    lambda log: log.wipe([]),
]


@pytest.mark.parametrize("write", WRITES)
def test_it_takes_no_writes(write: Callable[[Mended], object]) -> None:
    with pytest.raises(ReadOnly):
        write(mended())


def test_what_is_of_no_use_here_does_nothing() -> None:
    log = mended()
    log.refresh()
    log.close()
    assert log.read_index() is None
    assert list(log.every_file()) == []
    assert (log.files(), log.torn, log.readonly) == ({}, (), True)
    assert Mended(log._salvage, [], {}).end == place_of(1, HEADER_BYTES)
