"""What an installation pulls in, and what an import does: no more than was agreed."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=~!\[; ]", one)[0].lower() for one in requirements}


def test_the_library_needs_four_packages() -> None:
    assert names(PROJECT["dependencies"]) == {"blake3", "cryptography", "msgspec", "numpy"}


def test_the_heavy_needs_are_extras() -> None:
    extras = PROJECT["optional-dependencies"]
    assert {"click", "rich"} <= names(extras["cli"])
    assert names(extras["compress"]) == {"zstandard"}


@pytest.mark.parametrize(
    "work, absent",
    [
        ("import ate", {"asyncio", "blake3", "click", "cryptography", "msgspec", "numpy", "rich"}),
        ("import ate.client, ate.blocking", {"click", "rich", "zstandard", "atecli"}),
        ("import atecli.main", {"asyncio", "cryptography", "msgspec", "numpy", "rich"}),
    ],
)
def test_an_import_brings_only_what_it_needs(work: str, absent: set[str]) -> None:
    code = f"import sys; {work}; print(*sorted(set(sys.modules) & {absent!r}))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == ""


def test_the_errors_have_codes_that_differ() -> None:
    from ate.errors import AteError, codes

    known = codes()
    assert all(cls.code == code for code, cls in known.items())
    assert issubclass(known["corrupt_log"], AteError)
    assert len(known) >= 30
