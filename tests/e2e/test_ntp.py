"""`NtpClock` and a real time server: chronyd on loopback, which leaves the clock alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.ports import free_port

import ate
from ate.clock import SystemClock
from ate.errors import NetworkError
from ate.testing.simclock import SimClock

CHRONYD = shutil.which("chronyd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(CHRONYD is None, reason="chronyd is not installed: chrony")
TRIES = 20


@pytest.fixture(params=["local stratum 8", ""], ids=["in step", "out of step"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, bool]]:
    """Yield the name of a running chronyd, and whether it claims to know the time."""
    assert CHRONYD
    port = free_port()
    settings = tmp_path / "chrony.conf"
    settings.write_text(
        f"{request.param}\nport {port}\nbindaddress 127.0.0.1\nallow 127.0.0.1\ncmdport 0\n"
        f"bindcmdaddress /\npidfile {tmp_path}/pid\ndriftfile {tmp_path}/drift\n"
    )
    # -x: it does not touch the clock; -U: nor does it need to be root.
    words = [CHRONYD, "-d", "-x", "-U", "-u", os.environ.get("USER", "root"), "-f", str(settings)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if "chronyd version" in line:
                break
        else:
            pytest.fail("chronyd did not start: " + "".join(said), pytrace=False)
        yield f"127.0.0.1:{port}", bool(request.param)
    finally:
        process.terminate()
        process.communicate(timeout=20)


def asked(clock: ate.NtpClock) -> None:
    """Ask until the server is up; each try waits for its answer."""
    for left in reversed(range(TRIES)):
        try:
            clock.sync()
        except NetworkError as error:
            if not left or "know the time" in error.message:
                raise
        else:
            return


def test_a_clock_a_year_behind_is_set_right(server: tuple[str, bool]) -> None:
    name, knows = server
    machine = SystemClock()

    class Behind(SimClock):
        """Runs as the machine does, a year behind."""

        def now_us(self) -> int:
            return machine.now_us() - 365 * 86_400 * 1_000_000

        def monotonic_s(self) -> float:
            return machine.monotonic_s()

    clock = ate.NtpClock(name, clock=Behind(), timeout_s=5)
    if not knows:
        with pytest.raises(NetworkError, match="know the time"):
            asked(clock)
        return
    asked(clock)
    assert clock.last is not None
    assert clock.last.offset_s == pytest.approx(365 * 86_400, abs=1)
    assert clock.last.error_s < 1
    assert clock.now_us() == pytest.approx(machine.now_us(), abs=500_000)
    clock.sync()
    assert abs(clock.last.offset_s) < 0.5
