"""Validators on a shared chain: a program's own stop its own commits, a server's everybody's.

None stops a stream.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

import ate
from ate.errors import Refused
from ate.mesh.hall import Hall
from ate.mesh.shelf import DiskShelf
from ate.server import serve
from ate.session import Session
from ate.trust.plugin import ABSTAIN, Deny, Proposal, Verdict


@dataclass
class Purse:
    """An amount."""

    coins: int


def not_in_debt(_: Purse | None, new: Purse | None) -> str | None:
    return "a purse is never in debt" if new is not None and new.coins < 0 else None


async def test_own_validators_refuse_before_anything_is_sent(tmp_path: Path) -> None:
    alice = Session.new("alice")
    rule = ate.Logic(Purse, not_in_debt)
    hall = Hall(DiskShelf(tmp_path))
    async with (
        serve(hall, host="127.0.0.1", port=0) as server,
        ate.open("p", url=server.url, session=alice, plugins=[rule]) as strict,
        ate.open("p", url=server.url, session=alice) as loose,
    ):
        dio = strict.dio()
        dio.store(Purse(-1))
        with pytest.raises(Refused, match="never in debt"):
            await dio.commit()
        dio.cancel()
        good = dio.store(Purse(3))
        await dio.commit()
        before = strict.commits
        other = loose.dio()
        other.store(Purse(-5))  # a program without the rule is not bound by it
        await other.commit()
        await strict.sync()
        assert strict.commits == before + 1
        assert strict.status.online
        assert (await strict.dio().load(Purse, good.id)).value == Purse(3)
    await hall.close()


class OneAtATime:
    name = "one at a time"

    async def validate(self, proposal: Proposal) -> Verdict:
        count = proposal.record.kinds.count(1)
        return [Deny(-1, f"{count} purses in a commit")] if count > 1 else ABSTAIN


async def test_validators_of_a_server_judge_everybody(tmp_path: Path) -> None:
    hall = Hall(DiskShelf(tmp_path), plugins=[OneAtATime()])
    async with (
        serve(hall, host="127.0.0.1", port=0) as server,
        ate.open("p", url=server.url, session=Session.new("alice")) as chain,
    ):
        dio = chain.dio()
        dio.store(Purse(1))
        dio.store(Purse(2))
        with pytest.raises(Refused, match="refused by one at a time: 2 purses in a commit"):
            await dio.commit()
        assert dio.has_changes
        dio.cancel()
        # What several tasks commit at one moment travels together, and goes apart.
        dios = [chain.dio() for _ in range(5)]
        for number, one in enumerate(dios):
            one.store(Purse(number))
        await asyncio.gather(*(one.commit() for one in dios))
        assert len(chain) == 5
    await hall.close()
