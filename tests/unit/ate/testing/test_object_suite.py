from __future__ import annotations

import pytest

from ate.archive.memory import MemoryStore
from ate.testing.object_suite import ObjectStoreSuite

TESTS = [name for name in vars(ObjectStoreSuite) if name.startswith("test_")]


@pytest.mark.parametrize("name", TESTS)
def test_each_test_of_the_suite_passes_for_a_good_store(name: str) -> None:
    suite = ObjectStoreSuite()
    suite.store = MemoryStore()
    getattr(suite, name)()


class Overwriting(MemoryStore):
    def put_new(self, key: str, data: bytes) -> bool:
        self.objects[key] = data
        return True


class Endless(MemoryStore):
    def get(self, key: str, limit: int) -> bytes:
        return super().get(key, 1 << 40)


@pytest.mark.parametrize(
    "kind, name",
    [
        (Overwriting, "test_an_object_is_never_replaced"),
        (Overwriting, "test_of_many_at_once_one_writes"),
        (Endless, "test_no_more_is_read_than_one_byte_too_many"),
    ],
)
def test_a_store_that_breaks_the_contract_fails(kind: type[MemoryStore], name: str) -> None:
    suite = ObjectStoreSuite()
    suite.store = kind()
    with pytest.raises(AssertionError):
        getattr(suite, name)()
