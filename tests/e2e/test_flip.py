"""A root's heartbeat is where the server and all clients compact, over real sockets."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.unit.ate.mesh.served import settled

import ate
from ate.chain.ledger import Ledger
from ate.event.prefix import is_commit
from ate.event.row import PLACE_BODY_FILE
from ate.event.thinned import decode_record
from ate.mesh.hall import Hall
from ate.mesh.shelf import DiskShelf
from ate.server import Server, serve


@dataclass
class Note:
    text: str
    number: int = 0


@asynccontextmanager
async def served(folder: Path, **options: Any) -> AsyncIterator[tuple[Hall, Server]]:
    hall = Hall(DiskShelf(folder), **options)
    try:
        async with serve(hall, host="127.0.0.1", port=0) as server:
            yield hall, server
    finally:
        await hall.close()


def below(ledger: Ledger) -> list[bytes]:
    """Return the frames below the cut, with zeros for places of large bodies."""
    cut = ledger.view.cut
    frames = []
    for _, payload in ledger.store.scan(0):
        plain = bytearray(payload)
        if is_commit(payload):
            record = decode_record(payload)
            if record.sequencer.index >= cut:
                break
            for place in record.table["place"].tolist():
                if place & PLACE_BODY_FILE:
                    where = plain.index(place.to_bytes(8, "little"))
                    plain[where : where + 8] = bytes(8)
        frames.append(bytes(plain))
    return frames


def cuts(*ledgers: Ledger) -> set[int]:
    return {one.view.cut for one in ledgers}


async def fill(chain: ate.Chain, rounds: int = 20) -> None:
    """Leave few objects of many versions, one of them large."""
    dio = chain.dio()
    notes = [dio.store(Note(f"note {n}")) for n in range(5)]
    large = dio.store(Note(os.urandom(100_000).hex()))
    await dio.commit()
    for number in range(rounds):
        for note in notes[: 1 + number % 5]:
            note.update(number=number)
        if number % 7 == 0:
            large.update(number=number)
        await dio.commit()
    dio.delete(notes[0].id)
    await dio.commit()


async def test_all_cut_at_the_same_place_and_hold_the_same(tmp_path: Path) -> None:
    alice, bob = ate.Session.new("alice"), ate.Session.new("bob")
    async with served(tmp_path / "s") as (hall, server):
        url = {"url": server.url}
        async with (
            ate.open("n", path=tmp_path / "a", session=alice, **url) as one,
            ate.open("n", path=tmp_path / "b", session=bob, **url) as two,
            ate.open("n", session=bob, **url) as three,
            ate.open("n", path=tmp_path / "d", compact="never", **url) as whole,
            ate.open("n", path=tmp_path / "e", sparse=1000, **url) as sparse,
        ):
            root = hall.roots["n"]
            chains = [one, two, three]
            for _ in range(2):
                await fill(one)
                await one.checkpoint()
                await fill(one, 3)
                await one.checkpoint(compact=True)
                size = one.commits - 1
                assert one._ledger.view.cut == size
                await fill(one, 3)
                await one.checkpoint()
                ledgers = [root.ledger, *(chain._ledger for chain in chains)]
                await settled(lambda: cuts(*ledgers) == {size})  # noqa: B023
                first, *others = [below(ledger) for ledger in ledgers]
                assert len(first) > 5
                for other in others:
                    assert other == first
            await settled(lambda: whole.head == sparse.head == one.head)
            assert cuts(whole._ledger, sparse._ledger) == {0}
            assert len({chain.root for chain in (*chains, whole, sparse)}) == 1
