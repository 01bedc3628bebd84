"""Points in the past of a chain as people write them: rows and times; it opens nothing.

A time is ISO 8601: a day (its first moment), or a day and a time; without a zone it is UTC, as all
times that the command prints.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from ate.client import Chain

    _Type = click.ParamType[int | datetime]
else:
    _Type = click.ParamType


class _Point(_Type):
    name = "SEQ|TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | datetime:
        """Return a row or a time; ends the command when it is neither."""
        if isinstance(value, (int, datetime)):
            return value
        text = str(value).strip()
        if text.isascii() and text.isdigit() and len(text) < 19 and int(text):
            return int(text)
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text[:40]!r} is neither a row of the log nor a time, try 17 or "
                      "2026-01-31T18:00", param, ctx)  # fmt: skip
        return found if found.tzinfo else found.replace(tzinfo=UTC)


#: A row or a time, for options and arguments.
POINT: Final = _Point()


def row_at(chain: Chain, point: int | datetime) -> int:
    """Return the row that a point means; raises NotFound for a time before the chain."""
    from ate.errors import NotFound
    from atecli.text import moment

    if isinstance(point, int):
        return point
    seq = chain.seq_at_time(point)
    if not seq:
        raise NotFound(f"the chain began after {moment(point.astimezone(UTC))}")
    return seq
