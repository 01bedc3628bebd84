from __future__ import annotations

from pathlib import Path

import pytest

import ate
from ate.dio.opening import Opening, chain_directory, home, open_store
from ate.errors import NotFound, UsageError
from ate.ids import ChainName
from ate.log.local import LocalLog
from ate.log.memory import MemoryLog

HOW = {"memory": False, "readonly": False, "create": True}


def test_where_chains_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ATE_HOME", str(tmp_path))
    assert home() == tmp_path
    assert chain_directory(ChainName("a/b")) == tmp_path / "chains/a/b"
    assert chain_directory(ChainName("a/b"), tmp_path / "x") == tmp_path / "x/a/b"
    monkeypatch.delenv("ATE_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert home() == tmp_path / "data/ate"


def test_which_log_keeps_it(tmp_path: Path) -> None:
    name = ChainName("c")
    assert isinstance(open_store(name, None, None, **{**HOW, "memory": True}), MemoryLog)
    for how in ({"readonly": True}, {}):
        with pytest.raises(UsageError):
            path = None if how else tmp_path
            open_store(name, path, None, **{**HOW, "memory": True, **how})
    for how in ({"create": False}, {"readonly": True}):
        with pytest.raises(NotFound, match="there is no chain"):
            open_store(name, tmp_path, None, **{**HOW, **how})
    store = open_store(name, tmp_path, None, **HOW)
    assert isinstance(store, LocalLog)
    store.close()


async def test_it_is_awaited_or_entered(tmp_path: Path) -> None:
    opening = ate.open("o", path=tmp_path)
    assert isinstance(opening, Opening)
    chain = await opening
    await chain.close()
    async with ate.open("o", path=tmp_path) as chain:
        assert chain.commits == 1
