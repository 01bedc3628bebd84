"""Every bound of the product with its reason.

It never enforces one (the callers do, before they allocate).
"""

from __future__ import annotations

from typing import Final

from ate.errors import LimitExceeded

KIB: Final = 1024
MIB: Final = 1024 * KIB

#: One body is read, sealed and hashed in one piece; 16 MiB keeps that under 50 ms and 50 MB.
BODY_BYTES_MAX: Final = 16 * MIB
#: Bodies from here on go to the body file, so that a commit's head stays one small write.
BODY_INLINE_BYTES_MAX: Final = 64 * KIB
#: Row indexes inside a commit are 16 bit nonces and proof paths of at most four steps.
COMMIT_ROWS_MAX: Final = 65_536
#: A commit is framed, hashed and flushed whole; a segment must hold it.
COMMIT_BYTES_MAX: Final = 64 * MIB
#: Rare header fields of one commit (grants, rules): MessagePack, decoded at once.
RARE_BYTES_MAX: Final = 8 * MIB
#: Session certificates in one commit: each costs a composite verification before anything is
#: judged.
COMMIT_CERTIFICATES_MAX: Final = 64
#: A signature section: one composite signature and some room.
SIGNATURE_BYTES_MAX: Final = 8 * KIB
#: A segment is the unit of sealing, archiving and repair.
SEGMENT_BYTES_MAX: Final = 64 * MIB
#: Key text in a Map: small enough for any index, long enough for paths.
KEY_BYTES_MAX: Final = 1016
#: Chain names are paths on disk and in URLs.
NAME_BYTES_MAX: Final = 256
#: Rows in a chain: 40 bits keep a seq and a flag in one 64-bit word.
CHAIN_ROWS_MAX: Final = 1 << 40
#: Days that retention may look back: their microseconds fit into 64 bits.
RETENTION_DAYS_MAX: Final = 1_000_000
#: Levels of parents followed to find a rule; deeper is a cycle or an attack.
TREE_DEPTH_MAX: Final = 256
#: Keys that one rule may name.
RULE_KEYS_MAX: Final = 1024
#: Nesting of containers in a value; deeper input is refused, not recursed into.
VALUE_DEPTH_MAX: Final = 128


def check(limit: str, value: int, bound: int, *, hint: str | None = None) -> None:
    """Raise `LimitExceeded` when `value` is over `bound`."""
    if value > bound:
        raise LimitExceeded(limit, value, bound, hint=hint)
