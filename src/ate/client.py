"""`open` and `Chain`: the front door. A name or a path in, a live chain out.

It holds no rule of its own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ate.chain.genesis import Founding, check_chain, write_genesis
from ate.chain.ledger import Ledger
from ate.clock import Clock, SystemClock
from ate.crypto.entropy import Entropy, system_entropy
from ate.dio.chain import Chain
from ate.dio.heartbeat import seconds_of
from ate.dio.neighbours import Neighbours
from ate.dio.opening import Opening, home, open_beside, open_outbox, open_store
from ate.dio.policy import CompactPolicy
from ate.dio.transaction import Durability
from ate.dio.writer import Writer
from ate.errors import NotFound, UsageError
from ate.event.access import Access, Principal
from ate.ids import ChainName
from ate.log.disk import Disk
from ate.session import Session

if TYPE_CHECKING:
    from ate.dio.remote import Remote
    from ate.joining import Joining

__all__ = ["Chain", "open"]


def open(
    name: str,
    *,
    path: str | os.PathLike[str] | None = None,
    memory: bool = False,
    session: Session | None = None,
    roots: Sequence[Principal] | None = None,
    access: Access | None = None,
    mode: str = "distributed",
    suite: int = 2,
    plugins: Sequence[Any] = (),
    durability: Durability = Durability.FULL,
    checkpoint_every: float | timedelta | None = None,
    policy: Mapping[str, Any] | None = None,
    compact: CompactPolicy | str | None = None,
    create: bool = True,
    readonly: bool = False,
    salvage: bool = False,
    destroy_when_empty: bool = False,
    url: str | None = None,
    recovery: str = "readonly-async",
    sparse: int = 0,
    connection: Mapping[str, Any] | None = None,
    clock: Clock | None = None,
    disk: Disk | None = None,
    entropy: Entropy = system_entropy,
) -> Opening:
    """Open a chain, making it when there is none.

    Use it as `async with ate.open("universe") as chain:` or `chain = await ate.open("universe")`.

    Args:
        name: e.g. "universe" or "example.com/alice/notes".
        path: directory that holds the chain's directory; the user's data directory if not given.
        memory: keep nothing on disk.
        session: whose keys sign, seal and open. Without one a new chain is neither sealed nor
        signed.
        roots: root keys. For a new chain they become its roots (default: the session's key); for an
            existing one they are pinned.
        access: a new chain's own rule; by default its roots alone read and write.
        mode: "distributed" or "centralized"; see the concepts page.
        suite: 1 signs each commit with both signatures, 2 certifies a fast session key.
        plugins: see `ate.trust.plugin`; one with a built-in's name replaces it.
        durability: default of `dio.commit()`.
        checkpoint_every: seconds; at this interval, and on closing, write a checkpoint if there are
            commits that none covers. The session must hold a root key.
        policy: for a new chain, e.g. {"worm": True}.
        compact: when the chain compacts by itself: a mode such as "factor-or-timer", or a policy;
            by default a shared one where a root's checkpoint says so, another never.
        create: make the chain when there is none.
        readonly: take no lock and write nothing; another process may be writing.
        salvage: with `readonly`, open a damaged chain too, up to the damage; see `chain.damage`.
        destroy_when_empty: remove the files when the last object was deleted.
        url: share the chain through this server, or those behind commas that stand by for it;
            without `path` the copy here is in memory.
        recovery: what goes on without the server: "async" everything, "readonly-async" reading,
            "readonly-sync" as well, after an opening that saw the server, "sync" nothing.
        sparse: leave bodies that are longer at the server until they are read; 0 leaves none.
        connection: more about it: `token`, `trust`, `terms`, `timeout_s`, see `ate.joining`.
        clock, disk, entropy: handed in by tests.

    Raises (when entered or awaited):
        LogLocked: another process writes to it.
        CorruptLog, UnsupportedFormat: damaged or foreign files; they are untouched.
        UntrustedRoot: it is not the chain that `roots` or `name` mean.
        NotFound: there is none and `create` is false (or `readonly` is true).
        Offline: there is no connection to the server, and the recovery mode wants one.
        Forked: the server's chain does not continue what is here.
    """
    beat_s = seconds_of(checkpoint_every) if checkpoint_every is not None else 0.0
    if beat_s and (session is None or readonly):
        raise UsageError("checkpoint_every= needs a session with a root key, and leave to write")
    joining = None
    if url is not None:
        from ate.joining import Joining

        joining = Joining(url, recovery, sparse, **{"home": home(), **(connection or {})})
    return Opening(
        _Plan(
            ChainName(name), path, disk, memory or (joining is not None and path is None),
            readonly, create, salvage and readonly, session, tuple(plugins), roots,
            Founding((), access, suite, mode, policy or {}), clock or SystemClock(), entropy,
            joining, durability, destroy_when_empty,
            CompactPolicy.of(compact, shared=url is not None), beat_s,
        ).make
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Plan:
    """What `open` was asked for."""

    name: ChainName
    path: str | os.PathLike[str] | None
    disk: Disk | None
    memory: bool
    readonly: bool
    create: bool
    salvage: bool
    session: Session | None
    plugins: Sequence[Any]
    roots: Sequence[Principal] | None
    founding: Founding
    clock: Clock
    entropy: Entropy
    joining: Joining | None
    durability: Durability
    destroy_when_empty: bool
    compact: CompactPolicy
    beat_s: float
    neighbours: Neighbours | None = None

    async def make(self) -> Chain:
        """Open it."""
        store = open_store(
            self.name, self.path, self.disk, memory=self.memory, readonly=self.readonly,
            create=self.create or self.joining is not None,
        )  # fmt: skip
        ledger = Ledger(
            store, plugins=self.plugins, session=self.session, clock=self.clock,
            entropy=self.entropy,
        )  # fmt: skip
        ledger.pipeline.is_copy = self.joining is not None
        remote: Remote | None = None
        try:
            await ledger.replay(salvage=self.salvage)
            own = (self.session.public,) if self.session else ()
            founding = replace(self.founding, roots=own if self.roots is None else self.roots)
            if self.joining is not None:
                remote = await self._join(self.joining, ledger, founding)
                writer: Writer = remote.forwarder
            else:
                create = self.create or self.memory
                writer = await _local(ledger, self.name, founding, create=create)
            chain = Chain(
                self.name, ledger, self.durability, destroy_when_empty=self.destroy_when_empty,
                compact=self.compact, writer=writer, remote=remote,
                neighbours=self.neighbours or self._beside(),
            )  # fmt: skip
            check_chain(ledger, self.name, self.roots or ())
            await chain._start(self.beat_s)
        except BaseException:
            if remote is not None:
                await remote.close()
            if self.joining is not None and ledger.view.trust.genesis is None and not store.torn:
                store.destroy()  # nothing came from there: no copy is left that was never begun
            else:
                store.close()
            raise
        return chain

    def _beside(self) -> Neighbours:
        """Return what opens the chains that links lead to: to be read, where this one is."""
        if self.memory and self.joining is None:
            return Neighbours()
        is_shared = self.joining is not None

        async def open(name: ChainName) -> Chain:
            return await replace(
                self, name=name, path=None if is_shared else self.path, memory=is_shared,
                readonly=not is_shared, create=False, salvage=False, plugins=(), roots=None,
                founding=Founding(), destroy_when_empty=False,
                compact=CompactPolicy.of(None, shared=is_shared), beat_s=0.0,
                neighbours=neighbours,
            ).make()  # fmt: skip

        neighbours = Neighbours(open)
        return neighbours

    async def _join(self, joining: Joining, ledger: Ledger, founding: Founding) -> Remote:
        from ate.joining import join

        outbox = open_outbox(self.name, self.path, self.disk, memory=self.memory)
        beside = open_beside(self.name, self.path, self.disk, memory=self.memory)
        return await join(
            joining, self.name, ledger, outbox, beside,
            founding=founding if self.create else None, roots=self.roots or (),
        )  # fmt: skip


async def _local(ledger: Ledger, name: ChainName, founding: Founding, *, create: bool) -> Writer:
    """Return the writer of a chain of this machine, which is founded if there is none."""
    store = ledger.store
    device = ledger.session.device if ledger.session else 0
    writer = Writer(ledger, device, int.from_bytes(ledger.entropy(8), "little"))
    if ledger.view.trust.genesis is None:
        if store.readonly or not create:
            raise NotFound(f"there is no chain {name!r} here")
        try:
            await write_genesis(ledger, name, founding, writer.first_origin())
        except UsageError:
            if not store.torn:
                store.destroy()  # a chain that was never begun leaves no files
            raise
    return writer
