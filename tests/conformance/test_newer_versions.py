"""What a newer version wrote is told, with what to do, and is left as it is: every byte of it.

The files are those of a golden log with one thing in it from a version that does not exist yet.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import ate
from ate.crypto.hash import check64
from ate.errors import UnsupportedFormat
from ate.event.commit import SequencerPart
from ate.event.row import Kind
from ate.event.system import Genesis, encode
from ate.ids import ROOT
from ate.log import segment
from ate.testing.forger import Forger, Line
from ate.testing.tamper import ordered
from atecli.main import main

GOLDEN = Path(__file__).resolve().parent.parent / "vectors/logs/v1/plain"


def head(folder: Path) -> Path:
    return folder / "000001/head.000001"


def frame(payload: bytes, durable: int, reserved: int = 0) -> bytes:
    raw = bytearray(segment.encode_frame(payload, durable))
    raw[24:32] = reserved.to_bytes(8, "little")
    raw[8:16] = check64((bytes(raw[16:32]), payload)).to_bytes(8, "little")
    return bytes(raw) + payload + bytes(-len(payload) % 8)


def last_frame(folder: Path) -> tuple[int, bytes]:
    raw = head(folder).read_bytes()
    view = memoryview(raw)
    at, payload = list(segment.frames(view, segment.HEADER_BYTES, len(view)))[-1]
    return at, bytes(payload)


def newer_header(folder: Path) -> None:
    raw = bytearray(head(folder).read_bytes())
    raw[8:10] = (segment.VERSION + 1).to_bytes(2, "little")
    raw[56:64] = check64((bytes(raw[:56]),)).to_bytes(8, "little")
    head(folder).write_bytes(raw)


def newer_frame(folder: Path) -> None:
    at, payload = last_frame(folder)
    raw = head(folder).read_bytes()[:at]
    head(folder).write_bytes(raw + frame(payload, segment.place_of(1, at), reserved=3))


def newer_commit(folder: Path) -> None:
    at, payload = last_frame(folder)
    raw = head(folder).read_bytes()[:at]
    newer = bytes([payload[0] + 1]) + payload[1:]
    head(folder).write_bytes(raw + frame(newer, segment.place_of(1, at)))


def newer_genesis(folder: Path) -> None:
    body = encode(Genesis("golden", 7, "quantum", bytes(16)))
    line = Line(ROOT, kind=Kind.GENESIS, body=body)
    commit = Forger(bytes(32)).commit(line)
    payload = ordered(commit, SequencerPart(1, 1, 0, bytes(32)))
    raw = segment.encode_header(segment.HEAD, 1, 1)
    head(folder).write_bytes(raw + frame(payload, segment.place_of(1, 64)))


def newer_current(folder: Path) -> None:
    (folder / "CURRENT").write_bytes(b"2:000001\n")


NEWER: dict[str, Callable[[Path], None]] = {
    "segment header": newer_header,
    "frame": newer_frame,
    "commit": newer_commit,
    "genesis": newer_genesis,
    "CURRENT": newer_current,
}
#: A writer makes the last frames durable once more before it looks into them: the same bytes.
REWRITTEN = {"commit", "genesis"}
#: It prints fields and judges nothing.
SHOWN = {("genesis", "dump")}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ATE_HOME", str(tmp_path))
    monkeypatch.delenv("ATE_IDENTITY", raising=False)
    made = tmp_path / "chains/golden"
    for target in (made, tmp_path / "copy"):
        shutil.copytree(GOLDEN, target)
        (target / "expected.json").unlink()
        (target / "LOCK").touch()
    return made


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


COMMANDS = {
    "verify": ["verify", "golden"],
    "deep": ["verify", "golden", "--deep"],
    "dump": ["dump", "golden"],
    "tree": ["dump", "golden", "--tree"],
    "repair": ["repair", "golden", "--from", "COPY"],
}


def expect_untouched(folder: Path, before: dict[str, tuple[bytes, int]], *, times: bool) -> None:
    after = state(folder)
    assert {name: raw for name, (raw, _) in after.items()} == {
        name: raw for name, (raw, _) in before.items()
    }
    assert after == before or not times


@pytest.mark.parametrize("readonly", [True, False])
@pytest.mark.parametrize("what", NEWER)
async def test_opening_it_is_refused(what: str, folder: Path, readonly: bool) -> None:
    NEWER[what](folder)
    before = state(folder)
    with pytest.raises(UnsupportedFormat) as caught:
        await ate.open("golden", readonly=readonly)
    assert "the version that wrote it" in caught.value.hint
    expect_untouched(folder, before, times=readonly or what not in REWRITTEN)


@pytest.mark.parametrize("how", COMMANDS)
@pytest.mark.parametrize("what", NEWER)
def test_every_command_says_so(
    what: str, how: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    NEWER[what](folder)
    before = state(folder)
    copy = str(folder.parent.parent / "copy")
    if what == "genesis":
        shutil.copytree(folder, copy, dirs_exist_ok=True)  # the old copy is of another chain
    status = main([copy if word == "COPY" else word for word in COMMANDS[how]])
    said = capsys.readouterr().err
    if (what, how) not in SHOWN:
        assert status == 5
        assert "hint: open it with the version that wrote it" in said
    expect_untouched(folder, before, times=True)


async def test_a_snapshot_of_a_newer_version_is_only_passed_over(folder: Path) -> None:
    async with ate.open("golden") as chain:
        head_of_it = chain.head
    index = folder / "000001/index"
    raw = bytearray(index.read_bytes())
    raw[64 + 8] += 1
    index.write_bytes(raw)
    before = state(folder)
    for readonly in (True, False):
        async with ate.open("golden", readonly=readonly) as chain:
            assert chain.head == head_of_it
    after = state(folder)
    assert after["000001/index"] == before["000001/index"]
    assert {name: raw for name, (raw, _) in after.items()} == {
        name: raw for name, (raw, _) in before.items()
    }
