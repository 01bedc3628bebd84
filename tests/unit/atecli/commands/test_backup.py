"""`ate backup` says what it did; what it does is proved in tests/unit/ate/archive and tests/e2e."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
from tests.unit.atecli.conftest import Ate

from ate.archive.pace import Stop
from atecli.commands.backup import _until_told
from atecli.exits import Failed


def test_one_chain(ate: Ate, home: Path) -> None:
    ate("put", "c", "1")
    done = ate("backup", "c", "disk")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("c: p1 at row 2, sent 1.0 KiB in 1 object")
    again = ate("backup", "c", "disk", "--json", "--rate", "1.5").document
    assert (again["new"], again["sent_bytes"], again["point"]) == (False, 0, 1)


def test_all_chains(ate: Ate, home: Path) -> None:
    ate("put", "a", "1")
    ate("put", "b/c", "1")
    (home / "chains/bad/000001").mkdir(parents=True)
    (home / "chains/bad/CURRENT").write_text("nonsense")
    done = ate("backup", "--all", "disk", "--json")
    assert done.status == 5
    assert [one["chain"] for one in done.documents] == ["a", "b/c"]
    assert done.err == "ate: bad: CURRENT does not name a generation\n"


def test_old_points_go_only_when_asked(ate: Ate) -> None:
    for _ in range(3):
        ate("put", "c", "1")
        ate("backup", "c", "disk")
    assert len(ate("backups", "disk", "c", "--json").documents) == 3
    ate("backup", "c", "disk", "--keep", "2")
    assert [one["point"] for one in ate("backups", "disk", "c", "--json").documents] == [2, 3]


@pytest.mark.parametrize(
    "words, status",
    [
        (("c",), 2),
        (("--all", "c", "disk"), 2),
        (("nobody", "disk"), 3),
        (("c", "ftp://x"), 2),
        (("c", "disk", "--keep", "0"), 2),
        (("c", "disk", "--rate", "0"), 2),
    ],
)
def test_what_cannot_be(ate: Ate, words: tuple[str, ...], status: int) -> None:
    ate("put", "c", "1")
    assert ate("backup", *words).status == status


def test_a_chain_that_went_back_is_told(ate: Ate, home: Path) -> None:
    import shutil

    ate("put", "c", "1")
    shutil.copytree(home / "chains/c", home / "older")
    ate("put", "c", "2")
    ate("backup", "c", "disk")
    shutil.rmtree(home / "chains/c")
    shutil.copytree(home / "older", home / "chains/c")
    done = ate("backup", "c", "disk")
    assert done.err == "ate: c: the chain does not go on from the point before; both are kept\n"


def test_following_ends_by_a_signal(ate: Ate) -> None:
    ate("put", "c", "1")
    timer = threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGTERM))
    timer.start()
    done = ate("backup", "c", "disk", "--follow", "--every", "0.1")
    timer.join()
    assert (done.status, done.err) == (0, "")
    assert done.out.count("\n") == 1


def test_the_second_signal_ends_at_once() -> None:
    stop = Stop()
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Failed), _until_told(stop):
        signal.raise_signal(signal.SIGTERM)
        assert stop
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
