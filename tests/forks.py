"""Commands that run to their end, in processes forked from one that has imported them.

A fork leaves out the start of an interpreter and the imports, which are most of a short command.
Arguments, environment, folder, streams and exit status are those of any process. It judges nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.effort import LONG

COMMANDS: Final = Path(__file__).resolve().parent.parent / "src" / "atecli" / "commands"
#: What commands import when they are at work.
PRELOADED: Final = (
    "ate.client",
    "atedb.solo",
    *sorted(f"atecli.commands.{one.stem}" for one in COMMANDS.glob("*.py")),
)
STREAMS: Final = ("stdin", "stdout", "stderr")


def run(
    module: str, words: Sequence[str], *, env: Mapping[str, str], cwd: Path | None = None,
    stdin: str = "", timeout_s: float = 60, fresh: bool = False,
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """Run `python -m module words…` to its end.

    Args:
        fresh: start it from nothing, as `make long` does with all.
    """
    if fresh or LONG:
        return subprocess.run(
            [sys.executable, "-m", module, *words], env=env, cwd=cwd, input=stdin, text=True,
            capture_output=True, timeout=timeout_s, check=False,
        )  # fmt: skip
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(list(PRELOADED))
    with tempfile.TemporaryDirectory() as folder:
        streams = [Path(folder) / name for name in STREAMS]
        for path, text in zip(streams, (stdin, "", ""), strict=True):
            path.write_text(text)
        process = forks.Process(
            target=_become,
            args=(module, list(words), str(cwd or Path.cwd()), dict(env), [*map(str, streams)]),
        )
        process.start()
        process.join(timeout_s)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired([module, *words], timeout_s)
        status, (out, err) = process.exitcode, (path.read_text() for path in streams[1:])
        process.close()
    return subprocess.CompletedProcess([module, *words], status, out, err)


def _become(
    module: str, words: list[str], cwd: str, env: dict[str, str], streams: list[str]
) -> None:
    """Be that command from now on, in the process that was forked."""
    for fd, path in enumerate(streams):
        opened = os.open(path, os.O_WRONLY | os.O_APPEND if fd else os.O_RDONLY)
        os.dup2(opened, fd)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(fd, "w" if fd else "r", encoding="utf-8", closefd=False) for fd in range(3)
    )
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = [module, *words]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
