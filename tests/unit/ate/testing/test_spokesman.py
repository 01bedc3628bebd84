from __future__ import annotations

import pytest

from ate import merkle
from ate.testing.spokesman import CHAIN, Spokesman, Story


def test_stories_share_what_begins_alike() -> None:
    one, other = Story(("common", 3), ("mine", 2)), Story(("common", 3), ("yours", 2))
    assert one.size == 5
    assert one.root(3) == other.root(3)
    assert one.root(5) != other.root(5)
    assert [part.hash for part in one.between(1, 3)] == one.leaves[1:3]
    merkle.verify_inclusion(one.leaves[4], 4, 5, one.inclusion(4, 5), one.root(5))


def test_it_signs_what_it_is_told() -> None:
    server, story = Spokesman(), Story(("a", 4))
    said = server.say(story, 3, answers=CHAIN)
    said.verify(server.key)
    assert (said.chain_id, said.size, said.root) == (CHAIN, 3, story.root(3))
    assert said.answers == CHAIN
    assert server.say(story).size == 4
    assert server.say(story).time_us > said.time_us
    with pytest.raises(Exception, match="not of"):
        said.verify(Spokesman(2).key)
