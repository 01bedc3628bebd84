"""`atedb solo`: puts the server together, runs it and ends it in order; it decides about no commit.

The end: no new connections, no new messages, what was submitted is ordered and flushed, everybody
is told, and the process is gone within five seconds.
"""

from __future__ import annotations

import asyncio
import resource
import signal
import ssl
from collections.abc import Callable, Coroutine
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from ate.clock import Clock
from ate.errors import AteError, Deposed, UsageError
from ate.mesh import tcp
from ate.mesh.attend import Visitor, attend
from ate.mesh.transport import Transport
from ate.trust.sequence import Sequencer
from ate.wire.terms import Terms
from atedb import certificate
from atedb import identity as identities
from atedb.cluster import Cluster, topology_of
from atedb.house import CHAINS_MAX, FILES_OF_A_CHAIN, House, own_folder
from atedb.http import SPARE, Front, listening
from atedb.identity import Guests
from atedb.journal import Journal
from atedb.metrics import Metrics
from atedb.nodes import Nodes
from atedb.owning import Owning
from atedb.settings import Settings
from atedb.switch import Switch
from atedb.tokens import TokenKey

#: How long the halls may take to finish what was submitted, and the goodbyes after that.
_FINISH_S: Final = 2.5
_GOODBYE_S: Final = 1.5
_SWEEP_S: Final = 5.0
#: Descriptors besides those of connections: logs, libraries, the odd file.
_FILES_SPARE: Final = 1024

Ready = Callable[[dict[str, Any]], None]


def run(settings: Settings, journal: Journal, clock: Clock, ready: Ready) -> None:
    """Serve until a signal says that it is enough.

    Args:
        ready: called with the facts once connections are taken.

    Raises:
        AteError: the server cannot start; nothing was changed.
        Deposed: another server has taken the directory over.
    """
    settings.check()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_main(settings, journal, clock, ready))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop


async def _main(settings: Settings, journal: Journal, clock: Clock, ready: Ready) -> None:
    solo = Solo(settings, journal, clock)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(solo.mishap)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, solo.stop)
    loop.add_signal_handler(signal.SIGHUP, solo.reread)
    try:
        await solo.start()
        if not solo.stopped.is_set():
            ready(solo.facts())
        await solo.stopped.wait()
    finally:
        await solo.close()
    if solo.failure is not None:
        raise solo.failure


