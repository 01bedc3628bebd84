"""`ate.dio.policy`: when a chain compacts by itself."""

from __future__ import annotations

import pytest

from ate.dio.policy import MODES, CompactPolicy
from ate.errors import UsageError
from ate.limits import MIB


def test_policies() -> None:
    assert CompactPolicy.of(None).mode == "never"
    assert CompactPolicy.of(None, shared=True).mode == "heartbeat"
    assert CompactPolicy.of("timer").mode == "timer"
    mine = CompactPolicy("size", size_bytes=5)
    assert CompactPolicy.of(mine) is mine
    for bad in ({"mode": "often"}, {"timer_s": 0}, {"factor": -1}, {"size_bytes": 0}):
        with pytest.raises(UsageError):
            CompactPolicy(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", MODES)
def test_when_it_is_due(mode: str) -> None:
    policy = CompactPolicy(mode)
    timer, factor, size = "timer" in mode, "factor" in mode, "size" in mode
    nothing = {"superseded": 1, "needed": 1000, "grown": 1, "total": 1, "waited_s": 1.0}

    def due(**some: float) -> bool:
        return policy.is_due(**{**nothing, **some})  # type: ignore[arg-type]

    assert not due()
    assert due(waited_s=3600) == timer
    assert due(superseded=200, total=2 * MIB) == factor
    assert not due(superseded=199, total=2 * MIB)
    assert not due(superseded=200, total=2 * MIB - 1)
    assert due(grown=100 * MIB) == size
    assert not due(superseded=0, waited_s=1e9, grown=1 << 40, total=1 << 40)
