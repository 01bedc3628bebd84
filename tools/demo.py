"""The product's main job on real input: this machine's package records, kept, found and guarded.

`make demo` runs it. It touches nothing of the machine: all it writes is below a temporary folder
(in $ATE_HOME, when that is set), and that is removed at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.packages import Found, Inventory, gather
from tools.sharing import Sharing

import ate
from ate.archive.backup import Backup
from ate.archive.directory import DirectoryStore
from ate.archive.restore import restore
from ate.chain.repair import repair
from ate.chain.source import Replica
from ate.chain.verify import verify
from ate.client import Chain
from ate.log.disk import RealDisk
from ate.log.local import LocalLog

NAME: Final = "packages"
PASSPHRASE: Final = "only for this demonstration"  # noqa: S105
_COMMIT_ROWS: Final = 10_000
_SAMPLE: Final = 1_000
_UPDATES: Final = 500
_UPDATES_A_COMMIT: Final = 50
#: Letters of a package name; a name of this length does not turn up by chance.
_NAME_MIN: Final = 8
_TEXT: Final = re.compile(rb"[a-z0-9+.-]{%d,}" % _NAME_MIN)


@dataclass
class Maintainer:
    """Who looks after packages; the packages hang below."""

    name: str
    email: str
    packages: ate.Vec[Package] = field(default_factory=ate.Vec)


@dataclass
class Package:
    """One package record."""

    name: str
    version: str
    architecture: str
    section: str
    size_kib: int
    depends: list[str]
    summary: str
    installed: bool
    maintainer: ate.Ref[Maintainer] = field(default_factory=ate.Ref)


class DemoError(Exception):
    """Something is not as the demonstration claims."""


def claim(true: bool, what: str) -> None:  # noqa: FBT001
    """Raise DemoError unless `true`: a demonstration that shows something else has failed."""
    if not true:
        raise DemoError(what)


@dataclass
class Step:
    """One line of the table."""

    step: str
    seconds: float = 0.0
    what: str = ""

    def stop(self, started: float) -> None:
        """End the measurement here instead of at the end of the block."""
        self.seconds = time.perf_counter() - started


class Ledger:
    """The steps so far; says on a terminal which one is running."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time a step; the block says in `what` what came out of it."""
        made = Step(name)
        self.progress(name)
        started = time.perf_counter()
        yield made
        made.seconds = made.seconds or time.perf_counter() - started
        self.steps.append(made)

    def progress(self, text: str) -> None:
        """Show one line on stderr, when somebody watches."""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()

    def table(self) -> str:
        """Return the aligned table with its total."""
        total = Step("total", sum(one.seconds for one in self.steps))
        rows = [(one.step, _seconds(one.seconds), one.what) for one in [*self.steps, total]]
        widths = [max(len(row[at]) for row in rows) for at in range(2)]
        lines = [f"{'step'.ljust(widths[0])}  {'time'.rjust(widths[1])}  what came out"]
        lines += [
            f"{step.ljust(widths[0])}  {took.rjust(widths[1])}  {what}".rstrip()
            for step, took, what in rows
        ]
        lines.insert(-1, "-" * (sum(widths) + 2))
        return "\n".join(lines)


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def _count(number: int, noun: str) -> str:
    """Return '1 234 things'."""
    return f"{number:,}".replace(",", " ") + f" {noun}{'' if number == 1 else 's'}"


