from __future__ import annotations

import msgspec

from ate.event.access import Access
from ate.event.draft import Draft
from ate.event.header import Header


def test_a_draft_without_options_has_no_header_and_compares_its_base() -> None:
    draft = Draft(1, b"i" * 16, b"p" * 16, 0, 0, 0, 0, 1, b"body")
    assert draft.header is None
    assert not draft.overwrite


def test_a_changed_draft_is_another_one() -> None:
    draft = Draft(1, b"i" * 16, b"p" * 16, 0, 0, 0, 0, 1, b"body")
    other = msgspec.structs.replace(draft, header=Header(Access()))
    assert draft.header is None
    assert other.body is draft.body
