"""What the checkers derive from a history and the final logs; it judges nothing."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from ate.errors import UsageError
from ate.merkle import Frontier
from ate.testing.history import (
    Append,
    Case,
    Entry,
    FinalLog,
    Head,
    Key,
    Operation,
    Read,
)


@dataclass(frozen=True, slots=True)
class Landing:
    """A commit that was applied, with all its attempts taken together.

    Args:
        invoked: when the first attempt began. done: when it was first acknowledged; infinite when
            nobody was told.
        seq, last: of its first and last row.
        operation: the attempt that was acknowledged, or else the first one.
    """

    call: Append
    invoked: float
    done: float
    seq: int
    last: int
    operation: Operation

    @property
    def chain(self) -> str:
        return self.call.chain


class Highest:
    """The highest of some values as it was at any moment.

    Args:
        events: (moment, value, operation that brought it).
    """

    def __init__(self, events: Iterable[tuple[float, int, Operation | None]]) -> None:
        self._moments: list[float] = []
        self._highest: list[tuple[int, Operation | None]] = []
        top: tuple[int, Operation | None] = (0, None)
        for moment, value, operation in sorted(events, key=lambda event: event[:2]):
            if value > top[0]:
                top = (value, operation)
                self._moments.append(moment)
                self._highest.append(top)

    def before(self, moment: float) -> tuple[int, Operation | None]:
        """Return the highest value that came before this moment, (0, None) when none did."""
        count = bisect_left(self._moments, moment)
        return self._highest[count - 1] if count else (0, None)


def appends(case: Case) -> Iterator[tuple[Operation, Append]]:
    """Yield the attempts to append."""
    for operation in case.operations:
        if isinstance(operation.call, Append):
            yield operation, operation.call


def reads(case: Case) -> dict[str, list[tuple[Operation, Head | Read]]]:
    """Return the reads that were answered, by chain, in the order in which they began."""
    found: dict[str, list[tuple[Operation, Head | Read]]] = defaultdict(list)
    for operation in sorted(case.operations, key=lambda one: one.invoked):
        if operation.outcome == "ok" and isinstance(operation.call, Head | Read):
            found[operation.call.chain].append((operation, operation.call))
    return found


def end_of(operation: Operation) -> float:
    """Return when it was answered; infinite when it was not."""
    return inf if operation.done is None else operation.done


def head_of(operation: Operation, call: Head | Read) -> int | None:
    """Return the head that a read shows; None when it may be a part of what there is."""
    answer = operation.answer
    if answer.head is not None:
        return answer.head
    if isinstance(call, Read) and call.fresh:
        return answer.entries[-1][0] if answer.entries else call.first - 1
    return None


def by_chain(logs: Iterable[FinalLog]) -> dict[str, list[FinalLog]]:
    """Return the logs of each chain."""
    found: dict[str, list[FinalLog]] = defaultdict(list)
    for log in logs:
        found[log.chain].append(log)
    return found


def with_origin(log: FinalLog) -> Iterator[Entry]:
    """Yield the commits that a client sent."""
    for entry in log.entries:
        if entry.device or entry.session:
            yield entry


def entries_of(case: Case) -> dict[str, list[Entry]]:
    """Return the commits of each chain that any server has, by seq."""
    found: dict[str, dict[int, Entry]] = defaultdict(dict)
    for log in case.logs:
        for entry in log.entries:
            found[log.chain].setdefault(entry.seq, entry)
    return {chain: [here[seq] for seq in sorted(here)] for chain, here in found.items()}


def landings(case: Case) -> dict[str, list[Landing]]:
    """Return the commits that were applied, by chain and then by seq.

    Those that were acknowledged, and those that a log has although nobody was told.
    """
    attempts: dict[Key, list[tuple[Operation, Append]]] = defaultdict(list)
    for operation, call in appends(case):
        attempts[call.key].append((operation, call))
    there: dict[Key, Entry] = {}
    for log in case.logs:
        for entry in with_origin(log):
            there.setdefault((log.chain, entry.device, entry.session, entry.lsn), entry)
    found: dict[str, list[Landing]] = defaultdict(list)
    for key, tries in attempts.items():
        told = [pair for pair in tries if pair[0].outcome == "ok"]
        one, call = min(told, key=lambda pair: end_of(pair[0])) if told else tries[0]
        seq = one.answer.seq if told else there[key].seq if key in there else 0
        if seq:
            found[call.chain].append(
                Landing(
                    call=call,
                    invoked=min(each.invoked for each, _ in tries),
                    done=end_of(one) if told else inf,
                    seq=seq,
                    last=seq + call.rows - 1,
                    operation=one,
                )
            )
    return {chain: sorted(here, key=lambda one: one.seq) for chain, here in found.items()}


def sightings(case: Case) -> Iterator[tuple[str, int, str, str]]:
    """Yield (chain, seq, digest, who saw it) of all logs, reads and acknowledgements."""
    for log in case.logs:
        for entry in log.entries:
            yield log.chain, entry.seq, entry.digest, f"the log of {log.server}"
    for operation in case.operations:
        call = operation.call
        if operation.outcome != "ok":
            continue
        if isinstance(call, Append):
            yield call.chain, operation.answer.seq, call.digest, str(operation)
        elif isinstance(call, Read):
            for seq, digest in operation.answer.entries:
                yield call.chain, seq, digest, str(operation)


def check_prefix(operation: Operation, call: Read, known: dict[int, int]) -> Iterator[str]:
    """Yield what is wrong with the order of what a read returned.

    Args:
        known: seq of each commit to the seq behind it.
    """
    seqs = [seq for seq, _ in operation.answer.entries]
    if seqs and call.first in known and seqs[0] != call.first:
        yield f"{operation} begins at {seqs[0]}"
    for before, after in pairwise(seqs):
        if after <= before or after != known.get(before, after):
            yield f"{operation} has {after} behind {before}"


def roots_of(log: FinalLog, sizes: Iterable[int]) -> dict[int, bytes]:
    """Return the root of the tree over the first commits, for those sizes that there are.

    Raises:
        UsageError: the log was compacted, and its leaves are not given.
    """
    if log.cut and not log.leaves:
        raise UsageError(f"{log.server} compacted {log.chain}: give all its leaves")
    leaves = log.leaves or [bytes.fromhex(entry.digest) for entry in log.entries]
    wanted, frontier = set(sizes), Frontier()
    found = {0: frontier.root()} if 0 in wanted else {}
    for leaf in leaves:
        frontier = frontier.append(leaf)
        if frontier.size in wanted:
            found[frontier.size] = frontier.root()
    return found


def short(digest: str) -> str:
    """Return enough of a hash to tell it from others."""
    return digest[:8]
