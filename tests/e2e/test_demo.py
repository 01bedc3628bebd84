"""`make demo` and `make bench` as people run them: real processes, a real disk, little data."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tools.packages import Found, gather
from tools.race.servers.known import absent
from tools.race.servers.process import find

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 120

STATUS = """Package: alpha
Status: install ok installed
Installed-Size: 12
Maintainer: Ada <ada@example.org>
Architecture: all
Version: 1.0
Depends: beta, gamma (>= 2)
Description: the first
 with a second line

Package: removed
Status: deinstall ok config-files
Version: 1
"""
LIST = """Package: beta
Version: 2.0
Maintainer: Ada <ada@example.org>
Description: the second

Package: alpha
Version: 1.0
Architecture: all
"""


def run(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "ATE_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def machine(tmp_path: Path, *, status: str = "", listing: str = "") -> dict[str, Any]:
    """Make what dpkg and apt leave on a machine; nothing at all without text."""
    lists = tmp_path / "lists"
    lists.mkdir()
    if status:
        (tmp_path / "status").write_text(status)
    if listing:
        (lists / "mirror_main_binary-all_Packages").write_text(listing)
    return {"status": tmp_path / "status", "lists": lists}


def names(found: list[Found]) -> list[str]:
    return [one.name for one in found]


def test_the_demonstration_shows_every_step_and_leaves_nothing(tmp_path: Path) -> None:
    done = run("tools/demo.py", "--json", "--limit", "300", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "no progress where nobody watches"
    shown = {step["step"]: step["what"] for step in json.loads(done.stdout)["steps"]}
    assert len(shown) == 20
    assert "NoReadKey" in shown["a stranger opens it"]
    assert shown["verify everything"].startswith("sound")
    assert shown["flip one bit in a copy, verify"].startswith("not sound")
    assert shown["repair it from the other copy"].endswith("sound again")
    assert "landed once" in shown["a server is back, offline work lands"]
    assert "each done once" in shown["jobs for two processes, one is killed"]
    assert not list(tmp_path.iterdir())


def test_the_table_of_the_demonstration_ends_with_a_total(tmp_path: Path) -> None:
    done = run("tools/demo.py", "--limit", "0", home=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["step", "time", "what", "came", "out"]
    assert lines[-1].startswith("total")


def test_records_of_dpkg_and_apt_are_read_and_not_doubled(tmp_path: Path) -> None:
    found = gather(**machine(tmp_path, status=STATUS, listing=LIST))
    assert names(found.installed) == ["alpha"]
    assert names(found.available) == ["beta"]
    alpha = found.installed[0]
    assert alpha.depends == ("beta", "gamma (>= 2)")
    assert (alpha.maintainer, alpha.email, alpha.size_kib) == ("Ada", "ada@example.org", 12)


def test_a_machine_with_lists_only_has_none_installed(tmp_path: Path) -> None:
    found = gather(**machine(tmp_path, listing=LIST))
    assert (names(found.installed), names(found.available)) == ([], ["beta", "alpha"])


def test_a_machine_without_dpkg_offers_its_python_distributions(tmp_path: Path) -> None:
    found = gather(**machine(tmp_path))
    assert found.sources == ["Python distributions"]
    assert "cryptography" in names(found.installed)


def test_a_list_nobody_can_unpack_is_noted(tmp_path: Path) -> None:
    place = machine(tmp_path, status=STATUS)
    (place["lists"] / "mirror_Packages.xz").write_bytes(b"no xz at all")
    assert gather(**place).notes


def peers() -> list[str]:
    wanted = ("ZODB", "eventsourcing", "Crypto")
    return [name for name in wanted if importlib.util.find_spec(name) is None]


@pytest.mark.skipif(bool(peers()), reason=f"peers of the benchmark are missing: {peers()}")
def test_the_benchmark_races_one_goal(tmp_path: Path) -> None:
    done = run(
        "tools/bench.py", "--quick", "--only", "G1", "--rounds", "1", "--json",
        "--dir", str(tmp_path), home=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr or done.stdout
    rows = json.loads(done.stdout)["rows"]
    assert [row["line"]["peer"]["store"] for row in rows] == [
        "sqlite", "zodb", "eventsourcing-aes", "raw disk",
    ]  # fmt: skip
    assert all(row["ratio"] > 0 and not row["error"] for row in rows)
    assert not list(tmp_path.iterdir())


def servers() -> list[str]:
    wanted = [
        name for name in ("redis", "hiredis", "nats") if importlib.util.find_spec(name) is None
    ]
    return wanted + [name for name in ("redis-server", "nats-server") if find(name) is None]


@pytest.mark.skipif(bool(servers()), reason=f"peers of the benchmark are missing: {servers()}")
def test_the_benchmark_races_servers(tmp_path: Path) -> None:
    done = run(
        "tools/bench.py", "--quick", "--only", "G14", "--rounds", "1", "--json",
        "--dir", str(tmp_path), home=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr or done.stdout
    rows = json.loads(done.stdout)["rows"]
    assert [row["line"]["peer"]["store"] for row in rows[:4]] == [
        "raw disk", "redis", "nats-flushed", "nats-UNFLUSHED",
    ]  # fmt: skip
    for row in rows:
        cells = [row["line"]["ours"]["store"], row["line"]["peer"]["store"]]
        for store, figure in zip(cells, (row["ours"], row["peer"])):
            assert bool(absent(store)) == (figure is None), row["error"]
        assert row["error"].startswith("not installed") == any(map(absent, cells))
    assert not list(tmp_path.iterdir())


def test_a_queue_loses_no_job_to_killed_workers(tmp_path: Path) -> None:
    cell = {"cell": "queue", "store": "sqlite", "folder": str(tmp_path), "jobs": 400, "workers": 2,
            "kills": 3, "lease_s": 1.0}  # fmt: skip
    done = run("-m", "tools.race.cell", json.dumps(cell), home=tmp_path)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["lost"], figures["doubled"]) == (0, 0)
    assert figures["killed"] > 0
    assert figures["per_s"] > 0


def test_the_raw_disk_reads_back_what_it_was_given(tmp_path: Path) -> None:
    cell = {"cell": "appends", "store": "raw disk", "folder": str(tmp_path), "clients": 1,
            "window": 1, "seconds": 0.1}  # fmt: skip
    done = run("-m", "tools.race.cell", json.dumps(cell), home=tmp_path)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["records"] > 0
    assert 0 < figures["p50_s"] <= figures["p99_s"]
