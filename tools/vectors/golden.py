"""Golden logs: small chains whose files open for ever; it never replaces one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tools.vectors.fixed import DAY_US, VECTORS, oid, write
from tools.vectors.trust import parts_of, principal_of

from ate.crypto.entropy import SeededEntropy
from ate.crypto.sign import FastKey
from ate.event.access import Access, Everyone, Only
from ate.event.access import Any as AnyOf
from ate.event.prefix import is_commit
from ate.event.thinned import decode_record
from ate.session import Certificate, FastIdentity, Session
from ate.testing.simclock import SimClock
from ate.testing.stage import Note, Stage, member

SUITES = {"plain": 0, "suite1": 1, "suite2": 2, "compacted": 2}


def actors(name: str) -> dict[str, Session]:
    """Return who plays in a golden log, with devices and session keys that repeat."""
    found = {}
    for who in ("alice", "bob", "mallory"):
        found[who] = session = member(who)
        draw = SeededEntropy(f"fast {name} {who}".encode())
        session.fast = _fixed_fast(session, draw)  # type: ignore[method-assign,assignment]
    return found


def _fixed_fast(session: Session, draw: SeededEntropy) -> Callable[[bytes, int], FastIdentity]:
    """Return what certifies one session key from a seed, instead of a random one."""
    made: list[FastIdentity] = []

    def fast(chain_id: bytes, now_us: int) -> FastIdentity:
        if not made:
            key = FastKey.from_seed(draw(32))
            pair = session.own
            claim = Certificate(bytes(key.public.raw), pair.key_id, chain_id, now_us + 30 * DAY_US)
            signature = pair.sign.sign(claim.message(), b"ate/certificate/1")
            made.append(
                FastIdentity(
                    key,
                    key.public.key_id,
                    (Certificate(*parts_of(claim), signature),),
                    claim.until_us,
                )
            )
        return made[0]

    return fast


async def play(stage: Stage, name: str) -> dict[str, str]:
    """Write one golden log and return what it holds: id → text."""
    cast = actors(name)
    alice, bob = (cast["alice"], cast["bob"]) if SUITES[name] else (None, None)
    draw = SeededEntropy(name.encode())
    async with stage.open(alice, entropy=draw) as chain:
        dio = chain.dio()
        dio.store(Note("the first"), id=oid(0xA1))
        dio.store(Note("to be deleted"), id=oid(0xA2))
        await dio.commit()
        dio = chain.dio()
        dio.store(Note("on the board"), id=oid(0xB0), access=Access(Everyone, Everyone))
        await dio.commit()
        dio = chain.dio()
        if alice and bob:
            rule = Access(Only(alice.public, bob.public), AnyOf(alice.public, bob.public))
            dio.store(Note("between two"), id=oid(0xC0), access=rule)
        else:
            dio.store(Note("a folder"), id=oid(0xC0))
        dio.store(Note("inside"), id=oid(0xC1), parent=oid(0xC0))
        await dio.commit()
        (await dio.load(Note, oid(0xA1))).value = Note("the first, changed")
        (await dio.load(Note, oid(0xA2))).delete()
        await dio.commit()
    async with stage.open(bob, entropy=draw) as chain:
        dio = chain.dio()
        dio.store(Note("from bob"), id=oid(0xC2), parent=oid(0xC0))
        (await dio.load(Note, oid(0xC1))).move(oid(0xB0))
        await dio.commit()
    async with stage.open(alice, entropy=draw) as chain:
        dio = chain.dio()
        if alice:
            (await dio.load(Note, oid(0xC0))).access = Access(
                Only(alice.public), AnyOf(alice.public)
            )
            await dio.commit()
        dio.store(Note("large " * (12_000 if SUITES[name] == 2 else 12)), id=oid(0xD0))
        await dio.commit()
    if alice:
        async with stage.open(alice, entropy=draw) as chain:
            await chain.checkpoint()
    if name == "compacted":
        async with stage.open(alice, entropy=draw) as chain:
            await chain.compact()
            dio = chain.dio()
            dio.store(Note("behind the cut"), id=oid(0xE0))
            await dio.commit()
    async with stage.open(alice) as chain:
        return {str(dao.id): dao.value.text async for dao in chain.dio().all(Note)}


async def golden_stage(name: str) -> Stage:
    """Return a stage with the frozen files of a golden log."""
    stage = Stage("golden", suite=SUITES[name] or 2)
    stage.clock = SimClock(1_767_225_600_000_000 + DAY_US)
    for path in ("/chains", "/chains/golden", "/chains/golden/000001", "/chains/golden/000002"):
        stage.disk.mkdir(path)
    folder = VECTORS / "logs" / "v1" / name
    for file in sorted(
        one for one in folder.rglob("*") if one.is_file() and one.name != "expected.json"
    ):
        stage.disk.put(f"/chains/golden/{file.relative_to(folder).as_posix()}", file.read_bytes())
    return stage


async def golden(name: str, folder: Path) -> None:
    """Play a golden log and write its files and what they hold."""
    stage = Stage("golden", suite=SUITES[name] or 2)
    stage.clock = SimClock(tick_us=1_000_000)
    texts = await play(stage, name)
    if name != "compacted":
        stage.tamperer().remove("index")
    ledger = await stage.ledger()
    view = ledger.view
    for path, raw in stage.disk.snapshot().items():
        target = folder / path.removeprefix("/chains/golden/")
        if target.name not in ("LOCK", "index"):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(raw)
    payloads = [payload for _, payload in ledger.store.scan(0)]
    commits = [decode_record(one) for one in payloads if is_commit(one)]
    told = {
        "about": "a chain that opens for ever; `objects` as read with the keys of alice",
        "name": "golden",
        "suite": SUITES[name],
        "chain_id": view.trust.chain_id.hex(),
        "head": view.head,
        "root": view.frontier.root().hex(),
        "link": view.link.hex(),
        "size": view.frontier.size,
        "commits": [
            {
                "root": one.root.hex(),
                "leaf": one.leaf.hex(),
                "first_seq": one.first_seq,
                "rows": one.author.row_count,
            }
            for one in commits
        ],
        "objects": {
            key: text if len(text) < 100 else {"repeat": text[:6], "times": len(text) // 6}
            for key, text in texts.items()
        },
        "keys": {who: principal_of(one) for who, one in actors(name).items()}
        if SUITES[name]
        else {},
    }
    write(folder / "expected.json", told)
