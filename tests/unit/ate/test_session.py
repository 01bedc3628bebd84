from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from ate.crypto.kdf import Cost, seal_with_passphrase
from ate.errors import BadSignature, CannotOpen, NotFound, StorageError, TrustError, UsageError
from ate.session import CERTIFICATE_CONTEXT, CERTIFICATE_DAYS, Certificate, KeyPair, Session
from ate.testing.simclock import START_US
from ate.testing.stage import member

DAY_US = 86_400_000_000
CHAIN, OTHER = b"c" * 32, b"o" * 32
CHEAP = Cost(64, 1, 1)


def pair(seed: int, name: str = "role") -> KeyPair:
    return KeyPair.from_seeds(name, bytes([seed]) * 64, bytes([seed]) * 32)


# --- keys -------------------------------------------------------------------------------------


def test_a_new_session_has_keys_of_its_own() -> None:
    one, two = Session.new("alice"), Session.new("alice")
    assert one.public != two.public
    assert one.public.identity == "alice"
    assert one.public.key_id == one.own.key_id
    assert one.device == int.from_bytes(one.public.key_id[:8], "little") != two.device


def test_the_same_seeds_are_the_same_keys() -> None:
    assert pair(1).principal == pair(1).principal
    assert pair(1).key_id != pair(2).key_id


def test_a_session_acts_as_itself_and_as_the_newest_generation_of_its_roles() -> None:
    session = Session("alice", pair(1, "alice"), roles={"Staff": (pair(2), pair(3))})
    assert [one.key_id for one in session.authorities()] == [pair(1).key_id, pair(3).key_id]
    session.add_role("Staff", pair(4))
    session.add_role("Staff", pair(4))
    assert session.authorities()[1].key_id == pair(4).key_id
    assert len(session.roles["Staff"]) == 3


def test_old_generations_still_open() -> None:
    """A removed generation's sealing key stays: the past is readable to those who had it."""
    session = Session("alice", pair(1, "alice"), roles={"Staff": (pair(2), pair(3))})
    session.add_role("Given", pair(4), chain_id=CHAIN)
    assert set(session.opening_keys()) == {pair(seed).key_id for seed in (1, 2, 3, 4)}


def test_a_role_that_a_chain_gave_is_a_role_of_that_chain_alone() -> None:
    """Two chains may both have a "Staff": acting as the one must not shadow the other."""
    session = member("alice")
    session.add_role("Staff", pair(2), chain_id=CHAIN)
    session.add_role("Staff", pair(3), chain_id=OTHER)
    assert [one.key_id for one in session.authorities()] == [session.own.key_id]
    assert session.authorities(CHAIN)[1].key_id == pair(2).key_id
    assert session.authorities(OTHER)[1].key_id == pair(3).key_id
    issuers = {one.issuer for one in session.fast(CHAIN, START_US).certificates}
    assert issuers == {session.own.key_id, pair(2).key_id}


def test_secrets_show_in_no_representation() -> None:
    session = Session("alice", pair(0x73, "alice"), roles={"Staff": (pair(0x74),)})
    fast = session.fast(CHAIN, START_US)
    session.claims["token"] = "hunter2"
    shown = " ".join(map(repr, (session, session.own, fast, fast.certificates, session.public)))
    for secret in (session.own.sign.seed, session.own.seal.seed, fast.key.seed):
        assert secret.hex() not in shown
        assert repr(secret) not in shown
    assert "sssss" not in shown
    assert "hunter2" not in shown
    assert "alice" in repr(session)
    assert "Staff" in repr(session)


def test_an_expired_session_does_nothing() -> None:
    session = Session.new("alice", expires_us=1000)
    session.check_live(1000)
    with pytest.raises(TrustError, match="expired"):
        session.check_live(1001)
    Session.new("bob").check_live(1 << 62)


def test_local_keys_differ_by_chain_and_session() -> None:
    keys = {member(name).local_key(chain) for name in ("a", "b") for chain in (CHAIN, OTHER)}
    assert len(keys) == 4
    assert member("a").local_key(CHAIN) in keys


