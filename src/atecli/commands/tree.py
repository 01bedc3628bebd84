"""`ate tree`: objects drawn below their parents; a parent that no key opens is only a place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click

from atecli import output
from atecli.commands.ls import described, tell_hidden
from atecli.opening import Target, examples, run, shared_command
from atecli.text import brief, cut, visible

_VALUE_MAX: Final = 60


@click.command("tree", epilog=examples("ate tree projects", "ate tree projects --json"))
@shared_command
def command(target: Target) -> None:
    """Show the objects of CHAIN below their parents.

    With --json one document for each object at the top, with its `children` inside.
    """
    run(target, _tree(target))


async def _tree(target: Target) -> None:
    from ate.ids import ROOT

    below: dict[bytes, list[Any]] = {}
    known: set[bytes] = {ROOT}
    async with target.open() as chain:
        async for dao in chain.dio().all(object):
            below.setdefault(dao.parent, []).append(dao)
            known.add(dao.id)
        hidden = len(chain) + 1 - len(known)
        # What hangs below something that no key opens still has a place to hang.
        sealed = [parent for parent in below if parent not in known]
        if target.as_json:
            for top in (ROOT, *sealed):
                for node in _nested(below, top):
                    output.document(node)
        else:
            output.lines(cut(line) for line in _drawn(below, ROOT, is_bare=True))
            for parent in sealed:
                output.line(f"{parent.hex()}  (sealed)")
                output.lines(cut(line) for line in _drawn(below, parent, is_bare=False))
    tell_hidden(hidden, target)


def _drawn(below: dict[bytes, list[Any]], top: bytes, *, is_bare: bool) -> Iterator[str]:
    """Yield the lines below `top`. It keeps its own stack: a tree may be deeper than Python's.

    Args:
        is_bare: nothing was drawn for `top` itself, so the first level needs no branches.
    """
    stack = [(dao, "", is_bare, at == 0) for at, dao in enumerate(reversed(below.get(top, ())))]
    while stack:
        dao, indent, is_top, is_last = stack.pop()
        branch = "" if is_top else "└── " if is_last else "├── "
        yield f"{indent}{branch}{dao.id}  {visible(dao.type_name)}  {brief(dao.value, _VALUE_MAX)}"
        deeper = "" if is_top else indent + ("    " if is_last else "│   ")
        children = reversed(below.get(dao.id, ()))
        stack += [(child, deeper, False, at == 0) for at, child in enumerate(children)]


def _nested(below: dict[bytes, list[Any]], top: bytes) -> list[dict[str, Any]]:
    """Return the documents below `top`, children inside their parents."""
    made: dict[bytes, list[dict[str, Any]]] = {top: []}
    pending = [top]
    while pending:
        parent = pending.pop()
        for dao in below.get(parent, ()):
            node = {**described(dao), "children": []}
            made[parent].append(node)
            made[dao.id] = node["children"]
            pending.append(dao.id)
    return made[top]
