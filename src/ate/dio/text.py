"""`merge_text` and `Text`: one text changed by two people; it never drops a line of either.

First line by line; where both changed the same or neighbouring lines, word by word inside those.
What touches there too is a conflict, told or marked as the caller likes.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Sequence
from typing import Annotated, Any, Final

from ate.dio.threeway import Chunk, Effort, chunks, numbered
from ate.errors import Conflict, UsageError

_WORDS: Final = re.compile(r"\S+|\n|[^\S\n]+")


class _Merged:
    """Marks the annotation of a field whose text is merged."""

    def __repr__(self) -> str:
        return "ate.Text"


_MERGED: Final = _Merged()

#: A `str` that two people may edit at once: `body: ate.Text`. `commit(on_conflict="merge")` merges
#: what they did inside such a field; in one that says `str` it is one value, and a conflict.
Text = Annotated[str, _MERGED]


def is_text(hint: Any) -> bool:
    """Tell whether an annotation is `Text`, or may be."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return any(is_text(one) for one in typing.get_args(hint))
    return _MERGED in getattr(hint, "__metadata__", ())


def merge_text(
    base: str,
    ours: str,
    theirs: str,
    *,
    conflicts: str = "error",
    labels: tuple[str, str] = ("ours", "theirs"),
    words: bool = True,
) -> str:
    """Return `theirs` with the changes that led from `base` to `ours`.

    Lines are kept with their ends as they are. Changes of both sides that overlap or touch are
    looked at word by word; words that only space separates do not touch.

    Args:
        base: what both started from.
        ours, theirs: the two versions.
        conflicts: "error" raises; "mark" keeps both versions of a stretch, between lines that
            begin with `<<<<<<<`, `=======` and `>>>>>>>`.
        labels: behind the marks.
        words: False gives up where both changed the same or neighbouring lines.

    Raises:
        Conflict: both changed one place, each differently.
        UsageError: not three texts.
    """
    if conflicts not in ("error", "mark"):
        raise UsageError("conflicts is 'error' or 'mark'")
    if not all(isinstance(text, str) for text in (base, ours, theirs)):
        raise UsageError("merge_text takes three texts")
    if ours in (base, theirs):
        return theirs
    if theirs == base:
        return ours
    effort = Effort()
    sides = [text.splitlines(keepends=True) for text in (base, ours, theirs)]
    merged: list[str] = []
    for chunk in chunks(*numbered(*sides), effort=effort):
        was, here, there = _texts(chunk, sides)
        text = _settled(chunk, was, here, there)
        if text is None and words:
            text = _merge_words(was, here, there, effort)
        if text is None and conflicts == "error":
            raise Conflict(f"both sides changed {_where(chunk)}, each differently")
        merged.append(_marked(here, there, labels) if text is None else text)
    return "".join(merged)


def _texts(chunk: Chunk, sides: Sequence[Sequence[str]]) -> tuple[str, str, str]:
    base, ours, theirs = sides
    return chunk.base.of(base), chunk.ours.of(ours), chunk.theirs.of(theirs)


def _settled(chunk: Chunk, was: str, here: str, there: str) -> str | None:
    """Return what a chunk becomes, None if both sides changed it and not in the same way."""
    if not chunk.by_us or here in (was, there):
        return there
    return here if not chunk.by_them or there == was else None


def _merge_words(base: str, ours: str, theirs: str, effort: Effort) -> str | None:
    """Return the merged text, None if both sides changed one place."""
    if not effort.take(len(base) + len(ours) + len(theirs)):
        return None
    sides = [_WORDS.findall(text) for text in (base, ours, theirs)]
    numbers = numbered(*sides)
    weak = frozenset(
        number
        for words, some in zip(sides, numbers)
        for word, number in zip(words, some.tolist())
        if word.isspace()
    )
    merged: list[str] = []
    for chunk in chunks(*numbers, effort=effort, weak=weak):
        text = _settled(chunk, *_texts(chunk, sides))
        if text is None:
            return None
        merged.append(text)
    return "".join(merged)


def _where(chunk: Chunk) -> str:
    first, last = chunk.base.start + 1, chunk.base.end
    return f"lines {first} to {last}" if last > first else f"line {first}"


def _marked(ours: str, theirs: str, labels: tuple[str, str]) -> str:
    """Return both versions of a stretch between marks, each mark on a line of its own."""
    here, there = (
        text if not text or text.endswith("\n") else text + "\n" for text in (ours, theirs)
    )
    return f"<<<<<<< {labels[0]}\n{here}=======\n{there}>>>>>>> {labels[1]}\n"
