"""`SimLoop`: an asyncio event loop whose time is virtual; it never waits, threads or does real I/O.

When nothing is ready, time jumps to the next timer: a day of timeouts takes milliseconds. What runs
in an executor runs in place, after a delay drawn from the seed. Equal seeds give equal runs, and
`SimLoop.digest` proves it.

    async def main() -> None:
        loop = sim_loop()
        ...

    run(main, seed=7, limit_s=600)
"""

from __future__ import annotations

import asyncio
import gc
from asyncio.base_events import BaseEventLoop
from collections import deque
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, Final, TypeVar

from ate.crypto.hash import hasher
from ate.testing.chance import Chance
from ate.testing.simclock import START_US

T = TypeVar("T")

#: A day: more than any timeout of the library.
LIMIT_S: Final = 86_400.0
#: About ten seconds of a slow machine.
STEPS_MAX: Final = 2_000_000
#: What cleaning up may take after a run ended or failed.
_GRACE_STEPS: Final = 100_000
_GRACE_S: Final = 3_600.0
#: How long a call in an executor takes at most.
EXECUTOR_S: Final = 0.001
#: So many steps are kept as text, for the message of a failure.
_KEPT_STEPS: Final = 40


class SimulationFailed(AssertionError):
    """A simulation did not come to its end: it is stuck, endless, or an error had no taker."""


class _SimTask(asyncio.Task[T]):
    """A task with a number for its hash, so that a set of tasks has the same order in each run."""

    def __init__(self, number: int, coroutine: Any, **options: Any) -> None:
        self.number = number
        super().__init__(coroutine, **options)

    def __hash__(self) -> int:
        return self.number


class _SimFuture(asyncio.Future[T]):
    """A future with a number for its hash."""

    def __init__(self, number: int, loop: SimLoop) -> None:
        self.number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number


class _Ready(deque[Any]):
    """The callbacks that are due; the loop is told of each one before it runs."""

    def __init__(self, told: Callable[[Any], None]) -> None:
        super().__init__()
        self._told = told

    def popleft(self) -> Any:
        self._told(self[0])
        return super().popleft()


