"""What all vectors share: where they are, fixed ids, how values are written; it makes no vector."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ate.ids import ObjectId

VECTORS = Path(__file__).resolve().parent.parent.parent / "tests" / "vectors"
DAY_US = 86_400_000_000
BODY = b"\xa4Note\x81\xa4text\xa5hello"
HASH = bytes(range(32))


def oid(number: int) -> ObjectId:
    """Return an object id that is easy to recognise."""
    return ObjectId(bytes([number]) * 16)


def fields_of(value: Any) -> dict[str, Any]:
    """Return the fields of a named tuple, bytes as hex."""
    fields = value._asdict().items()
    return {key: one.hex() if isinstance(one, bytes) else one for key, one in fields}


def plain(tree: Any) -> Any:
    """Return a tree with bytes written as {"hex": …}, so that JSON can hold it."""
    if isinstance(tree, bytes):
        return {"hex": tree.hex()}
    if isinstance(tree, dict):
        return {str(key): plain(one) for key, one in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [plain(one) for one in tree]
    return tree


def write(path: Path, content: dict[str, Any]) -> None:
    """Write one vector file and say so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(f"made {path.relative_to(VECTORS)}, {path.stat().st_size} bytes")
