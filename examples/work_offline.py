"""Work without the server: commits wait in the outbox, land once, and conflicts come to you."""

import asyncio
import tempfile
from dataclasses import dataclass

import ate
from ate.dio.opening import Opening
from ate.mesh.hall import Hall
from ate.mesh.shelf import DiskShelf
from ate.server import serve


@dataclass(frozen=True)
class Task:
    title: str
    done: bool = False
    owner: str = ""


async def main() -> None:
    with tempfile.TemporaryDirectory() as place:

        def open_phone() -> Opening:
            return ate.open("tasks", url=url, path=f"{place}/phone", recovery="async")

        hall = Hall(DiskShelf(f"{place}/server"))
        async with serve(hall) as server:
            url, port = server.url, server.urls[0].port
            phone = await open_phone()
            dio = phone.dio()
            milk, call = dio.store(Task("buy milk")), dio.store(Task("call mum"))
            await dio.commit()
        await hall.close()

        # There is no server any more, and the phone goes on: each commit is on its disk.
        dio = phone.dio()
        (await dio.load(Task, milk.id)).update(done=True)
        await dio.commit()
        (await dio.load(Task, call.id)).update(title="call mum on Sunday")
        await dio.commit()
        assert (await phone.dio().load(Task, milk.id)).value.done
        print("offline: ", phone.status.pending, "commits wait")
        await phone.close()  # as would kill -9

        # Meanwhile somebody else changed one of the tasks, and was there first.
        hall = Hall(DiskShelf(f"{place}/server"))
        async with serve(hall, port=port), ate.open("tasks", url=url) as desk:
            dio = desk.dio()
            (await dio.load(Task, call.id)).update(owner="Ada")
            await dio.commit()

            async with open_phone() as phone:
                await phone.sync()
                for setback in phone.conflicts:
                    print("conflict:", setback.changes[0].value(Task).title)
                    await setback.merge(phone, Task)  # the title of one, the owner of the other
                tasks = [dao.value async for dao in phone.dio().all(Task)]
                print("together:", *tasks, sep="\n  ")
                assert Task("buy milk", done=True) in tasks
                assert Task("call mum on Sunday", owner="Ada") in tasks
                assert phone.status.pending == phone.status.conflicts == 0
        await hall.close()


asyncio.run(main())
