"""A request is answered once, with a typed reply or a typed error, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest

import ate
from ate.dio import rpc
from ate.dio.bell import Bell
from ate.dio.reply import Reply
from ate.dio.rpc import Service, hint_of, parameters_of, reply_id_of
from ate.dio.schema import schema_of
from ate.errors import Disconnected, RemoteError, TimedOut
from ate.event.header import Header
from ate.testing.simclock import SimClock


@dataclass(frozen=True)
class Add:
    left: int
    right: int


@dataclass(frozen=True)
class Price:
    item: str
    amount: Decimal


@dataclass(frozen=True)
class Quote:
    item: str


@dataclass
class OutOfStock(Exception):
    item: str
    expected: int


async def test_a_reply_comes_back_typed_and_nothing_stays() -> None:
    async with ate.open("rpc", memory=True) as chain:

        @ate.serve(chain, Quote)
        async def quote(request: Quote) -> list[Price]:
            return [Price(request.item, Decimal("1.10"))]

        @ate.serve(chain, Add)
        def add(request: Add) -> int:
            return request.left + request.right

        assert await ate.call(chain, Quote("tea")) == [Price("tea", Decimal("1.10"))]
        assert await ate.call(chain, Add(2, 3)) == 5
        assert add(Add(1, 1)) == 2, "the decorated function is what it was"
        assert len(chain) == 0


async def test_two_sessions_of_one_chain_with_sealed_requests() -> None:
    server, caller, stranger = (ate.Session.new(name) for name in ("server", "caller", "stranger"))
    access = ate.Access(write=ate.Any(server.public, caller.public))
    async with ate.open("rpc", memory=True, session=server, access=access) as chain:

        @ate.serve(chain, Add)
        async def add(request: Add) -> int:
            return request.left + request.right

        both = (server.public, caller.public)
        between = ate.Access(read=ate.Only(*both), write=ate.Any(*both))
        assert await ate.call(chain, Add(2, 3), session=caller, access=between) == 5
        with pytest.raises(ate.TrustError):
            await ate.call(chain, Add(2, 3), session=stranger)
        assert len(chain) == 0


async def test_the_reply_is_a_row_that_names_its_request() -> None:
    async with ate.open("rpc", memory=True) as chain:

        @ate.serve(chain, Add)
        async def add(request: Add) -> int:
            return request.left + request.right

        await ate.call(chain, Add(2, 3))
        events = []
        async for event in chain.watch(since=0):
            events.append(event)
            if event.seq == chain.head:
                break
        asked = next(
            event for event in events if event.change.row.schema == schema_of(Add).schema_id
        )
        replied = next(event for event in events if event.id == reply_id_of(asked.id))
        assert replied.change.header is not None
        assert replied.change.header.reply == asked.id
        assert events[-1].id == replied.id
        assert events[-1].is_delete


async def test_work_and_reply_are_one_commit_and_an_error_drops_the_work() -> None:
    async with ate.open("rpc", memory=True) as chain:

        @ate.serve(chain, Quote)
        async def keep(dio: ate.Dio, request: Quote) -> ate.ObjectId:
            dao = dio.store(request.item)
            if request.item == "bad":
                raise ate.NotFound("no bad things here")
            return dao.id

        kept = await ate.call(chain, Quote("good"))
        assert type(kept) is ate.ObjectId
        assert (await chain.dio().load(str, kept)).value == "good"
        with pytest.raises(ate.NotFound, match="no bad things"):
            await ate.call(chain, Quote("bad"))
        assert len(chain) == 1


async def test_errors_arrive_as_what_they_are() -> None:
    async with ate.open("rpc", memory=True) as chain:
        raised: list[Exception] = []

        @ate.serve(chain, Quote, raises=(OutOfStock,))
        async def quote(request: Quote) -> Price:
            raise raised[-1]

        raised.append(OutOfStock("tea", 3))
        with pytest.raises(OutOfStock) as stock:
            await ate.call(chain, Quote("tea"))
        assert stock.value == OutOfStock("tea", 3)
        raised.append(ate.LimitExceeded("cups", 9, 8))
        with pytest.raises(ate.LimitExceeded, match="cups is 9") as limit:
            await ate.call(chain, Quote("tea"))
        assert (limit.value.limit, limit.value.value, limit.value.bound) == ("cups", 9, 8)
        raised.append(KeyError("the password is hunter2"))
        with pytest.raises(RemoteError) as remote:
            await ate.call(chain, Quote("tea"))
        assert "hunter2" not in str(remote.value)
        assert "KeyError" in str(remote.value)


async def test_a_commit_of_the_work_that_is_refused_reaches_the_caller() -> None:
    rule = ate.Logic(str, lambda old, new: "no strings" if new else None)
    async with ate.open("rpc", memory=True, plugins=[rule]) as chain:

        @ate.serve(chain, Quote)
        async def keep(dio: ate.Dio, request: Quote) -> None:
            dio.store(request.item)

        with pytest.raises(ate.Refused, match="no strings"):
            await ate.call(chain, Quote("tea"))

        @ate.serve(chain, Add)
        async def odd(request: Add) -> object:
            return object()

        with pytest.raises(ate.UsageError):
            await ate.call(chain, Add(1, 2))
        assert len(chain) == 0


async def test_types_may_be_declared_on_the_request() -> None:
    @dataclass(frozen=True)
    class Ask:
        item: str
        __reply__: ClassVar[Any] = Price
        __raises__: ClassVar[tuple[type[Exception], ...]] = (OutOfStock,)

    async with ate.open("rpc", memory=True) as chain:

        @ate.serve(chain, Ask)
        async def quote(request: Any) -> Any:
            if request.item == "tea":
                return {"item": "tea", "amount": "2"}
            raise OutOfStock(request.item, 1)

        assert await ate.call(chain, Ask("tea")) == Price("tea", Decimal(2))
        assert await ate.call(chain, Ask("tea"), reply=dict) == {"item": "tea", "amount": "2"}
        with pytest.raises(ate.WrongType):
            await ate.call(chain, Ask("tea"), reply=int)
        with pytest.raises(OutOfStock):
            await ate.call(chain, Ask("cake"))


async def test_nobody_serves_and_the_request_is_withdrawn() -> None:
    async with ate.open("rpc", memory=True) as chain:
        with pytest.raises(TimedOut, match="Add"):
            await ate.call(chain, Add(1, 2), timeout=0)
        assert len(chain) == 0


async def test_the_injected_clock_says_when_it_is_too_late() -> None:
    clock = SimClock()
    async with ate.open("rpc", memory=True, clock=clock) as chain:
        calling = asyncio.create_task(ate.call(chain, Add(1, 2), timeout=5))
        with Bell(chain) as bell:
            await bell.rest()
        clock.advance(5)
        dio = chain.dio()
        dio.store("the bell rings")
        await dio.commit()
        with pytest.raises(TimedOut):
            await calling
        assert len(chain) == 1


async def test_a_cancelled_caller_withdraws_its_request() -> None:
    async with ate.open("rpc", memory=True) as chain:
        calling = asyncio.create_task(ate.call(chain, Add(1, 2)))
        with Bell(chain) as bell:
            await bell.rest()
        calling.cancel()
        await asyncio.wait([calling])
        assert len(chain) == 0


async def test_a_reply_for_nobody_is_taken_away() -> None:
    """The caller gives up while the handler works; the handler cannot answer any more."""
    async with ate.open("rpc", memory=True) as chain:
        started, go = asyncio.Event(), asyncio.Event()

        @ate.serve(chain, Add)
        async def slow(request: Add) -> int:
            started.set()
            await go.wait()
            return request.left + request.right

        calling = asyncio.create_task(ate.call(chain, Add(1, 2)))
        await started.wait()
        calling.cancel()
        await asyncio.wait([calling])
        go.set()
        started.clear()
        assert await ate.call(chain, Add(3, 4)) == 7
        assert len(chain) == 0


async def test_a_reply_that_was_faster_than_the_withdrawal_is_deleted() -> None:
    clock = SimClock()
    async with ate.open("rpc", memory=True, clock=clock) as chain:
        replied = asyncio.Event()

        @ate.serve(chain, Add)
        async def add(request: Add) -> int:
            replied.set()
            return request.left + request.right

        calling = asyncio.create_task(ate.call(chain, Add(1, 2)))
        await replied.wait()
        with Bell(chain) as bell:
            while not await _replies(chain):
                await bell.rest()
        calling.cancel()
        await asyncio.wait([calling])
        assert len(chain) == 0


async def _replies(chain: ate.Chain) -> int:
    return len([one async for one in chain.dio().all(Reply)])


async def test_one_of_several_services_answers() -> None:
    async with ate.open("rpc", memory=True) as chain:
        served: list[int] = []
        for number in range(3):

            @ate.serve(chain, Add)
            async def add(request: Add, number: int = number) -> int:
                served.append(number)
                return request.left + request.right

        calls = [ate.call(chain, Add(n, n)) for n in range(20)]
        assert await asyncio.gather(*calls) == [2 * n for n in range(20)]
        assert len(served) == 20


async def test_a_handler_may_call() -> None:
    async with ate.open("rpc", memory=True) as chain:

        @ate.serve(chain, Add)
        async def add(request: Add) -> int:
            if request.left == 0:
                return request.right
            return int(await ate.call(chain, Add(request.left - 1, request.right + 1)))

        assert await ate.call(chain, Add(5, 1)) == 6


async def test_closing_the_chain_cancels_handlers_and_tells_callers() -> None:
    chain = await ate.open("rpc", memory=True)
    started, ended = asyncio.Event(), asyncio.Event()

    @ate.serve(chain, Add)
    async def slow(request: Add) -> int:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return 0

    calling = asyncio.create_task(ate.call(chain, Add(1, 2)))
    await started.wait()
    await chain.close()
    assert ended.is_set()
    with pytest.raises(Disconnected):
        await calling
    assert not chain._services


async def test_a_handler_may_close_the_chain() -> None:
    chain = await ate.open("rpc", memory=True)

    @ate.serve(chain, Add)
    async def last(request: Add) -> int:
        await chain.close()
        return 0

    with pytest.raises((Disconnected, ate.UsageError)):
        await ate.call(chain, Add(1, 2))


async def test_requests_of_a_dead_caller_are_dropped_and_replies_swept(tmp_path: Path) -> None:
    clock = SimClock()
    async with ate.open("rpc", path=tmp_path, clock=clock) as chain:
        dio = chain.dio()
        soon, later = (Header(unknown={rpc._UNTIL: clock.now_us() + us}) for us in (5, 10**9))
        dio.store(Add(1, 2), collection=rpc._REQUESTS)._header = soon
        dio.store(Reply(1), collection=rpc._REPLIES)._header = soon
        dio.store(Reply(2), collection=rpc._REPLIES)._header = later
        dio.store(Reply(3), collection=rpc._REPLIES)
        await dio.commit()
    clock.advance(60)
    async with ate.open("rpc", path=tmp_path, clock=clock) as chain:

        @ate.serve(chain, Add)
        async def add(request: Add) -> int:
            assert request != Add(1, 2), "nobody waits for this one"
            return request.left + request.right

        assert await ate.call(chain, Add(3, 4)) == 7
        assert [dao.value async for dao in chain.dio().all(Reply)] == [Reply(2)]


async def test_a_service_that_may_not_answer_says_so_and_stops() -> None:
    alice, bob = ate.Session.new("alice"), ate.Session.new("bob")
    access = ate.Access(read=ate.Everyone)
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    async with ate.open("rpc", memory=True, session=alice, access=access) as chain:

        @ate.serve(chain, Add, session=bob)
        async def add(request: Add) -> int:
            return 0

        with pytest.raises(TimedOut):
            await ate.call(chain, Add(1, 2), timeout=0.5)
    assert "service for Add has stopped" in told[0]["message"]
    assert isinstance(told[0]["exception"], ate.WriteDenied)


async def test_a_reply_that_cannot_be_committed_is_reported() -> None:
    rule = ate.Logic(Reply, lambda old, new: "no replies" if new else None)
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    async with ate.open("rpc", memory=True, plugins=[rule]) as chain:

        @ate.serve(chain, Add)
        async def add(request: Add) -> int:
            return 0

        with pytest.raises(TimedOut):
            await ate.call(chain, Add(1, 2), timeout=0.5)
    assert "a reply to Add was lost" in told[0]["message"]
    assert len(told) == 1


async def test_what_cannot_be_served_is_refused() -> None:
    async with ate.open("rpc", memory=True) as chain:
        with pytest.raises(ate.UsageError, match="request"):
            ate.serve(chain, Add)(lambda: 0)
        with pytest.raises(ate.UsageError, match="declared"):
            ate.serve(chain, Add, raises=(KeyError,))(lambda request: 0)
        service = Service(chain, Add, lambda request: 0, session=None, lease_s=1)
    with pytest.raises(ate.UsageError, match="event loop"):
        await asyncio.to_thread(service.start)


class Adder:
    """A handler may be any callable."""

    async def __call__(self, request: Add) -> int:
        return request.left + request.right

    async def add(self, request: Add) -> float:
        return request.left + request.right


def test_annotations_are_found() -> None:
    assert hint_of(Adder(), "return") is int
    assert hint_of(Adder().add, "return") is float
    assert hint_of(lambda request: 0, "return") is object
    assert parameters_of(Adder().add) == ["request"]

    def unknown(request: Add) -> Nowhere:  # type: ignore[name-defined]  # noqa: F821
        return None

    with pytest.raises(ate.UsageError, match="Nowhere"):
        hint_of(unknown, "return")

    @dataclass
    class Local:
        x: int

    def local(request: Add) -> Local:
        return Local(1)

    assert hint_of(local, "return") is Local
    assert hint_of(local, "return", Local) is Local
