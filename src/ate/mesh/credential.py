"""`Credential`: what a server's gate is shown, and what of it was refused; it sends nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ate.errors import AteError, NetworkError, UsageError

#: A token, or a function that returns the newest: programs outlive tokens.
Token: TypeAlias = str | bytes | Callable[[], str | bytes]


class Credential:
    """The token of one chain.

    Args:
        token: empty where the server wants none.
    """

    def __init__(self, token: Token = b"") -> None:
        self._token = token
        self._shown = b""
        self._next: bytes | None = None
        self._refused: tuple[object, bytes] | None = None

    def show(self) -> bytes:
        """Return the token for an opening.

        Raises:
            NetworkError: the function that returns it has failed.
            UsageError: what it returns is neither text nor bytes.
        """
        found, self._next = self._next, None
        self._shown = self._ask() if found is None else found
        return self._shown

    def refuse(self, connection: object) -> None:
        """The gate does not take what it was shown last, and will not on this connection."""
        self._refused = connection, self._shown

    def is_spent(self, connection: object) -> bool:
        """Tell whether there is nothing to show but what was refused on this very connection."""
        if self._refused is None or self._refused[0] is not connection:
            return False
        try:
            self._next = self._ask()
        except AteError:
            return True
        return self._next == self._refused[1]

    def _ask(self) -> bytes:
        found: object = self._token
        if callable(found):
            try:
                found = found()
            except AteError:
                raise
            except Exception as error:
                # What it says may hold anything; the error itself is there for who debugs.
                raise NetworkError(
                    f"there is no token: its function raised {type(error).__name__}",
                    hint="the function in connection={'token': …} is at fault; it is called again",
                ) from error
        if isinstance(found, str):
            found = found.encode("utf-8", "replace")
        if not isinstance(found, bytes):
            raise UsageError(
                f"a token is text or bytes, not {type(found).__name__}",
                hint="give connection={'token': …} the token, or a plain function that returns it",
            )
        return found.strip()
