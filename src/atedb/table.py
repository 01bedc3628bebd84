"""The words and options of `atedb`: from what was typed to a call; nothing happens in here."""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import Any, Final, NamedTuple

import click

from atedb.exits import EXITS


class Word(NamedTuple):
    """One word of the command.

    Args:
        module: the command is its attribute `command`.
        brief: what it does, in one line.
    """

    module: str
    brief: str


WORDS: Final[dict[str, Word]] = {
    "solo": Word("atedb.serving", "serve the chains of a directory"),
    "move": Word("atedb.moving", "move a chain to another server, while it is in use"),
    "token": Word("atedb.minting", "make an access token, or the key file that makes them"),
}

EXAMPLES: Final = """\
atedb solo
atedb token --new-key tokens.key
atedb solo data --listen 0.0.0.0 --auth tokens.key --wire-encryption
atedb token --key tokens.key --chain 'team/*' --ops rwc --for alice.pub
"""


class Table(click.Group):
    """Finds commands in `WORDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(WORDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = WORDS.get(cmd_name)
        if entry is None:
            return None
        found: Any = import_module(entry.module)
        command: click.Command = found.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in WORDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], WORDS, 1)
            also = f", did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"there is no command {args[0]!r}{also}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("commands"):
            formatter.write_dl([(word, entry.brief) for word, entry in WORDS.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("examples"):
            for line in EXAMPLES.splitlines():
                formatter.write_text(line)
        with formatter.section("exit status"):
            formatter.write_dl([(str(row.status), row.meaning) for row in EXITS])
        with formatter.section("signals"):
            formatter.write_dl(
                [
                    ("TERM, INT", "finish what was submitted, say goodbye, end within 5 s"),
                    ("HUP", "read the certificate and the lists again"),
                ]
            )
        with formatter.section("environment"):
            formatter.write_dl(
                [
                    ("ATE_HOME", "your data directory: `solo` without PATH serves `server` in it"),
                    ("ATE_DEBUG", "1 shows the traceback of an internal error"),
                ]
            )


def examples(*lines: str) -> str:
    """Return the epilog of a command: its examples, one in a line."""
    return "\b\nexamples:\n" + "\n".join(f"  {line}" for line in lines)


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:  # noqa: FBT001
    if asked and not ctx.resilient_parsing:
        from ate import __version__

        click.echo(f"atedb {__version__}")
        ctx.exit()


@click.group(
    cls=Table,
    name="atedb",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version,
    help="Show the version and exit.",
)  # fmt: skip
def atedb() -> None:
    """A server that keeps and orders chains, and cannot read them.

    `atedb solo` serves this machine at ws://localhost/; a program then opens a chain with
    ate.open("notes", url="ws://localhost/"), a shell with `ate ls notes --url ws://localhost/`.
    A URL without a port means 5000.
    """
