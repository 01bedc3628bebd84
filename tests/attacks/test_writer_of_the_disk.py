"""Writer of the disk: changes the files while nobody has them open; careful, without a key.

Checks, numbers and links are made right again wherever that needs no key: see `ate.testing.tamper`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ate.crypto.hash import digest
from ate.crypto.kem import PublicSealingKey
from ate.errors import AteError, CorruptLog, NoReadKey, StorageError
from ate.event.access import Access, Any, Everyone
from ate.event.commit import AUTHOR_BYTES, ROWS_AT, Record
from ate.event.row import ROW_BYTES, SIGNED_BYTES, Kind
from ate.event.system import Genesis, Grant, PublicKeys, decode, encode
from ate.ids import ObjectId
from ate.session import Session
from ate.testing.stage import Stage, member
from ate.testing.tamper import (
    relinked,
    row_span,
    spliced,
    with_body,
)

Payloads = list[bytes]
TIME_AT = AUTHOR_BYTES + 8


async def play(suite: int = 2) -> tuple[Stage, Session, list[ObjectId]]:
    """A chain of seven commits by two authors in several sittings."""
    stage = Stage(suite=suite)
    alice, bob = await stage.cast("alice", "bob")
    board = await stage.as_(alice).store("board", access=Access(read=Everyone, write=Everyone))
    notes = [await stage.as_(alice).store(f"note {number}") for number in range(3)]
    await stage.as_(bob).store("bob was here", parent=board)
    many = await stage.as_(alice).store_many([f"row {number}" for number in range(20)])
    return stage, alice, [board, *notes, *many]


async def expect_found_out(stage: Stage, who: Session, *, but_for_the_last: bool = False) -> None:
    """Without a snapshot nobody is fooled: not the owner, not a stranger, not the verifier.

    Args:
        but_for_the_last: only the newest commits are gone, which takes a witness to see.
    """
    tamperer = stage.tamperer()
    if but_for_the_last:
        with pytest.raises(StorageError):
            await stage.as_(who).open()
        return
    if tamperer.has("index"):
        tamperer.remove("index")
    for one in (who, None):
        with pytest.raises(StorageError):
            await stage.as_(one).open(readonly=True)
    with pytest.raises(StorageError):
        await stage.as_(who).open()
    assert not (await stage.verify()).ok


# --- whole commits -------------------------------------------------------------------------------

COMMITS: dict[str, Callable[[Payloads], Payloads]] = {
    "drop the first": lambda some: some[1:],
    "drop the second": lambda some: [some[0], *some[2:]],
    "drop one in the middle": lambda some: [*some[:3], *some[4:]],
    "drop the only one of an author": lambda some: [*some[:5], *some[6:]],
    "drop several": lambda some: [*some[:2], *some[5:]],
    "drop all but the first and the last": lambda some: [some[0], some[-1]],
    "swap two of one author": lambda some: [*some[:2], some[3], some[2], *some[4:]],
    "swap two of different authors": lambda some: [*some[:4], some[5], some[4], *some[6:]],
    "move the last to the front": lambda some: [some[0], some[-1], *some[1:-1]],
    "double one": lambda some: [*some[:3], some[2], *some[3:]],
    "replay an old one at the end": lambda some: [*some, some[2]],
    "replay the genesis at the end": lambda some: [*some, some[0]],
    "replay everything": lambda some: [*some, *some],
    "turn the order around": lambda some: [some[0], *reversed(some[1:])],
}  # fmt: skip


@pytest.mark.parametrize("is_careful", [False, True])
@pytest.mark.parametrize("how", COMMITS)
async def test_commits_cannot_be_dropped_moved_or_doubled(how: str, is_careful: bool) -> None:
    stage, alice, _ = await play()
    tamperer = stage.tamperer()
    changed = COMMITS[how](tamperer.payloads())
    tamperer.write(relinked(changed) if is_careful else changed)
    await expect_found_out(stage, alice)


@pytest.mark.parametrize("suite", [1, 2])
async def test_a_commit_of_another_chain_does_not_fit(suite: int) -> None:
    stage, alice, _ = await play(suite)
    other, _, _ = await play(suite)
    foreign = other.tamperer().payloads()
    tamperer = stage.tamperer()
    own = tamperer.payloads()
    for at in range(1, len(own)):
        tamperer.write(relinked([*own[:at], foreign[at], *own[at + 1 :]]))
        await expect_found_out(stage, alice)
    tamperer.write(relinked([foreign[0], *own[1:]]))
    await expect_found_out(stage, alice)


# --- parts of a commit ---------------------------------------------------------------------------


def test_parts_are_where_this_file_thinks() -> None:
    assert (AUTHOR_BYTES, ROWS_AT, ROW_BYTES, SIGNED_BYTES) == (192, 272, 128, 112)


async def test_not_one_bit_of_what_is_signed_can_change() -> None:
    """One bit in every 5th byte of every author part and signed row, links made right again."""
    stage, _, _ = await play()
    tamperer = stage.tamperer()
    payloads = tamperer.payloads()
    for number, payload in enumerate(payloads[:6]):
        count = Record(memoryview(payload)).row_count
        spots = list(range(0, AUTHOR_BYTES, 5))
        spots += [
            ROWS_AT + ROW_BYTES * row + byte
            for row in range(min(count, 2))
            for byte in range(0, SIGNED_BYTES, 5)
        ]
        for spot in spots:
            bad = spliced(payload, spot, bytes([payload[spot] ^ 4]))
            try:
                changed = relinked([*payloads[:number], bad, *payloads[number + 1 :]])
            except AteError:
                continue  # it is no commit any more
            tamperer.write(changed)
            assert not (await stage.verify()).ok, (number, spot)


async def test_rows_cannot_be_dropped_swapped_doubled_or_replayed() -> None:
    stage, alice, _ = await play()
    tamperer = stage.tamperer()
    payloads = tamperer.payloads()
    last = payloads[-1]
    first, second = last[row_span(0)], last[row_span(1)]
    old = payloads[2][row_span(0)]
    swapped = spliced(spliced(last, row_span(0).start, second), row_span(1).start, first)
    doubled = spliced(last, row_span(1).start, first)
    replayed = spliced(last, row_span(0).start, old)
    count = Record(memoryview(last)).row_count
    fewer = spliced(last, 4, (count - 1).to_bytes(4, "little"))
    dropped = fewer[: row_span(1).start] + fewer[row_span(1).stop :]
    for bad in (swapped, doubled, replayed, dropped):
        tamperer.write([*payloads[:-1], bad])
        await expect_found_out(stage, alice)


async def test_the_signature_and_the_header_fields_cannot_change() -> None:
    stage, alice, _ = await play()
    tamperer = stage.tamperer()
    payloads = tamperer.payloads()
    with_rule = payloads[1]
    record = Record(memoryview(with_rule))
    at = with_rule.index(record.signature)
    tamperer.write([payloads[0], spliced(with_rule, at, bytes([with_rule[at] ^ 1])), *payloads[2:]])
    await expect_found_out(stage, alice)
    assert b"everyone" in bytes(record.rare)
    tamperer.write(
        [payloads[0], with_rule.replace(b"\xa8everyone", b"\xa8nobody!!"), *payloads[2:]]
    )
    await expect_found_out(stage, alice)


@pytest.mark.parametrize("field", ["length", "zero", "place"])
async def test_local_fields_lead_nowhere_else(field: str) -> None:
    """The last 16 bytes of a row are not signed; what they lead to is."""
    stage, alice, ids = await play()
    tamperer = stage.tamperer()
    payloads = tamperer.payloads()
    record = Record(memoryview(payloads[-1]))
    row, other = record.row(0), record.row(1)
    at = row_span(0).start + SIGNED_BYTES
    value = {
        "length": (row.length - 1).to_bytes(4, "little") + payloads[-1][at + 4 : at + 16],
        "zero": payloads[-1][at : at + 4] + b"\1\0\0\0" + payloads[-1][at + 8 : at + 16],
        "place": payloads[-1][at : at + 8] + other.place.to_bytes(8, "little"),
    }[field]
    tamperer.write([*payloads[:-1], spliced(payloads[-1], at, value)])
    assert not (await stage.verify()).ok
    if field == "zero":
        tamperer.remove("index")
    with pytest.raises(CorruptLog):
        await stage.as_(alice).load(ids[4])


async def test_a_body_in_the_body_file_cannot_change() -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    big = await stage.as_(alice).store("long " * 20_000)
    tamperer = stage.tamperer()

    def change(content: bytearray) -> None:
        content[5000] ^= 1

    tamperer.edit("body.000001", change)
    with pytest.raises(CorruptLog):
        await stage.as_(alice).load(big)
    assert not (await stage.verify()).ok


async def test_times_cannot_run_backwards() -> None:
    """Times are the sequencer's word and not signed: the threat model says what can be done."""
    stage, alice, _ = await play()
    tamperer = stage.tamperer()
    payloads = tamperer.payloads()
    tamperer.write([*payloads[:-1], spliced(payloads[-1], TIME_AT, bytes(8))])
    await expect_found_out(stage, alice)


