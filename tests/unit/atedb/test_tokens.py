"""`atedb.tokens`: what a token allows, and every way in which one can be wrong."""

from __future__ import annotations

import base64
import stat
import time
from pathlib import Path

import msgspec
import pytest

from ate.crypto.entropy import SeededEntropy
from ate.errors import (
    AccessDenied,
    BadToken,
    LimitExceeded,
    NotFound,
    StorageError,
    TokenExpired,
    UsageError,
)
from atedb.tokens import MINUTES_MAX, Checker, Claims, TokenKey, make

NOW = 1_800_000_000_000_000
MINUTE = 60_000_000
PHONE = b"phone of alice.."
KEY = TokenKey("shop", (b"k" * 32,))


def token(key: TokenKey = KEY, *chains: str, ops: str = "rw", minutes: int = 15) -> bytes:
    return make(
        key, chains or ("example.com/alice/*",), ops=ops, holder=PHONE, now_us=NOW,
        minutes=minutes, subject="alice", entropy=SeededEntropy(1),
    ).encode()  # fmt: skip


def check(
    given: bytes, name: str = "example.com/alice/notes", *, holder: bytes = PHONE, at: int = NOW
) -> Claims:
    return Checker(KEY).check(given, name=name, holder=holder, now_us=at)


def test_a_token_says_who_may_do_what_with_which_chains() -> None:
    claims = check(token(ops="wr"))
    assert (claims.sub, claims.ops, claims.chains) == ("alice", "rw", ["example.com/alice/*"])
    assert claims.exp - claims.iat == 15 * 60


@pytest.mark.parametrize(
    "pattern, name, fits",
    [
        ("notes", "notes", True),
        ("notes", "notes/1", False),
        ("notes", "note", False),
        ("example.com/alice/*", "example.com/alice/a/b", True),
        ("example.com/alice/*", "example.com/alice", False),
        ("example.com/alice/*", "example.com/alicent/a", False),
        ("*", "anything/at/all", True),
    ],
)
def test_patterns_are_whole_names_or_their_first_parts(pattern: str, name: str, fits: bool) -> None:
    given = token(KEY, pattern)
    if fits:
        check(given, name)
    else:
        with pytest.raises(AccessDenied):
            check(given, name)


def test_a_token_for_another_chain_is_refused() -> None:
    with pytest.raises(AccessDenied, match="other chains"):
        check(token(), "example.com/bob/notes")


@pytest.mark.parametrize("holder, text, hint", [
    (b"", "proved none", "session="), (b"phone of mallory", b"phone of mallory".hex(), "act as"),
])  # fmt: skip
def test_a_stolen_token_is_of_no_use(holder: bytes, text: str, hint: str) -> None:
    with pytest.raises(BadToken, match=text) as caught:
        check(token(), holder=holder)
    assert hint in caught.value.hint


def test_a_token_expires() -> None:
    given = token()
    check(given, at=NOW + 15 * MINUTE - 1)
    with pytest.raises(TokenExpired):
        check(given, at=NOW + 15 * MINUTE)


def test_a_token_of_a_remembered_check_expires_as_well() -> None:
    checker, given = Checker(KEY), token()
    checker.check(given, name="example.com/alice/a", holder=PHONE, now_us=NOW)
    with pytest.raises(TokenExpired):
        checker.check(given, name="example.com/alice/a", holder=PHONE, now_us=NOW + 15 * MINUTE)
    with pytest.raises(AccessDenied):
        checker.check(given, name="example.com/bob/a", holder=PHONE, now_us=NOW)
    with pytest.raises(BadToken):
        checker.check(given, name="example.com/alice/a", holder=b"x" * 16, now_us=NOW)


def test_a_token_from_the_future_is_refused_unless_the_clocks_differ_a_little() -> None:
    check(token(), at=NOW - MINUTE)
    with pytest.raises(BadToken, match="future"):
        check(token(), at=NOW - 2 * MINUTE)


def test_every_bit_counts() -> None:
    given = token()
    armour = given[12:]
    raw = bytearray(base64.urlsafe_b64decode(armour + b"=" * (-len(armour) % 4)))
    for at in range(len(raw)):
        raw[at] ^= 1
        altered = b"ate-token-1:" + base64.urlsafe_b64encode(raw).rstrip(b"=")
        with pytest.raises(BadToken):
            check(altered)
        raw[at] ^= 1


@pytest.mark.parametrize(
    "given",
    [b"", b"x", b"ate-token-1:", b"ate-token-1:AAAA", b"ate-token-1:!!", b"\xff" * 100,
     b"ate-token-1:" + b"A" * 100, b"ate-token-1:" + b"A" * 20_000],
)  # fmt: skip
def test_other_bytes_are_no_token(given: bytes) -> None:
    with pytest.raises(BadToken):
        check(given)


def test_a_token_of_another_server_is_refused() -> None:
    with pytest.raises(BadToken):
        check(token(TokenKey("shop", (b"o" * 32,))))
    with pytest.raises(BadToken):
        check(token(TokenKey("bank", KEY.secrets)))


