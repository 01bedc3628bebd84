from __future__ import annotations

from ate.event.row import Row
from ate.trust.plugin import Change, Worker
from ate.trust.worker import OnChange

ZERO = bytes(16)
ROW = Row(1, 0, 0, 0, 7, ZERO, ZERO, 0, 0, ZERO, 0, bytes(32), 0, 0, 0)


def test_the_callback_gets_each_change_once() -> None:
    seen: list[Change] = []
    worker = OnChange(frozenset((7,)), seen.append, name="mailer")
    changes = [Change(seq, 0, ROW, None, b"plain") for seq in (1, 2)]
    for change in changes:
        worker.run(change)
    assert seen == changes


def test_it_is_a_worker_with_types_and_a_name() -> None:
    worker = OnChange(frozenset((7,)), lambda _: None)
    assert isinstance(worker, Worker)
    assert (worker.schemas, worker.name) == (frozenset((7,)), "worker")
