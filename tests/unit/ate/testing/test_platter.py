from __future__ import annotations

import pytest

from ate.testing.chance import Chance
from ate.testing.platter import STYLES, FileNode, Platter, Style


def survivors(platter: Platter, data: str, names: str) -> set[bytes | None]:
    """Return what cuts of one style leave of the file `a`."""
    found: set[bytes | None] = set()
    for seed in range(300):
        after = platter.after_cut(Style("", data, names), Chance(seed))
        number = after.directory(0).live.get("a")
        found.add(None if number is None else after.file(number).content())
    return found


def with_file(*, is_named: bool) -> Platter:
    platter = Platter()
    platter.apply(("create", 0, "a", ""))
    if is_named:
        platter.apply(("syncdir", 0, "", ""))
    platter.apply(("write", 1, 0, b"old!"))
    platter.apply(("sync", 1, 0, b""))
    return platter


def test_a_name_needs_a_sync_of_its_directory() -> None:
    unnamed = with_file(is_named=False)
    assert survivors(unnamed, "all", "none") == {None}
    assert survivors(unnamed, "all", "all") == {b"old!"}
    assert survivors(unnamed, "all", "some") == {None, b"old!"}
    assert survivors(with_file(is_named=True), "all", "none") == {b"old!"}


def test_pending_bytes_may_survive_in_any_part() -> None:
    platter = with_file(is_named=True)
    platter.apply(("write", 1, 2, b"newer"))
    assert platter.file(1).content() == b"olnewer"
    assert survivors(platter, "none", "all") == {b"old!"}
    assert survivors(platter, "all", "all") == {b"olnewer"}
    prefixes = {b"ol" + b"newer"[:n] + b"d!"[n:] for n in range(6)}
    assert survivors(platter, "torn", "all") == prefixes
    assert survivors(platter, "sectors", "all") == {b"old!", b"olnewer"}
    assert len(survivors(platter, "shreds", "all")) > 8


def test_writes_may_be_reordered() -> None:
    platter = with_file(is_named=True)
    platter.apply(("write", 1, 0, b"1" * 512))
    platter.apply(("write", 1, 512, b"2" * 512))
    assert bytes(512) + b"2" * 512 in {
        (content or b"").replace(b"old!", bytes(4))
        for content in survivors(platter, "sectors", "all")
    }


def test_a_truncation_may_survive_or_not() -> None:
    platter = with_file(is_named=True)
    platter.apply(("truncate", 1, 2, b""))
    assert platter.file(1).content() == b"ol"
    assert survivors(platter, "sectors", "all") == {b"old!", b"ol"}
    assert survivors(platter, "torn", "all") == {b"old!"}
    platter.apply(("truncate", 1, 4, b""))
    assert platter.file(1).content() == b"ol\0\0"
    platter.apply(("sync", 1, 0, b""))
    assert survivors(platter, "none", "all") == {b"ol\0\0"}


def test_a_failed_sync_forgets_what_was_pending() -> None:
    platter = with_file(is_named=True)
    platter.apply(("write", 1, 0, b"lost"))
    platter.apply(("lose", 1, 0, b""))
    platter.apply(("sync", 1, 0, b""))
    assert platter.file(1).content() == b"lost"
    assert survivors(platter, "all", "all") == {b"old!"}


def test_a_rename_is_one_step() -> None:
    platter = with_file(is_named=True)
    platter.apply(("create", 0, "b", ""))
    platter.apply(("write", 2, 0, b"new"))
    platter.apply(("sync", 2, 0, b""))
    platter.apply(("rename", 0, "b", "a"))
    assert survivors(platter, "none", "some") == {b"old!", b"new"}
    platter.apply(("remove", 0, "a", ""))
    assert platter.directory(0).live == {}


def test_directories_hold_names_of_their_own() -> None:
    platter = Platter()
    platter.apply(("mkdir", 0, "d", ""))
    platter.apply(("create", 1, "f", ""))
    platter.apply(("syncdir", 0, "", ""))
    after = platter.after_cut(STYLES[0], Chance(0))
    assert after.directory(1).live == {}
    platter.apply(("syncdir", 1, "", ""))
    assert platter.after_cut(STYLES[0], Chance(0)).directory(1).live == {"f": 2}


def test_views_of_a_file_stay_when_it_grows() -> None:
    node = FileNode()
    node.write(0, b"x")
    view = memoryview(node.live)
    node.write(5000, b"y")
    assert view[0] == ord("x")
    assert node.content() == b"x" + bytes(4999) + b"y"


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_every_style_keeps_what_is_durable(style: Style) -> None:
    platter = with_file(is_named=True)
    assert survivors(platter, style.data, style.names) == {b"old!"}


def test_a_file_with_two_names_is_one_file_after_a_cut() -> None:
    platter = with_file(is_named=True)
    platter.apply(("link", 0, "b", str(platter.directory(0).live["a"])))
    platter.apply(("syncdir", 0, "", ""))
    after = platter.after_cut(STYLES[0], Chance(0))
    names = after.directory(0).live
    assert names["a"] == names["b"]
    after.apply(("remove", 0, "a", ""))
    assert after.file(names["b"]).content() == b"old!"
