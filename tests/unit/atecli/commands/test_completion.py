"""`ate completion` prints scripts."""

from __future__ import annotations

import pytest
from tests.unit.atecli.conftest import Ate


@pytest.mark.parametrize(
    "shell, part",
    [("bash", "complete -o nosort"), ("zsh", "#compdef ate"), ("fish", "--command ate")],
)
def test_each_shell_has_one(ate: Ate, shell: str, part: str) -> None:
    script = ate("completion", shell)
    assert script.status == 0
    assert part in script.out
    assert f"_ATE_COMPLETE={shell}_complete" in script.out


def test_other_shells_have_none(ate: Ate) -> None:
    ended = ate("completion", "tcsh")
    assert ended.status == 2
    assert "'tcsh' is not one of" in ended.err
