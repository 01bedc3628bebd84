"""`atedb.solo`: a whole server inside the test, from its files to its last word."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import ate
from ate.clock import SystemClock
from ate.errors import Deposed, LogLocked, NetworkError, NotFound, TrustError
from ate.log import ownership as owners
from ate.log.disk import RealDisk
from ate.mesh.registry import Registry
from ate.session import Session
from atedb import solo as module
from atedb.gate import Limits
from atedb.journal import Journal
from atedb.settings import Service, Settings
from atedb.solo import Solo, run
from atedb.throttle import Rate
from atedb.tokens import TokenKey


@pytest.fixture(scope="module")
def alice() -> Session:
    return Session.new("alice@example.org")


@asynccontextmanager
async def served(folder: Path, **given: Any) -> AsyncIterator[tuple[Solo, str, io.StringIO]]:
    out = io.StringIO()
    settings = Settings(path=folder, port=0, **given)
    settings.check()
    solo = Solo(settings, Journal(out, SystemClock(), verbose=True), SystemClock())
    try:
        await solo.start()
        yield solo, solo.facts()["url"], out
        solo.stop()
    finally:
        await solo.close()


@asynccontextmanager
async def chain(url: str, session: Session, **given: Any) -> AsyncIterator[ate.Chain]:
    lines = Registry()
    try:
        async with ate.open(
            "notes", url=url, session=session, connection={"lines": lines, **given}
        ) as found:
            yield found
    finally:
        await lines.close()


async def store(one: ate.Chain, value: object) -> None:
    dio = one.dio()
    dio.store(value)
    await dio.commit()


@pytest.mark.parametrize("given", [{}, {"pure_tcp": True, "status_port": 0}, {"no_http": True}])
async def test_a_life(tmp_path: Path, alice: Session, given: dict[str, Any]) -> None:
    async with served(tmp_path, **given) as (solo, url, out):
        assert url.startswith("tcp" if given.get("pure_tcp") else "ws")
        async with chain(url, alice) as one:
            await store(one, {"n": 1})
            assert "atedb_commits_total 2\n" in solo.metrics.text()
            assert "atedb_connections 1\n" in solo.metrics.text()
            assert solo._health() == (True, {"connections": 1, "chains": 1})
        solo._sweep()
    assert not solo._health()[0]
    for event in ("made an identity", "connected", "draining", "gone", "stopped"):
        assert event in out.getvalue()
    async with ate.open("notes", path=tmp_path, session=alice, readonly=True) as kept:
        assert [one.value async for one in kept.dio().all(dict)] == [{"n": 1}]


async def test_the_identity_stays(tmp_path: Path) -> None:
    async with served(tmp_path) as (solo, _, _out):
        first = solo.key_id
    async with served(tmp_path) as (solo, _, _out):
        assert solo.key_id == first
        assert solo.facts()["key"] == first.hex()


async def test_services_are_apart(tmp_path: Path, alice: Session) -> None:
    services = (Service("/test", tmp_path / "test"),)
    async with (
        served(tmp_path / "main", services=services) as (_, url, _out),
        chain(url, alice) as one,
        chain(f"{url}test", alice) as two,
    ):
        await store(one, {"n": 1})
        assert one.id != two.id
    assert (tmp_path / "test" / "notes").exists()


async def test_tokens_are_wanted(tmp_path: Path, alice: Session) -> None:
    TokenKey.create(tmp_path / "key", "here")
    async with served(tmp_path / "data", auth=str(tmp_path / "key")) as (_, url, _out):
        with pytest.raises(TrustError):
            async with chain(url, alice):
                pass


async def test_a_slow_pace_is_kept(tmp_path: Path, alice: Session) -> None:
    bounds = Limits(connection=Rate(commits_s=2))
    async with served(tmp_path, bounds=bounds) as (solo, url, _out), chain(url, alice) as one:
        for number in range(6):
            await store(one, {"n": number})
        assert 'atedb_refused_total{code="throttled"}' in solo.metrics.text()


async def test_what_is_held_back_is_not_lost_but_sent_again(tmp_path: Path, alice: Session) -> None:
    async with served(tmp_path) as (solo, url, _out), chain(url, alice) as one:
        await store(one, {"n": 1})
        solo._switch.hold()
        dio = one.dio()
        dio.store({"n": 2})
        waiting = asyncio.ensure_future(dio.commit())
        await asyncio.wait([waiting], timeout=0.2)
        assert not waiting.done()
        solo._switch.end()
        with pytest.raises(ate.AteError):
            await waiting
    async with ate.open("notes", path=tmp_path, session=alice, readonly=True) as kept:
        assert [one.value async for one in kept.dio().all(dict)] == [{"n": 1}]


async def test_what_takes_too_long_is_left(
    tmp_path: Path, alice: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FINISH_S", 0.05)
    async with served(tmp_path) as (solo, url, out), chain(url, alice) as one:
        await store(one, {"n": 1})

        async def never() -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(solo._houses["/"].hall, "close", never)
        solo.stop()
        await solo.close()
        assert "not finished in time" in out.getvalue()


async def test_too_many_connections(tmp_path: Path, alice: Session) -> None:
    async with served(tmp_path, max_connections=1) as (solo, url, _out), chain(url, alice):
        with pytest.raises(ate.AteError):
            async with chain(url, alice, timeout_s=0.5):
                pass
        assert "atedb_turned_away_total" in solo.metrics.text()


async def test_a_path_that_is_not_served(tmp_path: Path, alice: Session) -> None:
    async with served(tmp_path) as (_, url, _out):
        with pytest.raises(ate.AteError):
            async with chain(f"{url}none", alice, timeout_s=0.5):
                pass


async def test_lists_are_read_again(tmp_path: Path, alice: Session) -> None:
    clients, nodes = tmp_path / "clients", tmp_path / "nodes"
    clients.write_text("00" * 16)
    nodes.write_text("")
    given = {"clients": clients, "nodes_list": nodes}
    async with served(tmp_path / "data", **given) as (solo, url, out):
        clients.write_text(alice.own.sign.public.key_id.hex())
        nodes.write_text("ws://b.example.org")
        solo.reread()
        assert solo._nodes.urls == ("ws://b.example.org:5000/",)
        async with chain(url, alice):
            pass
        clients.write_text("rubbish")
        solo.reread()
        assert "a file was not read again" in out.getvalue()
        async with chain(url, alice):
            pass


async def test_what_cannot_start_leaves_nothing_locked(tmp_path: Path) -> None:
    async with served(tmp_path / "one") as (solo, _, _out):
        with pytest.raises(LogLocked, match="another server uses"):
            async with served(tmp_path / "one"):
                pass
        busy = Settings(path=tmp_path / "two", port=solo.port)
        for settings in (busy, busy):
            other = Solo(settings, Journal(io.StringIO(), SystemClock()), SystemClock())
            with pytest.raises(NetworkError):
                await other.start()
            await other.close()
    with pytest.raises(NotFound):
        async with served(tmp_path / "three", auth=str(tmp_path / "none")):
            pass


async def test_mishaps_are_written_down(tmp_path: Path) -> None:
    async with served(tmp_path) as (solo, _, out):
        loop = asyncio.get_running_loop()
        solo.mishap(loop, {"message": "odd", "exception": ValueError("a secret")})
        solo.mishap(loop, {"message": "even"})
        assert "odd code=internal" in out.getvalue()
        assert "even" in out.getvalue()
        assert "secret" not in out.getvalue()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it(tmp_path: Path, number: int) -> None:
    told: list[dict[str, Any]] = []

    def ready(facts: dict[str, Any]) -> None:
        told.append(facts)
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), number)

    out = io.StringIO()
    settings = Settings(path=tmp_path, port=0)
    run(settings, Journal(out, SystemClock()), SystemClock(), ready)
    assert told[0]["event"] == "ready"
    assert told[0]["services"] == [told[0]["url"]]
    assert "stopped" in out.getvalue()


class Said(io.StringIO):
    """Tells when something was written to it."""

    def __init__(self, wanted: str) -> None:
        super().__init__()
        self._wanted, self.heard = wanted, asyncio.Event()

    def write(self, text: str) -> int:
        if self._wanted in text:
            self.heard.set()
        return super().write(text)


async def test_one_serves_and_the_other_stands_by_until_it_hangs(
    tmp_path: Path, alice: Session
) -> None:
    given = {"stand_by": True, "stand_by_after_s": 0.5}
    async with served(tmp_path, **given) as (first, url, _out), chain(url, alice) as one:
        await store(one, {"n": 1})
        said = Said("standing by")
        second = Solo(
            Settings(path=tmp_path, port=0, **given), Journal(said, SystemClock()), SystemClock()
        )
        waiting = asyncio.create_task(second.start())
        await said.heard.wait()
        assert second._health() == (False, {"status": "stand-by", "connections": 0, "chains": 0})
        assert first._owning._timer is not None
        first._owning._timer.cancel()  # it hangs
        await waiting
        async with chain(second.facts()["url"], alice) as two:
            await store(two, {"n": 2})
            with pytest.raises((ate.AteError, TimeoutError)):
                async with asyncio.timeout(0.5):
                    await store(one, {"n": 3})
            first._owning._beat()
            assert isinstance(first.failure, Deposed)
            assert first.stopped.is_set()
            assert not first._health()[0]
        second.stop()
        await second.close()
    async with ate.open("notes", path=tmp_path, session=alice, readonly=True) as kept:
        found = [one.value async for one in kept.dio().all(dict)]
    assert found[:2] == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize("given", [{}, {"pure_tcp": True, "status_port": 0}])
async def test_who_stands_by_can_be_told_to_end(tmp_path: Path, given: dict[str, Any]) -> None:
    async with served(tmp_path, stand_by=True, **given) as (first, _, _out):
        said = Said("standing by")
        second = Solo(
            Settings(path=tmp_path, port=0, stand_by=True, **given),
            Journal(said, SystemClock()), SystemClock(),
        )  # fmt: skip
        waiting = asyncio.create_task(second.start())
        await said.heard.wait()
        second.stop()
        await waiting
        await second.close()
        assert second.failure is None
        assert not first.stopped.is_set()


def test_a_server_that_was_deposed_ends_with_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(path=tmp_path, port=0, stand_by=True, stand_by_after_s=0.2)

    def ready(_: dict[str, Any]) -> None:
        own = str(tmp_path / ".atedb")
        other = owners.depose(RealDisk(), own, 1, {"url": "ws://other/"})
        assert other is not None
        other.close()

    with pytest.raises(Deposed, match="ws://other/"):
        run(settings, Journal(io.StringIO(), SystemClock()), SystemClock(), ready)
