"""Publish and subscribe: whoever comes late reads the backlog, then everybody is told at once."""

import asyncio
from dataclasses import dataclass

import ate


@dataclass(frozen=True)
class Headline:
    text: str


async def read(name: str, chain: ate.Chain, since: int, count: int) -> list[str]:
    """Subscribe to the headlines behind row `since`."""
    seen: list[str] = []
    async for change in chain.watch(type=Headline, since=since):
        seen.append(change.value.text)
        print(f"{name:6} {change.value.text}")
        if len(seen) == count:
            break
    return seen


async def publish(chain: ate.Chain, text: str) -> ate.Receipt:
    dio = chain.dio()
    dio.store(Headline(text))
    return await dio.commit()


async def main() -> None:
    async with ate.open("news", memory=True) as chain:
        early = asyncio.create_task(read("early", chain, chain.head, 3))
        first = await publish(chain, "sun rises")
        await publish(chain, "cat sleeps")
        late = asyncio.create_task(read("late", chain, 0, 3))
        rest = asyncio.create_task(read("rest", chain, first.seq, 2))
        await publish(chain, "rain expected")

        assert await early == await late == ["sun rises", "cat sleeps", "rain expected"]
        assert await rest == ["cat sleeps", "rain expected"]
        print("nobody missed a thing")


asyncio.run(main())
