"""The documents are true: every Python block runs, prints what is shown, and every link arrives.

The blocks of one document run in order in one namespace, with `await` allowed at the top, as a
reader would paste them into `python -m asyncio`. A block is left out by a comment in the line
before it, `<!-- no-run: reason -->`. A `text` block right behind shows what the block prints;
`...` in it stands for anything.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import inspect
import io
import re
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RUN = [
    ROOT / "README.md",
    ROOT / "docs/tutorial.md",
    ROOT / "docs/concepts.md",
    *sorted((ROOT / "docs/guide").glob("*.md")),
]
ALL = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NO_RUN = re.compile(r"<!-- no-run(?:: (?P<reason>.+?))? -->\n\Z")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """One Python block: where it stands, what it says, what it must print."""

    line: int
    source: str
    output: str | None


def blocks(text: str) -> Iterator[Block]:
    """Yield the blocks that run; an exception without a reason is an error."""
    found = list(FENCE.finditer(text))
    for index, match in enumerate(found):
        if match[1] != "python":
            continue
        line = text.count("\n", 0, match.start()) + 1
        if excepted := NO_RUN.search(text[: match.start()]):
            assert excepted["reason"], f"line {line}: say why, <!-- no-run: reason -->"
            continue
        follower = found[index + 1] if index + 1 < len(found) else None
        shown = (
            follower[2]
            if follower
            and follower[1] == "text"
            and not text[match.end() : follower.start()].strip()
            else None
        )
        yield Block(line, match[2], shown)


def run(block: Block, namespace: dict[str, object], runner: asyncio.Runner, path: Path) -> str:
    """Run a block and return what it printed."""
    # The blank lines make a traceback point into the document.
    code = compile(
        "\n" * block.line + block.source,
        str(path),
        "exec",
        flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        dont_inherit=True,
    )
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        if code.co_flags & inspect.CO_COROUTINE:
            function = types.FunctionType(code, namespace)
            runner.run(function())
        else:
            exec(code, namespace)
    return printed.getvalue()


@pytest.mark.parametrize("path", [one for one in RUN if one.exists()], ids=lambda one: one.name)
def test_every_python_block_runs(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    # Types of a block are looked up through their module.
    module = types.ModuleType(f"document_{path.stem}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with asyncio.Runner() as runner:
        for block in blocks(path.read_text()):
            printed = run(block, module.__dict__, runner, path)
            if block.output is not None:
                same = doctest.OutputChecker().check_output(block.output, printed, doctest.ELLIPSIS)
                assert same, f"{path.name}:{block.line} printed\n{printed}not\n{block.output}"


@pytest.mark.parametrize("path", ALL, ids=lambda one: one.relative_to(ROOT).as_posix())
def test_every_relative_link_arrives(path: Path) -> None:
    text = FENCE.sub("", path.read_text())
    targets = [target for target in LINK.findall(text) if "://" not in target]
    missing = [
        target
        for target in targets
        if not (path.parent / target.partition("#")[0]).exists() and not target.startswith("#")
    ]
    assert not missing


def test_a_block_may_be_excepted_only_with_a_reason() -> None:
    kept = "```python\nx = 1\n```\n"
    assert [one.source for one in blocks(kept)] == ["x = 1\n"]
    assert not list(blocks("<!-- no-run: needs a server -->\n" + kept))
    with pytest.raises(AssertionError, match="say why"):
        list(blocks("<!-- no-run -->\n" + kept))


def test_what_a_block_prints_is_compared() -> None:
    (block,) = blocks("```python\nprint(1)\n```\n\n```text\n1\n```\n")
    assert block.output == "1\n"
    with asyncio.Runner() as runner:
        assert run(block, {}, runner, Path("x.md")) == "1\n"


def test_a_block_may_await_at_the_top() -> None:
    block = Block(1, "import asyncio\nawait asyncio.sleep(0)\nprint('woke')\n", None)
    with asyncio.Runner() as runner:
        assert run(block, {}, runner, Path("x.md")) == "woke\n"