# --- session keys and their certificates ------------------------------------------------------


def test_a_session_key_is_certified_by_every_authority() -> None:
    session = Session("alice", pair(1, "alice"), roles={"Staff": (pair(2),)})
    fast = session.fast(CHAIN, START_US)
    assert [one.issuer for one in fast.certificates] == [pair(1).key_id, pair(2).key_id]
    for one, issuer in zip(fast.certificates, session.authorities(), strict=True):
        issuer.sign.public.verify(one.signature, one.message(), CERTIFICATE_CONTEXT)
        assert one.subject == fast.key.public.raw
        assert (one.chain_id, one.until_us) == (CHAIN, START_US + CERTIFICATE_DAYS * DAY_US)


def test_a_certificate_covers_chain_subject_issuer_and_time() -> None:
    (one,) = member("alice").fast(CHAIN, START_US).certificates
    verify = member("alice").own.sign.public.verify
    for altered in (
        Certificate(b"x" * 32, one.issuer, one.chain_id, one.until_us),
        Certificate(one.subject, b"x" * 16, one.chain_id, one.until_us),
        Certificate(one.subject, one.issuer, OTHER, one.until_us),
        Certificate(one.subject, one.issuer, one.chain_id, one.until_us + 1),
    ):
        with pytest.raises(BadSignature):
            verify(one.signature, altered.message(), CERTIFICATE_CONTEXT)


def test_a_session_key_serves_one_chain_until_a_day_before_its_end() -> None:
    session = member("alice")
    first = session.fast(CHAIN, START_US)
    assert session.fast(CHAIN, START_US + (CERTIFICATE_DAYS - 1) * DAY_US) is first
    assert session.fast(OTHER, START_US) is not first
    renewed = session.fast(CHAIN, START_US + (CERTIFICATE_DAYS - 1) * DAY_US + 1)
    assert renewed is not first
    assert renewed.key_id != first.key_id


def test_a_certificate_ends_with_its_session_and_is_not_made_anew_for_each_commit() -> None:
    """Short sessions (15 minutes) are always within a day of their end; they reuse their key."""
    session = member("alice")
    session.expires_us = START_US + 900_000_000
    first = session.fast(CHAIN, START_US)
    assert first.until_us == session.expires_us
    assert session.fast(CHAIN, START_US + 899_000_000) is first


def test_a_new_role_brings_a_new_session_key() -> None:
    session = member("alice")
    first = session.fast(CHAIN, START_US)
    session.add_role("Staff", pair(2))
    assert len(session.fast(CHAIN, START_US).certificates) == 2
    assert session.fast(CHAIN, START_US) is not first


# --- files ------------------------------------------------------------------------------------


def test_a_saved_session_is_loaded_with_its_passphrase(tmp_path: Path) -> None:
    session = Session("alice", pair(1, "alice"), roles={"Staff": (pair(2), pair(3))})
    session.claims["team"] = ["a", 1]
    session.expires_us = 77
    path = tmp_path / "deep" / "alice.key"
    session.save(path, "open sesame")
    again = Session.load(path, "open sesame")
    assert again.public == session.public
    assert {name: [one.key_id for one in pairs] for name, pairs in again.roles.items()} == {
        "Staff": [pair(2).key_id, pair(3).key_id]
    }
    assert (again.identity, again.claims, again.expires_us) == ("alice", {"team": ["a", 1]}, 77)
    with pytest.raises(CannotOpen) as refused:
        Session.load(path, "open sesame!")
    assert "sesame" not in str(refused.value)


