"""Backups as they happen: a process that writes, a backup that is killed, a disk that is lost."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import forks
from tests.buckets import new_bucket

import ate
from ate.archive.destination import open_destination
from ate.archive.prune import check
from ate.archive.series import find

SRC = Path(__file__).resolve().parent.parent.parent / "src"
TIMEOUT_S = 120

#: Writes for ever, large and small bodies; says each head when it is durable, ends at end of input.
WRITER = """
import sys, threading, ate
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
with ate.blocking.open("c", path=sys.argv[1]) as chain:
    number = 0
    while not ended.is_set():
        dio = chain.dio()
        for _ in range(20):
            number += 1
            dio.store({"n": number, "pad": bytes(70_000 if number % 90 == 0 else 300)})
        dio.commit()
        ended.wait(0.005)
        print(chain.head, chain.root.hex(), flush=True)
"""

#: The command with files of at most 100 kB, as on a disk that is full.
LIMITED = """
import resource, signal, sys
from atecli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.exit(main(sys.argv[1:]))
"""


class Place:
    """A folder with chains in it, and the command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.chains = folder / "chains"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ATE_")},
            "PYTHONPATH": str(SRC),
        }

    def words(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "atecli", *words, "--path", str(self.chains)]

    def ate(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        _, _, module, *rest = self.words(*words)
        done = forks.run(module, rest, env=self.environment, timeout_s=TIMEOUT_S)
        assert done.returncode == status, done.stderr
        return done

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.words(*words), env=self.environment, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


class Writer:
    """A process that writes to the chain c."""

    def __init__(self, place: Place) -> None:
        self.heads: list[tuple[int, str]] = []
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(place.chains)], env=place.environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.began = threading.Event()
        self.thread = threading.Thread(target=self._listen)
        self.thread.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            head, root = line.split()
            self.heads.append((int(head), root))
            if len(self.heads) == 3:
                self.began.set()

    def end(self) -> tuple[int, str]:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.thread.join(TIMEOUT_S)
        assert self.process.wait(TIMEOUT_S) == 0
        return self.heads[-1]


@pytest.fixture
def writer(place: Place) -> Iterator[Writer]:
    made = Writer(place)
    assert made.began.wait(TIMEOUT_S)
    yield made
    made.process.kill()
    made.process.wait()
    made.thread.join()
    for pipe in (made.process.stdin, made.process.stdout):
        assert pipe is not None
        pipe.close()


@pytest.fixture(params=["directory", "moto", "ceph"])
def dest(request: pytest.FixtureRequest, place: Place, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "directory":
        return str(place.folder / "disk")
    bucket = new_bucket(request.getfixturevalue(f"{request.param}_server"), monkeypatch)
    place.environment |= {
        name: value for name, value in os.environ.items() if name.startswith("AWS_")
    }
    return bucket.address


def state(path: Path) -> tuple[int, str]:
    with ate.blocking.open("c", path=path, readonly=True) as chain:
        return chain.head, chain.root.hex()


def test_under_load_and_kills_nothing_is_lost(place: Place, dest: str, writer: Writer) -> None:
    """Backups beside a writer, some of them killed; then the disk is lost, and the rest is back."""
    chance = random.Random(7)
    for _ in range(4):
        running = place.start("backup", "c", dest)
        try:
            running.wait(0.4 + chance.random() * 0.8)
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGKILL)
        running.communicate()
        store = open_destination(dest)
        if store.folders():
            series = find(store, "c")
            assert not check(series)
    place.ate("backup", "c", dest)
    head, root = writer.end()
    place.ate("backup", "c", dest)
    series = find(open_destination(dest), "c")
    assert not check(series)
    known = dict(writer.heads)
    for number in series.numbers():
        point = series.load(number).point
        assert known[point.head] == point.root  # each is a state that was acknowledged
    assert (point.head, point.root) == (head, root)

    shutil.rmtree(place.chains)
    told = json.loads(place.ate("restore", "c", dest, "--json").stdout)
    assert (told["head"], told["root"]) == (head, root)
    assert state(place.chains) == (head, root)
    middle = series.numbers()[len(series.numbers()) // 2]
    point = series.load(middle).point
    place.chains = place.folder / "past"
    place.ate("restore", "c", dest, "--at", str(point.head))
    assert state(place.chains) == (point.head, point.root)


def test_a_killed_restore_leaves_no_chain(place: Place, writer: Writer) -> None:
    head, root = writer.end()
    dest = str(place.folder / "disk")
    place.ate("backup", "c", dest)
    place.chains = place.folder / "new"
    kills = 0
    for tenth in range(4, 34, 4):
        running = place.start("restore", "c", dest)
        try:
            running.wait(tenth / 20)
        except subprocess.TimeoutExpired:
            running.kill()
            kills += 1
        running.communicate()
        if (place.chains / "c").exists():
            break
        assert place.ate("chains").stdout == ""
        with pytest.raises(ate.NotFound):
            state(place.chains)
    else:
        place.ate("restore", "c", dest)
    assert kills
    assert state(place.chains) == (head, root)
    assert [path.name for path in place.chains.iterdir()] == ["c"]


def test_following_ends_with_a_finished_restore_point(
    place: Place, dest: str, writer: Writer
) -> None:
    following = place.start("backup", "--all", dest, "--follow", "--every", "0.1", "--json")
    assert following.stdout is not None
    points = [json.loads(following.stdout.readline()) for _ in range(4)]
    assert [point["point"] for point in points] == [1, 2, 3, 4]
    head, root = writer.end()
    following.send_signal(signal.SIGTERM)
    out, err = following.communicate(timeout=TIMEOUT_S)
    assert (following.returncode, err) == (0, "")
    last = json.loads(out.splitlines()[-1]) if out else points[-1]
    assert (last["head"], last["root"]) == (head, root)
    series = find(open_destination(dest), "c")
    assert not check(series)


def test_a_destination_that_is_full_or_forbidden(place: Place, writer: Writer) -> None:
    writer.end()
    dest = place.folder / "disk"
    place.ate("backup", "c", str(dest))
    before = {path: path.read_bytes() for path in dest.rglob("*") if path.is_file()}
    with ate.blocking.open("c", path=place.chains) as chain:
        dio = chain.dio()
        dio.store(b"x" * 300_000)
        dio.commit()
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *place.words("backup", "c", str(dest))[3:]],
        env=place.environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 5, done.stderr
    assert "too large" in done.stderr
    assert all(path.read_bytes() == content for path, content in before.items())
    series = find(open_destination(dest), "c")
    assert series.numbers() == [1]
    assert not check(series)
    (place.folder / "file").write_text("")
    assert "ate: " in place.ate("backup", "c", str(place.folder / "file"), status=5).stderr
    place.ate("backup", "c", str(dest))
    assert series.numbers() == [1, 2]
    assert not check(series)
