"""What a verification saw, as a file that can be kept and compared with later; it verifies nothing.

A statement is JSON: what was seen, and a seal over it. With a session the seal is a composite
signature, which anybody can check who knows the key; without one it is a hash, which finds
accidents and no forgery. The root in it is the root over all commits of that moment: a chain that
has it at that size holds the same commits, and one that has not was cut or written anew.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ate.chain.verify import Verification
from ate.chain.view import View
from ate.crypto.hash import digest
from ate.crypto.sign import VerifyKey
from ate.errors import AteError, BadSignature, CorruptLog, ProtocolError, UnsupportedFormat
from ate.event.access import Principal
from ate.event.commit import Record
from ate.limits import MIB
from ate.session import Session

FORMAT: Final = "ate verification"
VERSION: Final = 1
CONTEXT: Final = b"ate/statement/1"
#: A statement lists what was checked and found; more is none.
BYTES_MAX: Final = 4 * MIB
_HEX: Final = ("chain_id", "root")
_HASH_DIGITS: Final = 64


@dataclass(frozen=True, slots=True)
class Statement:
    """What somebody saw of a chain.

    Args:
        fields: all of it, as JSON has it.
        signer: the public signing key that sealed it; empty when only a hash did.
        identity: who that claims to be.
    """

    fields: Mapping[str, Any]
    signer: bytes = field(default=b"", repr=False)
    identity: str = ""

    @property
    def chain_id(self) -> bytes:
        return bytes.fromhex(self.fields["chain_id"])

    @property
    def root(self) -> bytes:
        return bytes.fromhex(self.fields["root"])

    @property
    def commits(self) -> int:
        return int(self.fields["commits"])

    @property
    def head(self) -> int:
        return int(self.fields["head"])

    def known_to(self, principals: Iterable[Principal]) -> Principal | None:
        """Return whose key sealed it, of those given; None when it is none of theirs."""
        return next((one for one in principals if self.signer and one.sign == self.signer), None)


def fields_of(found: Verification, view: View, **told: Any) -> dict[str, Any]:
    """Return what is to be stated about a verification.

    Args:
        view: the chain as it was folded.
        told: what else there is to tell: name, time, tool, counts.
    """
    checkpoint = view.trust.checkpoint
    return {
        "format": FORMAT,
        "version": VERSION,
        **told,
        "chain_id": view.trust.chain_id.hex(),
        "head": found.head,
        "commits": view.frontier.size,
        "root": found.root.hex(),
        "ok": found.ok,
        "problems": found.problems,
        "notes": found.notes,
        "checked": list(found.checks),
        "checkpoint": None
        if checkpoint is None
        else {
            "size": checkpoint.size,
            "root": checkpoint.root.hex(),
            "time_us": checkpoint.time_us,
            "key_id": checkpoint.key_id.hex(),
        },
    }


def encode(fields: Mapping[str, Any], session: Session | None) -> bytes:
    """Return the file of a statement, sealed by a session or, without one, by a hash."""
    message = _canonical(fields)
    seal: dict[str, str]
    if session is None:
        seal = {"hash": digest(CONTEXT + message).hex()}
    else:
        signature = session.own.sign.sign(message, CONTEXT)
        seal = {
            "identity": session.identity,
            "key_id": session.public.key_id.hex(),
            "key": base64.b64encode(session.public.sign).decode(),
            "signature": base64.b64encode(signature).decode(),
        }
    return json.dumps({"statement": fields, "seal": seal}, indent=1).encode() + b"\n"


def decode(raw: bytes) -> Statement:
    """Read the file of a statement.

    Raises:
        ProtocolError: it is none, or is cut.
        BadSignature: it is not what was sealed.
        UnsupportedFormat: a newer version wrote it.
    """
    try:
        if len(raw) > BYTES_MAX:
            raise ValueError("too long")
        document = json.loads(raw)
        fields, seal = document["statement"], document["seal"]
        if fields["format"] != FORMAT:
            raise ValueError("another format")
        version = int(fields["version"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ProtocolError(
            "this is no receipt of a verification", hint="`ate verify --receipt FILE` writes one"
        ) from None
    if version != VERSION:
        raise UnsupportedFormat(f"a receipt of version {version}, this version reads {VERSION}")
    try:
        message = _canonical(fields)
        if "signature" in seal:
            key = VerifyKey(base64.b64decode(seal["key"], validate=True))
            key.verify(base64.b64decode(seal["signature"], validate=True), message, CONTEXT)
            found = Statement(fields, key.raw, str(seal["identity"]))
        elif seal["hash"] == digest(CONTEXT + message).hex():
            found = Statement(fields)
        else:
            raise BadSignature
        sizes = {len(bytes.fromhex(fields[name])) for name in _HEX}
        if min(found.commits, found.head) < 0 or not sizes <= {0, _HASH_DIGITS // 2}:
            raise ValueError("numbers that cannot be")
    except (ValueError, KeyError, TypeError, AteError):
        raise BadSignature(
            "the receipt was altered after it was written", hint="use the file as it was written"
        ) from None
    return found


def _canonical(fields: Mapping[str, Any]) -> bytes:
    """Return the one form of the fields that is sealed, however the file is laid out."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


class Remembered:
    """Compares a chain with a statement while it is verified; give `visit` to `verify`.

    Args:
        statement: what was seen before.
        view: the one that `verify` folds into.
    """

    def __init__(self, statement: Statement, view: View) -> None:
        self._statement, self._view = statement, view
        self._compared = False

    async def visit(self, found: Verification, record: Record, place: int) -> None:
        """Compare when the chain is as long as it was then."""
        view, then = self._view, self._statement
        if view.frontier.size != then.commits:
            return
        self._compared = True
        if view.trust.chain_id != then.chain_id:
            raise CorruptLog("the receipt is about another chain")
        if view.frontier.root() != then.root or view.head != then.head:
            raise CorruptLog(f"the first {then.commits} commits are not those that the receipt saw")

    def finish(self, found: Verification) -> str:
        """Add to the findings; return what could not be compared, or nothing."""
        then, size = self._statement, self._view.frontier.size
        if self._compared or not found.ok:
            if self._compared and found.ok:
                found.checks = (
                    *found.checks,
                    f"the {then.commits} commits of the receipt, by their root",
                )
            return ""
        if size < then.commits:
            found.problems.append(
                f"the log holds {size} commits, the receipt saw {then.commits}: it was cut"
            )
            return ""
        return f"the root at {then.commits} commits, since that part was compacted"
