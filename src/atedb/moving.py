"""`atedb move`: asks a server to take a chain over from another one; it moves nothing itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from atedb.table import examples

_FILE: Any = click.Path(dir_okay=False, path_type=Path)


@click.command(
    "move",
    epilog=examples(
        "atedb move team/plan --from ws://one:5000 --to ws://two:5000"
        " --identity data/.atedb/identity",
    ),
)
@click.argument("chain")
@click.option("--from", "source", required=True, metavar="URL", help="Where the chain is.")
@click.option("--to", "target", required=True, metavar="URL", help="Where it shall be.")
@click.option(
    "--identity",
    required=True,
    type=_FILE,
    metavar="FILE",
    help="A key that the target takes orders from: its own, or one of its --peers.",
)
@click.option("--wire-encryption", is_flag=True, help="The servers want it.")
@click.option(
    "--timeout",
    "timeout_s",
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    type=click.FloatRange(0.1),
    help="How long to wait; the servers go on.",
)
@click.option("--json", "as_json", is_flag=True, help="What was done, as JSON.")
def command(**given: Any) -> None:
    """Move CHAIN to another server, while it is in use.

    The target copies the chain and then takes it over; those who use it are sent there, and lose
    nothing. The target's key must stand in the --peers of the source.
    """
    import asyncio
    import json

    epoch = asyncio.run(_move(given))
    if given["as_json"]:
        print(json.dumps({"chain": given["chain"], "url": given["target"], "epoch": epoch}))
    elif not epoch:
        print(f"nothing to move: {given['chain']} belongs to {given['target']}, by the draw")
    else:
        print(f"moved {given['chain']} to {given['target']} (epoch {epoch})")


async def _move(given: dict[str, Any]) -> int:
    import asyncio

    from ate.errors import AteError, NotFound, TimedOut
    from ate.ids import ChainName
    from ate.mesh.registry import Registry
    from ate.mesh.request import error_of
    from ate.mesh.url import Url
    from ate.wire.message import Failed, Moved, Open
    from ate.wire.terms import PeerSession, Terms
    from atedb.identity import load_or_new

    if not given["identity"].exists():
        raise NotFound(f"there is no {given['identity']}")
    key, _ = load_or_new(given["identity"])
    name, source = ChainName(given["chain"]), str(Url.parse(given["source"]))
    answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    class Asker:
        def connected(self, peer: PeerSession) -> None:
            line.send(Open(ch, str(name), follow=False, more={"ask": "bring", "url": source}))

        def received(self, message: Any) -> None:
            if answer.done():
                return
            if isinstance(message, Moved):
                answer.set_result(message.epoch)
            elif isinstance(message, Failed):
                answer.set_exception(error_of(message))
            else:
                self.disconnected(AteError("the target is in no cluster", hint="see --topology"))

        def disconnected(self, error: AteError) -> None:
            if not answer.done():
                answer.set_exception(error)

    lines = Registry(agent="atedb move")
    line = lines.line(
        given["target"], identity=key, terms=Terms(encryption=given["wire_encryption"])
    )
    try:
        ch = line.attach(Asker())
        async with asyncio.timeout(given["timeout_s"]):
            return await answer
    except TimeoutError:
        raise TimedOut("the chain is still on its way", hint="ask again: it goes on") from None
    finally:
        await lines.close()
