"""Who may come in, open and write, and how much: tokens, limits and quotas in one place.

It is the `Gate` of one service's hall. It keeps what it needs to know in memory and touches no
file; `remember` is told what has to outlive the process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ate.clock import Clock
from ate.errors import AccessDenied, NotFound, Throttled, WriteDenied
from ate.mesh.gate import Caller, Rights
from atedb.quota import Quota
from atedb.throttle import Rate, Throttle
from atedb.tokens import Checker, Claims, check_time

#: Throttles of chains that nobody has open are forgotten when there are so many.
_IDLE_MAX: Final = 4096
#: Said without the code of an error, so that a client comes back at once, with a fresh token.
_EXPIRED: Final = "the token has expired: connect again with a new one"


class Limits(NamedTuple):
    """How much a server bears; 0 is without a limit.

    Args:
        subscriptions: channels open at once, of all connections.
        chains: open at once.
        connection, chain, server: how fast commits may come.
    """

    subscriptions: int = 0
    chains: int = 0
    connection: Rate = Rate()
    chain: Rate = Rate()
    server: Rate = Rate()


@dataclass(slots=True)
class _Opened:
    """A chain that a visitor has open: what its token said, and on how many channels."""

    claims: Claims | None
    channels: int = 0


@dataclass(slots=True)
class _Guest:
    throttle: Throttle
    chains: dict[str, _Opened] = field(default_factory=dict)


class SoloGate:
    """Decides for one service.

    Args:
        checker: of tokens; None lets everybody read, write and create.
        quota: of the chains of this service.
        create: whether chains may be made at all.
        elsewhere: URL of a server for a chain that has no room here, or "".
        remember: told the name and the owner's key of each new chain.
        is_peer: tells other servers of the cluster: they need no token, and there is always room.
    """

    def __init__(
        self,
        limits: Limits,
        clock: Clock,
        quota: Quota,
        *,
        checker: Checker | None = None,
        create: bool = True,
        elsewhere: Callable[[str], str] | None = None,
        remember: Callable[[str, bytes], None] | None = None,
        is_peer: Callable[[Caller], bool] | None = None,
    ) -> None:
        self._limits, self._clock, self._quota = limits, clock, quota
        self._checker, self._create = checker, create
        self._elsewhere, self._remember = elsewhere, remember
        self._is_peer = is_peer or (lambda _: False)
        self._guests: dict[Caller, _Guest] = {}
        self._open: dict[str, int] = {}
        self._channels = 0
        self._counts_bytes = quota.counts_bytes
        self._is_throttled = any((*limits.connection, *limits.chain, *limits.server))
        self._server = Throttle(limits.server, clock.monotonic_s())
        self._chains: dict[str, Throttle] = {}

    # --- the contract ---------------------------------------------------------------------------

    def admitted(self, visitor: Caller) -> None:
        self._guest(visitor)

    def left(self, visitor: Caller) -> None:
        guest = self._guests.pop(visitor, None)
        for name, opened in guest.chains.items() if guest is not None else ():
            self._shut(name, opened.channels)

    def may_open(self, visitor: Caller, name: str, token: bytes, *, exists: bool) -> Rights:
        claims = self._claims(visitor, name, token)
        ops = claims.ops if claims is not None else "rwc"
        if not exists:
            if not self._create or "c" not in ops or "w" not in ops:
                may_not = "nobody may make it here" if not self._create else "your token has no wc"
                raise NotFound(f"there is no chain {name!r}", hint=f"check its name; {may_not}")
            self._quota.check_new(visitor.peer.key_id)
        elsewhere = ""
        if self._is_full(name) and not self._is_peer(visitor):
            elsewhere = self._elsewhere(name) if self._elsewhere is not None else ""
            if not elsewhere:
                raise Throttled("the server has as many chains open as it takes")
        opened = self._guest(visitor).chains.setdefault(name, _Opened(claims))
        opened.claims = claims
        opened.channels += 1
        self._open[name] = self._open.get(name, 0) + 1
        self._channels += 1
        rate = self._slowest()
        return Rights("r" in ops, "w" in ops, rate.commits_s, rate.bytes_s, elsewhere)

    def closed(self, visitor: Caller, name: str) -> None:
        guest = self._guests.get(visitor)
        opened = guest.chains.get(name) if guest is not None else None
        if guest is not None and opened is not None:
            opened.channels -= 1
            if not opened.channels:
                del guest.chains[name]
            self._shut(name, 1)

    def may_submit(self, visitor: Caller, name: str, nbytes: int) -> float:
        if self._checker is not None:
            self._check_claims(visitor, name)
        if self._counts_bytes:
            self._quota.check_bytes(name, visitor.peer.key_id, nbytes)
        if not self._is_throttled:
            return 0.0
        now = self._clock.monotonic_s()
        throttles = (self._guest(visitor).throttle, self._throttle(name, now), self._server)
        wait = max(one.wait_s(now) for one in throttles)
        if not wait:
            for one in throttles:
                one.take(nbytes)
        return wait

    def stored(self, visitor: Caller, name: str, nbytes: int) -> None:
        if self._quota.owner(name) is None:
            owner = visitor.peer.key_id
            self._quota.own(name, owner)
            if self._remember is not None:
                self._remember(name, owner)
        self._quota.grew(name, nbytes)

    # --- care -----------------------------------------------------------------------------------

    def sweep(self) -> None:
        """End connections whose tokens have expired, and forget what is no longer needed."""
        now_s = self._clock.now_us() // 1_000_000
        for visitor, guest in list(self._guests.items()):
            if any(
                one.claims is not None and one.claims.exp <= now_s for one in guest.chains.values()
            ):
                visitor.close("", _EXPIRED)
        if len(self._chains) > _IDLE_MAX:
            now = self._clock.monotonic_s()
            for name in [one for one in self._chains if one not in self._open]:
                if self._chains[name].is_full(now):
                    del self._chains[name]

    # --- inside ---------------------------------------------------------------------------------

    def _guest(self, visitor: Caller) -> _Guest:
        guest = self._guests.get(visitor)
        if guest is None:
            throttle = Throttle(self._limits.connection, self._clock.monotonic_s())
            guest = self._guests[visitor] = _Guest(throttle)
        return guest

    def _claims(self, visitor: Caller, name: str, token: bytes) -> Claims | None:
        if self._checker is None or self._is_peer(visitor):
            return None
        return self._checker.check(
            token, name=name, holder=visitor.peer.key_id, now_us=self._clock.now_us()
        )

    def _check_claims(self, visitor: Caller, name: str) -> None:
        opened = self._guest(visitor).chains.get(name)
        claims = opened.claims if opened is not None else None
        if claims is None:
            if not self._is_peer(visitor):
                raise WriteDenied("this chain is not open here")
            return
        try:
            check_time(claims, self._clock.now_us())
        except AccessDenied:
            visitor.close("", _EXPIRED)
            raise
        if "w" not in claims.ops:
            raise WriteDenied("your token lets you read only", hint="ask for one with rw")

    def _is_full(self, name: str) -> bool:
        subscriptions, chains = self._limits.subscriptions, self._limits.chains
        if subscriptions and self._channels >= subscriptions:
            return True
        return bool(chains) and name not in self._open and len(self._open) >= chains

    def _shut(self, name: str, channels: int) -> None:
        self._channels -= channels
        self._open[name] -= channels
        if not self._open[name]:
            del self._open[name]

    def _throttle(self, name: str, now: float) -> Throttle:
        throttle = self._chains.get(name)
        if throttle is None:
            throttle = self._chains[name] = Throttle(self._limits.chain, now)
        return throttle

    def _slowest(self) -> Rate:
        """Return what one visitor can reach at most."""
        rates = (self._limits.connection, self._limits.chain, self._limits.server)
        return Rate(
            min((one.commits_s for one in rates if one.commits_s), default=0),
            min((one.bytes_s for one in rates if one.bytes_s), default=0),
        )
