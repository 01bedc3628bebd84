"""The same API without `await`, for scripts and notebooks.

One event loop in a thread behind a thin proxy.

    with ate.blocking.open("universe") as chain:
        dio = chain.dio()
        dao = dio.store({"hello": "world"})
        dio.commit()

Nothing is written twice: calls are passed on, and what they return is waited for. Async iterators
become plain ones. It holds no state of a chain.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Iterator
from functools import partial
from typing import Any, TypeVar

from ate import client
from ate.dio.chain import Chain
from ate.dio.collections import Child, Link, Map, Ref, Vec
from ate.dio.dio import Dio
from ate.dio.opening import Opening

T = TypeVar("T")

#: What is handed out behind a proxy, because some of its calls must be waited for.
_WRAPPED = (Chain, Dio, Vec, Map, Child, Ref, Link)


class Runner:
    """One event loop in one daemon thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ate", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and return its result."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        self.run(_finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _finish() -> None:
    """End what outlives a chain: connections that are kept for the next one."""
    joining = sys.modules.get("ate.joining")  # not there: nothing was shared
    if joining is not None:
        await joining.leave()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    loop = asyncio.get_running_loop()
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()


class Blocking:
    """A proxy whose calls return when their work is done."""

    __slots__ = ("_runner", "_target")

    def __init__(self, target: Any, runner: Runner) -> None:
        object.__setattr__(self, "_target", target)
        object.__setattr__(self, "_runner", runner)

    def __repr__(self) -> str:
        return f"Blocking({self._target!r})"

    def __getattr__(self, name: str) -> Any:
        return _wrap(getattr(self._target, name), self._runner)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._target, name, value)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for a coroutine of the API, e.g. `chain.run(dao.value.tasks.count())`."""
        result: T = self._runner.run(work)
        return result

    def each(self, source: AsyncIterable[T]) -> Iterator[T]:
        """Iterate what is asynchronous, e.g. `for dao in chain.each(dao.value.tasks)`."""
        return _iterate(aiter(source), self._runner)

    def __len__(self) -> int:
        return len(self._target)

    def __iter__(self) -> Iterator[Any]:
        return _iterate(self._target.__aiter__(), self._runner)

    def __enter__(self) -> Any:
        try:
            return _wrap(self._runner.run(self._target.__aenter__()), self._runner)
        except BaseException:
            if isinstance(self._target, Opening):
                self._runner.stop()  # there will be no `__exit__`
            raise

    def __exit__(self, *raised: object) -> None:
        try:
            self._runner.run(self._target.__aexit__(*raised))
        finally:
            if isinstance(self._target, (Opening, Chain)):
                self._runner.stop()


def open(name: str, **options: Any) -> Blocking:
    """Open a chain for use without `await`; the options are those of `ate.open`."""
    return Blocking(client.open(name, **options), Runner())


def _wrap(value: Any, runner: Runner) -> Any:
    if isinstance(value, _WRAPPED):
        return Blocking(value, runner)
    if inspect.ismethod(value) or inspect.isfunction(value):
        return partial(_call, value, runner)
    return value


def _call(method: Any, runner: Runner, /, *args: Any, **named: Any) -> Any:
    plain = [one._target if isinstance(one, Blocking) else one for one in args]
    plain_named = {key: getattr(one, "_target", one) for key, one in named.items()}
    result = method(*plain, **plain_named)
    if inspect.iscoroutine(result):
        return _wrap(runner.run(result), runner)
    if isinstance(result, AsyncIterator):
        return _iterate(result, runner)
    return _wrap(result, runner)


def _iterate(source: AsyncIterator[T], runner: Runner) -> Iterator[T]:
    async def step() -> tuple[bool, Any]:
        try:
            return True, await anext(source)
        except StopAsyncIteration:
            return False, None

    async def finish() -> None:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()

    try:
        while True:
            more, value = runner.run(step())
            if not more:
                return
            yield _wrap(value, runner)
    finally:
        runner.run(finish())
