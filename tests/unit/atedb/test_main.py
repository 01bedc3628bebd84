"""`atedb.main`: every end is one status and no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from atedb import main as module


@pytest.mark.parametrize(
    "error, status",
    [(ValueError("a secret"), 1), (KeyboardInterrupt(), 130), (OSError(28, "full"), 8),
     (BrokenPipeError(), 141)],
)  # fmt: skip
def test_every_end_has_a_status(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    error: BaseException, status: int,
) -> None:  # fmt: skip
    def fail(_: list[str]) -> int:
        raise error

    monkeypatch.setattr(module, "_run", fail)
    monkeypatch.setattr(module, "_drop_stdout", lambda: None)
    assert module.main([]) == status
    said = capfd.readouterr().err
    assert "Traceback" not in said
    assert "secret" not in said


def test_the_words_of_the_process_are_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["atedb", "--version"])
    assert module.main() == 0
    assert capsys.readouterr().out.startswith("atedb ")


def test_errors_as_json_even_when_nothing_can_be_parsed(atedb: Any) -> None:
    assert '"code": "usage"' in atedb("solo", "--json", "--port", "many").err


def test_nothing_is_left_to_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "out").open("w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        module._drop_stdout()
        out.write("late")
        out.flush()
        monkeypatch.undo()
    assert (tmp_path / "out").read_text() == ""


def test_a_reader_that_leaves_is_no_fault() -> None:
    code = "import sys; from atedb.main import main; sys.exit(main(['--help']))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode in (0, 141)
