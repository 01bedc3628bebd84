"""Vectors of what servers sign: statements, acknowledgements and evidence; it judges none."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ate.errors import AteError
from ate.mesh import evidence
from ate.mesh.acknowledged import Acknowledged
from ate.mesh.evidence import Commit, Evidence, Replaced, Rewritten, Shrunk, Split
from ate.mesh.tree import continuation
from ate.testing.spokesman import Spokesman, Story
from ate.trust.attest import HeadStatement

OURS = Story(("common", 5), ("ours", 11))
THEIRS = Story(("common", 5), ("theirs", 11))


def statements() -> dict[str, Any]:
    """Return all of them."""
    server = Spokesman()
    first = server.say(OURS, 9)
    later = server.say(THEIRS, answers=first.hash)
    kept = Acknowledged.of(OURS.commits[7], first, OURS)
    told: dict[str, Evidence] = {
        "two histories of one size": Split(first.encode(), server.say(THEIRS, 9).encode()),
        "fewer commits than before": Shrunk(
            first.encode(), server.say(OURS, 8, answers=first.hash).encode()
        ),
        "another beginning": Rewritten(first.encode(), later.encode(), continuation(THEIRS, 9, 16)),
        "another beginning, the old tree being one full subtree": Rewritten(
            server.say(OURS, 8).encode(), later.encode(), continuation(THEIRS, 8, 16)
        ),
        "another commit in its place": Replaced(
            first.encode(), later.encode(), kept.commit, THEIRS.leaves[7], THEIRS.inclusion(7, 16)
        ),
    }
    return {
        "about": "what servers sign; leaves are those of the tree over all commits",
        "leaves": {name: [one.hex() for one in story.leaves]
                   for name, story in (("ours", OURS), ("theirs", THEIRS))},
        "statements": [_statement(one) for one in (first, later)],
        "acknowledgement": {"file": kept.encode().hex(), "index": 7},
        "valid": [
            {"name": name, "file": evidence.encode(one).hex(), "kind": one.kind,
             "server": server.key.key_id.hex()}
            for name, one in told.items()
        ],
        "invalid": [_invalid(*case) for case in _wrongs(first, later, kept.commit, told)],
    }  # fmt: skip


def _statement(said: HeadStatement) -> dict[str, Any]:
    return {
        "statement": said.encode().hex(),
        "size": said.size,
        "root": said.root.hex(),
        "message": said.message().hex(),
        "hash": said.hash.hex(),
    }


def _wrongs(
    first: HeadStatement, later: HeadStatement, commit: Commit, told: dict[str, Evidence]
) -> list[tuple[str, bytes]]:
    raw, other = evidence.encode, Spokesman(2)
    one, two = first.encode(), later.encode()
    whole = raw(told["two histories of one size"])
    longer, unsigned = Spokesman().say(OURS).encode(), replace(first, root=later.root).encode()
    return [
        ("two moments", raw(Split(one, two))),
        ("the later one is larger", raw(Shrunk(one, two))),
        ("it does not answer", raw(Shrunk(two, one))),
        ("a chain that grew", raw(Rewritten(one, longer, continuation(OURS, 9, 16)))),
        ("a path of another tree", raw(Rewritten(one, two, continuation(OURS, 9, 16)))),
        ("no path", raw(Rewritten(one, two, ()))),
        ("a commit that is where it was",
         raw(Replaced(one, longer, commit, OURS.leaves[7], OURS.inclusion(7, 16)))),
        ("a commit that was never there",
         raw(Replaced(one, two, replace(commit, index=6), THEIRS.leaves[6],
                      THEIRS.inclusion(6, 16)))),
        ("of two servers", raw(Split(one, other.say(THEIRS, 9).encode()))),
        ("about two chains",
         raw(Split(one, Spokesman().say(THEIRS, 9, chain_id=bytes(32)).encode()))),
        ("a statement that nobody signed", raw(Split(one, unsigned))),
        ("a statement that is none", raw(Split(one, b"none"))),
        ("another kind", evidence.MAGIC + bytes.fromhex("9305c400c400")),
        ("a byte too many", whole + b"\0"),
        ("a newer version", b"ATEEVD2\n" + whole[8:]),
        ("something else", b"ATEPRF1\n" + whole[8:]),
    ]  # fmt: skip


def _invalid(name: str, raw: bytes) -> dict[str, Any]:
    try:
        evidence.judge(evidence.decode(raw))
    except AteError as error:
        return {"name": name, "file": raw.hex(), "error": error.code}
    raise AssertionError(name)
