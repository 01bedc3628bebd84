"""`ate hold` keeps everybody from compacting."""

from __future__ import annotations

from tests.unit.atecli.conftest import Ate


def test_set_shown_and_released(ate: Ate, alice: str) -> None:
    ate("put", "notes", "1", "--as", alice)
    assert ate("info", "notes", "--json").document["hold"] is None
    said = ate("hold", "notes", "case 12/2031", "--as", alice, "--json").document
    assert (said["name"], said["hold"]) == ("notes", "case 12/2031")
    assert ate("info", "notes", "--json").document["hold"] == "case 12/2031"
    assert "hold        case 12/2031\n" in ate("info", "notes").out
    refused = ate("compact", "notes", "--as", alice)
    assert refused.status == 7
    assert "a legal hold forbids compaction: case 12/2031" in refused.err
    assert "`ate hold CHAIN --release`" in refused.err
    released = ate("hold", "notes", "--release", "--as", alice)
    assert (released.status, released.out) == (0, "")
    assert ate("compact", "notes", "--as", alice).status == 0


def test_only_a_root_may(ate: Ate, alice: str) -> None:
    ate("put", "notes", "1", "--as", alice)
    for words in (("because",), ("--release",)):
        assert ate("hold", "notes", *words, "--as", "bob").status == 4
        assert ate("hold", "notes", *words).status == 4
    assert ate("info", "notes", "--json").document["hold"] is None


def test_one_of_both(ate: Ate) -> None:
    ate("put", "notes", "1")
    for words in ((), ("because", "--release"), ("  ",)):
        said = ate("hold", "notes", *words)
        assert said.status == 2
        assert "reason" in said.err.lower()
