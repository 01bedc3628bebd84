"""Which servers take part and what each needs; it starts none."""

from __future__ import annotations

import importlib.util
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from tools.race.servers.process import find

_SAYS_S_MAX: Final = 10


@dataclass(frozen=True)
class Known:
    """A server by name.

    Args:
        module, maker: the class.
        modules, program: what must be installed.
        flushing: the program must take `sync_interval: "always"`.
    """

    module: str
    maker: str
    modules: tuple[str, ...] = ()
    program: str = ""
    flushing: bool = False


_NATS: Final = {"module": "jetstream", "modules": ("nats", "nats.js"), "program": "nats-server"}
_REDIS: Final = {
    "module": "redis_streams", "modules": ("redis.asyncio", "hiredis"), "program": "redis-server",
}  # fmt: skip
SERVERS: Final[dict[str, Known]] = {
    "ate": Known("ours", "Ate", ("aiohttp", "ate.joining", "ate.dio.queue", "atedb.solo")),
    "redis": Known(maker="Redis", **_REDIS),  # type: ignore[arg-type]
    "redis-pool": Known(maker="RedisPool", **_REDIS),  # type: ignore[arg-type]
    "nats-flushed": Known(maker="JetStream", flushing=True, **_NATS),  # type: ignore[arg-type]
    "nats-UNFLUSHED": Known(maker="JetStreamUnflushed", **_NATS),  # type: ignore[arg-type]
    "nats-KEEPS-NOTHING": Known(maker="NatsAlone", **_NATS),  # type: ignore[arg-type]
    "raw disk": Known("raw_disk", "RawDisk"),
    "sqlite": Known("sqlite_jobs", "SqliteJobs"),
}


def make(name: str, folder: Path) -> Any:
    """Return a server over a folder; it is not started.

    What its clients import is imported here, once: processes forked later find it there.
    """
    known = SERVERS[name]
    for module in known.modules:
        import_module(module)
    return getattr(import_module(f"tools.race.servers.{known.module}"), known.maker)(folder)


def absent(name: str) -> list[str]:
    """Return what must be installed before this server can take part."""
    known = SERVERS[name]
    found = [one for one in known.modules if not _is_there(one)]
    if known.program and not find(known.program):
        found.append(known.program)
    elif known.flushing and not _flushes():
        found.append("a nats-server new enough to flush before it acknowledges")
    return found


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@cache
def _flushes() -> bool:
    """Return whether the nats-server here knows the setting that flushes before it answers."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write('jetstream { sync_interval: "always" }')
        file.flush()
        done = subprocess.run(
            [find("nats-server") or "", "-t", "-c", file.name],
            capture_output=True, check=False, timeout=_SAYS_S_MAX,
        )  # fmt: skip
    return done.returncode == 0


def version_of(program: str) -> str:
    """Return what a server says its version is, "not installed" without it."""
    path = find(program)
    if path is None:
        return "not installed"
    done = subprocess.run(
        [path, "--version"], capture_output=True, text=True, check=False, timeout=_SAYS_S_MAX
    )
    words = done.stdout.replace("v=", "v").split()
    return next((word.lstrip("v") for word in words if word.lstrip("v")[:1].isdigit()), "?")
