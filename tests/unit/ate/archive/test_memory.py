from __future__ import annotations

from ate.archive.memory import MemoryStore


def test_it_counts_what_was_written() -> None:
    store = MemoryStore()
    assert store.put_new("a/b", b"123")
    assert not store.put_new("a/b", b"12345")
    assert (store.put_bytes, store.objects) == (3, {"a/b": b"123"})


def test_a_reader_gets_one_byte_too_many_at_most() -> None:
    store = MemoryStore()
    store.put_new("a/b", b"12345")
    assert store.get("a/b", 2) == b"123"
    assert [*store.walk("a/")] == [("a/b", 5)]
    assert store.folders() == ["a"]
    store.delete("a/b")
    assert store.folders() == []
