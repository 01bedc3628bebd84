"""`ate dump`: every field of every commit and row, or every object, as the bytes say.

It judges nothing, and opens nothing but for --tree; so it also reads a chain that no longer opens,
up to the place of the damage.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from atecli import output
from atecli.exits import CORRUPT, Failed, say
from atecli.opening import Target, chain_command, examples, run
from atecli.text import cut, iso, visible

if TYPE_CHECKING:
    from ate.event.commit import Record
    from ate.event.header import Header
    from ate.event.row import Row
    from ate.log.local import LocalLog

#: Places begin where the numbers of rows end, so a number is one or the other.
_PLACE_MIN: Final = 1 << 40
_NUMBER_MAX: Final = 1 << 63


def _start(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """Return the number of a row, or a place as `ate dump` prints it, decimal or with 0x."""
    if value is None:
        return None
    try:
        number = int(value, 0)
    except ValueError:
        number = -1
    if not 0 <= number < _NUMBER_MAX:
        raise click.BadParameter(f"{value!r} is neither the number of a row nor a place")
    return number


@click.command(
    "dump",
    epilog=examples(
        "ate dump people",
        "ate dump people --json | jq .rows[].id",
        "ate dump people --rows --json --from 1200",
        "ate dump people --tree --as alice",
    ),
)
@chain_command
@click.option("--rows", is_flag=True, help="One line for each row instead of each commit.")
@click.option("--tree", is_flag=True, help="The living objects below their parents, with values.")
@click.option(
    "--from", "start", metavar="SEQ|PLACE", callback=_start,
    help="Begin with the commit of this row, or the commit at this place.",
)  # fmt: skip
def command(target: Target, *, rows: bool, tree: bool, start: int | None) -> None:
    """Print every field of every commit and row of CHAIN.

    Values stay closed and --as is not needed, except with --tree, which shows what --as may read
    and marks the rest. With --json one document for each commit, row or object. A dump that was
    interrupted goes on with --from and the `next` of its last document. A damaged chain is shown up
    to the damage, and the status is 5.
    """
    from ate.errors import UsageError
    from ate.event.prefix import is_commit
    from ate.event.thinned import decode_record

    if tree:
        if rows or start is not None:
            raise UsageError("--tree shows the present, which has no rows to begin at")
        run(target, _tree(target))
        return
    store = target.store()
    after = 1
    try:
        for place, payload in _frames(store, start or 0):
            if not is_commit(payload):
                _show_other(target, place, payload)
                continue
            record = decode_record(payload)
            after = record.last_seq + 1
            if start is not None and record.last_seq < start < _PLACE_MIN:
                continue
            if rows:
                _show_rows(target, record, start or 0)
            elif target.as_json:
                output.document(_commit(place, record))
            else:
                output.lines(_lines(_commit(place, record)))
        output.flush()
    finally:
        store.close()
    if not target.as_json:
        say(f"the end; what comes later: --from {after}")


def _frames(store: LocalLog, start: int) -> Iterator[tuple[int, memoryview]]:
    """Yield place and payload of the commits from a place on, or of all."""
    from ate.errors import CorruptLog, UsageError

    if start < _PLACE_MIN:
        yield from store.scan(0)
        return
    try:
        payload = store.read(start, verify=True)
    except CorruptLog as error:
        raise UsageError(f"{start:#x} is not the place of a commit: {error.message}") from None
    yield start, payload
    yield from store.scan(start)


def _show_other(target: Target, place: int, payload: memoryview) -> None:
    """Show a frame that holds no commit: what compaction says about those it dropped."""
    from ate.event.prefix import MARK, decode_nodes, decode_prefix

    fields: dict[str, Any] = {"place": place, "bytes": len(payload)}
    if payload[0] == MARK:
        prefix = decode_prefix(payload)
        fields |= {"compacted": {"cut": prefix.cut, "head": prefix.head, "link": prefix.link.hex()}}
        shown = f"compacted  {prefix.cut} commits, {prefix.head} rows before the cut"
    else:
        fields |= {"nodes": len(decode_nodes(payload)) // 32}
        shown = f"nodes  {fields['nodes']} hashes of dropped commits"
    if target.as_json:
        output.document(fields)
    else:
        output.line(shown)


def _show_rows(target: Target, record: Record, start: int) -> None:
    """Show the rows of a commit, those from `start` on when that is the number of a row."""
    first = start if start < _PLACE_MIN else 0
    number = record.sequencer.index
    for at in range(record.row_count):
        seq = record.seq_at(at)
        if seq < first:
            continue
        fields = _row(seq, record.row(at), record.header(at))
        if target.as_json:
            output.document({"commit": number, **fields, "next": seq + 1})
        else:
            shown = (visible(f"{name}={value}") for name, value in fields.items() if name != "seq")
            output.line(f"{seq}  {'  '.join(shown)}")


async def _tree(target: Target) -> None:
    from atecli.forest import drawn, nodes

    async with target.open(salvage=True) as chain:
        is_whole = True
        async for node in nodes(chain):
            is_whole = is_whole and not node.is_damaged
            if target.as_json:
                output.document(node.document())
            else:
                output.line(cut(drawn(node)))
        output.flush()
        if chain.damage is not None:
            raise chain.damage
    if not is_whole:
        say("some bodies are damaged")
        raise Failed(CORRUPT)


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
        "next": record.last_seq + 1,
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
    skipped = ("commit", "time", "place", "rows", "signature", "next")
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
