from __future__ import annotations

from ate.chain.feed import Feed


def test_everybody_is_told_at_each_publish() -> None:
    feed, rung = Feed(), list[str]()
    feed.subscribe(lambda: rung.append("first"))
    feed.subscribe(lambda: rung.append("second"))
    feed.publish(7)
    assert rung == ["first", "second"]
    assert feed.head == 7
    assert len(feed) == 2


def test_who_leaves_is_told_no_more_and_may_leave_twice() -> None:
    feed, rung = Feed(), list[int]()

    def wake() -> None:
        rung.append(feed.head)
        feed.unsubscribe(wake)

    feed.subscribe(wake)
    feed.subscribe(lambda: rung.append(-feed.head))
    feed.publish(1)
    feed.publish(2)
    feed.unsubscribe(wake)
    assert rung == [1, -1, -2], "leaving while being told disturbs nobody"
    assert len(feed) == 1
