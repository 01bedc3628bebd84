"""S3 servers for the tests, each a process of its own: moto always, Ceph where it is installed.

Ceph's gateway is the real thing, and Debian has it (`apt-get install radosgw ceph-mon ceph-osd`),
but no package registry of Python does. moto comes with the development dependencies.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.ports import free_port

KEY, SECRET = "access-key-of-tests", "secret-key-of-tests"
STARTUP_S = 60

MOTO = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://%s:%d" % server.get_host_and_port(), flush=True)
sys.stdin.read()
"""

CEPH = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon},v1:127.0.0.1:{old}]
public addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
ms mon service mode = crc
ms mon cluster mode = crc
ms client mode = crc
run dir = {folder}
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
keyring = {folder}/keyring
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
[mon.a]
mon data = {folder}/mon
[osd.0]
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 1073741824
"""
POOLS = (".rgw.root", *(f"default.rgw.{name}" for name in (
    "log", "control", "meta", "buckets.index", "buckets.data", "buckets.non-ec",
)))  # fmt: skip


@dataclass(frozen=True)
class Bucket:
    """An empty bucket on a running server."""

    name: str
    endpoint: str

    @property
    def address(self) -> str:
        """The destination, as the command takes it."""
        return f"s3://{self.name}/some/prefix?endpoint={self.endpoint}&region=us-east-1"

    def client(self) -> Any:
        """Return a client that looks into the bucket past our own code."""
        return client_of(self.endpoint)


@functools.cache
def client_of(endpoint: str) -> Any:
    """Return the client for a server; to make one costs more than most tests."""
    import boto3

    return boto3.session.Session().client(
        "s3", endpoint_url=endpoint, region_name="us-east-1",
        aws_access_key_id=KEY, aws_secret_access_key=SECRET,
    )  # fmt: skip


@contextlib.contextmanager
def moto() -> Iterator[str]:
    """Run moto; yield its address."""
    process = subprocess.Popen(
        [sys.executable, "-c", MOTO],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = next(one for one in process.stdout if one.startswith("http"))
        yield line.strip()
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def ceph(folder: Path) -> Iterator[str]:
    """Run a cluster of one monitor, one disk in memory and one gateway; yield its address."""
    missing = [name for name in ("ceph-mon", "ceph-osd", "radosgw") if not shutil.which(name)]
    if missing:
        pytest.skip(f"Ceph is not installed: {', '.join(missing)}")
    mon, old, web, fsid = free_port(), free_port(), free_port(), str(uuid.uuid4())
    conf = folder / "ceph.conf"
    conf.write_text(CEPH.format(fsid=fsid, mon=mon, old=old, folder=folder))
    with contextlib.ExitStack() as stack:

        def run(*words: str) -> str:
            return subprocess.run(
                words, cwd=folder, check=True, capture_output=True, text=True, timeout=STARTUP_S
            ).stdout

        def serve(*words: str) -> None:
            with (folder / "out").open("ab") as out:
                process = subprocess.Popen(words, cwd=folder, stdout=out, stderr=out)
            stack.callback(process.wait)
            stack.callback(process.kill)

        config = ("-c", str(conf))
        run("ceph-authtool", "--create-keyring", "keyring", "--gen-key", "-n", "mon.")
        run("monmaptool", "--create", "--fsid", fsid, "--addv", "a",
            f"[v2:127.0.0.1:{mon},v1:127.0.0.1:{old}]", "monmap")  # fmt: skip
        (folder / "mon").mkdir()
        (folder / "osd").mkdir()
        run("ceph-mon", *config, "--mkfs", "-i", "a", "--monmap", "monmap", "--keyring", "keyring")
        serve("ceph-mon", *config, "-f", "-i", "a")
        disk = str(uuid.uuid4())
        run("ceph", *config, "--connect-timeout", str(STARTUP_S), "osd", "new", disk)
        run("ceph-osd", *config, "-i", "0", "--mkfs", "--osd-uuid", disk)
        serve("ceph-osd", *config, "-f", "-i", "0")
        for pool in POOLS:
            run("ceph", *config, "osd", "pool", "create", pool, "1", "1")
        run("radosgw-admin", *config, "user", "create", "--uid=tests", "--display-name=tests",
            f"--access-key={KEY}", f"--secret-key={SECRET}")  # fmt: skip
        serve("radosgw", *config, "-f", "-n", "client.admin",
              "--rgw-frontends", f"beast endpoint=127.0.0.1:{web}")  # fmt: skip
        address = f"http://127.0.0.1:{web}"
        _await(address)
        yield address


def _await(address: str) -> None:
    """Return when a server answers: each failed try takes as long as its connection does."""
    import threading
    import time

    until, pause = time.monotonic() + STARTUP_S, threading.Event()
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            assert time.monotonic() < until, "the server does not come up"
            pause.wait(0.2)
        else:
            return


@pytest.fixture(scope="session")
def moto_server() -> Iterator[str]:
    with moto() as address:
        yield address


@pytest.fixture(scope="session")
def ceph_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ceph(tmp_path_factory.mktemp("ceph")) as address:
        yield address


def new_bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Return a fresh bucket; the credentials are in the environment, as boto3 wants them."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "no-such-file")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    made = Bucket(f"bucket-{uuid.uuid4().hex[:12]}", server)
    made.client().create_bucket(Bucket=made.name)
    return made


@pytest.fixture(params=["moto", "ceph"])
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Return a fresh bucket on each kind of server."""
    return new_bucket(request.getfixturevalue(f"{request.param}_server"), monkeypatch)
