"""Standing by: waits until a directory's owner is gone or hangs, then owns it; it serves nobody.

Time is this process's own: what counts is how long it has seen no sign of life while it was awake
itself. Clocks of two machines are never compared.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ate.crypto.entropy import Entropy, system_entropy
from ate.errors import LogLocked
from ate.log import ownership
from ate.log.disk import Disk, DiskLock, RealDisk
from ate.log.owned import first_epoch
from ate.log.ownership import Ownership, Sight
from atedb.house import own_folder, take
from atedb.journal import Journal

#: An owner gives a sign of life this often, or oftener if it is to be missed sooner.
_BEAT_S: Final = 1.0
#: So many signs are missed before an owner counts as one that hangs.
_BEATS: Final = 5
_BEAT_MAX_S: Final = 60.0
#: How often those who stand by look.
_LOOK_S: Final = 0.25


@dataclass(slots=True)
class Tenure:
    """What a server holds of a directory while it serves it.

    Args:
        lock: keeps servers out that know of no ownership; None when a deposed one has it still.
        ownership: None where nobody stands by.
    """

    lock: DiskLock | None
    ownership: Ownership | None = None

    def close(self) -> None:
        """Give the directory up."""
        if self.ownership is not None:
            self.ownership.close()
        if self.lock is not None:
            self.lock.close()


def beat_s(after_s: float) -> float:
    """Return how often an owner shows that it is well.

    Args:
        after_s: how long it may be silent before it counts as one that hangs.
    """
    return min(_BEAT_S, after_s / _BEATS)


def facts_of(url: str, after_s: float, entropy: Entropy = system_entropy) -> dict[str, Any]:
    """Return what an owner says about itself."""
    return {
        "url": url,
        "beat_s": beat_s(after_s),
        "host": os.uname().nodename,
        "pid": os.getpid(),
        "run": entropy(8).hex(),
    }


def own_now(folder: Path, facts: Mapping[str, Any], disk: Disk | None = None) -> Tenure:
    """Own a directory that nobody has.

    Raises:
        LogLocked: another server has it.
        StorageError: the directory cannot be used.
    """
    disk, own = disk or RealDisk(), str(own_folder(folder))
    tenure = Tenure(take(folder))
    try:
        if ownership.newest(disk, own):
            tenure.ownership = ownership.claim(disk, own, facts)
            if tenure.ownership is None:
                raise LogLocked(
                    f"another server uses {folder}",
                    hint="stop it, or let this one wait for its end: --stand-by",
                )
    except BaseException:
        tenure.close()
        raise
    return tenure


class Watch:
    """Tells when an owner hangs.

    Args:
        after_s: how long it may be silent.
    """

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._last: tuple[int, bytes] | None = None
        self._silent_s = 0.0

    def hangs(self, seen: Sight, passed_s: float) -> bool:
        """Take note of what is seen now.

        Args:
            passed_s: since the last look. A long time means that this process slept, and says
                nothing about the owner.
        """
        if (seen.epoch, seen.beat) != self._last:
            self._last, self._silent_s = (seen.epoch, seen.beat), 0.0
            return False
        self._silent_s += min(passed_s, 2 * _LOOK_S)
        told = seen.facts.get("beat_s")
        beat = float(told) if isinstance(told, int | float) and 0 < told <= _BEAT_MAX_S else _BEAT_S
        return self._silent_s >= max(self._after_s, _BEATS * beat)


async def stand_by(
    folder: Path, facts: Mapping[str, Any], after_s: float, *, journal: Journal,
    stopped: asyncio.Event, disk: Disk | None = None,
) -> Tenure | None:  # fmt: skip
    """Wait until a directory can be owned, and own it; None when this server is to end first.

    Raises:
        StorageError: the directory cannot be used.
    """
    disk, own = disk or RealDisk(), str(own_folder(folder))
    loop, watch, lock, told = asyncio.get_running_loop(), Watch(after_s), None, -1
    last_s = loop.time()
    try:
        while not stopped.is_set():
            lock = lock or _try(folder)
            now_s, seen = loop.time(), ownership.sight(disk, own)
            has_it = None
            if seen.epoch or lock is not None:
                has_it = ownership.claim(
                    disk, own, facts, first=lambda: first_epoch(disk, str(folder))
                )
            if has_it is None and watch.hangs(seen, now_s - last_s) and seen.epoch:
                journal.note("the owner hangs: taking over", epoch=seen.epoch)
                has_it = ownership.depose(disk, own, seen.epoch, facts)
            if has_it is not None:
                journal.note("owns the directory", epoch=has_it.epoch)
                tenure, lock = Tenure(lock, has_it), None
                return tenure
            if told != seen.epoch:
                told = seen.epoch
                journal.note("standing by", owner=seen.facts.get("url"), epoch=seen.epoch)
            last_s = now_s
            await _pause(stopped, min(_LOOK_S, after_s / _BEATS))
    finally:
        if lock is not None:
            lock.close()
    return None


def _try(folder: Path) -> DiskLock | None:
    try:
        return take(folder)
    except LogLocked:
        return None


async def _pause(stopped: asyncio.Event, wait_s: float) -> None:
    try:
        async with asyncio.timeout(wait_s):
            await stopped.wait()
    except TimeoutError:
        pass
