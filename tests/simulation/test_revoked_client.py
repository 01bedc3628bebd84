"""A client loses its right to write at a moment that the seed chooses, and goes on committing.

The revocation is a commit like any other, so nothing of that client may stand behind it, whatever
is cut, killed and started again. All other promises hold as well, also those to the revoked one.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.effort import effort
from tests.sharing.journal import Journal
from tests.sharing.town import Client, Server, TownLoop
from tests.sharing.verdict import Truth
from tests.simulation.test_real_clients import Run

from ate.dio.chain import Chain
from ate.errors import AteError
from ate.event.access import Access, Everyone
from ate.event.access import Any as AnyOf
from ate.event.system import system_id
from ate.ids import ROOT
from ate.session import KeyPair, Session
from ate.testing.checkers import check
from ate.testing.history import Answer, Append, Case, Revoke
from ate.testing.nemesis import Nemesis
from ate.testing.simloop import SimulationFailed
from ate.testing.simnet import SimNetwork
from ate.trust.delegation import TrustDelegation
from ate.trust.plugin import ALLOW, Proposal, Verdict

SEEDS = effort(6, 200)
CHAIN = "c0"
ROLE = "writer"
#: How long the owner waits for an answer before it asks again.
PATIENCE_S = 3.0


class Owner(Client):
    """It founds the chain and says who writes."""

    by_role = False

    async def open(self, *args: Any, **more: Any) -> Chain:
        return await super().open(*args, access=rule(self.by_role, BOB, CAROL), **more)


class Bob(Client):
    """One who writes, until he may not any more."""

    who = "bob"
    keys = KeyPair.from_seeds("bob", b"\3" * 64, b"\4" * 32)

    async def open(self, *args: Any, **more: Any) -> Chain:
        return await super().open(*args, create=False, **more)


class Carol(Bob):
    """One who writes all the time."""

    who = "carol"
    keys = KeyPair.from_seeds("carol", b"\5" * 64, b"\6" * 32)


ALICE, BOB, CAROL = (Session(one.who, one.keys) for one in (Client, Bob, Carol))


def rule(by_role: bool, *writers: Session) -> Access:
    """Return the chain's own rule."""
    named = [ROLE] if by_role else [one.public for one in writers]
    return Access(read=Everyone, write=AnyOf(ALICE.public, *named))


@dataclass
class Revoking(Run):
    """One seed of a small town: the owner, one who is revoked and one who stays.

    Attributes:
        by_role: the rule names a role; else the keys themselves.
        before: commits of the revoked client that are in the chain.
        denied: those that the server refused.
        case: what was checked.
    """

    seconds: float = 8.0
    by_role: bool = False
    before: int = 0
    denied: int = 0
    case: Case = field(default_factory=Case)

    def found(
        self, loop: TownLoop, net: SimNetwork, journal: Journal
    ) -> tuple[list[Server], list[Client], dict[str, str]]:
        server = Server("s0", loop, net, self.hall)
        server.truths[CHAIN] = Truth(CHAIN)
        places = {CHAIN: "s0"}
        chance = loop.chance("revocation")
        self.by_role, self.moment = chance.happens(50), 2 + chance.below(5000) / 1000
        clients = [kind(kind.who[0], loop, net, journal, places) for kind in (Owner, Bob, Carol)]
        for one in clients:
            one.by_role = self.by_role
        return [server], clients, places

    async def live(
        self, nemesis: Nemesis, loop: TownLoop, journal: Journal, clients: list[Client]
    ) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(nemesis.run(self.seconds))
            group.create_task(self.revoke(loop, journal, clients[0]))

    async def revoke(self, loop: TownLoop, journal: Journal, owner: Client) -> None:
        """Let both write, and then one no more."""
        if self.by_role:
            await self.insist(loop, owner, BOB, CAROL)
        await loop.pause(max(self.moment - loop.time(), 0))
        order = journal.history.invoke("the owner", Revoke(CHAIN, BOB.device))
        journal.history.ok(order, Answer(seq=await self.insist(loop, owner, CAROL)))

    async def insist(self, loop: TownLoop, owner: Client, *writers: Session) -> int:
        """Say who writes until it is in the chain; return its seq there."""
        while True:
            chain = owner.chains.get(CHAIN)
            try:
                if chain is not None:
                    async with asyncio.timeout(PATIENCE_S):
                        receipt = await self.say(chain, writers)
                    if not receipt.is_pending:
                        return int(receipt.seq)
            except (AteError, TimeoutError) as error:
                loop.note(f"the owner is not heard: {error!r}")
            await loop.pause(0.3)

    async def say(self, chain: Chain, writers: tuple[Session, ...]) -> Any:
        if not self.by_role:
            return await chain.set_access(rule(False, *writers))
        return (await chain.set_role(ROLE, [one.public for one in writers])).receipt

    def checked(self, case: Case) -> list[str]:
        self.case = case
        bobs = [
            one
            for one in case.operations
            if isinstance(one.call, Append) and one.call.device == BOB.device
        ]
        self.before = sum(one.outcome == "ok" for one in bobs)
        self.denied = sum(one.answer.code == "write_denied" for one in bobs)
        return super().checked(case)


def test_nothing_of_a_revoked_client_stands_behind_its_revocation() -> None:
    before = denied = 0
    for seed in range(SEEDS):
        run = Revoking(seed)
        broken = run.run()
        assert not broken, "\n".join([f"seed {seed}", *run.log, *broken])
        before, denied = before + run.before, denied + run.denied
    assert before > SEEDS
    assert denied > SEEDS


def judges_by_what_the_author_had_seen(patch: pytest.MonkeyPatch) -> None:
    """Whoever did not know of the revocation may still write, everybody believes."""
    real = TrustDelegation.validate

    async def validate(self: TrustDelegation, proposal: Proposal) -> Verdict:
        verdict = await real(self, proposal)
        places = (proposal.stored(id) for id in (bytes(ROOT), system_id("role", ROLE.encode())))
        revoked = max((place.seq for place in places if place is not None), default=0)
        is_bob = BOB.own.key_id in proposal.authorities
        return ALLOW if is_bob and proposal.author.seen_seq < revoked else verdict

    patch.setattr(TrustDelegation, "validate", validate)


def test_a_server_that_lets_in_what_a_revoked_author_sent_before_it_knew_is_caught() -> None:
    for seed in range(SEEDS):
        run = Revoking(seed, patch=judges_by_what_the_author_had_seen)
        with suppress(SimulationFailed):
            if any(line.startswith("C13") for line in run.run()):
                return
    pytest.fail(f"not caught in {SEEDS} seeds")


def test_a_log_in_which_one_commit_was_moved_behind_the_revocation_is_caught() -> None:
    run = Revoking(1)
    assert run.run() == []
    (log,) = run.case.logs
    (order,) = (one for one in run.case.operations if isinstance(one.call, Revoke))
    mine = next(one for one in log.entries if one.device == BOB.device)
    after = [one for one in log.entries if one.seq > order.answer.seq]
    assert mine.seq < order.answer.seq < after[-1].seq
    places = [
        after[-1] if one is mine else mine if one is after[-1] else one for one in log.entries
    ]
    moved = [
        replace(one, seq=old.seq, index=old.index)
        for one, old in zip(places, log.entries, strict=True)
    ]
    broken = check(replace(run.case, logs=[replace(log, entries=moved)]))
    assert [line.split(":")[0] for line in broken].count("C13") == 1
