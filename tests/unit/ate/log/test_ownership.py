"""`ate.log.ownership`: epochs that are claimed once, and looks at who owns a directory."""

from __future__ import annotations

import pytest

from ate.errors import Deposed, StorageError
from ate.log import ownership as owners
from ate.log.disk import Disk, RealDisk
from ate.testing.platter import STYLES
from ate.testing.simdisk import SimDisk

OWN = "/own"


def facts(run: str) -> dict[str, object]:
    return {"run": run, "url": f"ws://{run}"}


@pytest.fixture
def disk() -> SimDisk:
    made = SimDisk()
    made.mkdir(OWN)
    return made


def test_nobody_owns_it_then_one_does(disk: SimDisk) -> None:
    assert owners.sight(disk, OWN) == owners.Sight(0)
    one = owners.claim(disk, OWN, facts("a"))
    assert one is not None
    assert (one.epoch, one.is_contested) == (1, False)
    assert owners.claim(disk, OWN, facts("b")) is None
    seen = owners.sight(disk, OWN)
    assert (seen.epoch, seen.facts["url"]) == (1, "ws://a")
    one.check()


def test_who_follows_one_that_is_gone_goes_on_in_its_epoch(disk: SimDisk) -> None:
    one = owners.claim(disk, OWN, facts("a"))
    assert one is not None
    one.beat()
    before = owners.sight(disk, OWN)
    one.close()
    two = owners.claim(disk, OWN, facts("b"))
    assert two is not None
    assert (two.epoch, two.is_contested) == (1, False)
    after = owners.sight(disk, OWN)
    assert after.beat != before.beat
    assert after.facts["url"] == "ws://b"


def test_a_beat_is_seen(disk: SimDisk) -> None:
    one = owners.claim(disk, OWN, facts("a"))
    assert one is not None
    beats = {owners.sight(disk, OWN).beat}
    for _ in range(5):
        one.beat()
        beats.add(owners.sight(disk, OWN).beat)
    assert len(beats) == 6
    assert owners.sight(disk, OWN).facts["url"] == "ws://a"


def test_who_hangs_is_deposed_and_finds_out(disk: SimDisk) -> None:
    one = owners.claim(disk, OWN, facts("a"))
    assert one is not None
    two = owners.depose(disk, OWN, 1, facts("b"))
    assert two is not None
    assert (two.epoch, two.is_contested) == (2, True)
    for look in (one.check, one.beat):
        with pytest.raises(Deposed, match=r"epoch 2, at ws://b") as caught:
            look()
        assert "connect to the server" in caught.value.hint
    two.check()
    one.close()
    two.close()
    three = owners.claim(disk, OWN, facts("c"))
    assert three is not None
    assert (three.epoch, three.is_contested) == (2, False)


def test_who_cannot_see_whether_it_is_the_owner_is_none(disk: SimDisk) -> None:
    one = owners.claim(disk, OWN, facts("a"))
    assert one is not None
    disk.fail("open", StorageError("no"), name="owner.2")
    owners._make(disk, OWN, 2, facts("b"))
    with pytest.raises(Deposed, match=r"epoch 2\)"):
        one.check()
    disk.rmtree(OWN)
    with pytest.raises(Deposed, match="is gone"):
        one.check()


def test_a_later_owner_knows_of_one_that_still_hangs(disk: SimDisk) -> None:
    one = owners.claim(disk, OWN, facts("a"))
    two = owners.depose(disk, OWN, 1, facts("b"))
    assert one is not None
    assert two is not None
    two.close()
    three = owners.claim(disk, OWN, facts("c"))
    assert three is not None
    assert (three.epoch, three.is_contested) == (2, True)
    disk.remove(owners.owner_path(OWN, 1))  # somebody tidied up by hand
    three.close()
    four = owners.claim(disk, OWN, facts("d"))
    assert four is not None
    assert not four.is_contested


def test_of_two_who_stand_by_one_takes_over(disk: SimDisk) -> None:
    assert owners.claim(disk, OWN, facts("a")) is not None
    assert owners.depose(disk, OWN, 1, facts("b")) is not None
    assert owners.depose(disk, OWN, 1, facts("c")) is None
    assert owners.sight(disk, OWN).facts["url"] == "ws://b"
    assert not [name for name in disk.listdir(OWN) if name.endswith(".new")]


def test_who_made_the_next_epoch_and_was_too_slow_has_not_got_it(disk: SimDisk) -> None:
    class Slow(SimDisk):
        def rename_new(self, source: str, target: str) -> bool:
            done = super().rename_new(source, target)
            self.other = owners.claim(disk, OWN, facts("quick"))
            return done

    slow = Slow(platter=disk._platter)
    slow.locks = disk.locks
    assert owners.depose(slow, OWN, 0, facts("slow")) is None
    assert slow.other is not None


def test_who_locked_an_epoch_that_is_over_lets_it_go(disk: SimDisk) -> None:
    class Late(SimDisk):
        def lock(self, path: str, *, shared: bool = False):  # type: ignore[no-untyped-def]
            if path.endswith("owner.1") and not self.exists(f"{OWN}/owner.2"):
                self.create(f"{OWN}/owner.2")
            return super().lock(path, shared=shared)

    late = Late(platter=disk._platter)
    assert owners.claim(late, OWN, facts("a")) is None
    assert late.locks == set()


def test_what_a_file_says_is_not_relied_on(disk: SimDisk) -> None:
    for raw in (b"", b"x" * 50, b"1" * 20 + b"\n[1]", b"\xff" * 9000):
        disk.put(owners.owner_path(OWN, 1), raw)
        assert owners.sight(disk, OWN).facts == {}
        one = owners.claim(disk, OWN, facts("a"))
        assert one is not None
        assert owners.sight(disk, OWN).facts["url"] == "ws://a"
        one.close()


def test_a_fault_while_it_is_claimed_gives_the_lock_back(disk: SimDisk) -> None:
    one = owners.claim(disk, OWN, facts("a"))
    assert one is not None
    one.close()
    disk.fail("write", StorageError("no"), name="owner")
    with pytest.raises(StorageError):
        owners.claim(disk, OWN, facts("a"))
    assert owners.claim(disk, OWN, facts("a")) is not None


def test_an_epoch_that_somebody_has_survives_a_power_cut(disk: SimDisk) -> None:
    disk.sync_dir("/")
    one = owners.claim(disk, OWN, facts("a"))
    assert one is not None
    assert owners.depose(disk, OWN, 1, facts("b")) is not None
    for style in STYLES:
        assert owners.newest(disk.cut(style), OWN) == 2


def test_it_is_the_same_on_the_machine_s_own_disk(tmp_path: str) -> None:
    real: Disk = RealDisk()
    one = owners.claim(real, str(tmp_path), facts("a"))
    assert one is not None
    assert owners.claim(real, str(tmp_path), facts("b")) is None
    two = owners.depose(real, str(tmp_path), 1, facts("b"))
    assert two is not None
    assert two.is_contested
    with pytest.raises(Deposed):
        one.check()
    one.close()
    two.close()
