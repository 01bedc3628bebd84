"""`ate.mesh.root`: who orders: once, in order, durable before anybody is told."""

from __future__ import annotations

import asyncio
import threading

import pytest
from tests.unit.ate.mesh.served import CREDIT, Envoy, Scribe, rooted, settled

from ate import limits
from ate.chain.retention import Retention
from ate.errors import (
    AteError,
    Disconnected,
    LimitExceeded,
    OutOfSpace,
    StorageError,
)
from ate.errors import (
    Refused as RefusedError,
)
from ate.event.commit import Origin, Record
from ate.ids import ObjectId
from ate.log.local import LocalLog
from ate.log.memory import MemoryLog
from ate.mesh.flusher import Flusher
from ate.mesh.gate import OpenGate
from ate.mesh.meter import SilentMeter
from ate.mesh.root import Root
from ate.mesh.subscriber import Subscriber
from ate.testing.forger import Line
from ate.testing.simdisk import SimDisk
from ate.wire.message import Accepted, Failed, Records, Refused, Stated, Submit


async def ask(root: Root, commit: bytes, **fields: object) -> Accepted | Refused:
    """Submit one commit and return what became of it."""
    envoy = Envoy()
    await root.submit(envoy, Submit(1, commit, **fields))  # type: ignore[arg-type]
    await settled(lambda: envoy.heard)
    answer = envoy.heard[0]
    assert isinstance(answer, Accepted | Refused)
    return answer


async def refused(root: Root, commit: bytes, **fields: object) -> Refused:
    answer = await ask(root, commit, **fields)
    assert isinstance(answer, Refused)
    return answer


def follow(root: Root, envoy: Envoy, start: int = 0, **fields: int) -> Subscriber:
    subscriber = Subscriber(root, envoy, 1, start, **{"credit": CREDIT, "sparse": 0, **fields})
    root.subscribers[subscriber] = None
    subscriber.start()
    return subscriber


async def test_a_commit_gets_its_place_and_goes_to_all() -> None:
    root, scribe = await rooted()
    envoy = Envoy()
    follow(root, envoy)
    await envoy.until_frames(1)
    note = scribe.note(b"to all")
    answer = await ask(root, note)
    assert answer == Accepted(1, 1, 1, 2, 2, 1)
    frame = (await envoy.until_frames(2))[1]
    record = Record(memoryview(frame))
    assert frame[:192] == note[:192]
    assert bytes(record.inline(record.row(0))) == b"to all"
    assert (root.durable, root.ledger.view.head) == (2, 2)
    await root.close()


async def test_ten_writers_at_one_head_are_one_winner_and_nine_conflicts() -> None:
    root, _ = await rooted()
    head, chain = root.ledger.view.head, root.ledger.view.trust.chain_id
    asked = []
    for device in range(10, 20):
        scribe = Scribe(device)
        scribe.join(chain)
        asked.append(ask(root, scribe.note(), at=head))
    answers = await asyncio.gather(*asked)
    assert sum(isinstance(one, Accepted) for one in answers) == 1
    losers = [one for one in answers if isinstance(one, Refused)]
    assert {(one.code, one.theirs) for one in losers} == {("conflict", head + 1)}
    assert root.ledger.view.head == head + 1
    await root.close()


async def test_the_same_bytes_get_the_same_answer() -> None:
    root, scribe = await rooted()
    note = scribe.note()
    first, *again = await asyncio.gather(*(ask(root, note) for _ in range(3)))
    assert isinstance(first, Accepted)
    assert not first.again
    for one in [*again, await ask(root, note)]:
        assert isinstance(one, Accepted)
        assert one.again
        assert (one.first_seq, one.index) == (first.first_seq, first.index)
    assert root.durable == 2
    await root.close()


async def test_other_bytes_under_a_number_that_was_used_are_refused() -> None:
    root, scribe = await rooted()
    await ask(root, scribe.note())
    other = Scribe()
    other.join(scribe.forger.chain_id)
    other.forger.origin = Origin(1, 1, 2, 1)
    answer = await refused(root, other.note(b"other bytes"))
    assert (answer.code, answer.last) == ("replayed", 2)
    await root.close()


