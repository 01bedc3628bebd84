"""Folders and files by path; a name is taken once."""

from __future__ import annotations

import pytest

import ate
from ate.dio.tree import Node, Tree


async def test_files_are_kept_under_their_paths() -> None:
    async with ate.open("tree", memory=True) as chain:
        dio = chain.dio()
        tree = Tree(dio)
        await tree.mkdir("/docs")
        await tree.mkdir("docs/old")
        await tree.mkdir("docs")
        await tree.write("/docs/a.txt", b"one")
        await tree.write("/docs/old/b.txt", b"two")
        await tree.write("/top", b"")
        await dio.commit()

        dio = chain.dio()
        tree = Tree(dio)
        await tree.write("docs/a.txt", b"three")
        await dio.commit()
        tree = Tree(chain.dio())
        assert await tree.read("docs/a.txt") == b"three"
        assert [node.name async for node in tree.entries("docs")] == ["old", "a.txt"]
        assert [path async for path, _ in tree.walk()] == [
            "/docs", "/docs/old", "/docs/old/b.txt", "/docs/a.txt", "/top",
        ]  # fmt: skip
        assert [path async for path, _ in tree.walk("docs/old")] == ["/docs/old/b.txt"]


async def test_removing_a_folder_removes_what_is_in_it() -> None:
    async with ate.open("tree", memory=True) as chain:
        dio = chain.dio()
        tree = Tree(dio)
        await tree.mkdir("a")
        await tree.write("a/b", b"x")
        await dio.commit()
        await tree.remove("a")
        await dio.commit()
        assert len(chain) == 0
        await tree.mkdir("a")
        await dio.commit()
        assert [node.name async for node in tree.entries("a")] == []


async def test_a_tree_may_hang_under_an_object() -> None:
    async with ate.open("tree", memory=True) as chain:
        dio = chain.dio()
        home = dio.store("home").id
        await Tree(dio, home).write("x", b"mine")
        await dio.commit()
        assert [node async for node in Tree(dio, home).entries()] == [Node("x", b"mine")]
        assert [node async for node in Tree(dio).entries()] == []


async def test_two_cannot_make_one_name() -> None:
    async with ate.open("tree", memory=True) as chain:
        one, two = chain.dio(), chain.dio()
        await Tree(one).write("x", b"1")
        await Tree(two).write("x", b"2")
        await one.commit()
        with pytest.raises(ate.Conflict):
            await two.commit()


@pytest.mark.parametrize("path", ["", "/", "a//b", "../a", "a/."])
async def test_other_paths_are_refused(path: str) -> None:
    async with ate.open("tree", memory=True) as chain:
        with pytest.raises(ate.UsageError):
            await Tree(chain.dio()).write(path, b"")


async def test_what_does_not_fit_is_refused() -> None:
    async with ate.open("tree", memory=True) as chain:
        dio = chain.dio()
        tree = Tree(dio)
        await tree.mkdir("folder")
        await tree.write("file", b"")
        for wrong in (
            tree.read("folder"),
            tree.write("folder", b""),
            tree.mkdir("file"),
            tree.write("file/below", b""),
        ):
            with pytest.raises(ate.UsageError):
                await wrong
        for missing in (tree.read("none"), tree.write("none/x", b""), tree.remove("none")):
            with pytest.raises(ate.NotFound):
                await missing
