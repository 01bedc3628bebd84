"""The pieces of the nemesis hold what they promise: a tiny server stands in for the real one."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.nemesis.processes import ServerProcess, answers, small_disk
from tests.ports import free_port

from ate.testing.nemesis import RealPace
from ate.testing.proxy import Proxy

#: Appends each line it gets to a file and answers with the count of lines, or with the error.
COUNTER = """
import os, signal, socketserver, sys
print("up", os.environ.get("WORD", ""), flush=True)
signal.signal(signal.SIGTERM, lambda *_: os._exit(7))

class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            try:
                with open(sys.argv[2], "ab") as file:
                    file.write(line)
                answer = b"%d\\n" % open(sys.argv[2], "rb").read().count(b"\\n")
            except OSError as error:
                answer = b"%s\\n" % error.strerror.encode()
            self.wfile.write(answer)

class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    port = free_port()
    argv = [sys.executable, "-c", COUNTER, str(port), str(tmp_path / "lines")]
    one = ServerProcess(argv, port, tmp_path / "log", env={"WORD": "hello"})
    yield one
    one.kill()


async def ask(port: int, line: bytes = b"a line\n") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(line)
        return await reader.readline()
    finally:
        writer.close()


async def test_a_server_is_started_killed_and_started_again(server: ServerProcess) -> None:
    assert not server.is_running
    await server.start()
    assert await ask(server.port) == b"1\n"
    first = server.pid
    server.kill()
    server.kill()
    assert not server.is_running
    with pytest.raises(ConnectionRefusedError):
        await ask(server.port)
    await server.start()
    assert await ask(server.port) == b"2\n"
    assert server.pid != first
    assert (server.starts, server.kills) == (2, 1)
    assert server.said() == "up hello\nup hello"
    assert 3 < server.descriptors < 50


async def test_a_server_is_asked_to_end(server: ServerProcess) -> None:
    await server.start()
    assert await server.stop() == 7
    assert not server.is_running


async def test_a_frozen_server_says_nothing_until_it_is_thawed(server: ServerProcess) -> None:
    await server.start()
    server.freeze()
    asking = asyncio.create_task(ask(server.port))
    done, _ = await asyncio.wait([asking], timeout=0.1)
    assert not done
    server.thaw()
    assert await asking == b"1\n"
    server.freeze()
    server.kill()
    server.freeze()
    server.thaw()
    assert not server.is_running


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    broken = ServerProcess([sys.executable, "-c", "1 / 0"], free_port(), tmp_path / "log")
    assert broken.said() == ""
    with pytest.raises(pytest.fail.Exception, match="ZeroDivisionError"):
        await broken.start()


async def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    port = free_port()
    silent = ServerProcess(
        [sys.executable, "-c", "import signal; signal.pause()"], port, tmp_path / "log"
    )
    starting = asyncio.create_task(silent.start())
    await asyncio.sleep(0)
    try:
        with pytest.raises(pytest.fail.Exception, match="does not answer"):
            await answers(port, within_s=0.1, process=silent)
    finally:
        starting.cancel()
        silent.kill()


async def test_a_server_behind_a_proxy(server: ServerProcess) -> None:
    await server.start()
    async with Proxy("127.0.0.1", server.port, pace=RealPace(1)) as proxy:
        assert await ask(proxy.port) == b"1\n"
        proxy.lose_replies()
        with pytest.raises(ConnectionResetError):
            await ask(proxy.port)
        proxy.heal()
        assert await ask(proxy.port) == b"3\n", "the one without an answer was counted"
        server.kill()
        with pytest.raises(ConnectionResetError):
            await ask(proxy.port)
        await server.start()
        assert await ask(proxy.port) == b"4\n"


async def test_a_disk_that_is_full_and_has_room_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 1 << 20) as disk:
        port = free_port()
        argv = [sys.executable, "-c", COUNTER, str(port), str(disk.path / "lines")]
        server = ServerProcess(argv, port, tmp_path / "log")
        await server.start()
        try:
            assert await ask(port) == b"1\n"
            disk.fill()
            assert b"space" in await ask(port, bytes(8192) + b"\n")
            disk.empty()
            assert int(await ask(port)) > 1
        finally:
            server.kill()
