"""A principal as one word of text, to be given away and typed in; nothing here says whom to trust.

`ate-principal-1:` and base64url of both public keys, the identity, and four bytes of their hash
against typing errors.
"""

from __future__ import annotations

import base64
from typing import Final

from ate.crypto.hash import digest
from ate.errors import UsageError
from ate.event.access import Principal

_PREFIX: Final = "ate-principal-1:"
_CHECK_BYTES: Final = 4
_SIGN_BYTES: Final = 1984
_SEAL_BYTES: Final = 1216


def encode(principal: Principal) -> str:
    """Return a principal as one word of text, with a check against typing errors."""
    raw = principal.sign + principal.seal + principal.identity.encode()
    return _PREFIX + base64.urlsafe_b64encode(raw + digest(raw)[:_CHECK_BYTES]).decode().rstrip("=")


def decode(token: str) -> Principal:
    """Read what `encode` wrote; raises UsageError when it is not that."""
    text = token.strip()
    if text.startswith(_PREFIX):
        body = text.removeprefix(_PREFIX)
        try:
            raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
            known, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
            identity = known[_SIGN_BYTES + _SEAL_BYTES :].decode()
        except ValueError:
            raw = known = check = b""
            identity = ""
        if identity and digest(known)[:_CHECK_BYTES] == check:
            return Principal(identity, known[:_SIGN_BYTES], known[_SIGN_BYTES:][:_SEAL_BYTES])
    raise UsageError(
        "this is no principal, or a part of it is missing",
        hint="copy all of what `ate keys show` prints",
    )
