from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from ate.archive.crew import each, no_bar


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_results_come_in_the_order_of_the_items(workers: int) -> None:
    assert list(each(lambda n: n * n, range(50), workers=workers)) == [n * n for n in range(50)]


def test_items_are_taken_as_threads_become_free() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for n in range(100):
            taken = n
            yield n

    results = each(lambda n: n, items(), workers=2)
    assert next(results) == 0
    assert taken <= 4
    assert len(list(results)) == 99


def test_after_an_error_nothing_more_is_begun() -> None:
    begun, lock = 0, threading.Lock()

    def work(n: int) -> int:
        nonlocal begun
        with lock:
            begun += 1
        if n == 3:
            raise ValueError("three")
        return n

    with pytest.raises(ValueError, match="three"):
        list(each(work, range(1000), workers=2))
    assert begun < 20


def test_no_bar_shows_nothing() -> None:
    with no_bar("sending", 3) as advance:
        advance(3)
