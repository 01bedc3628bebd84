"""What a transcript cannot tell: following a process, ctrl-c, pipes, terminals, a full disk."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests import forks

SRC = Path(__file__).resolve().parent.parent.parent / "src"
TIMEOUT_S = 60
ATE = [sys.executable, "-m", "atecli"]

Process = subprocess.Popen[bytes]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ATE_")}
    return {**kept, "ATE_HOME": str(tmp_path / "home"), "PYTHONPATH": str(SRC), "TERM": "xterm"}


def run(environment: dict[str, str], *words: str) -> str:
    done = forks.run("atecli", words, env=environment, timeout_s=TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def running(environment: dict[str, str], *words: str, **options: int) -> Iterator[Process]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    with subprocess.Popen([*ATE, *words], env=environment, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


def line_of(process: Process) -> str:
    """Return the next line of a process that is still running."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], TIMEOUT_S)
    assert ready, "it said nothing"
    return process.stdout.readline().decode()


def end_of(process: Process) -> tuple[int, str]:
    """Return the status and what was said on stderr."""
    assert process.stderr is not None
    said = process.stderr.read().decode()
    return process.wait(TIMEOUT_S), said


def interrupt(process: Process) -> tuple[int, str]:
    process.send_signal(signal.SIGINT)
    return end_of(process)


@pytest.mark.parametrize("words", [("log", "--follow", "--since", "2"), ("watch",)])
def test_a_follower_sees_what_another_process_writes_and_ends_on_ctrl_c(
    environment: dict[str, str], words: tuple[str, ...]
) -> None:
    run(environment, "put", "news", '"old"')
    verb, *options = words
    # Unbuffered, so that select() sees every line.
    with running(environment, verb, "news", *options, bufsize=0) as follower:
        assert "seq" in line_of(follower)
        for number in range(2):
            made = run(environment, "put", "news", f'"item {number}"').strip()
            assert made in line_of(follower)
        assert interrupt(follower) == (130, "")


def test_a_reader_that_goes_away_ends_it_quietly(
    environment: dict[str, str], tmp_path: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(f'{{"n": {n}, "text": "{"x" * 100}"}}\n' for n in range(3000)))
    run(environment, "import", "rows", str(rows))
    with running(environment, "ls", "rows", bufsize=0) as lister:
        assert "id" in line_of(lister)
        assert lister.stdout is not None
        lister.stdout.close()
        assert end_of(lister) == (141, "")


def test_output_that_cannot_be_written_is_an_error(environment: dict[str, str]) -> None:
    run(environment, "put", "news", '"old"')
    with open("/dev/full", "wb") as full:  # noqa: PTH123 — a device
        done = subprocess.run(
            [*ATE, "ls", "news"],
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=TIMEOUT_S,
            check=False,
        )
    assert done.returncode == 8
    assert done.stderr == b"ate: no space left on device\n"


def test_an_import_that_was_interrupted_goes_on_where_it_ended(
    environment: dict[str, str], tmp_path: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(f'{{"n": {n}}}\n' for n in range(20_000)))
    with running(environment, "log", "rows", bufsize=0) as nobody:
        assert end_of(nobody)[0] == 3
    with running(environment, "import", "rows", str(rows), "--batch", "4") as importer:
        assert importer.stderr is not None
        assert b"made the chain" in importer.stderr.readline()
        with running(environment, "log", "rows", "--follow", bufsize=0) as follower:
            while " new " not in line_of(follower):
                pass
        status, said = interrupt(importer)
    assert status == 130, said
    found = re.fullmatch(r"ate: (.*) rows are in the chain; the same command again .*\n", said)
    assert found, said
    stored = int(found[1].replace(" ", ""))
    told = json.loads(run(environment, "import", "rows", str(rows), "--json"))
    # The commit that ctrl-c met may be in the chain without having been counted.
    assert told["skipped"] in (stored, stored + 4)
    assert told["stored"] + told["skipped"] == 20_000
    assert json.loads(run(environment, "info", "rows", "--json"))["objects"] == 20_000
    assert json.loads(run(environment, "verify", "rows", "--json"))["ok"]


