"""The product in the race, driven as programs drive it: dataclasses, awaits, full durability.

Every chain is sealed and signed. Keys come from stored seeds, as a passphrase is slow on purpose
and no part of what is measured. It has no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from tools.race.records import Row, object_id

import ate
from ate.client import Chain
from ate.ids import ObjectId
from ate.session import KeyPair, Session

NAME: Final = "race"
_SIGN_SEED_BYTES: Final = 64


@dataclass
class Record:
    """A row as the product's users keep it: a plain dataclass."""

    id: int
    name: str
    data: str


def session_of(folder: Path) -> Session:
    """Return the session whose keys lie beside the chain, making fresh ones the first time."""
    seeds = folder / "seeds"
    if not seeds.exists():
        fresh = Session.new("race")
        seeds.write_bytes(fresh.own.sign.seed + fresh.own.seal.seed)
        return fresh
    raw = seeds.read_bytes()
    pair = KeyPair.from_seeds("race", raw[:_SIGN_SEED_BYTES], raw[_SIGN_SEED_BYTES:])
    return Session("race", pair)


def open_chain(folder: Path, *, suite: int = 2, session: Session | None = None) -> Any:
    """Return the opening of the chain in `folder`: await it, or enter it."""
    return ate.open(NAME, path=folder, session=session or session_of(folder), suite=suite)


def id_of(number: int) -> ObjectId:
    """Return the id of row `number` in chains that were made with ids of choice."""
    return ObjectId(object_id(number))


async def put(chain: Chain, rows: Sequence[Row], *, own_ids: bool = False) -> None:
    """Store rows as new objects in one commit.

    Args:
        own_ids: under `id_of` the number; otherwise the product picks random ids.
    """
    dio = chain.dio()
    for one in rows:
        dio.store(Record(*one), id=id_of(one[0]) if own_ids else None)
    await dio.commit()


async def overwrite(chain: Chain, rows: Sequence[Row]) -> None:
    """Write rows over whatever is there, unseen, in one commit."""
    dio = chain.dio()
    for one in rows:
        dio.store(Record(*one), id=id_of(one[0]))
    await dio.commit(on_conflict="last")


async def update(chain: Chain, rows: Sequence[Row]) -> None:
    """Load the objects of rows, change them, commit: refuses if another changed them meanwhile."""
    dio = chain.dio()
    for number, name, data in rows:
        dao = await dio.load(Record, id_of(number))
        dao.update(name=name, data=data)
    await dio.commit()


async def get(dio: Any, number: int) -> Row:
    """Load one object by id."""
    value = cast("Record", (await dio.load(Record, id_of(number))).value)
    return value.id, value.name, value.data


async def scan(chain: Chain) -> list[Record]:
    """Return the values of all objects."""
    return [dao.value async for dao in chain.dio().all(Record)]


def as_rows(values: Sequence[Record]) -> list[Row]:
    """Return records as rows, by number."""
    return sorted((one.id, one.name, one.data) for one in values)


def files_bytes(folder: Path) -> int:
    """Return the size of all files of the chain in `folder`."""
    return sum(path.stat().st_size for path in (folder / NAME).rglob("*") if path.is_file())
