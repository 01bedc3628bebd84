"""Jobs done exactly once by worker processes on a server's chain, though one of them is killed."""

import asyncio
import sys
from dataclasses import dataclass

import ate
from ate.mesh.hall import Hall
from ate.mesh.shelf import MemoryShelf
from ate.server import serve

JOBS = 20


@dataclass(frozen=True)
class Charge:
    customer: int


@dataclass(frozen=True)
class Receipt:
    customer: int
    tries: int


async def work(url: str, how: str) -> None:
    async with ate.open("billing", url=url) as chain:
        async for job in ate.Queue(chain, Charge, lease_s=1):
            async with job:
                if how == "dies":
                    print("a worker is killed with a job in its hands", flush=True)
                    await asyncio.Event().wait()
                # The receipt and the end of the job are one commit: both, or neither.
                job.dio.store(Receipt(job.value.customer, job.fence))


async def main() -> None:
    hall = Hall(MemoryShelf())
    async with serve(hall) as server, ate.open("billing", url=server.url) as chain:
        dio = chain.dio()
        for customer in range(JOBS):
            dio.store(Charge(customer))
        await dio.commit()

        async def start(how: str) -> asyncio.subprocess.Process:
            words = (sys.executable, __file__, server.url, how)
            return await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)

        victim = await start("dies")
        assert victim.stdout is not None
        print((await victim.stdout.readline()).decode(), end="")
        victim.kill()
        workers = [victim, await start("works"), await start("works")]
        await ate.Queue(chain, Charge).join()

        receipts = [dao.value async for dao in chain.dio().all(Receipt)]
        assert sorted(one.customer for one in receipts) == list(range(JOBS)), "each once"
        again = [one.customer for one in receipts if one.tries > 1]
        print(f"{len(receipts)} receipts, none twice; taken over: customer {again[0]}")
        for worker in workers[1:]:
            worker.kill()
        await asyncio.gather(*(worker.wait() for worker in workers))
    await hall.close()


asyncio.run(work(*sys.argv[1:]) if sys.argv[1:] else main())
