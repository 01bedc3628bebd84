"""`land`: a commit that is waited for to its end.

It undoes nothing, that is for the caller to do.
"""

from __future__ import annotations

import asyncio

from ate.dio.clash import Guard
from ate.dio.dio import Dio
from ate.dio.receipt import Receipt
from ate.dio.transaction import Durability


async def land(
    dio: Dio, durability: Durability | None = None, *, lease: Guard | None = None
) -> Receipt:
    """Commit; a cancelled caller learns of it only when the commit has landed or failed.

    A plain `dio.commit()` that is cancelled leaves open whether its changes will land. After this
    one the `seq` of its objects tells.

    Raises:
        CancelledError: the caller was cancelled; the commit is over.
        AteError: as `dio.commit`.
    """
    task = asyncio.ensure_future(dio.commit(durability, lease=lease))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise
