"""Who made which chain: a file to which a line is added with each; it removes none.

A line that was lost with the power gives its chain to whoever writes to it next.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ate.errors import AteError
from ate.ids import ChainName
from ate.log.recovery import is_generation

_LINE_MAX: Final = 400


class Owners:
    """The file of a service.

    Args:
        path: of the file; it need not be there.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    def add(self, name: str, owner: bytes) -> None:
        """Write down the owner of a new chain; raises OSError."""
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, f"{owner.hex() or '-'} {name}\n".encode())
        finally:
            os.close(fd)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Yield name and owner of each chain; lines that are none are passed over."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            while raw := file.readline(_LINE_MAX):
                head, _, name = raw.decode(errors="replace").rstrip("\n").partition(" ")
                try:
                    yield str(ChainName(name)), bytes.fromhex("" if head == "-" else head)
                except (AteError, ValueError):
                    continue


def size_of(folder: Path) -> int | None:
    """Return the bytes of a chain's files, None when there is no such chain."""
    total, found = 0, False
    for where, folders, files in os.walk(folder):
        # Chains may lie below chains; generations are named by six digits, what a take-over made
        # begins with a dot.
        if Path(where) == folder:
            folders[:] = [one for one in folders if one[0] == "." or is_generation(one)]
        for one in files:
            found = True
            try:
                total += (Path(where) / one).lstat().st_size
            except FileNotFoundError:
                continue
    return total if found else None
