"""Stolen device: the thief has the disk and the saved session, or finds the machine running."""

from __future__ import annotations

from pathlib import Path

import pytest

from ate.errors import CannotOpen, LimitExceeded, NoReadKey, TrustError, UsageError
from ate.event.access import Access, Everyone, Only
from ate.session import KeyPair, Session
from ate.testing.stage import Stage, member


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("keys") / "alice.key"
    member("alice").save(path, "correct horse")
    return path


def test_the_owner_gets_in(saved: Path) -> None:
    assert Session.load(saved, "correct horse").public == member("alice").public


def test_the_file_tells_no_key_and_no_name(saved: Path) -> None:
    raw, alice = saved.read_bytes(), member("alice")
    for needle in (alice.own.sign.seed, alice.own.seal.seed, alice.public.sign[:64], b"alice"):
        assert needle not in raw
    assert saved.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("guess", ["", "correct horse ", "Correct horse", "correct hors"])
def test_a_wrong_passphrase(saved: Path, guess: str) -> None:
    with pytest.raises(CannotOpen):
        Session.load(saved, guess)


def test_an_altered_file(saved: Path, tmp_path: Path) -> None:
    """Cheap passphrase settings cannot be written into it, nor can it demand the whole machine."""
    raw = saved.read_bytes()
    bad = tmp_path / "bad.key"
    for at in (0, 7, 8, 15, 17, 21, 25, 40, 60, len(raw) - 1):
        bad.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        with pytest.raises(CannotOpen):
            Session.load(bad, "correct horse")
    for size in (0, 8, 30, 76, len(raw) - 1):
        bad.write_bytes(raw[:size])
        with pytest.raises(CannotOpen):
            Session.load(bad, "correct horse")
    for word in range(3):
        at = 16 + 4 * word
        bad.write_bytes(raw[:at] + b"\xff\xff\xff\xff" + raw[at + 4 :])
        with pytest.raises(CannotOpen):
            Session.load(bad, "correct horse")


async def test_an_expired_session_signs_nothing() -> None:
    for suite in (1, 2):
        stage = Stage(suite=suite, access=Access(read=Everyone, write=Everyone))
        (alice,) = await stage.cast("alice")
        limited = Session("alice", alice.own, expires_us=stage.clock.now_us() + 10**9)
        await stage.as_(limited).store("in time")
        stage.clock.advance(1001)
        with pytest.raises(TrustError, match="expired"):
            await stage.as_(limited).store("late")
        assert (await stage.verify()).ok
        stage.clock.advance(-500)
        await stage.as_(alice).store("a clock that was set back stops nobody")
        assert (await stage.verify()).ok


async def test_what_this_session_could_not_open_stays_closed() -> None:
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    private = await stage.as_(alice).store("not for bob", access=Access(read=Only(alice.public)))
    with pytest.raises(NoReadKey):
        await stage.as_(bob).load(private)


async def test_a_running_session_shows_no_key_by_accident() -> None:
    alice = member("alice")
    text = repr(
        (alice, alice.own, alice.own.sign, alice.own.seal, alice.public, alice.fast(bytes(32), 0))
    )
    for seed in (alice.own.sign.seed, alice.own.seal.seed, alice.fast(bytes(32), 0).key.seed):
        assert seed.hex() not in text
        assert repr(seed)[2:-1] not in text


def test_seeds_of_a_wrong_size_are_refused() -> None:
    with pytest.raises((UsageError, LimitExceeded)):
        KeyPair.from_seeds("x", b"short", bytes(32))
