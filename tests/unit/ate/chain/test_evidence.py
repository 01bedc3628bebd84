from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ate
from ate import limits
from ate.chain.evidence import MAGIC, Continued, Evidence, ShownCommit, ShownRow
from ate.errors import LimitExceeded, ProtocolError, UnsupportedFormat
from ate.event.system import Checkpoint

SEALED = Checkpoint(2, bytes(32), 7, bytes(16), b"signature")
ROW = ShownRow(0, bytes(112), (b"path",), None)
COMMIT = ShownCommit(0, 1, 5, bytes(192), b"", (), (ROW,))
EVIDENCE = Evidence((COMMIT,), SEALED, 1, b"", (Continued(1, bytes(32), ()),))


def test_bytes_and_back() -> None:
    raw = EVIDENCE.encode()
    assert raw.startswith(MAGIC)
    for form in (bytes, bytearray, memoryview):
        assert Evidence.decode(form(raw)) == EVIDENCE
    assert repr(EVIDENCE) == "Evidence(row 1, checkpoint over 2 commits)"
    assert "no row" in repr(msgspec.structs.replace(EVIDENCE, seq=0))


@pytest.mark.parametrize("raw", [b"", b"x", b"ATE", b"{}", b"ATELOG1\n" + bytes(99)])
def test_other_files(raw: bytes) -> None:
    with pytest.raises(UnsupportedFormat, match="no proof"):
        Evidence.decode(raw)


def test_a_newer_version() -> None:
    with pytest.raises(UnsupportedFormat, match="newer"):
        Evidence.decode(b"ATEPRF2\n" + EVIDENCE.encode()[8:])


def test_one_form_only() -> None:
    raw = EVIDENCE.encode()
    longer = raw.replace(b"\xc4\x04path", b"\xc5\x00\x04path")
    listed = msgspec.msgpack.decode(raw[8:])
    extended = MAGIC + msgspec.msgpack.encode([*listed, 1])
    for wrong in (longer, extended, raw + b"\0", raw[:-1]):
        assert wrong != raw
        with pytest.raises(ProtocolError):
            Evidence.decode(wrong)


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    many = msgspec.structs.replace(EVIDENCE, commits=(COMMIT,) * (limits.PROOF_COMMITS_MAX + 1))
    with pytest.raises(LimitExceeded):
        Evidence.decode(many.encode())
    many = msgspec.structs.replace(
        EVIDENCE, continued=EVIDENCE.continued * (limits.PROOF_COMMITS_MAX + 1)
    )
    with pytest.raises(LimitExceeded):
        Evidence.decode(many.encode())
    monkeypatch.setattr(limits, "PROOF_BYTES_MAX", 100)
    with pytest.raises(LimitExceeded):
        Evidence.decode(EVIDENCE.encode())


@given(st.binary(max_size=300))
def test_any_bytes_end_in_a_typed_error(raw: bytes) -> None:
    for one in (raw, MAGIC + raw, MAGIC + b"\x95" + raw):
        with pytest.raises(ate.AteError):
            ate.check_proof(one)


@pytest.mark.parametrize(
    "claim", [b"\xdd\xff\xff\xff\xff", b"\x95\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"]
)
def test_what_is_only_claimed_takes_no_memory(claim: bytes) -> None:
    with pytest.raises(ProtocolError):
        Evidence.decode(MAGIC + claim)


def test_nesting_without_end() -> None:
    with pytest.raises(ProtocolError):
        Evidence.decode(MAGIC + b"\x91" * 100_000)


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(EVIDENCE.encode())
    assert Evidence.decode((tmp_path / "p").read_bytes()) == EVIDENCE
