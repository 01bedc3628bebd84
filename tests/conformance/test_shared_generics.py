"""Key-value tables, trees, methods and the generic ones: the same over a shared chain.

The tests of the local ones are run again, with an `ate` that opens every chain through a server.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

import pytest

import ate
from ate.mesh.hall import Hall
from ate.mesh.registry import Registry
from ate.mesh.shelf import MemoryShelf
from ate.server import serve

UNIT = Path(__file__).resolve().parent.parent / "unit" / "ate" / "dio"
LIMIT_S = 60
Test = Callable[..., Any]


def cases_of(name: str) -> Iterator[Any]:
    spec = importlib.util.spec_from_file_location(f"shared_{name}", UNIT / f"test_{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # classes look for their module there
    spec.loader.exec_module(module)
    for found, test in vars(module).items():
        is_plain = inspect.iscoroutinefunction(test) and not hasattr(test, "pytestmark")
        if found.startswith("test_") and is_plain:
            yield pytest.param(test, id=f"{name}-{found[5:]}")


def with_ate(test: Test, shared: SimpleNamespace) -> Test:
    """Return the test with all functions of its module, and this in the place of `ate`."""
    world = dict(test.__globals__)
    for name, one in tuple(world.items()):
        if isinstance(one, FunctionType) and one.__globals__ is test.__globals__:
            again = FunctionType(one.__code__, world, name, one.__defaults__, one.__closure__)
            again.__kwdefaults__ = one.__kwdefaults__
            world[name] = again
    world["ate"] = shared
    found: Test = world[test.__name__]
    return found


CASES = [
    case for name in ("keyvalue", "tree", "generic", "method") for case in cases_of(name)
]


@pytest.mark.parametrize("test", CASES)
async def test_it_holds_over_a_server_as_well(test: Test, tmp_path: Path) -> None:
    hall, lines, opened = Hall(MemoryShelf()), Registry(agent="test"), 0
    async with asyncio.timeout(LIMIT_S), serve(hall, websocket=False, tcp=True) as server:

        def open_shared(name: str, **options: Any) -> Any:
            nonlocal opened
            opened += 1
            options.pop("memory", None)
            return ate.open(name, url=server.url, connection={"lines": lines}, **options)

        shared = SimpleNamespace(**{**vars(ate), **_lazy(), "open": open_shared})
        given = {"tmp_path": tmp_path} if "tmp_path" in inspect.signature(test).parameters else {}
        await with_ate(test, shared)(**given)
        await lines.close()
        await hall.close()
    assert opened


def _lazy() -> dict[str, Any]:
    return {name: getattr(ate, name) for name in ate.__all__}
