"""`Schema`: how one Python type becomes the plaintext body of an object and back; no keys, no I/O.

A body is a MessagePack string, the type's name, followed by the value in one of the codecs:

    1  MessagePack   what msgspec writes; untyped places as `ate.dio.values` says
    2  JSON          the same shape as JSON text; a value that JSON would change is refused
    3  raw           the bytes of a `bytes` value

What `encode` accepts, `decode` reads: a value that does not fit its own annotations is refused when
it is written, not when somebody needs it.
"""

from __future__ import annotations

import builtins
import re
import typing
from collections.abc import Callable
from enum import Enum, IntEnum
from functools import lru_cache
from typing import Any, Final, Generic, Protocol, TypeVar, cast

import msgspec
from msgspec import inspect as shapes

from ate import limits
from ate.crypto.hash import digest
from ate.dio import fitting, merge, values
from ate.dio.values import Buffer
from ate.errors import AteError, Conflict, LimitExceeded, UsageError, WrongType

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Codec(IntEnum):
    """The format of a value inside its body."""

    NONE = 0
    MSGPACK = 1
    JSON = 2
    RAW = 3


_REFUSED: Final = (
    AteError,
    ArithmeticError,
    AttributeError,
    msgspec.MsgspecError,
    RecursionError,
    TypeError,
    ValueError,
)
_encode: Final = values.encoder.encode
_INVALID: Final = re.compile("(Invalid (?:enum )?value) .*", re.DOTALL)
_json_encode: Final = msgspec.json.Encoder(enc_hook=values.encode_hook).encode


class Encode(Protocol[T_contra]):
    """`schema.encode(value, codec=1)`: return the plaintext body of a value.

    Raises:
        UsageError: it cannot be stored; the message has the path of what is wrong.
        LimitExceeded: too large, or nested too deeply.
    """

    def __call__(self, value: T_contra, codec: int = Codec.MSGPACK) -> bytes: ...


