"""Every error that `ate` raises, as one tree; it never formats output and never guesses a cause.

    AteError
    ├ UsageError             the caller broke the contract of a call
    ├ LimitExceeded          a value is larger than a stated bound
    ├ NetworkError           Disconnected · TimedOut · Redirected · Throttled
    ├ ProtocolError          LocalProtocolError · RemoteProtocolError
    ├ TrustError             BadSignature · WriteDenied · Replayed · UntrustedRoot · Forked ·
    │  │                     NoReadKey · CannotOpen · EncryptionRequired
    │  └ AccessDenied        BadToken · TokenExpired
    ├ StorageError           CorruptLog · CorruptBackup · LogLocked · Deposed · OutOfSpace ·
    │                        UnsupportedFormat
    ├ CommitError            Refused · Conflict · ReadOnly · Offline · Fenced
    ├ LoadError              NotFound · Deleted · WrongType · BodyNotHeld · Compacted
    └ RemoteError            a handler failed in a way it did not declare

Each class has a stable `code`: codes cross the wire and appear in `--json` output; class names and
texts may change, codes may not. `hint` says what to do about it, in one line.
"""

from __future__ import annotations

from typing import Any, ClassVar


class AteError(Exception):
    """Base of all errors of this package.

    Args:
        message: what happened, one line, no secret in it.
        hint: what the reader can do; the class's own hint when not given.
    """

    code: ClassVar[str] = "error"
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str = "", *, hint: str | None = None) -> None:
        super().__init__(message or self.code.replace("_", " "))
        self.hint = self.default_hint if hint is None else hint

    @property
    def message(self) -> str:
        return str(self.args[0])


class UsageError(AteError):
    """The caller broke the contract of a call."""

    code = "usage"


class LimitExceeded(AteError):
    """A value exceeds one of the bounds in `ate.limits`.

    Args:
        limit: the name of the bound.
        value: what was asked for.
        bound: what is allowed.
    """

    code = "limit_exceeded"

    def __init__(self, limit: str, value: int, bound: int, *, hint: str | None = None) -> None:
        super().__init__(f"{limit} is {value}, the limit is {bound}", hint=hint)
        self.limit, self.value, self.bound = limit, value, bound


class NetworkError(AteError):
    """The way to a peer failed."""

    code = "network"


class Disconnected(NetworkError):
    """The peer is gone."""

    code = "disconnected"


class TimedOut(NetworkError):
    """No answer within the time given."""

    code = "timed_out"
    default_hint = "is anyone serving this request? raise timeout= if the work takes longer"


class Redirected(NetworkError):
    """The chain lives elsewhere."""

    code = "redirected"


class Throttled(NetworkError):
    """Too much, too fast."""

    code = "throttled"
    default_hint = "wait and send again"


class ProtocolError(AteError):
    """Bytes that break a published format."""

    code = "protocol"


class LocalProtocolError(ProtocolError):
    """This side was about to break the protocol."""

    code = "protocol_local"


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol."""

    code = "protocol_remote"


class TrustError(AteError):
    """A key, signature or rule says no."""

    code = "trust"


class BadSignature(TrustError):
    """A signature does not verify."""

    code = "bad_signature"
    default_hint = "the data was altered or signed by someone else: run `ate verify`"


class WriteDenied(TrustError):
    """The write rule of an object does not name the author."""

    code = "write_denied"
    default_hint = "commit with a session whose key the object's access rule names"


class Replayed(TrustError):
    """This commit was accepted before."""

    code = "replayed"


class UntrustedRoot(TrustError):
    """The chain's root keys are not the ones that were pinned."""

    code = "untrusted_root"
    default_hint = "this is another chain, or it was replaced: check the root keys you were given"


