"""`ate.mesh.meter`: the meter that takes no notes."""

from __future__ import annotations

from ate.mesh.meter import Meter, SilentMeter


def test_notes_are_dropped() -> None:
    meter: Meter = SilentMeter()
    meter.chains(1)
    meter.channels(-1)
    meter.appended(2, 300)
    meter.refused("throttled")
    meter.flushed(0.25)
    meter.sent(3, 0.001)
    meter.lagged()
    assert not vars(meter)