class Demo:
    """The steps in their order, each on what the ones before left.

    Args:
        folder: an empty folder on the disk.
        records: what to keep.
        ledger: where steps are noted.
    """

    def __init__(self, folder: Path, records: Inventory, ledger: Ledger) -> None:
        self.folder, self.records, self.ledger = folder, records, ledger
        self.chance = random.Random(7)  # noqa: S311 — picks samples, no keys
        self.ids: dict[ate.ObjectId, Found] = {}
        self.busiest = ate.ObjectId(bytes(16))

    async def run(self) -> None:
        """Run all steps."""
        with self.ledger.step("make keys, save them sealed") as step:
            self.session = ate.Session.new("demo@example.com")
            self.session.save(self.folder / "keys", PASSPHRASE)
            step.what = "Ed25519 + ML-DSA-65 to sign, X-Wing to seal, Argon2id around them"
        await self.fill()
        await self.reopen()
        self.open_elsewhere()
        async with self.opened() as chain:
            await self.find(chain)
            await self.change(chain)
            await self.compact(chain)
        await self.back_up()
        await self.intrude()
        await self.damage()
        keys, folder = self.folder / "keys", self.folder / "sharing"
        folder.mkdir()
        await Sharing(folder, keys, self.session, step=self.ledger.step, claim=claim).run()

    def opened(self, **more: Any) -> Any:
        """Return the opening of the chain with our keys."""
        return ate.open(NAME, path=self.folder, session=self.session, **more)

    async def fill(self) -> None:
        """Store maintainers, and packages below them."""
        people: dict[tuple[str, str], Any] = {}
        load: dict[tuple[str, str], int] = {}
        records = self.records.all
        with self.ledger.step("store all, sealed and signed") as step:
            async with self.opened() as chain:
                for start in range(0, len(records), _COMMIT_ROWS):
                    dio = chain.dio()
                    for one in records[start : start + _COMMIT_ROWS]:
                        who = one.maintainer, one.email
                        if who not in people or people[who][0] is not dio:
                            await self._enter(people, dio, who)
                        above = people[who][1]
                        value = _package(one, ate.Ref(above))
                        self.ids[above.value.packages.push(value).id] = one
                        load[who] = load.get(who, 0) + 1
                    await dio.commit()
                    self.ledger.progress(f"stored {_count(start, 'package')}")
                commits, rows = chain.commits, len(chain)
        size = sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
        claim(rows == len(records) + len(people), "the chain holds another number of objects")
        step.what = (
            f"{_count(len(records), 'package')} below {_count(len(people), 'maintainer')}, "
            f"{_count(commits, 'durable commit')}, {size / 1e6:.1f} MB, "
            f"{_count(round(rows / step.seconds), 'object')}/s"
        )
        self.people, self.busiest = len(people), people[max(load, key=lambda who: load[who])][1].id
        self.most = max(load.values())

    async def _enter(self, people: dict[tuple[str, str], Any], dio: Any, who: Any) -> None:
        """Get a maintainer into this unit of work: new, or loaded from an earlier commit."""
        if who in people:
            dao = await dio.load(Maintainer, people[who][1].id)
        else:
            dao = dio.store(Maintainer(*who))
        people[who] = dio, dao

    async def reopen(self) -> None:
        """Open what was closed, in this process, and read one object."""
        key, one = self.chance.choice(list(self.ids.items()))
        with self.ledger.step("reopen, read one object") as step:
            started = time.perf_counter()
            async with self.opened() as chain:
                value = (await chain.dio().load(Package, key)).value
                step.stop(started)
        claim((value.name, value.version) == (one.name, one.version), "another package was read")
        step.what = f"{value.name} {value.version}"

    def open_elsewhere(self) -> None:
        """The same in a process that has seen nothing of it yet."""
        key = self.chance.choice(list(self.ids))
        with self.ledger.step("… cold, in a new process") as step:
            done = subprocess.run(
                [sys.executable, __file__, "--cold", str(self.folder), key.hex()],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
        claim(not done.returncode, done.stderr.strip() or "the new process failed")
        took = json.loads(done.stdout)
        claim(took.pop("name") == self.ids[key].name, "another package was read")
        step.what = ", ".join(f"{name} {_seconds(seconds)}" for name, seconds in took.items())

    async def find(self, chain: Chain) -> None:
        """Find by id, by type, by maintainer, and look at everything."""
        dio = chain.dio()
        some = self.chance.sample(list(self.ids), min(_SAMPLE, len(self.ids)))
        with self.ledger.step("find by id") as step:
            daos = [await dio.load(Package, key) for key in some]
        claim(all(dao.value.name == self.ids[dao.id].name for dao in daos), "found another package")
        step.what = f"{_count(len(some), 'random package')}"
        with self.ledger.step("find by type") as step:
            people = [dao async for dao in dio.all(Maintainer)]
        claim(len(people) == self.people, "another number of maintainers")
        step.what = _count(len(people), "maintainer")
        with self.ledger.step("find by maintainer") as step:
            busiest = await dio.load(Maintainer, self.busiest)
            theirs = [dao async for dao in busiest.value.packages]
            back = await theirs[0].value.maintainer.load()
        claim(len(theirs) == self.most, "the maintainer has another number of packages")
        claim(back.id == self.busiest, "a package leads back to another maintainer")
        step.what = f"{_count(len(theirs), 'package')} of {busiest.value.name}"
        with self.ledger.step("read everything") as step:
            size = sum([dao.value.size_kib async for dao in dio.all(Package)])
        claim(size == sum(one.size_kib for one in self.records.all), "some records differ")
        step.what = f"{_count(len(self.ids), 'package')}, {size / (1 << 20):.1f} GiB installed"

    async def change(self, chain: Chain) -> None:
        """Update packages, while a watcher looks on and is told of each change."""
        some = self.chance.sample(list(self.ids), min(_UPDATES, len(self.ids)))
        seen: list[tuple[ate.ObjectId, str]] = []
        since = chain.head

        async def look_on() -> None:
            async for event in chain.watch(type=Package, since=since):
                seen.append((event.id, event.value.version))
                if len(seen) == len(some):
                    return

        with self.ledger.step("update, a watcher looking on") as step:
            watcher = asyncio.create_task(look_on())
            for start in range(0, len(some), _UPDATES_A_COMMIT):
                dio = chain.dio()
                for key in some[start : start + _UPDATES_A_COMMIT]:
                    dao = await dio.load(Package, key)
                    dao.update(version=dao.value.version + "+demo")
                await dio.commit()
            await watcher
        expected = [(key, self.ids[key].version + "+demo") for key in some]
        claim(seen == expected, "the watcher saw something else")
        for key in some:
            self.ids[key] = replace(self.ids[key], version=self.ids[key].version + "+demo")
        step.what = f"{_count(len(some), 'update')}, all seen by the watcher, in order"

    async def compact(self, chain: Chain) -> None:
        """Drop what was superseded while somebody reads, and compare what is left."""
        head = chain.head
        some = self.chance.sample(list(self.ids), min(_SAMPLE, len(self.ids)))

        async def read_on() -> int:
            dio = chain.dio()
            for key in some:
                found = (await dio.load(Package, key)).value
                claim(found.version == self.ids[key].version, "a read beside it was wrong")
            return len(some)

        with self.ledger.step("compact, a reader beside it") as step:
            read, done = await asyncio.gather(read_on(), chain.compact())
        claim(await read_on() == read, "something was lost")
        claim(done.rows_after < done.rows_before and chain.head >= head, "nothing was dropped")
        step.what = (
            f"{_count(done.rows_before, 'row')} → {done.rows_after:,}, "
            f"{done.bytes_before / 1e6:.1f} → {done.bytes_after / 1e6:.1f} MB; "
            f"{_count(read, 'read')} meanwhile"
        )

    async def back_up(self) -> None:
        """Back the chain up, restore it elsewhere, and compare the two."""
        there = self.folder / "restored"
        store = DirectoryStore(self.folder / "backup")
        with (
            self.ledger.step("back up, restore elsewhere") as step,
            Backup(self.folder / NAME, store) as backup,
        ):
            point = backup.run().point
            restored = restore(backup.series, there / NAME)
        async with self.opened(readonly=True) as chain:
            claim(restored.found.root == chain.root, "another chain came back")
        commits = restored.found.commits
        step.what = f"{point.size / 1e6:.1f} MB; {commits} commits verified, same root"
        shutil.rmtree(there)
        shutil.rmtree(self.folder / "backup")

    async def intrude(self) -> None:
        """Look at the same files with other keys, and without any."""
        other = ate.Session.new("stranger@example.com")
        some = self.chance.sample(list(self.ids), min(_SAMPLE, len(self.ids)))
        refused = 0
        with self.ledger.step("a stranger opens it") as step:
            async with ate.open(NAME, path=self.folder, session=other, readonly=True) as chain:
                for key in some:
                    try:
                        await chain.dio().load(Package, key)
                    except ate.NoReadKey:
                        refused += 1
                visible = [dao async for dao in chain.dio().all(object)]
        claim(refused == len(some) and not visible, "a stranger could read something")
        step.what = f"{_count(refused, 'package')} asked for: NoReadKey each; 0 objects listed"
        names = {one.name.encode() for one in self.records.all if len(one.name) >= _NAME_MIN}
        with self.ledger.step("look for names in the files") as step:
            raw = [path.read_bytes() for path in self.folder.rglob("*") if path.is_file()]
            found = sum(_occurrences(data, names) for data in raw)
        claim(not found, "the files show names of packages")
        plain = "\n".join(one.name for one in self.records.all).encode()
        claim(not names or _occurrences(plain, names) > 0, "the search finds nothing anywhere")
        step.what = (
            f"{_count(len(names), 'name')} in {sum(map(len, raw)) / 1e6:.1f} MB: {found} found "
            f"({_occurrences(plain, names)} in the plain list, by the same search)"
        )

    async def damage(self) -> None:
        """Verify the chain; then flip one bit in a copy and verify that."""
        with self.ledger.step("verify everything") as step:
            good = await _verdict(self.folder)
        step.what = good
        claim(good.startswith("sound"), good)
        copy = self.folder / "copy"
        shutil.copytree(self.folder / NAME, copy / NAME)
        head = max((copy / NAME).rglob("head.*"), key=lambda path: path.stat().st_size)
        with head.open("r+b") as file:
            at = head.stat().st_size // 2
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1]))
        with self.ledger.step("flip one bit in a copy, verify") as step:
            bad = await _verdict(copy)
        claim(not bad.startswith("sound"), "a flipped bit went unnoticed")
        step.what = bad
        with self.ledger.step("repair it from the other copy") as step:
            source = Replica(RealDisk(), str(self.folder / NAME), name="the other copy")
            mended = await repair(copy / NAME, [source])
        claim((await _verdict(copy)).startswith("sound"), "the repair did not help")
        changed = sum(one.length for one in mended.mends)
        step.what = f"{_count(changed, 'byte')} replaced, the rest left as it was; sound again"


