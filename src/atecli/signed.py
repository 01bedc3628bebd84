"""What servers signed, as files for people: evidence against one, or its word that it had a commit.

It judges files only; it asks no server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ate import limits
from ate.crypto.sign import VerifyKey
from ate.errors import UntrustedRoot
from ate.event.access import Principal
from ate.mesh import acknowledged, evidence
from ate.mesh.acknowledged import Acknowledged
from ate.trust.attest import HeadStatement
from atecli.identity import fingerprint
from atecli.text import iso, moment

_FAMILIES = (evidence.MAGIC[:6], acknowledged.MAGIC[:6])


@dataclass(frozen=True, slots=True)
class Signed:
    """What such a file has shown.

    Args:
        kind: "split", "shrunk", "rewritten", "replaced", or "acknowledged".
        what: in one line; of a lie, what it was about.
        statements: on which it stands, the first one first.
        commit: root and index of the commit in question, if there is one.
    """

    kind: str
    what: str
    statements: tuple[HeadStatement, ...]
    commit: tuple[bytes, int] | None = field(default=None)

    @property
    def server(self) -> VerifyKey:
        return self.statements[0].server

    @property
    def is_lie(self) -> bool:
        return self.kind != "acknowledged"


def is_signed(path: Path) -> bool:
    """Tell whether a file says that it is one of these."""
    with path.open("rb") as file:
        return file.read(6) in _FAMILIES


def read(path: Path, servers: Sequence[Principal]) -> Signed:
    """Return what a file shows, when all of it is true.

    Args:
        path: of the file.
        servers: whose keys the caller knows; without any, each server will do.

    Raises:
        TrustError: it proves nothing, or nothing about one of `servers`.
        ProtocolError, UnsupportedFormat, LimitExceeded: it is no such file.
    """
    with path.open("rb") as file:
        raw = file.read(limits.EVIDENCE_BYTES_MAX + 1)
    found = _evidence(raw) if raw.startswith(_FAMILIES[0]) else _acknowledgement(raw)
    if servers and found.server.raw not in {one.sign for one in servers}:
        raise UntrustedRoot(
            f"it is about server {found.server.key_id.hex()[:8]}, none of the keys given"
        )
    return found


def _evidence(raw: bytes) -> Signed:
    told = evidence.decode(raw)
    verdict = evidence.judge(told)
    commit = None
    if isinstance(told, evidence.Replaced):
        commit = told.commit.root, told.commit.index
    return Signed(verdict.kind, verdict.what, (verdict.first, verdict.second), commit)


def _acknowledgement(raw: bytes) -> Signed:
    kept = Acknowledged.decode(raw)
    statement = kept.check()
    commit = kept.commit.root, kept.commit.index
    return Signed("acknowledged", f"it has commit {commit[1]}", (statement,), commit)


def shown(path: Path, found: Signed) -> list[tuple[str, object]]:
    """Return what a file has shown, for people."""
    rows: list[tuple[str, object]] = [
        ("evidence" if found.is_lie else "receipt", path.name),
        ("server", fingerprint(found.server.key_id.hex())),
        ("id", found.statements[0].chain_id.hex()),
        ("lie" if found.is_lie else "says", found.what),
    ]
    if found.commit is not None:
        rows.append(("commit", f"{found.commit[0].hex()}, number {found.commit[1]}"))
    for one in found.statements:
        rows.append(("signed", f"{one.size} commits, {moment(one.time_us)}"))
        rows.append(("root", one.root.hex()))
    return rows


def document(path: Path, found: Signed) -> dict[str, Any]:
    """Return what a file has shown, for programs."""
    commit = found.commit
    return {
        "file": str(path),
        "kind": found.kind,
        "lie": found.is_lie,
        "what": found.what,
        "server": found.server.key_id.hex(),
        "id": found.statements[0].chain_id.hex(),
        "commit": {"root": commit[0].hex(), "index": commit[1]} if commit else None,
        "statements": [
            {
                "size": one.size,
                "root": one.root.hex(),
                "head": one.head,
                "time": iso(one.time_us),
                "epoch": one.epoch,
            }
            for one in found.statements
        ],
    }
