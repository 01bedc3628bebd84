"""`ate put`: store one object, or give one a new value; it prints the id and nothing else."""

from __future__ import annotations

import sys
from typing import Any

import click

from atecli import output
from atecli.opening import Target, examples, run_to_write, shared_command
from atecli.text import iso


@click.command(
    "put",
    epilog=examples(
        """ate put notes '{"title": "milk"}'""",
        """ate put people '{"name": "Ada"}' --type Person --as alice""",
        "curl -s https://example.org/x.json | ate put pages -",
    ),
)
@shared_command
@click.argument("value", metavar="JSON")
@click.option("--type", "type_name", metavar="NAME", help="The name of the object's type.")
@click.option("--id", "object_id", metavar="ID", help="Store it under this id.")
@click.option("--parent", metavar="ID", help="Put it below this object.")
@click.option("--replace", is_flag=True, help="Give the object of --id this value instead.")
def command(target: Target, *, value: str, **options: Any) -> None:
    """Store JSON as an object of CHAIN, and print its id.

    JSON is the value itself, or - to read it from stdin. The chain is made when there is none.
    """
    work = _put(target, _value(value, target), **options)
    run_to_write(target, work, create=not (options["replace"] or options["parent"]))


async def _put(
    target: Target,
    value: Any,
    *,
    type_name: str | None,
    object_id: str | None,
    parent: str | None,
    replace: bool,
) -> None:
    from ate.errors import Conflict, UsageError
    from ate.ids import ObjectId
    from atecli.columns import typed

    chosen = ObjectId.parse(object_id) if object_id else None
    below = ObjectId.parse(parent) if parent else None
    if replace and (chosen is None or type_name or parent):
        hint = "the object keeps its type and its parent"
        raise UsageError("--replace goes with --id alone", hint=hint)
    if value is None:
        raise UsageError("null is no object", hint="an object may have null in its fields")
    stored = typed(value, type_name) if type_name else value
    async with target.open_to_write(create=not (replace or parent)) as chain:
        dio = chain.dio()
        if chosen is not None and replace:
            dao: Any = await dio.load(object, chosen)
            dao.value = value
        else:
            if chosen is not None and await dio.exists(chosen):
                hint = "give it a new value with --replace, or leave out --id"
                raise Conflict(f"there is an object {chosen} already", object=chosen, hint=hint)
            if below is not None:
                await dio.load(object, below)
            dao = dio.store(stored, parent=below, id=chosen)
        receipt = await dio.commit()
    if target.as_json:
        output.document(
            {
                "id": dao.id,
                "type": dao.type_name,
                "seq": receipt.seq,
                "time": iso(receipt.time),
                "commit": receipt.commit_root.hex(),
            }
        )
    else:
        output.line(str(dao.id))


def _value(text: str, target: Target) -> Any:
    """Read the value; raises UsageError when it is no JSON."""
    import msgspec

    from ate.errors import UsageError
    from ate.limits import BODY_BYTES_MAX, check

    raw = text.encode(errors="surrogateescape")
    if text == "-":
        target.check_stdin_is_free()
        raw = sys.stdin.buffer.read(BODY_BYTES_MAX + 1)
        check("bytes of the value", len(raw), BODY_BYTES_MAX)
    hint = """quote it for the shell, text too: '"hello"'"""
    try:
        return msgspec.json.decode(raw)
    except RecursionError:
        raise UsageError("the value is nested too deeply") from None
    except ValueError as error:
        raise UsageError(f"the value is not JSON: {error}", hint=hint) from None
