"""The promises of a shared chain, checked after a run; they repair nothing and search nothing.

Each checker is a function of a `Case` and returns each broken promise as a line that names the
operation. Every commit has a hash of its own and logs can be read in full, so that no search is
needed: each takes O(n log n).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from math import inf
from typing import Final, TypeAlias

from ate.testing.history import (
    Answer,
    Append,
    Case,
    Entry,
    FinalLog,
    Key,
    Lookup,
    Operation,
    Read,
    Revoke,
)
from ate.testing.landings import (
    Highest,
    Landing,
    appends,
    by_chain,
    check_prefix,
    end_of,
    entries_of,
    head_of,
    landings,
    reads,
    roots_of,
    short,
    sightings,
    with_origin,
)
from ate.testing.telling import followers_are_told

Checker: TypeAlias = Callable[[Case], list[str]]


def acknowledged_is_there(case: Case) -> list[str]:
    """C1: each acknowledged commit is at its seq with its hash, on every server.

    To be told by a lookup is to be acknowledged, too.
    """
    broken: list[str] = []
    logs = _by_chain_and_seq(case)
    for operation in case.operations:
        call, answer = operation.call, operation.answer
        if operation.outcome != "ok" or not answer.seq or not isinstance(call, Append | Lookup):
            continue
        if call.chain not in logs:
            broken.append(f"{operation}: nobody has the chain at the end")
        for log, places in logs.get(call.chain, ()):
            entry = places.get(answer.seq)
            if entry is None:
                if _is_kept(log, answer):
                    broken.append(
                        f"{operation}: acknowledged at {answer.seq}, which {log.server}"
                        " does not have"
                    )
            elif (entry.device, entry.session, entry.lsn) != call.key[1:] or (
                isinstance(call, Append) and entry.digest != call.digest
            ):
                broken.append(
                    f"{operation}: acknowledged at {answer.seq}, where {log.server} has"
                    f" {short(entry.digest)}, lsn {entry.lsn} of device {entry.device}"
                )
    return broken


def _by_chain_and_seq(case: Case) -> dict[str, list[tuple[FinalLog, dict[int, Entry]]]]:
    return {
        chain: [(log, {entry.seq: entry for entry in log.entries}) for log in logs]
        for chain, logs in by_chain(case.logs).items()
    }


def _is_kept(log: FinalLog, answer: Answer) -> bool:
    """Tell whether a log must still have what was acknowledged so."""
    if answer.index >= 0:
        return answer.index >= log.cut
    kept = next((entry.seq for entry in log.entries if entry.index >= log.cut), None)
    return not log.cut or kept is None or answer.seq >= kept


def applied_once(case: Case) -> list[str]:
    """C2: a commit is in a log once, however often it was sent, and each answer says the same."""
    broken: list[str] = []
    for log in case.logs:
        seen: dict[tuple[int, int, int], Entry] = {}
        for entry in with_origin(log):
            key = (entry.device, entry.session, entry.lsn)
            if key in seen:
                broken.append(
                    f"{log.server} has lsn {entry.lsn} of session {entry.session} of device"
                    f" {entry.device} in {log.chain} at {seen[key].seq} and at {entry.seq}"
                )
            seen[key] = entry
    answers: dict[Key, Operation] = {}
    told = [one for one in case.operations if one.outcome == "ok"]
    for operation in sorted(told, key=end_of):
        if not isinstance(operation.call, Append | Lookup):
            continue
        first = answers.get(operation.call.key)
        if first is None:
            if operation.answer.seq:
                answers[operation.call.key] = operation
        elif operation.answer.seq != first.answer.seq and (
            operation.answer.seq or end_of(first) < operation.invoked
        ):
            broken.append(
                f"{operation}: told seq {operation.answer.seq},"
                f" and {first} was told {first.answer.seq}"
            )
    return broken


def only_what_was_asked(case: Case) -> list[str]:
    """C3: nothing is in a log that nobody sent, and nothing that was refused for good."""
    broken: list[str] = []
    attempts: dict[Key, list[tuple[Operation, Append]]] = defaultdict(list)
    for operation, call in appends(case):
        attempts[call.key].append((operation, call))
    for log in case.logs:
        for entry in with_origin(log):
            asked = attempts.get((log.chain, entry.device, entry.session, entry.lsn), [])
            where = f"{log.server} has {short(entry.digest)} in {log.chain} at {entry.seq}"
            if not asked:
                broken.append(f"{where}, which nobody sent")
                continue
            last, call = asked[-1]
            refused = next((one for one, _ in asked if one.outcome == "fail"), None)
            if all(each.digest != entry.digest for _, each in asked):
                broken.append(f"{where}, and {last} sent {short(call.digest)}")
            elif refused is not None:
                broken.append(f"{where}, and {refused} was refused: {refused.answer.code}")
    return broken


def one_hash_for_a_seq(case: Case) -> list[str]:
    """C4: a seq has one hash for all readers, servers and times, and no log has a gap."""
    broken: list[str] = []
    seen: dict[tuple[str, int], tuple[str, str]] = {}
    for chain, seq, digest, source in sightings(case):
        known = seen.setdefault((chain, seq), (digest, source))
        if known[0] != digest:
            broken.append(
                f"{source}: seq {seq} of {chain} is {short(digest)},"
                f" and it is {short(known[0])} for {known[1]}"
            )
    for log in case.logs:
        for before, after in pairwise(log.entries):
            gap = after.index != before.index + 1 or after.seq != before.last + 1
            if (gap and before.index >= log.cut) or after.seq <= before.last:
                broken.append(
                    f"{log.server}: in {log.chain}, commit {before.index} at {before.seq}"
                    f" is followed by commit {after.index} at {after.seq}"
                )
    return broken


def real_time_order(case: Case) -> list[str]:
    """C5: what was sent after another was acknowledged stands behind it."""
    broken: list[str] = []
    for here in landings(case).values():
        acked = Highest((one.done, one.seq, one.operation) for one in here)
        for one in here:
            before, earlier = acked.before(one.invoked)
            if earlier is not None and before >= one.seq:
                broken.append(
                    f"{one.operation} is at {one.seq}, though it was sent after {earlier}"
                    f" was acknowledged at {before}"
                )
    return broken


def reads_are_fresh(case: Case) -> list[str]:
    """C6: a fresh read shows all that was acknowledged; each other is a prefix that only grows."""
    broken: list[str] = []
    landed, entries = landings(case), entries_of(case)
    for chain, found in reads(case).items():
        here = landed.get(chain, [])
        acked = Highest((one.done, one.last, one.operation) for one in here)
        sent = {one.last: one for one in here}
        known = {entry.seq: entry.last + 1 for entry in entries.get(chain, [])}
        shown: dict[str, list[tuple[float, int, Operation]]] = defaultdict(list)
        for operation, call in found:
            if isinstance(call, Read):
                broken += check_prefix(operation, call, known)
            head = head_of(operation, call)
            if head is None:
                continue
            before, missed = acked.before(operation.invoked)
            if call.fresh and missed is not None and head < before:
                broken.append(f"{operation} shows {head}, and {missed} was at {before} before")
            early = sent.get(head)
            if early is not None and early.invoked > end_of(operation):
                broken.append(f"{operation} shows {head}, which {early.operation} sent later")
            shown[operation.client].append((end_of(operation), head, operation))
        for mine in shown.values():
            seen = Highest(mine)
            for _, head, operation in mine:
                before, earlier = seen.before(operation.invoked)
                if head < before:
                    broken.append(f"{operation} shows {head}, and {earlier} showed {before}")
    return broken


def sessions_keep_their_order(case: Case) -> list[str]:
    """C7: what a session sent first stands first."""
    broken: list[str] = []
    for log in case.logs:
        newest: dict[tuple[int, int], Entry] = {}
        for entry in with_origin(log):
            before = newest.get((entry.device, entry.session))
            if before is not None and before.lsn > entry.lsn:
                broken.append(
                    f"{log.server}: in {log.chain}, lsn {entry.lsn} of session {entry.session} of"
                    f" device {entry.device} is at {entry.seq}, behind lsn {before.lsn}"
                )
            newest[entry.device, entry.session] = entry
    return broken


def conditions_held(case: Case) -> list[str]:
    """C8: what was to follow seq `at` follows it, alone, and each conflict was one."""
    broken: list[str] = []
    landed, entries = landings(case), entries_of(case)
    bounds: dict[str, tuple[Highest, Highest, set[int]]] = {}
    for chain in sorted(landed.keys() | entries.keys()):
        here = landed.get(chain, [])
        broken += _misplaced(here)
        # A commit that is not in the history may have come at any time.
        others = {entry.last for entry in entries.get(chain, [])} - {one.last for one in here}
        bounds[chain] = (
            Highest((one.done, one.last, None) for one in here),
            Highest(
                [(one.invoked, one.last, None) for one in here]
                + [(-inf, last, None) for last in others]
            ),
            {0, *others, *(one.last for one in here)},
        )
    # What is answered may be an earlier attempt that was given up.
    begun: dict[Key, float] = {}
    for operation, call in appends(case):
        begun[call.key] = min(begun.get(call.key, inf), operation.invoked)
    for operation, call in appends(case):
        if operation.answer.code != "conflict" or operation.outcome != "fail" or call.at is None:
            continue
        acked, sent, heads = bounds.get(call.chain, (Highest(()), Highest(()), {0}))
        least, most = acked.before(begun[call.key])[0], sent.before(end_of(operation))[0]
        head = operation.answer.head
        if least == most == call.at:
            broken.append(f"{operation}: no conflict, the head was {call.at} all the time")
        elif head is not None and (
            head == call.at or head not in heads or not least <= head <= most
        ):
            broken.append(f"{operation}: told a head of {head}, which it was not then")
    return broken


def _misplaced(here: list[Landing]) -> list[str]:
    broken: list[str] = []
    took: dict[int, Landing] = {}
    for one in here:
        at = one.call.at
        if at is None:
            continue
        if one.seq != at + 1:
            broken.append(f"{one.operation} is at {one.seq}, not behind {at}")
        other = took.setdefault(at, one)
        if other is not one:
            broken.append(f"{one.operation} and {other.operation} both follow {at}")
    return broken


def fences_hold(case: Case) -> list[str]:
    """C9: once a lease was used with a number, it is not used with a smaller one."""
    broken: list[str] = []
    for log in case.logs:
        highest: dict[str, Entry] = {}
        for entry in log.entries:
            if not entry.fence:
                continue
            before = highest.get(entry.lease)
            if before is not None and before.fence > entry.fence:
                broken.append(
                    f"{log.server}: in {log.chain}, lsn {entry.lsn} of device {entry.device} at"
                    f" {entry.seq} has fence {entry.fence} of lease {entry.lease!r},"
                    f" behind fence {before.fence} at {before.seq}"
                )
            else:
                highest[entry.lease] = entry
    return broken


def roots_are_of_this_tree(case: Case) -> list[str]:
    """C10: each signed root is a root of the final tree."""
    broken: list[str] = []
    logs = by_chain(case.logs)
    wanted: dict[str, set[int]] = defaultdict(set)
    for one in case.stated:
        wanted[one.chain].add(one.commits)
    roots = {
        chain: [(log.server, roots_of(log, sizes)) for log in logs.get(chain, ())]
        for chain, sizes in wanted.items()
    }
    for one in case.stated:
        what = f"{one.source}: a root over {one.commits} commits of {one.chain}"
        if not roots[one.chain]:
            broken.append(f"{what}, which nobody has at the end")
        for server, found in roots[one.chain]:
            if one.commits not in found:
                broken.append(f"{what}, and {server} has fewer")
            elif found[one.commits] != one.root:
                broken.append(f"{what} that is not in the log of {server}")
    return broken


def state_is_the_same(case: Case) -> list[str]:
    """C11: objects and origins are the same before and after whatever keeps the head."""
    broken: list[str] = []
    seen: dict[tuple[str, int], tuple[str, str, str]] = {}
    for one in case.snapshots:
        state, origins, moment = seen.setdefault(
            (one.chain, one.head), (one.state, one.origins, one.moment)
        )
        for what, mine, theirs in (
            ("the objects", one.state, state), ("the origins", one.origins, origins)
        ):  # fmt: skip
            if mine != theirs:
                broken.append(
                    f"{one.moment}: {what} of {one.chain} at {one.head} are not those of {moment}"
                )
    return broken


def revoked_devices_are_out(case: Case) -> list[str]:
    """C13: nothing that a device sends later than the bound after its revocation gets in.

    Behind a revocation that is in the log itself nothing of the device stands, whenever it was
    sent.
    """
    broken: list[str] = []
    revoked: dict[tuple[str, int], Operation] = {}
    barred: dict[tuple[str, int], Operation] = {}
    for operation in sorted(case.operations, key=end_of):
        if isinstance(operation.call, Revoke) and operation.outcome == "ok":
            device = operation.call.chain, operation.call.device
            revoked.setdefault(device, operation)
            if operation.answer.seq:
                barred.setdefault(device, operation)
    for one in (one for here in landings(case).values() for one in here):
        order = revoked.get((one.chain, one.call.device))
        if order is not None and one.invoked > end_of(order) + case.revoke_bound_s:
            broken.append(f"{one.operation} is at {one.seq}, though {order} was before")
    for log in case.logs:
        for entry in with_origin(log):
            order = barred.get((log.chain, entry.device))
            if order is not None and entry.seq > order.answer.seq:
                broken.append(
                    f"{log.server}: in {log.chain}, lsn {entry.lsn} of device {entry.device} is at"
                    f" {entry.seq}, behind {order} at {order.answer.seq}"
                )
    return broken


#: By the names of the design.
CHECKERS: Final[dict[str, Checker]] = {
    "C1": acknowledged_is_there,
    "C2": applied_once,
    "C3": only_what_was_asked,
    "C4": one_hash_for_a_seq,
    "C5": real_time_order,
    "C6": reads_are_fresh,
    "C7": sessions_keep_their_order,
    "C8": conditions_held,
    "C9": fences_hold,
    "C10": roots_are_of_this_tree,
    "C11": state_is_the_same,
    "C12": followers_are_told,
    "C13": revoked_devices_are_out,
}


def check(case: Case) -> list[str]:
    """Return every broken promise, each with the name of its checker."""
    return [f"{name}: {line}" for name, one in CHECKERS.items() for line in one(case)]
