"""`ate chains`: which chains there are and how large; it looks at files, never into them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import click

from atecli import output
from atecli.opening import examples, json_option, path_option
from atecli.text import iso, moment, size, table

_GENERATION: Final = re.compile(r"(doomed\.)?[0-9]{6}")


class Found(NamedTuple):
    """One chain on disk.

    Args:
        size: bytes of all its files.
        changed_us: when the newest of them changed.
    """

    name: str
    size: int
    changed_us: int


@click.command("chains", epilog=examples("ate chains", "ate chains --path /srv/chains --json"))
@path_option
@json_option
def command(*, path: Path | None, as_json: bool) -> None:
    """List the chains below --path, or in your data directory, with their sizes."""
    every = sorted(found(path))
    if as_json:
        for one in every:
            output.document({"name": one.name, "bytes": one.size, "changed": iso(one.changed_us)})
    elif every:
        rows = [(one.name, size(one.size), moment(one.changed_us)) for one in every]
        output.lines(table(("name", ">size", "changed"), rows))


def found(path: Path | None) -> Iterator[Found]:
    """Yield every chain below a directory; without one, below the user's."""
    from ate.dio.opening import home
    from ate.log.recovery import EPOCH

    top = path if path is not None else home() / "chains"
    for folder, folders, files in os.walk(top):
        generations = [one for one in folders if _GENERATION.fullmatch(one)]
        taken = [one for one in folders if one.startswith(EPOCH)]
        # A name with a dot is no chain's: one is being built there, or goes on there.
        folders[:] = [one for one in folders if not one.startswith(".")]
        if "CURRENT" in files or taken or ("LOCK" in files and generations):
            folders[:] = [one for one in folders if one not in generations]
            name = Path(folder).relative_to(top).as_posix()
            yield _measured(Path(folder), name, [*generations, *_inside(Path(folder), taken)])


def _inside(folder: Path, taken: list[str]) -> Iterator[str]:
    for one in taken:
        yield one
        for part in (folder / one).iterdir():
            if part.is_dir():
                yield f"{one}/{part.name}"


def _measured(folder: Path, name: str, generations: list[str]) -> Found:
    stats = []
    for part in (folder, *(folder / one for one in generations)):
        with os.scandir(part) as entries:
            stats += [entry.stat() for entry in entries if entry.is_file(follow_symlinks=False)]
    newest = max((stat.st_mtime_ns for stat in stats), default=0)
    return Found(name, sum(stat.st_size for stat in stats), newest // 1000)
