from __future__ import annotations

from ate.log.local import LocalLog
from ate.log.memory import MemoryLog
from ate.log.store import LogStore
from ate.testing.simdisk import SimDisk


def test_both_logs_are_stores() -> None:
    stores: list[LogStore] = [MemoryLog(), LocalLog.open("/chain", disk=SimDisk())]
    promised = {name for name in vars(LogStore) if not name.startswith("_")}
    for store in stores:
        assert all(hasattr(store, name) for name in promised)
