"""Errors as they cross the wire: a code and texts become an error again; it never raises them."""

from __future__ import annotations

from ate.errors import AteError, LimitExceeded, RemoteError, codes

_TEXT_MAX = 1000


def error_of(code: str, text: str, hint: str = "") -> AteError:
    """Return the error that a peer told.

    Args:
        code: of an error class; an unknown one gives a `RemoteError` that names it.
        text, hint: from the peer: cleaned of what a terminal would obey, and shortened.
    """
    text, hint = clean(text), clean(hint)
    kind = codes().get(code)
    if kind is None:
        return RemoteError(f"{clean(code)[:64] or 'error'}: {text}", hint=hint or None)
    if issubclass(kind, LimitExceeded):
        error: AteError = kind("", 0, 0, hint=hint)
        error.args = (text,)
        return error
    return kind(text, hint=hint or None)


def clean(text: str, most: int = _TEXT_MAX) -> str:
    """Return a stranger's text, fit to be shown on one line."""
    short = text[:most]
    return short if short.isprintable() else "".join(c if c.isprintable() else " " for c in short)
