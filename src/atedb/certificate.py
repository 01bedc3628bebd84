"""The server's TLS: its certificate and key, read and read again; it verifies no client."""

from __future__ import annotations

import ssl
from pathlib import Path

from ate.errors import UsageError
from atedb.settings import Settings


def tls_of(settings: Settings) -> ssl.SSLContext | None:
    """Return what is needed to serve under TLS, None when that is not wanted.

    Raises:
        OSError, UsageError: see `load`.
    """
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load(context, settings.tls_cert, settings.tls_key)
    return context


def load(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    """Read a certificate and its key.

    Raises:
        OSError: a file cannot be read.
        UsageError: they cannot be used.
    """
    for file in (cert, key):
        file.open("rb").close()
    try:
        # A key under a passphrase would stop the server at a terminal that is not there.
        context.load_cert_chain(cert, key, password=lambda: b"")
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or "the key is sealed"
        raise UsageError(
            f"the TLS certificate or its key cannot be used: {reason}",
            hint="both are PEM files, and the key has no passphrase",
        ) from None
