from __future__ import annotations

from typing import Any

import pytest
from tests.wire import key

from ate.errors import UsageError
from ate.wire.terms import PeerSession, Terms


@pytest.mark.parametrize(
    "wrong",
    [
        {"frame_max": 4095},
        {"frame_max": (1 << 20) + 1},
        {"message_max": 65_535},
        {"message_max": 67 << 20},
        {"keepalive_s": 0.0},
        {"handshake_s": -1.0},
        {"formats": ()},
        {"formats": ("xml",)},
        {"versions": ()},
    ],
)
def test_terms_that_cannot_be_held(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Terms(**wrong)


def test_terms_that_can() -> None:
    assert Terms(frame_max=4096, message_max=65_536, formats=("json",)).versions == (1,)


def test_a_peer_is_named_by_its_key() -> None:
    assert PeerSession().key_id == b""
    assert PeerSession(key=key(1).public).key_id == key(1).public.key_id
