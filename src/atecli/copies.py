"""Copies of a chain to repair it from: a directory, or a backup that is restored aside for a while.

It trusts no copy, and it leaves nothing of a backup behind.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ate.chain.source import Replica


@contextmanager
def copies_of(name: str, sources: Sequence[str], beside: Path) -> Iterator[list[Replica]]:
    """Give the copies for as long as they are needed.

    Args:
        name: the chain's.
        sources: directories that hold the chain or are it, or destinations of backups.
        beside: the chain's own directory; a backup is restored on the same medium.

    Raises:
        NotFound, CorruptBackup, UsageError: there is no such copy, or it is not whole.
    """
    with ExitStack() as stack:
        yield [stack.enter_context(_copy(name, one, beside)) for one in sources]


@contextmanager
def _copy(name: str, source: str, beside: Path) -> Iterator[Replica]:
    if "://" not in source:
        for folder in (Path(source) / name, Path(source)):
            if _is_chain(folder):
                yield _replica(folder, source)
                return
    beside.parent.mkdir(parents=True, exist_ok=True)
    # What begins with a dot is no chain's name, so nobody takes it for one.
    aside = Path(tempfile.mkdtemp(prefix=".copy-", dir=beside.parent))
    try:
        yield _replica(_restored(name, source, aside / "copy"), source)
    finally:
        shutil.rmtree(aside)


def _is_chain(folder: Path) -> bool:
    """Tell whether a directory is that of a chain, however damaged."""
    patterns = ("CURRENT", "[0-9]" * 6 + "/head.*", ".epoch-*/CURRENT")
    return any(any(folder.glob(one)) for one in patterns)


def _restored(name: str, source: str, into: Path) -> Path:
    from ate.archive.destination import open_destination
    from ate.archive.restore import restore
    from ate.archive.series import find
    from atecli.progress import bar

    restore(find(open_destination(source, create=False), name), into, bar=bar)
    return into


def _replica(folder: Path, source: str) -> Replica:
    from ate.chain.source import Replica
    from ate.log.disk import RealDisk

    return Replica(RealDisk(), str(folder.absolute()), name=source)
