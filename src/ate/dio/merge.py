"""Values field by field: replace, merge, keep the unknown, find; it defines no format.

`merge` combines what two programs made of one base. `keep` combines what a program wrote with what
was stored, so that fields it does not know survive; it works on encoded trees, because a program
has no place in its own types for what it does not know.
"""

from __future__ import annotations

import copy
import dataclasses
import typing
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from ate import limits
from ate.dio import values
from ate.dio.text import is_text, merge_text
from ate.dio.threeway import Effort, chunks, numbered
from ate.errors import AteError, Conflict, UsageError

_ABSENT: Final = object()


def merge(base: Any, ours: Any, theirs: Any, path: str, hint: Any = None) -> Any:
    """Return `theirs` with our changes since `base`.

    Records and dicts are merged field by field, sets element by element, lists by what was put in
    and taken out, fields annotated `ate.Text` by lines and words, all else as a whole.

    Args:
        base: what both started from.
        ours: our version.
        theirs: the other version.
        path: name of the value, for the message.
        hint: its annotation, where there is one.

    Raises:
        Conflict: both changed one field, each differently.
    """
    if type(base) is type(ours) is type(theirs):
        if isinstance(base, dict):
            return _merge_dicts(base, ours, theirs, path, _item_hint(hint))
        if isinstance(base, (set, frozenset)):
            return (ours & theirs) | (ours - base) | (theirs - base)
        if values.is_record(type(base)):
            fields: dict[str, Any] = {}
            kind: Any = type(base)
            for name in field_names(kind):
                was, here, there = (getattr(side, name) for side in (base, ours, theirs))
                fields[name] = merge(was, here, there, f"{path}.{name}", _hint_of(kind, name))
            return replace(theirs, fields)
    if _same(ours, base):
        return theirs
    if _same(theirs, base) or _same(ours, theirs):
        return ours
    if type(base) is type(ours) is type(theirs):
        try:
            if isinstance(base, list):
                return _merge_lists(base, ours, theirs)
            if isinstance(base, str) and is_text(hint):
                return merge_text(base, ours, theirs)
        except Conflict as clash:
            raise Conflict(f"{clash.message}, in {path}") from None
    raise Conflict(f"both sides changed {path}, each differently")


def _merge_lists(base: list[Any], ours: list[Any], theirs: list[Any]) -> list[Any]:
    """Merge what was put in and taken out; what both put in at one place comes as in the log.

    Items are never merged with each other: two items in one place may be two different things.
    """
    sides = (base, ours, theirs)
    numbers = numbered(*([values.encode(item) for item in side] for side in sides))
    merged: list[Any] = []
    for chunk in chunks(*numbers, effort=Effort()):
        here, there = ours[slice(*chunk.ours)], theirs[slice(*chunk.theirs)]
        if not chunk.by_us or _same(here, there):
            merged += there
        elif not chunk.by_them:
            merged += here
        elif chunk.base.start == chunk.base.end:
            merged += [*there, *here]
        else:
            at = chunk.base.start
            raise Conflict(f"both sides changed the items from {at} on, each differently")
    return merged


def _hint_of(kind: Any, name: str) -> Any:
    """Return the annotation of a field, None where it cannot be resolved any more."""
    try:
        return _hints(kind).get(name)
    except (NameError, TypeError):
        return None


def _item_hint(hint: Any) -> Any:
    """Return the annotation of a dict's values."""
    arguments = typing.get_args(hint)
    return arguments[1] if typing.get_origin(hint) is dict and len(arguments) == 2 else None


def _merge_dicts(base: Any, ours: Any, theirs: Any, path: str, hint: Any) -> Any:
    merged = copy.copy(theirs)
    for key in {**base, **ours}:
        was, here, there = (side.get(key, _ABSENT) for side in (base, ours, theirs))
        item = merge(was, here, there, f"{path}[{key!r}]"[:200], hint)
        if item is _ABSENT:
            merged.pop(key, None)
        else:
            merged[key] = item
    return merged


def _same(one: Any, other: Any) -> bool:
    """Compare by type too: True, 1 and 1.0 are different things to have written."""
    return one is other or (type(one) is type(other) and bool(one == other))


@lru_cache(maxsize=1024)
def field_names(kind: Any) -> tuple[str, ...]:
    """Return the names of a record's fields."""
    if issubclass(kind, msgspec.Struct):
        return typing.cast("tuple[str, ...]", kind.__struct_fields__)
    return tuple(field.name for field in dataclasses.fields(kind))


