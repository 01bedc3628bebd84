"""The other servers of a list, and which of them a chain is sent to; it asks none of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ate.crypto.hash import digest
from ate.errors import UsageError
from ate.mesh.url import Url

_NODES_MAX: Final = 4096
_BYTES_MAX: Final = 1024 * 1024


class Nodes:
    """Servers that take what has no room here.

    Args:
        urls: of the others.
    """

    def __init__(self, urls: Sequence[str] = ()) -> None:
        self.urls = tuple(urls)

    def elsewhere(self, name: str) -> str:
        """Return the URL of the server for a chain, the same one as long as the list is the same.

        Empty when there is no other. When a server leaves the list, only its chains go elsewhere.
        """
        return max(self.urls, key=lambda url: digest(f"{url}\n{name}".encode()), default="")

    @classmethod
    def load(cls, path: str | Path, own: str = "") -> Nodes:
        """Read a list: a URL in each line, `#` begins a remark.

        Args:
            own: this server's URL, left out of the list.

        Raises:
            UsageError: a line is no URL; the message has its number.
            OSError: the file cannot be read.
        """
        file = Path(path)
        if file.stat().st_size > _BYTES_MAX:
            raise UsageError(f"{file.name} is too large for a list of servers")
        mine = str(Url.parse(own)) if own else ""
        found: dict[str, None] = {}
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
            text = line.partition("#")[0].strip()
            if text:
                try:
                    found[str(Url.parse(text))] = None
                except UsageError as error:
                    raise UsageError(
                        f"{file.name} line {number}: {error.message}", hint=error.hint
                    ) from None
        found.pop(mine, None)
        if len(found) > _NODES_MAX:
            raise UsageError(f"{file.name} names {len(found)} servers, at most {_NODES_MAX}")
        return cls(tuple(found))