async def test_another_time_shows_in_the_root_that_a_receipt_holds() -> None:
    stage, alice, _ = await play()
    async with stage.open(alice) as chain, chain.dio() as dio:
        dio.store({"last": 1})
        receipt = await dio.commit()
    tamperer = stage.tamperer()
    payloads = tamperer.payloads()
    record = Record(memoryview(payloads[-1]))
    later = (record.sequencer.time_us + 5).to_bytes(8, "little")
    tamperer.write([*payloads[:-1], spliced(payloads[-1], TIME_AT, later)])
    found = await stage.verify()
    assert found.ok
    assert found.root != receipt.chain_root


# --- what steers everything else -----------------------------------------------------------------


async def test_the_roots_in_the_genesis_cannot_be_added_to() -> None:
    """The genesis row is signed by its hash; a body with one more root has another hash."""
    stage, alice, _ = await play()
    mallory = member("mallory")
    tamperer = stage.tamperer()
    payloads = tamperer.payloads()
    record = Record(memoryview(payloads[0]))
    told = decode(Genesis, record.inline(record.row(0)))
    roots = (*told.roots, PublicKeys.of(mallory.public))
    forged = Genesis(told.name, told.suite, told.mode, told.salt, roots, told.policy)
    tamperer.write([with_body(payloads[0], 0, encode(forged)), *payloads[1:]])
    await expect_found_out(stage, alice)
    with pytest.raises(CorruptLog):
        await stage.as_(mallory).store("I am root now")


