from __future__ import annotations

import pytest

from ate.errors import CorruptLog, StorageError
from ate.log.local import LocalLog
from ate.log.memory import MemoryLog
from ate.testing.simdisk import SimDisk
from ate.testing.store_suite import LogStoreSuite, raises

TESTS = [name for name in vars(LogStoreSuite) if name.startswith("test_")]


@pytest.mark.parametrize("name", TESTS)
def test_each_test_of_the_suite_passes_for_a_good_log(name: str) -> None:
    disk = SimDisk()
    suite = LogStoreSuite()
    suite.opener = lambda readonly: LocalLog.open("/chain", disk=disk, readonly=readonly)
    getattr(suite, name)()


@pytest.mark.parametrize("name", [name for name in TESTS if "again" in name or "writer" in name])
def test_a_log_that_forgets_passes_only_when_it_says_so(name: str) -> None:
    suite = LogStoreSuite()
    suite.opener = lambda readonly: MemoryLog()
    with pytest.raises(AssertionError):
        getattr(suite, name)()
    suite.is_kept = False
    getattr(suite, name)()


def test_raises_asserts() -> None:
    def fail() -> None:
        raise CorruptLog("any storage error")

    with raises(StorageError):
        fail()
    with pytest.raises(AssertionError, match="CorruptLog was not raised"), raises(CorruptLog):
        pass