def replace(value: Any, fields: dict[str, Any]) -> Any:
    """Return a copy of a record or dict with some fields replaced; its own checks run.

    Raises:
        UsageError: the value has no such fields.
    """
    if isinstance(value, dict):
        changed = copy.copy(value)
        changed.update(fields)
        return changed
    kind: Any = type(value)
    if not values.is_record(kind):
        raise UsageError(f"a {kind.__name__} has no fields", hint="assign dao.value instead")
    unknown = set(fields) - set(field_names(kind))
    if unknown:
        raise UsageError(f"{kind.__name__} has no field {min(unknown)!r}")
    if issubclass(kind, msgspec.Struct):
        return msgspec.structs.replace(value, **fields)
    taken = _init_names(kind)
    changed = dataclasses.replace(value, **{name: fields[name] for name in fields if name in taken})
    for name in set(field_names(kind)) - taken:  # __init__ would reset these to their defaults
        object.__setattr__(changed, name, fields.get(name, getattr(value, name)))
    return changed


@lru_cache(maxsize=1024)
def _init_names(kind: Any) -> frozenset[str]:
    return frozenset(field.name for field in dataclasses.fields(kind) if field.init)


# --- unknown fields ------------------------------------------------------------------------------


class Format(NamedTuple):
    """How to take encoded trees apart, one level at a time, and put them together.

    Args:
        split_map: bytes of a map to its keys and encoded items.
        split_list: the same for an array.
        join: encode a dict or list of encoded items.
        is_map: tells by the first byte.
        is_list: tells by the first byte.
    """

    split_map: Callable[[bytes], dict[Any, msgspec.Raw]]
    split_list: Callable[[bytes], list[msgspec.Raw]]
    join: Callable[[Any], bytes]
    is_map: Callable[[int], bool]
    is_list: Callable[[int], bool]


MSGPACK: Final = Format(
    msgspec.msgpack.Decoder(dict[Any, msgspec.Raw]).decode,
    msgspec.msgpack.Decoder(list[msgspec.Raw]).decode,
    msgspec.msgpack.Encoder().encode,
    lambda first: first & 0xF0 == 0x80 or first in (0xDE, 0xDF),
    lambda first: first & 0xF0 == 0x90 or first in (0xDC, 0xDD),
)
JSON: Final = Format(
    msgspec.json.Decoder(dict[str, msgspec.Raw]).decode,
    msgspec.json.Decoder(list[msgspec.Raw]).decode,
    msgspec.json.Encoder().encode,
    lambda first: first == 0x7B,
    lambda first: first == 0x5B,
)


def keep(form: Format, stored: bytes, known: bytes, new: bytes, *, deep: bool = True) -> bytes:
    """Return `new` with everything of `stored` that is not in `known`.

    Args:
        form: the format of all three.
        stored: the body as it is kept.
        known: what this program understands of it, encoded again.
        new: what this program wants to store.
        deep: look inside the items as well.
    """
    if new == known:
        return stored
    if all(form.is_map(tree[0]) for tree in (stored, known, new)):
        return _keep_map(form, stored, known, new, deep=deep)
    if deep and all(form.is_list(tree[0]) for tree in (stored, known, new)):
        return _keep_list(form, stored, known, new)
    return new


def _keep_map(form: Format, stored: bytes, known: bytes, new: bytes, *, deep: bool) -> bytes:
    old, seen, wanted = form.split_map(stored), form.split_map(known), form.split_map(new)
    kept: dict[Any, Any] = {}
    for key, item in old.items():
        if key not in seen and key not in wanted:
            kept[key] = item
        elif key in seen and key in wanted:
            same = seen[key] == wanted[key]
            if deep and not same:
                tree = keep(form, bytes(item), bytes(seen[key]), bytes(wanted[key]))
                kept[key] = msgspec.Raw(tree)
            else:
                kept[key] = item if same else wanted[key]
        elif key in wanted:
            kept[key] = wanted[key]
    for key, item in wanted.items():
        kept.setdefault(key, item)
    return form.join(kept)


