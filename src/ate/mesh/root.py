"""`Root`: the server's side of one chain.

It judges commits, numbers them, flushes a whole group of them at once, and only then answers and
streams.

It holds no key of the chain and reads no body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ate import limits
from ate.chain.ledger import Ledger
from ate.chain.retention import Retention
from ate.chain.standing import check_guards, check_parents_of
from ate.errors import (
    AteError,
    Conflict,
    CorruptLog,
    Disconnected,
    Fenced,
    OutOfSpace,
    RemoteError,
    StorageError,
    Throttled,
)
from ate.event.commit import ROWS_AT, AuthorPart
from ate.mesh.compacting import compact
from ate.mesh.completion import Completions
from ate.mesh.flusher import Flusher
from ate.mesh.gate import Gate, OpenGate
from ate.mesh.guest import Guest
from ate.mesh.meter import Meter, SilentMeter
from ate.mesh.pump import report
from ate.mesh.sequencing import Sequencing, consider
from ate.mesh.turn import Turn
from ate.wire.codec import Shared
from ate.wire.message import Accepted, Found, Lookup, Open, Refused, Stated, Submit

if TYPE_CHECKING:
    from ate.chain.compact import Thinned
    from ate.chain.flip import Due
    from ate.mesh.rules import Rules
    from ate.mesh.subscriber import Subscriber

#: Submitted commits that are ordered before one flush.
_GROUP_MAX: Final = 512
#: Bytes of them, unless one alone has more: they leave in one message, which a peer must take.
_GROUP_BYTES: Final = 4 * limits.MIB
#: A chain with so many rows is not closed on the event loop.
_MANY_ROWS: Final = 20_000
#: At most so often the head of a busy chain is stated anew.
_STATE_EVERY_S: Final = 1.0
_RETRY_MS: Final = 1000
_FULL: Final = "whoever runs the server has to free some space; then commit again"


class Root:
    """One chain that is ordered here.

    Args:
        name: of the chain.
        ledger: open for writing, read already.
        gate, meter: what to ask, whom to tell.
        state: makes the signed statement about the chain: (answers) → bytes; None makes none.
        on_failure: called once when the medium has failed: the root is of no use any more then.
        epoch, role: of this server's ownership. sequencing: for whom it signs, if for anybody.
        flusher: of all chains on its disk. rules: asked about each commit, if there are any.
    """

    def __init__(
        self, name: str, ledger: Ledger, *, gate: Gate | None = None, meter: Meter | None = None,
        state: Callable[[Ledger, bytes], bytes] | None = None,
        on_failure: Callable[[Root, AteError], None] | None = None, epoch: int = 0,
        role: str = "master", sequencing: Sequencing | None = None,
        flusher: Flusher | None = None, rules: Rules | None = None,
    ) -> None:  # fmt: skip
        self.name, self.ledger, self.epoch, self.role = name, ledger, epoch, role
        self._sequencing, self._flusher, self._rules = sequencing, flusher or Flusher(), rules
        self.gate: Gate = gate or OpenGate()
        self.meter: Meter = meter or SilentMeter()
        self.subscribers: dict[Subscriber, None] = {}
        #: Held while commits are ordered and flushed, and while the log is replaced. Who holds it
        #: sees in the view only what is durable.
        self.alone = asyncio.Lock()
        #: Commits that are on the medium: all that anybody is told about.
        self.durable = ledger.view.frontier.size
        #: Channels that have the chain open.
        self.channels = 0
        self.completions = Completions(ledger)
        self.failure: AteError | None = None
        #: Why no commits are taken for now; None when they are.
        self.frozen: AteError | None = None
        self._state, self._on_failure = state, on_failure
        self._inbox: list[tuple[Guest, Submit]] = []
        self._inbox_bytes = 0
        self._room = asyncio.Event()
        self._room.set()
        self._wake: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._stated_s = -1.0
        self._stating: asyncio.TimerHandle | None = None
        self._compacting: asyncio.Future[Thinned] | None = None
        self._closing = False
        self._turn = Turn(ledger, self._rouse)

    # --- asking ---

    async def submit(self, guest: Guest, message: Submit) -> None:
        """Queue a commit; waits while too many bytes are queued already.

        Raises:
            Disconnected: the chain is being closed.
            AteError: it is of no use any more, and why.
        """
        while self._inbox_bytes > limits.INBOX_BYTES_MAX and self.failure is None:
            self._room.clear()
            await self._room.wait()
        if self.failure is not None:
            raise self.failure
        if self._closing:
            raise Disconnected("the chain is being closed", hint="open it again")
        self._inbox.append((guest, message))
        self._inbox_bytes += len(message.commit)
        if self._task is None:
            self._flusher.busy += 1
            self._task = asyncio.get_running_loop().create_task(self._run())
        else:
            self._rouse()

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._flusher.busy += 1
            self._wake.set_result(None)

    async def welcome(self, message: Open) -> None:
        """Be ready for who is about to open the chain."""

    def more(self) -> dict[str, Any]:
        """Return what else is said in `Opened`."""
        return {}

    async def look_up(self, message: Lookup) -> Found:
        """Return what became of a commit."""
        async with self.alone:  # what was found is durable
            known = self.completions.lookup(message.device, message.session, message.lsn)
            last = self.ledger.view.origins.last(message.device, message.session)
        return Found(message.ch, message.ref, known.first_seq if known else 0, last, self.durable)

    def refusal(self, message: Submit, error: AteError) -> Refused:
        """Return the answer to a commit that is not even judged."""
        payload = message.commit.ljust(ROWS_AT, b"\0")
        return self._refused(message.ch, AuthorPart.decode(memoryview(payload)), error)

    def retire(self) -> None:
        """Order nothing any more, not even what is queued; call it while holding `alone`."""
        self.failure = Disconnected("the chain has been moved", hint="open it again")
        self._inbox.clear()
        self._room.set()

    def frame(self, index: int) -> memoryview:
        """Return the log frame of commit `index`, which is behind the cut."""
        view = self.ledger.view
        number = len(view.commits) - (view.frontier.size - index)
        return view.store.read(view.commits.place_at(number))

    def leave(self, subscriber: Subscriber) -> None:
        """Stream to this one no more."""
        subscriber.end()
        self.subscribers.pop(subscriber, None)

    def statement(self, answers: bytes = b"") -> bytes:
        """Return the signed statement about what is durable here; empty when none is made."""
        exists = self.ledger.view.trust.genesis is not None
        return self._state(self.ledger, answers) if self._state is not None and exists else b""

    async def compact(self, retention: Retention | None = None, at: Due | None = None) -> Thinned:
        """Compact the log while the chain is served; see `ate.mesh.compacting`.

        Who is catching up below the cut is told to open the chain anew.

        Args:
            retention: what stays beyond the present; the chain's own policy may keep more.
            at: where all who hold the chain compact, and how; see `ate.mesh.flipping`.

        Raises:
            Refused: the chain is write-once, or under a legal hold.
            UsageError: no checkpoint of a root vouches for what would be left.
            StorageError: the medium failed.
        """
        if self._closing:
            raise Disconnected("the chain is being closed")
        work = self._compacting
        if work is None:
            work = asyncio.ensure_future(compact(self, retention or Retention(), at))
            self._compacting = work
        try:
            return await asyncio.shield(work)
        finally:
            if work.done():  # else others wait for it
                self._compacting = None

    # --- ordering ---

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while not self._closing or self._inbox:
                most = self._turn.look(self._inbox)
                if most:
                    group, size = self._gather(most)
                    await self._order(group)
                    self._inbox_bytes -= size
                    self._room.set()
                    continue
                self._wake = loop.create_future()
                self._flusher.busy -= 1
                await self._wake
                self._wake = None
        except StorageError as error:
            self.fail(error)
        except Exception as error:
            report("a root failed on a commit", error)
            self.fail(RemoteError("the server made a mistake"))
        finally:
            self._flusher.busy -= 1

    def _gather(self, most: int) -> tuple[list[tuple[Guest, Submit]], int]:
        """Take what is ordered before the next flush, `most` at most; returns its bytes, too."""
        count = size = 0
        for _, message in self._inbox:
            more = size + len(message.commit)
            if count == min(most, _GROUP_MAX) or (count and more > _GROUP_BYTES):
                break
            count, size = count + 1, more
        group, self._inbox = self._inbox[:count], self._inbox[count:]
        return group, size

    async def _order(self, group: list[tuple[Guest, Submit]]) -> None:
        """Append what is admissible of a group, flush once, then tell everybody."""
        async with self.alone:
            if self.failure is not None:
                return  # who asked is told, and sends again
            frames: list[bytes] = []
            first = self.durable
            answers: list[tuple[Guest, Accepted | Refused]] = []
            for guest, message in group:
                answers.append((guest, await self._judge(guest, message, frames)))
            if frames:
                await self._flush()
                self.durable = self.ledger.view.frontier.size
                self.ledger.feed.publish(self.ledger.view.head)
        for guest, answer in answers:
            guest.send(answer)
        if frames:
            self._stream(frames, first)

    async def _judge(
        self, guest: Guest, message: Submit, frames: list[bytes]
    ) -> Accepted | Refused:
        ledger = self.ledger
        payload = memoryview(message.commit)
        if len(payload) < ROWS_AT:
            return Refused(message.ch, 0, 0, 0, 0, "protocol", "it is shorter than a header")
        author = AuthorPart.decode(payload)
        last = ledger.view.origins.last(author.device, author.session)
        if author.lsn <= last:
            known = self.completions.find(author.device, author.session, author.lsn, payload)
            if known is not None:
                return known.answer(message.ch, author)
        if author.prev != last:
            text = f"it follows commit {author.prev} of its session, and {last} is here"
            return Refused(message.ch, *author.origin[:3], last, "lsn_gap", text)
        retry_ms = 0
        try:
            wait_s = self.gate.may_submit(guest, self.name, len(payload))
            if wait_s > 0:
                retry_ms = int(wait_s * 1000) + 1
                raise Throttled(f"too much at once: come back in {wait_s:.2f} s")
            self._check_asked(message)
            record, current = await consider(self._sequencing, guest, ledger, self.name, payload)
            check_parents_of(ledger.view.index, record)
            if self._rules is not None:
                await self._rules.judge(ledger, record, current)
        except AteError as error:
            self._turn.refused(message, error)
            return self._refused(message.ch, author, error, retry_ms)
        try:
            frame = bytes(record.payload)  # as others get it: all bodies inline
            record = ledger.accept(record, current)
        except OutOfSpace:
            full = OutOfSpace("the server's disk is full", hint=_FULL)
            return self._refused(message.ch, author, full, _RETRY_MS)
        frames.append(frame)
        self.gate.stored(guest, self.name, len(payload))
        self.completions.add(author, record)
        return Accepted(
            message.ch, author.device, author.session, author.lsn, record.first_seq,
            record.sequencer.index,
        )  # fmt: skip

    def _check_asked(self, message: Submit) -> None:
        """Raise unless the chain is as the author wants it to be."""
        view = self.ledger.view
        if self.frozen is not None:
            raise self.frozen
        if message.epoch and message.epoch != self.epoch:
            raise Fenced(f"the chain's ownership is at epoch {self.epoch}, not {message.epoch}")
        if message.at is not None and message.at != view.head:
            raise Conflict(f"the head is {view.head}, not {message.at}", theirs=view.head)
        if message.guards:
            check_guards(view.index, message.guards)

    def _refused(self, ch: int, author: AuthorPart, error: AteError, retry_ms: int = 0) -> Refused:
        self.meter.refused(error.code)
        last = self.ledger.view.origins.last(author.device, author.session)
        theirs, about = getattr(error, "theirs", 0), getattr(error, "object", None)
        # What is wrong with a submitted commit is not wrong with this log.
        code = "protocol" if isinstance(error, CorruptLog) else error.code
        return Refused(
            ch, *author.origin[:3], last, code, error.message[:1000], error.hint[:1000],
            bytes(about or b""), theirs, again=retry_ms > 0, retry_ms=retry_ms,
        )  # fmt: skip

    # --- making durable, telling ---

    async def _flush(self) -> None:
        self.meter.flushed(await self._flusher.flush(self.ledger))

    def _stream(self, frames: list[bytes], first: int) -> None:
        """Send what has just become durable to all that are up to date."""
        nbytes = sum(map(len, frames))
        self.meter.appended(len(frames), nbytes)
        started = self.ledger.clock.monotonic_s()
        shared, reached = Shared(frames), 0
        for subscriber in tuple(self.subscribers):
            reached += subscriber.push(shared, first, len(frames), nbytes)
        self.meter.sent(reached, self.ledger.clock.monotonic_s() - started)
        if self._state is not None and self._stating is None:
            self._state_soon()

    def _state_soon(self) -> None:
        """State the new head: at once, or a little later when the last time was a moment ago."""
        loop = asyncio.get_running_loop()
        wait_s = self._stated_s + _STATE_EVERY_S - loop.time()
        if self._stated_s < 0 or wait_s <= 0:
            wait_s = 0.0
        self._stating = loop.call_later(wait_s, self._state_now)

    def _state_now(self) -> None:
        loop = asyncio.get_running_loop()
        self._stating, self._stated_s = None, loop.time()
        if not self.subscribers or self.failure is not None:
            return
        if self.alone.locked():  # what is not durable is not stated
            self._stating = loop.call_later(_STATE_EVERY_S, self._state_now)
            return
        statement = self.statement()
        for subscriber in tuple(self.subscribers):
            subscriber.guest.send(Stated(subscriber.ch, statement))

    def fail(self, error: AteError) -> None:
        """Give up: the medium has failed. What was appended last may be lost, or not."""
        if self.failure is not None:
            return
        self.failure = error
        self._room.set()
        if self._on_failure is not None:
            self._on_failure(self, error)
        for subscriber in tuple(self.subscribers):
            self.leave(subscriber)

    async def close(self) -> None:
        """Order what was submitted, then close the log."""
        self._closing = True
        self._turn.end()
        if self._stating is not None:
            self._stating.cancel()
        if self._compacting is not None:
            self._compacting.cancel()
            await asyncio.wait([self._compacting])
        if self._task is not None:
            self._rouse()
            await asyncio.wait([self._task])
        for subscriber in tuple(self.subscribers):
            self.leave(subscriber)
        if self.failure is not None:
            self.ledger.store.close()
        elif not self.durable and not self.ledger.store.torn:
            self.ledger.store.destroy()  # a chain that was never begun leaves no files
        elif self.ledger.view.held < _MANY_ROWS:
            self.ledger.close()
        else:  # the snapshot of a large chain takes its time
            await asyncio.to_thread(self.ledger.close)