async def test_a_commit_whose_predecessor_is_missing_waits_for_it() -> None:
    root, scribe = await rooted()
    first, second = scribe.notes(2)
    answer = await refused(root, second)
    assert (answer.code, answer.last) == ("lsn_gap", 1)
    assert isinstance(await ask(root, first), Accepted)
    assert isinstance(await ask(root, second), Accepted)
    await root.close()


@pytest.mark.parametrize(
    "spoil, code",
    [
        (lambda raw: raw[:100], "protocol"),
        (lambda raw: raw[:-8], "protocol"),
        (lambda raw: raw[:300] + b"\xff" + raw[301:], "protocol"),
        (lambda raw: b"\x09" + raw[1:], "unsupported_format"),
        (lambda raw: b"\x81" + raw[1:], "unsupported_format"),
        (lambda raw: raw[:-8] + bytes(8), "protocol"),
        (lambda raw: raw[:399] + b"\x80" + raw[400:], "protocol"),
    ],
    ids=["short", "cut", "row", "version", "thinned", "body", "place"],
)
async def test_what_is_no_sound_commit_leaves_nothing(spoil: object, code: str) -> None:
    root, scribe = await rooted()
    end, head = root.ledger.store.end, root.ledger.view.head
    answer = await refused(root, spoil(scribe.note(b"12345678")))  # type: ignore[operator]
    assert answer.code == code
    assert (root.ledger.store.end, root.ledger.view.head) == (end, head)
    again = Scribe()
    again.join(scribe.forger.chain_id)
    again.forger.origin = Origin(1, 1, 2, 1)
    assert isinstance(await ask(root, again.note()), Accepted)
    await root.close()


async def test_a_conflict_says_what_is_there_instead() -> None:
    root, scribe = await rooted()
    note = bytes(ObjectId.random())
    await ask(root, scribe.note(b"one", note))
    answer = await refused(root, scribe.note(b"two", note, base=0))
    assert (answer.code, answer.object, answer.theirs) == ("conflict", note, 2)
    await root.close()


async def test_nothing_hangs_below_what_is_not_there() -> None:
    root, scribe = await rooted()
    folder, other = bytes(ObjectId.random()), bytes(ObjectId.random())
    answer = await refused(root, scribe.note(parent=folder))
    assert (answer.code, answer.object) == ("conflict", folder)
    scribe.forger.origin = Origin(1, 1, 2, 1)
    both = scribe.commit(Line(folder), Line(other, folder))
    assert isinstance(await ask(root, both), Accepted)
    await root.close()


async def test_guards_and_epochs_fence() -> None:
    root, scribe = await rooted(epoch=4)
    lease = bytes(ObjectId.random())
    accepted = await ask(root, scribe.note(b"lease", lease), epoch=4)
    assert isinstance(accepted, Accepted)
    note = scribe.note()
    for asked in ({"guards": [(lease, 99)]}, {"guards": [(lease, 0)]}, {"epoch": 3}):
        assert (await refused(root, note, **asked)).code == "fenced"
    assert isinstance(await ask(root, note, guards=[(lease, accepted.first_seq)]), Accepted)
    await root.close()


async def test_a_frozen_chain_says_why() -> None:
    root, scribe = await rooted()
    root.frozen = RefusedError("it is being moved")
    note = scribe.note()
    assert (await refused(root, note)).code == "refused"
    root.frozen = None
    assert isinstance(await ask(root, note), Accepted)
    await root.close()


async def test_a_chain_begins_with_a_genesis_of_its_name() -> None:
    root, _ = await rooted()
    await root.close()
    root = Root("another", root.ledger.__class__(
        MemoryLog(), clock=root.ledger.clock, entropy=root.ledger.entropy
    ))  # fmt: skip
    scribe = Scribe()
    answer = await refused(root, await scribe.founding("notes"))
    assert answer.code == "untrusted_root"
    assert root.durable == 0
    await root.close()


class Toll(OpenGate):
    """Lets one commit in, then wants a wait, then wants no more."""

    def __init__(self) -> None:
        self.waits: list[float | AteError] = [0.0, 0.0, 1.5, LimitExceeded("bytes", 2, 1)]
        self.stored_bytes = 0

    def may_submit(self, visitor: object, name: str, nbytes: int) -> float:
        wait = self.waits.pop(0)
        if isinstance(wait, AteError):
            raise wait
        return wait

    def stored(self, visitor: object, name: str, nbytes: int) -> None:
        self.stored_bytes += nbytes


