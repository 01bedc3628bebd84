"""The library's check, with what only the caller knows: the name, the roots, what was there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ate
from ate.errors import UnsupportedFormat, UsageError, WrongType
from ate.log.local import LocalLog
from ate.session import Session
from atecli import audit, identity


@pytest.fixture(scope="module")
def sessions() -> tuple[Session, Session]:
    return Session.new("alice"), Session.new("bob")


@pytest.fixture
async def folder(tmp_path: Path, sessions: tuple[Session, Session]) -> Path:
    for number in range(2):
        async with ate.open("vault", path=tmp_path, session=sessions[0]) as chain:
            dio = chain.dio()
            dio.store({"n": number})
            await dio.commit()
    return tmp_path / "vault"


async def problems(
    folder: Path, name: str = "vault", session: Session | None = None, *pins: Any
) -> Any:
    store = LocalLog.open(folder, readonly=True)
    try:
        told = await audit.check(store, name, session, pins)
    finally:
        store.close()
    return told.found, told.genesis


async def test_a_sound_chain(folder: Path, sessions: tuple[Session, Session]) -> None:
    found, genesis = await problems(folder)
    assert found.ok
    assert genesis.name == "vault"
    assert not any("seen before" in one for one in found.checks)
    found, _ = await problems(folder, "/vault", sessions[0], sessions[0].public)
    assert found.ok
    assert any("seen before, up to row" in one for one in found.checks)
    assert any("root keys" in one for one in found.checks)


async def test_another_chain_than_was_meant(
    folder: Path, sessions: tuple[Session, Session]
) -> None:
    found, _ = await problems(folder, "other", None, sessions[1].public)
    assert found.problems == [
        "the log holds the chain 'vault', not 'other'",
        "none of the root keys given is a root of this chain",
    ]


def last_frame(folder: Path) -> int:
    store = LocalLog.open(folder, readonly=True)
    place = [place for place, _ in store.scan(0)][-1]
    store.close()
    return place & ((1 << 40) - 1)


async def test_a_chain_that_was_cut_is_sound_until_somebody_remembers(
    folder: Path, sessions: tuple[Session, Session]
) -> None:
    head = folder / "000001/head.000001"
    head.write_bytes(head.read_bytes()[: last_frame(folder)])
    assert (await problems(folder))[0].ok
    found, _ = await problems(folder, "vault", sessions[0])
    assert "against what was seen before: the log is shorter" in found.problems[0]


async def test_damage_at_the_start_leaves_no_genesis(folder: Path) -> None:
    head = folder / "000001/head.000001"
    content = bytearray(head.read_bytes())
    content[64 + 40] ^= 1
    head.write_bytes(content)
    found, genesis = await problems(folder)
    assert genesis is None
    assert not found.ok
    assert any("the first commit: " in one for one in found.problems)
    assert any("genesis" in one for one in found.problems)


async def test_an_empty_log_is_no_chain(tmp_path: Path) -> None:
    LocalLog.open(tmp_path / "empty").close()
    found, genesis = await problems(tmp_path / "empty")
    assert genesis is None
    assert found.problems == ["the log does not start with a genesis commit"]


async def test_the_deep_look_knows_types_and_says_what_is_closed(
    folder: Path, sessions: tuple[Session, Session]
) -> None:
    store = LocalLog.open(folder, readonly=True)
    told = await audit.check(store, "vault", sessions[0], (), is_deep=True)
    assert told.depth is not None
    assert (told.depth.values, told.unchecked) == (2, [])
    told = await audit.check(store, "vault", sessions[1], (), is_deep=True)
    assert told.unchecked[0].startswith("2 bodies in 1 read domain")
    store.close()
    with pytest.raises(WrongType):
        audit._judge(b"\xa3int\x05", 1, 7)


async def test_a_newer_version_is_no_damage(tmp_path: Path) -> None:
    async with ate.open("c", path=tmp_path) as chain:
        payload = bytearray(next(iter(chain._ledger.store.scan(0)))[1])
    log = LocalLog.open(tmp_path / "newer")
    payload[0] = 2
    log.append([bytes(payload)])
    log.close()
    with pytest.raises(UnsupportedFormat):
        await problems(tmp_path / "newer", "c")


def test_files_that_belong_to_nobody(tmp_path: Path) -> None:
    LocalLog.open(tmp_path / "c").close()
    LocalLog.open(tmp_path / "c/inside").close()
    assert audit.strays(tmp_path / "c") == []
    (tmp_path / "c/000002").mkdir()
    (tmp_path / "c/doomed.000003").mkdir()
    (tmp_path / "c/notes.txt").touch()
    assert audit.strays(tmp_path / "c") == ["000002", "doomed.000003", "notes.txt"]
    (tmp_path / "c/CURRENT").unlink()
    assert "000001" in audit.strays(tmp_path / "c")


def test_a_principal_is_text_or_a_file(tmp_path: Path, sessions: tuple[Session, Session]) -> None:
    token = identity.encode(sessions[0].public)
    (tmp_path / "alice.pub").write_text(token + "\n")
    assert audit.principal(token) == audit.principal(str(tmp_path / "alice.pub"))
    with pytest.raises(FileNotFoundError):
        audit.principal("nobody.pub")
    (tmp_path / "odd").write_text("odd")
    with pytest.raises(UsageError):
        audit.principal(str(tmp_path / "odd"))
