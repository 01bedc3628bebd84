"""Jobs done exactly once: four workers, one of them clumsy, and every picture resized one time."""

import asyncio
from collections import Counter
from dataclasses import dataclass

import ate


@dataclass(frozen=True)
class Resize:
    picture: str


@dataclass(frozen=True)
class Thumbnail:
    picture: str
    by: str


async def work(name: str, queue: ate.Queue[Resize]) -> None:
    async for job in queue:
        try:
            async with job:
                if name == "clumsy" and job.fence == 1:
                    raise OSError(f"{name} dropped {job.value.picture}")
                # The thumbnail and the end of the job are one commit: both, or neither.
                job.dio.store(Thumbnail(job.value.picture, name))
        except OSError as error:
            print(f"{error}; somebody else will pick it up")


async def main() -> None:
    async with ate.open("pictures", memory=True) as chain:
        queue = ate.Queue(chain, Resize)
        for number in range(12):
            await queue.push(Resize(f"holiday-{number:02}.jpg"))

        names = ("anna", "ben", "clumsy", "dora")
        workers = [asyncio.create_task(work(name, queue)) for name in names]
        await queue.join()

        made = [thumbnail.value async for thumbnail in chain.dio().all(Thumbnail)]
        assert sorted(one.picture for one in made) == [f"holiday-{n:02}.jpg" for n in range(12)]
        for name, count in sorted(Counter(one.by for one in made).items()):
            print(f"{name:7} made {count} thumbnails")

    # Closing the chain has ended the loops of the workers.
    await asyncio.gather(*workers)


asyncio.run(main())