async def test_the_gate_is_asked_and_told() -> None:
    gate = Toll()
    root, scribe = await rooted(gate=gate)
    before, note = gate.stored_bytes, scribe.note()
    assert isinstance(await ask(root, note), Accepted)
    assert gate.stored_bytes == before + len(note)
    later = scribe.note()
    answer = await refused(root, later)
    assert (answer.code, answer.again, answer.retry_ms) == ("throttled", True, 1501)
    answer = await refused(root, later)
    assert (answer.code, answer.again) == ("limit_exceeded", False)
    await root.close()


# --- the medium -------------------------------------------------------------------------------


async def test_without_room_a_commit_may_come_again() -> None:
    disk = SimDisk()
    root, scribe = await rooted(store=LocalLog.open("/c", disk=disk))
    disk.fail("write", OutOfSpace("no space left on device"), times=-1)
    small, large = scribe.note(), scribe.note(b"x" * (limits.BODY_INLINE_BYTES_MAX + 8))
    answer = await refused(root, small)
    assert (answer.code, answer.again, answer.retry_ms > 0) == ("out_of_space", True, True)
    disk.heal()
    assert isinstance(await ask(root, small), Accepted)
    disk.fail("write", OutOfSpace("no space left on device"), times=-1)
    assert (await refused(root, large)).again
    disk.heal()
    assert isinstance(await ask(root, large), Accepted)
    assert root.durable == 3
    await root.close()


async def test_a_failing_flush_ends_the_root_and_is_not_acknowledged() -> None:
    disk, told = SimDisk(), list[AteError]()
    root, scribe = await rooted(
        store=LocalLog.open("/c", disk=disk), on_failure=lambda _, error: told.append(error)
    )
    envoy = Envoy()
    follow(root, envoy, 1)
    disk.fail("sync", StorageError("input/output error"))
    await root.submit(envoy, Submit(1, scribe.note()))
    await settled(lambda: told)
    assert root.failure is told[0]
    assert not envoy.of(Accepted)
    assert not root.subscribers
    assert root.durable == 1
    with pytest.raises(StorageError):
        await root.submit(envoy, Submit(1, scribe.note()))
    root.fail(StorageError("once is enough"))
    assert len(told) == 1
    await root.close()


async def test_a_mistake_of_the_program_ends_the_root_and_is_told() -> None:
    class Broken(OpenGate):
        def may_submit(self, visitor: object, name: str, nbytes: int) -> float:
            raise ZeroDivisionError("a secret")

    told = list[AteError]()
    root, scribe = await rooted(on_failure=lambda _, error: told.append(error))
    root.gate = Broken()
    reports = list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
    envoy = Envoy()
    await root.submit(envoy, Submit(1, scribe.note()))
    await settled(lambda: told)
    assert told[0].code == "remote"
    assert "secret" not in told[0].message
    assert reports
    await root.close()


