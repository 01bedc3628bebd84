"""From the text that names a destination to its store; it never holds a credential.

some/directory                                 a directory
s3://BUCKET/PREFIX?endpoint=URL&region=NAME    a bucket
"""

from __future__ import annotations

import os
from urllib.parse import parse_qs, urlsplit

from ate.archive.directory import DirectoryStore
from ate.archive.pace import Patient, Pause, Stop
from ate.archive.store import ObjectStore
from ate.errors import NotFound, UsageError

_FORM = "write it as s3://BUCKET/PREFIX?endpoint=URL&region=NAME; credentials go elsewhere"


def open_destination(
    text: str | os.PathLike[str], pause: Pause | None = None, *, create: bool = True
) -> ObjectStore:
    """Return the store that `text` names.

    Args:
        text: a directory, or an address that begins with `s3://`.
        pause: waits between two tries.
        create: a directory that is not there yet will be made.

    Raises:
        NotFound: there is no such directory, and `create` is false.
        UsageError: it is no destination, or needs a package that is not there.
    """
    text = os.fspath(text)
    scheme, found, _ = text.partition("://")
    if not found:
        if not text:
            raise UsageError("a destination is a directory or an address, not an empty text")
        if not create and not os.path.isdir(text):
            raise NotFound(f"there is no directory {text}")
        return DirectoryStore(text)
    if scheme != "s3":
        raise UsageError(f"there is no destination of the kind {scheme[:20]!r}", hint=_FORM)
    parts = urlsplit(text)
    options = parse_qs(parts.query, keep_blank_values=True)
    unknown = sorted(set(options) - {"endpoint", "region"})
    # The text may hold what should not be in it, so that it is not repeated here.
    if not parts.netloc or "@" in parts.netloc or ":" in parts.netloc or unknown:
        raise UsageError("this is no address of a bucket", hint=_FORM)
    endpoint = options.get("endpoint", [""])[-1]
    if endpoint and ("@" in endpoint or urlsplit(endpoint).scheme not in ("http", "https")):
        raise UsageError("this is no endpoint", hint=_FORM)
    from ate.archive.s3 import S3Store

    region = options.get("region", [""])[-1]
    store = S3Store(parts.netloc, parts.path, endpoint=endpoint, region=region)
    return Patient(store, pause or Stop())
