from __future__ import annotations

import inspect

import pytest

from ate.archive.directory import DirectoryStore
from ate.archive.memory import MemoryStore
from ate.archive.s3 import S3Store
from ate.archive.store import Entry, ObjectStore


@pytest.mark.parametrize("kind", [DirectoryStore, MemoryStore, S3Store])
def test_every_destination_has_what_the_contract_names(kind: type) -> None:
    for name, wanted in vars(ObjectStore).items():
        if inspect.isfunction(wanted) and not name.startswith("_"):
            found = inspect.signature(getattr(kind, name)).parameters
            assert list(found) == list(inspect.signature(wanted).parameters), name


def test_an_entry_is_a_key_and_a_size() -> None:
    assert Entry("a/b", 3) == ("a/b", 3)
