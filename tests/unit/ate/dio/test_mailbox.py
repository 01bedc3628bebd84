"""A caller is woken for its own reply, for its own deadline, and for nothing else."""

from __future__ import annotations

import asyncio
from math import inf

from tests.shared import World, play, put

import ate
from ate.dio.mailbox import Letter, Mailbox
from ate.testing.simclock import SimClock


async def ring(chain: ate.Chain, object_id: ate.ObjectId | None = None) -> ate.ObjectId:
    dio = chain.dio()
    dao = dio.store("reply", id=object_id)
    await dio.commit()
    return dao.id


def rung(letter: Letter) -> bool:
    return letter._woken.is_set()


async def test_only_the_reply_that_came_wakes_its_caller() -> None:
    async with ate.open("mail", memory=True) as chain:
        one, two = ate.ObjectId.random(), ate.ObjectId.random()
        with Letter(chain, one, inf) as first, Letter(chain, two, inf) as second:
            assert isinstance(chain._mailbox, Mailbox)
            assert len(chain._mailbox) == 2
            resting = asyncio.create_task(first.rest())
            await ring(chain)
            assert not rung(first)
            await ring(chain, one)
            await resting
            assert not rung(second)
        assert not len(chain._mailbox)
        assert not len(chain._ledger.feed)


async def test_what_came_before_is_not_looked_at_again() -> None:
    async with ate.open("mail", memory=True) as chain:
        old = await ring(chain)
        with Letter(chain, old, inf) as letter:
            await ring(chain)
            assert not rung(letter)


async def test_a_deadline_by_the_injected_clock_wakes_who_is_too_late() -> None:
    clock = SimClock()
    async with ate.open("mail", memory=True, clock=clock) as chain:
        ids = [ate.ObjectId.random() for _ in range(3)]
        with (
            Letter(chain, ids[0], 1) as first,
            Letter(chain, ids[1], 2) as second,
            Letter(chain, ids[2], 2) as third,
        ):
            await ring(chain)
            assert not rung(first)
            clock.advance(1)
            await ring(chain)
            assert (rung(first), rung(second)) == (True, False)
            clock.advance(1)
            await ring(chain)
            assert rung(second)
            assert rung(third)


async def test_the_end_of_the_chain_wakes_everybody() -> None:
    chain = await ate.open("mail", memory=True)
    with Letter(chain, ate.ObjectId.random(), inf) as letter:
        resting = asyncio.create_task(letter.rest())
        await chain.close()
        await resting
        assert letter.ended


def test_the_end_of_a_connection_wakes_everybody_who_waits_for_a_reply() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        await put(chain, "first")
        with Letter(chain, ate.ObjectId.random(), inf) as letter:
            world.net.reset("one", "server")
            await world.loop.pause(0.5)
            assert letter.is_reachable
            assert not rung(letter), "a moment without a connection is no loss"
            await world.stop()
            await letter.rest()
            assert not letter.is_reachable
            assert not letter.ended
            world.start()
            await chain.sync()
            assert letter.is_reachable
        await chain.close()

    play(main)


async def test_what_is_sent_behind_the_back_of_a_caller_is_kept_until_it_is_done() -> None:
    async with ate.open("mail", memory=True) as chain:
        sent, going = list[int](), asyncio.Event()

        async def work() -> None:
            await going.wait()
            sent.append(1)

        with Letter(chain, ate.ObjectId.random(), inf) as letter:
            assert letter.is_reachable, "there is no server that could be away"
            letter.send(work())
        assert chain._mailbox is not None
        (task,) = chain._mailbox.tasks
        going.set()
        await task
        await asyncio.sleep(0)
        assert (sent, chain._mailbox.tasks) == ([1], set())
