"""`Rules`: validators of the program that serves, asked about each commit before it is ordered.

They see what a server sees: rows, header fields, who signed; no value. What is in a chain already
they are never asked about, so a new rule closes no chain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from ate.chain.admit import propose
from ate.chain.ledger import Ledger
from ate.errors import AteError, RemoteError, UsageError
from ate.event.commit import Record
from ate.mesh.pump import report
from ate.trust.pipeline import Pipeline
from ate.trust.plugin import Enricher, Filter, Projection, Retention, Validator, Worker
from ate.trust.replay import Origins

#: A chain orders nothing while a rule thinks: one that takes longer refuses.
_THINKS_S: Final = 5.0
_OTHERS: Final = (Enricher, Filter, Projection, Retention, Worker)
_HINT: Final = "give it to ate.open, in the programs that hold the keys"


class Rules:
    """See the module.

    Args:
        plugins: the validators.

    Raises:
        UsageError: one of them is no validator, is more than one, stands for a built-in, or has to
            see values.
    """

    def __init__(self, plugins: Sequence[Any]) -> None:
        self._pipeline = Pipeline(plugins, Origins())
        for one in plugins:
            name = getattr(one, "name", type(one).__name__)
            if not isinstance(one, Validator) or isinstance(one, _OTHERS):
                raise UsageError(f"a server asks validators only, and {name!r} is none", hint=_HINT)
            if getattr(one, "reads_values", False):
                raise UsageError(
                    f"{name!r} has to see values, and a server holds no key to them", hint=_HINT
                )
            if one not in self._pipeline.own:
                raise UsageError(
                    f"{name!r} stands for a built-in, or for another one of its name",
                    hint="whoever follows the chain judges with the built-ins: rename it",
                )

    async def judge(self, ledger: Ledger, record: Record, current: Sequence[int]) -> None:
        """Return when no rule is against a commit that is welcome otherwise.

        Args:
            current: what the index says about its ids.

        Raises:
            Refused: a rule is against it, and why.
            RemoteError: a rule failed or took too long.
        """
        proposal = propose(ledger.view, record, current, time_us=record.sequencer.time_us)
        try:
            async with asyncio.timeout(_THINKS_S):
                await self._pipeline.judge_own(proposal)
        except AteError:
            raise
        except TimeoutError:
            raise RemoteError("a rule of the server took too long to decide") from None
        except Exception as error:
            report("a rule of this server failed on a commit", error)
            raise RemoteError("a rule of the server made a mistake") from None
