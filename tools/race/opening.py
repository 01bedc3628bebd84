"""A program that opens a store and reads one object; it has no clock for that, its parent has.

    opening.py ate|lmdb FOLDER NUMBER

It imports what such a program needs and no more, so that the peer is not made slower than it is.
"""

from __future__ import annotations

import sys


def read_lmdb(folder: str, number: int) -> tuple[object, float]:
    """Return (row, seconds from the first call on the store)."""
    import time

    import lmdb
    import msgspec

    started = time.perf_counter()
    env = lmdb.open(f"{folder}/rows", map_size=8 << 30)
    with env.begin(buffers=True) as view:
        found = msgspec.msgpack.decode(view.get(number.to_bytes(8, "big")) or b"")
    return tuple(found), time.perf_counter() - started


async def read_ate(folder: str, number: int) -> tuple[object, float]:
    """Return (row, seconds that opening alone took)."""
    import hashlib
    import time
    from dataclasses import dataclass

    import ate
    from ate.session import KeyPair

    @dataclass
    class Record:
        id: int
        name: str
        data: str

    with open(f"{folder}/seeds", "rb") as file:  # noqa: ASYNC230, PTH123 — nothing else runs here
        seeds = file.read()
    session = ate.Session("race", KeyPair.from_seeds("race", seeds[:64], seeds[64:]))
    raw = hashlib.blake2b(number.to_bytes(8, "little"), digest_size=16).digest()
    opening = ate.open  # names of the product are imported at their first use: no part of opening
    started = time.perf_counter()
    chain = await opening("race", path=folder, session=session)
    opened = time.perf_counter()
    value = (await chain.dio().load(Record, ate.ObjectId(raw))).value
    return (value.id, value.name, value.data), opened - started


def main() -> None:
    """Read, say that it is done, and say what was read."""
    kind, folder, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if kind == "ate":
        import asyncio

        row, took = asyncio.run(read_ate(folder, number))
    else:
        row, took = read_lmdb(folder, number)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    import json

    sys.stdout.write(json.dumps({"row": row, "open_s": took}) + "\n")


if __name__ == "__main__":
    main()
