"""A server's hold on its directories: takes them, shows that it is well, sees when it is deposed.

It opens no chain but those that a deposed owner has open still.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from ate.errors import Deposed, StorageError
from ate.log.ownership import Ownership
from ate.mesh.shelf import DiskShelf
from atedb.journal import Journal
from atedb.settings import Settings
from atedb.standby import Tenure, beat_s, facts_of, own_now, stand_by

#: So long a new owner takes over what the old one has open, before it serves anybody. The rest is
#: taken over when it is opened.
_TAKE_ALL_S: Final = 3.0


class Owning:
    """See the module.

    Args:
        on_deposed: called once, when another server has taken over.
    """

    def __init__(
        self, settings: Settings, journal: Journal, on_deposed: Callable[[Deposed], None]
    ) -> None:
        self._settings, self._journal, self._on_deposed = settings, journal, on_deposed
        self._tenures: list[Tenure] = []
        self._timer: asyncio.TimerHandle | None = None

    @property
    def ownerships(self) -> list[Ownership | None]:
        """What is owned, one for each service; None where nobody stands by."""
        return [tenure.ownership for tenure in self._tenures]

    async def own(self, port: int, stopped: asyncio.Event) -> bool:
        """Own the directories, at once or when it can be; tell whether it is done.

        Args:
            port: where this server listens, for people.
            stopped: wait no longer.

        Raises:
            LogLocked: another server has one, and this one does not stand by.
            StorageError: one cannot be used.
        """
        settings = self._settings
        after_s = settings.stand_by_after_s
        facts = facts_of(settings.address(port), after_s)
        if not settings.stand_by:
            for service in settings.all_services():
                self._tenures.append(own_now(service.folder, facts))
        else:
            tenure = await stand_by(
                settings.path, facts, after_s, journal=self._journal, stopped=stopped
            )
            if tenure is None:
                return False
            self._tenures.append(tenure)
        self._beat()
        return True

    async def take_all(self, shelves: Iterable[DiskShelf]) -> None:
        """Take over what a deposed owner has open, before a late write lands there."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _TAKE_ALL_S
        for shelf in shelves:
            count = await asyncio.to_thread(shelf.take_all, lambda: loop.time() < until)
            if count:
                self._journal.note("took over chains that were open", chains=count)

    def _beat(self) -> None:
        held = [one for one in self.ownerships if one is not None]
        try:
            for one in held:
                one.beat()
        except Deposed as error:
            self._on_deposed(error)
            return
        except StorageError as error:
            self._journal.fault("no sign of life could be given", error)
        if held:
            wait_s = beat_s(self._settings.stand_by_after_s)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._beat)

    def close(self) -> None:
        """Give the directories up."""
        if self._timer is not None:
            self._timer.cancel()
        for tenure in self._tenures:
            tenure.close()