class Solo:
    """One server process.

    Args:
        settings: checked already.
    """

    def __init__(self, settings: Settings, journal: Journal, clock: Clock) -> None:
        self._settings, self._journal, self._clock = settings, journal, clock
        self.stopped = asyncio.Event()
        #: Why it ended, if it was not told to.
        self.failure: AteError | None = None
        self.metrics = Metrics()
        self.port = self.status_port = 0
        self._owning = Owning(settings, journal, self._deposed)
        self._services: dict[str, Callable[[Transport], Any]] = {}
        self._serves = False
        self._houses: dict[str, House] = {}
        self._visitors: dict[Visitor, None] = {}
        self._someone_left = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._front: Front | None = None
        self._status: Front | None = None
        self._tcp: tcp.TcpListener | None = None
        self._tls: ssl.SSLContext | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._guests: Guests | None = None
        self._cluster: Cluster | None = None
        self._nodes = Nodes()

    # --- the beginning --------------------------------------------------------------------------

    async def start(self) -> None:
        """Read the files, take the directories, and listen; or stand by until that can be.

        Raises:
            AteError: that cannot be; `close` undoes what was done.
        """
        settings = self._settings
        key = TokenKey.load(settings.auth) if settings.auth else None
        self._nodes = self._read_nodes()
        self._guests = Guests.load(settings.clients) if settings.clients else None
        self._tls = certificate.tls_of(settings)
        if settings.stand_by:
            await self._listen()  # that the port is taken is told now, and not when it is needed
        if not await self._owning.own(self.port or settings.port, self.stopped):
            return
        where = settings.identity or own_folder(settings.path) / "identity"
        self._identity, is_new = identities.load_or_new(where)
        if is_new:
            self._journal.note("made an identity", file=where.name, key=self.key_id)
        topology = await topology_of(settings)
        if topology is not None:
            self._cluster = Cluster(
                topology, settings, identity=self._identity, journal=self._journal,
                clock=self._clock,
            )  # fmt: skip
        _raise_files(settings.max_connections + FILES_OF_A_CHAIN * CHAINS_MAX)
        owned = zip(settings.all_services(), self._owning.ownerships, strict=True)
        for service, ownership in owned:
            making = partial(
                House, service, settings, key=key, nodes=self._nodes, identity=self._identity,
                cluster=self._cluster if service.path == "/" else None,
                metrics=self.metrics, journal=self._journal, clock=self._clock,
                ownership=ownership,
            )  # fmt: skip
            # It measures every chain that counts for a quota: signs of life must go on meanwhile.
            self._houses[service.path] = await asyncio.to_thread(making)
        await self._owning.take_all(house.shelf for house in self._houses.values())
        self._switch = Switch({path: house.hall for path, house in self._houses.items()})
        self._measure()
        self._services |= {path: self._serving(path) for path in self._houses}
        self._serves = True
        await self._listen()
        if self._cluster is not None:
            self._cluster.start()
        self._sweep()

    @property
    def key_id(self) -> bytes:
        """Id of the server's key, by which clients know it."""
        return self._identity.public.key_id

    def facts(self) -> dict[str, Any]:
        """Return what whoever started the server wants to know."""
        address = self._settings.address(self.port)
        base = address.rstrip("/")
        found: dict[str, Any] = {
            "event": "ready",
            "url": address,
            "port": self.port,
            "key": self.key_id.hex(),
            "services": [base + path for path in self._houses],
        }
        if self._settings.trust == "centralized":
            found["sequencer"] = Sequencer.of(self._identity).public.raw.hex()
        if self._status is not None:
            found["status"] = f"http://127.0.0.1:{self.status_port}/"
        return found

    async def _listen(self) -> None:
        settings = self._settings
        if settings.pure_tcp and self._serves:
            host, port = settings.listen, settings.port
            self._tcp = await listening(
                tcp.listen(self._meet_tcp, host, port, tls=self._tls), host, port
            )
            self.port = self._tcp.port
        elif not settings.pure_tcp and self._front is None:
            pages = not settings.no_http and settings.status_port is None
            self._front = self._make_front(self._services, pages=pages)
            self.port = await self._front.listen(settings.listen, settings.port, self._tls)
            self._front.address = settings.address(self.port)
        if settings.status_port is not None and self._status is None:
            self._status = self._make_front({}, pages=True)
            self._status.address = settings.address(self.port)
            self.status_port = await self._status.listen("127.0.0.1", settings.status_port, None)

    def _make_front(self, services: dict[str, Any], *, pages: bool) -> Front:
        return Front(
            services, metrics=self.metrics, journal=self._journal, health=self._health,
            connections_max=self._settings.max_connections, pages=pages,
        )  # fmt: skip

    def _measure(self) -> None:
        metrics, main = self.metrics, self._houses["/"]
        metrics.measure("atedb_connections", "Connections that stand.", lambda: len(self._visitors))
        metrics.measure("atedb_disk_free_bytes", "Room left where the chains are.", main.free_bytes)
        metrics.measure("atedb_resident_bytes", "Memory that the process holds.", _resident_bytes)
        started_s = self._clock.now_us() / 1_000_000
        metrics.measure("atedb_start_time_seconds", "When it started.", lambda: started_s)

    def _sweep(self) -> None:
        self._sweeper = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep)
        for house in self._houses.values():
            house.gate.sweep()

    # --- connections ----------------------------------------------------------------------------

    def _serving(self, path: str) -> Callable[[Transport], Any]:
        async def serve(transport: Transport) -> None:
            await self._serve(transport, path)

        return serve

    def _meet_tcp(self, transport: Transport) -> None:
        if len(self._tasks) >= self._settings.max_connections + SPARE:
            self.metrics.turned_away.add(1, "connections")
            task = asyncio.get_running_loop().create_task(transport.close())
        else:
            task = asyncio.get_running_loop().create_task(self._serve(transport, ""))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, transport: Transport, path: str) -> None:
        """Serve a connection; `path` is empty where only the client's hello names it."""
        settings = self._settings
        is_full = len(self._visitors) >= settings.max_connections
        self.metrics.connected.add()
        if is_full:
            self.metrics.turned_away.add(1, "connections")
        self._journal.detail("connected", address=transport.address)
        await attend(
            transport,
            self._switch,
            identity=self._identity,
            trust=self._guests,
            terms=Terms(encryption=settings.wire_encryption),
            server_id=self._houses[path or "/"].hall.server_id,
            path_ok=lambda asked: asked == path if path else asked in self._houses,
            visitors=self._visitors,
            is_full=is_full,
            traffic=self.metrics.traffic,
            agent="atedb",
        )
        self._someone_left.set()
        self._journal.detail("gone", address=transport.address)

    def _health(self) -> tuple[bool, dict[str, Any]]:
        facts = {"connections": len(self._visitors), "chains": int(self.metrics.chains.value)}
        if not self._serves and not self.stopped.is_set():
            return False, {"status": "stand-by", **facts}
        return self._serves and not self.stopped.is_set(), facts

    # --- signals --------------------------------------------------------------------------------

    def stop(self) -> None:
        """Begin to end."""
        if not self.stopped.is_set():
            self._journal.note("draining", connections=len(self._visitors))
            self.metrics.draining.value = 1
            self.stopped.set()

    def _deposed(self, error: Deposed) -> None:
        self.failure = error
        self._journal.fault("deposed", error)
        self.stop()

    def reread(self) -> None:
        """Read the certificate and the lists again; what is wrong with them is only told."""
        settings = self._settings
        try:
            if self._tls is not None and settings.tls_cert and settings.tls_key:
                certificate.load(self._tls, settings.tls_cert, settings.tls_key)
            if self._guests is not None and settings.clients is not None:
                self._guests.key_ids = Guests.load(settings.clients).key_ids
            self._nodes.urls = self._read_nodes().urls
        except (OSError, UsageError) as error:
            self._journal.fault("a file was not read again", error)
        else:
            if self._cluster is not None:
                self._spawn(self._reread(self._cluster))
            else:
                self._journal.note("read the files again")

    async def _reread(self, cluster: Cluster) -> None:
        try:
            await cluster.reread(await topology_of(self._settings))
        except (AteError, OSError) as error:
            self._journal.fault("the list of servers was not read again", error)
        else:
            self._journal.note("read the files again")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def mishap(self, _: asyncio.AbstractEventLoop, facts: dict[str, Any]) -> None:
        """Write down what nobody caught."""
        error = facts.get("exception")
        if isinstance(error, BaseException):
            self._journal.fault(str(facts.get("message", "internal error")), error)
        else:
            self._journal.note(str(facts.get("message", "internal error")))

    def _read_nodes(self) -> Nodes:
        settings = self._settings
        return Nodes.load(settings.nodes_list, settings.url) if settings.nodes_list else Nodes()

    # --- the end --------------------------------------------------------------------------------

    async def close(self) -> None:
        """End in order; see the module's head."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._front is not None:
            self._front.refuse()
        if self._tcp is not None:
            self._tcp.stop()
        if self._houses and hasattr(self, "_switch"):
            await self._finish()
        for front in (self._front, self._status):
            if front is not None:
                await front.close()
        if self._cluster is not None:
            await self._cluster.hang_up()
        for task in self._tasks:
            task.cancel()
        self._owning.close()
        if self.stopped.is_set():
            self._journal.note("stopped")

    async def _finish(self) -> None:
        self._switch.hold()
        try:
            async with asyncio.timeout(_FINISH_S):
                if self._cluster is not None:
                    await self._cluster.close()
                await asyncio.gather(*(house.hall.close() for house in self._houses.values()))
        except TimeoutError:
            self._journal.note("some commits were not finished in time: their authors send again")
        self._switch.end()
        for visitor in tuple(self._visitors):  # who has not said hello yet is in no hall
            visitor.close("", "the server stops")
        try:
            async with asyncio.timeout(_GOODBYE_S):
                while self._visitors:
                    self._someone_left.clear()
                    await self._someone_left.wait()
        except TimeoutError:
            self._journal.note("some peers did not take the goodbye", peers=len(self._visitors))


def _raise_files(needed: int) -> None:
    """Ask the system for enough descriptors; it gives what it gives."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = needed + _FILES_SPARE
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _resident_bytes() -> float | None:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return float(pages * resource.getpagesize())
