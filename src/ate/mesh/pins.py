"""What a client knows about who founded a chain and who a server is; it asks nobody.

Three may know it: the program (`roots=`), the domain (published in DNS), and this machine, which
remembers what it saw at first. All that know anything must agree, always. What is met for the first
time is remembered before it is used.

One small file per server and chain, one per server: `pins/<server>/chain.<name>` and
`pins/<server>/identity` below the user's data directory.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ate import limits
from ate.chain.view import View
from ate.crypto.entropy import Entropy, system_entropy
from ate.crypto.hash import derive
from ate.crypto.sign import VerifyKey
from ate.errors import CorruptLog, StorageError, UntrustedRoot, UsageError
from ate.log.disk import Disk, RealDisk
from ate.wire.terms import Trust

#: First line of a file.
_TITLE: Final = "ate pin 1"
_PLAIN: Final = re.compile(r"[A-Za-z0-9_@+:-][A-Za-z0-9._@+:-]{0,99}")
_KEY: Final = re.compile(r"[0-9a-f]{32}")
_KEY_BYTES: Final = 16
_CHAIN_ID_BYTES: Final = 32


def key_text(key_id: bytes) -> str:
    """Return a key id as people, files and DNS write it: 32 hex digits."""
    return bytes(key_id).hex()


def parse_key(text: str) -> bytes:
    """Return the key id that a text names; raises UsageError when it is none."""
    lowered = text.strip().lower()
    if not _KEY.fullmatch(lowered):
        raise UsageError(
            f"not a key id: {text[:40]!r}", hint="a key id is 32 hex digits, as `ate keys` prints"
        )
    return bytes.fromhex(lowered)


@dataclass(frozen=True, slots=True)
class Identity:
    """Which chain this is.

    Args:
        chain_id: hash of its first commit, 32 bytes.
        founder: id of the root key that signed it; empty for a chain that nobody signed.
    """

    chain_id: bytes
    founder: bytes

    def __post_init__(self) -> None:
        if len(self.chain_id) != _CHAIN_ID_BYTES or len(self.founder) not in (0, _KEY_BYTES):
            raise UsageError("a chain id has 32 bytes, a key id 16")

    @classmethod
    def of(cls, view: View) -> Identity:
        """Return what a chain is whose first commit is here and was admitted.

        To be named as a root proves nothing, anybody can name anybody; to have signed does.

        Raises:
            UntrustedRoot: it has no first commit.
            CorruptLog: what is at its place is another.
        """
        genesis = view.trust.genesis
        if genesis is None:
            raise UntrustedRoot("the log does not start with a genesis commit")
        founding, _ = view.find(1)
        if founding.root != view.trust.chain_id:
            raise CorruptLog("the first commit is not the one that was here before")
        return cls(view.trust.chain_id, founding.author.key_id if genesis.roots else b"")


class Pins:
    """The memory of one user.

    Args:
        directory: the user's data directory; None remembers for the life of this object only.
        disk, entropy: handed in by tests.

    Any number of processes may share a directory: of two that meet a chain for the first time one
    writes the file, the other compares with it.
    """

    def __init__(
        self,
        directory: str | Path | None,
        *,
        disk: Disk | None = None,
        entropy: Entropy = system_entropy,
    ) -> None:
        self._directory = None if directory is None else Path(directory) / "pins"
        self._disk, self._entropy = disk or RealDisk(), entropy
        self._memory: dict[Path, dict[str, str]] = {}

    def check_chain(
        self,
        server: str,
        name: str,
        seen: Identity,
        *,
        given: Collection[bytes] = (),
        published: Collection[bytes] = (),
    ) -> str:
        """Return how a chain is known: "given", "published", "remembered" or "first use".

        Args:
            server: host and port of the server's URL.
            name: of the chain.
            seen: what the chain turned out to be, its first commit verified.
            given: ids of the root keys that the caller trusts, if it names any.
            published: ids of the root keys that the domain publishes, if it does.

        Raises:
            UntrustedRoot: one that knows it says otherwise.
            StorageError: the memory cannot be read; or written, and nobody else knows the chain.
        """
        who = f"the founder of the chain {name!r}"
        _expect(who, seen.founder, given, "roots= names")
        _expect(who, seen.founder, published, "its domain publishes")
        facts = {"id": seen.chain_id.hex(), "root": key_text(seen.founder) or "-"}
        return self._compare(self.chain_file(server, name), name, facts, given, published)

    def check_server(
        self,
        server: str,
        key_id: bytes | None,
        *,
        given: Collection[bytes] = (),
        published: Collection[bytes] = (),
    ) -> str:
        """Return how a server is known; as `check_chain`.

        Args:
            key_id: of the key that it proved to hold; None when it proved none. That is refused
                where one is known, and else "anybody" is returned and nothing remembered.

        Raises:
            UntrustedRoot, StorageError: see `check_chain`.
        """
        who, path = f"the server {server!r}", self.server_file(server)
        _expect(who, key_id or b"", given, "the pin given is")
        _expect(who, key_id or b"", published, "its domain publishes")
        if key_id is None:
            known = self._read(path)
            if known is None:
                return "anybody"
            raise _disagree(path, f"{who} proves no key", "", known.get("key", ""))
        if len(key_id) != _KEY_BYTES:
            raise UsageError("a key id has 16 bytes")
        return self._compare(path, server, {"key": key_text(key_id)}, given, published)

    def trust(
        self, server: str, *, given: Collection[bytes] = (), published: Collection[bytes] = ()
    ) -> Trust:
        """Return `check_server` as what judges the key of a connection's peer."""

        def judge(key: VerifyKey | None) -> None:
            key_id = None if key is None else key.key_id
            self.check_server(server, key_id, given=given, published=published)

        return judge

    def chain(self, server: str, name: str) -> Identity | None:
        """Return what is remembered of a chain, to ask a server for that one."""
        known = self._read(self.chain_file(server, name))
        if known is None:
            return None
        try:
            root = known["root"]
            return Identity(bytes.fromhex(known["id"]), b"" if root == "-" else bytes.fromhex(root))
        except (KeyError, ValueError, UsageError):
            raise _unreadable(self.chain_file(server, name)) from None

    def forget_chain(self, server: str, name: str) -> None:
        """Meet it for the first time again."""
        self._forget(self.chain_file(server, name))

    def forget_server(self, server: str) -> None:
        """Meet it for the first time again; its chains stay known."""
        self._forget(self.server_file(server))

    def chain_file(self, server: str, name: str) -> Path:
        """Return the file that remembers a chain, whether it is there or not."""
        return self._folder(server) / f"chain.{_file_name(name)}"

    def server_file(self, server: str) -> Path:
        """Return the file that remembers a server's key, whether it is there or not."""
        return self._folder(server) / "identity"

    def _folder(self, server: str) -> Path:
        return (self._directory or Path("pins")) / _file_name(server)

    # --- comparing --------------------------------------------------------------------------

    def _compare(
        self,
        path: Path,
        name: str,
        facts: Mapping[str, str],
        given: Collection[bytes],
        published: Collection[bytes],
    ) -> str:
        how = "given" if given else "published" if published else ""
        known = self._read(path)
        if known is None:
            try:
                if self._remember(path, {"of": _line(name), **facts}):
                    return how or "first use"
                known = self._read(path) or {}
            except StorageError:
                if not how:
                    raise
                return how  # a machine that keeps nothing is told each time
        for what in reversed(tuple(facts)):  # the key says more to people than the hash of a commit
            if known.get(what) != facts[what]:
                text = f"{name!r} is not what it was when it was first met"
                raise _disagree(path, text, facts[what], known.get(what, ""))
        return how or "remembered"

    # --- files ------------------------------------------------------------------------------

    def _read(self, path: Path) -> dict[str, str] | None:
        if self._directory is None:
            return self._memory.get(path)
        if not self._disk.exists(str(path)):
            return None
        file = self._disk.open(str(path), readonly=True)
        try:
            raw = file.pread(limits.PIN_BYTES_MAX + 1, 0)
        finally:
            file.close()
        try:
            title, *lines = raw.decode().splitlines()
            found = dict(line.split(" ", 1) for line in lines)
        except ValueError:
            raise _unreadable(path) from None
        if title != _TITLE or len(raw) > limits.PIN_BYTES_MAX:
            raise _unreadable(path)
        return found

    def _remember(self, path: Path, facts: Mapping[str, str]) -> bool:
        """Write a file unless there is one; tell whether it was written."""
        if self._directory is None:
            return self._memory.setdefault(path, dict(facts)) == facts
        disk = self._disk
        self._make(path.parent)
        fresh = path.with_name(f"new.{self._entropy(8).hex()}")
        lines = [_TITLE, *(f"{key} {value}" for key, value in facts.items())]
        try:
            file = disk.create(str(fresh))
            try:
                file.pwrite(["".join(f"{line}\n" for line in lines).encode()], 0)
                file.datasync()
            finally:
                file.close()
            written = disk.rename_new(str(fresh), str(path))
        except BaseException:
            disk.remove(str(fresh))
            raise
        if not written:
            disk.remove(str(fresh))
        disk.sync_dir(str(path.parent))
        return written

    def _make(self, folder: Path) -> None:
        if not self._disk.exists(str(folder)) and folder != folder.parent:
            self._make(folder.parent)
            self._disk.mkdir(str(folder))
            self._disk.sync_dir(str(folder.parent))

    def _forget(self, path: Path) -> None:
        self._memory.pop(path, None)
        if self._directory is not None and self._disk.exists(str(path)):
            self._disk.remove(str(path))
            self._disk.sync_dir(str(path.parent))


