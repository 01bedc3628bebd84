"""`serve` and `call`: requests and replies as rows of a chain; it opens no connection of its own.

A request is an object in a collection of its own at the top of the chain. A service takes it as a
job, and one commit holds the reply, what the handler changed, and the end of the request: answered
exactly once. The reply's id follows from the request's, its header names the request; the caller
deletes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ate.crypto.hash import derive, keyed
from ate.dio.collections import collection_number
from ate.dio.dao import Dao
from ate.dio.dio import Dio
from ate.dio.job import Job
from ate.dio.landing import land
from ate.dio.lease import Standing
from ate.dio.mailbox import Letter
from ate.dio.queue import Queue
from ate.dio.reply import Reply, check_declared, error_of, failure_of, value_of
from ate.dio.transaction import Durability
from ate.errors import AteError, Deleted, Disconnected, Fenced, NotFound, TimedOut, UsageError
from ate.event.access import Access
from ate.event.header import Header
from ate.ids import ROOT, ObjectId
from ate.session import Session

if TYPE_CHECKING:
    from ate.dio.chain import Chain

H = TypeVar("H", bound=Callable[..., Any])

_REQUESTS: Final = collection_number("ate requests")
_REPLIES: Final = collection_number("ate replies")
_REPLY_KEY: Final = derive("ate reply", b"")
#: Header field of requests and replies: after this microsecond nobody waits any more.
_UNTIL: Final = "until_us"
#: Requests of one service that are worked on at the same time.
_AT_ONCE: Final = 64


def serve(
    chain: Chain,
    request: type[Any],
    *,
    session: Session | None = None,
    reply: Any = None,
    raises: tuple[type[Exception], ...] = (),
    lease_s: float = 30,
) -> Callable[[H], H]:
    """Let the decorated function answer all requests of one type, until the chain closes.

    Args:
        request: the class of the requests.
        session: acts instead of the session the chain was opened with.
        reply: type of the answer, when the annotations do not say it.
        raises: dataclass exceptions that may reach the caller as they are.
        lease_s: how long one request may be worked on before another service may take it.

    The function takes the request, or a Dio and the request; what it stores in that Dio is
    committed together with the reply. It may be async. An error drops its changes and is sent
    instead.

    Raises:
        UsageError: the function takes other parameters, or no event loop is running.
    """

    def register(handler: H) -> H:
        service = Service(chain, request, handler, session=session, lease_s=lease_s)
        service.reply = reply if reply is not None else _returned(handler, request)
        service.raises = check_declared((*raises, *getattr(request, "__raises__", ())))
        service.start()
        return handler

    return register


async def call(
    chain: Chain,
    request: Any,
    *,
    timeout: float = 30,
    session: Session | None = None,
    reply: Any = None,
    raises: tuple[type[Exception], ...] = (),
    access: Access | None = None,
) -> Any:
    """Send a request and return the reply.

    Args:
        request: an instance of a class that somebody serves.
        timeout: seconds to wait.
        session: acts instead of the session the chain was opened with.
        reply: type of the answer. By default `__reply__` of the request's class, else what a
            service of this process declares, else the answer as plain dicts and lists.
        raises: declared exceptions; by default `__raises__` of the class, or the service's.
        access: rule for the request and for its reply; who serves must be able to read and write.

    Raises:
        TimedOut: nobody answered; the request is withdrawn.
        RemoteError: the handler failed in a way it did not declare.
        Offline: there is no connection; nothing was sent.
        Disconnected: the connection was lost for more than a moment, or the chain was closed.
        Exception: what the handler raised, if it is an AteError or declared.
    """
    kind = type(request)
    services = (one for one in chain._services if isinstance(one, Service))
    known = next((one for one in services if one.request is kind), None)
    wanted = reply or getattr(kind, "__reply__", None) or (known.reply if known else object)
    declared = (*raises, *getattr(kind, "__raises__", ()), *(known.raises if known else ()))
    answer = await _ask(chain, chain.dio(session), request, timeout, access)
    if answer.failure is not None:
        raise error_of(answer.failure, declared)
    return value_of(answer, wanted)


async def _ask(
    chain: Chain, dio: Dio, request: Any, timeout: float, access: Access | None
) -> Reply:
    clock = chain._ledger.clock
    deadline_s = clock.monotonic_s() + timeout
    asked = dio.store(request, collection=_REQUESTS)
    asked._header = Header(access, unknown={_UNTIL: chain._ledger.now_us() + int(timeout * 1e6)})
    with Letter(chain, reply_id_of(asked.id), deadline_s) as letter:
        try:
            # Without a connection a request is an error, not something to be sent some day.
            guard = None if chain.is_sequencer else Standing(((asked.id, 0),))
            await land(dio, _brief(chain), lease=guard)
            while (answer := await _answer(dio, asked.id)) is None:
                left_s = deadline_s - clock.monotonic_s()
                if letter.ended:
                    raise Disconnected("the chain was closed before the reply came")
                if not letter.is_reachable:
                    raise Disconnected(
                        "the connection was lost before the reply came: it may have been answered",
                        hint="call again when the connection is back, if it may be done twice",
                    )
                if left_s <= 0:
                    raise TimedOut(f"no reply to {type(request).__name__} within {timeout:g} s")
                await letter.rest(left_s)
        except BaseException:
            if asked.seq:
                await _withdraw(chain, dio, asked)
            raise
    if chain.is_sequencer:
        await _forget(chain, dio, answer)
    else:  # the caller need not wait for the server once more
        letter.send(_forget(chain, dio, answer))
    return answer.value


async def _answer(dio: Dio, request_id: ObjectId) -> Dao[Reply] | None:
    """Return the reply if it is there."""
    try:
        dao = await dio.load(Reply, reply_id_of(request_id))
    except (NotFound, Deleted):
        return None
    return dao if dao.header is not None and dao.header.reply == request_id else None


async def _withdraw(chain: Chain, dio: Dio, asked: Dao[Any]) -> None:
    """Nobody waits any more: delete the request, or the reply when it was faster."""
    try:
        asked.delete()
        await land(dio, _brief(chain))
    except AteError:
        dio.cancel()
        with contextlib.suppress(AteError):
            answer = await _answer(dio, asked.id)
            if answer is not None:
                await _forget(chain, dio, answer)


async def _forget(chain: Chain, dio: Dio, answer: Dao[Reply]) -> None:
    """Delete a reply. One that this session may not delete is swept by the next service."""
    with contextlib.suppress(AteError):
        answer.delete()
        await land(dio, _brief(chain))


def _brief(chain: Chain) -> Durability | None:
    """What is of no use after this process has ended need not be flushed."""
    return Durability.NONE if chain.is_sequencer else None


class Service:
    """Answers the requests of one type on one chain.

    Args:
        handler: see `serve`.
    """

    reply: Any = object
    raises: tuple[type[Exception], ...] = ()

    def __init__(
        self,
        chain: Chain,
        request: type[Any],
        handler: Callable[..., Any],
        *,
        session: Session | None,
        lease_s: float,
    ) -> None:
        self.chain, self.request, self.handler = chain, request, handler
        self.wants_dio = _wants_dio(handler)
        self.queue = Queue(chain, request, collection=_REQUESTS, session=session, lease_s=lease_s)
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to answer."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise UsageError(
                "a service needs a running event loop", hint="register it inside `async def main()`"
            ) from None
        self.chain._services.append(self)
        self._spawn(loop.create_task(self._run()))

    async def stop(self) -> None:
        """Take no more requests; give those back that are being worked on."""
        if self in self.chain._services:
            self.chain._services.remove(self)
        tasks = self._tasks - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _spawn(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await self._sweep()
            while True:
                slots = await self._take_slots()
                jobs = await self.queue._claim_some(slots)
                for job in jobs:
                    self._spawn(loop.create_task(self._handle(job)))
                for _ in range(slots - len(jobs)):
                    self._slots.release()
        except AteError as error:
            if not self.chain._closed:
                self._report(f"the service for {self.request.__name__} has stopped", error)

    async def _take_slots(self) -> int:
        """Wait for a free slot and take all that are free."""
        await self._slots.acquire()
        count = 1
        while not self._slots.locked():
            await self._slots.acquire()
            count += 1
        return count

    async def _handle(self, job: Job[Any]) -> None:
        try:
            await self._answer(job)
        except asyncio.CancelledError:
            await job.give_back()
            raise
        except Fenced:
            pass  # withdrawn by the caller, or answered by somebody else
        except Exception as error:  # a service outlives each of its requests
            # Not even the failure could be committed. The lease stays, so that the request is not
            # tried again and again at once.
            self._report(f"a reply to {self.request.__name__} was lost", error)
        finally:
            self._slots.release()

    def _report(self, message: str, error: Exception) -> None:
        loop = asyncio.get_running_loop()
        loop.call_exception_handler({"message": f"ate: {message}", "exception": error})

    async def _answer(self, job: Job[Any]) -> None:
        header = job.header
        until_us = header.unknown.get(_UNTIL) if header else None
        if isinstance(until_us, int) and until_us < self.chain._ledger.now_us():
            await job.dio.commit()
            return
        try:
            value = self.handler(job.dio, job.value) if self.wants_dio else self.handler(job.value)
            if inspect.isawaitable(value):
                value = await value
            self._store(job, Reply(value))
            await job.dio.commit()
        except Fenced:
            raise
        except Exception as error:  # it is the caller's now
            job.dio.cancel()
            self._store(job, Reply(failure=failure_of(error, self.raises)))
            await job.dio.commit()

    def _store(self, job: Job[Any], reply: Reply) -> None:
        dao = job.dio.store(reply, id=reply_id_of(job.id), collection=_REPLIES)
        asked = job.header or Header()
        dao._header = Header(asked.access, reply=job.id, unknown=dict(asked.unknown))

    async def _sweep(self) -> None:
        """Delete replies that nobody has come for."""
        dio = Dio(self.chain, self.queue.session)
        now_us = self.chain._ledger.now_us()
        async for dao in dio.children(ROOT, Reply, collection=_REPLIES):
            until_us = dao.header.unknown.get(_UNTIL) if dao.header else None
            if not isinstance(until_us, int) or until_us < now_us:
                dao.delete()
        if dio.has_changes:
            with contextlib.suppress(AteError):
                await dio.commit()


def reply_id_of(request_id: bytes) -> ObjectId:
    """Return the id under which the reply to a request is stored."""
    return ObjectId(keyed(_REPLY_KEY, request_id)[:16])


def _wants_dio(handler: Callable[..., Any]) -> bool:
    count = len(parameters_of(handler))
    if count not in (1, 2):
        raise UsageError(
            "a handler takes (request) or (dio, request)", hint=f"this one takes {count} parameters"
        )
    return count == 2


def parameters_of(function: Callable[..., Any]) -> list[str]:
    """Return the names of the parameters that must be given by position."""
    found = inspect.signature(function).parameters.values()
    return [
        one.name
        for one in found
        if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) and one.default is one.empty
    ]


def hint_of(function: Callable[..., Any], name: str, *known: type[Any]) -> Any:
    """Return one resolved annotation of a function, `object` when there is none.

    Args:
        name: a parameter, or "return".
        known: classes that may be defined inside a function, where names do not resolve.

    Raises:
        UsageError: a name in it cannot be resolved.
    """
    plain: Any = function if inspect.isroutine(function) else type(function).__call__
    plain = inspect.unwrap(getattr(plain, "__func__", plain))
    raw = getattr(plain, "__annotations__", {}).get(name, object)
    carrier = _carry(name, raw)
    local = {one.__name__: one for one in known} | dict(inspect.getclosurevars(plain).nonlocals)
    try:
        return typing.get_type_hints(carrier, getattr(plain, "__globals__", {}), local)[name]
    except NameError as error:
        raise UsageError(
            f"the annotation {error.name!r} of {plain.__name__} cannot be resolved",
            hint="define it at the top of a module, or name the type with reply=",
        ) from None


def _carry(name: str, raw: Any) -> Any:
    """Return an object with this one annotation, so that the others need not resolve."""

    def carrier() -> None: ...

    carrier.__annotations__ = {name: raw}
    return carrier


def _returned(handler: Callable[..., Any], request: type[Any]) -> Any:
    """Return the type of a handler's answer: `__reply__`, else its annotation, else anything."""
    declared = getattr(request, "__reply__", None)
    return hint_of(handler, "return", request) if declared is None else declared
