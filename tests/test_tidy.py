"""The rules of the house that a machine can check; each test is one rule and says why it is one."""

from __future__ import annotations

import ast
import gc
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SELF = "tests/test_tidy.py"

SRC_LINES_MAX = 400
OTHER_LINES_MAX = 800
FUNCTION_LINES_MAX = 60
POSITIONAL_MAX = 5
BLOB_BYTES_MAX = 1 << 20

BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "core", "base", "misc"}
#: Folders whose programs speak to a terminal.
PRINTERS = ("src/atecli/", "src/atedb/", "examples/", "tools/", "bench/")
#: Where a power may be imported; everybody else is handed a Clock or an Entropy.
HOMES = {
    "time": ("src/ate/clock.py",),
    "random": ("src/ate/crypto/entropy.py",),
    "secrets": ("src/ate/crypto/entropy.py",),
}
SLASH = "/"
#: Folders of one machine; written in two pieces so that this file passes its own test.
MACHINE_PATHS = tuple(
    SLASH + folder + SLASH for folder in ("work", "root", "home", "opt", "tmp", "Users", "mnt")
)
REGISTRIES = ("py" + "pi.org", "python" + "hosted", "--index" + "-url", "--find" + "-links")
LEFTOVERS = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
SKIPPED = {".git", ".venv", "__pycache__", "build", "dist", ".hypothesis"}


@pytest.fixture(scope="module", autouse=True)
def _trees_end_with_this_file() -> Iterator[None]:
    """A million nodes are no garbage to look through, and nobody wants them afterwards."""
    gc.disable()
    yield
    tree_of.cache_clear()
    gc.enable()


@cache
def tracked() -> tuple[str, ...]:
    """Return the files of the project: what git knows or would add; all of them without git."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode == 0 and listing.stdout:
        names = {name for name in listing.stdout.decode().split("\0") if name}
    else:
        names = {
            path.relative_to(ROOT).as_posix()
            for path in ROOT.rglob("*")
            if not any(part in SKIPPED or part.endswith("_cache") for part in path.parts)
        }
    return tuple(sorted(name for name in names if (ROOT / name).is_file()))


def python_files(*folders: str) -> list[str]:
    return [name for name in tracked() if name.endswith(".py") and name.startswith(folders or "")]


@cache
def tree_of(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(), name)


def text_of(name: str) -> str | None:
    """Return the text of a file, None when it is not text."""
    try:
        return (ROOT / name).read_text()
    except UnicodeDecodeError:
        return None


def functions(name: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def imports(name: str) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) for every import of a file."""
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def calls(name: str) -> Iterator[tuple[ast.Call, str]]:
    """Yield (call, dotted name) for every call of a plain or dotted name."""
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield node, ast.unparse(node.func)


def expect_none(found: list[str], rule: str) -> None:
    if found:
        pytest.fail(f"{rule}:\n  " + "\n  ".join(found), pytrace=False)


def test_files_are_short_enough_to_be_read_in_one_go() -> None:
    found = []
    for name in python_files():
        bound = SRC_LINES_MAX if name.startswith("src/") else OTHER_LINES_MAX
        count = (ROOT / name).read_text().count("\n")
        if count > bound:
            found.append(f"{name}: {count} lines, at most {bound}")
    expect_none(found, "a file with two duties is two files")


def test_functions_fit_on_a_screen() -> None:
    """The docstring does not count: saying what a call does must not cost lines of code."""
    found = []
    for name in python_files():
        for function in functions(name):
            lines = (function.end_lineno or 0) - function.lineno + 1
            if ast.get_docstring(function):
                lines -= (function.body[0].end_lineno or 0) - function.body[0].lineno + 1
            if lines > FUNCTION_LINES_MAX:
                found.append(f"{name}:{function.lineno}: {function.name} has {lines} lines")
    expect_none(found, f"a function has at most {FUNCTION_LINES_MAX} lines")


def test_parameters_beyond_five_are_given_by_name() -> None:
    found = []
    for name in python_files("src/"):
        for function in functions(name):
            positional = [one.arg for one in (*function.args.posonlyargs, *function.args.args)]
            count = len(positional) - (positional[:1] in (["self"], ["cls"]))
            if count > POSITIONAL_MAX:
                found.append(f"{name}:{function.lineno}: {function.name} takes {count}")
    expect_none(found, f"at most {POSITIONAL_MAX} positional parameters")


