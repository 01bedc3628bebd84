"""Long work: many small jobs in a few threads, and a bar that shows how far it is.

It never holds more than two jobs a thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, TypeAlias, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

_In = TypeVar("_In")
_Out = TypeVar("_Out")

#: Shows how far a long step is: what it does, and of how many bytes; entered, it is told steps.
Bar: TypeAlias = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@contextmanager
def no_bar(_: str, __: int) -> Iterator[Callable[[int], None]]:
    """Show nothing."""
    yield lambda _: None


def each(work: Callable[[_In], _Out], items: Iterable[_In], *, workers: int) -> Iterator[_Out]:
    """Yield the result for each item, in order; after an error nothing more is begun.

    Args:
        work: called in several threads.
        items: taken one by one, as threads become free.
        workers: how many threads; with 1 everything happens in this one.
    """
    if workers <= 1:
        yield from map(work, items)
        return
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(workers, thread_name_prefix="ate-archive")
    waiting: deque[Future[_Out]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
