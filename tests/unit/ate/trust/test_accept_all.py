from __future__ import annotations

import pytest

from ate.errors import BadSignature, WriteDenied
from ate.event.access import Access, Everyone, Nobody
from ate.ids import ObjectId
from ate.testing.forger import Line, certificate_lines
from ate.testing.stage import Stage
from ate.trust.accept_all import AcceptAll

SHUT = Access(read=Everyone, write=Nobody)


async def test_any_commit_passes_whatever_the_rules_say() -> None:
    stage = Stage(access=SHUT, plugins=[AcceptAll()])
    alice, mallory = await stage.cast("alice", "mallory")
    note = await stage.as_(mallory).store("anybody's")
    await stage.as_(alice).change(note, "alice's")
    assert await stage.as_(mallory).load(note) == "alice's"


async def test_without_it_the_same_commit_is_denied() -> None:
    stage = Stage(access=SHUT)
    _, mallory = await stage.cast("alice", "mallory")
    with pytest.raises(WriteDenied, match="lets nobody write"):
        await stage.as_(mallory).store("anybody's")


async def test_signatures_are_still_checked() -> None:
    stage = Stage(access=SHUT, plugins=[AcceptAll()])
    _, mallory = await stage.cast("alice", "mallory")
    forger = await stage.forger(mallory)
    lines = certificate_lines(mallory, forger.chain_id, stage.clock.now_us())
    with pytest.raises(BadSignature):
        await stage.judge(forger.commit(*lines, Line(ObjectId.random()), signature=bytes(64)))