@pytest.mark.parametrize("keeps_snapshot", [False, True])
async def test_nobody_is_led_to_seal_under_a_planted_key(keeps_snapshot: bool) -> None:
    """A grant that wraps the attacker's key to the owner would make all new bodies readable."""
    stage, alice, _ = await play()
    tamperer = stage.tamperer()
    payloads = tamperer.payloads()
    record = Record(memoryview(payloads[0]))
    at = record.kinds.index(Kind.GRANT)
    told = decode(Grant, record.inline(record.row(at)))
    info = b"ate/grant/1" + bytes(16) + (1).to_bytes(4, "little")
    planted = PublicSealingKey(alice.public.seal).wrap(b"K" * 32, info)
    forged = Grant(told.domain, 1, {alice.public.key_id: planted})
    tamperer.write([with_body(payloads[0], at, encode(forged)), *payloads[1:]])
    if not keeps_snapshot:
        tamperer.remove("index")
    with pytest.raises(CorruptLog):
        await stage.as_(alice).store("what the attacker waits for")


# --- the ends of the log -------------------------------------------------------------------------


async def test_a_cut_tail_is_missed_by_who_has_seen_it() -> None:
    """After a clean close the snapshot bears witness to the last commit."""
    stage, alice, _ = await play()
    tamperer = stage.tamperer()
    payloads = tamperer.payloads()
    for kept in range(1, len(payloads)):
        tamperer.write(payloads[:kept])
        with pytest.raises(CorruptLog, match=r"truncated|before"):
            await stage.as_(alice).open()
    tamperer.write(payloads)
    assert await stage.as_(alice).open() == (await stage.ledger()).view.head


@pytest.mark.parametrize("bytes_cut", [1, 8, 100, 1000])
async def test_a_tail_cut_anywhere_is_missed(bytes_cut: int) -> None:
    stage, alice, _ = await play()

    def cut(content: bytearray) -> None:
        del content[-bytes_cut:]

    stage.tamperer().edit("head.000001", cut)
    with pytest.raises(CorruptLog):
        await stage.as_(alice).open()


async def test_an_old_copy_of_the_log_beside_the_new_snapshot_is_missed() -> None:
    stage, alice, _ = await play()
    old = stage.tamperer().payloads()
    await stage.as_(alice).store("one more")
    stage.tamperer().write(old)
    with pytest.raises(CorruptLog):
        await stage.as_(alice).open()


async def test_segments_cannot_be_removed_or_rolled_back() -> None:
    stage, alice, _ = await play()
    tamperer = stage.tamperer()
    tamperer.write(tamperer.payloads(), segment_bytes=8000)
    tamperer.remove("index")
    head = await stage.as_(alice).open()
    names = [path.rpartition("/")[2] for path in tamperer.files() if "head." in path]
    assert len(names) > 2
    whole = stage.backup()
    for name in names:
        tamperer.remove(name)
        with pytest.raises(StorageError):
            await stage.as_(alice).open()
        stage.disk = whole
        whole, tamperer = stage.backup(), stage.tamperer()
    for name in names:
        tamperer.edit(name, lambda content: content.__delitem__(slice(len(content) - 200, None)))
        await expect_found_out(stage, alice, but_for_the_last=name == names[-1])
        stage.disk = whole
        whole, tamperer = stage.backup(), stage.tamperer()
    assert await stage.as_(alice).open() == head


