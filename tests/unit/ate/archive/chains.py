"""Chains to back up, small and quick to make."""

from __future__ import annotations

from pathlib import Path

import ate
from ate.log.disk import Disk
from ate.testing.stage import member

LARGE = 70_000


def write(
    path: Path | str,
    name: str = "c",
    *,
    commits: int = 1,
    rows: int = 2,
    size: int = 100,
    disk: Disk | None = None,
    signed: bool = False,
) -> tuple[int, bytes]:
    """Add commits to a chain below `path`, made when it is not there; return head and root."""
    session = member("alice") if signed else None
    with ate.blocking.open(name, path=path, session=session, disk=disk) as chain:
        for _ in range(commits):
            dio = chain.dio()
            for number in range(rows):
                dio.store({"n": number, "pad": b"x" * size})
            dio.commit()
        return chain.head, chain.root


def content(path: Path | str, name: str = "c", disk: Disk | None = None) -> tuple[int, bytes]:
    """Return head and root of a chain that is there."""
    with ate.blocking.open(name, path=path, readonly=True, disk=disk) as chain:
        return chain.head, chain.root
