"""Every log store keeps the same contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from ate.log.local import LocalLog
from ate.log.memory import MemoryLog
from ate.testing.simdisk import SimDisk
from ate.testing.store_suite import LogStoreSuite


class TestLocalLogOnRealDisk(LogStoreSuite):
    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.opener = lambda readonly: LocalLog.open(tmp_path / "a" / "chain", readonly=readonly)


class TestLocalLogOnSimDisk(LogStoreSuite):
    @pytest.fixture(autouse=True)
    def _place(self) -> None:
        disk = SimDisk(1)
        self.opener = lambda readonly: LocalLog.open("/a/chain", disk=disk, readonly=readonly)


class TestLocalLogInSmallSegments(LogStoreSuite):
    @pytest.fixture(autouse=True)
    def _place(self) -> None:
        disk = SimDisk(1)
        self.opener = lambda readonly: LocalLog.open(
            "/chain", disk=disk, readonly=readonly, segment_bytes=256
        )


class TestMemoryLog(LogStoreSuite):
    is_kept = False

    @pytest.fixture(autouse=True)
    def _place(self) -> None:
        self.opener = lambda readonly: MemoryLog()
