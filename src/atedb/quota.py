"""How much is too much: bytes and chains of each owner; it touches no file and deletes nothing.

The owner of a chain is the key of whoever stored its first commit. Those who proved no key are one
owner together, the empty one.
"""

from __future__ import annotations

from typing import NamedTuple

from ate.errors import LimitExceeded

_HINT = "compact or remove chains of this owner, or raise the server's limit"


class Allowance(NamedTuple):
    """What one owner may keep; 0 is without a limit."""

    bytes: int = 0
    chains: int = 0


class Quota:
    """Who owns which chain, and how large they are.

    Args:
        allowance: of each owner.
    """

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._owner: dict[str, bytes] = {}
        self._size: dict[str, int] = {}
        self._bytes: dict[bytes, int] = {}
        self._chains: dict[bytes, int] = {}

    @property
    def counts_bytes(self) -> bool:
        """Whether there is a limit for them."""
        return self._allowance.bytes > 0

    def own(self, name: str, owner: bytes, size: int = 0) -> bool:
        """Take up a chain; the first owner stays. Tells whether it was new."""
        if name in self._owner:
            return False
        self._owner[name] = owner
        self._chains[owner] = self._chains.get(owner, 0) + 1
        self.grew(name, size)
        return True

    def owner(self, name: str) -> bytes | None:
        """Return the owner of a chain, None when it is not known."""
        return self._owner.get(name)

    def grew(self, name: str, nbytes: int) -> None:
        """Count bytes of a chain; one without an owner is not counted."""
        owner = self._owner.get(name)
        if owner is not None:
            self._size[name] = self._size.get(name, 0) + nbytes
            self._bytes[owner] = self._bytes.get(owner, 0) + nbytes

    def measured(self, name: str, size: int) -> None:
        """Put a chain's true size in place of what was counted: compaction makes it smaller."""
        self.grew(name, size - self._size.get(name, 0))

    def check_new(self, owner: bytes) -> None:
        """Raise LimitExceeded when the owner may have no further chain."""
        count, bound = self._chains.get(owner, 0), self._allowance.chains
        if bound and count >= bound:
            raise LimitExceeded("chains of an owner", count + 1, bound, hint=_HINT)

    def check_bytes(self, name: str, visitor: bytes, nbytes: int) -> None:
        """Raise LimitExceeded when so many bytes more would be too much for the chain's owner.

        Args:
            visitor: who will own the chain when nobody does yet.
        """
        bound = self._allowance.bytes
        if bound:
            owner = self._owner.get(name, visitor)
            total = self._bytes.get(owner, 0) + nbytes
            if total > bound:
                raise LimitExceeded("bytes of an owner", total, bound, hint=_HINT)
