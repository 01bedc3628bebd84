"""`ate keys`: identities, sealed with passphrases below `$ATE_HOME/keys`; it prints no secret."""

from __future__ import annotations

import errno
from typing import Any

import click

from atecli import output
from atecli.exits import CORRUPT, Failed, say
from atecli.opening import examples, identity_names, json_option, passphrase_option
from atecli.text import facts, table


@click.group(
    "keys",
    epilog=examples(
        "ate keys new alice", "ate keys show alice", """ate put notes '"hello"' --as alice"""
    ),
)
def command() -> None:
    """Make, list and show identities.

    An identity is a pair of keys in a file that a passphrase seals. Its public half, the
    principal, is text to give away: others name it in their rules, or pin it as a root.
    """


@command.command(
    "new",
    epilog=examples(
        "ate keys new alice --identity alice@example.org",
        "ate keys new robot --passphrase-file robot.pass",
    ),
)
@click.argument("name")
@click.option("--identity", metavar="TEXT", help="Who it is, for people; NAME if not given.")
@passphrase_option
@json_option
def new(name: str, *, identity: str | None, passphrase_file: str | None, as_json: bool) -> None:
    """Make the identity NAME, sealed with a passphrase.

    The passphrase is asked for on the terminal, twice, or read from a file. Nobody can restore
    it, and without it nobody can open what was sealed for this identity.
    """
    from atecli import identity as identities
    from atecli import passphrase

    if identities.key_file(name).exists():
        raise FileExistsError(errno.EEXIST, "there is an identity of this name already", name)
    word = passphrase.ask(f"passphrase for {name}", file=passphrase_file, confirm=True)
    session = identities.create(name, identity or name, word)
    _show(name, session.public, as_json=as_json)


@command.command("list", epilog=examples("ate keys list"))
@json_option
def listing(*, as_json: bool) -> None:
    """List the identities with the fingerprints of their keys."""
    from ate.errors import AteError
    from atecli import identity as identities

    rows = []
    for name in identities.names():
        try:
            principal = identities.public(name)
            rows.append((name, principal.identity, principal.key_id))
        except AteError as error:
            say(f"{name}: {error.message}")
    if as_json:
        for name, who, key_id in rows:
            output.document({"name": name, "identity": who, "key_id": key_id.hex()})
    elif rows:
        shown = [(name, identities.fingerprint(key_id.hex()), who) for name, who, key_id in rows]
        output.lines(table(("name", "fingerprint", "identity"), shown))


@command.command(
    "show",
    epilog=examples(
        "ate keys show alice", "ate keys show alice --json | jq -r .principal > alice.pub"
    ),
)
@click.argument("name", shell_complete=identity_names)
@click.option("--check", is_flag=True, help="Open the keys and compare them with the public half.")
@passphrase_option
@json_option
def show(name: str, *, check: bool, passphrase_file: str | None, as_json: bool) -> None:
    """Show the fingerprint of NAME, and its principal to give away.

    The public half lies beside the keys and is not sealed. --check asks for the passphrase and
    compares the two, or writes the public half again when it is missing. Do that before you give
    it away if others can write to your files.
    """
    from ate.errors import NotFound
    from atecli import identity as identities
    from atecli import passphrase

    if check:
        identities.check_exists(name)
        word = passphrase.ask(f"passphrase of {name}", file=passphrase_file)
        session = identities.load(name, word)
        try:
            is_same = identities.public(name) == session.public
        except NotFound:
            identities.write_public(name, session.public)
            is_same = True
        if not is_same:
            say(f"{name}.pub is not the public half of these keys")
            say(f"hint: somebody changed it: remove {name}.pub and run this again")
            raise Failed(CORRUPT)
    _show(name, identities.public(name), as_json=as_json)


def _show(name: str, principal: Any, *, as_json: bool) -> None:
    from atecli import identity as identities

    token, who, key_id = identities.encode(principal), principal.identity, principal.key_id.hex()
    if as_json:
        output.document({"name": name, "identity": who, "key_id": key_id, "principal": token})
        return
    print_as = identities.fingerprint(key_id)
    rows = [("name", name), ("identity", who), ("fingerprint", print_as), ("principal", token)]
    output.lines(facts(rows))
