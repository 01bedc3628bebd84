"""Leases for programs: of many that could, one at a time does; it keeps no state but the chain's.

A lease is two objects whose ids follow from its name. The *turn* says who holds it, and changes
when it is taken or given back: taking it is one compare-and-append. The *beat* says how long, and
changes with each renewal. What is committed under a lease stands on the turn alone, so that a
renewal never gets in the way of the work, and a takeover always does.

Clocks decide when a lease may be taken, never whose work lands.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Final, Self, TypeVar

import msgspec

from ate import limits
from ate.chain.index import SEQ_MASK
from ate.chain.standing import Guards
from ate.crypto.hash import derive, keyed
from ate.dio.bell import Bell
from ate.dio.collections import collection_number
from ate.dio.dao import Dao
from ate.dio.dio import Dio
from ate.dio.landing import land
from ate.dio.receipt import moment
from ate.dio.transaction import Durability
from ate.errors import AteError, Conflict, Deleted, Fenced, NotFound, TimedOut, UsageError
from ate.ids import ObjectId
from ate.session import Session

if TYPE_CHECKING:
    from ate.dio.chain import Chain

T = TypeVar("T")

_LEASES: Final = collection_number("ate leases")
_TURN_KEY: Final = derive("ate lease turn", b"")
_BEAT_KEY: Final = derive("ate lease beat", b"")
#: Seconds until a taker who lost a race looks again, if nothing has come in by then.
_AGAIN_S: Final = 1.0


class Turn(msgspec.Struct, frozen=True):
    """Who holds a lease: whoever wrote this version.

    Args:
        name: of the lease, for people.
        until_us: from here on anybody may take it, unless a beat says later; 0 = given back.
        ttl_us: as long without a new beat is long enough, too, for whoever watched.
    """

    __ate_type__: ClassVar[str] = "ate.Turn"

    name: str
    until_us: int
    ttl_us: int = 0


class Beat(msgspec.Struct, frozen=True):
    """The newest renewal of a lease.

    Args:
        turn: the seq of the turn that it prolongs; to any other it says nothing.
        until_us: from here on anybody may take the lease.
    """

    __ate_type__: ClassVar[str] = "ate.Beat"

    turn: int
    until_us: int


class NamedLease:
    """A lease: `async with chain.lease("nightly") as lease:` holds it for the block.

    Args:
        chain: an open chain.
        name: of the lease; all that use one name on one chain exclude each other.
        ttl_s: it may be taken by another so long after the last renewal; it is renewed at a third.
        wait_s: seconds to wait for it; None waits for as long as it takes.
        session: acts instead of the session the chain was opened with.

    `await dio.commit(lease=lease)` lands only while nobody else has taken it.

    Attributes:
        lost: an `asyncio.Event`, set when somebody else has it, or when it ran out and could not
            be renewed. Work that goes on after that is for nothing.
    """

    def __init__(
        self,
        chain: Chain,
        name: str,
        *,
        ttl_s: float = 30,
        wait_s: float | None = None,
        session: Session | None = None,
    ) -> None:
        if not 0 < ttl_s <= limits.LEASE_S_MAX or (wait_s is not None and not wait_s >= 0):
            raise UsageError(
                f"ttl_s is more than 0 and at most {limits.LEASE_S_MAX}; wait_s is not below 0"
            )
        if not name:
            raise UsageError("a lease has a name")
        limits.check("lease name bytes", len(name.encode(errors="replace")), limits.NAME_BYTES_MAX)
        self.chain, self.name, self.ttl_s, self.wait_s = chain, name, ttl_s, wait_s
        self.session = session or chain.session
        self.lost = asyncio.Event()
        raw = name.encode(errors="surrogatepass")
        self._turn_id = ObjectId(keyed(_TURN_KEY, raw)[:16])
        self._beat_id = ObjectId(keyed(_BEAT_KEY, raw)[:16])
        self._turn: Dao[Turn] | None = None
        self._until_us = self._number = 0
        self._seen, self._since_s = (0, 0), 0.0
        self._renewing = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"NamedLease({self.name!r}, number {self._number}{'' if self._turn else ', over'})"

    # --- facts ------------------------------------------------------------------------------

    @property
    def number(self) -> int:
        """The fencing number: a later holder's is larger, for ever.

        Hand it to systems outside the chain, and let them refuse what comes with a smaller one.
        """
        return self._number

    @property
    def until(self) -> datetime:
        """When it runs out unless it is renewed, by the chain's time."""
        return moment(self._until_us)

    @property
    def guards(self) -> Guards:
        """What must not have changed when a commit under this lease lands.

        Raises:
            Fenced: it was given back or lost.
        """
        if self._turn is None or self.lost.is_set():
            raise Fenced(f"the lease {self.name!r} is not held any more", hint="take it again")
        return ((self._turn_id, self._number),)

    # --- taking -----------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Take the lease.

        Raises:
            TimedOut: somebody else still held it after `wait_s`.
            UsageError: it is held by this very object, or the chain was closed meanwhile.
        """
        if self._turn is not None:
            raise UsageError("this lease is held already; make another for another holder")
        self.lost.clear()
        await self._take()
        self._keeper = asyncio.get_running_loop().create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(AteError):  # where it cannot be given back it runs out by itself
            await self.release()

    async def _take(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = None if self.wait_s is None else loop.time() + self.wait_s
        with Bell(self.chain) as bell:
            while True:
                rest_s = await self._try()
                if self._turn is not None:
                    return
                if bell.ended:
                    raise UsageError("the chain is closed")
                if deadline is not None:
                    left_s = deadline - loop.time()
                    if left_s <= 0:
                        raise TimedOut(
                            f"the lease {self.name!r} was not free within {self.wait_s:g} s",
                            hint="somebody else holds it: wait longer, or leave the work to them",
                        )
                    rest_s = min(rest_s, left_s)
                await bell.rest(rest_s)

    async def _try(self) -> float:
        """Take the lease if it is free; else return the seconds after which to look again."""
        dio, still = Dio(self.chain, self.session), _Still(self.chain, self._beat_id)
        beat = await _load(dio, Beat, self._beat_id)
        turn = await _load(dio, Turn, self._turn_id)
        now_us = self.chain._ledger.now_us()
        if turn and (left_s := self._left_s(turn, beat, now_us)) > 0:
            return left_s
        mine = Turn(self.name, now_us + self._ttl_us, self._ttl_us)
        before = turn.seq if turn else 0
        if turn:
            turn.value = mine
        else:
            turn = dio.store(mine, id=self._turn_id, collection=_LEASES)
        try:
            # A renewal that comes in between wins: its holder is alive.
            await land(dio, Durability.FULL, lease=still)
        except (Conflict, Fenced):
            return _AGAIN_S
        except asyncio.CancelledError:
            if turn.seq != before:  # it has landed and nobody will use it
                self._hold(turn)
                with contextlib.suppress(AteError):
                    await self.release()
            raise
        self._hold(turn)
        return 0.0

    def _left_s(self, turn: Dao[Turn], beat: Dao[Beat] | None, now_us: int) -> float:
        """Return how long it is held yet, 0 or less when it may be taken.

        It may when the chain's time says so, and also when this taker has seen nothing new of it
        for as long as it lasts: a clock that is behind the chain's time tells nothing.
        """
        until_us = turn.value.until_us
        if not until_us:
            return 0
        if beat and beat.value.turn == turn.seq:
            until_us = max(until_us, beat.value.until_us)
        seen, now_s = (turn.seq, beat.seq if beat else 0), asyncio.get_running_loop().time()
        if seen != self._seen:
            self._seen, self._since_s = seen, now_s
        return min((until_us - now_us) / 1e6, self._since_s + turn.value.ttl_us / 1e6 - now_s)

    def _hold(self, turn: Dao[Turn]) -> None:
        self._turn, self._number, self._until_us = turn, turn.seq, turn.value.until_us

    @property
    def _ttl_us(self) -> int:
        return int(self.ttl_s * 1e6)

    # --- keeping ----------------------------------------------------------------------------

    async def renew(self) -> None:
        """Start its time anew; this also happens by itself at a third of `ttl_s`.

        Raises:
            Fenced: somebody else has taken it, or it was given back.
        """
        async with self._renewing:
            guards = self.guards
            until_us = self.chain._ledger.now_us() + self._ttl_us
            dio = Dio(self.chain, self.session)
            beat = await _load(dio, Beat, self._beat_id)
            if beat:
                beat.value = Beat(guards[0][1], until_us)
            else:
                dio.store(Beat(self._number, until_us), id=self._beat_id, collection=_LEASES)
            try:
                await dio.commit(self._brief, lease=self, on_conflict="last")
            except Fenced:
                self.lost.set()
                raise
            self._until_us = until_us

    async def _keep(self) -> None:
        """Renew in time, until it is lost."""
        while not self.lost.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.ttl_s / 3):
                    await self.lost.wait()
                    return
            try:
                await self.renew()
            except Fenced:
                return
            except AteError:
                over = self.chain._ledger.now_us() >= self._until_us
                if over or self.chain._closed:
                    self.lost.set()
            except Exception:
                self.lost.set()
                raise

    async def release(self) -> None:
        """Give it back, so that the next may take it at once; nothing happens when it is over."""
        turn, self._turn = self._turn, None
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        if turn is None or self.lost.is_set():
            return
        dio = Dio(self.chain, self.session)
        now = await _load(dio, Turn, self._turn_id)
        if now and now.seq == self._number:
            now.value = Turn(self.name, 0)
            with contextlib.suppress(Conflict):  # it had run out and somebody else has it
                await land(dio, self._brief)

    @property
    def _brief(self) -> Durability:
        """What only helps the next holder to be faster need not be flushed."""
        return Durability.NONE if self.chain.is_sequencer else Durability.FULL


class _Still:
    """A guard: this object is as it was when the guard was made."""

    def __init__(self, chain: Chain, object_id: ObjectId) -> None:
        seq = chain._ledger.view.index.locate(object_id) & SEQ_MASK
        self.guards: Guards = ((object_id, seq),)


async def _load(dio: Dio, type: type[T], id: ObjectId) -> Dao[T] | None:
    try:
        return await dio.load(type, id)
    except (NotFound, Deleted):
        return None
