"""The server as people run it: a real process, real sockets, chains opened by URL."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests import forks

import ate
from ate.dio.opening import Opening
from ate.errors import AccessDenied, BadToken, NotFound, TokenExpired
from ate.event.principal import encode
from ate.mesh.dial import dialer
from ate.mesh.registry import Registry
from ate.session import Session
from ate.wire.terms import Terms
from atedb.tokens import TokenKey, make

SRC = Path(__file__).resolve().parent.parent.parent / "src"
TIMEOUT_S = 60
#: What the server promises; a busy machine gets some more.
END_S = 8.0


class Server:
    """An `atedb solo` that runs."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.journal = folder / f"journal-{len(list(folder.glob('journal-*')))}"
        with self.journal.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "atedb", "solo", *words, "--port", "0", "--json"],
                stdout=subprocess.PIPE, stderr=err, cwd=folder, env=environment(folder),
            )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.journal.read_text()
        self.ready = json.loads(line)
        self.url: str = self.ready["url"]
        self.port: int = self.ready["port"]

    def get(self, path: str, base: str = "") -> tuple[int, str]:
        try:
            with urllib.request.urlopen(
                (base or f"http://127.0.0.1:{self.port}") + path, timeout=TIMEOUT_S
            ) as found:
                return found.status, found.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def number(self, name: str, base: str = "") -> float:
        lines = self.get("/metrics", base)[1].splitlines()
        (line,) = [one for one in lines if one.startswith(f"{name} ")]
        return float(line.split()[1])

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT_S)

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.journal.read_text().splitlines()]


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ATE_")}
    return {**kept, "ATE_HOME": str(folder / "home"), "PYTHONPATH": str(SRC)}


def run(folder: Path, *words: str, module: str = "atedb") -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    env = environment(folder)
    done = forks.run(module, words, cwd=folder, env=env, timeout_s=TIMEOUT_S)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def serve_at(folder: Path, port: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "atedb", "solo", "data", "--port", str(port)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder, env=environment(folder),
    )  # fmt: skip


def until(happened: Callable[[], bool]) -> None:
    """Return when it has happened; each look costs the server a request."""
    deadline = time.monotonic() + TIMEOUT_S
    while not happened():
        assert time.monotonic() < deadline


