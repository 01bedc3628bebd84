"""`ate.mesh.rules`: what validators of a server see, and what may be one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.shared import Note, World, play, put, texts

import ate
from ate import Durability
from ate.errors import Refused, RemoteError, UsageError
from ate.mesh.hall import Hall
from ate.mesh.rules import Rules
from ate.testing.simloop import SimulationFailed
from ate.trust.compression import Zstd
from ate.trust.plugin import ABSTAIN, ALLOW, Deny, Proposal, Verdict


class Portions:
    """At most two rows in a commit, and no object may be deleted."""

    name = "portions"

    def __init__(self) -> None:
        self.seen: list[Proposal] = []

    async def validate(self, proposal: Proposal) -> Verdict:
        self.seen.append(proposal)
        if len(proposal.table) > 3:
            return [Deny(-1, "at most 3 rows in a commit")]
        gone = [at for at, kind in enumerate(proposal.record.kinds) if kind == 2]
        return [Deny(at, "nothing is deleted here") for at in gone] or ALLOW


class Fails:
    """Makes mistakes, or never ends."""

    name = "fails"

    def __init__(self) -> None:
        self.how = ""

    async def validate(self, proposal: Proposal) -> Verdict:
        if self.how == "slow":
            await asyncio.Event().wait()
        if self.how == "wrong":
            raise ZeroDivisionError
        return ABSTAIN


class Named:
    """Has the name of something else."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def validate(self, proposal: Proposal) -> Verdict:
        return ABSTAIN


class Enriches(Named):
    """Would change drafts."""

    def enrich(self, draft: Any, session: Any) -> Any:
        return draft


def ruled(*plugins: Any) -> Any:
    class Ruled(Hall):
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, plugins=plugins, **more)

    return Ruled


def test_a_refusal_comes_with_its_reason_and_changes_nothing() -> None:
    rule = Portions()

    async def main(world: World) -> None:
        chain = await world.device().open()
        dao = await put(chain, "a")
        commits = chain.commits
        dio = chain.dio()
        for n in range(5):
            dio.store(Note(f"{n}"))
        with pytest.raises(Refused, match="refused by portions: at most 3 rows in a commit"):
            await dio.commit()
        assert dio.has_changes
        dio = chain.dio()
        await dio.load(Note, dao.id)
        dio.delete(dao.id)
        with pytest.raises(Refused, match="row 0: nothing is deleted here"):
            await dio.commit()
        assert chain.commits == commits
        assert await texts(chain) == ["a"]
        seen = rule.seen[-1]
        assert seen.drafts is None, "a server has no values"
        stored = seen.stored(bytes(dao.id))
        assert stored is not None
        assert stored.seq == dao.seq
        assert chain.session is not None
        assert chain.session.public.key_id in seen.authorities
        await chain.close()

    play(main, hall=ruled(rule))


def test_what_was_promised_comes_back_when_a_rule_is_against_it() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        dao = await put(chain, "a")
        await world.stop()
        await world.loop.pause(2)
        dio = chain.dio()
        await dio.load(Note, dao.id)
        dio.delete(dao.id)
        await dio.commit(Durability.LOCAL)
        for n in range(2):
            await put(chain, f"{n}", Durability.LOCAL)
        world.start()
        await chain.sync()
        (setback,) = chain.conflicts
        assert isinstance(setback.error, Refused)
        assert "nothing is deleted here" in setback.error.message
        assert await texts(chain) == ["0", "1", "a"]
        setback.drop()
        await chain.close()

    play(main, hall=ruled(Portions()))


def test_a_rule_that_comes_later_closes_no_chain() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        async with chain.dio() as dio:
            for n in range(5):
                dio.store(Note(f"{n}"))
        await world.stop()
        world.hall_type = ruled(Portions())
        world.start()
        await put(chain, "one more")
        other = await world.device("two").open()
        assert len(other) == 6
        await chain.close()
        await other.close()

    play(main)


@pytest.mark.parametrize("how", ["slow", "wrong"])
def test_a_rule_that_fails_refuses_and_the_chain_lives_on(how: str) -> None:
    rule, went = Fails(), list[bool]()

    async def main(world: World) -> None:
        chain = await world.device().open()
        rule.how = how
        dio = chain.dio()
        dio.store(Note("x"))
        with pytest.raises(RemoteError, match="a rule of the server"):
            await dio.commit()
        rule.how = ""
        await dio.commit()
        went.append(chain.status.online)
        await chain.close()

    if how == "slow":
        play(main, hall=ruled(rule))
    else:  # whoever runs the server is told
        with pytest.raises(SimulationFailed, match="a rule of this server failed"):
            play(main, hall=ruled(rule))
    assert went == [True]


@pytest.mark.parametrize(
    "plugin, words",
    [
        (object(), "validators only"),
        (Zstd(), "'compression' is none"),
        (Enriches("e"), "validators only"),
        (Named("worm"), "stands for a built-in"),
        (ate.Logic(Note, lambda old, new: None), "has to see values"),
    ],
)
def test_what_a_server_cannot_ask_is_refused(plugin: Any, words: str) -> None:
    if not hasattr(plugin, "name"):
        plugin = Nameless()
    with pytest.raises(UsageError, match=words):
        Rules([Portions(), plugin])
    with pytest.raises(UsageError, match="another one of its name"):
        Rules([Named("twice"), Named("twice")])


class Nameless:
    """No plug-in."""

    name = "nameless"
