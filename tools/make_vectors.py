"""Make the frozen vectors of events, values, trust, logs and the wire; it never replaces a file.

    python tools/make_vectors.py            make what is missing
    python tools/make_vectors.py --again    make everything anew, after a change of the format

Seeds, ids and times are fixed. Signatures of ML-DSA and wrapped keys are random by nature, so two
runs differ in those bytes: that is why the files are frozen and not made by the tests.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.vectors import (
    deltas,
    event,
    golden,
    judgements,
    outbox,
    proof,
    sequences,
    statements,
    trust,
    values,
    wire,
)
from tools.vectors.fixed import VECTORS, write

import ate
from ate.errors import AteError

FILES: dict[str, Callable[[], dict[str, Any]]] = {
    "event/rows.json": event.rows,
    "event/commits.json": event.commits,
    "event/access.json": event.access,
    "event/headers.json": event.headers,
    "event/system.json": event.system,
    "values/bodies.json": values.values,
    "values/deltas.json": deltas.deltas,
    "outbox/outbox.json": outbox.outboxes,
    "trust/keys.json": trust.keys,
    "trust/grants.json": trust.grants,
    "wire/messages.json": wire.messages,
    "wire/conversations.json": wire.conversations,
    "wire/refusals.json": wire.refusals,
    "wire/pins.json": wire.pins,
    "trust/statements.json": statements.statements,
}


async def make() -> None:
    """Make every file that is missing."""
    for name, content in FILES.items():
        if not (VECTORS / name).exists():
            write(VECTORS / name, content())
    for name in golden.SUITES:
        folder = VECTORS / "logs" / "v1" / name
        if not folder.exists():
            await golden.golden(name, folder)
    if not (VECTORS / "trust" / "judgements.json").exists():
        write(VECTORS / "trust" / "judgements.json", await judgements.judgements())
    if not (VECTORS / "trust" / "sequences.json").exists():
        write(VECTORS / "trust" / "sequences.json", await sequences.sequences())
    if not (VECTORS / "trust" / "proofs.json").exists():
        write(VECTORS / "trust" / "proofs.json", await proof.proofs())


def main() -> None:
    """Run as a program."""
    if "--again" in sys.argv[1:]:
        for folder in ("event", "values", "outbox", "trust", "logs", "wire"):
            shutil.rmtree(VECTORS / folder, ignore_errors=True)
    try:
        asyncio.run(make())
    except AteError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    assert ate.__version__
    main()
