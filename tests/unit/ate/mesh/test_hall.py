"""`ate.mesh.hall`: what visitors ask, and what nobody may ask."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.ate.mesh.served import NAME, Envoy, Scribe, founded, settled, visitor

from ate import limits
from ate.errors import (
    AteError,
    Disconnected,
    NotFound,
    OutOfSpace,
    ProtocolError,
    StorageError,
    Throttled,
    TrustError,
    UntrustedRoot,
    UsageError,
)
from ate.ids import ObjectId
from ate.log.memory import MemoryLog
from ate.merkle import verify_consistency
from ate.mesh.gate import OpenGate, Rights
from ate.mesh.hall import HANDLED, Hall, Place
from ate.mesh.roster import Shelf
from ate.mesh.shelf import DiskShelf, MemoryShelf
from ate.testing.platter import STYLES
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.wire.message import (
    Accepted,
    Bodies,
    Changed,
    Close,
    Closed,
    Credit,
    Evidence,
    Failed,
    Fetch,
    Found,
    Lookup,
    Moved,
    Open,
    Proved,
    Refused,
    Submit,
    Sync,
    Throttle,
)


def hall(shelf: Shelf | None = None, **options: object) -> Hall:
    return Hall(shelf or MemoryShelf(), clock=SimClock(tick_us=1), **options)  # type: ignore[arg-type]


async def write(envoy: Envoy, notes: list[bytes]) -> None:
    before = len(envoy.of(Accepted))
    for note in notes:
        await envoy.say(Submit(1, note))
    await envoy.until(Accepted, before + len(notes))


# --- opening ----------------------------------------------------------------------------------


async def test_the_answer_says_where_the_chain_is() -> None:
    one, envoy, scribe = await founded()
    await write(envoy, scribe.notes(3))
    other = await visitor(one)
    opened = await other.open(sources=[(1, 1), (7, 7)])
    view = one.roots[NAME].ledger.view
    assert opened.chain_id == view.trust.chain_id
    assert (opened.commits, opened.head, opened.root) == (4, 4, view.frontier.root())
    assert (opened.start, opened.cut) == (0, 0)
    assert [tuple(last) for last in opened.last] == [(4, 4), (0, 0)]
    assert (opened.writable, opened.role) == (True, "master")
    await other.until_frames(4)
    await one.close()


async def test_who_does_not_follow_is_answered_and_not_streamed_to() -> None:
    one, envoy, scribe = await founded()
    quiet = await visitor(one)
    await quiet.open(follow=False)
    await write(envoy, scribe.notes(3))
    assert not quiet.frames
    await quiet.say(Credit(1, 1000))  # of no use, and no harm
    await one.close()


async def test_another_chain_under_the_name_is_told_at_once() -> None:
    one, _, _ = await founded()
    other = await visitor(one)
    with pytest.raises(UntrustedRoot):
        await other.open(chain_id=bytes(32))
    with pytest.raises(ProtocolError, match="not open"):
        await other.say(Lookup(1, 1, 1, 1, 1))
    await one.close()


async def test_a_channel_is_opened_once() -> None:
    one, envoy, _ = await founded()
    with pytest.raises(ProtocolError, match="open already"):
        await envoy.open()
    await envoy.say(Close(1))
    assert envoy.of(Closed) == [Closed(1)]
    await envoy.open()
    await envoy.say(Close(77))
    await one.close()


async def test_channels_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ate.mesh.hall._CHANNELS_MAX", 2)
    one, envoy, _ = await founded()
    await envoy.open(ch=2)
    with pytest.raises(AteError, match="channels"):
        await envoy.open(ch=3)
    await one.close()


async def test_a_chain_that_is_elsewhere_is_not_opened() -> None:
    one = hall(where=lambda name: Place("ws://other", 9) if name == "far" else Place())
    envoy = await visitor(one)
    await envoy.say(Open(1, "far"))
    assert envoy.of(Moved) == [Moved(1, "ws://other", 9)]
    assert not one.roots
    await one.close()


async def test_a_replica_takes_no_commits() -> None:
    home, envoy, scribe = await founded()
    shelf = home.roster._shelf
    await home.close()
    one = hall(shelf, where=lambda _: Place("", 3, "replica"))
    envoy = await visitor(one)
    opened = await envoy.open()
    assert (opened.writable, opened.role, opened.epoch) == (False, "replica", 3)
    await envoy.say(Submit(1, scribe.note()))
    (refused,) = envoy.of(Refused)
    assert (refused.code, refused.lsn, refused.last) == ("read_only", scribe.lsn - 1, 1)
    await envoy.say(Submit(1, b"short"))
    assert envoy.of(Refused)[1].code == "read_only"
    with pytest.raises(NotFound):
        await envoy.open("new", ch=2)
    await one.close()


class Porter(OpenGate):
    def __init__(self, rights: Rights | AteError) -> None:
        self.rights, self.open = rights, 0

    def admitted(self, visitor: object) -> None:
        if isinstance(self.rights, Throttled):
            raise self.rights

    def may_open(self, visitor: object, name: str, token: bytes, *, exists: bool) -> Rights:
        if isinstance(self.rights, AteError):
            raise self.rights
        self.open += 1
        return self.rights

    def closed(self, visitor: object, name: str) -> None:
        self.open -= 1


async def test_the_gate_decides() -> None:
    home, _, scribe = await founded()
    shelf = home.roster._shelf
    await home.close()
    gate = Porter(Rights(read=False, commits_s=5, bytes_s=7))
    one = hall(shelf, gate=gate)
    envoy = await visitor(one)
    await envoy.open()
    assert envoy.of(Throttle) == [Throttle(1, 5, 7)]
    await write(envoy, [scribe.note()])
    assert not envoy.frames
    with pytest.raises(TrustError):
        await envoy.say(Fetch(1, 1, [1]))
    await envoy.say(Sync(1, {}, []))
    assert envoy.of(Changed)[0].heads == []
    gate.rights = Rights(elsewhere="ws://roomy")
    await envoy.say(Open(2, "other"))
    assert envoy.of(Moved)[0].url == "ws://roomy"
    gate.rights = Rights(write=False)
    with pytest.raises(NotFound):
        await envoy.open("never-was", ch=3)
    gate.rights = TrustError("no token")
    with pytest.raises(TrustError):
        await envoy.open("other", ch=4)
    assert gate.open == 1
    await envoy.leave()
    assert gate.open == 0
    gate.rights = Throttled("too many")
    with pytest.raises(Throttled):
        await visitor(one)
    await one.close()


async def test_an_unknown_message_is_refused() -> None:
    one, envoy, _ = await founded()
    with pytest.raises(ProtocolError, match="does not send Closed"):
        await envoy.say(Closed(1))
    for message in (Submit(9, b""), Fetch(9, 1, []), Evidence(9, 1, 1, 1)):
        with pytest.raises(ProtocolError, match="not open"):
            await envoy.say(message)
    await one.close()


# --- asking -----------------------------------------------------------------------------------


async def test_a_commit_is_looked_up_by_its_origin() -> None:
    one, envoy, scribe = await founded()
    await write(envoy, scribe.notes(3))
    for lsn in (1, 4, 5):
        await envoy.say(Lookup(1, lsn, 1, 1, lsn))
    await envoy.say(Lookup(1, 9, 5, 5, 1))
    found = [(one.ref, one.first_seq, one.last) for one in envoy.of(Found)]
    assert found == [(1, 1, 4), (4, 4, 4), (5, 0, 4), (9, 0, 0)]
    await one.close()


async def test_bodies_are_fetched_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    one, envoy, scribe = await founded()
    large = b"L" * (limits.BODY_INLINE_BYTES_MAX + 8)
    await write(envoy, [*scribe.notes(40), scribe.note(large)])
    await envoy.say(Fetch(1, 7, [0, *range(2, 43), 99]))
    bodies = envoy.of(Bodies)[0].bodies
    assert bodies[0] is bodies[-1] is None
    assert bodies[3] == (2).to_bytes(4, "big") * 4
    assert bodies[-2] == large
    monkeypatch.setattr(limits, "BODY_BYTES_MAX", len(large))
    await envoy.say(Fetch(1, 8, [42, 42, 42]))
    assert envoy.of(Bodies)[1].bodies == [large]
    await one.close()


async def test_what_a_compaction_dropped_is_not_there() -> None:
    one, envoy, scribe = await founded()
    note = bytes(ObjectId.random())
    await write(envoy, [scribe.note(b"old", note)])
    await write(envoy, [scribe.note(b"new", note, base=2, created=2)])
    await one.roots[NAME].compact()
    await envoy.say(Fetch(1, 1, [2, 3]))
    assert envoy.of(Bodies)[0].bodies == [None, b"new"]
    late = await visitor(one)
    opened = await late.open(commits=1)
    assert (opened.start, opened.cut > 1) == (0, True)
    await one.close()


async def test_growth_is_proved() -> None:
    one, envoy, scribe = await founded()
    view = one.roots[NAME].ledger.view
    await write(envoy, scribe.notes(3))
    old, size = view.frontier.root(), view.frontier.size
    await write(envoy, scribe.notes(5))
    await envoy.say(Evidence(1, 3, size, view.frontier.size))
    path = envoy.of(Proved)[0].path
    verify_consistency(size, old, view.frontier.size, path, view.frontier.root())
    for old_size, new_size in ((0, 3), (5, 3), (3, 99)):
        with pytest.raises(UsageError):
            await envoy.say(Evidence(1, 4, old_size, new_size))
    await one.close()


async def test_of_chains_that_may_be_read_changes_are_told() -> None:
    one, envoy, scribe = await founded()
    await write(envoy, scribe.notes(2))
    await envoy.say(Sync(1, {}, []))
    await envoy.say(Sync(2, {}, [NAME, "secret"]))
    assert [answer.heads for answer in envoy.of(Changed)] == [[(NAME, 3)], [(NAME, 3)]]
    stranger = await visitor(one)
    await stranger.say(Sync(1, {}, []))
    await stranger.say(Sync(2, {}, [NAME, "secret"]))
    assert [answer.heads for answer in stranger.of(Changed)] == [[], [(NAME, 3)]]
    await one.close()


# --- chains that have another place -------------------------------------------------------------


async def test_who_follows_gets_more_when_it_has_room_again() -> None:
    one, envoy, scribe = await founded()
    await write(envoy, scribe.notes(8, 60_000))
    slow, seen = await visitor(one), 0
    await slow.open(credit=1000)
    await slow.until_frames(1)
    rounds = 0
    while len(slow.frames) < 9:
        for _ in range(20):
            await asyncio.sleep(0)
        came = slow.frames[seen:]
        assert sum(map(len, came)) < 4 * 60_000, "no more than it has room for, and one message"
        seen, rounds = seen + len(came), rounds + 1
        await slow.say(Credit(1, sum(map(len, came))))
        await slow.until_frames(seen + 1)
    assert rounds >= 2
    assert slow.indexes == list(range(9))
    await one.close()


class Desk:
    """An office that gives the answer it was told to give."""

    def __init__(self, place: Place | None) -> None:
        self.place, self.heard = place, list[str]()

    async def asked(self, visitor: object, message: Open) -> Place | None:
        self.heard.append(message.name)
        return self.place


async def test_the_office_is_asked_first() -> None:
    one, envoy, _ = await founded()
    one.office = desk = Desk(HANDLED)
    other = await visitor(one)
    await other.say(Open(1, NAME))
    assert (desk.heard, other.heard) == ([NAME], []), "it answers by itself"
    desk.place = Place("ws://two", 4)
    await other.say(Open(1, NAME))
    assert other.of(Moved) == [Moved(1, "ws://two", 4)]
    desk.place = None
    assert (await other.open()).role == "master"
    assert len(envoy.of(Moved)) == 0
    await one.close()


async def test_a_chain_that_goes_on_elsewhere_yields_and_can_be_read() -> None:
    legacy = Place("", 5, "legacy", "ws://two")
    where = {NAME: Place()}
    one, envoy, scribe = await founded(hall(where=lambda name: where.get(name, legacy)))
    await write(envoy, scribe.notes(2))
    where.clear()
    await one.review()
    assert envoy.of(Moved) == [Moved(1, "ws://two", 5)]
    opened = await envoy.open()
    assert (opened.writable, opened.role, opened.commits) == (False, "legacy", 3)
    assert opened.more["owner"] == "ws://two"
    late = await visitor(one)
    assert (await late.open(more={"ask": "yield"})).more == {"yielded": 5}
    await envoy.say(Submit(1, scribe.note()))
    (refused,) = envoy.of(Refused)
    assert (refused.code, refused.hint) == ("read_only", "its master is at ws://two")
    await envoy.say(Open(2, "never-was"))
    assert envoy.of(Moved)[-1] == Moved(2, "ws://two", 5), "who has nothing of it sends on"
    await one.close()


async def test_all_who_have_a_chain_open_are_sent_to_its_new_place() -> None:
    places = {NAME: Place()}
    one, envoy, scribe = await founded(hall(where=lambda name: places[name]))
    await write(envoy, scribe.notes(2))
    other = await visitor(one)
    await other.open(ch=9)
    await one.review()
    assert not envoy.of(Moved), "it is where it was"
    places[NAME] = Place("ws://two", 6)
    await one.review()
    assert envoy.of(Moved) == [Moved(1, "ws://two", 6)]
    assert other.of(Moved) == [Moved(9, "ws://two", 6)]
    assert not one.roots
    with pytest.raises(ProtocolError, match="not open"):
        await envoy.say(Submit(1, scribe.note()))
    places[NAME] = Place()
    assert (await envoy.open()).commits == 3
    await one.close()


async def test_while_its_place_is_unknown_a_chain_stays_where_it_is() -> None:
    known = True

    def where(name: str) -> Place:
        if not known:
            raise NotFound(f"{name} is on its way")
        return Place()

    one, envoy, scribe = await founded(hall(where=where))
    known = False
    await one.review()
    await write(envoy, scribe.notes(1))
    assert not envoy.of(Moved)
    await one.close()


async def test_who_has_no_place_to_go_to_is_told_to_come_again() -> None:
    one, envoy, scribe = await founded()
    await write(envoy, scribe.notes(2))
    await one.send_on(one.roots[NAME], Place("", 2, "relay"))
    (failed,) = envoy.of(Failed)
    assert (failed.ref, failed.code, failed.retry_ms) == (0, "disconnected", 1)
    assert (await envoy.open()).commits == 3
    await one.close()


async def test_a_move_that_cannot_be_settled_leaves_the_chain_here() -> None:
    one, envoy, scribe = await founded()
    await write(envoy, scribe.notes(2))

    def settle() -> None:
        raise StorageError("the directory could not be written")

    with pytest.raises(StorageError):
        await one.send_on(one.roots[NAME], Place("ws://two", 6), settle)
    assert envoy.of(Failed)[0].code == "storage"
    assert not envoy.of(Moved)
    assert (await envoy.open()).commits == 3
    await write(envoy, [scribe.note()])
    await one.close()


async def test_a_chain_that_is_moved_while_it_is_opened_is_not_entered() -> None:
    gone = False
    one, envoy, scribe = await founded(
        hall(where=lambda _: Place("ws://two", 6) if gone else Place())
    )
    await write(envoy, scribe.notes(2))
    late, root = await visitor(one), one.roots[NAME]
    async with root.alone:
        opening = asyncio.ensure_future(late.open())
        for _ in range(5):
            await asyncio.sleep(0)
        gone = True
    with pytest.raises(Disconnected, match="just moved"):
        await opening
    assert not late.heard
    assert root.channels == 1
    await one.close()


async def test_who_may_only_read_is_told_so() -> None:
    home, _, scribe = await founded()
    shelf = home.roster._shelf
    await home.close()
    one = hall(shelf, gate=Porter(Rights(write=False)))
    envoy = await visitor(one)
    assert not (await envoy.open()).writable
    await envoy.say(Submit(1, scribe.note()))
    assert envoy.of(Refused)[0].code == "write_denied"
    await one.close()


async def test_a_copy_of_what_nobody_has_is_made_by_who_may_make_chains() -> None:
    """Whether the chain exists is only known when its master was asked."""
    asked = list[bool]()

    class Doorman(OpenGate):
        def may_open(self, visitor: object, name: str, token: bytes, *, exists: bool) -> Rights:
            asked.append(exists)
            if not exists:
                raise NotFound("you may make no chains")
            return Rights()

    one = hall(gate=Doorman(), where=lambda _: Place("", 1, "relay"))
    envoy = await visitor(one)
    with pytest.raises(NotFound):
        await envoy.say(Open(1, "never-was"))
    assert asked == [True, False]
    assert not envoy.heard
    await one.close()


# --- failing and closing ----------------------------------------------------------------------


async def test_nothing_acknowledged_is_lost_when_the_medium_fails() -> None:
    disk = SimDisk()
    one, envoy, scribe = await founded(hall(DiskShelf("/s", disk)))
    await write(envoy, scribe.notes(3))
    quiet = await visitor(one)
    await quiet.open(follow=False)
    disk.fail("sync", StorageError("input/output error"))
    lost = scribe.note(b"not acknowledged")
    await envoy.say(Submit(1, lost))
    for guest in (envoy, quiet):
        (failed,) = await guest.until(Failed)
        assert (failed.ref, failed.code) == (0, "storage")
        assert failed.retry_ms > 0
    with pytest.raises(ProtocolError):
        await envoy.say(Submit(1, lost))
    opened = await envoy.open(sources=[(1, 1)])
    assert opened.commits in (4, 5)
    await envoy.say(Submit(1, lost))
    answer = (await envoy.until(Accepted, 5))[-1]
    assert answer.again == (opened.commits == 5)
    await one.close()
    again = hall(DiskShelf("/s", disk.cut(STYLES[0])))
    late = await visitor(again)
    assert (await late.open()).commits == 5
    await again.close()


async def test_without_room_a_commit_is_refused_for_now() -> None:
    disk = SimDisk()
    one, envoy, scribe = await founded(hall(DiskShelf("/s", disk)))
    disk.fail("write", OutOfSpace("no space left on device"), times=-1)
    note = scribe.note()
    await envoy.say(Submit(1, note))
    (answer,) = await envoy.until(Refused)
    assert (answer.code, answer.again) == ("out_of_space", True)
    disk.heal()
    await envoy.say(Submit(1, note))
    await envoy.until(Accepted, 2)
    await one.close()


async def test_memory_outlives_an_idle_chain() -> None:
    one, envoy, scribe = await founded(hall(idle_close_s=0.0))
    await write(envoy, scribe.notes(3))
    await envoy.say(Close(1))
    await settled(lambda: not (one.roots or one.roster._leaving))
    opened = await envoy.open()
    assert opened.commits == 4
    await write(envoy, scribe.notes(1))
    await one.close()


async def test_a_server_that_stops_keeps_what_it_took() -> None:
    disk = SimDisk()
    one, envoy, scribe = await founded(hall(DiskShelf("/s", disk)))
    for note in scribe.notes(5):
        await envoy.say(Submit(1, note))
    await one.close()
    assert len(envoy.of(Accepted)) == 6
    with pytest.raises(Disconnected):
        await visitor(one)
    again = await visitor(hall(DiskShelf("/s", disk)))
    assert (await again.open()).commits == 6
    assert again.hall is not None
    await again.leave()
    await again.hall.close()


async def test_who_opens_while_commits_are_flushed_is_told_what_is_durable() -> None:
    """The numbers and the root in one answer are of one moment."""
    one, envoy, scribe = await founded()
    root = one.roots[NAME]
    late = await visitor(one)
    async with root.alone:
        opening = asyncio.ensure_future(late.open())
        looking = asyncio.ensure_future(envoy.say(Lookup(1, 1, 1, 1, 1)))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not opening.done()
        assert not looking.done()
    opened = await opening
    await looking
    assert opened.root == root.ledger.view.frontier.root()
    assert scribe.lsn == 2
    await one.close()


async def test_who_leaves_lets_go_of_everything() -> None:
    one, envoy, _ = await founded()
    await envoy.open(ch=2)
    root = one.roots[NAME]
    assert (root.channels, len(root.subscribers)) == (2, 2)
    await envoy.leave()
    assert (root.channels, len(root.subscribers)) == (0, 0)
    await one.close()


async def test_a_thousand_chains_are_opened_on_demand() -> None:
    """Descriptors are bounded, however many chains are asked for."""
    counted = Counted()
    one = hall(counted, max_open=20)
    for number in range(1000):
        envoy, scribe = await visitor(one), Scribe()
        await envoy.open(f"chain-{number}")
        await envoy.say(Submit(1, await scribe.founding(f"chain-{number}")))
        await envoy.until(Accepted)
        await envoy.leave()
    assert counted.most <= 20
    late = await visitor(one)
    for number in (0, 500, 999):
        opened = await late.open(f"chain-{number}", ch=number + 1)
        assert opened.commits == 1
    assert len(one.roots) <= 20
    await one.close()
    assert counted.count == 0


class Counted:
    """A shelf in memory that counts the logs that are open."""

    def __init__(self) -> None:
        self._logs: dict[str, list[bytes]] = {}
        self.count = self.most = 0

    def exists(self, name: str) -> bool:
        return name in self._logs

    def open(self, name: str, *, create: bool) -> MemoryLog:
        frames = self._logs.setdefault(name, [])
        log, self.count = CountedLog(self, frames), self.count + 1
        self.most = max(self.most, self.count)
        return log


class CountedLog(MemoryLog):
    def __init__(self, shelf: Counted, frames: list[bytes]) -> None:
        super().__init__()
        self._shelf, self._kept = shelf, frames
        for frame in frames:
            super().append([frame])

    def flush(self) -> None:
        self._kept[:] = [bytes(payload) for _, payload in self.scan()]

    def close(self) -> None:
        self._shelf.count -= 1
        super().close()