class SlowFlush(MemoryLog):
    """A medium whose flush lasts until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.begun, self.waits = threading.Event(), threading.Event(), False

    def flush(self) -> None:
        if self.waits:
            self.begun.set()
            self.go.wait(20)


async def test_nobody_is_told_of_what_is_not_durable() -> None:
    """Neither the author, nor a follower, nor who waits for the chain to be still."""
    store = SlowFlush()
    stated: list[int] = []

    def state(ledger: object, answers: bytes) -> bytes:
        stated.append(root.ledger.view.frontier.size)
        return b"said"

    root, scribe = await rooted(store=store, state=state)
    envoy = Envoy()
    follow(root, envoy, 1)
    store.waits, root._flusher._usual_s = True, 1.0
    await root.submit(envoy, Submit(1, scribe.note()))
    await asyncio.to_thread(store.begun.wait, 20)
    root._state_now()
    assert (root.durable, root.ledger.view.frontier.size) == (1, 2)
    assert not envoy.of(Accepted)
    assert not envoy.of(Records)
    assert 2 not in stated
    store.waits = False
    store.go.set()
    async with root.alone:
        assert root.durable == 2
    await envoy.until(Accepted)
    await envoy.until(Records)
    await envoy.until(Stated, 2)
    assert stated[-1] == 2
    await root.close()


async def test_who_submits_too_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "INBOX_BYTES_MAX", 1000)
    root, scribe = await rooted()
    envoy, notes = Envoy(), scribe.notes(20, 400)
    for note in notes:
        await root.submit(envoy, Submit(1, note))
        assert root._inbox_bytes < 1000 + 2 * len(note)
    assert len(await envoy.until(Accepted, 20)) == 20
    await root.close()


async def test_a_group_of_large_commits_is_flushed_in_parts() -> None:
    class Counting(SilentMeter):
        def __init__(self) -> None:
            self.groups: list[int] = []

        def appended(self, commits: int, nbytes: int) -> None:
            self.groups.append(nbytes)

    meter = Counting()
    root, scribe = await rooted(meter=meter)
    envoy = Envoy()
    follow(root, envoy, 1)
    for note in scribe.notes(12, 1 << 20):
        await root.submit(envoy, Submit(1, note))
    await envoy.until(Accepted, 12)
    assert max(meter.groups) < (4 << 20) + (1 << 20)
    assert envoy.indexes == list(range(1, 1 + len(envoy.frames)))
    await root.close()


# --- its end ----------------------------------------------------------------------------------


async def test_what_was_submitted_is_ordered_before_it_closes() -> None:
    disk = SimDisk()
    root, scribe = await rooted(store=LocalLog.open("/c", disk=disk))
    envoy = Envoy()
    for note in scribe.notes(5):
        await root.submit(envoy, Submit(1, note))
    await root.close()
    assert len(envoy.of(Accepted)) == 5
    with pytest.raises(Disconnected):
        await root.submit(envoy, Submit(1, scribe.note()))
    log = LocalLog.open("/c", disk=disk, readonly=True)
    assert len(list(log.scan())) == 6
    log.close()


async def test_a_chain_that_was_never_begun_leaves_no_files() -> None:
    disk = SimDisk()
    _, scribe = await rooted()
    from ate.chain.ledger import Ledger
    from ate.crypto.entropy import system_entropy

    ledger = Ledger(LocalLog.open("/c", disk=disk), clock=scribe.clock, entropy=system_entropy)
    root = Root("c", ledger)
    answer = await ask(root, scribe.note())
    assert isinstance(answer, Refused)
    await root.close()
    assert not [path for path in disk.snapshot() if path.startswith("/c/0")]


async def test_a_large_chain_writes_its_snapshot_off_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ate.mesh.root._MANY_ROWS", 1)
    root, _ = await rooted()
    threads = []
    monkeypatch.setattr(
        root.ledger, "close", lambda: threads.append(threading.current_thread()), raising=True
    )
    await root.close()
    assert threads[0] is not threading.main_thread()


async def test_a_root_that_failed_while_compacting_is_closed_all_the_same() -> None:
    root, _ = await rooted()
    root.ledger.view.trust.genesis.policy["worm"] = True  # type: ignore[union-attr]
    with pytest.raises(RefusedError, match="write-once"):
        await root.compact(Retention())
    await root.close()
    with pytest.raises(AteError):
        await root.compact()


async def test_a_message_that_is_more_than_a_peer_takes_ends_its_channel_alone() -> None:
    root, scribe = await rooted()
    small, large = Envoy(bound=2000), Envoy()
    follow(root, small, 1)
    follow(root, large, 1)
    await ask(root, scribe.note(b"x" * 4000))
    await large.until_frames(1)
    assert [one.code for one in small.of(Failed)] == ["protocol_local"]
    assert len(root.subscribers) == 1
    await root.close()


async def test_who_is_at_it_counts_itself() -> None:
    """The flusher is told how many chains are busy, whatever becomes of them."""
    flusher = Flusher()
    root, scribe = await rooted(flusher=flusher)
    assert await ask(root, scribe.note())
    await settled(lambda: not flusher.busy)
    assert await ask(root, scribe.note())
    await settled(lambda: not flusher.busy)
    await root.close()
    assert flusher.busy == 0
    failing, scribe = await rooted(flusher=flusher)
    failing.gate = Careless()
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    await settled(lambda: not flusher.busy)
    await failing.submit(Envoy(), Submit(1, scribe.note()))
    assert flusher.busy == 1
    await settled(lambda: failing.failure)
    assert flusher.busy == 0
    await failing.close()


class Careless(OpenGate):
    """A gate with a mistake."""

    def may_submit(self, visitor: object, name: str, nbytes: int) -> float:
        raise ValueError