def test_a_full_disk_is_told_and_loses_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    def on_a_small_disk(script: str) -> subprocess.CompletedProcess[bytes]:
        mount = f"mkdir -p small && mount -t tmpfs -o size=1500k none small && {script}"
        return subprocess.run(
            ["unshare", "--map-root-user", "--mount", "sh", "-c", mount],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    try:
        if on_a_small_disk("true").returncode:
            pytest.skip("no right to mount a small file system here")
    except FileNotFoundError:
        pytest.skip("there is no unshare on this machine")
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(f'{{"n": {n}, "text": "{"x" * 400}"}}\n' for n in range(8000)))
    ate = f"{sys.executable} -m atecli"
    done = on_a_small_disk(
        f"{ate} import rows rows.jsonl --path small --batch 500; echo status $?;"
        f"{ate} verify rows --path small --json; {ate} info rows --path small --json"
    )
    assert b"status 8\n" in done.stdout, done.stderr
    status, verdict, facts = done.stdout.decode().splitlines()[-3:]
    assert status == "status 8"
    assert json.loads(verdict)["ok"]
    stored = json.loads(facts)["objects"]
    assert stored
    assert stored % 500 == 0
    said = done.stderr.decode()
    assert f"ate: {stored:,} rows are in the chain".replace(",", " ") in said
    assert "ate: hint: free some space and run it again" in said


class Terminal:
    """A process that believes somebody sits in front of it."""

    def __init__(self, environment: dict[str, str], *words: str) -> None:
        self.shown = b""
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [*ATE, *words],
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            # Its own session, with this terminal as the one that getpass and ctrl-c speak to.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )
        os.close(slave)

    def expect(self, text: bytes) -> None:
        while text not in self.shown:
            assert self._read(), self.shown

    def type(self, text: bytes) -> None:
        os.write(self.master, text)

    def end(self) -> int:
        while self._read():
            pass
        os.close(self.master)
        return self.process.wait(TIMEOUT_S)

    def _read(self) -> bool:
        ready, _, _ = select.select([self.master], [], [], TIMEOUT_S)
        assert ready, self.shown
        try:
            some = os.read(self.master, 4096)
        except OSError:  # Linux says so when the last process has gone
            return False
        self.shown += some
        return bool(some)


def test_a_terminal_is_asked_for_the_passphrase_and_shows_nothing_of_it(
    environment: dict[str, str],
) -> None:
    maker = Terminal(environment, "keys", "new", "alice")
    maker.expect(b"passphrase for alice: ")
    maker.type(b"correct battery\n")
    maker.expect(b"again: ")
    maker.type(b"correct battery\n")
    assert maker.end() == 0
    assert b"fingerprint" in maker.shown
    assert b"battery" not in maker.shown

    writer = Terminal(environment, "put", "diary", '"dear"', "--as", "alice")
    writer.expect(b"passphrase of alice: ")
    writer.type(b"correct battery\n")
    assert writer.end() == 0

    liar = Terminal(environment, "keys", "new", "bob")
    liar.expect(b"passphrase for bob: ")
    liar.type(b"one\n")
    liar.expect(b"again: ")
    liar.type(b"other\n")
    assert liar.end() == 2
    assert b"ate: the two passphrases differ" in liar.shown

    hesitant = Terminal(environment, "ls", "diary", "--as", "alice")
    hesitant.expect(b"passphrase of alice: ")
    hesitant.type(b"\x03")
    assert hesitant.end() == 130
    assert b"Traceback" not in hesitant.shown


def test_a_terminal_sees_a_bar_while_rows_come_in(
    environment: dict[str, str], tmp_path: Path
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("n\n" + "".join(f"{n}\n" for n in range(5000)))
    importer = Terminal(environment, "import", "rows", str(rows), "--batch", "500")
    assert importer.end() == 0
    assert b"importing" in importer.shown
    verifier = Terminal(environment, "verify", "rows")
    assert verifier.end() == 0
    assert b"verifying" in verifier.shown
    assert b"sound" in verifier.shown


def test_help_loads_nothing_heavy(environment: dict[str, str]) -> None:
    """The goal is 200 ms; what would break it is an import, and that is seen without a clock."""
    script = (
        "import sys; from atecli.main import main; main(['--help']); "
        "heavy = {'numpy', 'asyncio', 'cryptography', 'blake3', 'msgspec', 'rich', 'ate.client'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    assert done.stdout.decode().splitlines()[-1] == "[]"
