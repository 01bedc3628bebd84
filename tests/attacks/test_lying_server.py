"""Lying server: signs what it holds, and later holds something else; or is accused wrongly.

What it signed must convict it, in a file that needs no trust in the client. And no client must be
able to make such a file against a server that told the truth.
"""

from __future__ import annotations

import itertools

import msgspec
import pytest

from ate.crypto.sign import VerifyKey
from ate.errors import AteError, TrustError
from ate.mesh.acknowledged import Acknowledged
from ate.mesh.evidence import (
    Commit,
    Contradiction,
    Evidence,
    Replaced,
    Rewritten,
    Shrunk,
    Split,
    decode,
    encode,
    judge,
)
from ate.mesh.tree import continuation
from ate.mesh.witness import Witness
from ate.testing.spokesman import CHAIN, Spokesman, Story
from ate.trust.attest import HeadStatement

OURS = Story(("common", 5), ("ours", 11))


class Client:
    """A replica with its witness; it is closed and opened again at every step."""

    def __init__(self, server: Spokesman) -> None:
        self.server = server
        self._kept = Witness(CHAIN, server.key).encode()

    def witness(self) -> Witness:
        return Witness.decode(self._kept, CHAIN, self.server.key)

    def connect(self, story: Story, size: int = -1, *, answers: bytes | None = None) -> None:
        """Show what was seen last; take the reply and the commits of `story`."""
        one = self.witness()
        reply = self.server.say(story, size, answers=one.seen if answers is None else answers)
        one.hear(reply.encode(), answers=one.seen)
        self._kept = one.encode()
        one.check(story)
        self._kept = one.encode()

    def convicted(self, story: Story, size: int = -1) -> str:
        """Connect, be lied to, and let a stranger judge the evidence."""
        with pytest.raises(Contradiction) as found:
            self.connect(story, size)
        return verdict_of(found.value, self.server.key)


def verdict_of(error: Contradiction, server: VerifyKey) -> str:
    assert error.evidence is not None
    verdict = judge(decode(encode(error.evidence)))
    assert verdict.server == server
    return verdict.kind


def client() -> Client:
    made = Client(Spokesman())
    made.connect(OURS, 9)
    return made


def test_commits_that_are_dropped_from_the_end() -> None:
    assert client().convicted(OURS, 8) == "shrunk"


def test_a_server_that_is_set_back_to_a_backup_and_goes_on_otherwise() -> None:
    restored = Story(("common", 5), ("after the restore", 4))
    assert client().convicted(restored) == "split"


def test_a_commit_that_is_dropped_from_the_middle() -> None:
    """A client that comes with an empty copy, and kept only what it was acknowledged."""
    server = Spokesman()
    kept = Acknowledged.of(OURS.commits[6], server.say(OURS, 9), OURS)
    without = Story(("common", 5), ("others", 11))
    again = Client(server)
    again.connect(without)
    with pytest.raises(Contradiction) as found:
        again.witness().recall(kept, without)
    assert verdict_of(found.value, server.key) == "replaced"


def test_a_history_that_is_rewritten_before_the_client_has_all_of_it() -> None:
    server = Spokesman()
    one = Client(server)
    witness = one.witness()
    witness.hear(server.say(OURS, 9).encode())  # the commits were to follow
    one._kept = witness.encode()
    for size in range(10, 17):
        assert one.convicted(Story(("common", 5), ("rewritten", 11)), size) == "rewritten"


def test_a_fork_is_found_as_soon_as_two_clients_compare() -> None:
    server = Spokesman()
    alice, bob = Client(server), Client(server)
    alice.connect(OURS, 9)
    bob.connect(Story(("common", 5), ("for bob", 4)))
    newest = bob.witness().newest
    assert newest is not None
    with pytest.raises(Contradiction) as found:
        alice.witness().hear(newest.encode())
    assert verdict_of(found.value, server.key) == "split"


def test_what_is_only_late_or_played_again_is_refused_and_proves_nothing() -> None:
    server = Spokesman()
    one = Client(server)
    one.connect(OURS, 6)
    old = server.say(OURS, 6, answers=b"")
    one.connect(OURS, 9)
    for shown in (one.witness().seen, None):
        with pytest.raises(Contradiction) as found:
            one.witness().hear(old.encode(), answers=shown)
        assert found.value.evidence is None
    # A newer one that does not answer may have been made for somebody else.
    with pytest.raises(Contradiction, match="does not answer") as found:
        one.connect(OURS, 12, answers=b"")
    assert found.value.evidence is None
    one.connect(OURS, 12)


# --- accusing an honest server -------------------------------------------------------------------

HONEST = Spokesman()


