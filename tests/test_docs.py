"""The documents are true: what they show runs and prints that, what they name is there.

The Python blocks of one page run in order in one namespace, with `await` allowed at the top, as a
reader would paste them into `python -m asyncio`. A block is left out by a comment in the line
before it, `<!-- no-run: reason -->`. A `text` block right behind shows what the block prints. A
`console` block is a session of the command `ate`: lines with `$` are run, the others are compared.
In both, `...` stands for anything.
"""

from __future__ import annotations

import ast
import asyncio
import codeop
import contextlib
import doctest
import inspect
import io
import re
import shlex
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ate import errors

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
RUN = [
    ROOT / "README.md",
    DOCS / "tutorial.md",
    DOCS / "concepts.md",
    *sorted((DOCS / "guide").glob("*.md")),
    *sorted((DOCS / "operations").glob("*.md")),
]
ALL = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
#: The guide to the command has tests of its own for what it shows.
OWN_CONSOLE = {DOCS / "guide/cli.md"}

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NO_RUN = re.compile(r"<!-- no-run(?:: (?P<reason>.+?))? -->\n\Z")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
#: A file of this project, as prose names it.
NAMED = re.compile(r"`((?:src|tests|tools|docs|examples)/[\w./-]+)`")


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# --- what is shown runs -------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """One block that runs: where it stands, what it says, what it must print."""

    line: int
    source: str
    output: str | None
    language: str = "python"


def blocks(text: str) -> Iterator[Block]:
    """Yield the blocks that run; an exception without a reason is an error."""
    found = list(FENCE.finditer(text))
    for index, match in enumerate(found):
        language = match[1]
        if language not in ("python", "console"):
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
        yield Block(line, match[2], shown, language)


def run(block: Block, namespace: dict[str, object], runner: asyncio.Runner, path: Path) -> str:
    """Run a Python block and return what it printed."""
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


