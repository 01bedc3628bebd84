"""`Overview`: asks a server which of many chains have changed, in one message; it opens none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from ate.crypto.entropy import Entropy, system_entropy
from ate.errors import AteError, Offline, RemoteProtocolError, TrustError
from ate.mesh.line import Line
from ate.mesh.request import error_of
from ate.wire.message import Changed, Failed, Sync
from ate.wire.terms import PeerSession

#: What no further try makes better.
_FINAL: Final = (TrustError, RemoteProtocolError)


class Overview:
    """A port that asks, over a line that others use as well.

    Args:
        line: to the server.
        entropy: for the number of each question.
    """

    def __init__(self, line: Line, entropy: Entropy = system_entropy) -> None:
        self._line, self._entropy = line, entropy
        self._question: Sync | None = None
        self._answer: asyncio.Future[Changed] | None = None

    async def ask(
        self, names: Sequence[str], cursor: dict[bytes, int], *, token: bytes = b"",
        timeout_s: float = 10.0,
    ) -> Changed:  # fmt: skip
        """Return what has changed since `cursor`; asks again when the line breaks meanwhile.

        Raises:
            Offline: there is no answer for so long.
            AteError: what the server has against it.
        """
        more: dict[str, Any] = {"token": token.decode("ascii")} if token else {}
        number = int.from_bytes(self._entropy(7), "little") | 1
        self._question = Sync(number, cursor, list(names), more)
        self._answer = asyncio.get_running_loop().create_future()
        ch = self._line.attach(self)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._answer
        except TimeoutError:
            error = self._line.error
            why = f": {error.message}" if error is not None else ""
            raise Offline(f"no answer from {self._line.url} in {timeout_s:g} s{why}") from None
        finally:
            self._line.detach(ch)

    # --- the line's port ---

    def connected(self, peer: PeerSession) -> None:
        """The line is up: ask."""
        if self._question is not None:
            self._line.send(self._question)

    def received(self, message: Any) -> None:
        """Take the answer, if it is ours."""
        question, answer = self._question, self._answer
        if question is None or answer is None or answer.done():
            return
        if isinstance(message, Changed) and message.ref == question.ref:
            answer.set_result(message)
        elif isinstance(message, Failed) and message.ref == question.ref:
            answer.set_exception(error_of(message))

    def disconnected(self, error: AteError) -> None:
        """The line is down: wait for it, unless that is of no use."""
        if isinstance(error, _FINAL) and self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