def _package(found: Found, maintainer: Any) -> Package:
    return Package(
        found.name, found.version, found.architecture, found.section, found.size_kib,
        list(found.depends), found.summary, found.installed, maintainer,
    )  # fmt: skip


def _occurrences(data: bytes, names: set[bytes]) -> int:
    """Count the runs of name letters in `data` that are, or hold between their ends, a name."""
    found = 0
    for run in _TEXT.findall(data):
        size = len(run)
        pieces = {
            run[start:end]
            for start in range(min(size, 64))
            for end in range(start + _NAME_MIN, min(size, 64) + 1)
        }
        found += not pieces.isdisjoint(names)
    return found


async def _verdict(folder: Path) -> str:
    """Verify the chain in `folder` and say what came out."""
    try:
        store = LocalLog.open(folder / NAME, readonly=True)
    except ate.AteError as error:
        return f"not sound: {error}"
    try:
        found = await verify(store)
    finally:
        store.close()
    if not found.ok:
        return f"not sound: {found.problems[0]}"
    return (
        f"sound: {_count(found.commits, 'signature')}, {_count(found.rows, 'row')} and every body "
        "match their hashes"
    )


async def open_cold(folder: Path, key: ate.ObjectId) -> dict[str, Any]:
    """Open a chain in this fresh process; return how long each part took."""
    clock = time.perf_counter
    marks = [clock()]
    session = ate.Session.load(folder / "keys", PASSPHRASE)
    marks.append(clock())
    async with ate.open(NAME, path=folder, session=session) as chain:
        marks.append(clock())
        value = (await chain.dio().load(Package, key)).value
        marks.append(clock())
    parts = ("unlock keys", "open", "first read")
    return {
        "name": value.name,
        **{name: marks[at + 1] - marks[at] for at, name in enumerate(parts)},
    }


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="demo.py", description="see ate work on real records")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--limit", type=int, help="at most so many packages that are not installed")
    parser.add_argument("--cold", nargs=2, metavar=("FOLDER", "ID"), help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str], read: Callable[..., Inventory] = gather) -> int:
    """Run the demonstration; return 1 when something is not as claimed."""
    asked = parse(arguments)
    if asked.cold:
        work = open_cold(Path(asked.cold[0]), ate.ObjectId.parse(asked.cold[1]))
        print(json.dumps(asyncio.run(work)))
        return 0
    ledger = Ledger()
    with ledger.step("read this machine's records") as step:
        records = read(limit=asked.limit)
    step.what = ", ".join(
        [
            _count(len(records.installed), "package") + " installed",
            _count(len(records.available), "other") + " on offer",
            "from " + (" and ".join(records.sources) or "nowhere"),
            *records.notes,
        ]
    )
    if not records.all:
        sys.stderr.write("demo: this machine has no package records to show\n")
        return 1
    above = os.environ.get("ATE_HOME")
    if above:
        Path(above).mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="ate-demo-", dir=above) as folder:
            asyncio.run(Demo(Path(folder), records, ledger).run())
    except (DemoError, ate.AteError) as error:
        ledger.progress("")
        sys.stderr.write(f"{ledger.table()}\ndemo: {error}\n")
        return 1
    ledger.progress("")
    if asked.json:
        steps = [vars(one) for one in ledger.steps]
        print(json.dumps({"steps": steps, "seconds": sum(one.seconds for one in ledger.steps)}))
    else:
        print(ledger.table())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
