"""The peers, each behind the same five verbs; no peer is given less durability than the product.

`put` is one commit: when it returns, the rows are flushed to the disk (`durable=True`).
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

from tools.race.records import Row

_MAP_BYTES: Final = 8 << 30
_ZODB_CACHE: Final = 400_000
_PAGE: Final = 5_000


class Peer(Protocol):
    """A store of rows by number."""

    def put(self, rows: Sequence[Row]) -> None: ...
    def get(self, number: int) -> Row: ...
    def scan(self) -> list[Row]: ...
    def close(self) -> None: ...


class Sqlite:
    """sqlite3 in WAL mode with synchronous=FULL."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self._db = self._connect(str(folder / "rows.db"))
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS rows(id INTEGER PRIMARY KEY, name TEXT, data TEXT)"
        )

    def _connect(self, path: str) -> Any:
        return sqlite3.connect(path, isolation_level=None)

    def put(self, rows: Sequence[Row]) -> None:
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR REPLACE INTO rows VALUES(?,?,?)", rows)
        self._db.execute("COMMIT")

    def get(self, number: int) -> Row:
        found: Row = self._db.execute("SELECT * FROM rows WHERE id=?", (number,)).fetchone()
        return found

    def scan(self) -> list[Row]:
        found: list[Row] = self._db.execute("SELECT * FROM rows").fetchall()
        return found

    def close(self) -> None:
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()


class SqlCipher(Sqlite):
    """The same with every page encrypted and authenticated."""

    def _connect(self, path: str) -> Any:
        sqlcipher3: Any = import_module("sqlcipher3")
        db = sqlcipher3.connect(path, isolation_level=None)
        db.execute("PRAGMA key='a passphrase of the benchmark'")
        return db


class Lmdb:
    """LMDB with its default flags: a commit is flushed."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        lmdb: Any = import_module("lmdb")
        import msgspec

        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Row).decode
        self._env = lmdb.open(str(folder / "rows"), map_size=_MAP_BYTES, sync=durable)

    def put(self, rows: Sequence[Row]) -> None:
        with self._env.begin(write=True) as change:
            for one in rows:
                change.put(one[0].to_bytes(8, "big"), self._encode(one))

    def get(self, number: int) -> Row:
        with self._env.begin(buffers=True) as view:
            found: Row = self._decode(view.get(number.to_bytes(8, "big")))
            return found

    def scan(self) -> list[Row]:
        with self._env.begin(buffers=True) as view:
            return [self._decode(value) for _, value in view.cursor()]

    def close(self) -> None:
        self._env.close()


class Zodb:
    """ZODB on a FileStorage: persistent objects in a BTree, all of them cached."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        from tools.race.zodb_rows import ZodbRow

        make_storage: Any = import_module("ZODB.FileStorage").FileStorage
        tree: Any = import_module("BTrees.LOBTree").LOBTree
        if not durable:
            # FileStorage has no option for it; its module calls fsync if there is one.
            module: Any = sys.modules["ZODB.FileStorage.FileStorage"]
            module.fsync = None
        self._make: Any = ZodbRow
        self._transaction: Any = import_module("transaction")
        storage = make_storage(str(folder / "rows.fs"))
        self._db: Any = import_module("ZODB").DB(storage, cache_size=_ZODB_CACHE)
        self._connection = self._db.open()
        root = self._connection.root()
        if "rows" not in root:
            root["rows"] = tree()
            self._transaction.commit()
        self._rows = root["rows"]

    def put(self, rows: Sequence[Row]) -> None:
        for one in rows:
            known = self._rows.get(one[0])
            if known is None:
                self._rows[one[0]] = self._make(*one)
            else:
                known.name, known.data = one[1], one[2]
        self._transaction.commit()
        self._connection.cacheGC()

    def get(self, number: int) -> Row:
        found: Row = self._rows[number].as_row()
        return found

    def scan(self) -> list[Row]:
        return [one.as_row() for one in self._rows.values()]

    def pack(self) -> None:
        """Drop what was superseded."""
        self._db.pack()

    def close(self) -> None:
        self._connection.close()
        self._db.close()


class EventSourcingAes:
    """eventsourcing with its SQLite recorder and its AES cipher: one aggregate a row."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        from tools.race.aggregates import Aggregates, Thing

        if not durable:
            raise NotImplementedError("this peer always flushes")
        key = folder / "key"
        if not key.exists():
            cipher: Any = import_module("eventsourcing.cryptography").AESCipher
            key.write_text(cipher.create_key(32))
        self._make: Any = Thing
        self._seen: dict[int, Any] = {}
        self._app: Any = Aggregates(
            {
                "PERSISTENCE_MODULE": "eventsourcing.sqlite",
                "SQLITE_DBNAME": str(folder / "rows.db"),
                "CIPHER_TOPIC": "eventsourcing.cryptography:AESCipher",
                "CIPHER_KEY": key.read_text(),
            }
        )

    def put(self, rows: Sequence[Row]) -> None:
        changed = []
        for one in rows:
            known = self._seen.get(one[0])
            if known is None:
                known = self._seen[one[0]] = self._make(*one)
            else:
                known.change(one[1], one[2])
            changed.append(known)
        self._app.save(*changed)

    def get(self, number: int) -> Row:
        found: Row = self._app.repository.get(self._make.create_id(number, "", "")).as_row()
        return found

    def scan(self) -> list[Row]:
        found: dict[Any, Any] = {}
        start = 1
        while page := self._app.recorder.select_notifications(start=start, limit=_PAGE):
            for note in page:
                event = self._app.mapper.to_domain_event(note)
                found[note.originator_id] = event.mutate(found.get(note.originator_id))
            start = page[-1].id + 1
        return [one.as_row() for one in found.values()]

    def close(self) -> None:
        self._app.close()


class RawDisk:
    """No store at all: the rows appended to one file and flushed; what the disk can do."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self._durable = durable
        self._path = folder / "raw"
        self._file = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_RDWR)

    def put(self, rows: Sequence[Row]) -> None:
        text = "".join([f"{number},{name},{data}\n" for number, name, data in rows])
        os.write(self._file, text.encode())
        if self._durable:
            os.fdatasync(self._file)

    def get(self, number: int) -> Row:
        return self.scan()[number]

    def scan(self) -> list[Row]:
        lines = (line.split(",") for line in self._path.read_text().splitlines())
        return [(int(number), name, data) for number, name, data in lines]

    def close(self) -> None:
        os.close(self._file)


#: Name → (class, modules it needs).
PEERS: Final[dict[str, tuple[Any, tuple[str, ...]]]] = {
    "sqlite": (Sqlite, ("sqlite3",)),
    "sqlcipher": (SqlCipher, ("sqlcipher3",)),
    "lmdb": (Lmdb, ("lmdb", "msgspec")),
    "zodb": (Zodb, ("ZODB", "BTrees", "transaction")),
    "eventsourcing-aes": (EventSourcingAes, ("eventsourcing", "Crypto")),
    "raw disk": (RawDisk, ()),
}


def open_peer(name: str, folder: Path, *, durable: bool = True) -> Peer:
    """Open a peer by name, making its files when there are none."""
    made: Peer = PEERS[name][0](folder, durable=durable)
    return made
