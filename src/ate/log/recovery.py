"""What opening a log decides: which generation lives, where it ends, what is torn or damaged.

It never removes bytes that it did not first copy aside, and never changes a damaged log.
"""

from __future__ import annotations

import os.path
import re
from dataclasses import dataclass
from typing import Final

from ate.errors import CorruptLog, UnsupportedFormat
from ate.log import segment
from ate.log.disk import Disk, DiskFile
from ate.log.segment import HEADER_BYTES

CURRENT: Final = "CURRENT"
LOCK: Final = "LOCK"
INDEX: Final = "index"
_NEW: Final = ".new"
DOOMED: Final = "doomed."
#: Begins the name of a directory inside a chain's own, see `home`.
EPOCH: Final = ".epoch-"
_EPOCH: Final = re.compile(r"\.epoch-([1-9][0-9]{0,9})")
_GENERATION: Final = re.compile(r"[0-9]{6}")
_SEGMENT: Final = re.compile(r"(head|body)\.([0-9]{6})")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the bytes of a head segment hold, in offsets within those bytes.

    Attributes:
        last: the last whole frame, -1 when there is none.
        end: behind it.
        rest: how many bytes follow up to the last that is not zero; 0 is a clean end.
        proof: a later frame that proves damage behind `end`, or -1.
    """

    last: int
    end: int
    rest: int
    proof: int


def judge(view: memoryview, start: int, place: int) -> Verdict:
    """Find where the frames of a segment end, and tell a torn tail from damage.

    Bytes that were confirmed durable cannot be torn: so when a later frame knew that more was
    durable than the frames that are whole, the log was damaged afterwards.

    Args:
        view: bytes of the segment up to the end of the file.
        start: offset in them of a frame, from which to verify.
        place: the place of the first of them.
    """
    last, end = segment.valid_end(view, start, len(view))
    if segment.is_zero(view[end:]):
        return Verdict(last, end, 0, -1)
    rest = len(bytes(view[end:]).rstrip(b"\0"))
    return Verdict(last, end, rest, segment.confirms(view, end, place + end))


def generation_path(directory: str, generation: int) -> str:
    """Return the directory of a generation."""
    return f"{directory}/{generation:06d}"


def home(disk: Disk, directory: str) -> str:
    """Return where the chain of a directory is, or would be.

    That is the directory itself, or the newest of those in it that a server has made when it took
    over from one that hangs; see `ate.log.takeover`.
    """
    for epoch in reversed(epochs(disk, directory)):
        path = epoch_path(directory, epoch)
        if disk.exists(f"{path}/{CURRENT}"):
            return path
    return directory


def is_chain(disk: Disk, directory: str) -> bool:
    """Tell whether there is a chain in a directory; raises what `locate` raises."""
    return bool(locate(disk, home(disk, directory)))


def epochs(disk: Disk, directory: str) -> list[int]:
    """Return the epochs that have a directory in that of a chain, finished or not."""
    names = disk.listdir(directory)
    return sorted(int(match[1]) for match in map(_EPOCH.fullmatch, names) if match)


def epoch_path(directory: str, epoch: int) -> str:
    """Return where the owner of an epoch goes on with a chain that it took over."""
    return f"{directory}/{EPOCH}{epoch}"


def epoch_of(path: str) -> int:
    """Return the epoch of what `home` has returned; 0 when the chain was never taken over."""
    match = _EPOCH.fullmatch(os.path.basename(path))
    return int(match[1]) if match else 0


def is_generation(name: str) -> bool:
    """Tell whether a directory of this name is a generation of the chain around it."""
    return bool(_GENERATION.fullmatch(name))


def replace(disk: Disk, path: str, parts: tuple[bytes | bytearray | memoryview, ...]) -> None:
    """Give a file new content: after a crash the old or the new is there, whole."""
    file = disk.create(path + _NEW)
    try:
        file.pwrite(parts, 0)
        file.datasync()
    finally:
        file.close()
    disk.rename(path + _NEW, path)
    disk.sync_dir(os.path.dirname(path))


def create_segment(disk: Disk, directory: str, kind: int, number: int) -> None:
    """Make an empty segment file; `directory` is that of its generation.

    The name appears only over a complete header, so a crash leaves no half-made segment.
    """
    generation = int(os.path.basename(directory))
    path = f"{directory}/{segment.file_name(kind, number)}"
    replace(disk, path, (segment.encode_header(kind, number, generation),))


def locate(disk: Disk, directory: str) -> int:
    """Return the live generation, or 0 when there is no chain here.

    Raises:
        UnsupportedFormat: CURRENT says something else.
        CorruptLog: the generation is missing, or there is one and CURRENT is missing.
    """
    names = disk.listdir(directory)
    if CURRENT not in names:
        for name in names:
            if is_generation(name) and _holds_frames(disk, f"{directory}/{name}"):
                raise CorruptLog(f"there are frames in {name} but no {CURRENT}")
        return 0
    file = disk.open(f"{directory}/{CURRENT}", readonly=True)
    try:
        text = file.pread(64, 0)
    finally:
        file.close()
    if not re.fullmatch(rb"[0-9]{6}\n", text) or not int(text):
        raise UnsupportedFormat(f"{CURRENT} does not name a generation")
    name = text[:6].decode()
    if name in names:
        return int(name)
    if DOOMED + name in names:
        return 0
    raise CorruptLog(f"{CURRENT} names generation {name}, which is missing")


def _holds_frames(disk: Disk, directory: str) -> bool:
    """Tell whether a generation holds more than the empty segments of its creation."""
    for _, number in segments(disk, directory):
        if number > 1:
            return True
    path = f"{directory}/{segment.file_name(segment.HEAD, 1)}"
    if not disk.exists(path):
        return False
    file = disk.open(path, readonly=True)
    try:
        return file.size() > HEADER_BYTES
    finally:
        file.close()


def create(disk: Disk, directory: str) -> int:
    """Make the first generation durable and return its number.

    Whatever an interrupted creation or destruction left is completed or removed.
    """
    for name in disk.listdir(directory):
        if name.startswith(DOOMED):
            # Without a live generation CURRENT can only name the one that was to go.
            disk.remove(f"{directory}/{CURRENT}")
            disk.sync_dir(directory)
            disk.rmtree(f"{directory}/{name}")
    path = generation_path(directory, 1)
    disk.mkdir(path)
    create_segment(disk, path, segment.HEAD, 1)
    disk.sync_dir(directory)
    # CURRENT comes last: who finds it need not look whether the directories above are durable.
    _sync_ancestors(disk, directory)
    replace(disk, f"{directory}/{CURRENT}", (b"000001\n",))
    return 1


def make_directory(disk: Disk, directory: str) -> None:
    """Make a directory and those above it."""
    if disk.exists(directory):
        return
    above = os.path.dirname(directory)
    if above and above != directory:
        make_directory(disk, above)
    disk.mkdir(directory)


def _sync_ancestors(disk: Disk, directory: str) -> None:
    """Make the directories above durable, also those that an interrupted creation made."""
    above = os.path.dirname(directory)
    while above and above != directory:
        disk.sync_dir(above)
        directory, above = above, os.path.dirname(above)


def files(disk: Disk, directory: str, generation: int) -> dict[str, int]:
    """Return the names and sizes of the files of a generation."""
    sizes = {}
    for name in disk.listdir(generation_path(directory, generation)):
        file = disk.open(f"{generation_path(directory, generation)}/{name}", readonly=True)
        sizes[f"{generation:06d}/{name}"] = file.size()
        file.close()
    return sizes


def doom(disk: Disk, directory: str, generation: int) -> None:
    """Remove the files of a chain; once begun, the next open finishes it."""
    name = f"{generation:06d}"
    disk.rename(f"{directory}/{name}", f"{directory}/{DOOMED}{name}")
    disk.sync_dir(directory)
    disk.remove(f"{directory}/{CURRENT}")
    disk.sync_dir(directory)
    disk.rmtree(f"{directory}/{DOOMED}{name}")
    disk.remove(f"{directory}/{CURRENT}{_NEW}")
    disk.remove(f"{directory}/{LOCK}")
    disk.rmdir(directory)  # unless other chains lie below


def segments(disk: Disk, directory: str) -> list[tuple[int, int]]:
    """Return (kind, number) of the segment files in a generation, in order."""
    kinds = {name: kind for kind, name in segment.KIND_NAMES.items()}
    found = []
    for name in disk.listdir(directory):
        match = _SEGMENT.fullmatch(name)
        if match:
            found.append((kinds[match[1]], int(match[2])))
    return sorted(found)


def count_segments(disk: Disk, directory: str, kind: int) -> int:
    """Return how many segments of a kind there are.

    Raises:
        CorruptLog: one of them, or the first head, is missing.
    """
    numbers = [number for which, number in segments(disk, directory) if which == kind]
    if numbers != list(range(1, len(numbers) + 1)) or (kind == segment.HEAD and not numbers):
        raise CorruptLog(f"a {segment.KIND_NAMES[kind]} segment is missing")
    return len(numbers)


def settle(
    disk: Disk, path: str, file: DiskFile, number: int, start: int
) -> tuple[Verdict, int, tuple[str, ...]]:
    """Make the last segment ready for more: what is torn is kept aside, the rest made durable.

    Args:
        disk: where the segment is.
        path: its path.
        file: the segment, open for writing.
        number: its segment number.
        start: offset of a frame that need not be verified again, or 0.

    Returns:
        Where its frames end, how long the file is, and a line about a torn tail if there was one.

    Raises:
        CorruptLog: it is damaged; nothing was changed.
    """
    size, torn = file.size(), ""
    view = file.map(size)
    if not start or not segment.is_frame(view, start, size):
        start = HEADER_BYTES
    verdict = judge(view, start, segment.place_of(number, 0))
    if verdict.proof >= 0:
        name = os.path.basename(path)
        raise CorruptLog("a frame is damaged", offset=verdict.end, file=name)
    if verdict.rest:
        side = set_aside(disk, path, file, verdict)
        end = segment.place_of(number, verdict.end)
        torn, size = torn_note(path, verdict, end, f"kept as {side}"), verdict.end
    confirm(file, view, verdict, number)
    generation = os.path.dirname(path)
    disk.sync_dir(generation)
    disk.sync_dir(os.path.dirname(generation))
    return verdict, size, (torn,) if torn else ()


def set_aside(disk: Disk, path: str, file: DiskFile, verdict: Verdict) -> str:
    """Move a torn tail to a side file, cut it off durably, and return the side file's name.

    Args:
        disk: where the segment is.
        path: its path.
        file: the segment, open for writing.
        verdict: what `judge` said about all of it.
    """
    side = f"{path}.torn-{verdict.end}"
    serial = 1
    while disk.exists(side):
        serial += 1
        side = f"{path}.torn-{verdict.end}-{serial}"
    replace(disk, side, (file.pread(verdict.rest, verdict.end),))
    file.truncate(verdict.end)
    file.datasync()
    return os.path.basename(side)


def torn_note(path: str, verdict: Verdict, end: int, outcome: str) -> str:
    """Return one line about a torn tail that begins at the place `end`."""
    name, (_, offset) = os.path.basename(path), segment.split(end)
    return f"{name}: {verdict.rest} bytes of an unfinished write at {offset}, {outcome}"


def confirm(file: DiskFile, view: memoryview, verdict: Verdict, number: int) -> None:
    """Make the frames of the last segment durable that no later frame knew to be.

    They are written once more before the flush: after a flush that failed, the system may show
    bytes that it will never write, and call them clean.

    Args:
        file: the segment, open for writing.
        view: its bytes.
        verdict: what `judge` said about all of it.
        number: its segment number.
    """
    if verdict.last >= 0:
        known, offset = segment.split(segment.durable_of(view, verdict.last))
        start = min(offset, verdict.last) if known == number else HEADER_BYTES
        file.pwrite((bytes(view[start : verdict.end]),), start)
    file.datasync()
