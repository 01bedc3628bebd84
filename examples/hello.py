"""The first thirty seconds: keep an object, close the chain, find it again."""

import asyncio
import tempfile
from dataclasses import dataclass

import ate


@dataclass(frozen=True)
class World:
    commandment: str


async def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        async with ate.open("universe", path=place) as chain:
            dio = chain.dio()
            key = dio.store(World("Hello")).id
            await dio.commit()  # all of it is on disk now, or none of it

        async with ate.open("universe", path=place) as chain:
            world = await chain.dio().load(World, key)
            assert world.value == World("Hello")
            print(world.value.commandment, "world!")


asyncio.run(main())
