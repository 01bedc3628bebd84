"""Untyped values to MessagePack and back without losing a type; it knows no schema and does no I/O.

MessagePack has no decimal, date, UUID, tuple or set. Where no annotation says what a value is (the
inside of a `dict` or `list`, a field annotated `Any`) such a value travels as an extension:

    code  type        payload
    -1    datetime    aware; the timestamp of the MessagePack specification
    1     Decimal     text                     7   tuple       MessagePack array of its items
    2     datetime    naive, ISO 8601 text     8   set         the same
    3     date        ISO 8601 text            9   frozenset   the same
    4     time        ISO 8601 text            10  int         beyond 64 bits: signed, big-endian
    5     timedelta   ISO 8601 text            11  ObjectId    16 bytes
    6     UUID        16 bytes

An unknown code is kept as `msgspec.msgpack.Ext`. A dataclass or Struct in an untyped place is a map
and is read back as `dict` (or as its class, by a typed load such as `list[World]`); an enum is its
value.
"""

from __future__ import annotations

import binascii
import copy
import datetime as dt
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, Final, TypeAlias, cast

import msgspec
from msgspec import inspect as shapes

from ate import limits
from ate.errors import AteError, LimitExceeded, UsageError
from ate.ids import ObjectId

Buffer: TypeAlias = bytes | bytearray | memoryview
Lowering: TypeAlias = Callable[[Any], Any]
Ext = msgspec.msgpack.Ext

_TUPLE, _SET, _FROZENSET, _INT = 7, 8, 9, 10
_TEXTS: Final[dict[type, int]] = {
    Decimal: 1,
    dt.datetime: 2,
    dt.date: 3,
    dt.time: 4,
    dt.timedelta: 5,
}
_BY_TEXT: Final = {code: kind for kind, code in _TEXTS.items()}
_GROUPS: Final[dict[type, int]] = {tuple: _TUPLE, set: _SET, frozenset: _FROZENSET}
_BY_GROUP: Final[dict[int, Callable[[list[Any]], Any]]] = {c: kind for kind, c in _GROUPS.items()}
_UUID, _OBJECT_ID = 6, 11

#: Types that need no schema of their own: the value says all.
BUILTINS: Final = frozenset(
    {dict, list, str, bytes, int, float, bool, uuid.UUID, ObjectId, *_TEXTS, *_GROUPS}
)
_PLAIN: Final = frozenset({str, float, bool, bytes, type(None), Ext})
_KEYS: Final = frozenset({str, int, float, bool, bytes, type(None)})
_CONTAINERS: Final = (dict, list, tuple, set, frozenset)

# Every first byte that can open a level: maps, arrays and extensions of all sizes.
_OPENERS: Final = bytes(
    [*range(0x80, 0xA0), 0xC7, 0xC8, 0xC9, *range(0xD4, 0xD9), *range(0xDC, 0xE0)]
)
_JSON_OPENERS: Final = b"[{"
# First bytes of a single text or bytes: however long it is, there is nothing to look for in it.
_FLAT: Final = frozenset([*range(0xA0, 0xC0), 0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB])


def encode_hook(value: Any) -> Any:
    """Hand msgspec something it knows; the hook of every encoder of this package.

    Raises:
        TypeError: nothing can be done with this type.
    """
    lower = getattr(type(value), "__ate_lower__", None)
    if lower is not None:
        return lower(value)
    if isinstance(value, (str, bytes, int, float)):
        base: Any = next(base for base in (str, bytes, int, float) if isinstance(value, base))
        return base(value)
    raise TypeError(f"no way to store a {type(value).__name__}")


def decode_hook(type: Any, stored: Any) -> Any:
    """Build a value of a type that msgspec does not know; the hook of every decoder.

    Raises:
        ValueError: the stored form does not fit; msgspec adds the path.
    """
    origin = getattr(type, "__origin__", type)
    lift = getattr(origin, "__ate_lift__", None)
    if lift is not None:
        field = lift(stored)
        field.__ate_know__(getattr(type, "__args__", None))
        return field
    if origin is object:
        return stored
    for base in (str, bytes, int, float):
        if issubclass(origin, base):
            plain = to_bytes(stored) if base is bytes else stored
            if isinstance(plain, base):
                try:
                    return origin(plain)
                except AteError as error:
                    raise ValueError(error.message) from None
    raise ValueError(f"not a {origin.__name__}")


def to_bytes(stored: Any, size: int | None = None) -> bytes:
    """Return stored bytes, which JSON keeps as base64 text; raises ValueError for anything else."""
    raw = binascii.a2b_base64(stored, strict_mode=True) if type(stored) is str else stored
    if type(raw) is not bytes or size not in (None, len(raw)):
        raise ValueError("not bytes" if size is None else f"not {size} bytes")
    return raw