def _keep_list(form: Format, stored: bytes, known: bytes, new: bytes) -> bytes:
    """Match items from both ends: one insertion or deletion leaves the others in place."""
    old, seen, wanted = form.split_list(stored), form.split_list(known), form.split_list(new)
    # A record laid out as an array grows at its end; a list has as many items as are known.
    tail = old[len(seen) :] if len(wanted) == len(seen) < len(old) else []
    if len(old) < len(seen):
        return new
    if len(wanted) == len(seen):
        items = [
            msgspec.Raw(keep(form, bytes(item), bytes(was), bytes(now)))
            for item, was, now in zip(old, seen, wanted)
        ]
        return form.join([*items, *tail])
    head = _common(seen, wanted)
    end = _common(seen[head:][::-1], wanted[head:][::-1])
    middle = wanted[head : len(wanted) - end]
    return form.join([*old[:head], *middle, *old[len(seen) - end : len(seen)]])


def _common(one: Sequence[msgspec.Raw], other: Sequence[msgspec.Raw]) -> int:
    """Return how many items the two begin with in common."""
    count = 0
    for here, there in zip(one, other):
        if bytes(here) != bytes(there):
            break
        count += 1
    return count


class _Coder(Protocol):
    def encode(self, value: Any, codec: int = 1) -> bytes: ...
    def decode(self, body: bytes, codec: int = 1) -> Any: ...


def keep_unknown(coder: _Coder, raw: bytes, body: bytes, start: int, codec: int) -> bytes:
    """Return `body` with what `raw`, the body it follows, has beyond the coder's type.

    Args:
        coder: knows the type.
        raw: the stored body; `body` is the new one.
        start: where the value begins in both.
        codec: of both.
    """
    try:
        known = coder.encode(coder.decode(raw, codec), codec)
        if known == raw:
            return body
        values.check_depth(raw[start:], json=codec == 2)
        form = JSON if codec == 2 else MSGPACK
        # Sets have no order to match items by: an outcome that reads differently is not used.
        for deep in (True, False):
            tree = keep(form, raw[start:], known[start:], body[start:], deep=deep)
            kept = body[:start] + tree
            again = coder.decode(kept, codec)
            if coder.encode(again, codec) == body or bool(again == coder.decode(body, codec)):
                limits.check("body bytes", len(kept), limits.BODY_BYTES_MAX)
                return kept
    except (AteError, ValueError):  # stored bytes that do not fit the type have nothing to keep
        return body
    return body


# --- finding ------------------------------------------------------------------------------------


def fields_of(value: Any, path: str = "") -> Iterator[tuple[Any, str, tuple[Any, ...] | None]]:
    """Yield every collection field inside a value, with its path and its item types if known."""
    kind: Any = type(value)
    if values.is_record(kind):
        hints = _hints(kind)
        for name in field_names(kind):
            part, where = getattr(value, name), f"{path}.{name}" if path else name
            if hasattr(part, "__ate_lower__"):
                yield part, where, next(_items_of(hints.get(name), type(part)), None)
            else:
                yield from _fields_inside(part, where, hints.get(name))


def _fields_inside(part: Any, path: str, hint: Any) -> Iterator[tuple[Any, str, Any]]:
    if isinstance(part, (list, tuple, set, frozenset, dict)):
        for item in part.values() if isinstance(part, dict) else part:
            if hasattr(item, "__ate_lower__"):
                yield item, f"{path}[]", next(_items_of(hint, type(item)), None)
            else:
                yield from _fields_inside(item, f"{path}[]", hint)
    else:
        yield from fields_of(part, path)


@lru_cache(maxsize=1024)
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind, localns={kind.__name__: kind}, include_extras=True)


def _items_of(hint: Any, kind: Any) -> Iterator[tuple[Any, ...]]:
    """Find the arguments given to `kind` in an annotation; a type variable may be anything."""
    if typing.get_origin(hint) is kind:
        yield tuple(object if isinstance(a, typing.TypeVar) else a for a in typing.get_args(hint))
    for argument in typing.get_args(hint):
        yield from _items_of(argument, kind)


def blame(value: Any, path: str, error: Exception) -> str:
    """Return the path of the innermost part of a value that cannot be encoded."""
    # A long number fits into untyped places: only the encoder itself finds one that does not.
    encode = values.encoder.encode if isinstance(error, OverflowError) else values.encode
    for _ in range(limits.VALUE_DEPTH_MAX):
        for label, part in _parts(value):
            try:
                encode(part)
            except (AteError, ArithmeticError, AttributeError, TypeError, ValueError):
                path, value = path + label, part
                break
        else:
            break
    return path


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if values.is_record(type(value)):
        kind: Any = type(value)
        for name in field_names(kind):
            yield f".{name}", getattr(value, name, None)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield f"[{key!r:.40}]" if isinstance(key, str) else "[…]", item
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield f"[{index}]", item