def test_every_module_says_what_it_is_for() -> None:
    found = [
        name
        for name in python_files("src/", "tools/", "examples/")
        if (ROOT / name).stat().st_size and not ast.get_docstring(tree_of(name))
    ]
    expect_none(found, "a module opens with its duty and with what it never does")


def test_modules_have_names_that_say_something() -> None:
    found = [
        name
        for name in python_files("src/", "tests/", "tools/")
        if BANNED_NAMES & set(Path(name).with_suffix("").parts)
    ]
    expect_none(found, "nouns of the field, please")


def test_only_programs_print() -> None:
    found = [
        f"{name}:{call.lineno}"
        for name in python_files()
        if not name.startswith(PRINTERS)
        for call, function in calls(name)
        if function == "print"
    ]
    expect_none(found, "a library returns and raises, it does not print")


def test_time_and_chance_are_arguments() -> None:
    found = [
        f"{name}:{line}: {module}"
        for name in python_files("src/")
        for line, module in imports(name)
        if name not in HOMES.get(module.partition(".")[0], (name,))
    ]
    expect_none(found, "take a Clock or an Entropy instead, so that a run repeats from its seed")


def test_nothing_sleeps() -> None:
    found = []
    for name in python_files("src/", "tests/"):
        for call, function in calls(name):
            slept = function in {"time.sleep", "asyncio.sleep", "sleep"}
            yields = slept and ast.unparse(call).endswith("sleep(0)")
            if slept and not yields:
                found.append(f"{name}:{call.lineno}")
    expect_none(found, "wait for the event itself, never for a while")


def test_tests_use_the_real_thing() -> None:
    found = [
        f"{name}:{line}: {module}"
        for name in python_files("tests/")
        for line, module in imports(name)
        if re.match(r"unittest\.mock\b|mock\b|pytest_mock\b", module)
    ]
    expect_none(found, "no mocks: memory stores, SimDisk and seeded clocks are the real interfaces")


def test_imports_name_what_they_take() -> None:
    found = [
        f"{name}:{node.lineno}"
        for name in python_files()
        for node in ast.walk(tree_of(name))
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
    ]
    expect_none(found, "no star imports")


def test_no_file_knows_a_machine_or_a_registry() -> None:
    found = []
    for name in tracked():
        for number, line in enumerate((text_of(name) or "").splitlines(), 1):
            words = [word for word in (*MACHINE_PATHS, *REGISTRIES) if word in line]
            # A path starts a word: `…/home/` inside an address or a relative path is no folder.
            words = [
                word
                for word in words
                if not word.startswith(SLASH) or re.search(rf"(?<![\w.}}$)~>-]){word}\w", line)
            ]
            if words:
                found.append(f"{name}:{number}: {', '.join(words)}")
    expect_none(found, "the tree must work anywhere")


def test_nothing_is_left_for_later() -> None:
    found = [
        f"{name}:{number}"
        for name in tracked()
        if name not in {SELF, "pyproject.toml"} and not name.startswith("constraints")
        for number, line in enumerate((text_of(name) or "").splitlines(), 1)
        if LEFTOVERS.search(line)
    ]
    expect_none(found, "do it now or open an issue")


def test_no_large_blobs() -> None:
    found = [name for name in tracked() if (ROOT / name).stat().st_size > BLOB_BYTES_MAX]
    expect_none(found, f"a tracked file has at most {BLOB_BYTES_MAX} bytes")


def test_constraints_are_complete_and_portable() -> None:
    """Every line of the pinned files is a pin, a digest or a comment; no pin is without digest."""
    pin = re.compile(r"[a-z0-9-]+==\S+ *(; [^#]+?)?( +--hash=sha256:[0-9a-f]{64})+")
    found = [
        f"{name}: {line[:60]}"
        for name in tracked()
        if name.startswith("constraints")
        for line in (ROOT / name).read_text().replace("\\\n", " ").splitlines()
        if line and not line.startswith("#") and not pin.fullmatch(line)
    ]
    expect_none(found, "only `name==version --hash=…` installs the same thing everywhere")


def test_changelog_keeps_its_form() -> None:
    headings = re.findall(r"^(#+) (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    groups = ["Safety", "Features", "Internals"]
    found, position = [], 0
    for depth, title in headings:
        if depth == "##":
            position = 0
        elif depth == "###":
            if title not in groups[position:]:
                found.append(f"unexpected group {title!r}")
            else:
                position = groups.index(title) + 1
    expect_none(found, f"each version has the groups {', '.join(groups)}, in this order")
