"""A queue made by hand on SQLite, flushed: to take a job is to delete it; there is no server.

Deleting the job and recording its effect are one transaction, so it is exactly once as well.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tools.race.servers.contract import Begin, Report

_BUSY_S: Final = 30
_NAP_S: Final = 0.001


class SqliteJobs:
    """One file that the workers share."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "jobs.db"

    def start(self) -> None:
        with self._connect() as db:
            db.execute("CREATE TABLE jobs(number INTEGER PRIMARY KEY, body BLOB)")
            db.execute("CREATE TABLE done(number INTEGER)")
        db.close()

    def stop(self) -> None:
        pass

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, isolation_level=None, timeout=_BUSY_S)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        return db

    async def push(self, bodies: Sequence[bytes]) -> None:
        db = self._connect()
        db.execute("BEGIN")
        db.executemany("INSERT INTO jobs(body) VALUES(?)", [(body,) for body in bodies])
        db.execute("COMMIT")
        db.close()

    async def work(self, begin: Begin, report: Report, *, effects: bool, lease_s: float) -> None:
        db = self._connect()
        begin()
        take = "DELETE FROM jobs WHERE number=(SELECT min(number) FROM jobs) RETURNING body"
        while True:
            db.execute("BEGIN IMMEDIATE")
            taken = db.execute(take).fetchall()
            numbers = [int.from_bytes(body[:4], "little") for (body,) in taken]
            if effects:
                db.executemany("INSERT INTO done VALUES(?)", [(number,) for number in numbers])
            db.execute("COMMIT")
            for number in numbers:
                report(number)
            if not numbers:
                await asyncio.sleep(_NAP_S)

    async def left(self) -> int:
        db = self._connect()
        found: int = db.execute("SELECT count(*) FROM jobs").fetchone()[0]
        db.close()
        return found

    async def effects(self) -> list[int]:
        db = self._connect()
        found = [number for (number,) in db.execute("SELECT number FROM done")]
        db.close()
        return found
