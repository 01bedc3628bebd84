"""C12: followers are told in time how long a chain is; it derives nothing else from a run."""

from __future__ import annotations

from itertools import pairwise

from ate.testing.history import Case


def followers_are_told(case: Case) -> list[str]:
    """C12: whoever follows is told in time once all is mended, and never less than before."""
    broken: list[str] = []
    for one in case.followers:
        for (_, before), (moment, length) in pairwise(one.told):
            if length < before:
                broken.append(
                    f"{one.name} was told a length of {length} of {one.chain} at {moment:g},"
                    f" and {before} before"
                )
    for mended in case.mended:
        due = mended.moment + mended.within_s
        for one in case.followers:
            if one.chain != mended.chain or one.since > mended.moment or one.until < due:
                continue
            length = max((told for moment, told in one.told if moment <= due), default=0)
            if length < mended.length:
                late = next((at for at, told in one.told if told >= mended.length), None)
                then = "never more" if late is None else f"the rest at {late:g}"
                broken.append(
                    f"{one.name} was told a length of {length} of {one.chain} until {due:g},"
                    f" {then}: it is {mended.length}, and all was mended at {mended.moment:g}"
                )
    return broken
