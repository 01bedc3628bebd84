"""Proof files for people: reading one within bounds, and telling what it has shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ate import limits
from ate.chain.checker import Checked, Proven, check, check_order
from ate.chain.evidence import Evidence
from ate.dio.schema import decode_any
from ate.errors import AteError
from ate.event.access import Principal
from atecli import signed
from atecli.identity import fingerprint
from atecli.text import dumps, iso, moment


def read(path: Path) -> Evidence:
    """Return what a proof file holds; raises what `Evidence.decode` raises."""
    with path.open("rb") as file:
        return Evidence.decode(file.read(limits.PROOF_BYTES_MAX + 1))


class Findings:
    """What checking proof files has found.

    Args:
        paths: the files; two and more proofs must be of one history.
        roots: keys of roots, or of servers, that the caller knows.
    """

    def __init__(self, paths: Sequence[Path], roots: Sequence[Principal]) -> None:
        self.proofs: list[tuple[Path, Checked]] = []
        self.signed: list[tuple[Path, signed.Signed]] = []
        self.problems: list[AteError] = []
        for path in paths:
            try:
                if signed.is_signed(path):
                    self.signed.append((path, signed.read(path, roots)))
                else:
                    self.proofs.append((path, check(read(path), roots)))
            except AteError as error:
                error.args = (f"{path.name}: {error.message}",)
                self.problems.append(error)
        self._compare()

    def _compare(self) -> None:
        ordered = sorted((found for _, found in self.proofs), key=lambda one: one.size)
        for older in ordered[:-1]:
            try:
                check_order(older, ordered[-1])
            except AteError as error:
                self.problems.append(error)
                return


def shown(path: Path, found: Checked) -> list[tuple[str, object]]:
    """Return what one proof has shown, for people."""
    rows: list[tuple[str, object]] = [("proof", path.name), ("chain", found.name)]
    rows.append(("id", found.chain_id.hex()))
    if found.proven is not None:
        rows += _shown_row(found.proven)
    for size, root in found.continued:
        rows.append(("continues", f"{size} commits, root {root.hex()}"))
    rows.append(("checkpoint", f"{found.size} commits, {moment(found.time_us)}"))
    rows.append(("root", found.root.hex()))
    rows.append(("signed by", _named(found.signer)))
    if found.founder != found.signer:
        rows.append(("founded by", _named(found.founder)))
    return rows


def _shown_row(proven: Proven) -> list[tuple[str, object]]:
    row = proven.row
    rows: list[tuple[str, object]] = [
        ("object", row.id.hex()),
        ("row", f"{proven.seq}, {_kind(proven)}, {moment(proven.time_us)}"),
    ]
    rows += [("author", _named(one)) for one in proven.authors]
    if not proven.is_deletion:
        text, _ = _value(proven)
        rows.append(("value" if text else "hash", text or row.body_hash.hex()))
    return rows


def document(path: Path, found: Checked) -> dict[str, Any]:
    """Return what one proof has shown, for programs."""
    return {
        "file": str(path),
        "chain": found.name,
        "id": found.chain_id.hex(),
        "founder": _principal(found.founder),
        "roots": [_principal(one) for one in found.roots],
        "checkpoint": {
            "size": found.size,
            "root": found.root.hex(),
            "time": iso(found.time_us),
            "signer": _principal(found.signer),
        },
        "pinned": found.is_pinned,
        "row": _row(found.proven) if found.proven is not None else None,
        "continues": [{"size": size, "root": root.hex()} for size, root in found.continued],
    }


def _row(proven: Proven) -> dict[str, Any]:
    row = proven.row
    found = {
        "seq": proven.seq,
        "object": row.id.hex(),
        "parent": row.parent.hex() if any(row.parent) else None,
        "kind": _kind(proven),
        "time": iso(proven.time_us),
        "authors": [_principal(one) for one in proven.authors],
        "body_hash": row.body_hash.hex(),
        "sealed": bool(row.epoch),
    }
    text, value = _value(proven)
    return {**found, "value": value} if text else found


def _value(proven: Proven) -> tuple[str, Any]:
    """Return the value as text and as it is; no text when it is not shown or nobody can read it."""
    if proven.body is None:
        return "", None
    try:
        codec, plain = proven.plain()
        value = decode_any(plain, codec)
    except AteError as error:
        return f"cannot be read: {error.message}", None
    return dumps(value), value


def _kind(proven: Proven) -> str:
    if proven.is_deletion:
        return "delete"
    return "update" if proven.row.base else "new"


def _named(one: Principal) -> str:
    return f"{one.identity}  {fingerprint(one.key_id.hex())}"


def _principal(one: Principal) -> dict[str, str]:
    return {"identity": one.identity, "key_id": one.key_id.hex()}