class Schema(Generic[T]):
    """Encoder and decoder of one type; get it from `schema_of`.

    Args:
        type: the class, or a parametrised generic.
        name: what the type is called inside bodies.

    Raises:
        UsageError: values of this type cannot be stored.
    """

    __slots__ = (
        "_class", "_converts", "_decode", "_direct", "_fits", "_json", "_lower", "_nests",
        "_prefix", "_prefix_size", "_untyped", "encode", "has_fields", "name", "schema_id", "type",
    )  # fmt: skip

    def __init__(self, type: Any, name: str) -> None:
        self.type: type[T] = type
        self.name = name
        self._prefix = msgspec.msgpack.encode(name)
        self._prefix_size = len(self._prefix)
        self.schema_id = int.from_bytes(digest(name.encode())[:4], "little")
        origin = getattr(type, "__origin__", type)
        self._class: Any = origin
        self._untyped = origin in values.BUILTINS or origin is object
        # The type arguments of a generic are not in its instances, so these are stored untyped.
        self._converts = origin is not type
        self._lower: values.Lowering | None = values.lower
        self._fits: Callable[[Any], bool] = lambda value: origin in (object, value.__class__)
        self._decode: Callable[[Any], Any] = values.decode
        self._json: Callable[[Any], Any] = msgspec.json.decode
        self._nests = True
        self.has_fields = self._direct = False
        self.encode: Encode[T] = self._encode_slowly
        if not self._untyped:
            self._build(origin)
        if self._converts:
            self._decode = values.decode
            self._json = msgspec.json.Decoder(type, dec_hook=values.decode_hook).decode

    def _build(self, origin: Any) -> None:
        shape, hook = shapes.type_info(origin), values.decode_hook
        self._decode = msgspec.msgpack.Decoder(
            origin, dec_hook=hook, ext_hook=values.extension_hook
        ).decode
        self._json = msgspec.json.Decoder(origin, dec_hook=hook).decode
        self._lower, self._nests = values.lowering(origin), values.can_nest(shape)
        self._fits = fitting.checker(shape)
        classes = [getattr(part, "cls", None) for part in values.reach(shape)]
        self.has_fields = any(hasattr(cls, "__ate_lower__") for cls in classes)
        self._direct = not (self._nests or self.has_fields or self._converts)
        if not self._nests:
            bound, words = limits.BODY_BYTES_MAX, {"prefix": self._prefix, "pack": _encode}
            self.encode = fitting.compile_encoder(
                shape, self._encode_slowly, refused=_REFUSED, bound=bound, **words
            )

    def __repr__(self) -> str:
        return f"Schema({self.name})"

    # --- writing --------------------------------------------------------------------------------

    def _encode_slowly(self, value: T, codec: int = Codec.MSGPACK) -> bytes:
        if codec != 1:
            payload = self._encode_as(value, codec)
        else:
            try:
                payload = _encode(value if self._lower is None else self._lower(value))
            except _REFUSED as error:
                raise self._refusal(value, error) from error
            if not self._fits(value):
                self._confirm(value, payload)
            if self._nests:
                values.check_depth(payload)
        limits.check("body bytes", self._prefix_size + len(payload), limits.BODY_BYTES_MAX)
        return self._prefix + payload

    def _encode_as(self, value: T, codec: int) -> bytes:
        if codec == Codec.RAW:
            if self._class is not bytes or type(value) is not bytes:
                raise UsageError(f"{self.name}: the raw codec takes bytes only")
            return cast(bytes, value)
        if codec != Codec.JSON:
            raise UsageError(f"codec {codec} holds no value", hint="1 MessagePack, 2 JSON, 3 raw")
        plain = self.encode(value)
        try:
            payload = _json_encode(value)
            kept = self.encode(self._read(payload, Codec.JSON)) == plain
        except _REFUSED:
            kept = False
        if not kept:
            raise UsageError(
                f"{self.name}: the value would come back from JSON as something else",
                hint="use the MessagePack codec, or annotate the fields",
            )
        return payload

    def check(self, value: T) -> T:
        """Return `value` if it can be stored, or raise as `encode` does."""
        self.encode(value)
        return value

    def replace(self, value: T, fields: dict[str, Any]) -> T:
        """Return a copy with some fields replaced; UsageError for what does not fit."""
        try:
            changed = merge.replace(value, fields)
        except (TypeError, ValueError) as error:
            raise UsageError(f"{self.name}: {error}") from error
        return self.check(cast(T, changed))

    def encode_keeping(self, value: T, raw: Buffer, codec: int = Codec.MSGPACK) -> bytes:
        """Encode the successor of a stored value; fields of `raw` unknown to this program stay.

        Args:
            value: the new version; what `encode` refuses is refused here.
            raw: the stored body of the old version, in the same codec.
            codec: of both.
        """
        body = self.encode(value, codec)
        if bytes(raw[: self._prefix_size]) != self._prefix or codec == Codec.RAW:
            return body
        return merge.keep_unknown(self, bytes(raw), body, self._prefix_size, codec)

    def merge(self, base: T, ours: T, theirs: T) -> T:
        """Return `theirs` with the changes that led from `base` to `ours`.

        Raises:
            Conflict: both changed one field, each differently, or the type refuses the outcome.
        """
        try:
            return self.check(cast(T, merge.merge(base, ours, theirs, self.name)))
        except (UsageError, TypeError, ValueError) as error:
            raise Conflict(f"the merged {self.name} is refused: {error}") from error

    def _confirm(self, value: T, payload: bytes) -> None:
        """Decode what was just encoded: the one check that knows all that msgspec knows."""
        if not isinstance(value, self._class):
            raise UsageError(f"{self.name}: expected {self.name}, got {type(value).__name__}")
        if self._untyped:
            raise UsageError(f"{self.name}: a {type(value).__name__} comes back as {self.name}")
        try:
            self._decode(payload)
        except (TypeError, ValueError, msgspec.MsgspecError) as error:
            raise UsageError(
                _explain(self.name, error), hint="the value does not fit its own annotations"
            ) from error

    def _refusal(self, value: Any, error: Exception) -> AteError:
        """Name the error of the encoder and find the part of the value it is about."""
        if isinstance(error, RecursionError):
            return values.too_deep()
        if isinstance(error, LimitExceeded):
            return error
        path = merge.blame(value, self.name, error)
        what = error.message if isinstance(error, AteError) else str(error)
        if isinstance(error, OverflowError):
            what = "the number does not fit into 64 bits"
        hint = error.hint if isinstance(error, AteError) else None
        return UsageError(f"{path}: {what}", hint=hint)

    # --- reading --------------------------------------------------------------------------------

    def decode(self, body: Buffer, codec: int = Codec.MSGPACK) -> T:
        """Return the value in a plaintext body.

        Raises:
            WrongType: the bytes are not a value of this type; nothing else, whatever the bytes.
        """
        size = self._prefix_size
        if body[:size] != self._prefix:
            raise WrongType(f"stored as {_stored_name(body)}, not as {self.name}")
        try:
            if self._direct and codec == 1:
                return self._decode(body[size:])  # type: ignore[no-any-return]
            value = self._read(body[size:], codec)
            if self.has_fields:
                for field, _, items in merge.fields_of(value):
                    field.__ate_know__(items, loaded=True)
        except MemoryError:
            raise
        except Exception as error:  # the constructor of a user's class may raise anything
            raise WrongType(_explain(self.name, error)) from error
        return value

    def _read(self, payload: Buffer, codec: int) -> T:
        if codec == Codec.RAW and self._class in (bytes, object):
            return cast(T, bytes(payload))
        if codec not in (Codec.MSGPACK, Codec.JSON):
            raise ValueError(f"no value in codec {codec}")
        if self._nests:
            values.check_depth(payload, json=codec == Codec.JSON)
        value = self._json(payload) if codec == Codec.JSON else self._decode(payload)
        if self._converts and codec == Codec.MSGPACK:
            # The arguments of a generic are not in its instances, so it was stored untyped.
            value = msgspec.convert(value, self.type, dec_hook=values.decode_hook)
        elif self._untyped and self._class not in (object, type(value)):
            raise ValueError(f"the value is a {type(value).__name__}")
        return cast(T, value)

    def decode_into_raw(self, body: Buffer, codec: int = Codec.MSGPACK) -> dict[str, Any]:
        """Return the stored map of a record, with all its fields; WrongType if it is no map."""
        raw = decode_any(body, codec)
        if not isinstance(raw, dict):
            raise WrongType(f"a {_stored_name(body)} has no named fields")
        return raw

    @staticmethod
    def any(body: Buffer) -> Schema[Any]:
        """Return the schema that reads a body untyped and writes it again under the same name."""
        return _untyped_schema(name_of(body))

    @staticmethod
    def name_in(body: Buffer) -> str:
        """Return the name of the type of a body; raises WrongType when it has none."""
        return name_of(body)


