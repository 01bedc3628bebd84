"""The real thing: three servers, eight clients, proxies between them, and a nemesis.

NEMESIS_S=1800 lets it go on for half an hour: `make nemesis`. What failed keeps its folder.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, suppress
from pathlib import Path

import msgspec
import pytest
from tests.nemesis.client_program import Config, facts_of
from tests.nemesis.processes import MIB, ServerProcess, SmallDisk, small_disk
from tests.ports import free_port
from tests.sharing.journal import Facts, load_notes
from tests.sharing.town import KEYS, MODES, jobs_of
from tests.sharing.verdict import Truth, jobs_done_once, judge

import ate
from ate.log.local import LocalLog
from ate.mesh.pins import Pins
from ate.session import Session
from ate.testing.chance import Chance
from ate.testing.checkers import check
from ate.testing.history import Case, Operation
from ate.testing.nemesis import Nemesis, RealPace
from ate.testing.proxy import Proxy, proxy_faults

SECONDS = float(os.environ.get("NEMESIS_S", "60"))
SEED = os.environ.get("ATE_SEED", "1")
ROOT = Path(__file__).resolve().parent.parent.parent
SERVERS, CLIENTS, CHAINS = 3, 8, 6
KILLS, COMMITS = 20, 20_000
#: A slow machine gets so much longer to reach these numbers.
PATIENCE = 3.0
#: Of a processor: eight clients that never rest share this machine with the server.
RECOVERY_S = 2.0
END_S = 120.0


class ClientProcess:
    """A client that is started, killed and started again."""

    def __init__(self, folder: Path, name: str, mode: str, chains: dict[str, str]) -> None:
        self.folder, self.name, self.mode, self.chains = folder, name, mode, chains
        self.lives = self.kills = 0
        self.process: subprocess.Popen[bytes] | None = None

    def journals(self) -> list[Path]:
        return sorted(self.folder.glob(f"{self.name}.*.jsonl"))

    def start(self) -> None:
        self.lives += 1
        journal = self.folder / f"{self.name}.{self.lives}.jsonl"
        config = Config(
            self.name, self.lives, self.mode, self.chains, str(self.folder / self.name),
            str(journal),
        )  # fmt: skip
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.nemesis.client_program",
                 msgspec.json.encode(config).decode()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT, env=environment(),
            )  # fmt: skip

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        if self.process is not None and self.is_running:
            self.kills += 1
            self.process.kill()
            self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.is_running:
            self.process.send_signal(number)


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ATE_")}
    return {**kept, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}


class Counted:
    """How many commits were acknowledged, read from the journals as they grow."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.acknowledged = folder, 0
        self._read: dict[Path, int] = {}

    def look(self) -> int:
        for path in self.folder.glob("*.jsonl"):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._read[path] = self._read.get(path, 0) + len(whole)
            self.acknowledged += sum(
                line.startswith(b'{"type":"Deed"') and b'"outcome":"ok"' in line
                for line in whole.splitlines()
            )
        return self.acknowledged