def _file_name(text: str) -> str:
    """Return a file's name that people recognise and that two texts never share."""
    if _PLAIN.fullmatch(text):
        return text
    plain = re.sub(r"[^A-Za-z0-9_@+:-]", "_", text)[:60]
    return f"{plain}~{derive('ate pin file', text.encode(errors='surrogatepass')).hex()[:16]}"


def _line(text: str) -> str:
    return " ".join(text.encode("ascii", "backslashreplace").decode().split())[:300]


def _expect(who: str, key_id: bytes, known: Collection[bytes], what: str) -> None:
    if known and key_id not in known:
        names = ", ".join(sorted(key_text(one) for one in known)[:4])
        raise UntrustedRoot(
            f"{who} is {_shown(key_text(key_id))}, {what} {names}",
            hint="do not use it before you know why: somebody may be in between",
        )


def _disagree(path: Path, text: str, seen: str, known: str) -> UntrustedRoot:
    return UntrustedRoot(
        f"{text}: it was {_shown(known)}, it is {_shown(seen)}",
        hint=f"if you know that {_shown(seen)} is right, remove {path} (it says {_shown(known)})",
    )


def _shown(key: str) -> str:
    return "nobody" if key in ("", "-") else key


def _unreadable(path: Path) -> StorageError:
    return StorageError(
        f"{path} holds no pin", hint="look at it; to trust what is met next, remove it"
    )
