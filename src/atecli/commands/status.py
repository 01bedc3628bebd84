"""`ate status`: how a chain stands with its server; it decides about nothing.

What waits is sent by whoever has the chain open, so by this command as well while it looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from atecli import output
from atecli.exits import Failed, say, status_of
from atecli.opening import Target, examples, run, shared_command
from atecli.text import facts, visible

if TYPE_CHECKING:
    from ate.client import Chain
    from ate.dio.setback import Setback

#: How long the server may take to answer.
_WAIT_S: Final = 3.0


@click.command(
    "status",
    epilog=examples(
        "ate status notes --url ws://localhost/ --path ~/work",
        "ate status notes --url wss://chains.example.com/ --path ~/work --json",
    ),
)
@shared_command
def command(target: Target) -> None:
    """Tell how CHAIN stands with the server of --url.

    It says whether there is a connection, how much of what was committed to the copy in --path
    waits to be sent, and what the server refused. To send it and to decide about it: `ate sync`.

    The exit status is 0 when all is sent, 4 when the server does not let you in, 7 when refused
    work waits for a decision, 9 when there is no connection.
    """
    check_url(target)
    run(target, _status(target))


def check_url(target: Target) -> None:
    """Raise UsageError without a server."""
    if target.url is None:
        raise click.UsageError("say which server: --url ws://HOST:PORT/")


async def _status(target: Target) -> None:
    from ate.errors import AteError

    async with target.join(recovery="async") as chain:
        trouble: AteError | None = None
        try:
            await chain.sync(_WAIT_S)
        except AteError as error:
            trouble = error
        await show(target, chain)
        end(chain, trouble)


def end(chain: Chain, trouble: Exception | None) -> None:
    """End the command with the status that says how things stand."""
    from ate.errors import Conflict, Offline, TrustError

    if chain.conflicts:
        raise Failed(status_of(Conflict("")))
    if isinstance(trouble, TrustError):
        raise trouble  # it is not for want of a connection
    if not chain.status.online:
        raise Failed(status_of(Offline("")))
    if trouble is not None:
        raise trouble


async def show(target: Target, chain: Chain) -> None:
    """Print the status and the conflicts."""
    status, conflicts = chain.status, [await _told(chain, one) for one in chain.conflicts]
    if target.as_json:
        output.document(
            {
                "name": target.name, "id": chain.id.hex(), "url": status.url,
                "online": status.online, "current": status.current, "head": status.head,
                "pending": status.pending, "trouble": status.trouble or None,
                "conflicts": conflicts,
            }
        )  # fmt: skip
        return
    how = "online" if status.online else "offline"
    why = f", {status.trouble}" if status.trouble else ""
    output.lines(
        facts(
            [
                ("chain", target.name),
                ("id", chain.id.hex()),
                ("server", f"{status.url}, {how}{why}"),
                ("head", f"{status.head}{', all that the server has' if status.current else ''}"),
                ("waiting", _count(status.pending, "commit")),
                ("conflicts", len(conflicts) or "none"),
            ]
        )
    )
    for number, conflict in enumerate(conflicts, start=1):
        output.line(visible(f"\nconflict {number}: {conflict['error']}"))
        for change in conflict["changes"]:
            output.line(f"  object  {change['id']}")
            output.line(visible(f"  mine    {change['mine']}"))
            output.line(visible(f"  theirs  {change['theirs']}"))
    if conflicts:
        say("hint: to decide about them: `ate sync` with --drop or --overwrite, or a program")


async def _told(chain: Chain, setback: Setback) -> dict[str, Any]:
    return {
        "error": setback.error.message,
        "code": setback.error.code,
        "changes": [
            {
                "id": str(change.id),
                "mine": "(deleted)" if change.is_delete else change.value(object),
                "theirs": await _theirs(chain, change.id),
            }
            for change in setback.changes
        ],
    }


async def _theirs(chain: Chain, object_id: Any) -> Any:
    from ate.errors import Deleted, LoadError, NoReadKey

    try:
        return (await chain.dio().load(object, object_id)).value
    except Deleted:
        return "(deleted)"
    except NoReadKey:
        return "(sealed)"
    except LoadError:
        return "(nothing)"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}" if number > 0 else "nothing"