def extension_hook(code: int, data: memoryview) -> Any:
    """Read one extension."""
    if code in _BY_TEXT:
        return msgspec.convert(str(data, "utf-8"), _BY_TEXT[code])
    if code in _BY_GROUP:
        return _BY_GROUP[code](_list_decoder.decode(data))
    if code == _UUID:
        return uuid.UUID(bytes=bytes(data))
    if code == _INT:
        return int.from_bytes(data, "big", signed=True)
    if code == _OBJECT_ID:
        return ObjectId(bytes(data))
    return Ext(code, bytes(data))


encoder: Final = msgspec.msgpack.Encoder(enc_hook=encode_hook)
_decoder: Final[msgspec.msgpack.Decoder[Any]] = msgspec.msgpack.Decoder(ext_hook=extension_hook)
_list_decoder: Final = msgspec.msgpack.Decoder(list, ext_hook=extension_hook)


def encode(value: Any) -> bytes:
    """Return the bytes of an untyped value; the errors are those of the encoder, or UsageError."""
    return encoder.encode(lower(value))


def decode(payload: Buffer) -> Any:
    """Read what `encode` wrote. Raises whatever the decoder raises: the caller names the error."""
    return _decoder.decode(payload)


def lower(value: Any) -> Any:
    """Return `value` with everything MessagePack has no word for wrapped in an extension."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is int:
        return value if -(1 << 63) <= value < 1 << 64 else Ext(_INT, _int_bytes(value))
    if isinstance(value, dict):
        for key in value:
            if type(key) not in _KEYS:
                _check_key(key)
        return {key: lower(item) for key, item in value.items()}
    if isinstance(value, list):
        return [lower(item) for item in value]
    if is_record(kind):
        plan = lowering(cast(Any, kind))
        return value if plan is None else plan(value)
    if isinstance(value, Enum):
        return lower(value.value)
    if hasattr(kind, "__ate_lower__"):
        raise UsageError(
            f"a {kind.__name__} needs a field with a type",
            hint=f"annotate the field: {kind.__name__}[Task]",
        )
    return _lower_scalar(kind, value)


def _lower_scalar(kind: Any, value: Any) -> Any:
    if kind is dt.datetime and value.tzinfo is not None:
        return value
    if kind in _TEXTS:
        return Ext(_TEXTS[kind], msgspec.to_builtins(value).encode())
    if kind is uuid.UUID:
        return Ext(_UUID, value.bytes)
    if kind is ObjectId:
        return Ext(_OBJECT_ID, bytes(value))
    if kind in _GROUPS:
        return Ext(_GROUPS[kind], encoder.encode([lower(item) for item in value]))
    return value


def _int_bytes(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _check_key(key: Any) -> None:
    """Refuse a key that would come back as something else."""
    if type(key) is tuple:
        for item in key:
            if type(item) not in _KEYS:
                _check_key(item)
    elif not isinstance(key, (str, int, bytes)) and not (
        type(key) is dt.datetime and key.tzinfo is not None
    ):
        raise UsageError(
            f"a {type(key).__name__} cannot be a key in an untyped dict",
            hint="annotate the field (dict[Decimal, int] …) or use str, int, bytes, a tuple …",
        )
    elif isinstance(key, Enum):
        raise UsageError(
            "an enum member cannot be a key in an untyped dict", hint="use its value as the key"
        )


# --- shapes of types ---------------------------------------------------------------------------


def is_record(kind: Any) -> bool:
    """Tell whether instances have named fields: dataclass or Struct."""
    return isinstance(kind, type) and (
        issubclass(kind, msgspec.Struct) or hasattr(kind, "__dataclass_fields__")
    )


def parts(node: Any) -> Iterator[Any]:
    """Yield the shapes directly inside a shape."""
    for name in ("item_type", "key_type", "value_type", "type"):
        part = getattr(node, name, None)
        if isinstance(part, shapes.Type):
            yield part
    for name in ("types", "item_types"):
        yield from getattr(node, name, ())
    for field in getattr(node, "fields", ()):
        yield field.type


def reach(node: Any) -> Iterator[Any]:
    """Yield every shape below `node`; a type that holds itself is yielded as well, once."""
    seen: set[int] = set()
    pending = list(parts(node))
    while pending:
        part = pending.pop()
        if id(part) not in seen:
            seen.add(id(part))
            yield part
            pending.extend(parts(part))


def is_open(node: Any) -> bool:
    """Tell whether values of this shape say themselves what they are."""
    return isinstance(node, shapes.AnyType) or getattr(node, "cls", None) is object


def can_nest(node: Any) -> bool:
    """Tell whether values of this shape may be nested without an end."""
    below = [node, *reach(node)]
    return any(is_open(part) for part in below) or any(
        other is part for part in below if hasattr(part, "fields") for other in reach(part)
    )


@lru_cache(maxsize=1024)
def lowering(type: Any) -> Lowering | None:
    """Return the function that lowers the untyped places inside a value; None if there are none."""
    return _plan(shapes.type_info(type), {})


def _plan(node: Any, made: dict[int, Lowering]) -> Lowering | None:
    if is_open(node):
        return lower
    if not any(is_open(part) for part in reach(node)):
        return None
    if id(node) in made:
        return made[id(node)]
    if isinstance(node, shapes.Metadata):
        return _plan(node.type, made)
    if isinstance(node, shapes.UnionType):
        return _union_plan(node, made)
    if isinstance(node, shapes.DictType):
        return _dict_plan(node, made)
    if isinstance(node, (shapes.StructType, shapes.DataclassType)):
        return _record_plan(node, made)
    if isinstance(node, shapes.TupleType):
        plans = [_plan(part, made) or _same for part in node.item_types]
        return lambda value: [plan(item) for plan, item in zip(plans, value)]
    if not hasattr(node, "item_type"):  # named tuples and typed dicts
        raise UsageError(f"untyped places inside a {type(node).__name__} cannot be stored")
    item = _plan(node.item_type, made) or _same
    return lambda value: (
        [item(each) for each in value] if isinstance(value, _CONTAINERS[1:]) else value
    )


def _same(value: Any) -> Any:
    return value


def _dict_plan(node: shapes.DictType, made: dict[int, Lowering]) -> Lowering:
    item = _plan(node.value_type, made) or _same
    keys_are_open = is_open(node.key_type)

    def lower_dict(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if keys_are_open:
            for key in value:
                if type(key) not in _KEYS:
                    _check_key(key)
        return {key: item(element) for key, element in value.items()}

    return lower_dict


def _union_plan(node: shapes.UnionType, made: dict[int, Lowering]) -> Lowering:
    """Lower by what the value is; msgspec allows one of each kind in a union."""
    plans = [(part, plan) for part in node.types if (plan := _plan(part, made)) is not None]

    def lower_union(value: Any) -> Any:
        for part, plan in plans:
            cls = getattr(part, "cls", None)
            if cls is not None:
                if isinstance(value, getattr(cls, "__origin__", cls)):
                    return plan(value)
            elif isinstance(value, dict if isinstance(part, shapes.DictType) else _CONTAINERS[1:]):
                return plan(value)
        return value

    return lower_union


def _record_plan(node: Any, made: dict[int, Lowering]) -> Lowering:
    plans: list[tuple[str, Lowering]] = []

    def lower_record(value: Any) -> Any:
        if not is_record(type(value)):
            return value
        lowered = _twin(value)
        is_struct = isinstance(value, msgspec.Struct)
        put: Any = msgspec.structs.force_setattr if is_struct else object.__setattr__
        for name, plan in plans:
            put(lowered, name, plan(getattr(value, name)))
        return lowered

    made[id(node)] = lower_record
    for field in node.fields:
        plan = _plan(field.type, made)
        if plan is not None:
            plans.append((field.name, plan))
    return lower_record


def _twin(value: Any) -> Any:
    """Copy a record without running its constructor; tags, names and layout stay msgspec's."""
    if type(value).__dictoffset__ == 0:
        return copy.copy(value)
    twin = object.__new__(type(value))
    twin.__dict__.update(value.__dict__)
    return twin


