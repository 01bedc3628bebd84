"""Commits that arrive at a golden chain, and what an honest judge says to them."""

from __future__ import annotations

from typing import Any, TypeAlias

from tools.vectors.fixed import BODY, HASH, oid
from tools.vectors.golden import actors, golden_stage

from ate.chain.view import View
from ate.crypto.sign import FastKey
from ate.event.access import Access, Everyone
from ate.event.commit import Commit, Origin
from ate.event.row import Kind
from ate.event.system import (
    PublicKeys,
    Role,
    encode,
    system_id,
)
from ate.testing.forger import Forger, Line, certificate_lines, key_line, ruled
from ate.testing.tamper import following, ordered

#: Name, code of the error, commit.
Case: TypeAlias = tuple[str, str, Commit]
BOARD, NOTE = oid(0xB0), oid(0xA1)
ON_BOARD = Line(oid(0xF0), BOARD, body=BODY)


async def judgements() -> dict[str, Any]:
    """Commits that arrive at the golden chain of suite 2, and what an honest judge says."""
    stage = await golden_stage("suite2")
    ledger = await stage.ledger()
    scene = Scene(ledger.view, stage.clock.now_us())
    part = following(stage.tamperer().payloads(), scene.now_us)
    return {
        "about": "commits that arrive behind logs/v1/suite2; no error means that they are admitted",
        "log": "suite2",
        "cases": [
            {"name": name, "payload": ordered(commit, part).hex(), "error": error}
            for name, error, commit in (*scene.signatures(), *scene.rights(), *scene.origins())
        ],
    }


class Scene:
    """Mallory, who may write below the board of the golden chain and nowhere else.

    Args:
        view: the chain.
        now_us: the time.
    """

    def __init__(self, view: View, now_us: int) -> None:
        self.view, self.now_us = view, now_us
        self.alice, self.mallory = actors("suite2")["alice"], actors("suite2")["mallory"]
        self.introduction = certificate_lines(self.mallory, view.trust.chain_id, now_us)

    def forged(self, *lines: Line, alone: bool = False, **fields: Any) -> Commit:
        """Return a commit of mallory's that introduces its key, unless `alone`."""
        fast = self.mallory.fast(self.view.trust.chain_id, self.now_us).key
        told: dict[str, Any] = {"chain_id": self.view.trust.chain_id, "key": fast}
        told |= {"seen_seq": self.view.head, "origin": Origin(self.mallory.device, 7, 1, 0)}
        forger = Forger(**{**told, **fields})
        return forger.commit(*(() if alone else self.introduction), *lines)

    def signatures(self) -> list[Case]:
        """Return what is wrong with who signs, and where it belongs."""
        bad = "bad_signature"
        stranger = Forger(self.view.trust.chain_id, FastKey.from_seed(HASH))
        return [
            ("welcome: below an object that everybody may write", "", self.forged(ON_BOARD)),
            ("its key is not published", bad, self.forged(ON_BOARD, alone=True)),
            ("unsigned", bad, self.forged(ON_BOARD, alone=True, key=None)),
            (
                "signed by another key",
                bad,
                stranger.commit(ON_BOARD, key_id=self.alice.public.key_id),
            ),
            ("an unknown suite", bad, self.forged(ON_BOARD, suite=3)),
            ("another chain", "corrupt_log", self.forged(ON_BOARD, alone=True, chain_id=HASH)),
            (
                "has seen the future",
                "corrupt_log",
                self.forged(ON_BOARD, seen_seq=self.view.head + 1),
            ),
        ]

    def rights(self) -> list[Case]:
        """Return what no rule allows."""
        denied = "write_denied"
        one, two = oid(0xF1), oid(0xF2)
        role_id = system_id("role", b"root")
        role = encode(Role("root", 2, (PublicKeys.of(self.mallory.public),)))
        key = key_line(self.mallory.own).body
        some: list[tuple[str, str, tuple[Line, ...]]] = [
            ("below the root", denied, (Line(one),)),
            ("somebody's object", denied, (Line(NOTE, base=1),)),
            ("somebody's object under another parent", denied, (Line(NOTE, BOARD),)),
            ("somebody's tombstone", denied, (ON_BOARD, Line(NOTE, BOARD, kind=Kind.TOMBSTONE))),
            ("a deleted id", denied, (Line(oid(0xA2), BOARD),)),
            ("a rule brought along", denied, (ruled(Line(one), Access(Everyone, Everyone)),)),
            ("a circle of parents", "protocol", (Line(one, two), Line(two, one))),
            ("a role", denied, (Line(role_id, kind=Kind.ROLE, body=role),)),
            ("a key row in the place of an object", "protocol",
             (ON_BOARD, Line(NOTE, kind=Kind.KEY, body=key))),
            ("nothing but keys", "refused", ()),
        ]  # fmt: skip
        return [(name, error, self.forged(*lines)) for name, error, lines in some]

    def origins(self) -> list[Case]:
        """Return what was here, what comes too early, and what is in the name of others."""
        mine = self.mallory.device
        session = next(one for of, one in self.view.origins.table if of == self.alice.device)
        again = Origin(self.alice.device, session, 1, 0)
        last = self.view.origins.last(self.alice.device, session)
        theirs = Origin(self.alice.device, session, 1 << 62, last)
        some = [
            ("an origin that was here", again),
            ("out of order", Origin(mine, 7, 5, 4)),
            ("number zero", Origin(mine, 7, 0, 0)),
            ("the numbers of somebody else are used up", theirs),
            ("a device of nobody", Origin(7, 7, 1, 0)),
        ]
        return [(name, "replayed", self.forged(ON_BOARD, origin=of)) for name, of in some]
