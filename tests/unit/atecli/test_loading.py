"""Rows become objects once, in batches, and nothing is stored before all rows were seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ate
from ate.client import Chain
from ate.errors import UsageError
from ate.session import Session
from atecli import loading
from atecli.loading import Loader, Plan
from atecli.source import Source


def ignore(_: int) -> None:
    pass


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., Plan]:
    def make(*rows: Any, id_field: str | None = None, type_name: str = "Thing") -> Plan:
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        made = Plan(Source(path), type_name, id_field)
        made.look(ignore)
        return made

    return make


async def load(chain: Chain, plan: Plan, batch: int = 100) -> Loader:
    loader = Loader(chain, plan, batch)
    await loader.load(ignore)
    return loader


async def values(chain: Chain) -> list[Any]:
    return [dao.value async for dao in chain.dio().all(object)]


async def test_rows_are_stored_in_batches(plan: Callable[..., Plan]) -> None:
    async with ate.open("rows", memory=True) as chain:
        loader = await load(chain, plan(*({"n": n} for n in range(7))), batch=3)
        assert (loader.stored, loader.skipped, loader.commits) == (7, 0, 3)
        assert chain.commits == 1 + 3
        assert await values(chain) == [{"n": n} for n in range(7)]


async def test_a_batch_of_long_lines_is_cut(
    plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_BATCH_BYTES", 100)
    async with ate.open("rows", memory=True) as chain:
        loader = await load(chain, plan(*({"t": "x" * 60} for _ in range(4))))
        assert loader.commits == 2


async def test_again_adds_nothing_and_a_longer_file_adds_the_rest(
    plan: Callable[..., Plan],
) -> None:
    rows = [{"n": 1}, {"n": 1}, {"n": 2}]
    async with ate.open("rows", memory=True) as chain:
        await load(chain, plan(*rows))
        again = await load(chain, plan(*rows, {"n": 3}))
        assert (again.stored, again.skipped) == (1, 3)
        assert len(await values(chain)) == 4


async def test_a_field_tells_rows_apart(plan: Callable[..., Plan]) -> None:
    async with ate.open("rows", memory=True) as chain:
        await load(chain, plan({"k": "a", "n": 1}, {"k": "b", "n": 2}, id_field="k"))
        again = await load(chain, plan({"k": "c", "n": 3}, {"k": "a", "n": 9}, id_field="k"))
        assert (again.stored, again.skipped) == (1, 1)
    with pytest.raises(UsageError, match="line 2: the k of an earlier line"):
        plan({"k": "a"}, {"k": "a"}, id_field="k")
    with pytest.raises(UsageError, match="line 1: there is no k"):
        plan({"n": 1}, id_field="k")


async def test_ids_of_a_sealed_chain_tell_nothing_about_rows(plan: Callable[..., Plan]) -> None:
    ids = []
    for session in (Session.new("alice"), None):
        async with ate.open("rows", memory=True, session=session) as chain:
            await load(chain, plan({"pin": 1234}))
            ids.append([dao.id async for dao in chain.dio().all(object)])
    assert ids[0] != ids[1]


async def test_rows_may_bring_id_type_and_parent(plan: Callable[..., Plan]) -> None:
    one, two = "0" * 31 + "1", "0" * 31 + "2"
    async with ate.open("rows", memory=True) as chain:
        await load(
            chain,
            plan(
                {"_id": one, "_type": "Other", "n": 1},
                {"_id": two, "_parent": one, "_type": "Decimal", "_value": "1.50"},
            ),
        )
        first, second = [dao async for dao in chain.dio().all(object)]
        assert (first.id.hex(), first.type_name) == (one, "Other")
        assert (second.parent.hex(), second.type_name) == (one, "Decimal")
        assert str(second.value) == "1.50"


@pytest.mark.parametrize(
    "row, told",
    [
        ({"_id": "x"}, "line 1: not an object id"),
        ({"_parent": "x"}, "line 1: not an object id"),
        ({"_value": 1}, "line 1: its value is no object, so it is no Thing"),
        ({"_type": "date", "_value": "x"}, "line 1: not a date"),
    ],
)
def test_rows_that_cannot_be_stored(plan: Callable[..., Plan], row: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        plan(row)


async def test_a_file_that_changes_in_between_is_noticed(plan: Callable[..., Plan]) -> None:
    made = plan({"n": 1})
    made.source.path.write_text('{"n": "text"}\n')
    async with ate.open("rows", memory=True) as chain:
        with pytest.raises(UsageError, match="line 1: "):
            await load(chain, made)


def test_rows_as_they_are(plan: Callable[..., Plan]) -> None:
    made = plan({"n": 1}, type_name="dict")
    assert made.tables == {}
    assert [made.value(row) for row in made.source] == [{"n": 1}]


def test_text_rows_have_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_STEP", 1)
    path = tmp_path / "rows.csv"
    path.write_text("n\n1\n2\n")
    steps: list[int] = []
    made = Plan(Source(path), "Thing", None)
    made.look(steps.append)
    assert made.tables["Thing"].shape() == {"n": "int"}
    assert sum(steps) == path.stat().st_size