def test_the_key_file_is_private_and_holds_no_secret_in_plain(tmp_path: Path) -> None:
    path = tmp_path / "alice.key"
    leftover = tmp_path / f"alice.key.{os.getpid()}.new"
    leftover.write_bytes(b"of a crash")
    leftover.chmod(0o644)
    session = member("alice")
    session.save(path, "x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    blob = path.read_bytes()
    assert session.own.sign.seed[:16] not in blob
    assert session.own.seal.seed[:16] not in blob
    assert not leftover.exists()


def test_saving_again_replaces_the_file(tmp_path: Path) -> None:
    path = tmp_path / "one.key"
    member("alice").save(path, "x")
    member("bob").save(path, "x")
    assert Session.load(path, "x").identity == "bob"


def test_a_file_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write the key file"):
        member("alice").save(tmp_path / "file" / "alice.key", "x")


def test_claims_that_cannot_be_encoded_are_a_usage_error(tmp_path: Path) -> None:
    session = member("alice")
    session.claims["clock"] = object()
    with pytest.raises(UsageError, match="claims"):
        session.save(tmp_path / "alice.key", "x")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as missing:
        Session.load(tmp_path / "alice.key", "x")
    assert "ate keys new" in missing.value.hint


def test_a_folder_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot read"):
        Session.load(tmp_path, "x")


@pytest.mark.parametrize(
    "blob", [b"", b"ATEKEYS", b"-----BEGIN KEY-----", b"ATEKEYS1", b"ATEKEYS1garbage"]
)
def test_other_files_are_no_key_files(tmp_path: Path, blob: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(blob)
    with pytest.raises(CannotOpen):
        Session.load(path, "x")


@pytest.mark.parametrize(
    "content",
    [
        b"\xc1",
        b"\x90",
        b"\x80",
        msgspec.msgpack.encode({"identity": "a", "own": [b"short", b"short"]}),
        msgspec.msgpack.encode({"identity": "a", "own": 1}),
        msgspec.msgpack.encode(
            {
                "identity": "a",
                "own": [b"s" * 64, b"k" * 32],
                "roles": [],
                "claims": {},
                "expires_us": 0,
            }
        ),
    ],
)
def test_a_key_file_of_another_form_is_told_apart(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"ATEKEYS1" + seal_with_passphrase(content, "x", cost=CHEAP))
    with pytest.raises(CannotOpen, match="unknown form"):
        Session.load(path, "x")


# --- a program's first minute -------------------------------------------------------------------


def answers(*given: str) -> Callable[[str], str]:
    """Return an `ask` that gives these answers in turn and remembers no question."""
    waiting = list(given)
    return lambda question: waiting.pop(0)


def test_the_first_time_keys_are_made_and_then_they_are_loaded(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "me.keys"
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return "alice@example.org" if "name" in question else "open sesame"

    made = Session.open_or_new(path, ask)
    assert made.identity == "alice@example.org"
    assert ["passphrase" in question for question in asked] == [False, True, True]
    again = Session.open_or_new(path, answers("wrong", "open sesame"))
    assert again.public == made.public


@pytest.mark.parametrize("has_links", [True, False])
def test_of_two_programs_that_begin_at_once_both_have_the_keys_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_links: bool
) -> None:
    path = tmp_path / "chat.keys"
    others: list[Session] = []

    def ask(question: str) -> str:
        if "again" in question:  # the other program is at the same point
            others.append(Session.open_or_new(path, answers("other", "word", "word")))
        return "word"

    def no_links(*_: object) -> None:
        raise PermissionError("this file system has none")

    if not has_links:
        monkeypatch.setattr(Path, "hardlink_to", no_links)
    session = Session.open_or_new(path, ask)
    assert session.public == others[0].public
    assert session.identity == "other"
    assert [one.name for one in tmp_path.iterdir()] == ["chat.keys"]


def test_two_different_passphrases_are_asked_for_again(tmp_path: Path) -> None:
    ask = answers("alice", "one", "two", "", "three", "three")
    Session.open_or_new(tmp_path / "keys", ask)
    assert Session.load(tmp_path / "keys", "three").identity == "alice"


def test_asking_has_an_end(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    with pytest.raises(UsageError, match="somebody"):
        Session.open_or_new(path, answers("  "))
    with pytest.raises(UsageError, match="passphrase"):
        Session.open_or_new(path, answers("alice", "", "a", "b", ""))
    assert not path.exists()
    Session.open_or_new(path, answers("alice", "right", "right"))
    with pytest.raises(CannotOpen):
        Session.open_or_new(path, answers("a", "b", "c"))
