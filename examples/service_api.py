"""A service in one process, called from another: typed answers and errors, no port of its own."""

import asyncio
import sys
from dataclasses import dataclass

import ate
from ate.mesh.hall import Hall
from ate.mesh.shelf import MemoryShelf
from ate.server import serve


@dataclass(frozen=True)
class Item:
    name: str
    stock: int


@dataclass(frozen=True)
class Order:
    name: str
    count: int


@dataclass
class SoldOut(Exception):
    left: int


@ate.method(raises=(SoldOut,))
async def order(dio: ate.Dio, request: Order) -> Item:
    """Take items off the shelf; runs where it is served, in one commit with its answer."""
    async for item in dio.all(Item):
        if item.value.name == request.name:
            if item.value.stock < request.count:
                raise SoldOut(item.value.stock)
            return item.update(stock=item.value.stock - request.count).value
    raise ate.NotFound(f"we do not sell {request.name}")


async def shop(url: str) -> None:
    async with ate.open("shop", url=url) as chain:
        order.serve(chain)
        await asyncio.Event().wait()


async def main() -> None:
    hall = Hall(MemoryShelf())
    async with serve(hall) as server, ate.open("shop", url=server.url) as chain:
        dio = chain.dio()
        dio.store(Item("teapot", 3))
        await dio.commit()
        keeper = await asyncio.create_subprocess_exec(sys.executable, __file__, server.url)

        item = await order.call(chain, Order("teapot", 2))
        print("bought 2, left:", item.stock)
        try:
            await order.call(chain, Order("teapot", 2))
        except SoldOut as error:
            print("sold out, left:", error.left)
        keeper.kill()
        await keeper.wait()
        try:
            await order.call(chain, Order("teapot", 1), timeout=0.2)
        except ate.TimedOut:
            print("the shop is closed: the order was withdrawn")
        assert [dao.value.stock async for dao in chain.dio().all(Item)] == [1]
    await hall.close()


asyncio.run(shop(*sys.argv[1:]) if sys.argv[1:] else main())
