"""A server and two clients on this machine, each a process: one writes, the other watches.

It leaves nothing behind: the chains are in a temporary directory.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

import ate
from ate import Session

COUNT = 5


async def write(url: str, keys: Path) -> None:
    """Client one: stores notes."""
    session = Session.load(keys, "example")
    async with ate.open("team/notes", url=url, session=session) as chain:
        dio = chain.dio()
        for number in range(1, COUNT + 1):
            dio.store({"note": number})
            await dio.commit()
            print(f"writer: stored note {number}", flush=True)


async def follow(url: str, keys: Path) -> None:
    """Client two: sees them come."""
    session = Session.load(keys, "example")
    async with ate.open("team/notes", url=url, session=session) as chain:
        async for event in chain.watch(type=dict, since=0):
            note = (await chain.dio().load(dict, event.id)).value["note"]
            print(f"watcher: saw note {note}", flush=True)
            if note == COUNT:
                return


def main() -> None:
    """Start the three, and wait for the two clients."""
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder) / "alice.key"
        Session.new("alice@example.org").save(keys, "example")
        server = subprocess.Popen(  # noqa: S603 — our own module
            [sys.executable, "-m", "atedb", "solo", f"{folder}/data", "--port", "0"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert server.stdout is not None
        try:
            line = server.stdout.readline().strip()
            print(line, flush=True)
            url = line.split()[-1]
            clients = [
                subprocess.Popen([sys.executable, __file__, role, url, str(keys)])  # noqa: S603
                for role in ("write", "follow")
            ]
            statuses = [client.wait() for client in clients]
        finally:
            server.terminate()
            server.communicate()
        print(f"server: ended with status {server.returncode}")
    if any(statuses) or server.returncode:
        raise SystemExit(1)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        asyncio.run({"write": write, "follow": follow}[sys.argv[1]](sys.argv[2], Path(sys.argv[3])))
    else:
        main()
