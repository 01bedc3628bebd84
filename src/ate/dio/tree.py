"""`Tree`, a default type: folders and files by path, as children of each other; it never commits.

A node's id follows from its folder's id and its name, so that a step of a path is one look-up and
a name is taken once, whoever writes at the same time. It has no modes, links or partial writes:
that is a file system's work.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import ClassVar, Final

from ate.crypto.hash import derive, keyed
from ate.dio.dao import Dao
from ate.dio.dio import Dio
from ate.errors import Deleted, LoadError, NotFound, UsageError
from ate.ids import ROOT, ObjectId

_NODE_KEY: Final = derive("ate tree node", b"")


@dataclass(frozen=True)
class Node:
    """A folder (without content) or a file."""

    __ate_type__: ClassVar[str] = "ate.Node"

    name: str
    content: bytes | None = None

    @property
    def is_folder(self) -> bool:
        return self.content is None


class Tree:
    """Paths below one object, in the hands of one unit of work.

    Args:
        dio: what is changed here waits for its commit.
        root: the object to hang under; None is the top of the chain.
    """

    def __init__(self, dio: Dio, root: ObjectId | None = None) -> None:
        self._dio, self._root = dio, ROOT if root is None else root

    async def find(self, path: str) -> Dao[Node]:
        """Return the node at `path`; raises NotFound."""
        *_, last = self._steps(path)
        try:
            return await self._dio.load(Node, last)
        except (NotFound, Deleted):
            raise NotFound(f"no file or folder {path!r}") from None

    async def read(self, path: str) -> bytes:
        """Return a file's content; raises NotFound, or UsageError for a folder."""
        content = (await self.find(path)).value.content
        if content is None:
            raise UsageError(f"{path!r} is a folder")
        return content

    async def write(self, path: str, content: bytes) -> Dao[Node]:
        """Make or replace a file; its folder must be there. Raises NotFound, UsageError."""
        return await self._put(path, content)

    async def mkdir(self, path: str) -> Dao[Node]:
        """Make a folder if it is not there; so must be the folders above it."""
        return await self._put(path, None)

    async def _put(self, path: str, content: bytes | None) -> Dao[Node]:
        *above, last = self._steps(path)
        try:
            node = await self._dio.load(Node, last)
        except (NotFound, Deleted):
            parent = await self._folder(above[-1], path) if above else self._root
            name = path.strip("/").rpartition("/")[2]
            return self._dio.store(Node(name, content), parent=parent, id=last)
        if node.value.is_folder != (content is None):
            raise UsageError(f"{path!r} is a {'folder' if node.value.is_folder else 'file'}")
        return node if content is None else node.update(content=content)

    async def _folder(self, folder_id: ObjectId, path: str) -> ObjectId:
        try:
            node = await self._dio.load(Node, folder_id)
        except LoadError:
            raise NotFound(f"no folder for {path!r}", hint="make it with mkdir() first") from None
        if not node.value.is_folder:
            raise UsageError(f"{path!r} lies below a file")
        return node.id

    async def remove(self, path: str) -> None:
        """Delete a file, or a folder with all that is in it; raises NotFound."""
        (await self.find(path)).delete()

    async def entries(self, path: str = "/") -> AsyncIterator[Node]:
        """Yield what is in a folder, in the order of creation."""
        folder = (await self.find(path)).id if path.strip("/") else self._root
        async for dao in self._dio.children(folder, Node):
            yield dao.value

    async def walk(self, path: str = "/") -> AsyncIterator[tuple[str, Node]]:
        """Yield path and node of everything below a folder, folders before what is in them."""
        base = "/" + path.strip("/")
        async for node in self.entries(path):
            below = f"{base.rstrip('/')}/{node.name}"
            yield below, node
            if node.is_folder:
                async for one in self.walk(below):
                    yield one

    def _steps(self, path: str) -> list[ObjectId]:
        """Return the ids of all nodes on a path."""
        names = path.strip("/").split("/")
        found, above = [], bytes(self._root)
        for name in names:
            if name in ("", ".", ".."):
                raise UsageError(f"not a path: {path!r}", hint="names joined by /, no . or ..")
            above = keyed(_NODE_KEY, above + name.encode())[:16]
            found.append(ObjectId(above))
        return found
