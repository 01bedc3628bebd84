"""`fork`: a new chain that begins with the objects of another one, as they were at some row.

    made = await chain.fork("universe-2", at=1200)

The new chain has its own genesis, its own id and one root: who forks. It never writes to the source
and never shows a half: it is built under another name and renamed when it is durable.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from ate import limits
from ate.chain import past
from ate.chain.genesis import Founding, write_genesis
from ate.chain.ledger import Ledger
from ate.chain.reader import Opened, Reader
from ate.chain.run import U64
from ate.dio.charter import Charter, names_role
from ate.dio.survey import Survey
from ate.dio.workshop import Workshop
from ate.errors import (
    AteError,
    Compacted,
    Deleted,
    NoReadKey,
    NotFound,
    StorageError,
    UsageError,
)
from ate.event.access import Access, Inherit, Only
from ate.event.access import Any as AnyOf
from ate.event.commit import Origin, Record
from ate.event.draft import Draft
from ate.event.header import Header
from ate.event.row import CODEC_FORMAT, CODEC_ZSTD, FLAG_ACCESS, FLAG_HEADER, Kind
from ate.event.system import encode
from ate.ids import ROOT, ChainName
from ate.log.disk import Disk
from ate.session import Session
from ate.trust.compression import Zstd
from ate.trust.plugin import Filter

_log = logging.getLogger("ate")

#: One commit of the fork: enough to be fast, little enough to be held in memory.
_PORTION_ROWS: Final = 4096
_PORTION_BYTES: Final = 8 * limits.MIB
#: Bodies opened in one go, by what they may take when they are unpacked.
_READ_ROWS: Final = 256
_PACKED_BYTES: Final = limits.MIB
#: What a reader or a principal of a rule adds to a commit: a wrapped key, or two public keys.
_NAME_BYTES: Final = 4600
#: What a chain's policy calls the place it was forked from.
POLICY: Final = "fork"


class Fork(msgspec.Struct, frozen=True):
    """A chain was forked.

    Args:
        name, id: of the new chain.
        seq: row of the source whose state it begins with.
        objects: how many it holds.
        left_out: how many the session cannot read, and what hangs below them.
    """

    name: str
    id: bytes
    seq: int
    objects: int
    left_out: int


async def fork(
    source: Ledger,
    name: ChainName,
    directory: str | os.PathLike[str],
    *,
    at: int,
    session: Session | None,
    plugins: Sequence[Any] | None = None,
    skip_unreadable: bool = False,
    disk: Disk | None = None,
    advance: Callable[[int, int], None] | None = None,
) -> Fork:
    """Make a new chain of what stood at row `at` of another one.

    Kept are the objects with their ids, parents, collections, types, values, rare fields and rules,
    in the order of creation. Times and authors are those of the fork. A rule keeps the principals
    it names; roles that rules name are made anew, with the members of today; what inherits from
    the chain itself is the session's, its only root.

    Args:
        source: the chain; it may be read-only.
        session: whose keys open the source and found the fork; None for chains without keys.
        plugins: of the fork while it is written; those of the source that shape bodies if not
            given.
        skip_unreadable: leave out what the session cannot read, and what hangs below it.
        advance: called with (objects written, objects in all) now and then.

    Raises:
        Conflict: there is something in the directory.
        NoReadKey, Deleted: objects cannot be taken along; nothing was made.
        Compacted: the state is not held any more; the hint names a row that is.
        NotFound: the chain has no such row.
        UsageError: a chain with keys cannot be forked by nobody, or a role not be made anew.
    """
    view = source.view
    if not 1 <= at <= view.head:
        hint = f"its rows are 1 to {view.head}" if at else "it began later"
        raise NotFound(f"the chain has no row {at}", hint=hint)
    if view.trust.has_roots and session is None:
        raise UsageError(
            "the chain is signed, and a fork of it needs a root", hint="fork with a session"
        )
    place = Workshop(name, directory, disk)
    survey = Survey(source, session, at)
    left_out = survey.sealed + survey.stranded
    if left_out and not skip_unreadable:
        raise _incomplete(survey)
    with place:
        used = _shaping(source, survey) if plugins is None else plugins
        ledger = Ledger(
            place.store, plugins=used, session=session, clock=source.clock, entropy=source.entropy
        )
        builder = _Builder(source, ledger, survey, advance or (lambda _done, _total: None))
        await builder.build(name, at)
        place.store.flush()
        try:
            ledger.snapshot()
        except StorageError as error:
            _log.warning("the next opening will read the whole log: %s", error)
        place.finish()
    return Fork(str(name), ledger.view.trust.chain_id, at, len(survey), left_out)


class _Builder:
    """Writes a fork into an empty ledger, portion by portion."""

    def __init__(
        self, source: Ledger, made: Ledger, survey: Survey, advance: Callable[[int, int], None]
    ) -> None:
        self._source, self._made, self._survey, self._advance = source, made, survey, advance
        self._session = made.session
        self._reader = Reader(source, self._session)
        self._charter = Charter(source.view.trust, self._session)
        self._device = self._session.device if self._session else 0
        self._number = int.from_bytes(made.entropy(8), "little")
        self._lsn = 0

    async def build(self, name: ChainName, at: int) -> None:
        """Write the whole fork; it is not flushed yet."""
        survey = self._survey
        await self._made.replay()
        # Whoever founds the fork must be able to write below what others may write alone: such
        # rules come last, from the leaves up. Until then all inherits from the fork's root.
        chain_rule = self._charter.adopt(_chain_rule(self._source, at))
        rules = {seq: self._charter.adopt(access) for seq, access in self._rules()}
        late = [
            place
            for place in np.flatnonzero(survey.is_parent).tolist()
            if (rule := rules.get(int(survey.seqs[place]))) and not self._charter.holds(rule.write)
        ]
        genesis = self._source.view.trust.genesis
        assert genesis is not None  # a chain without one does not open
        if late and genesis.policy.get("worm"):
            raise UsageError(
                "the chain is write-once, and rules let only others write below some objects",
                hint="fork it as one of those others",
            )
        await self._found(name, at, chain_rule)
        early = {int(survey.seqs[place]) for place in late}
        await self._copy(
            survey.seqs,
            {seq: Access(one.read) if seq in early else one for seq, one in rules.items()},
        )
        late.sort(key=lambda place: -int(survey.depths[place]))
        await self._copy(survey.seqs[late], rules)
        if chain_rule.write is not Inherit:
            await self._rule_chain(chain_rule)

    async def _found(self, name: ChainName, at: int, rule: Access) -> None:
        """Write the genesis, then roles, and the chain's read rule if it waits for them."""
        genesis = self._source.view.trust.genesis
        assert genesis is not None
        waits = names_role(rule)
        self._lsn = 1
        await write_genesis(
            self._made,
            name,
            Founding(
                (self._session.public,) if self._session else (),
                Access() if waits else Access(rule.read),
                genesis.suite or 2,
                genesis.mode,
                {**genesis.policy, POLICY: _provenance(self._source, at)},
            ),
            Origin(self._device, self._number, 1, 0),
        )
        roles = self._charter.drafts(self._made.entropy, self._made.view.trust.keys)
        if roles:
            await self._commit(roles)
        if waits:
            await self._rule_chain(Access(rule.read))

    async def _rule_chain(self, rule: Access) -> None:
        genesis, stored = self._made.view.trust.genesis, self._made.view.stored(ROOT)
        assert genesis is not None
        assert stored is not None
        root = bytes(ROOT)
        await self._commit(
            [Draft(int(Kind.GENESIS), root, root, 0, stored.seq, 1, 0, 0, encode(genesis),
                   Header(rule))]
        )  # fmt: skip

    def _rules(self) -> Iterator[tuple[int, Access]]:
        """Yield the rows of the survey that have a rule of their own."""
        ruled = self._survey.heads["flags"] & np.uint8(FLAG_ACCESS) != 0
        for seq in self._survey.seqs[ruled].tolist():
            record, at = self._source.view.find(seq)
            header = record.header(at)
            if header is not None and header.access is not None:
                yield seq, header.access

    async def _copy(self, seqs: U64, rules: dict[int, Access]) -> None:
        """Store rows of the source as new objects, or new versions where they are there."""
        drafts: list[Draft] = []
        size, total = 0, len(self._survey)
        for some in self._batches(seqs.tolist()):
            opened = await self._reader.open_many(some)
            if len(opened) != len(some):
                raise NoReadKey("objects of the chain cannot be read any more")
            for one in opened:
                rule = rules.get(one.seq)
                weight = len(one.plain) + 256 + _weight(rule)
                if drafts and (size + weight > _PORTION_BYTES or len(drafts) >= _PORTION_ROWS):
                    await self._commit(drafts)
                    self._advance(self._made.view.index.live, total)
                    drafts, size = [], 0
                drafts.append(self._draft(one, rule))
                size += weight
        if drafts:
            await self._commit(drafts)
            self._advance(self._made.view.index.live, total)

    def _batches(self, seqs: list[int]) -> Iterator[list[int]]:
        """Yield rows to open in one go, so many that their bodies have room together."""
        batch: list[int] = []
        size = 0
        for seq in seqs:
            record, at = self._source.view.find(seq)
            _, codec, *_, length, _ = record.brief(at)
            weight = length + (_PACKED_BYTES if codec > CODEC_FORMAT else 0)
            if batch and (len(batch) >= _READ_ROWS or size + weight > _PORTION_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(seq)
            size += weight
        if batch:
            yield batch

    def _draft(self, one: Opened, rule: Access | None) -> Draft:
        row = one.row
        header = one.record.header(one.at) if row.flags & FLAG_HEADER else None
        if header is not None:
            header = Header(rule, header.author, header.reply, header.unknown)
        seq = self._made.view.index.locate(row.id)
        return Draft(
            int(Kind.DATA), row.id, row.parent, row.collection, seq, seq, one.schema_id, one.codec,
            one.plain, header,
        )  # fmt: skip

    async def _commit(self, drafts: Sequence[Draft]) -> Record:
        made = self._made
        origin = Origin(self._device, self._number, self._lsn + 1, self._lsn)
        commit, rows = await made.preparer(self._session).prepare(
            drafts, origin=origin, seen_seq=made.view.head,
            now_us=max(made.clock.now_us(), made.view.time_us),
        )  # fmt: skip
        record = made.settle(await made.append(commit, rows))
        self._lsn += 1
        await asyncio.sleep(0)  # a fork of a large chain must not keep the others waiting
        return record


def _provenance(source: Ledger, at: int) -> dict[str, Any]:
    """Return what the fork says about where it came from."""
    view = source.view
    genesis = view.trust.genesis
    assert genesis is not None
    told: dict[str, Any] = {"chain": view.trust.chain_id.hex(), "name": genesis.name, "seq": at}
    root = past.root_at(view, at)
    if root is not None:
        told["root"] = root.hex()
    return told


def _chain_rule(source: Ledger, at: int) -> Access:
    """Return the chain's own rule as of a row."""
    try:
        for seq, record, place in past.lineage(source.view, ROOT):
            if seq <= at:
                header = record.header(place)
                return (header.access if header else None) or Access()
    except Compacted:
        raise past.not_held(source.view, at) from None
    raise NotFound("the chain has no rule of its own at that row")


def _weight(rule: Access | None) -> int:
    """Return about how many bytes a rule adds to a commit."""
    named = (
        [one for one in (rule.read, rule.write) if isinstance(one, (Only, AnyOf))] if rule else []
    )
    return _NAME_BYTES * sum(len(one.names) for one in named)


def _shaping(source: Ledger, survey: Survey) -> list[Any]:
    """Return the plug-ins of a chain that decide how bodies are stored."""
    pipeline = source.pipeline
    found: list[Any] = []
    for one in pipeline.plugins:
        if isinstance(one, Zstd) and one.least_bytes > limits.BODY_BYTES_MAX:
            # It was only there to read: what is packed in the source gets packed in the fork.
            if (survey.heads["codec"] & np.uint8(CODEC_ZSTD)).any():
                found.append(Zstd())
        elif isinstance(one, Filter) or one is pipeline.confidentiality:
            found.append(one)
    return found


def _incomplete(survey: Survey) -> AteError:
    what = []
    if survey.sealed:
        what.append(f"{survey.sealed} cannot be read with the keys at hand")
    if survey.stranded:
        below = "those, or below something deleted" if survey.sealed else "something deleted"
        what.append(f"{survey.stranded} hang below {below}")
    text = f"a fork would lose objects: {', '.join(what)}"
    hint = "fork as somebody who may read them, or leave them out: skip_unreadable=True"
    return (NoReadKey if survey.sealed else Deleted)(text, hint=hint)


def fork_of(policy: dict[str, Any]) -> dict[str, Any] | None:
    """Return what a chain says about the chain it was forked from; None when it was not."""
    told = policy.get(POLICY)
    return told if isinstance(told, dict) else None