def turns(source: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block with what is shown below it."""
    for turn in re.split(r"^\$ ", source, flags=re.MULTILINE)[1:]:
        command, _, shown = turn.partition("\n")
        yield command, shown


def answer(command: str) -> str:
    """Run one command line of `ate` and return what a terminal would show."""
    from atecli.main import main

    words = shlex.split(command)
    assert words[0] == "ate", f"a console block runs `ate`, not {words[0]!r}"
    screen = io.StringIO()
    with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(screen):
        main(words[1:])
    return screen.getvalue()


def expect(path: Path, block: Block, shown: str, printed: str) -> None:
    same = doctest.OutputChecker().check_output(shown, printed, doctest.ELLIPSIS)
    assert same, f"{path.name}:{block.line} printed\n{printed}not\n{shown}"


@pytest.mark.parametrize("path", [one for one in RUN if one.exists()], ids=lambda one: one.name)
def test_every_block_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    # Types of a block are looked up through their module.
    module = types.ModuleType(f"document_{path.stem}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with asyncio.Runner() as runner:
        for block in blocks(path.read_text()):
            if block.language == "python":
                printed = run(block, module.__dict__, runner, path)
                if block.output is not None:
                    expect(path, block, block.output, printed)
            elif path not in OWN_CONSOLE:
                for command, shown in turns(block.source):
                    expect(path, block, shown, answer(command))


def test_the_tutorial_can_be_pasted_line_by_line() -> None:
    """A prompt ends a compound statement at the first empty line, and only there."""
    compiler = codeop.CommandCompiler()
    compiler.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    for block in blocks((DOCS / "tutorial.md").read_text()):
        if block.language != "python":
            continue
        typed: list[str] = []
        for number, line in enumerate([*block.source.splitlines(), ""], block.line + 1):
            typed.append(line)
            try:
                done = compiler("\n".join(typed)) is not None
            except SyntaxError as error:
                pytest.fail(f"tutorial.md:{number}: {error.msg}", pytrace=False)
            if done:
                typed.clear()
        assert not typed, f"tutorial.md:{block.line} is not whole"


# --- what is named is there ---------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    """Return the fragments that lead to the headings of a page."""
    titles = HEADING.findall(FENCE.sub("", path.read_text()))
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


def links(path: Path) -> list[tuple[Path, str]]:
    """Return (file, fragment) for every link of a page that stays inside the project."""
    found = []
    for target in LINK.findall(FENCE.sub("", path.read_text())):
        if "://" not in target and not target.startswith("mailto:"):
            name, _, fragment = target.partition("#")
            found.append(((path.parent / name).resolve() if name else path, fragment))
    return found


@pytest.mark.parametrize("path", ALL, ids=named)
def test_every_link_arrives(path: Path) -> None:
    missing = [
        f"{target}#{fragment}".rstrip("#")
        for target, fragment in links(path)
        if not target.is_relative_to(ROOT)
        or not target.exists()
        or (fragment and target.suffix == ".md" and fragment not in anchors(target))
    ]
    assert not missing


def test_the_map_leads_to_every_page() -> None:
    mapped = {target for target, _ in links(DOCS / "README.md")}
    inside = {one for one in mapped if one.is_dir()}
    lost = [
        named(path)
        for path in DOCS.rglob("*.md")
        if path not in mapped and path.name != "README.md" and not inside & set(path.parents)
    ]
    assert not lost, "pages that docs/README.md does not name"


@pytest.mark.parametrize("path", ALL, ids=named)
def test_every_file_that_is_named_exists(path: Path) -> None:
    missing = [name for name in NAMED.findall(path.read_text()) if not (ROOT / name).exists()]
    assert not missing


# --- tables that must keep step with the code ---------------------------------------------------


def rows(page: Path, header: str) -> list[list[str]]:
    """Return the cells of the table whose first line is `header`."""
    _, found, rest = page.read_text().partition(header + "\n")
    assert found, f"{page.name} has no table {header}"
    lines = rest.partition("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_table_of_errors_is_the_tree_of_errors() -> None:
    defined = [
        one
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, errors.AteError)
    ]
    wanted = [[f"`{one.code}`", f"`{one.__name__}`", one.default_hint] for one in defined]
    table = rows(DOCS / "guide/errors.md", "| code | class | hint | what to do |")
    assert [row[:3] for row in table] == wanted, "docs/guide/errors.md: renew the table"
    assert all(len(row) == 4 and row[3] for row in table), "say what to do"


def defined_in(path: Path) -> set[str]:
    """Return the functions of a module and the methods of its classes, `Class.method`."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}.{one.name}"
                for one in node.body
                if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
            }
    return names


def test_the_road_in_ten_functions_is_in_the_source() -> None:
    table = rows(ROOT / "CONTRIBUTING.md", "| | where | function | what happens there |")
    assert [row[0] for row in table] == [str(number) for number in range(1, 11)]
    missing = []
    for row in table:
        module, functions = row[1].strip("`"), re.findall(r"`([\w.]+)`", row[2])
        assert functions
        there = defined_in(ROOT / "src" / module)
        missing += [f"{module}: {one}" for one in functions if one not in there]
    assert not missing


def test_the_plan_names_every_room() -> None:
    table = rows(DOCS / "design/architecture.md", "| room | duty |")
    planned = {name.rstrip("/") for row in table for name in re.findall(r"`([\w/]+)`", row[0])}
    built = {
        path.stem
        for path in (ROOT / "src/ate").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert planned == built - {"__init__"}


# --- the tests themselves -----------------------------------------------------------------------


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
    with pytest.raises(AssertionError, match="printed"):
        expect(Path("x.md"), block, "2\n", "1\n")


def test_a_block_may_await_at_the_top() -> None:
    block = Block(1, "import asyncio\nawait asyncio.sleep(0)\nprint('woke')\n", None)
    with asyncio.Runner() as runner:
        assert run(block, {}, runner, Path("x.md")) == "woke\n"


def test_a_console_block_is_a_session_of_the_command() -> None:
    assert list(turns("$ ate --version\nate 1\n$ ate ls x\n")) == [
        ("ate --version", "ate 1\n"),
        ("ate ls x", ""),
    ]
    assert "ate" in answer("ate --version")
    with pytest.raises(AssertionError, match="runs `ate`"):
        answer("rm -r x")


def test_headings_become_anchors() -> None:
    assert "6-who-may-read-who-may-write" in anchors(DOCS / "tutorial.md")