class Servers:
    """Starts servers and ends what is left of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.all: list[Server] = []

    def start(self, *words: str) -> Server:
        self.all.append(Server(self.folder, *words))
        return self.all[-1]

    def end(self) -> None:
        for one in self.all:
            if one.process.poll() is None:
                one.process.kill()
                one.process.wait()
            assert one.process.stdout is not None
            one.process.stdout.close()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    made = Servers(tmp_path)
    yield made
    made.end()


@pytest.fixture(scope="module")
def alice() -> Session:
    return Session.new("alice@example.org")


# --- a life -------------------------------------------------------------------------------------


async def test_two_copies_of_a_chain_share_what_is_written(
    servers: Servers, tmp_path: Path, alice: Session
) -> None:
    server = servers.start("data")
    assert json.loads(server.get("/healthz")[1])["status"] == "ok"
    async with (
        ate.open("notes", url=server.url, session=alice, path=tmp_path / "a") as one,
        ate.open("notes", url=server.url, session=alice, path=tmp_path / "b") as two,
    ):
        dio = one.dio()
        stored = dio.store({"title": "milk"})
        await dio.commit()
        async for event in two.watch(type=dict, since=0):
            assert event.id == stored.id
            break
        assert (await two.dio().load(dict, stored.id)).value == {"title": "milk"}
        assert server.number("atedb_commits_total") == 2
        assert server.number("atedb_channels_open") == 2
        assert server.number("atedb_chains_open") == 1
        assert server.number("atedb_received_bytes_total") > 0
    assert server.stop() == 0
    assert (tmp_path / "data" / "notes" / "CURRENT").exists()


async def test_a_chain_survives_the_end_of_its_server(
    servers: Servers, tmp_path: Path, alice: Session
) -> None:
    server = servers.start("data")
    async with ate.open("notes", url=server.url, session=alice) as chain:
        dio = chain.dio()
        ids = []
        for number in range(20):
            ids.append(dio.store({"n": number}).id)
            await dio.commit()
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < END_S
        root = chain.root
    assert server.events()[-2:] == ["draining", "stopped"]
    async with ate.open("notes", path=tmp_path / "data", session=alice, readonly=True) as kept:
        assert kept.root == root
        assert [(await kept.dio().load(dict, one)).value["n"] for one in ids] == list(range(20))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_end_finishes_what_was_submitted(
    servers: Servers, tmp_path: Path, alice: Session, number: int
) -> None:
    """What a client was told is there; what it was not told is there once or not at all."""
    server = servers.start("data")
    told: list[int] = []

    async def write(chain: ate.Chain) -> None:
        dio = chain.dio()
        for count in range(100_000):
            dio.store({"n": count})
            await dio.commit()
            told.append(count)
            if count == 30:
                server.process.send_signal(number)

    async with ate.open("notes", url=server.url, session=alice) as chain:
        with contextlib.suppress(TimeoutError, ate.AteError):
            async with asyncio.timeout(TIMEOUT_S):
                await write(chain)
        started = time.monotonic()
        assert await asyncio.to_thread(server.process.wait, TIMEOUT_S) == 0
        assert time.monotonic() - started < END_S
    async with ate.open("notes", path=tmp_path / "data", session=alice, readonly=True) as kept:
        found = sorted([one.value["n"] async for one in kept.dio().all(dict)])
    assert found[: len(told)] == told
    assert found in (told, [*told, len(told)])


async def test_a_client_finds_the_server_again(servers: Servers, alice: Session) -> None:
    first = servers.start("data")
    async with ate.open("notes", url=first.url, session=alice) as chain:
        dio = chain.dio()
        dio.store({"n": 1})
        await dio.commit()
        assert first.stop() == 0
        # The port is free again: the next server takes it.
        process = serve_at(servers.folder, first.port)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"atedb ready {first.url}\n".encode()
            dio.store({"n": 2})
            async with asyncio.timeout(TIMEOUT_S):
                while True:
                    with contextlib.suppress(ate.CommitError, ate.errors.NetworkError):
                        await dio.commit()
                        break
        finally:
            process.terminate()
            process.communicate()


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@pytest.mark.parametrize("words", [(), ("--pure-tcp",)])
def test_the_end_waits_for_nobody_who_is_silent(servers: Servers, words: tuple[str, ...]) -> None:
    server = servers.start("data", "--status-port", "0", *words)
    status = server.ready["status"].rstrip("/")
    with contextlib.ExitStack() as streams:
        for number in range(10):
            stream = streams.enter_context(
                socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S)
            )
            if not words and number % 2:
                stream.sendall(UPGRADE)
        until(lambda: server.number("atedb_connections", status) == (10 if words else 5))
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < END_S


# --- what is refused at the start ---------------------------------------------------------------


def test_a_second_server_on_a_directory(servers: Servers) -> None:
    servers.start("data")
    done = run(servers.folder, "solo", "data", "--port", "0")
    assert done.returncode == 6
    assert "another server uses data" in done.stderr
    assert done.stdout == ""


def test_a_directory_is_free_again_after_a_kill(servers: Servers) -> None:
    first = servers.start("data")
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    second = servers.start("data")
    assert second.ready["key"] == first.ready["key"]


def test_a_port_that_is_taken(servers: Servers) -> None:
    server = servers.start("data")
    done = run(servers.folder, "solo", "other", "--port", str(server.port))
    assert done.returncode == 9
    assert f"cannot listen on 127.0.0.1 port {server.port}: address already in use" in done.stderr
    assert "--port" in done.stderr


def test_a_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run(tmp_path, "solo", "file/data", "--port", "0")
    assert done.returncode == 5
    assert "cannot keep chains in file/data: not a directory" in done.stderr
    sealed = tmp_path / "sealed"
    sealed.mkdir(mode=0o500)
    if os.access(sealed, os.W_OK):
        return  # root may write anywhere
    done = run(tmp_path, "solo", "sealed", "--port", "0")
    assert done.returncode == 5
    assert "cannot keep chains in sealed: permission denied" in done.stderr


@pytest.mark.parametrize(
    "words, said",
    [
        (["--listen", "0.0.0.0"], "say who may use the server"),
        (["--listen", "::", "--no-auth"], "say it twice"),
        (["--listen", "0.0.0.0", "--no-auth", "--no-auth"], "in the clear"),
        (["--auth", "https://auth.example.org"], "cannot be asked yet"),
        (["--auth", "missing.key"], "no token key file missing.key"),
        (["--tls-cert", "cert.pem"], "needs a certificate and its key"),
        (["--tls-cert", "cert.pem", "--tls-key", "key.pem"], "cert.pem: no such file"),
        (["--service", "x=y"], "not the path of a service"),
        (["--commits-per-second", "many"], "no such rates"),
        (["--nodes-list", "missing"], "missing: no such file"),
        (["--topology", "missing"], "which of the servers"),
    ],
)
def test_settings_that_make_no_sense_or_are_not_safe(
    tmp_path: Path, words: list[str], said: str
) -> None:
    done = run(tmp_path, "solo", "data", "--port", "0", *words)
    assert done.returncode in (2, 3), done.stderr
    assert said in done.stderr
    assert done.stdout == ""


# --- who may do what ----------------------------------------------------------------------------


def mint(folder: Path, session: Session, *words: str) -> bytes:
    (folder / "alice.key-id").write_text(session.own.sign.public.key_id.hex() + "\n")
    done = run(folder, "token", "--key", "tokens.key", "--for", "alice.key-id", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().encode()


def expired(folder: Path, session: Session) -> bytes:
    """Return a token that was good an hour ago."""
    holder, an_hour_ago = session.own.sign.public.key_id, (int(time.time()) - 3600) * 1_000_000
    key = TokenKey.load(folder / "tokens.key")
    return make(key, ["*"], ops="rwc", holder=holder, now_us=an_hour_ago).encode()


async def test_a_token_opens_what_it_is_for(servers: Servers, alice: Session) -> None:
    folder = servers.folder
    assert run(folder, "token", "--new-key", "tokens.key").returncode == 0
    server = servers.start("data", "--auth", "tokens.key")
    both = mint(folder, alice, "--chain", "team/*", "--ops", "rwc")
    reading = mint(folder, alice, "--chain", "team/notes", "--ops", "r")

    def opening(name: str, token: bytes, session: Session = alice) -> Opening:
        return ate.open(name, url=server.url, session=session, connection={"token": lambda: token})

    async with opening("team/notes", both) as chain:
        dio = chain.dio()
        dio.store({"n": 1})
        await dio.commit()
        root = chain.root
    altered = both[:20] + (b"B" if both[20:21] == b"A" else b"A") + both[21:]
    for name, token, session, kind, hint in (
        ("other", both, alice, AccessDenied, "names this chain"),
        ("team/notes", b"", alice, BadToken, "connection="),
        ("team/notes", altered, alice, BadToken, "new one"),
        ("team/notes", both, Session.new("mallory@example.org"), BadToken, "act as"),
        ("team/notes", expired(folder, alice), alice, TokenExpired, "minutes"),
    ):
        with pytest.raises(kind) as caught:
            async with opening(name, token, session):
                pass
        assert hint in caught.value.hint
    with pytest.raises(NotFound):
        async with opening("team/new", mint(folder, alice, "--chain", "*", "--ops", "rw")):
            pass
    async with opening("team/notes", reading) as chain:
        assert chain.root == root
        dio = chain.dio()
        dio.store({"n": 2})
        with pytest.raises(ate.AteError):
            await dio.commit()
        assert chain.root == root
    assert both.decode() not in server.journal.read_text()


async def test_only_clients_on_the_list_may_connect(servers: Servers, alice: Session) -> None:
    list_file = servers.folder / "clients"
    list_file.write_text(f"# nobody yet\n{'00' * 16}\n")
    server = servers.start("data", "--clients", "clients")
    with pytest.raises(AccessDenied, match=alice.own.sign.public.key_id.hex()) as caught:
        async with ate.open("notes", url=server.url, session=alice, connection={"timeout_s": 2.0}):
            pass
    assert "list of clients" in caught.value.hint
    list_file.write_text(alice.own.sign.public.key_id.hex() + "\n")
    server.process.send_signal(signal.SIGHUP)
    until(lambda: server.get("/healthz")[0] == 200 and "read the files again" in server.events())
    async with ate.open("notes", url=server.url, session=alice, connection={"lines": Registry()}):
        pass


async def test_a_quota_ends_the_writing_and_not_the_reading(
    servers: Servers, alice: Session
) -> None:
    server = servers.start("data", "--quota-bytes", "20000")
    async with ate.open("notes", url=server.url, session=alice) as chain:
        dio = chain.dio()
        with pytest.raises(ate.AteError, match="limit is 20000"):
            for _ in range(100):
                dio.store({"text": os.urandom(1000).hex()})
                await dio.commit()
        head = chain.head
    assert head > 2
    server.stop()
    again = servers.start("data", "--quota-bytes", "20000")
    async with ate.open("notes", url=again.url, session=alice) as chain:
        assert chain.head == head
        dio = chain.dio()
        dio.store({"text": os.urandom(1000).hex()})
        with pytest.raises(ate.AteError, match="limit is 20000"):
            await dio.commit()


async def test_a_chain_of_another_server_is_found_there(
    servers: Servers, tmp_path: Path, alice: Session
) -> None:
    one = servers.start("data")
    (tmp_path / "cluster.toml").write_text(
        f'[[node]]\nurl = "{one.url}"\n[[node]]\nurl = "ws://two.example.com/"\n'
        f'[chains]\n"notes" = {{ url = "{one.url}", epoch = 1 }}\n'
    )
    two = servers.start("other", "--topology", "cluster.toml", "--url", "ws://two.example.com/")
    url = f"ws://127.0.0.1:{two.port}/"
    async with ate.open("notes", url=url, session=alice) as chain:
        dio = chain.dio()
        dio.store({"n": 1})
        await dio.commit()
    assert (tmp_path / "data" / "notes").exists()
    assert not (tmp_path / "other" / "notes").exists()


# --- the wire -----------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), ("--pure-tcp",), ("--wire-encryption",)])
async def test_every_kind_of_wire_carries_chains(
    servers: Servers, alice: Session, words: tuple[str, ...]
) -> None:
    server = servers.start("data", *words)
    assert server.url.startswith("tcp://" if words == ("--pure-tcp",) else "ws://")
    terms = Terms(encryption=words == ("--wire-encryption",))
    async with ate.open("notes", url=server.url, session=alice, connection={"terms": terms}) as one:
        dio = one.dio()
        dio.store({"text": "x" * 3_000_000})
        await dio.commit()
    assert server.stop() == 0


async def test_clients_encrypt_because_the_server_wants_it(
    servers: Servers, alice: Session
) -> None:
    server = servers.start("data", "--wire-encryption")
    lines = Registry()
    async with ate.open("notes", url=server.url, session=alice, connection={"lines": lines}):
        (entry,) = lines._entries.values()
        assert entry.line._pump is not None
        peer = entry.line._pump.connection.peer
        assert peer is not None
        assert peer.encrypted
    await lines.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with cert.pem and key.pem for 127.0.0.1."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )  # fmt: skip
    return folder


@pytest.mark.parametrize("words", [(), ("--pure-tcp",)])
async def test_tls(
    servers: Servers, alice: Session, certificate: Path, words: tuple[str, ...]
) -> None:
    cert, key = str(certificate / "cert.pem"), str(certificate / "key.pem")
    server = servers.start("data", "--tls-cert", cert, "--tls-key", key, *words)
    assert server.url.startswith("tcps://" if words else "wss://")
    server.process.send_signal(signal.SIGHUP)
    lines = Registry(dialer(tls=ssl.create_default_context(cafile=cert)))
    async with ate.open("notes", url=server.url, session=alice, connection={"lines": lines}) as one:
        dio = one.dio()
        dio.store({"n": 1})
        await dio.commit()
    await lines.close()
    with pytest.raises(ate.AteError):
        async with ate.open("notes", url=server.url, session=alice, connection={"timeout_s": 2.0}):
            pass
    assert server.stop() == 0
    assert "read the files again" in server.events()


def test_a_sealed_tls_key_is_refused(tmp_path: Path, certificate: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key((certificate / "key.pem").read_bytes(), None)
    (tmp_path / "sealed.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"word"),
        )
    )  # fmt: skip
    cert = str(certificate / "cert.pem")
    done = run(
        tmp_path, "solo", "data", "--port", "0", "--tls-cert", cert, "--tls-key", "sealed.pem"
    )
    assert done.returncode == 2
    assert "cannot be used" in done.stderr


async def test_several_services_on_one_port(
    servers: Servers, tmp_path: Path, alice: Session
) -> None:
    server = servers.start("data", "--service", "/test=trials")
    assert server.ready["services"] == [server.url, f"{server.url}test"]
    for path, folder in (("", "data"), ("test", "trials")):
        async with ate.open("notes", url=server.url + path, session=alice) as chain:
            dio = chain.dio()
            dio.store({"where": folder})
            await dio.commit()
    with pytest.raises(ate.AteError):
        async with ate.open(
            "notes", url=f"{server.url}none", session=alice, connection={"timeout_s": 2.0}
        ):
            pass
    server.stop()
    for folder in ("data", "trials"):
        async with ate.open("notes", path=tmp_path / folder, session=alice) as chain:
            assert [one.value async for one in chain.dio().all(dict)] == [{"where": folder}]


def test_pages_on_a_port_of_their_own(servers: Servers) -> None:
    server = servers.start("data", "--status-port", "0")
    status = server.ready["status"].rstrip("/")
    assert server.get("/metrics")[0] == 404
    assert server.get("/healthz", status)[0] == 200
    assert server.number("atedb_connections", status) == 0


def test_no_http(servers: Servers) -> None:
    server = servers.start("data", "--no-http")
    assert [server.get(path)[0] for path in ("/", "/healthz", "/metrics")] == [426, 404, 404]


# --- strangers ----------------------------------------------------------------------------------


def say(port: int, data: bytes) -> bytes:
    """Send bytes, and return what comes until the server ends the connection."""
    answer = b""
    stream = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
    with stream, contextlib.suppress(OSError):
        stream.sendall(data)
        stream.shutdown(socket.SHUT_WR)
        while part := stream.recv(65_536):
            answer += part
    return answer


@pytest.mark.parametrize("words", [(), ("--pure-tcp",), ("--no-http",)])
def test_any_bytes_on_the_port(servers: Servers, words: tuple[str, ...]) -> None:
    server = servers.start("data", "--status-port", "0", *words) if "--no-http" not in words else (
        servers.start("data", *words)
    )  # fmt: skip
    rubbish = [
        b"", b"\x00", b"\xff" * 100_000, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\xff" * 50,
        (5).to_bytes(4, "little") + b"hello", (1 << 31).to_bytes(4, "little") + b"x" * 1000,
        *(os.urandom(500) for _ in range(20)),
    ]  # fmt: skip
    for data in rubbish:
        say(server.port, data)
    assert server.process.poll() is None
    assert server.stop() == 0
    assert set(server.events()) <= {"made an identity", "ready", "draining", "stopped"}


async def test_sessions_leave_no_descriptor_behind(servers: Servers, alice: Session) -> None:
    server = servers.start("data")

    def descriptors() -> int:
        return len(list(Path(f"/proc/{server.process.pid}/fd").glob("*")))

    counts = []
    for _ in range(3):
        for _ in range(20):
            lines = Registry()
            async with ate.open(
                "notes", url=server.url, session=alice, connection={"lines": lines}
            ):
                pass
            await lines.close()
        until(lambda: not server.number("atedb_connections"))
        counts.append(descriptors())
    assert max(counts) - min(counts) <= 2


async def test_one_connection_too_many_is_told_so(servers: Servers, alice: Session) -> None:
    server = servers.start("data", "--max-connections", "1")
    async with ate.open("notes", url=server.url, session=alice):
        with pytest.raises(ate.AteError):
            async with ate.open(
                "notes", url=server.url, session=alice,
                connection={"lines": Registry(), "timeout_s": 2.0},
            ):  # fmt: skip
                pass
        assert server.get("/healthz")[0] == 200


def test_it_asks_for_enough_descriptors(servers: Servers) -> None:
    limits = Path(f"/proc/{servers.start('data').process.pid}/limits")
    if limits.exists():
        (line,) = [one for one in limits.read_text().splitlines() if one.startswith("Max open")]
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert int(line.split()[3]) >= min(20_000, hard)


def test_the_first_words(tmp_path: Path) -> None:
    help_text = run(tmp_path, "--help").stdout
    assert "solo" in help_text
    assert "token" in help_text
    assert run(tmp_path, "--version").stdout == f"atedb {ate.__version__}\n"
    wrong = run(tmp_path, "sole", "--json")
    assert wrong.returncode == 2
    assert "did you mean 'solo'" in json.loads(wrong.stderr)["error"]["message"]


def test_the_unit_is_one() -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("there is no systemd here")
    unit = SRC.parent / "examples/systemd/atedb.service"
    done = subprocess.run([tool, "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_server_and_two_clients_start_with_one_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SRC.parent / "examples/compose/up.py")],
        capture_output=True, text=True, cwd=tmp_path, env=environment(tmp_path), timeout=TIMEOUT_S,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "watcher: saw note 5" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_command_shows_a_token_and_tells_why_it_is_not_let_in(
    servers: Servers, tmp_path: Path
) -> None:
    (tmp_path / "pw").write_text("a passphrase\n")
    who = ("--passphrase-file", "pw")
    assert run(tmp_path, "keys", "new", "alice", *who, module="atecli").returncode == 0
    assert run(tmp_path, "token", "--new-key", "tokens.key").returncode == 0
    minted = run(
        tmp_path, "token", "--key", "tokens.key", "--chain", "team/*", "--ops", "rwc",
        "--for", "home/keys/alice.pub",
    )  # fmt: skip
    (tmp_path / "token").write_text(minted.stdout)
    server = servers.start(
        "data", "--listen", "0.0.0.0", "--auth", "tokens.key", "--wire-encryption"
    )

    def ate_(word: str, chain: str, *more: str) -> subprocess.CompletedProcess[str]:
        url = ("--url", server.url)
        return run(tmp_path, word, chain, *more, *url, *who, module="atecli")

    shown = ("--as", "alice", "--token", "token")
    assert ate_("put", "team/notes", '"milk"', *shown).returncode == 0
    assert "milk" in ate_("ls", "team/notes", *shown).stdout
    for chain, more, told in (
        ("team/notes", ("--as", "alice"), "--token FILE"),
        ("other", shown, "names this chain"),
        ("team/notes", ("--token", "token"), "--as NAME"),
    ):
        for word in (("put", '"x"'), ("status",)):
            done = ate_(word[0], chain, *word[1:], *more)
            assert done.returncode == 4, done.stderr
            assert told in done.stderr
    lost = run(tmp_path, "ls", "team/notes", "--token", "token", module="atecli")
    assert lost.returncode == 2
    assert "--url" in lost.stderr
    assert server.stop() == 0


async def test_the_guide_is_true(servers: Servers, tmp_path: Path, alice: Session) -> None:
    """Play the words of docs/guide/server.md and docs/operations/README.md, one after the other."""
    pages = [SRC.parent / "docs" / name for name in ("guide/server.md", "operations/README.md")]
    text = "\n".join(page.read_text() for page in pages)
    (tmp_path / "alice.pub").write_text(encode(alice.public) + "\n")
    token = b""
    for line in (
        "atedb token --new-key tokens.key",
        "atedb token --key tokens.key --chain 'team/*' --ops rwc --for alice.pub",
    ):
        assert line in text
        done = run(tmp_path, *shlex.split(line)[1:])
        assert done.returncode == 0, done.stderr
        token = done.stdout.strip().encode()
    serving = "atedb solo data --listen 0.0.0.0 --auth tokens.key --wire-encryption"
    assert serving in text
    server = servers.start(*shlex.split(serving)[2:])
    connection = {"token": lambda: token}
    async with ate.open("team/notes", url=server.url, session=alice, connection=connection) as one:
        dio = one.dio()
        dio.store({"title": "milk"})
        await dio.commit()
        for words in (["verify", "team/notes", "--path", "data"],
                      ["backup", "--all", "copies", "--path", "data"]):  # fmt: skip
            assert " ".join(words[:2]) in text
            assert run(tmp_path, *words, module="atecli").returncode == 0
    assert server.stop() == 0
    assert (tmp_path / "data/.atedb/identity").exists()