async def test_an_older_copy_of_everything_is_a_true_state_of_the_past() -> None:
    """What a disk writer can still do, as the threat model says; a receipt kept elsewhere tells."""
    stage, alice, _ = await play()
    past = stage.backup()
    async with stage.open(alice) as chain:
        dio = chain.dio()
        dio.store({"new": True})
        receipt = await dio.commit()
        size = chain.commits
    stage.disk = past
    found = await stage.verify()
    assert found.ok
    assert found.commits < size
    assert found.root != receipt.chain_root


# --- the snapshot --------------------------------------------------------------------------------


async def test_a_snapshot_of_somebody_else_is_not_believed() -> None:
    stage, alice, ids = await play()
    other, mallory, _ = Stage("play"), member("mallory"), None
    async with other.open(mallory) as chain, chain.dio() as dio:
        dio.store({"x": 1})
    planted = other.disk.snapshot()[other.tamperer().path("index")]
    stage.disk.put(stage.tamperer().path("index"), planted)
    assert await stage.as_(alice).load(ids[1]) == "note 0"


async def test_a_snapshot_of_another_chain_of_the_same_owner_is_not_believed() -> None:
    stage, alice, _ = await play()
    other, _, _ = await play()
    planted = other.disk.snapshot()[other.tamperer().path("index")]
    stage.disk.put(stage.tamperer().path("index"), planted)
    with pytest.raises(CorruptLog):
        await stage.as_(alice).open()
    stage.tamperer().remove("index")
    assert await stage.as_(alice).open()


async def test_not_one_bit_of_the_snapshot_matters() -> None:
    stage, alice, _ = await play()
    head = await stage.as_(alice).open()
    path = stage.tamperer().path("index")
    good = stage.disk.snapshot()[path]
    for at in range(0, len(good), 97):
        stage.disk.put(path, spliced(good, at, bytes([good[at] ^ 16])))
        async with stage.open(alice, readonly=True) as chain:
            assert chain.head == head
            assert len([dao async for dao in chain.dio().all(object)]) == len(chain)
    for size in (0, 1, 63, 64, 111, 112, 200, len(good) - 1):
        stage.disk.put(path, good[:size])
        assert await stage.as_(alice).open(readonly=True) == head


async def test_an_old_snapshot_is_only_old() -> None:
    stage, alice, ids = await play()
    old = stage.disk.snapshot()[stage.tamperer().path("index")]
    await stage.as_(alice).change(ids[1], "newer")
    stage.disk.put(stage.tamperer().path("index"), old)
    assert await stage.as_(alice).load(ids[1]) == "newer"


@pytest.mark.parametrize("what", ["a public note", "a rule"])
async def test_commits_behind_the_snapshot_are_not_believed_either(what: str) -> None:
    """Opening with a snapshot reads old commits no more; what is read later must be theirs."""
    stage, alice, _ = await play()
    tamperer = stage.tamperer()
    note = await stage.as_(alice).store("the meeting is at 10", access=Access(read=Everyone))
    await stage.as_(alice).store("last")
    payloads = tamperer.payloads()
    number = next(at for at, one in enumerate(payloads) if b"meeting is at 10" in one)
    bad = payloads[number]
    if what == "a public note":
        old = Record(memoryview(bad))
        row = next(old.row(at) for at in range(old.row_count) if old.row(at).id == note)
        bad = bad.replace(b"meeting is at 10", b"meeting is at 11")
        body = bytes(Record(memoryview(bad)).inline(row))
        bad = bad.replace(row.body_hash, digest(body))
        tamperer.write([*payloads[:number], bad, *payloads[number + 1 :]])
        with pytest.raises(CorruptLog):
            await stage.as_(alice).load(note)
    else:
        genesis = payloads[0].replace(b"\xa7inherit\xa7inherit", b"\xa8everyone\xa6nobody", 1)
        assert len(genesis) == len(payloads[0])
        tamperer.write([genesis, *payloads[1:]])
        with pytest.raises(CorruptLog):
            await stage.as_(alice).store("sealed, or so she thinks")
        assert b"so she thinks" not in b"".join(stage.disk.snapshot().values())


# --- chains without keys -------------------------------------------------------------------------


async def test_without_keys_there_are_only_checksums() -> None:
    """Said in the threat model: who can write these files can write any history."""
    stage = Stage()
    for number in range(4):
        await stage.as_(None).store(f"note {number}")
    tamperer = stage.tamperer()
    payloads = tamperer.payloads()
    tamperer.write([*payloads[:2], *payloads[3:]])
    tamperer.remove("index")
    with pytest.raises(StorageError):
        await stage.as_(None).open(readonly=True)


async def test_a_stranger_cannot_seal_and_leaves_no_trace() -> None:
    stage, alice, _ = await play()
    before = stage.tamperer().payloads()
    with pytest.raises(NoReadKey):
        await stage.as_(member("mallory")).store("hello")
    assert stage.tamperer().payloads() == before
    assert Access(write=Any(alice.public)).write != Everyone
