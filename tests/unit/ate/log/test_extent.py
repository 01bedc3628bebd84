from __future__ import annotations

import pytest

from ate.errors import CorruptLog, StorageError, UnsupportedFormat
from ate.log import segment
from ate.log.extent import Extent
from ate.testing.simdisk import SimDisk


def extent_of(content: bytes) -> tuple[SimDisk, Extent]:
    disk = SimDisk()
    disk.put("/head.000001", content)
    return disk, Extent(disk, "/head.000001", kind=segment.HEAD, number=1, generation=1)


HEADER = segment.encode_header(segment.HEAD, 1, 1)


def test_view_grows_with_the_file_and_keeps_to_its_limit() -> None:
    disk, extent = extent_of(HEADER + b"12345678")
    assert extent.name == "head.000001"
    assert bytes(extent.view(72)[64:]) == b"12345678"
    disk.open("/head.000001").pwrite((b"abcdefgh",), 72)
    assert len(extent.view(70)) == 72
    assert len(extent.view(73, limit=76)) == 76
    assert len(extent.view(80)) == 80
    extent.forget()
    assert len(extent.view(64, limit=64)) == 64
    extent.close()


def test_more_than_there_is_is_damage() -> None:
    _, extent = extent_of(HEADER)
    with pytest.raises(CorruptLog, match="too short"):
        extent.view(65)


def test_a_sealed_segment_is_mapped_once_and_its_file_closed() -> None:
    _, extent = extent_of(HEADER + b"12345678")
    file = extent.file()
    extent.seal()
    view = extent.view(64)
    assert len(view) == 72
    assert extent.view(72) is view
    with pytest.raises(StorageError):
        file.size()


def test_the_header_is_checked_before_anything_is_read() -> None:
    _, garbage = extent_of(b"garbage" * 20)
    with pytest.raises(UnsupportedFormat):
        garbage.view(64)
    _, other = extent_of(segment.encode_header(segment.HEAD, 2, 1))
    with pytest.raises(CorruptLog):
        other.file()
