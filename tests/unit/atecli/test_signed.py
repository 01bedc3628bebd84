from __future__ import annotations

from pathlib import Path

import pytest

from ate.errors import AteError, TrustError, UntrustedRoot
from ate.event.access import Principal
from ate.mesh.acknowledged import Acknowledged
from ate.mesh.evidence import Commit, Replaced, Shrunk, encode
from ate.testing.spokesman import CHAIN, Spokesman, Story
from atecli import signed

OURS, THEIRS = Story(("common", 5), ("ours", 4)), Story(("common", 5), ("theirs", 4))
SERVER = Spokesman()


def principal(server: Spokesman) -> Principal:
    return Principal("server", server.key.raw, bytes(1216))


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    mine, path = OURS.commits[7], OURS.inclusion(7, 9)
    told = Replaced(
        SERVER.say(OURS).encode(), SERVER.say(THEIRS).encode(),
        Commit(mine.commit_root, mine.first_seq, mine.time_us, 7, path),
        THEIRS.leaves[7], THEIRS.inclusion(7, 9),
    )  # fmt: skip
    (tmp_path / "e").write_bytes(encode(told))
    return tmp_path / "e"


def test_evidence_names_who_lied_about_what(evidence: Path) -> None:
    assert signed.is_signed(evidence)
    found = signed.read(evidence, [])
    lines = dict(signed.shown(evidence, found))
    assert lines["evidence"] == "e"
    assert lines["id"] == CHAIN.hex()
    assert "another one in its place" in str(lines["lie"])
    assert str(lines["commit"]).endswith("number 7")
    told = signed.document(evidence, found)
    assert (told["kind"], told["lie"]) == ("replaced", True)
    assert told["server"] == SERVER.key.key_id.hex()
    assert [one["size"] for one in told["statements"]] == [9, 9]
    assert told["commit"]["index"] == 7


def test_only_of_a_server_that_is_known(evidence: Path) -> None:
    signed.read(evidence, [principal(Spokesman(2)), principal(SERVER)])
    with pytest.raises(UntrustedRoot):
        signed.read(evidence, [principal(Spokesman(2))])


def test_an_acknowledgement(tmp_path: Path) -> None:
    path = tmp_path / "r"
    path.write_bytes(Acknowledged.of(OURS.commits[3], SERVER.say(OURS), OURS).encode())
    found = signed.read(path, [principal(SERVER)])
    lines = dict(signed.shown(path, found))
    assert lines["receipt"] == "r"
    assert lines["says"] == "it has commit 3"
    assert not signed.document(path, found)["lie"]


def test_what_proves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "e"
    path.write_bytes(encode(Shrunk(SERVER.say(OURS).encode(), SERVER.say(OURS, 3).encode())))
    with pytest.raises(TrustError, match="proves nothing"):
        signed.read(path, [])
    path.write_bytes(b"ATEEVD9\n")
    assert signed.is_signed(path)
    with pytest.raises(AteError, match="newer"):
        signed.read(path, [])
    path.write_bytes(b"ATEPRF1\n")
    assert not signed.is_signed(path)
