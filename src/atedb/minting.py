"""`atedb token`: makes access tokens and the key files they need; no secret is in an argument."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from atedb.table import examples
from atedb.tokens import MINUTES, MINUTES_MAX

_FILE: Any = click.Path(dir_okay=False, path_type=Path)


@click.command(
    "token",
    epilog=examples(
        "atedb token --new-key tokens.key",
        "atedb token --key tokens.key --chain notes --ops r --for alice.pub",
        "atedb token --key tokens.key --chain 'team/*' --ops rwc --for alice.pub --minutes 480",
    ),
)
@click.option("--new-key", type=_FILE, metavar="FILE", help="Make a key file, and nothing else.")
@click.option(
    "--audience",
    default="atedb",
    show_default=True,
    help="With --new-key: a word for the server, part of each token.",
)
@click.option("--key", "key_file", type=_FILE, metavar="FILE", help="The server's key file.")
@click.option(
    "--chain",
    "chains",
    multiple=True,
    metavar="PATTERN",
    help="A chain, a group such as 'team/*', or '*'; may be repeated.",
)
@click.option(
    "--ops",
    default="r",
    show_default=True,
    metavar="rwc",
    help="What is allowed: r to read, w to write, c to create.",
)
@click.option(
    "--for",
    "holder",
    metavar="KEY",
    help="Whose it is: a principal, the file that holds it, or a key id in hex.",
)
@click.option(
    "--minutes",
    default=MINUTES,
    show_default=True,
    type=click.IntRange(1, MINUTES_MAX),
    help="How long it is good.",
)
@click.option(
    "--service",
    default="/",
    show_default=True,
    metavar="/NAME",
    help="For which service of the server.",
)
@click.option("--subject", default="", metavar="TEXT", help="Who that is, for people.")
@click.option("--json", "as_json", is_flag=True, help="With what it says, as JSON.")
def command(**given: Any) -> None:  # fmt: skip
    """Make an access token and print it.

    A token is bound to the key of one client: it is of no use to anybody else. It cannot be taken
    back, so let it live as long as needed and no longer.
    """
    import json

    if given["new_key"] is not None:
        from atedb.tokens import TokenKey

        made = TokenKey.create(given["new_key"], given["audience"])
        if given["as_json"]:
            print(json.dumps({"file": str(given["new_key"]), "audience": made.audience}))
        else:
            print(f"made {given['new_key']}: keep it secret")
        return
    token, facts = _mint(given)
    print(json.dumps({"token": token, **facts}) if given["as_json"] else token)


def _mint(given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    from ate.clock import SystemClock
    from ate.errors import UsageError
    from atedb.tokens import TokenKey, make

    if given["key_file"] is None or not given["holder"] or not given["chains"]:
        raise UsageError(
            "a token needs a key file, a chain and whom it is for",
            hint="atedb token --key FILE --chain PATTERN --ops rw --for KEY",
        )
    key, holder = TokenKey.load(given["key_file"]), _key_id(given["holder"])
    now_us = SystemClock().now_us()
    token = make(
        key, given["chains"], ops=given["ops"], holder=holder, now_us=now_us,
        minutes=given["minutes"], subject=given["subject"], path=given["service"],
    )  # fmt: skip
    facts = {
        "chains": list(given["chains"]), "ops": given["ops"], "for": holder.hex(),
        "expires_s": now_us // 1_000_000 + given["minutes"] * 60,
    }  # fmt: skip
    return token, facts


def _key_id(text: str) -> bytes:
    """Return the key id that is meant: in the text, or in the file of this name."""
    from ate.errors import UsageError
    from atedb.identity import key_id

    try:
        return key_id(text)
    except UsageError:
        file = Path(text)
        if "/" not in text and not file.exists():
            raise
    with file.open("rb") as opened:
        words = opened.read(16_384).decode(errors="replace").split()
    return key_id(words[0] if words else "")
