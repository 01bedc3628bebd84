"""What an uplink hears of a master reaches the mirror, and a question gets the master's answer."""

from __future__ import annotations

import pytest
from tests.unit.ate.mesh.served import settled
from tests.unit.ate.mesh.test_mirror import Cluster, cluster, reach, write

from ate.errors import Disconnected
from ate.mesh.line import Line
from ate.mesh.mirror import Mirror
from ate.mesh.registry import Registry
from ate.mesh.uplink import KEEPALIVE_S, TERMS, Question
from ate.trust.attest import HeadStatement


def line_to(play: Cluster, url: str) -> Line:
    lines = Registry(agent="test")
    play.stack.push_async_callback(lines.close)
    return lines.line(url)


async def test_a_question_brings_what_the_master_states_now() -> None:
    async with cluster() as play:
        above, master = await play.master()
        chain = await play.client(master.url)
        await write(chain, 1, 2)
        line, chain_id = line_to(play, master.url), chain.id
        first = HeadStatement.decode(await Question(line, "notes", chain_id, b"").ask())
        assert first.size == chain.commits
        await write(chain, 3)
        again = HeadStatement.decode(await Question(line, "notes", chain_id, b"").ask())
        assert again.size == chain.commits > first.size
        assert again.root == chain.root
        root = above.roots["notes"]
        await settled(lambda: root.channels == 1)  # a question leaves no channel behind


async def test_a_question_about_what_is_not_there_has_no_answer() -> None:
    async with cluster() as play:
        _, master = await play.master()
        chain = await play.client(master.url)
        line = line_to(play, master.url)
        with pytest.raises(Disconnected, match="does not answer"):
            await Question(line, "notes", bytes(32), b"").ask()  # another chain of that name
        assert HeadStatement.decode(await Question(line, "notes", chain.id, b"").ask()).size


async def test_a_question_ends_with_the_connection() -> None:
    async with cluster() as play:
        line = line_to(play, "tcp://127.0.0.1:9")
        with pytest.raises(Disconnected, match="the master is lost"):
            await Question(line, "notes", bytes(32), b"").ask()


async def test_a_mirror_is_as_current_as_its_uplink_and_knows_its_master() -> None:
    async with cluster() as play:
        above, master = await play.master()
        below, relay = await play.follower(master.url)
        writer = await play.client(master.url)
        await write(writer, 1)
        reader = await play.client(relay.url)
        await write(reader, 2)  # its answer comes back through the uplink
        await write(writer, 3)
        await reach(reader, writer)
        mirror = below.roots["notes"]
        assert isinstance(mirror, Mirror)
        uplink = mirror.uplink
        assert uplink.master is not None
        assert uplink.master.key is not None
        assert uplink.master.key.raw == play.key.public.raw
        assert uplink.is_online
        assert uplink.is_current
        assert mirror.durable == above.roots["notes"].durable == writer.commits
        await settled(lambda: HeadStatement.decode(mirror.statement()).size == writer.commits)
        assert HeadStatement.decode(mirror.statement()).root == writer.root
        assert uplink.flights.sources() == [], "it makes no commits of its own"


def test_the_loss_of_a_master_is_noticed_within_two_seconds() -> None:
    assert TERMS.keepalive_s == KEEPALIVE_S
    assert 2 * KEEPALIVE_S < 2.0
