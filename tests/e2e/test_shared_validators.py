"""A program's own validators on a shared chain: they stop its own commits, and no stream."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

import ate
from ate.errors import Refused
from ate.mesh.hall import Hall
from ate.mesh.shelf import DiskShelf
from ate.server import serve
from ate.session import Session


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
