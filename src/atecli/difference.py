"""The difference of two values: what was added, removed and replaced, as data; it prints nothing.

The changes are a JSON patch (RFC 6902): done one after the other they make the new value of the old
one. Of lists, the changes at the end come first, so that places before them stay what they were.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from atecli.text import dumps

Path: TypeAlias = "tuple[str | int, ...]"

#: Comparing two lists costs their product in the worst case; longer ones are compared in place.
_WORK_MAX: Final = 4_000_000
_LISTS: Final = (list, tuple)


class Change(NamedTuple):
    """One step from the old value to the new one.

    Args:
        op: add, remove or replace.
        path: keys and positions from the top; empty for the whole value.
        old, new: None where there is none; None is a value, too, so look at `op`.
    """

    op: str
    path: Path
    old: Any = None
    new: Any = None

    @property
    def pointer(self) -> str:
        """The path as a JSON pointer (RFC 6901)."""
        return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in self.path)

    def document(self) -> dict[str, Any]:
        """Return the step for programs; `old` is for people and ignored by patches."""
        told: dict[str, Any] = {"op": self.op, "path": self.pointer}
        if self.op != "remove":
            told["value"] = self.new
        if self.op != "add":
            told["old"] = self.old
        return told


def changes(old: Any, new: Any) -> list[Change]:
    """Return the steps from one value to another, none when they are the same."""
    return list(_steps(old, new, ()))


def _steps(old: Any, new: Any, path: Path) -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _map_steps(old, new, path)
    elif isinstance(old, _LISTS) and isinstance(new, _LISTS):
        yield from _list_steps(old, new, path)
    elif mark(old) != mark(new):
        yield Change("replace", path, old, new)


def _map_steps(old: dict[Any, Any], new: dict[Any, Any], path: Path) -> Iterator[Change]:
    for key, value in old.items():
        here = (*path, _name(key))
        if key not in new:
            yield Change("remove", here, value)
        else:
            yield from _steps(value, new[key], here)
    for key, value in new.items():
        if key not in old:
            yield Change("add", (*path, _name(key)), None, value)


def _list_steps(old: Sequence[Any], new: Sequence[Any], path: Path) -> Iterator[Change]:
    ours, theirs = [mark(one) for one in old], [mark(one) for one in new]
    for what, first, end, start, stop in reversed(list(_opcodes(ours, theirs))):
        if what == "equal":
            continue
        paired = min(end - first, stop - start)
        for at in range(end - 1, first + paired - 1, -1):
            yield Change("remove", (*path, at), old[at])
        for at in range(stop - 1, start + paired - 1, -1):
            yield Change("add", (*path, first + paired), None, new[at])
        for at in range(paired - 1, -1, -1):
            yield from _steps(old[first + at], new[start + at], (*path, first + at))


def _opcodes(ours: list[str], theirs: list[str]) -> Iterator[tuple[str, int, int, int, int]]:
    """Yield which parts of two lists belong together, as difflib tells it."""
    head, most = 0, min(len(ours), len(theirs))
    while head < most and ours[head] == theirs[head]:
        head += 1
    tail = 0
    while tail < most - head and ours[-1 - tail] == theirs[-1 - tail]:
        tail += 1
    left, right = ours[head : len(ours) - tail], theirs[head : len(theirs) - tail]
    if len(left) * len(right) > _WORK_MAX:
        yield "replace", head, head + len(left), head, head + len(right)
        return
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    for what, first, end, start, stop in matcher.get_opcodes():
        yield what, first + head, end + head, start + head, stop + head


def mark(value: Any) -> str:
    """Return a text that two values share when they are the same; 1, 1.0 and True are not."""
    if isinstance(value, dict):
        parts = sorted(f"{mark(key)}:{mark(item)}" for key, item in value.items())
        return "{" + ",".join(parts) + "}"
    if isinstance(value, _LISTS):
        return "[" + ",".join(map(mark, value)) + "]"
    if isinstance(value, (set, frozenset)):
        return "<" + ",".join(sorted(map(mark, value))) + ">"
    return f"{type(value).__name__} {value!r}"


def in_order(some: Sequence[Change]) -> list[Change]:
    """Return changes as people read them: in the order of fields, lists from their beginning."""
    seen: dict[Path, int] = {}

    def place(one: Change) -> list[int]:
        path = one.path
        return [
            step if isinstance(step, int) else seen.setdefault(path[: at + 1], len(seen))
            for at, step in enumerate(path)
        ]

    return sorted(some, key=place)


def text_lines(old: str, new: str, context: int = 3) -> list[str]:
    """Return two texts as unified lines, each with its sign; a note when that is too much work."""
    ours, theirs = old.splitlines(), new.splitlines()
    if len(ours) * len(theirs) > _WORK_MAX:
        return [f"- {len(ours)} lines", f"+ {len(theirs)} lines"]
    lines = list(difflib.unified_diff(ours, theirs, lineterm="", n=context))[2:]
    # Texts that differ in nothing but how a line ends.
    return lines or ["- " + dumps(old[-20:]), "+ " + dumps(new[-20:])]


def path_text(path: Path) -> str:
    """Return a path for people: `name.list[2]`; a dot for the whole value."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step.isidentifier():
            text += f".{step}" if text else step
        else:
            text += f"[{dumps(step)}]"
    return text or "."


def summary(some: Sequence[Change], most: int = 4) -> str:
    """Return which places changed, in one line."""
    places = list(dict.fromkeys(path_text(one.path) for one in some))
    more = f" and {len(places) - most} more" if len(places) > most else ""
    return ", ".join(places[:most]) + more


def _name(key: Any) -> str:
    return key if isinstance(key, str) else dumps(key)
