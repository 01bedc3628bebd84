"""The conformance suite of `ObjectStore`: a destination that passes can hold backups.

It tests what backups rely on, and never how an object is kept.

    class TestMine(ObjectStoreSuite):
        @pytest.fixture(autouse=True)
        def _place(self, tmp_path):
            self.store = MyStore(tmp_path)
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from ate.archive.store import Entry, ObjectStore
from ate.errors import NotFound
from ate.limits import PIECE_BYTES_MAX
from ate.testing.store_suite import raises


class ObjectStoreSuite:
    """What every `ObjectStore` does.

    Attributes:
        store: an empty one.
    """

    store: ObjectStore

    def test_it_has_a_name_and_nothing_in_it(self) -> None:
        assert self.store.name
        assert self.store.folders() == []
        assert list(self.store.walk("a~1/points/")) == []

    def test_an_object_comes_back(self) -> None:
        for size in (0, 1, 70_000):
            data = bytes(range(256)) * (size // 256) + bytes(size % 256)
            assert self.store.put_new(f"a/{size}", data)
            assert self.store.get(f"a/{size}", size) == data

    def test_the_largest_piece_comes_back(self) -> None:
        data = b"piece of eight.." * (PIECE_BYTES_MAX // 16)
        assert self.store.put_new("a/large", data)
        assert self.store.get("a/large", PIECE_BYTES_MAX) == data

    def test_an_object_is_never_replaced(self) -> None:
        assert self.store.put_new("a/b/c", b"first")
        assert not self.store.put_new("a/b/c", b"second")
        assert not self.store.put_new("a/b/c", b"first")
        assert self.store.get("a/b/c", 100) == b"first"

    def test_of_many_at_once_one_writes(self) -> None:
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(lambda n: self.store.put_new("a/race", b"%d" % n), range(8)))
        assert sum(won) == 1
        assert self.store.get("a/race", 9) == b"%d" % won.index(True)

    def test_no_more_is_read_than_one_byte_too_many(self) -> None:
        self.store.put_new("a/long", b"0123456789")
        assert self.store.get("a/long", 10) == b"0123456789"
        assert self.store.get("a/long", 4) == b"01234"

    def test_what_is_not_there_is_not_found(self) -> None:
        self.store.put_new("a/b", b"")
        for key in ("a/c", "b/c", "a/b2"):
            with raises(NotFound):
                self.store.get(key, 1)

    def test_a_listing_is_of_a_folder_and_all_below(self) -> None:
        for key in ("a~1/data/00000001/x", "a~1/data/00000002/y", "a~1/points/1", "a~12/data/z"):
            self.store.put_new(key, key.encode())
        found = sorted(self.store.walk("a~1/data/"))
        assert found == [Entry("a~1/data/00000001/x", 19), Entry("a~1/data/00000002/y", 19)]
        assert list(self.store.walk("a~1/data/00000003/")) == []
        assert self.store.folders() == ["a~1", "a~12"]

    def test_a_listing_may_be_long(self) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: self.store.put_new(f"a/{n:05d}", b""), range(1100)))
        assert [entry.key for entry in self.store.walk("a/")] == [f"a/{n:05d}" for n in range(1100)]

    def test_what_was_deleted_is_gone_and_may_come_again(self) -> None:
        self.store.put_new("a/b", b"1")
        self.store.delete("a/b")
        self.store.delete("a/b")
        self.store.delete("never/was")
        assert list(self.store.walk("a/")) == []
        assert self.store.put_new("a/b", b"2")
        assert self.store.get("a/b", 1) == b"2"
