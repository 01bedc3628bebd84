"""`ate dump`: every field of every commit and row, as the bytes say; it judges and opens nothing.

So it also reads a chain that no longer opens, up to the place of the damage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from atecli import output
from atecli.opening import Target, chain_command, examples
from atecli.text import iso, visible

if TYPE_CHECKING:
    from ate.event.commit import Record
    from ate.event.header import Header
    from ate.event.row import Row


@click.command("dump", epilog=examples("ate dump people", "ate dump people --json | jq .rows[].id"))
@chain_command
def command(target: Target) -> None:
    """Print every field of every commit and row of CHAIN.

    Values stay closed; --as is not needed. With --json one document for each commit.
    """
    from ate.event.commit import Record

    store = target.store()
    try:
        for place, payload in store.scan(0):
            commit = _commit(place, Record(payload))
            if target.as_json:
                output.document(commit)
            else:
                output.lines(_lines(commit))
    finally:
        store.close()


def _commit(place: int, record: Record) -> dict[str, Any]:
    """Return all fields of a commit."""
    author, sequencer = record.author, record.sequencer
    return {
        "commit": sequencer.index,
        "place": place,
        "bytes": len(record.payload),
        "time": iso(sequencer.time_us),
        "first_seq": sequencer.first_seq,
        "rows_count": author.row_count,
        "link": sequencer.link.hex(),
        "root": record.root.hex(),
        "rows_root": author.rows_root.hex(),
        "rare_hash": author.rare_hash.hex(),
        "version": author.version,
        "suite": author.suite,
        "flags": author.flags,
        "chain_id": author.chain_id.hex(),
        "device": f"{author.device:016x}",
        "session": f"{author.session:016x}",
        "lsn": author.lsn,
        "prev": author.prev,
        "key_id": author.key_id.hex(),
        "seen_seq": author.seen_seq,
        "salt": author.salt.hex(),
        "signature": record.signature.hex(),
        "rows": [
            _row(record.seq_at(at), record.row(at), record.header(at))
            for at in range(record.row_count)
        ],
    }


def _row(seq: int, row: Row, header: Header | None) -> dict[str, Any]:
    """Return all fields of a row."""
    from ate.event.row import PLACE_BODY_FILE, Kind

    known = {int(kind): kind.name.lower() for kind in Kind}
    fields: dict[str, Any] = {
        "seq": seq,
        "kind": known.get(row.kind, f"kind {row.kind}"),
        "id": row.id.hex(),
        "parent": row.parent.hex(),
        "schema": f"{row.schema:08x}",
        "collection": f"{row.collection:016x}",
        "base": row.base,
        "created": row.created,
        "flags": row.flags,
        "codec": row.codec,
        "domain": row.domain.hex(),
        "epoch": row.epoch,
        "body_hash": row.body_hash.hex(),
        "body_bytes": row.length,
        "body_file": bool(row.place & PLACE_BODY_FILE),
        "place": row.place & ~PLACE_BODY_FILE,
    }
    if header is not None:
        fields["header"] = _header(header)
    return fields


def _header(header: Header) -> dict[str, Any]:
    fields: dict[str, Any] = dict(header.unknown)
    if header.access is not None:
        fields["access"] = repr(header.access)
    if header.author is not None:
        fields["author"] = header.author
    if header.reply is not None:
        fields["reply"] = header.reply.hex()
    if header.delta is not None:
        fields["delta"] = header.delta
    return fields


def _lines(commit: dict[str, Any]) -> list[str]:
    """Return a commit as a small tree."""
    lines = [f"commit {commit['commit']}  {commit['time']}  place {commit['place']:#x}"]
    skipped = ("commit", "time", "place", "rows", "signature")
    shown = [f"{name} {value}" for name, value in commit.items() if name not in skipped]
    signature = commit["signature"]
    shown.append(f"signature {len(signature) // 2} bytes {signature[:16]}".rstrip())
    lines += [f"│   {one}" for one in shown]
    rows = commit["rows"]
    for at, row in enumerate(rows):
        is_last = at == len(rows) - 1
        lines.append(f"{'└── ' if is_last else '├── '}row {row['seq']}  {row['kind']}  {row['id']}")
        stem = "    " if is_last else "│   "
        rest = [(name, value) for name, value in row.items() if name not in ("seq", "kind", "id")]
        lines += [f"{stem}    {name} {visible(str(value))}".rstrip() for name, value in rest]
    return lines