class Arena:
    """Everything that runs, and what breaks it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.pace = folder, RealPace(SEED, self.tell)
        self.servers: list[ServerProcess] = []
        self.data: list[Path] = []
        self.clients: list[ClientProcess] = []
        self.small: SmallDisk | None = None
        self.places = {f"c{n}": n % SERVERS for n in range(CHAINS)}
        self.recoveries: list[float] = []
        self.frozen: set[ServerProcess] = set()

    def tell(self, text: str) -> None:
        with (self.folder / "nemesis.log").open("a") as file:
            file.write(f"{self.pace.time():.3f} {text}\n")

    async def build(self, stack: AsyncExitStack) -> list[Proxy]:
        proxies = []
        disks = stack.enter_context(ExitStack())
        with suppress(pytest.skip.Exception):
            self.small = disks.enter_context(small_disk(self.folder / "small", 256 * MIB))
        for n in range(SERVERS):
            port = free_port()
            data = self.folder / f"s{n}"
            if n == 0 and self.small is not None:
                data = self.small.path / "s0"
            argv = [sys.executable, "-m", "atedb", "solo", str(data), "--port", str(port)]
            home = {**environment(), "ATE_HOME": str(self.folder / f"home{n}")}
            server = ServerProcess(argv, port, self.folder / f"s{n}.log", env=home)
            self.servers.append(server)
            self.data.append(data)
            stack.callback(server.kill)
            await server.start()
            proxy = Proxy("127.0.0.1", port, pace=self.pace, name=f"proxy{n}")
            proxies.append(await stack.enter_async_context(proxy))
        chance = Chance(f"{SEED}/clients")
        for n in range(CLIENTS):
            names = [f"c{(n + k) % CHAINS}" for k in range(3)]
            chains = {c: f"ws://127.0.0.1:{proxies[self.places[c]].port}/" for c in names}
            name = "abcdefgh"[n]
            client = ClientProcess(self.folder, name, MODES[chance.below(2 if n else 1)], chains)
            self.clients.append(client)
            stack.callback(client.kill)
            client.start()
        return proxies

    def kills(self) -> int:
        return sum(one.kills for one in (*self.servers, *self.clients))

    async def kill_server(self, chance: Chance) -> None:
        server = chance.choice(self.servers)
        if server in self.frozen or not server.is_running:
            return
        self.frozen.add(server)
        self.tell(f"kill {server}")
        server.kill()
        await self.pace.pause(chance.below(700) / 1000)
        started = self.pace.time()
        await server.start()
        await self.greet(server)
        self.recoveries.append(server.cpu_s)
        took = self.pace.time() - started
        self.tell(f"{server} is back after {took:.2f} s, {server.cpu_s:.2f} of them its own")
        self.frozen.discard(server)

    async def greet(self, server: ServerProcess) -> None:
        """Return when the server answers with a chain."""
        at = self.servers.index(server)
        name = next(name for name, place in self.places.items() if place == at)
        # A full disk is no reason not to be read.
        with suppress(ate.AteError):
            await (await self.open(name)).close()

    async def open(self, name: str) -> ate.Chain:
        port = self.servers[self.places[name]].port
        return await ate.open(
            name, url=f"ws://127.0.0.1:{port}/", session=Session("alice", KEYS), create=False,
            recovery="sync", connection={"pins": Pins(None), "home": None, "timeout_s": 20.0},
        )  # fmt: skip

    async def freeze_server(self, chance: Chance) -> None:
        server = chance.choice(self.servers)
        if server in self.frozen or not server.is_running:
            return
        self.frozen.add(server)
        seconds = 2 + chance.below(8000) / 1000
        self.tell(f"freeze {server} for {seconds:.1f} s")
        server.freeze()
        await self.pace.pause(seconds)
        server.thaw()
        self.frozen.discard(server)

    async def kill_client(self, chance: Chance) -> None:
        client = chance.choice(self.clients)
        if client.is_running:
            self.tell(f"kill {client.name}")
            client.kill()
            await self.pace.pause(chance.below(1000) / 1000)
            client.start()

    async def fill(self, chance: Chance) -> None:
        if self.small is not None:
            self.tell("fill the disk of s0")
            self.small.fill()
            await self.pace.pause(0.5 + chance.below(1500) / 1000)
            self.small.empty()

    async def rage(self, proxies: list[Proxy]) -> None:
        """Break things for as long as it takes."""
        counted, began = Counted(self.folder), self.pace.time()
        while True:
            kills = Nemesis(self.pace, every_s=(0.7, 2.0), purpose=f"kills {counted.look()}")
            kills.add("server", self.kill_server)
            kills.add("client", self.kill_client)
            others = Nemesis(
                self.pace, every_s=(1.0, 4.0), lasts_s=(0.2, 4.0), purpose=f"o {counted.look()}"
            )
            proxy_faults(others, proxies)
            others.add("freeze", self.freeze_server)
            others.add("fill", self.fill)
            lasts = min(SECONDS, 10.0)
            async with asyncio.TaskGroup() as group:
                group.create_task(kills.run(lasts))
                group.create_task(others.run(lasts))
            took = self.pace.time() - began
            self.tell(f"{took:.0f} s, {counted.look()} acknowledged, {self.kills()} kills")
            enough = counted.acknowledged >= COMMITS and self.kills() >= KILLS
            if took >= SECONDS and (enough or took >= PATIENCE * SECONDS):
                self.acknowledged = counted.acknowledged
                return

    async def finish(self) -> None:
        """Let everybody send what waits, then say how it all is, and end."""
        self.tell("everything is mended")
        await self.until_all_said("up")
        for number, moment in ((signal.SIGUSR1, "synced"), (signal.SIGTERM, "end")):
            for client in self.clients:
                client.signal(number)
            await self.until_all_said(moment)

    async def until_all_said(self, moment: str) -> None:
        until = self.pace.time() + END_S
        while silent := [one for one in self.clients if not self.has_said(one, moment)]:
            names = [one.name for one in silent]
            assert self.pace.time() < until, f"{names} are not {moment}: see {self.folder}"
            gone = [one for one in silent if not one.is_running]
            dead = [one.name for one in gone if not self.has_said(one, moment)]
            assert not dead, f"{dead} ended before they were {moment}: see {self.folder}"
            await self.pace.pause(0.2)

    def has_said(self, client: ClientProcess, moment: str) -> bool:
        try:
            said = (self.folder / f"{client.name}.{client.lives}.jsonl").read_bytes()
        except FileNotFoundError:
            return False
        if b'{"type":"Broken"' in said:
            return True
        count = said.count(b'{"type":"Facts","moment":"%s"' % moment.encode())
        return count == (1 if moment == "up" else len(client.chains))

    async def verdict(self) -> list[str]:
        notes, operations = load_notes(
            path for client in self.clients for path in client.journals()
        )
        broken: list[str] = []
        truths: dict[str, Truth] = {}
        for name in self.places:
            chain = await self.open(name)
            facts = await facts_of(chain)
            broken += jobs_done_once(name, *await jobs_of(chain), notes)
            await chain.close()
            for one in notes:
                if isinstance(one, Facts) and one.moment == "end" and one.chain == name:
                    mine = (one.commits, one.root, one.state)
                    if mine != facts:
                        broken.append(f"{one.who} has another {name}: {mine}, not {facts}")
        for server in self.servers:
            assert await server.stop() == 0, server.said()
        for name, place in self.places.items():
            truths[name] = truth = Truth(name)
            log = LocalLog.open(self.data[place] / name, readonly=True)
            truth.read(log)
            log.close()
        broken += judge(notes, truths)
        broken += check(case(operations, truths))
        return broken


def case(operations: list[Operation], truths: dict[str, Truth]) -> Case:
    return Case(operations, [truth.final(name) for name, truth in truths.items()])


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that stays when the test fails, for its logs and histories."""
    place = Path(tempfile.mkdtemp(prefix="ate-nemesis-"))
    yield place
    if not (place / "failed").exists():
        shutil.rmtree(place)


@pytest.mark.xdist_group("nemesis")
async def test_nothing_is_lost_and_nothing_happens_twice(folder: Path) -> None:
    (folder / "failed").touch()
    arena = Arena(folder)
    async with AsyncExitStack() as stack:
        proxies = await arena.build(stack)
        await arena.rage(proxies)
        await arena.finish()
        broken = await arena.verdict()
    assert not broken, "\n".join([f"logs and histories are in {folder}", *broken[:40]])
    assert arena.acknowledged >= COMMITS, f"only {arena.acknowledged} in {folder}"
    assert arena.kills() >= KILLS
    slow = sorted(arena.recoveries)
    assert slow[len(slow) // 2] <= RECOVERY_S, slow
    (folder / "failed").unlink()