class SimLoop(BaseEventLoop):
    """An event loop with virtual time.

    Args:
        seed: decides everything that chance decides in this run.
        limit_s: the run fails when virtual time passes this.
        steps_max: the run fails after so many callbacks.
        executor_s: what runs in an executor, such as a flush in a thread, takes up to so long.
    """

    # What the base class keeps and asks; the running of callbacks is its own.
    _ready: Any
    _selector: Any
    _scheduled: list[Any]
    _clock_resolution: float

    def __init__(
        self,
        seed: int | str = 0,
        *,
        limit_s: float = LIMIT_S,
        steps_max: int = STEPS_MAX,
        executor_s: float = EXECUTOR_S,
    ) -> None:
        super().__init__()
        self.seed = seed
        self.steps = 0
        #: Errors that no task took.
        self.errors: list[dict[str, Any]] = []
        self._now_s = 0.0
        self._limit_s, self._steps_max = limit_s, steps_max
        self._numbers = 0
        self._hasher = hasher()
        self._recent: deque[str] = deque(maxlen=_KEPT_STEPS)
        self._executor_s, self._executor_chance = executor_s, self.chance("executor")
        self._ready = _Ready(self._step)
        # The base class asks it how to wait; this one waits by setting the clock.
        self._selector = self
        self._clock_resolution = 1e-9
        self.set_exception_handler(lambda _, context: self.errors.append(context))

    # For tests

    @property
    def digest(self) -> str:
        """Hash of every step taken so far: equal for equal runs."""
        return self._hasher.hexdigest(16)

    @property
    def recent(self) -> list[str]:
        """The last steps as text, oldest first."""
        return list(self._recent)

    def chance(self, purpose: str) -> Chance:
        """Return choices of their own for one purpose, from the seed of the run."""
        return Chance(f"{self.seed}/{purpose}")

    def note(self, text: str) -> None:
        """Make an event part of the trace."""
        line = f"{self._now_s:.9f} {text}"
        self._recent.append(line)
        self._hasher.update(line.encode())

    def clock(self, offset_s: float = 0.0, *, drift_ppm: float = 0.0) -> HostClock:
        """Return the clock of one machine, which may be wrong and may run too fast or slow."""
        return HostClock(self, offset_s, drift_ppm)

    async def pause(self, seconds: float) -> None:
        """Let virtual time pass."""
        future = self.create_future()
        timer = self.call_later(seconds, _settle, future)
        try:
            await future
        finally:
            timer.cancel()

    def run(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run to the end of `main`, cancel what is left, and close the loop.

        Raises:
            SimulationFailed: see there.
        """
        # The collector runs finalizers at moments that depend on what ran before in this process.
        collecting = gc.isenabled()
        gc.disable()
        try:
            result: T = self.run_until_complete(self.create_task(main(), name="main"))
            self._wind_up()
            if self.errors:
                raise _untaken(self.errors[0])
            return result
        except BaseException:
            self._wind_up()
            raise
        finally:
            self.close()
            if collecting:
                gc.enable()

    def _wind_up(self) -> None:
        """Cancel the tasks that are left, and let them clean up."""
        self._limit_s = self._now_s + _GRACE_S
        self._steps_max = self.steps + _GRACE_STEPS
        tasks = self._waiting()
        for task in tasks:
            task.cancel()
        if tasks:
            try:
                self.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            except SimulationFailed as error:
                # A task that is cancelled and does not end: the first failure says more, if any.
                self.errors.append({"message": str(error), "exception": error})
        self.run_until_complete(self.shutdown_asyncgens())

    def _waiting(self) -> list[_SimTask[Any]]:
        found = [task for task in asyncio.all_tasks(self) if isinstance(task, _SimTask)]
        return sorted(found, key=lambda task: task.number)

    # What the base class asks

    def time(self) -> float:
        return self._now_s

    def select(self, timeout: float | None) -> list[Any]:
        """Instead of waiting, set the clock to the next timer."""
        if timeout is None:
            tasks = "".join(f"\n  {_where(task)}" for task in self._waiting())
            raise SimulationFailed(self._failure(f"nothing will ever happen; waiting:{tasks}"))
        if timeout:
            self._now_s = max(self._now_s, self._scheduled[0].when())
            if self._now_s > self._limit_s:
                raise SimulationFailed(self._failure(f"not done after {self._limit_s:g} s"))
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        """There are no events of files: what happens is a callback."""

    def _write_to_self(self) -> None:
        """There is no one to wake: the loop does not sleep."""

    def _step(self, handle: Any) -> None:
        self.steps += 1
        if self.steps > self._steps_max:
            raise SimulationFailed(self._failure(f"not done after {self._steps_max} steps"))
        self.note(_name(handle._callback))

    def _failure(self, what: str) -> str:
        steps = "".join(f"\n  {line}" for line in self._recent)
        return f"seed {self.seed!r} at {self._now_s:.6f} s: {what}\nlast steps:{steps}"

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        number = self._number()
        options["name"] = options.get("name") or f"task-{number}"
        return _SimTask(number, coro, loop=self, **options)

    def create_future(self) -> asyncio.Future[Any]:
        return _SimFuture(self._number(), self)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run the function in place, in one piece, a moment later."""
        future: asyncio.Future[T] = self.create_future()

        def call() -> None:
            if future.done():
                return
            try:
                future.set_result(func(*args))
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                future.set_exception(error)

        takes_s = self._executor_s * self._executor_chance.below(1000) / 1000
        self.call_later(takes_s, call)
        return future

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        raise OSError(f"a simulated machine resolves no names: {host}")


class HostClock:
    """A `Clock` that follows the virtual time of a loop, as one machine shows it.

    Args:
        loop: whose time it follows.
        offset_s: how wrong it is at the start.
        drift_ppm: how many microseconds it gains in a second.
    """

    __slots__ = ("_drift", "_loop", "_offset_us")

    def __init__(self, loop: SimLoop, offset_s: float = 0.0, drift_ppm: float = 0.0) -> None:
        self._loop, self._drift = loop, 1 + drift_ppm / 1e6
        self._offset_us = START_US + round(offset_s * 1e6)

    def now_us(self) -> int:
        return self._offset_us + round(self.monotonic_s() * 1e6)

    def monotonic_s(self) -> float:
        return self._loop.time() * self._drift

    def jump(self, seconds: float) -> None:
        """Set the clock forward or back; no time passes."""
        self._offset_us += round(seconds * 1e6)


def sim_loop() -> SimLoop:
    """Return the running loop, which must be a simulated one."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimLoop), "this runs in a simulation only: see `run`"
    return loop


def run(
    main: Callable[[], Coroutine[Any, Any, T]],
    *,
    seed: int | str = 0,
    limit_s: float = LIMIT_S,
    steps_max: int = STEPS_MAX,
) -> T:
    """Run `main` on a new `SimLoop` and return its result.

    Raises:
        SimulationFailed: nothing can happen any more, a limit was reached, or an error of a
            background task or callback was taken by nobody.
    """
    return SimLoop(seed, limit_s=limit_s, steps_max=steps_max).run(main)


def _untaken(context: dict[str, Any]) -> SimulationFailed:
    error = context.get("exception")
    failed = SimulationFailed(f"an error had no taker: {context['message']}: {error!r}")
    failed.__cause__ = error
    return failed


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _name(callback: Any) -> str:
    """Return the name of a callback that is the same in each run."""
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, _SimTask):
        return owner.get_name()
    while hasattr(callback, "func"):
        callback = callback.func
    return str(getattr(callback, "__qualname__", type(callback).__name__))


def _where(task: asyncio.Task[Any]) -> str:
    """Return the name of a task and where it waits, outermost call first."""
    calls: list[str] = []
    at: Any = task.get_coro()
    while at is not None:
        frame: FrameType | None = getattr(at, "cr_frame", None)
        if frame is None:
            break
        calls.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
        at = at.cr_await
    return f"{task.get_name()}: {' > '.join(calls) or 'not started'}"