class Forked(TrustError):
    """A server's chain does not continue what it has shown before.

    Args:
        evidence: a signed proof of it, when there is one; see the guide about trust.
    """

    code = "forked"
    default_hint = "do not go on with this server: ask its operator, and keep the local copy"

    def __init__(
        self, message: str = "", *, evidence: Any = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.evidence = evidence


class NoReadKey(TrustError):
    """No key at hand opens this object's read domain."""

    code = "no_read_key"
    default_hint = "open with a session that may read it, or ask its owner for access"

    def __init__(self, message: str = "", *, domain: bytes = b"", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.domain = domain


class CannotOpen(TrustError):
    """A sealed value does not open: wrong key or passphrase, or altered bytes."""

    code = "cannot_open"
    default_hint = "wrong key or passphrase, or the bytes were altered"


class EncryptionRequired(TrustError):
    """The server takes encrypted connections only; lines of this package then encrypt."""

    code = "encryption_required"
    default_hint = "ask for wire encryption in the client"


class AccessDenied(TrustError):
    """A server does not let this program do that, whatever the chain's own rules say."""

    code = "access_denied"
    default_hint = "ask whoever runs the server for the right to do it"


class BadToken(AccessDenied):
    """The server wants an access token, and was shown none, or none that it takes."""

    code = "bad_token"
    default_hint = "ask whoever runs the server for a new one"


class TokenExpired(AccessDenied):
    """The access token was good once."""

    code = "token_expired"
    default_hint = "get a new one: they live for minutes"


class StorageError(AteError):
    """The medium failed or holds something unexpected."""

    code = "storage"


class CorruptLog(StorageError):
    """Bytes on disk are not what was written; nothing was changed.

    Args:
        offset: byte offset in `file` where the damage starts, -1 when not known.
        file: the file's name inside the chain's directory.
    """

    code = "corrupt_log"
    default_hint = "do not write to it: run `ate verify`, then restore from a backup or a replica"

    def __init__(
        self, message: str = "", *, offset: int = -1, file: str = "", hint: str | None = None
    ) -> None:
        where = f" ({file} at byte {offset})" if offset >= 0 else ""
        super().__init__(message + where, hint=hint)
        self.offset, self.file = offset, file


class CorruptBackup(StorageError):
    """An object of a backup is missing, or not what was written; nothing was restored.

    Args:
        object: its key at the destination.
    """

    code = "corrupt_backup"
    default_hint = "restore an earlier point: `ate backups` lists them; then back up anew elsewhere"

    def __init__(self, message: str = "", *, object: str = "", hint: str | None = None) -> None:
        super().__init__(f"{object}: {message}" if object else message, hint=hint)
        self.object = object


class LogLocked(StorageError):
    """Another process writes to this chain."""

    code = "log_locked"
    default_hint = "close the other program, or open with readonly=True"


class Deposed(StorageError):
    """Another server owns this directory now; what was not acknowledged before may be lost."""

    code = "deposed"
    default_hint = "connect to the server that has taken over: it has all that was acknowledged"


class OutOfSpace(StorageError):
    """The disk is full; the commit was not written and can be retried."""

    code = "out_of_space"
    default_hint = "free some space and commit again: the changes are kept in the Dio"


class UnsupportedFormat(StorageError):
    """Written by a newer version, or not a chain at all."""

    code = "unsupported_format"
    default_hint = "open it with the version that wrote it, or check the path"


class CommitError(AteError):
    """A commit was not accepted. The Dio keeps its changes."""

    code = "commit"


class Refused(CommitError):
    """A plug-in or rule refused the commit.

    Args:
        verdicts: one line per refused row: which rule, which key was missing.
    """

    code = "refused"

    def __init__(
        self, message: str = "", *, verdicts: tuple[str, ...] = (), hint: str | None = None
    ) -> None:
        text = "; ".join(verdicts[:3]) + (
            f"; and {len(verdicts) - 3} more" if len(verdicts) > 3 else ""
        )
        super().__init__(f"{message}: {text}" if message and text else message or text, hint=hint)
        self.verdicts = verdicts


class Conflict(CommitError):
    """Somebody else changed the object (or moved the head) since it was loaded.

    Args:
        object: the id in question, or None when the head was compared.
        theirs: the seq of the version that is current now.
    """

    code = "conflict"
    default_hint = "load again and redo the change, or commit with on_conflict='merge'"

    def __init__(
        self, message: str = "", *, object: Any = None, theirs: int = 0, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.object, self.theirs = object, theirs


class ReadOnly(CommitError):
    """The chain takes no writes here."""

    code = "read_only"


class Offline(CommitError):
    """No way to the sequencer, and the recovery mode wants one."""

    code = "offline"


class Fenced(CommitError):
    """A later holder took over; this writer is deposed."""

    code = "fenced"


class LoadError(AteError):
    """An object could not be loaded."""

    code = "load"


class NotFound(LoadError):
    """No object has this id."""

    code = "not_found"


class Deleted(LoadError):
    """The object was deleted."""

    code = "deleted"


class WrongType(LoadError):
    """The object is there, of another type, or its bytes do not fit the type."""

    code = "wrong_type"
    default_hint = "load it as the type it was stored with, or as `dict` to look inside"


class BodyNotHeld(LoadError):
    """The body is not kept on this machine."""

    code = "body_not_held"


class Compacted(LoadError):
    """This version was superseded, and compaction has dropped it."""

    code = "compacted"
    default_hint = "a backup from before still has it; a retention policy keeps such versions"


class RemoteError(AteError):
    """A handler failed in a way it did not declare; its own text stays where it runs."""

    code = "remote"
    default_hint = "look at the log of the process that serves the request"


def codes() -> dict[str, type[AteError]]:
    """Return the code of every error class, for the wire, errno and exit-status tables."""
    found: dict[str, type[AteError]] = {}
    pending: list[type[AteError]] = [AteError]
    while pending:
        cls = pending.pop()
        found.setdefault(cls.code, cls)  # without a code of its own a class is its parent outside
        pending.extend(cls.__subclasses__())
    return found