def said() -> list[HeadStatement]:
    """What an honest server signs of a growing chain, each answering the one before."""
    found: list[HeadStatement] = []
    for size in (3, 4, 8, 8, 9, 16):
        answers = found[-1].hash if found else b""
        found.append(HONEST.say(OURS, size, answers=answers))
    return found


def test_no_two_statements_of_an_honest_server_make_evidence() -> None:
    other = Story(("common", 5), ("made up", 11))
    count = 0
    for first, second in itertools.product(said(), repeat=2):
        pair = first.encode(), second.encode()
        tries: list[Evidence] = [Split(*pair), Shrunk(*pair)]
        for story in (OURS, other):
            if 0 < first.size < second.size:
                path = continuation(story, first.size, second.size)
                tries += [Rewritten(*pair, path), Rewritten(*pair, path[1:])]
            for index in range(min(first.size, second.size)):
                mine = OURS.commits[index]
                path = OURS.inclusion(index, first.size)
                commit = Commit(mine.commit_root, mine.first_seq, mine.time_us, index, path)
                theirs = story.inclusion(index, second.size)
                tries.append(Replaced(*pair, commit, story.leaves[index], theirs))
                tries.append(Replaced(*pair, commit, story.leaves[index - 1], theirs))
        for one in tries:
            count += 1
            with pytest.raises(TrustError):
                judge(one)
    assert count > 500


def true_evidence() -> list[Evidence]:
    """Of each kind one, against a server that lied."""
    server, theirs = Spokesman(3), Story(("common", 5), ("theirs", 11))
    first = server.say(OURS, 9)
    mine = OURS.commits[7]
    commit = Commit(mine.commit_root, mine.first_seq, mine.time_us, 7, OURS.inclusion(7, 9))
    return [
        Split(first.encode(), server.say(theirs, 9).encode()),
        Shrunk(first.encode(), server.say(OURS, 8, answers=first.hash).encode()),
        Rewritten(first.encode(), server.say(theirs).encode(), continuation(theirs, 9, 16)),
        Replaced(first.encode(), server.say(theirs).encode(), commit, theirs.leaves[7],
                 theirs.inclusion(7, 16)),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", range(4))
def test_every_flipped_byte_takes_the_force_from_it(kind: int) -> None:
    evidence = true_evidence()[kind]
    raw = encode(evidence)
    judge(decode(raw))
    # All but the insides of keys and long signatures, and of those every thirteenth.
    for at in range(len(raw)):
        if 400 < at < len(raw) - 1200 and at % 13:
            continue
        broken = bytearray(raw)
        broken[at] ^= 1 << at % 8
        with pytest.raises(AteError):
            judge(decode(broken))


@pytest.mark.parametrize("kind", range(4))
def test_the_words_of_a_liar_do_not_convict_another(kind: int) -> None:
    """The server's key, its certificate or its signature in the place of an honest one's."""
    evidence = true_evidence()[kind]
    honest = HONEST.say(OURS, 9)
    for part in ("first", "second"):
        liar = HeadStatement.decode(getattr(evidence, part))
        forged = [
            honest,
            msgspec.structs.replace(liar, certificate=honest.certificate),
            msgspec.structs.replace(honest, certificate=liar.certificate),
            msgspec.structs.replace(honest, signature=liar.signature),
            msgspec.structs.replace(honest, root=liar.root, size=liar.size),
            msgspec.structs.replace(
                liar,
                certificate=msgspec.structs.replace(
                    liar.certificate, issuer=honest.certificate.issuer
                ),
            ),
        ]
        for one in forged:
            with pytest.raises(TrustError):
                judge(msgspec.structs.replace(evidence, **{part: one.encode()}))


def test_evidence_with_its_parts_swapped() -> None:
    for evidence in true_evidence()[1:]:
        swapped = msgspec.structs.replace(evidence, first=evidence.second, second=evidence.first)
        with pytest.raises(TrustError):
            judge(swapped)
    # Which of two histories of one size was told first makes no difference.
    split = true_evidence()[0]
    assert judge(msgspec.structs.replace(split, first=split.second, second=split.first))


def test_an_acknowledgement_cannot_be_made_for_a_commit_that_the_server_never_had() -> None:
    """The commits of a story that the server has not signed, under every statement it made."""
    made_up = Story(("common", 5), ("made up", 11))
    for statement in said():
        for index in range(5, statement.size):
            mine = made_up.commits[index]
            for story in (OURS, made_up):
                path = story.inclusion(index, statement.size)
                commit = Commit(mine.commit_root, mine.first_seq, mine.time_us, index, path)
                with pytest.raises(TrustError):
                    Acknowledged(statement.encode(), commit).check(HONEST.key)
