"""Access rules as values: who may read, who may write; it never judges (trust/authority does).

`Access(read=…, write=…)` hangs on any object; what has none inherits from its parent. A rule is
`Everyone`, `Inherit`, `Nobody` (write), or a list of principals and roles: `Only(alice,
"Observer")` for reading, `Any(alice, bob)` for writing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any as _Any
from typing import Final, TypeAlias

from ate import limits
from ate.crypto.hash import derive
from ate.errors import LimitExceeded, ProtocolError, UsageError


def key_id_of(sign: bytes, seal: bytes) -> bytes:
    """Return the 16-byte id of a principal: it names both keys, so that neither can be exchanged.

    Anybody may publish anybody's keys. An id of the signing key alone would let the first who does
    choose to whom secrets meant for this principal are wrapped.
    """
    return derive("ate principal id", sign + seal)[:16]


@dataclass(frozen=True, slots=True)
class Principal:
    """The public half of somebody: a name for people, and two public keys.

    Args:
        identity: e-mail or any text; informs people, decides nothing.
        sign: public signing key (composite, 1984 bytes).
        seal: public sealing key (X-Wing, 1216 bytes).
    """

    identity: str
    sign: bytes = field(repr=False)
    seal: bytes = field(repr=False)
    _key_id: bytes = field(default=b"", init=False, repr=False, compare=False)

    @property
    def key_id(self) -> bytes:
        """Its id; to hash both keys takes longer than all else that a commit asks of them."""
        if not self._key_id:
            object.__setattr__(self, "_key_id", key_id_of(self.sign, self.seal))
        return self._key_id


class _Rule(Enum):
    EVERYONE = "everyone"
    INHERIT = "inherit"
    NOBODY = "nobody"

    def __repr__(self) -> str:
        return self.value.capitalize()


Everyone: Final = _Rule.EVERYONE
Inherit: Final = _Rule.INHERIT
Nobody: Final = _Rule.NOBODY

#: A principal, a 16-byte key id, or the name of a role.
Who: TypeAlias = "Principal | bytes | str"


class _Named:
    """A list of principals, key ids and role names; compared by what it names."""

    __slots__ = ("names", "principals")

    def __init__(self, *who: Who) -> None:
        if not who:
            raise UsageError(
                f"{type(self).__name__}() names nobody", hint="use Nobody, or name a key"
            )
        limits.check("keys in a rule", len(who), limits.RULE_KEYS_MAX)
        self.principals = tuple(one for one in who if isinstance(one, Principal))
        self.names = tuple(_name(one) for one in who)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Named) and set(self.names) == set(other.names)

    def __hash__(self) -> int:
        return hash(frozenset(self.names))

    def __repr__(self) -> str:
        shown = ", ".join(one if isinstance(one, str) else one.hex()[:8] for one in self.names)
        return f"{type(self).__name__}({shown})"


class Only(_Named):
    """Read rule: these alone can open the object."""


class Any(_Named):
    """Write rule: any one of these may write the object."""


ReadRule: TypeAlias = "_Rule | Only"
WriteRule: TypeAlias = "_Rule | Any"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may read and write an object, and what inherits from it."""

    read: ReadRule = Inherit
    write: WriteRule = Inherit

    def __post_init__(self) -> None:
        if self.read is Nobody or isinstance(self.read, Any):
            raise UsageError("a read rule is Everyone, Inherit or Only(…)")
        if isinstance(self.write, Only):
            raise UsageError("a write rule is Everyone, Inherit, Nobody or Any(…)")

    def principals(self) -> tuple[Principal, ...]:
        """Return the principals named with their public keys, for publishing those keys."""
        found: list[Principal] = []
        for rule in (self.read, self.write):
            if isinstance(rule, _Named):
                found.extend(rule.principals)
        return tuple(dict.fromkeys(found))

    def encode(self) -> list[_Any]:
        """Return the wire form: two rules, each a word or a list of key ids and role names."""
        return [_encode(self.read), _encode(self.write)]

    @classmethod
    def decode(cls, raw: object) -> Access:
        """Read the wire form; raises ProtocolError when it is not one."""
        if not isinstance(raw, list) or len(raw) != 2:
            raise ProtocolError("an access rule is not a pair of rules")
        try:
            return cls(_decode(raw[0], Only), _decode(raw[1], Any))
        except (UsageError, LimitExceeded) as error:
            raise ProtocolError(f"bad access rule: {error.message}") from None


def check_role_name(name: str) -> str:
    """Return `name`; raises UsageError unless it has 1 to 256 characters that can be encoded."""
    if not 0 < len(name) <= limits.NAME_BYTES_MAX or any(
        "\ud800" <= one <= "\udfff" for one in name
    ):
        raise UsageError(
            f"a role's name has 1 to {limits.NAME_BYTES_MAX} characters of Unicode text"
        )
    return name


def _name(who: Who) -> bytes | str:
    if isinstance(who, Principal):
        return who.key_id
    if isinstance(who, bytes) and len(who) == 16:
        return bytes(who)
    if isinstance(who, str):
        return check_role_name(who)
    raise UsageError(f"a rule names principals, key ids or roles, not {type(who).__name__}")


def _encode(rule: _Rule | _Named) -> object:
    return list(rule.names) if isinstance(rule, _Named) else rule.value


def _decode(raw: object, named: type[_Named]) -> _Any:
    if isinstance(raw, list):
        return named(*raw)
    try:
        return _Rule(raw)
    except ValueError:
        raise ProtocolError("unknown word in an access rule") from None
