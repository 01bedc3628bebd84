from __future__ import annotations

import subprocess
import sys

import pytest

import ate
from ate.client import open as client_open
from ate.dio.transaction import Durability
from ate.errors import Conflict

QUIET = """
import sys, ate
heavy = {"numpy", "msgspec", "cryptography", "blake3", "asyncio"}
assert not heavy & set(sys.modules)
assert ate.__version__
ate.Conflict
assert "numpy" not in sys.modules
"""


def test_every_public_name_is_there() -> None:
    for name in ate.__all__:
        assert getattr(ate, name) is not None, name
    assert ate.__all__ == sorted(set(ate.__all__))
    assert {"open", "Session", "Access", "Vec", "Conflict", "FULL", "blocking"} <= set(ate.__all__)
    assert set(dir(ate)) >= {*ate.__all__, "__version__"}


def test_names_are_those_of_their_modules() -> None:
    assert ate.open is client_open
    assert ate.Conflict is Conflict
    assert (ate.FULL, ate.LOCAL, ate.NONE) == (Durability.FULL, Durability.LOCAL, Durability.NONE)
    assert ate.blocking.__name__ == "ate.blocking"


def test_a_name_is_looked_up_once() -> None:
    vars(ate).pop("ObjectId", None)
    first = ate.ObjectId
    assert vars(ate)["ObjectId"] is first


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'ate' has no attribute 'nonsense'"):
        ate.nonsense  # noqa: B018


def test_importing_it_loads_nothing_heavy() -> None:
    subprocess.run([sys.executable, "-c", QUIET], check=True)


async def test_the_example_of_the_docstring() -> None:
    async with ate.open("universe", memory=True) as chain:
        dio = chain.dio()
        key = dio.store({"world": "Hello"}).id
        await dio.commit()
        assert (await dio.load(dict, key)).value == {"world": "Hello"}
