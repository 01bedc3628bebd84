"""The command line as people use it: transcripts in `cli/*.txt`, each line a real process.

The words of a transcript:

    ate WORD…             run the command; it must end well
    ! ate WORD…           run it; it must not
    status N              of the last run
    stdout REGEX          must be in what it printed; with `!` it must not; also `stderr`
    let NAME REGEX        `$NAME` is from now on the first group of REGEX in stdout
    input TEXT            stdin of the next run
    env NAME=VALUE        from now on
    same FILE FILE        have equal bytes
    exists PATTERN        a file is there; `! exists PATTERN`
    flip PATTERN OFFSET   change one bit of a file, counted from its end if negative
    cut PATTERN SIZE      shorten a file
    copy FROM TO          a folder or a file
    writer CHAIN          another process opens the chain for writing, until `release`
    reader CHAIN          likewise, for reading
    server NAME           start a server; `$NAME` is its address; also after `away`
    away                  kill it
    holds PATTERN TEXT    one of these files holds the text; `! holds PATTERN TEXT`

Files follow at the end, each behind a line `-- NAME --`. Everything happens in a folder of its own.

Each word of the command is started from nothing where it stands first; after that its processes are
forked from one that has imported the command (`make long` forks none).
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import forks

HERE = Path(__file__).resolve().parent
SRC = HERE.parent.parent / "src"
TRANSCRIPTS = sorted((HERE / "cli").glob("*.txt"))
TIMEOUT_S = 60

OTHER = """
import sys, ate
with ate.blocking.open(sys.argv[1], readonly=sys.argv[2] == "reader") as chain:
    print("ready", flush=True)
    sys.stdin.read()
"""


class Stage:
    """A folder, an environment, and what the last run said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        #: Words that are to be started from nothing.
        self.fresh: set[str] = set()
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ATE_")},
            "ATE_HOME": str(folder / "home"),
            "PYTHONPATH": str(SRC),
            "COLUMNS": "100",
        }
        self.names: dict[str, str] = {}
        self.input = ""
        self.status = 0
        self.said = {"stdout": "", "stderr": ""}
        self.others: list[subprocess.Popen[bytes]] = []
        self.server: subprocess.Popen[bytes] | None = None

    def play(self, line: str) -> None:
        """Perform one line of a transcript."""
        for name, value in self.names.items():
            line = line.replace(f"${name}", value)
        negated = line.startswith("! ")
        verb, *words = shlex.split(line.removeprefix("! "))
        if verb == "ate":
            self.run(words)
            assert (self.status != 0) is negated, f"it ended with status {self.status}"
        elif verb in ("stdout", "stderr"):
            found = re.search(words[0], self.said[verb], re.MULTILINE)
            assert bool(found) is not negated, f"{verb} was\n{self.said[verb]}"
        elif verb == "holds":
            files = [path.read_bytes() for path in self.folder.glob(words[0]) if path.is_file()]
            assert files, "there is no such file"
            assert any(words[1].encode() in one for one in files) is not negated
        elif verb == "exists":
            assert any(self.folder.glob(words[0])) is not negated
        else:
            getattr(self, f"do_{verb}")(*words)

    def run(self, words: list[str]) -> None:
        fresh = not self.fresh.isdisjoint(words[:1])
        self.fresh.difference_update(words[:1])
        done = forks.run(
            "atecli", words, cwd=self.folder, env=self.environment, stdin=self.input,
            timeout_s=TIMEOUT_S, fresh=fresh,
        )  # fmt: skip
        self.input = ""
        self.status = done.returncode
        self.said = {"stdout": done.stdout, "stderr": done.stderr}
        assert "Traceback" not in self.said["stderr"], self.said["stderr"]

    def do_status(self, status: str) -> None:
        assert self.status == int(status), f"status {self.status}: {self.said['stderr']}"

    def do_let(self, name: str, pattern: str) -> None:
        found = re.search(pattern, self.said["stdout"], re.MULTILINE)
        assert found, f"stdout was\n{self.said['stdout']}"
        self.names[name] = found[1]

    def do_input(self, text: str) -> None:
        self.input = text

    def do_env(self, setting: str) -> None:
        name, _, value = setting.partition("=")
        self.environment[name] = value

    def do_same(self, one: str, other: str) -> None:
        assert (self.folder / one).read_bytes() == (self.folder / other).read_bytes()

    def do_flip(self, pattern: str, offset: str) -> None:
        (path,) = self.folder.glob(pattern)
        content = bytearray(path.read_bytes())
        content[int(offset)] ^= 1
        path.write_bytes(content)

    def do_cut(self, pattern: str, size: str) -> None:
        (path,) = self.folder.glob(pattern)
        os.truncate(path, int(size))

    def do_copy(self, source: str, target: str) -> None:
        if (self.folder / source).is_dir():
            shutil.copytree(self.folder / source, self.folder / target, dirs_exist_ok=True)
        else:
            shutil.copy(self.folder / source, self.folder / target)

    def do_writer(self, chain: str, role: str = "writer") -> None:
        other = subprocess.Popen(
            [sys.executable, "-c", OTHER, chain, role],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self.environment,
        )
        self.others.append(other)
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"

    def do_reader(self, chain: str) -> None:
        self.do_writer(chain, "reader")

    def do_server(self, name: str) -> None:
        port = self.names.get(name, ":0/").rpartition(":")[2].rstrip("/")
        words = ["solo", "server", "--no-auth", "--json", "--port", port]
        self.server = subprocess.Popen(
            [sys.executable, "-m", "atedb", *words],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=self.folder,
            env=self.environment,
        )  # fmt: skip
        assert self.server.stdout is not None
        self.names[name] = json.loads(self.server.stdout.readline())["url"]

    def do_away(self) -> None:
        if self.server is not None:
            self.server.kill()
            self.server.communicate(timeout=TIMEOUT_S)
            self.server = None

    def do_release(self) -> None:
        while self.others:
            self.others.pop().communicate(timeout=TIMEOUT_S)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.do_away()
    made.do_release()


def parts(text: str) -> tuple[list[tuple[int, str]], dict[str, str]]:
    """Return (line number, line) of what is to be done, and the files."""
    script, *rest = re.split(r"^-- (\S+) --\n", text, flags=re.MULTILINE)
    lines = [
        (number, line.strip())
        for number, line in enumerate(script.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    return lines, dict(zip(rest[::2], rest[1::2], strict=True))


def first_words(path: Path) -> set[str]:
    """Return the words of the command that stand in no transcript before this one."""
    texts = [one.read_text() for one in TRANSCRIPTS[: TRANSCRIPTS.index(path) + 1]]
    *before, mine = [set(re.findall(r"^(?:! )?ate (\S+)", text, re.MULTILINE)) for text in texts]
    return mine.difference(*before)


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda one: one.stem)
def test_transcript(path: Path, stage: Stage) -> None:
    lines, files = parts(path.read_text())
    stage.fresh = first_words(path)
    for name, content in files.items():
        (stage.folder / name).write_text(content)
    for number, line in lines:
        try:
            stage.play(line)
        except AssertionError as error:
            pytest.fail(f"{path.name}:{number}: {line}\n{error}", pytrace=False)


def test_every_word_of_the_command_is_in_a_transcript() -> None:
    from atecli.table import WORDS

    played = "\n".join(path.read_text() for path in TRANSCRIPTS)
    words = [word for group in WORDS.values() for word in group]
    assert [
        word for word in words if not re.search(rf"^(! )?ate {word}\b", played, re.MULTILINE)
    ] == []
