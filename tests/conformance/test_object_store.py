"""Every destination of backups keeps the same contract."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.buckets import Bucket

from ate.archive.destination import open_destination
from ate.archive.directory import DirectoryStore
from ate.archive.memory import MemoryStore
from ate.archive.pace import Patient, Stop
from ate.testing.object_suite import ObjectStoreSuite
from ate.testing.simdisk import SimDisk


class TestMemory(ObjectStoreSuite):
    @pytest.fixture(autouse=True)
    def _place(self) -> None:
        self.store = MemoryStore()


class TestDirectory(ObjectStoreSuite):
    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.store = DirectoryStore(tmp_path / "not" / "yet")


class TestDirectoryOnSimDisk(ObjectStoreSuite):
    @pytest.fixture(autouse=True)
    def _place(self) -> None:
        self.store = DirectoryStore("/to", disk=SimDisk(1))


class TestPatient(ObjectStoreSuite):
    @pytest.fixture(autouse=True)
    def _place(self) -> None:
        self.store = Patient(MemoryStore(), Stop())


class TestS3(ObjectStoreSuite):
    @pytest.fixture(autouse=True)
    def _place(self, bucket: Bucket) -> None:
        self.store = open_destination(bucket.address)
