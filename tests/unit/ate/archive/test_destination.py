from __future__ import annotations

from pathlib import Path

import pytest

from ate.archive.destination import open_destination
from ate.archive.directory import DirectoryStore
from ate.errors import NotFound, UsageError


def test_a_path_is_a_directory(tmp_path: Path) -> None:
    assert isinstance(open_destination(tmp_path / "to"), DirectoryStore)
    assert open_destination(str(tmp_path), create=False).name == str(tmp_path)
    with pytest.raises(NotFound):
        open_destination(tmp_path / "to", create=False)


def test_an_address_is_a_bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    for text, name in [
        ("s3://b/pre/fix/?endpoint=http://127.0.0.1:9&region=x", "s3://b/pre/fix"),
        ("s3://b?endpoint=http://127.0.0.1:9&region=x", "s3://b"),
    ]:
        assert open_destination(text).name == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ftp://x/y",
        "s3:///prefix",
        "s3://key:secret@bucket/prefix",
        "s3://bucket:80/prefix",
        "s3://bucket?secret_access_key=secret",
        "s3://bucket?endpoint=https://key:secret@host",
        "s3://bucket?endpoint=host",
    ],
)
def test_no_destination(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_destination(text)
    assert "secret" not in str(caught.value) + caught.value.hint
