"""Rows and times as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import click
import pytest

import ate
from ate.errors import NotFound
from ate.testing.simclock import SimClock
from atecli.point import POINT, row_at


def read(text: object) -> int | datetime:
    return POINT.convert(text, None, None)


def test_rows_and_times() -> None:
    assert read("17") == read(" 17 ") == read(17) == 17
    assert read("2026-01-31") == datetime(2026, 1, 31, tzinfo=UTC)
    assert read("2026-01-31 18:00") == datetime(2026, 1, 31, 18, tzinfo=UTC)
    assert read("2026-01-31T18:00:01.5Z") == datetime(2026, 1, 31, 18, 0, 1, 500_000, tzinfo=UTC)
    east = datetime(2026, 1, 31, 18, tzinfo=timezone(timedelta(hours=2)))
    assert read("2026-01-31T18:00+02:00") == read(east) == east


@pytest.mark.parametrize("text", ["", "0", "-3", "x", "9" * 30, "2026-13-01", "1.5", "٣"])
def test_what_is_neither(text: str) -> None:
    with pytest.raises(click.BadParameter, match="neither a row"):
        read(text)


async def test_the_row_of_a_point() -> None:
    async with ate.open("p", memory=True, clock=SimClock(tick_us=1)) as chain:
        assert row_at(chain, 99) == 99
        assert row_at(chain, datetime(2999, 1, 1, tzinfo=UTC)) == chain.head
        with pytest.raises(NotFound, match="began after 1960-01-01 00:00:00"):
            row_at(chain, datetime(1960, 1, 1, tzinfo=UTC))
