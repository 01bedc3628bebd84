"""`ate prove`: write the proof of an object, or of what a chain was; it shows no value unasked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atecli import output
from atecli.exits import say
from atecli.opening import Target, chain_command, examples, run, run_to_write

if TYPE_CHECKING:
    from ate.chain.evidence import Evidence


@click.command(
    "prove",
    epilog=examples(
        "ate prove notes 3f0c1d9a5b7e4c2f8a6d0b1e2c3d4f5a > note.proof",
        "ate prove notes 3f0c1d9a5b7e4c2f8a6d0b1e2c3d4f5a --with-value --as alice -o note.proof",
        "ate prove notes --consistency old.proof > new.proof",
    ),
)
@chain_command
@click.argument("object_id", metavar="[ID]", required=False)
@click.option(
    "--at", "at_seq", metavar="SEQ", type=click.IntRange(min=1), help="As of this row of the log."
)
@click.option(
    "--with-value", "value", is_flag=True, help="Show the value and the key that opens it."
)
@click.option(
    "--reveal", is_flag=True, help="Also when that key opens other values of the same commit."
)
@click.option(
    "--consistency", "continues", metavar="FROM",
    help="Show that the chain continues FROM: an earlier proof file, or a number of commits.",
)  # fmt: skip
@click.option(
    "--to", metavar="SIZE", type=click.IntRange(min=1),
    help="Use the checkpoint over this many commits, not the newest.",
)  # fmt: skip
@click.option(
    "--output", "-o", "file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="Write to FILE instead of stdout.",
)  # fmt: skip
def command(target: Target, **options: Any) -> None:
    """Write a proof that the object ID is in CHAIN, for somebody who has only a root key.

    `ate check` checks it, without the chain. It proves the newest version, or the deletion; --at
    another one. The value stays secret, its hash is proved, unless --with-value.

    A checkpoint must cover it. If none does, --as somebody with a root key writes one.
    """
    _check(target, **options)
    work = _prove(target, **options)
    if target.identity is None:
        run(target, work)
    else:
        run_to_write(target, work)


def _check(
    target: Target,
    *,
    object_id: str | None,
    continues: str | None,
    file: Path | None,
    value: bool,
    **_: Any,
) -> None:
    """Raise UsageError before anybody types a passphrase."""
    from ate.errors import UsageError

    if object_id is None and continues is None:
        raise UsageError("what is to be proved? an ID, or --consistency FROM")
    if object_id is None and value:
        raise UsageError("whose value? --with-value needs an ID")
    if file is None and target.as_json:
        raise UsageError("a proof on stdout leaves no room for JSON", hint="add --output FILE")
    if file is None and output.is_terminal():
        raise UsageError("a proof is bytes, not text", hint="add > FILE, or --output FILE")


async def _prove(
    target: Target,
    *,
    object_id: str | None,
    continues: str | None,
    file: Path | None,
    at_seq: int | None,
    **options: Any,
) -> None:
    from ate.dio.proving import lacks_checkpoint
    from ate.ids import ObjectId

    wanted = ObjectId.parse(object_id) if object_id else None
    known = _known(continues) if continues else None
    asked = {"at_seq": at_seq, "continues": known, **options}
    async with target.open() as chain:
        must_write = lacks_checkpoint(chain, wanted, at_seq=at_seq, continues=known)
        if options["to"] is not None or not must_write:
            proof = await chain.prove(wanted, **asked)
            must_write = False
    if must_write:
        async with target.open_to_write() as chain:
            proof = await chain.prove(wanted, **asked)
        say(f"no checkpoint covered it: {target.identity} has written one")
    _write(target, proof, file)


def _known(text: str) -> int | Evidence:
    """Return what --consistency names."""
    from atecli import proofs

    return int(text) if text.isascii() and text.isdecimal() else proofs.read(Path(text))


def _write(target: Target, proof: Evidence, file: Path | None) -> None:
    raw = proof.encode()
    if file is None:
        output.raw(raw)
        return
    output.replace(file, raw)
    told = {"file": str(file), "bytes": len(raw), "seq": proof.seq, "size": proof.checkpoint.size}
    if target.as_json:
        output.document(told)
    else:
        about = f"row {proof.seq}" if proof.seq else "the chain"
        output.line(f"proof of {about} under {proof.checkpoint.size} commits in {file.name}")