# --- depth ---------------------------------------------------------------------------------------


def check_depth(payload: Buffer, *, json: bool = False) -> None:
    """Refuse bytes nested deeper than `VALUE_DEPTH_MAX`.

    Most payloads are cleared by counting the bytes that could open a level. The others are decoded
    untyped; msgspec guards its own recursion, so that a bomb ends there as RecursionError.

    Raises:
        LimitExceeded: too deep.
    """
    if len(payload) <= limits.VALUE_DEPTH_MAX or (payload[0] in _FLAT and not json):
        return
    openers = _JSON_OPENERS if json else _OPENERS
    if len(payload) - len(bytes(payload).translate(None, openers)) <= limits.VALUE_DEPTH_MAX:
        return
    try:
        value = msgspec.json.decode(payload) if json else decode(payload)
    except RecursionError:
        raise too_deep() from None
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, _CONTAINERS)]:
        depth += 1
        if depth > limits.VALUE_DEPTH_MAX:
            raise too_deep()
        level = [
            part
            for item in level
            for part in ((*item, *item.values()) if isinstance(item, dict) else item)
        ]


def too_deep() -> LimitExceeded:
    """Return the error for a value that is nested too deeply."""
    bound = limits.VALUE_DEPTH_MAX
    hint = "does the value contain itself? store the inner parts as objects and keep a Ref"
    return LimitExceeded("value depth", bound + 1, bound, hint=hint)