@lru_cache(maxsize=1024)
def _untyped_schema(name: str) -> Schema[Any]:
    return Schema(object, name)


def schema_of(type: type[T]) -> Schema[T]:
    """Return the schema of a type; the same one for the same type.

    Raises:
        UsageError: its values cannot be stored, or its annotations cannot be resolved.
    """
    try:
        return _schema_of(type)  # type: ignore[arg-type]
    except TypeError as error:  # not hashable, so no type at all
        raise UsageError(f"not a type: {type!r:.60}") from error


@lru_cache(maxsize=1024)
def _schema_of(type: Any) -> Schema[Any]:
    name = type_name(type)
    try:
        try:
            return Schema(type, name)
        except NameError:
            _resolve_own_name(getattr(type, "__origin__", type))
            return Schema(type, name)
    except NameError as error:
        raise UsageError(
            f"{name}: the annotation {error.name!r} cannot be resolved",
            hint="define it at the top of a module, outside `if TYPE_CHECKING:`, or leave out "
            "`from __future__ import annotations` where the class is defined",
        ) from error
    except (TypeError, NotImplementedError, UsageError) as error:
        raise UsageError(f"{name} cannot be stored: {error}") from error


def _resolve_own_name(cls: Any) -> None:
    """Resolve the annotations of a class inside a function that mentions itself."""
    hints = typing.get_type_hints(cls, localns={cls.__name__: cls}, include_extras=True)
    cls.__annotations__ = {name: hints[name] for name in cls.__annotations__}


def type_name(type: Any) -> str:
    """Return what a type is called inside bodies: its `__ate_type__`, else its own name.

    Raises:
        UsageError: values of this type cannot be stored.
    """
    cls = typing.get_origin(type) or type
    if not isinstance(cls, builtins.type) or not (
        cls in values.BUILTINS
        or values.is_record(cls)
        or issubclass(cls, Enum)
        or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
    ):
        raise UsageError(
            f"values of {getattr(cls, '__name__', type)} cannot be stored",
            hint="make it a dataclass or a msgspec Struct, or use dict, list, str, bytes, int …",
        )
    name = cls.__dict__.get("__ate_type__", cls.__name__)
    # One length byte: the form of every name is then the shortest there is.
    size = len(name.encode(errors="replace")) if isinstance(name, str) else 0
    if not 0 < size < limits.NAME_BYTES_MAX:
        raise UsageError(f"__ate_type__ of {cls.__name__} must be a str of 1 to 255 bytes")
    return cast(str, name)


def name_of(body: Buffer) -> str:
    """Return the name of the type inside a plaintext body.

    Raises:
        WrongType: the bytes are no body.
    """
    try:
        start, size = (1, body[0] & 31) if body[0] & 0xE0 == 0xA0 else (2, body[1])
        name = bytes(body[start : start + size]).decode()
        if body[: start + size] == msgspec.msgpack.encode(name) and name:
            return name
    except (IndexError, UnicodeDecodeError):
        pass
    raise WrongType("the bytes are no stored value")


def _stored_name(body: Buffer) -> str:
    try:
        return name_of(body)
    except WrongType:
        return "something that is no value"


def _explain(name: str, error: Exception) -> str:
    """Turn an error of the decoder into `Type.field: what`; stored content stays out of it."""
    if isinstance(error, AteError):
        return f"{name}: {error.message}"
    if isinstance(error, RecursionError):
        return f"{name}: nested too deeply"
    what, _, where = str(error).partition(" - at `")
    path = where.rstrip("`").replace("$", name, 1) or name
    return f"{path}: {_INVALID.sub(lambda found: found[1], what)}"


def decode_any(body: Buffer, codec: int = Codec.MSGPACK) -> Any:
    """Return the value in a plaintext body as dicts, lists and scalars, whatever its type.

    Raises:
        WrongType: the bytes are no body; nothing else, whatever the bytes.
    """
    return Schema.any(body).decode(body, codec)
