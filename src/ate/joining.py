"""Joins a chain of a server: local copy, outbox, writer and replica are put together here.

It sends nothing itself: the replica does, over a line of this event loop's registry.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

from ate.chain.fetched import Fetched
from ate.chain.genesis import Founding, prepare_genesis
from ate.chain.ledger import Ledger
from ate.dio.forwarder import Forwarder
from ate.dio.parcel import Parcel, unordered
from ate.dio.remote import Remote
from ate.dio.resuming import resume
from ate.dio.transaction import Durability, Transaction
from ate.errors import (
    AteError,
    Deposed,
    Disconnected,
    LimitExceeded,
    NotFound,
    Offline,
    StorageError,
    TimedOut,
    TrustError,
    UsageError,
)
from ate.event.access import Principal
from ate.event.commit import Commit, Origin
from ate.event.draft import Draft
from ate.log.beside import Beside
from ate.log.outbox import Outbox
from ate.mesh.credential import Token
from ate.mesh.dns import Names
from ate.mesh.known import Known
from ate.mesh.line import Line
from ate.mesh.listener import Listener
from ate.mesh.pins import Pins
from ate.mesh.registry import Registry
from ate.mesh.replica import Replica
from ate.mesh.sequencing import offered, with_sequencer
from ate.mesh.url import Url
from ate.mesh.vigil import Vigil
from ate.wire.terms import Terms, Trust

#: What no further try makes better.
_HOPELESS: Final = (NotFound, LimitExceeded, TrustError, UsageError, StorageError)
#: Somebody else has founded the chain when ours is refused: what they sent is here in so long.
_FASTER_S: Final = 2.0
#: Where servers stand by, one that is silent is left after twice as long.
_ALERT_S: Final = 2.5
_registries: WeakKeyDictionary[asyncio.AbstractEventLoop, Registry] = WeakKeyDictionary()


@lru_cache(maxsize=16)
def _memory(home: Path | None) -> Pins:
    """Return what this machine remembers: chains of one memory share their connections."""
    return Pins(home)


def registry() -> Registry:
    """Return the lines of this event loop: chains of one server share a connection."""
    loop = asyncio.get_running_loop()
    found = _registries.get(loop)
    if found is None:
        found = _registries[loop] = Registry(agent="ate")
    return found


async def leave() -> None:
    """Close all lines of this event loop, also those that are kept for the next opening."""
    found = _registries.pop(asyncio.get_running_loop(), None)
    if found is not None:
        await found.close()


@dataclass(frozen=True, slots=True)
class Joining:
    """How a chain is shared.

    Args:
        url: of the server; with those that stand by for it behind commas.
        recovery: see `ate.dio.remote.RECOVERY`.
        sparse: bodies that are longer stay at the server until they are read; 0 = none does.
        token: for the server's gate: text or bytes, or a function that returns the newest and is
            called at each opening.
        trust: judges the server's key.
        terms: of the connection.
        timeout_s: how long opening waits for the server.
        lines: the registry to use; by default that of the event loop.
        pins: what this machine remembers of chains and servers; see `ate.mesh.pins`.
        home: where it remembers it, when `pins` is not given; None remembers nothing.
        names: asks DNS for the keys that the chain's domain and the server's publish; None does
            not ask.
    """

    url: str
    recovery: str = "readonly-async"
    sparse: int = 0
    token: Token = b""
    trust: Trust | None = None
    terms: Terms | None = None
    timeout_s: float = 10.0
    lines: Registry | None = None
    pins: Pins | None = None
    home: Path | None = None
    names: Names | None = None


async def join(
    joining: Joining, name: str, ledger: Ledger, outbox: Outbox, beside: Beside, *,
    founding: Founding | None, roots: Sequence[Principal] = (),
) -> Remote:  # fmt: skip
    """Connect the local copy of a chain with its server.

    Args:
        ledger: the local copy, read already; may be empty.
        outbox, beside: what else is kept with it.
        roots: root keys that the chain must have been founded by, if any are named.
        founding: what to found when the server has no such chain; None founds nothing.

    Raises:
        NotFound: there is no such chain.
        Offline: there is no connection, and there is no copy here or it does not suffice.
        TrustError: the server, or its chain, is not the one that is meant.
    """
    lines = joining.lines if joining.lines is not None else registry()
    session, terms = ledger.session, joining.terms or _terms(joining, ledger, founding)
    identity = session.own.sign if session is not None else None
    held: dict[Url, Line] = {}
    try:
        pins = joining.pins or (_memory(joining.home) if joining.home else Pins(None))
        known = await Known.of(pins, joining.names, Url.several(joining.url), name)
    except BaseException:
        outbox.close()
        raise

    def line(url: str) -> Line:
        place = Url.several(url)
        if place not in held:
            held[place] = lines.line(place, identity=identity, trust=trust(url), terms=terms)
        return held[place]

    def trust(url: str) -> Trust | None:
        return joining.trust or known.trust(Url.several(url))

    device = session.device if session is not None else 0
    number = int.from_bytes(ledger.entropy(8), "little")
    forwarder = Forwarder(ledger, device, number, outbox, goes_on=joining.recovery == "async")
    replica = Replica(
        name, ledger, line(joining.url), forwarder, reline=line, device=device,
        sparse=joining.sparse, token=joining.token, listener=Listener(Vigil(beside), trust),
    )  # fmt: skip

    async def release() -> None:
        await replica.close()
        while held:
            lines.release(held.popitem()[1])
        outbox.close()

    forwarder.carrier = replica
    if joining.sparse:
        ledger.fetched = Fetched(replica.requests.fetch)
    try:
        remote = Remote(replica, forwarder, joining.recovery, release)
        resume(forwarder)
        replica.start()
        forwarder.patience.look()  # there may be a connection in a moment
        await _arrive(remote, replica, ledger, joining)
        if ledger.view.trust.genesis is None:
            if founding is not None:
                founding = with_sequencer(founding, offered(replica.opened))
            await _found(remote, ledger, joining, name, founding)
        known.check(ledger.view, [one.key_id for one in roots])
    except BaseException:
        await release()
        raise
    return remote


def _terms(joining: Joining, ledger: Ledger, founding: Founding | None) -> Terms:
    """Return the terms of a connection for which nobody has said any."""
    is_central = founding is not None and founding.mode == "centralized"
    # Over no other connection than an encrypted one a server signs for authors.
    terms = Terms(encryption=is_central or bool(ledger.view.trust.sequencers))
    return replace(terms, keepalive_s=_ALERT_S) if "," in joining.url else terms


async def _arrive(remote: Remote, replica: Replica, ledger: Ledger, joining: Joining) -> None:
    """Wait for the server, as long as the recovery mode wants it."""
    has_copy = ledger.view.trust.genesis is not None
    if has_copy and joining.recovery == "async":
        return

    def is_settled() -> bool:
        trouble = replica.trouble
        if isinstance(trouble, _HOPELESS) and not isinstance(trouble, Deposed):
            raise trouble
        return replica.is_online and replica.is_current

    try:
        await remote.wait(is_settled, joining.timeout_s)
    except TimedOut as error:
        if has_copy and joining.recovery == "readonly-async":
            return
        raise Offline(
            f"cannot reach {joining.url}: {(replica.trouble or error).message}",
            hint="is the server running, and is this its address? `ate status` tells more",
        ) from error


async def _found(
    remote: Remote, ledger: Ledger, joining: Joining, name: str, founding: Founding | None
) -> None:
    """Found the chain, or follow it when somebody else is faster."""
    if founding is None:
        raise NotFound(f"there is no chain {name!r} at {remote.link.address}")
    forwarder = remote.forwarder
    origin = Origin(forwarder._device, forwarder._session_number, 1, 0)
    commit, rows = await prepare_genesis(ledger, name, founding, origin)
    try:
        async with asyncio.timeout(joining.timeout_s):
            await _send(forwarder, commit, rows)
    except (Disconnected, TimeoutError) as error:
        raise Offline(
            f"the server {joining.url} was lost before it founded the chain",
            hint="open it again: a chain is founded once, whoever was first",
        ) from error
    except AteError as error:
        try:
            await remote.wait(lambda: ledger.view.trust.genesis is not None, _FASTER_S)
        except TimedOut:
            raise error from None


async def _send(forwarder: Forwarder, commit: Commit, rows: list[Draft]) -> None:
    """Send the first commit of a chain; raises what the server has against it."""
    forwarder._check_usable()
    done = asyncio.get_running_loop().create_future()
    made = Transaction([], None, Durability.FULL, None, done)
    payload = unordered(commit)
    parcel = Parcel([made], (forwarder._session_number, 1), payload, rows, len(rows))
    parcel.entry = forwarder.outbox.add_prepared(parcel.session, parcel.lsn, payload)
    forwarder._lsn = 1
    forwarder._send(parcel)
    await done
