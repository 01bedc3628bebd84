"""Five editors of one chain, in an order drawn from a seed: all end with the bytes of the log."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest

import ate
from ate.client import Chain, Opening
from ate.crypto.entropy import SeededEntropy
from ate.dio.schema import schema_of
from ate.dio.watch import changes
from ate.errors import Conflict
from ate.event.row import CODEC_DELTA
from ate.ids import ObjectId
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.testing.stage import member
from ate.testing.tamper import copy_of

EDITORS = "abcde"
ROUNDS = 12
#: Both long enough to be kept as deltas; in the second one everybody is in everybody's way.
STORIES = [
    "".join(f"line {number} of the story, as it was\n" for number in range(600)),
    "".join(f"line {number} of {'very ' * 500} many words\n" for number in range(8)),
]
WORD = re.compile(r"\b[a-e]\d+\b")


@dataclass
class Stars:
    """One field for each editor, so that nobody's is in another's way."""

    a: int = 0
    b: int = 0
    c: int = 0
    d: int = 0
    e: int = 0


@dataclass
class Story:
    text: ate.Text
    words: list[str] = field(default_factory=list)
    readers: set[str] = field(default_factory=set)
    votes: dict[str, int] = field(default_factory=dict)
    stars: Stars = field(default_factory=Stars)


class Table:
    """Five editors around one story.

    Args:
        seed: decides who does what, and who waits for how long.
    """

    def __init__(self, seed: int, who: str | None) -> None:
        self.draw = random.Random(seed)
        self.who, self.seed = who, seed
        self.disk, self.clock = SimDisk(seed), SimClock()
        self.key = ObjectId(bytes([seed + 1]) * 16)
        self.conflicts = 0

    def open(self, disk: SimDisk | None = None) -> Opening:
        session = member(self.who) if self.who else None
        entropy = SeededEntropy(b"table %d" % self.seed)
        return ate.open(
            "story", path="/c", disk=disk or self.disk, clock=self.clock, session=session,
            entropy=entropy,
        )  # fmt: skip

    async def pause(self) -> None:
        for _ in range(self.draw.randrange(8)):
            self.clock.advance(self.draw.random())
            await asyncio.sleep(0)

    def edited(self, value: Story, name: str, word: str) -> Story:
        """Return a story with one more word in it, wherever chance puts it."""
        lines = value.text.splitlines(keepends=True)
        at = self.draw.randrange(len(lines))
        how = self.draw.randrange(4)
        if how == 0:
            lines.insert(at, f"a line by {word}\n")
        elif how == 1 and not WORD.search(lines[at]):
            lines[at] = f"{word} wrote this anew\n"
        else:
            first, _, rest = lines[at].partition(" ")
            lines[at] = f"{first} {word} {rest}" if how == 2 else lines[at][:-1] + f" {word}\n"
        stars = replace(value.stars, **{name: getattr(value.stars, name) + 1})
        return Story(
            "".join(lines), [*value.words, word], value.readers | {word},
            {**value.votes, name: value.votes.get(name, 0) + 1}, stars,
        )  # fmt: skip

    async def edit(self, chain: Chain, name: str) -> None:
        """One editor: looks at a version for a while, changes it, commits it later."""
        for number in range(ROUNDS):
            landed = False
            while not landed:
                dio = chain.dio()
                dao = await dio.load(Story, self.key)
                await self.pause()
                dao.value = self.edited(dao.value, name, f"{name}{number}")
                await self.pause()
                try:
                    await dio.commit(on_conflict="merge")
                    landed = True
                except Conflict:
                    self.conflicts += 1

    async def play(self) -> list[bytes]:
        """Return the bytes that each editor ends with."""
        async with self.open() as chain:
            async with chain.dio() as dio:
                dio.store(Story(STORIES[self.seed % 2]), id=self.key)
            await asyncio.gather(*(self.edit(chain, name) for name in EDITORS))
            daos = [await chain.dio().load(Story, self.key) for _ in EDITORS]
            return [dao._version.plain for dao in daos]


@pytest.mark.parametrize("who", [None, "alice"])
@pytest.mark.parametrize("seed", range(6))
async def test_five_editors_end_byte_equal_and_equal_to_the_log(seed: int, who: str | None) -> None:
    table = Table(seed, who)
    ends = await table.play()
    assert len(ends) == 5
    assert len(set(ends)) == 1

    # Nobody's change was lost, and none was made twice.
    story = schema_of(Story).decode(ends[0])
    words = [f"{name}{number}" for name in EDITORS for number in range(ROUNDS)]
    assert Counter(WORD.findall(story.text)) == Counter(words)
    assert Counter(story.words) == Counter(words)
    assert story.readers == set(words)
    assert story.votes == dict.fromkeys(EDITORS, ROUNDS)
    assert story.stars == Stars(*[ROUNDS] * 5)

    # The log replayed from its first byte says the same, to a program that was not there.
    disk = copy_of(table.disk)
    disk.remove("/c/story/000001/index")
    async with table.open(disk) as chain:
        reader = chain._reader(chain.session)
        assert (await chain.dio().load(Story, table.key))._version.plain == ends[0]
        seen = await changes(reader, 1, chain.head)
        mine = [change for change in seen if change.row.id == table.key]
        assert mine[-1].plain == ends[0]
        assert len(mine) == 1 + len(words)
        assert any(change.row.codec & CODEC_DELTA for change in mine)
        # Only results are in the log: each version has the words of the one before, and one more.
        known: set[str] = set()
        for change in mine:
            assert change.plain is not None
            now = set(WORD.findall(schema_of(Story).decode(change.plain).text))
            assert known <= now
            assert len(now) == len(known) + (change is not mine[0])
            known = now


async def test_a_play_repeats_from_its_seed() -> None:
    tables = [Table(3, None), Table(3, None), Table(4, None)]
    ends = [(await table.play())[0] for table in tables]
    logs = [table.disk.snapshot()["/c/story/000001/head.000001"] for table in tables]
    assert ends[0] == ends[1] != ends[2]
    assert logs[0] == logs[1] != logs[2]
    assert tables[0].conflicts > 0, "some places could not be shared"
