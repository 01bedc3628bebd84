"""The conformance suite of `LogStore`: a backend that passes can carry a chain; it tests no bytes.

Derive a class, give it `opener`, and let pytest collect it:

    class TestMine(LogStoreSuite):
        @pytest.fixture(autouse=True)
        def _place(self, tmp_path):
            self.opener = lambda readonly: MyLog(tmp_path, readonly=readonly)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ate import limits
from ate.errors import AteError, CorruptLog, LimitExceeded, LogLocked, ReadOnly, StorageError
from ate.log.store import LogStore


@contextmanager
def raises(error: type[AteError]) -> Iterator[None]:
    """Assert that the block raises `error`."""
    try:
        yield
    except error:
        return
    raise AssertionError(f"{error.__name__} was not raised")


def payloads(log: LogStore, after: int = 0) -> list[bytes]:
    """Return all payloads behind a place."""
    return [bytes(payload) for _, payload in log.scan(after)]


class LogStoreSuite:
    """What every `LogStore` does.

    Attributes:
        opener: opens the same log each time, for reading when its argument is true.
        is_kept: what was flushed is there when the log is opened again, and there are readers.
    """

    opener: Callable[[bool], LogStore]
    is_kept = True

    def test_a_new_log_is_empty(self) -> None:
        log = self.opener(False)
        assert payloads(log) == []
        assert log.torn == ()
        assert not log.readonly
        assert log.end > 0
        log.close()

    def test_frames_come_back_in_order_whole_and_by_place(self) -> None:
        log = self.opener(False)
        wanted = [bytes([n]) * n for n in range(40)]
        places = [log.append((one[:3], memoryview(one)[3:])) for one in wanted]
        assert places == sorted(set(places))
        assert all(place > 0 for place in places)
        assert [place for place, _ in log.scan()] == places
        assert payloads(log) == wanted
        for place, one in zip(places, wanted, strict=True):
            assert bytes(log.read(place)) == one
            assert bytes(log.read(place, verify=True)) == one
        log.close()

    def test_scan_starts_behind_a_frame(self) -> None:
        log = self.opener(False)
        places = [log.append((b"%d" % n,)) for n in range(5)]
        assert payloads(log, places[1]) == [b"2", b"3", b"4"]
        assert payloads(log, places[-1]) == []
        with raises(CorruptLog):
            payloads(log, places[0] + 8)
        log.close()

    def test_a_group_is_one_append_of_many(self) -> None:
        log = self.opener(False)
        assert log.append_many([]) == []
        places = log.append_many([(b"a",), (b"b", b"c"), ()])
        assert [bytes(log.read(place)) for place in places] == [b"a", b"bc", b""]
        behind = log.append((b"d",))
        assert payloads(log) == [b"a", b"bc", b"", b"d"]
        assert places[-1] < behind < log.end
        log.close()

    def test_bodies_keep_their_bytes(self) -> None:
        log = self.opener(False)
        bodies = [bytes([n]) * (70_001 + n) for n in range(3)]
        places = [log.write_body((one[:7], one[7:])) for one in bodies]
        log.append((b"names them",))
        log.flush()
        for place, one in zip(places, bodies, strict=True):
            assert place >> 63 == 1
            assert log.body(place, len(one)) == one
        log.close()

    def test_a_place_that_is_none_is_refused(self) -> None:
        log = self.opener(False)
        place = log.append((b"one",))
        body = log.write_body((b"body",))
        for wrong in (0, place + 8, place + (1 << 40), log.end, body):
            with raises(CorruptLog):
                log.read(wrong)
        for wrong, length in ((place, 3), (body, 4096), (body + (1 << 40), 1), (1 << 63, 1)):
            with raises(CorruptLog):
                log.body(wrong, length)
        log.close()

    def test_bodies_that_no_frame_names_can_be_dropped(self) -> None:
        log = self.opener(False)
        named = log.write_body((b"n" * 1001,))
        orphan = log.write_body((b"o" * 1001,))
        log.trim_bodies(named + 1001)
        assert bytes(log.body(named, 1001)) == b"n" * 1001
        assert log.write_body((b"p" * 10,)) == orphan
        assert bytes(log.body(orphan, 10)) == b"p" * 10
        with raises(CorruptLog):
            log.trim_bodies(orphan + 100_000)
        log.trim_bodies(0)
        with raises(CorruptLog):
            log.body(named, 1001)
        assert log.write_body((b"q",)) == named
        log.close()

    def test_the_index_is_replaced_whole(self) -> None:
        log = self.opener(False)
        assert log.read_index() is None
        log.write_index((b"first", b" index"))
        log.write_index((b"second",))
        index = log.read_index()
        assert index is not None
        assert bytes(index) == b"second"
        log.close()

    def test_a_payload_over_the_bound_is_refused_and_leaves_nothing(self) -> None:
        log = self.opener(False)
        with raises(LimitExceeded):
            log.append((bytes(limits.COMMIT_BYTES_MAX), b"x"))
        assert payloads(log) == []
        log.close()

    def test_large_and_odd_payloads(self) -> None:
        log = self.opener(False)
        wanted = [bytes(range(256)) * 300, b"", b"ATEf" * 9, bytes(70_000), b"x"]
        for one in wanted:
            log.append((one,))
            log.flush()
        assert payloads(log) == wanted
        log.close()

    def test_closed_means_closed(self) -> None:
        log = self.opener(False)
        log.append((b"x",))
        log.close()
        log.close()
        for call in (log.flush, lambda: log.append((b"y",)), lambda: log.write_body((b"z",))):
            with raises(StorageError):
                call()

    def test_views_outlive_the_log(self) -> None:
        log = self.opener(False)
        view = log.read(log.append((b"still here",)))
        for n in range(300):
            log.append((bytes(1000), b"%d" % n))
        log.close()
        assert bytes(view) == b"still here"

    def test_a_successor_takes_over(self) -> None:
        log = self.opener(False)
        log.append((b"old",))
        log.write_index((b"old index",))
        new = log.successor()
        assert new.generation > log.generation
        assert payloads(new) == []
        assert new.read_index() is None
        log.append((b"goes on",))
        body = new.write_body((b"body" * 20_000,))
        place = new.append((b"new",))
        new.take_over(log)
        assert payloads(log) == [b"old", b"goes on"], "it can be read until it is closed"
        log.close()
        assert new.sweep() == ()
        assert bytes(new.read(place)) == b"new"
        assert bytes(new.body(body, 4)) == b"body"
        new.append((b"more",))
        new.flush()
        assert new.size() > 80_000
        assert new.read_index() is None
        new.write_index((b"new index",))
        new.close()
        if self.is_kept:
            again = self.opener(False)
            assert again.generation == new.generation
            assert payloads(again) == [b"new", b"more"]
            assert bytes(again.read_index() or b"") == b"new index"
            again.close()

    def test_a_successor_that_is_given_up(self) -> None:
        log = self.opener(False)
        log.append((b"one",))
        for _ in range(2):
            new = log.successor()
            new.append((b"lost",))
            new.close()
        assert log.sweep() == ()
        log.append((b"two",))
        log.flush()
        assert payloads(log) == [b"one", b"two"]
        assert not log.is_superseded()
        log.close()
        if self.is_kept:
            again = self.opener(False)
            assert payloads(again) == [b"one", b"two"]
            again.close()

    def test_a_reader_keeps_its_generation_and_moves_on_when_it_likes(self) -> None:
        if not self.is_kept:
            return
        log = self.opener(False)
        place = log.append((b"old",))
        body = log.write_body((b"body" * 20_000,))
        log.flush()
        reader = self.opener(True)
        assert not reader.is_superseded()
        new = log.successor()
        new.append((b"new",))
        new.take_over(log)
        log.close()
        assert len(new.sweep()) == 1
        assert reader.is_superseded()
        reader.refresh()
        assert bytes(reader.read(place, verify=True)) == b"old"
        assert bytes(reader.body(body, 4)) == b"body"
        moved = reader.reopened()
        assert moved.readonly
        assert not moved.is_superseded()
        assert payloads(moved) == [b"new"]
        assert len(new.sweep()) == 1
        reader.close()
        assert new.sweep() == ()
        for call in (moved.successor, lambda: moved.take_over(new)):
            with raises(ReadOnly):
                call()
        new.append((b"more",))
        new.flush()
        moved.refresh()
        assert payloads(moved) == [b"new", b"more"]
        moved.close()
        new.close()

    def test_destroy_leaves_nothing(self) -> None:
        log = self.opener(False)
        log.append((b"x",))
        log.write_body((b"y",))
        log.write_index((b"z",))
        log.flush()
        log.destroy()
        fresh = self.opener(False)
        assert payloads(fresh) == []
        assert fresh.read_index() is None
        fresh.close()

    def test_what_was_flushed_is_there_again(self) -> None:
        if not self.is_kept:
            return
        log = self.opener(False)
        place = log.append((b"one",))
        body = log.write_body((b"body",))
        log.append((b"two",))
        log.flush()
        log.write_index((b"index",))
        log.close()
        again = self.opener(False)
        assert payloads(again) == [b"one", b"two"]
        assert bytes(again.read(place)) == b"one"
        assert bytes(again.body(body, 4)) == b"body"
        assert bytes(again.read_index() or b"") == b"index"
        again.append((b"three",))
        assert payloads(again, place) == [b"two", b"three"]
        assert all(size > 0 for size in again.files().values())
        again.close()

    def test_there_is_one_writer(self) -> None:
        if not self.is_kept:
            return
        log = self.opener(False)
        with raises(LogLocked):
            self.opener(False)
        log.close()
        self.opener(False).close()

    def test_a_reader_follows_and_never_writes(self) -> None:
        if not self.is_kept:
            return
        log = self.opener(False)
        log.append((b"one",))
        log.flush()
        reader = self.opener(True)
        assert reader.readonly
        assert payloads(reader) == [b"one"]
        body = log.write_body((b"body",))
        place = log.append((b"two",))
        log.flush()
        assert payloads(reader) == [b"one"]
        reader.refresh()
        assert bytes(reader.read(place)) == b"two"
        assert bytes(reader.body(body, 4)) == b"body"
        assert reader.end == log.end
        for call in (
            reader.flush,
            reader.destroy,
            lambda: reader.append((b"x",)),
            lambda: reader.append_many([(b"x",)]),
            lambda: reader.write_body((b"x",)),
            lambda: reader.write_index((b"x",)),
            lambda: reader.trim_bodies(0),
        ):
            with raises(ReadOnly):
                call()
        log.close()
        reader.refresh()
        assert payloads(reader) == [b"one", b"two"]
        reader.close()
