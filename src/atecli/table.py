"""The table of words that `ate` knows, and the group that loads a word's module when it is used.

It imports no command: `ate --help` reads this table and nothing else.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import Any, Final, NamedTuple

import click

from atecli.exits import EXITS


class Word(NamedTuple):
    """One word of the command.

    Args:
        module: in `atecli.commands`; the command is its attribute `command`.
        brief: what it does, in one line.
    """

    module: str
    brief: str


WORDS: Final[dict[str, dict[str, Word]]] = {
    "objects": {
        "put": Word("put", "store an object, and print its id"),
        "get": Word("get", "print an object as it is, or as it was"),
        "ls": Word("ls", "list the objects"),
        "tree": Word("tree", "show objects below their parents"),
        "rm": Word("rm", "delete an object and what is below it"),
    },
    "the log": {
        "log": Word("log", "list the changes, oldest first, and follow them"),
        "diff": Word("diff", "show what changed between two points in the past"),
        "watch": Word("watch", "print changes with their values as they come"),
        "dump": Word("dump", "print every field of every commit and row"),
        "verify": Word("verify", "check a whole chain: hashes, signatures, rules"),
        "repair": Word("repair", "replace what is damaged by what a copy holds"),
    },
    "proofs": {
        "prove": Word("prove", "write a proof of an object, for somebody without the chain"),
        "check": Word("check", "check such proofs, without the chain"),
    },
    "sharing": {
        "status": Word("status", "tell how a chain stands with its server"),
        "sync": Word("sync", "send what waits here, and decide about conflicts"),
    },
    "in and out": {
        "import": Word("importer", "make typed objects from a JSON-lines or CSV file"),
        "export": Word("exporter", "write the objects to a JSON-lines or CSV file"),
        "fork": Word("fork", "make a new chain from a point in the past of another"),
    },
    "backups": {
        "backup": Word("backup", "bring what is new to a directory or a bucket"),
        "backups": Word("backups", "list restore points, and check them"),
        "restore": Word("restore", "make a chain from its backup, as it is or as it was"),
    },
    "care": {
        "compact": Word("compact", "drop what was superseded, and erase it if you like"),
        "hold": Word("hold", "forbid compaction, or allow it again"),
    },
    "around": {
        "keys": Word("keys", "make, list and show identities"),
        "chains": Word("chains", "list the chains and their sizes"),
        "info": Word("info", "tell the facts about a chain"),
        "completion": Word("completion", "print the completion script of a shell"),
    },
}

_ALL: Final = {word: entry for group in WORDS.values() for word, entry in group.items()}

EXAMPLES: Final = """\
ate keys new alice
ate put notes '{"title": "milk"}' --as alice
ate import people people.csv --type Person
ate log people --follow
ate verify people
ate backup people /media/disk
"""


class Table(click.Group):
    """Finds commands in `WORDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_ALL)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = _ALL.get(cmd_name)
        if entry is None:
            return None
        found: Any = import_module(f"atecli.commands.{entry.module}")
        command: click.Command = found.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _ALL and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], _ALL, 1)
            also = f", did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"there is no command {args[0]!r}{also}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for group, words in WORDS.items():
            with formatter.section(group):
                formatter.write_dl([(word, entry.brief) for word, entry in words.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("examples"):
            for line in EXAMPLES.splitlines():
                formatter.write_text(line)
        with formatter.section("exit status"):
            formatter.write_dl([(str(row.status), row.meaning) for row in EXITS])
        with formatter.section("environment"):
            formatter.write_dl(
                [
                    ("ATE_HOME", "where chains and keys are kept"),
                    ("ATE_IDENTITY", "who acts when --as is not given"),
                    ("ATE_PASSPHRASE_FILE", "the file with the passphrase"),
                    ("ATE_DEBUG", "1 shows the traceback of an internal error"),
                ]
            )


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:  # noqa: FBT001
    if asked and not ctx.resilient_parsing:
        from ate import __version__

        click.echo(f"ate {__version__}")
        ctx.exit()


@click.group(
    cls=Table,
    name="ate",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version,
    help="Show the version and exit.",
)  # fmt: skip
def ate() -> None:
    """Encrypted, signed, append-only chains of objects, from the shell."""
