"""`ate rm` deletes an object and what is below it."""

from __future__ import annotations

from tests.unit.atecli.conftest import Ate

ID = "0" * 31 + "1"


def test_all_below_goes(ate: Ate) -> None:
    ate("put", "notes", "1", "--id", ID)
    ate("put", "notes", "2", "--parent", ID)
    ate("put", "notes", "3")
    gone = ate("rm", "notes", ID, "--json").document
    assert (gone["id"], gone["deleted"]) == (ID, 2)
    assert len(ate("ls", "notes", "--json").documents) == 1
    assert ate("rm", "notes", ID).status == 3


def test_it_is_quiet_and_makes_nothing(ate: Ate) -> None:
    ate("put", "notes", "1", "--id", ID)
    done = ate("rm", "notes", ID)
    assert (done.status, done.out, done.err) == (0, "", "")
    assert ate("rm", "nothing", ID).status == 3
    assert ate("rm", "notes", "x").status == 2
