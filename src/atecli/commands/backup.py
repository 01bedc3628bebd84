"""`ate backup`: bring what is new in chains to a destination, once or for ever.

`ate.archive` does the work; this says what was done, and never shows a credential.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atecli import output
from atecli.exits import INTERRUPTED, Failed, say, status_of
from atecli.opening import Target, chain_names, examples, json_option, path_option
from atecli.text import count, iso, size

if TYPE_CHECKING:
    from ate.archive.backup import Done
    from ate.errors import AteError


@click.command(
    "backup",
    epilog=examples(
        "ate backup people /media/disk",
        "ate backup --all s3://bucket/chains --keep 30",
        "ate backup people 's3://bucket?endpoint=https://s3.example.org' --follow --every 5",
    ),
)
@click.argument(
    "words", metavar="[CHAIN] DEST", nargs=-1, required=True, shell_complete=chain_names
)
@click.option("--all", "is_all", is_flag=True, help="Back up every chain below --path.")
@click.option("--follow", is_flag=True, help="Go on with what is written, until ctrl-c.")
@click.option(
    "--every", metavar="SECONDS", type=click.FloatRange(0.1), default=10.0, show_default=True,
    help="How often --follow looks.",
)  # fmt: skip
@click.option(
    "--keep", metavar="N", type=click.IntRange(1),
    help="Then let all but the newest N restore points of a chain go.",
)  # fmt: skip
@click.option(
    "--rate", metavar="MIB", type=click.FloatRange(0, min_open=True),
    help="Read at most so many MiB a second.",
)  # fmt: skip
@path_option
@json_option
def command(
    *,
    words: tuple[str, ...],
    is_all: bool,
    follow: bool,
    every: float,
    keep: int | None,
    rate: float | None,
    path: Path | None,
    as_json: bool,
) -> None:
    """Bring what is new in CHAIN to DEST, as one more restore point.

    DEST is a directory, or s3://BUCKET/PREFIX?endpoint=URL&region=NAME, with credentials where
    boto3 looks for them. No key is needed, and other programs may go on writing. What was sent
    before is not sent again; a backup that was interrupted goes on where it ended.
    """
    from ate.archive.destination import open_destination
    from ate.archive.follow import Rounds
    from ate.archive.pace import Stop
    from ate.limits import MIB

    names, where = split(words, is_all=is_all)
    stop, told = Stop(), _Told(as_json=as_json, is_quiet=follow, is_many=is_all)
    rounds = Rounds(
        _chains(names, path),
        open_destination(where, stop),
        keep=keep or 0,
        told=told,
        rate=(rate or 0) * MIB,
        pause=stop,
    )
    try:
        if follow:
            with _until_told(stop):
                rounds.follow(every, stop)
        else:
            rounds.run(_bar(is_wanted=not as_json))
    finally:
        rounds.close()
    told.end()


def split(words: tuple[str, ...], *, is_all: bool) -> tuple[str | None, str]:
    """Return the chain, None for all, and the destination."""
    if len(words) != (1 if is_all else 2):
        raise click.UsageError("give DEST with --all, else CHAIN and DEST",
                               click.get_current_context())  # fmt: skip
    return (None if is_all else words[0]), words[-1]


def _chains(name: str | None, path: Path | None) -> Callable[[], Mapping[str, Path]]:
    """Return what lists the chains at the beginning of each round."""
    from ate.dio.opening import home
    from atecli.commands.chains import found

    if name is None:
        top = path if path is not None else home() / "chains"
        return lambda: {one.name: top / one.name for one in sorted(found(path))}
    target = Target(name, path, None, None, as_json=False)
    target.check_exists()
    chain = {name.strip("/"): target.directory()}

    def there() -> Mapping[str, Path]:
        target.check_exists()  # --follow ends when its chain is gone
        return chain

    return there


def _bar(*, is_wanted: bool) -> Callable[[str, int], AbstractContextManager[Any]]:
    from atecli.progress import bar

    return lambda what, total: bar(what, total, is_wanted=is_wanted)


class _Told:
    """Says what became of each chain, and remembers the failures of the last round."""

    def __init__(self, *, as_json: bool, is_quiet: bool, is_many: bool) -> None:
        self._as_json, self._is_quiet, self._is_many = as_json, is_quiet, is_many
        self._failed: dict[str, AteError] = {}

    def __call__(self, name: str, what: Done | AteError) -> None:
        from ate.errors import AteError

        if isinstance(what, AteError):
            is_news = str(self._failed.get(name)) != str(what)
            self._failed[name] = what
            if (self._is_many or self._is_quiet) and is_news:
                say(f"{name}: {what.message}")
            return
        self._failed.pop(name, None)
        if what.began_line:
            say(f"{name}: the chain does not go on from the point before; both are kept")
        if what.is_new or not self._is_quiet:
            self._done(name, what)

    def _done(self, name: str, done: Done) -> None:
        point = done.point
        if self._as_json:
            document = {
                "chain": name, "point": point.point, "new": done.is_new, "head": point.head,
                "commits": point.commits, "time": iso(point.time_us), "root": point.root,
                "sent_bytes": done.put_bytes, "sent_objects": done.put_objects,
                "began_line": done.began_line,
            }  # fmt: skip
            output.document(document, now=True)
            return
        sent = f"sent {size(done.put_bytes)} in {count(done.put_objects, 'object')}"
        news = sent if done.is_new else "nothing new"
        output.line(f"{name}: p{point.point} at row {point.head}, {news}", now=True)

    def end(self) -> None:
        """Raise what went wrong."""
        if not self._failed:
            return
        first = next(iter(self._failed.values()))
        if self._is_many or self._is_quiet:
            raise Failed(status_of(first))
        raise first


class _until_told:  # noqa: N801  # reads as a sentence where it is used
    """Lets SIGTERM and ctrl-c end the work after the present round; the second time at once."""

    def __init__(self, stop: Any) -> None:
        self._stop = stop
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        for one in (signal.SIGTERM, signal.SIGINT):
            self._before[one] = signal.signal(one, self._told)

    def __exit__(self, *_: object) -> None:
        for one, before in self._before.items():
            signal.signal(one, before)

    def _told(self, *_: object) -> None:
        if self._stop:
            raise Failed(INTERRUPTED)
        self._stop.set()
