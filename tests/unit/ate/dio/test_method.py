"""One function, run here or there, with the same outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import ate
from ate.dio.method import Method


@dataclass(frozen=True)
class Count:
    value: int


@dataclass(frozen=True)
class Raise:
    by: int


@dataclass
class TooMuch(Exception):
    by: int


@ate.method(raises=(TooMuch,))
async def raise_by(dio: ate.Dio, request: Raise) -> Count:
    """Add to the counter."""
    if request.by > 100:
        raise TooMuch(request.by)
    async for count in dio.all(Count):
        return count.update(value=count.value.value + request.by).value
    return dio.store(Count(request.by)).value


async def test_the_same_function_runs_on_both_sides() -> None:
    async with ate.open("method", memory=True) as chain:
        dio = chain.dio()
        assert await raise_by(dio, Raise(1)) == Count(1)
        await dio.commit()
        raise_by.serve(chain)
        assert await raise_by.call(chain, Raise(2)) == Count(3)
        assert await ate.call(chain, Raise(3)) == Count(6), "a plain call will do as well"
        assert [dao.value async for dao in chain.dio().all(Count)] == [Count(6)]


async def test_its_errors_are_the_same_on_both_sides() -> None:
    async with ate.open("method", memory=True) as chain:
        raise_by.serve(chain)
        with pytest.raises(TooMuch):
            await raise_by(chain.dio(), Raise(101))
        with pytest.raises(TooMuch):
            await raise_by.call(chain, Raise(101))


def test_it_says_what_it_is() -> None:
    assert isinstance(raise_by, Method)
    assert repr(raise_by) == "Method(raise_by, Raise)"
    assert raise_by.__doc__ == "Add to the counter."
    assert (raise_by.request, raise_by.reply) == (Raise, Count)

    @ate.method
    async def plain(dio: ate.Dio, request: Raise) -> int:
        return request.by

    assert plain.raises == ()


async def one_parameter(request: Raise) -> int:
    return 0


def not_async(dio: ate.Dio, request: Raise) -> int:
    return 0


async def untyped(dio: ate.Dio, request) -> int:  # type: ignore[no-untyped-def]
    return 0


@pytest.mark.parametrize("function", [one_parameter, not_async, untyped])
def test_other_functions_are_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(ate.UsageError):
        ate.method(function)
