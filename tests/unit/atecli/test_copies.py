from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import ate
from ate.archive.backup import Backup
from ate.archive.directory import DirectoryStore
from ate.errors import AteError
from ate.log.disk import RealDisk
from atecli.copies import copies_of
from atecli.main import main


def make(path: Path) -> Path:
    """Return the directory of a small chain that was backed up into `path`/backups."""
    with ate.blocking.open("c", path=path) as chain:
        for number in range(20):
            dio = chain.dio()
            dio.store({"n": number, "pad": "x" * 400})
            dio.commit()
    with Backup(path / "c", DirectoryStore(path / "backups", disk=RealDisk())) as backup:
        backup.run()
    return path / "c"


def damage(chain: Path) -> bytes:
    """Flip a byte in the middle of the log and return what it was like before."""
    head = chain / "000001/head.000001"
    sound = head.read_bytes()
    head.write_bytes(sound[:4000] + bytes([sound[4000] ^ 1]) + sound[4001:])
    return sound


@pytest.mark.parametrize("where", ["copy", "copy/c", "backups"])
def test_a_chain_is_repaired_from_a_directory_or_a_backup(tmp_path: Path, where: str) -> None:
    chain = make(tmp_path)
    shutil.copytree(chain, tmp_path / "copy/c")
    sound = damage(chain)
    assert main(["verify", "c", "--path", str(tmp_path)]) == 5
    source = str(tmp_path / where)
    assert main(["repair", "c", "--path", str(tmp_path), "--from", source]) == 0
    assert (chain / "000001/head.000001").read_bytes() == sound
    assert main(["verify", "c", "--path", str(tmp_path)]) == 0
    assert not list(tmp_path.glob(".copy-*"))


def test_what_is_no_copy_is_said(tmp_path: Path) -> None:
    chain = make(tmp_path)
    (tmp_path / "empty").mkdir()
    for source in ("empty", "missing"):
        with pytest.raises(AteError), copies_of("c", [str(tmp_path / source)], chain):
            raise AssertionError("never reached")
    with pytest.raises(AteError), copies_of("other", [str(tmp_path / "backups")], chain):
        raise AssertionError("never reached")
    assert not list(tmp_path.glob(".copy-*"))
