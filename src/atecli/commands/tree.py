"""`ate tree`: objects drawn below their parents; it shows a parent nobody here may read as a place only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click

from atecli import output
from atecli.commands.ls import described, tell_hidden
from atecli.opening import Target, chain_command, examples, run
from atecli.text import brief, visible, width

_VALUE_MAX: Final = 60


@click.command(
    "tree",
    epilog=examples(
        "ate tree projects",
        "ate tree projects --json",
        '"""',
        "run(_tree(target))",
        "",
        "",
        "async def _tree(target: Target) -> None:",
        "from ate.ids import ROOT",
        "",
        "below: dict[bytes, list[Any]] = {}",
        "known: set[bytes] = set()",
        "async with target.open() as chain:",
        "async for dao in chain.dio().all(object):",
        "below.setdefault(dao.parent, []).append(dao)",
        "known.add(dao.id)",
        "hidden = len(chain) - len(known)",
        "# What hangs below something that no key opens still has a place to hang.",
        "tops = [None, *(parent for parent in below if parent not in known and parent != ROOT)]",
        "if target.as_json:",
        "for top in tops:",
        "for node in _nested(below, ROOT if top is None else top):",
        "output.document(node)",
        "else:",
        "for top in tops:",
        "if top is not None:",
        'output.line(f"{top.hex()}  (sealed)")',
        "lines = _drawn(below, ROOT if top is None else top, bare=top is None)",
        "output.lines(line[: width()] for line in lines)",
        "tell_hidden(hidden, target)",
        "",
        "",
        "def _drawn(below: dict[bytes, list[Any]], top: bytes, *, bare: bool) -> Iterator[str]:",
        """"""Yield the lines below `top`. It keeps its own stack: a tree may be deeper than Python's."""""",
        'stack = [(dao, "", bare, at == 0) for at, dao in enumerate(reversed(below.get(top, ())))]',
        "while stack:",
        "dao, indent, is_top, is_last = stack.pop()",
        'branch = "" if is_top else "└── " if is_last else "├── "',
        'yield f"{indent}{branch}{dao.id}  {visible(dao.type_name)}  {brief(dao.value, _VALUE_MAX)}"',
        'deeper = "" if is_top else indent + ("    " if is_last else "│   ")',
        "stack += [",
        "(child, deeper, False, at == 0)",
        "for at, child in enumerate(reversed(below.get(dao.id, ())))",
        "]",
        "",
        "",
        "def _nested(below: dict[bytes, list[Any]], top: bytes) -> list[dict[str, Any]]:",
    ),
)
@chain_command
def command(target: Target) -> None:
    """Show the objects of CHAIN below their parents.

    With --json one document for each object at the top, with its `children` inside.
    """Return the documents below `top`, children inside their parents."""
    made: dict[bytes, list[dict[str, Any]]] = {bytes(top): []}
    pending = [bytes(top)]
    while pending:
        parent = pending.pop()
        for dao in below.get(parent, ()):
            node = {**described(dao), "children": []}
            made[parent].append(node)
            made[bytes(dao.id)] = node["children"]
            pending.append(bytes(dao.id))
    return made[bytes(top)]
