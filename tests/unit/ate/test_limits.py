from __future__ import annotations

import pytest

from ate import limits
from ate.errors import LimitExceeded

BOUNDS = {name: value for name, value in vars(limits).items() if name.endswith("_MAX")}


def test_a_value_at_its_bound_passes_and_one_more_does_not() -> None:
    limits.check("rows", 10, 10)
    with pytest.raises(LimitExceeded) as refused:
        limits.check("rows", 11, 10, hint="split it")
    assert (refused.value.limit, refused.value.value, refused.value.bound) == ("rows", 11, 10)
    assert refused.value.hint == "split it"


def test_every_bound_is_a_positive_number() -> None:
    assert BOUNDS
    assert all(isinstance(value, int) and value > 0 for value in BOUNDS.values())


def test_bounds_fit_into_each_other() -> None:
    """A body fits a commit, a commit fits a segment, a row number fits the bits kept for it."""
    assert limits.BODY_INLINE_BYTES_MAX < limits.BODY_BYTES_MAX < limits.COMMIT_BYTES_MAX
    assert limits.COMMIT_BYTES_MAX <= limits.SEGMENT_BYTES_MAX
    assert limits.RARE_BYTES_MAX < limits.COMMIT_BYTES_MAX
    assert limits.COMMIT_ROWS_MAX <= 16**4
    assert limits.CHAIN_ROWS_MAX <= 1 << 48
