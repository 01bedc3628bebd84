"""`atedb.certificate`: what can be served under TLS, and what cannot be used."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from tests.unit.ate.mesh.actors import Certificates

from ate.errors import UsageError
from atedb.certificate import load, tls_of
from atedb.settings import Settings


def test_a_certificate_with_its_key(tmp_path: Path) -> None:
    assert tls_of(Settings(path=tmp_path)) is None
    made = Certificates(tmp_path)
    context = tls_of(Settings(path=tmp_path, tls_cert=made.certificate, tls_key=made.key))
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    load(context, made.certificate, made.key)


def test_what_cannot_be_used(tmp_path: Path) -> None:
    made = Certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with pytest.raises(FileNotFoundError):
        load(context, tmp_path / "none", made.key)
    (tmp_path / "other").write_text("no key")
    with pytest.raises(UsageError, match="cannot be used") as caught:
        load(context, made.certificate, tmp_path / "other")
    assert "PEM" in caught.value.hint
