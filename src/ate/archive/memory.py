"""`MemoryStore`: a destination in memory, for tests and trials; it never outlives the process."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from ate.archive.store import Entry
from ate.errors import NotFound


class MemoryStore:
    """Keeps `ObjectStore`.

    Attributes:
        objects: what is in it; a test may look and spoil.
        put_bytes: how much was written since the beginning.
    """

    name = "memory"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.put_bytes = 0
        self._lock = threading.Lock()

    def put_new(self, key: str, data: bytes) -> bool:
        with self._lock:
            if key in self.objects:
                return False
            self.objects[key] = bytes(data)
            self.put_bytes += len(data)
            return True

    def get(self, key: str, limit: int) -> bytes:
        try:
            return self.objects[key][: limit + 1]
        except KeyError:
            raise NotFound(f"there is no object {key}") from None

    def walk(self, prefix: str) -> Iterator[Entry]:
        with self._lock:
            found = sorted(self.objects.items())
        yield from (Entry(key, len(data)) for key, data in found if key.startswith(prefix))

    def folders(self) -> list[str]:
        return sorted({key.partition("/")[0] for key in self.objects if "/" in key})

    def delete(self, key: str) -> None:
        with self._lock:
            self.objects.pop(key, None)
