from __future__ import annotations

import msgspec

from ate.wire.message import EITHER, FROM_CLIENT, FROM_SERVER, Message

EVERY = (*EITHER, *FROM_CLIENT, *FROM_SERVER)


def test_numbers_are_unique_and_tell_the_speaker() -> None:
    tags = {kind: kind.__struct_config__.tag for kind in EVERY}
    assert len(set(tags.values())) == len(EVERY) == len(Message.__subclasses__())
    assert all(isinstance(tag, int) and tag < 16 for kind, tag in tags.items() if kind in EITHER)
    assert all(16 <= tags[kind] < 32 for kind in FROM_CLIENT)  # type: ignore[operator]
    assert all(32 <= tags[kind] < 64 for kind in FROM_SERVER)  # type: ignore[operator]


def test_every_message_ends_with_room_for_more() -> None:
    for kind in EVERY:
        last = msgspec.structs.fields(kind)[-1]
        assert last.encode_name == "more"
        assert not last.required
        assert kind.__struct_config__.array_like
        assert kind.__struct_config__.frozen
