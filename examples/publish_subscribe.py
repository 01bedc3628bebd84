"""Publish and subscribe over a server: nobody misses anything, whoever was away catches up."""

import asyncio
from dataclasses import dataclass

import ate
from ate.mesh.hall import Hall
from ate.mesh.registry import Registry
from ate.mesh.shelf import MemoryShelf
from ate.server import serve


@dataclass(frozen=True)
class Price:
    share: str
    cents: int


async def subscribe(url: str, since: int, count: int) -> tuple[list[int], int]:
    """Return so many prices behind row `since`, and the row to go on from."""
    lines = Registry()  # a connection of its own, as another program would have
    async with ate.open("prices", url=url, connection={"lines": lines}) as chain:
        seen: list[int] = []
        async for change in chain.watch(type=Price, since=since):
            seen.append(change.value.cents)
            if len(seen) == count:
                break
    await lines.close()
    return seen, change.seq


async def main() -> None:
    hall = Hall(MemoryShelf())
    async with serve(hall) as server, ate.open("prices", url=server.url) as chain:

        async def publish(*prices: int) -> None:
            for cents in prices:
                dio = chain.dio()
                dio.store(Price("ACME", cents))
                await dio.commit()

        readers = [asyncio.create_task(subscribe(server.url, 0, 3)) for _ in range(3)]
        await publish(100, 101, 99)
        for seen, _ in await asyncio.gather(*readers):
            assert seen == [100, 101, 99]
        print("three subscribers saw", seen)

        _, last = await readers[0]
        await publish(98, 102)  # while that subscriber is away
        seen, _ = await subscribe(server.url, last, 2)
        assert seen == [98, 102]
        print("one came back and went on with", seen)
    await hall.close()


asyncio.run(main())