def test_a_token_for_one_service_opens_no_other() -> None:
    given = make(KEY, ["a"], ops="r", holder=PHONE, now_us=NOW, path="/test").encode()
    Checker(KEY, "/test").check(given, name="a", holder=PHONE, now_us=NOW)
    for path in ("/", "/tests"):
        with pytest.raises(BadToken):
            Checker(KEY, path).check(given, name="a", holder=PHONE, now_us=NOW)


def test_a_token_of_a_later_version_is_refused() -> None:
    from atedb.tokens import _kid, _mac

    claims = msgspec.structs.replace(check(token()), v=2)
    assert claims.kid == _kid(KEY.secrets[0])
    body = msgspec.msgpack.encode(claims)
    raw = base64.urlsafe_b64encode(body + _mac(KEY.secrets[0], body)).rstrip(b"=")
    with pytest.raises(BadToken, match="version 2"):
        check(b"ate-token-1:" + raw)


def test_who_gives_none_is_told_how() -> None:
    with pytest.raises(BadToken, match="wants a token") as caught:
        check(b"")
    assert "connection=" in caught.value.hint


def test_who_writes_must_be_able_to_follow() -> None:
    with pytest.raises(UsageError, match="follows") as caught:
        token(ops="wc")
    assert "--ops rwc" in caught.value.hint


@pytest.mark.parametrize("ops", ["", "x", "rwx"])
def test_there_are_three_rights(ops: str) -> None:
    with pytest.raises(UsageError, match="rights"):
        token(ops=ops)


@pytest.mark.parametrize("pattern", ["a*", "*/a", "a/*/b", "../a", "", "/*", "a b"])
def test_a_pattern_that_fits_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError):
        token(KEY, pattern)


def test_bounds_of_a_token() -> None:
    with pytest.raises(LimitExceeded):
        token(minutes=MINUTES_MAX + 1)
    with pytest.raises(UsageError):
        token(minutes=0)
    with pytest.raises(LimitExceeded):
        token(KEY, *(f"c{number}" for number in range(65)))
    with pytest.raises(UsageError):
        make(KEY, [], ops="r", holder=PHONE, now_us=NOW)
    with pytest.raises(UsageError, match="16 bytes"):
        make(KEY, ["a"], ops="r", holder=b"short", now_us=NOW)


def test_many_tokens_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atedb.tokens._CACHED_MAX", 4)
    checker = Checker(KEY)
    for number in range(20):
        name = f"c{number}"
        checker.check(token(KEY, name), name=name, holder=PHONE, now_us=NOW)
    assert len(checker._known) <= 4


def test_checks_are_fast() -> None:
    """50 000 checks a second on one core are asked for; the bound here is for a slow machine."""
    checker, given = Checker(KEY), token()
    started = time.process_time()
    for _ in range(20_000):
        checker.check(given, name="example.com/alice/notes", holder=PHONE, now_us=NOW)
    assert time.process_time() - started < 2.0


# --- key files ----------------------------------------------------------------------------------


def test_a_key_file_is_private_and_says_for_which_server(tmp_path: Path) -> None:
    file = tmp_path / "tokens.key"
    made = TokenKey.create(file, "shop", SeededEntropy(7))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert TokenKey.load(file) == made
    assert made.secrets[0].hex() not in repr(made)
    with pytest.raises(FileExistsError):
        TokenKey.create(file, "shop")
    assert TokenKey.load(file) == made


def test_an_older_key_is_still_taken(tmp_path: Path) -> None:
    file = tmp_path / "tokens.key"
    old = TokenKey.create(file, "shop", SeededEntropy(7))
    new = b"n" * 32
    file.write_text(file.read_text().replace("key ", f"key {new.hex()}\nkey ", 1).replace(
        f"ate-token-key {new.hex()}\nkey 1", "ate-token-key-1"
    ))  # fmt: skip
    both = TokenKey.load(file)
    assert both.secrets == (new, old.secrets[0])
    for key in (old, both):
        Checker(both).check(token(key, "a"), name="a", holder=PHONE, now_us=NOW)
    with pytest.raises(BadToken):
        Checker(old).check(token(both, "a"), name="a", holder=PHONE, now_us=NOW)


def test_files_that_are_no_key_files(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        TokenKey.load(tmp_path / "missing")
    with pytest.raises(StorageError):
        TokenKey.load(tmp_path)
    file = tmp_path / "file"
    file.touch(mode=0o600)
    for content in (b"", b"\xff\xfe", b"x" * 5000, b"ate-token-key-1\naudience a\nkey 00\n",
                    b"ate-token-key-1\naudience a\nkey zz\n", b"ate-token-key-1\nkey " + b"00" * 32,
                    b"ate-token-key-1\naudience a\n"):  # fmt: skip
        file.write_bytes(content)
        with pytest.raises(UsageError):
            TokenKey.load(file)


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tokens.key"
    TokenKey.create(file, "shop")
    file.chmod(0o640)
    with pytest.raises(StorageError, match="read by others"):
        TokenKey.load(file)


@pytest.mark.parametrize("audience", ["", "two words", "x" * 101, "line\nkey 00"])
def test_an_audience_is_one_word(tmp_path: Path, audience: str) -> None:
    with pytest.raises(UsageError):
        TokenKey.create(tmp_path / "k", audience)
    assert not (tmp_path / "k").exists()
