"""Repairs a damaged log from copies of it: plans, proves the plan, and only then writes.

What is written was verified as a whole chain before, signatures and rules included. It never
touches a byte outside of the damaged ranges, and keeps what it replaces beside the file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ate.chain.bodies import relocated
from ate.chain.mended import Mend, Mended, Stretch, Tail
from ate.chain.source import Source
from ate.chain.survey import Survey
from ate.chain.verify import Verification, verify
from ate.errors import Conflict, CorruptLog
from ate.log import recovery, salvage, segment
from ate.log.disk import Disk, RealDisk
from ate.log.local import LocalLog
from ate.log.patch import replace_parts
from ate.log.salvage import Salvage
from ate.log.segment import HEADER_BYTES


@dataclass(slots=True)
class Repair:
    """What was found and done.

    Args:
        generation: the live one.
        mends: the ranges that were replaced, or would be.
        kept: names under which the damaged files are kept.
        beyond: commits that a source has behind the end of this log and that were left there.
        appended: commits that were added behind the end.
        torn: bytes of an unfinished write at the end, which the next writer sets aside.
        is_written: False for a rehearsal, and when there was nothing to do.
        found: the verification of the repaired log.
    """

    generation: int
    mends: list[Mend]
    beyond: int = 0
    appended: int = 0
    torn: int = 0
    is_written: bool = False
    kept: list[str] = field(default_factory=list)
    found: Verification = field(default_factory=Verification)


async def repair(
    directory: str | os.PathLike[str],
    sources: Sequence[Source],
    *,
    disk: Disk | None = None,
    tail: bool = False,
    dry_run: bool = False,
    plugins: Sequence[Any] = (),
    progress: Callable[[int], None] | None = None,
) -> Repair:
    """Replace the damaged ranges of the log in a directory by what copies of it hold there.

    Args:
        directory: the chain's own directory.
        sources: copies of the chain; the first that has what is missing gives it.
        disk: where the log is.
        tail: also append the commits that follow in the sources.
        dry_run: only say what would be done; take no lock, write nothing.
        plugins: the validators the chain is used with, beyond the built-ins.
        progress: called with the bytes of each commit that is verified.

    Raises:
        LogLocked: somebody writes to it.
        UntrustedRoot, NotFound, Conflict: the sources are of another chain, lack something, or
            have something else there. Nothing was changed.
        UnsupportedFormat: a newer version wrote it. Nothing was changed.
        CorruptLog: even repaired it would not verify, or nothing is left of it. Nothing was
            changed.
    """
    disk = disk or RealDisk()
    path = recovery.home(disk, os.fspath(directory))
    lock_path = f"{path}/{recovery.LOCK}"
    had_lock = disk.exists(lock_path)
    salvage.live(disk, path)  # before there is a lock file: a directory without a chain gets none
    lock = None if dry_run else disk.lock(lock_path)
    done = False
    try:
        plan = await _plan(disk, path, sources, tail=tail, plugins=plugins, progress=progress)
        result = plan.result
        if not dry_run and (result.mends or plan.tail):
            _write(disk, path, plan)
            done = True
    finally:
        if lock is not None:
            lock.close()
            if not had_lock and not done:
                disk.remove(lock_path)
    if done:
        if plan.tail:
            _append(disk, path, plan)
        log = LocalLog.open(path, disk=disk, readonly=True)
        try:
            result.found = await verify(log, plugins=plugins, progress=progress)
        finally:
            log.close()
        result.is_written = True
    return result


@dataclass(slots=True)
class _Plan:
    survey: Survey
    result: Repair
    tail: list[Tail]
    end: int
    names_current: bool


async def _plan(
    disk: Disk,
    path: str,
    sources: Sequence[Source],
    *,
    tail: bool,
    plugins: Sequence[Any],
    progress: Callable[[int], None] | None,
) -> _Plan:
    """Survey the log and prove that it is a sound chain with what is to be put in."""
    generation, is_named = salvage.live(disk, path)
    survey = Survey(Salvage(disk, path, generation), sources)
    survey.run()
    last = survey.stretches[-1] if survey.stretches else Stretch(1, HEADER_BYTES, HEADER_BYTES)
    number = survey.ours.last[segment.HEAD]
    stop = last.stop if last.number == number else HEADER_BYTES
    mends = list(survey.mends)
    if not is_named:
        mends.append(Mend(recovery.CURRENT, 0, 7, "current"))
    result = Repair(generation, mends, torn=survey.torn)
    stretches, bodies = list(survey.stretches), dict(survey.bodies)
    more: list[Tail] = []
    if tail:
        more = list(survey.tail())
        payloads = []
        for one in more:
            places = {at: survey.new_place(len(body)) for at, body in one.bodies.items()}
            bodies |= {places[at]: body for at, body in one.bodies.items()}
            payloads.append(relocated(one.record, places))
        size = sum(segment.frame_size(len(payload)) for payload in payloads)
        stretches.append(Stretch(number, stop, stop + size, payloads))
    result.appended, result.beyond = len(more), survey.beyond()
    mended = Mended(survey.ours, stretches, bodies)
    result.found = await verify(mended, plugins=plugins, progress=progress)
    if result.found.newer is not None:
        raise result.found.newer
    if not result.found.ok:
        raise CorruptLog(
            f"it does not verify even with what the source has: {result.found.problems[0]}",
            hint="nothing was changed; try another copy, or restore a backup",
        )
    return _Plan(survey, result, more, segment.place_of(number, stop), is_named)


def _write(disk: Disk, path: str, plan: _Plan) -> None:
    """Bodies before the commits that name them, and last the name of the generation."""
    survey, result = plan.survey, plan.result
    folder = survey.ours.path
    if survey.has_moved:
        disk.remove(f"{folder}/{recovery.INDEX}")
        disk.sync_dir(folder)
    for kind, number in sorted(survey.patches, reverse=True):
        name = segment.file_name(kind, number)
        kept = replace_parts(disk, f"{folder}/{name}", survey.patches[kind, number])
        if kept:
            result.kept.append(kept)
    if not plan.names_current:
        text = f"{result.generation:06d}\n".encode()
        recovery.replace(disk, f"{path}/{recovery.CURRENT}", (text,))


def _append(disk: Disk, path: str, plan: _Plan) -> None:
    """Append the proven commits as a writer does."""
    log = LocalLog.open(path, disk=disk, create=False)
    try:
        if log.end != plan.end:
            raise Conflict("somebody wrote to the chain meanwhile", hint="run it again")
        for one in plan.tail:
            places = {at: log.write_body([body]) for at, body in one.bodies.items()}
            log.append([relocated(one.record, places)])
        log.flush()
    finally:
        log.close()
