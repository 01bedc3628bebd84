"""Whether what is stored is what was asked for."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

import ate
from ate.chain.reader import Reader
from ate.dio.schema import Schema, schema_of
from ate.dio.typed import check_pending, checked, fits, not_of
from ate.errors import Deleted, UsageError, WrongType
from ate.ids import ROOT, ObjectId


@dataclass
class Note:
    text: str


def test_a_type_fits_itself_and_whatever_stands_for_all() -> None:
    schema = schema_of(Note)
    assert all(fits(schema, one) for one in (Note, dict, object))
    assert not fits(schema, str)


async def test_what_is_uncommitted() -> None:
    async with ate.open("t", memory=True) as chain:
        dao = chain.dio().store(Note("x"))
        assert check_pending(dao, Note) is dao
        with pytest.raises(WrongType, match="is a Note"):
            check_pending(dao, str)
        dao.delete()
        with pytest.raises(Deleted):
            check_pending(dao, Note)


async def test_the_error_says_what_is_there() -> None:
    async with ate.open("t", memory=True) as chain:
        dio = chain.dio()
        key = dio.store(Note("x")).id
        await dio.commit()
        dio.delete(key)
        await dio.commit()
        reader, schema = Reader(chain._ledger, None), Schema(str, "str")
        assert "is a Note, not a str" in str(not_of(await reader.open(2), schema))
        assert isinstance(not_of(await reader.open(3), schema), Deleted)
        assert "belongs to the chain" in str(not_of(await reader.open(1), schema))
        assert reader.view.index.locate(ROOT)


def test_an_id_that_a_program_chose() -> None:
    made = ObjectId.random()
    assert checked(made) is made
    assert checked(bytes(made)) == made
    assert isinstance(checked(bytes(made)), ObjectId)
    for wrong in (str(made), 7, None):
        with pytest.raises(UsageError, match="an id is an ObjectId, not"):
            checked(wrong)
