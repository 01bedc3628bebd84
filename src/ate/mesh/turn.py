"""`Turn`: lets the checkpoint of a root come next, when commits of others were always faster.

A checkpoint must directly follow what it seals. Far from the server one never would, while somebody
commits without a pause: so for a moment the others wait. It orders nothing itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ate.chain.checkpoint import check_signature, checkpoint_in
from ate.chain.ledger import Ledger
from ate.errors import AteError, Conflict
from ate.event.commit import Record
from ate.wire.message import Submit

if TYPE_CHECKING:
    from ate.mesh.guest import Guest

#: The others wait so long at most: for the way to the author and back, and its making it anew.
_WAIT_S: Final = 2.0
#: And they have so long before they wait again.
_REST_S: Final = 4.0
#: Where device and session stand in a commit.
_SOURCE: Final = slice(40, 56)


class Turn:
    """See the module.

    Args:
        ledger: of the chain.
        rouse: called when it is over, for what waits to be looked at.
    """

    def __init__(self, ledger: Ledger, rouse: Callable[[], None]) -> None:
        self._ledger, self._rouse = ledger, rouse
        #: Device and session whose turn it is; and of the commit that has just been let in.
        self._source = self._given = b""
        self._until = self._next = 0.0
        self._timer: asyncio.TimerHandle | None = None
        #: So many of those who wait were looked at already.
        self._seen = 0

    def refused(self, message: Submit, error: AteError) -> None:
        """A commit was refused: if it is a root's checkpoint that came too late, let it try."""
        if message.at is None or not isinstance(error, Conflict) or not self._seals(message):
            return
        loop, source = asyncio.get_running_loop(), message.commit[_SOURCE]
        now = loop.time()
        if source == self._given and now < self._until:
            self._source, self._seen = source, 0  # its author had not heard of all yet
        elif now >= self._next:
            self.end()
            self._source, self._seen = source, 0
            self._until, self._next = now + _WAIT_S, now + _WAIT_S + _REST_S
            self._timer = loop.call_at(self._until, self._over)

    def look(self, inbox: list[tuple[Guest, Submit]]) -> int:
        """Return how many commits may be ordered now, from the first on; moves whose turn it is."""
        if not self._source:
            return len(inbox)
        for at in range(self._seen, len(inbox)):
            if inbox[at][1].commit[_SOURCE] == self._source:
                inbox.insert(0, inbox.pop(at))
                self._given, self._source = self._source, b""
                return 1
        self._seen = len(inbox)
        return 0

    def end(self) -> None:
        """Nobody waits for anybody."""
        self._source = self._given = b""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _over(self) -> None:
        self.end()
        self._rouse()

    def _seals(self, message: Submit) -> bool:
        """Whether a root has signed this, and not to repeat what somebody saw."""
        view = self._ledger.view
        sealed = view.trust.checkpoint.size if view.trust.checkpoint else 0
        try:
            checkpoint = checkpoint_in(view, Record(memoryview(message.commit)))
            if checkpoint is None or checkpoint.size <= sealed:
                return False
            check_signature(view, checkpoint)
        except AteError:
            return False
        return True
