"""The package records of this machine, from dpkg, apt or Python; it stores nothing."""

from __future__ import annotations

import gzip
import lzma
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import parseaddr
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Final

DPKG_STATUS: Final = Path("/var/lib/dpkg/status")
APT_LISTS: Final = Path("/var/lib/apt/lists")
#: What apt itself reads its lists with, whatever they are compressed with.
_APT_HELPER: Final = "/usr/lib/apt/apt-helper"
_FIELDS: Final = {
    "Package", "Version", "Architecture", "Section", "Installed-Size", "Maintainer", "Depends",
    "Description", "Status",
}  # fmt: skip


@dataclass(frozen=True)
class Found:
    """One package record as the machine keeps it."""

    name: str
    version: str
    architecture: str
    section: str
    size_kib: int
    depends: tuple[str, ...]
    summary: str
    maintainer: str
    email: str
    installed: bool


@dataclass
class Inventory:
    """All records of the machine.

    Args:
        installed, available: records by whether the package is installed.
        sources: where they are from, for people.
        notes: what could not be read.
    """

    installed: list[Found] = field(default_factory=list)
    available: list[Found] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def all(self) -> list[Found]:
        return self.installed + self.available


def gather(
    *, status: Path = DPKG_STATUS, lists: Path = APT_LISTS, limit: int | None = None
) -> Inventory:
    """Return what this machine knows of packages.

    Args:
        status: dpkg's file of installed packages; may be missing.
        lists: apt's folder of package lists; may be missing or empty.
        limit: at most so many packages that are not installed.
    """
    found = Inventory()
    if status.is_file():
        text = status.read_text(errors="replace")
        found.installed = [
            _package(stanza) for stanza in _stanzas(text) if " installed" in stanza["Status"]
        ]
        found.sources.append("dpkg status")
    known = {(one.name, one.version, one.architecture) for one in found.installed}
    for path in sorted(lists.glob("*_Packages*")) if lists.is_dir() else ():
        listing = _read(path)
        if listing is None:
            found.notes.append(f"{path.suffix or 'plain'} list: nothing here can unpack it")
            continue
        found.sources.append("an apt list")
        for stanza in _stanzas(listing):
            if limit is not None and len(found.available) >= limit:
                break
            one = _package(stanza)
            key = one.name, one.version, one.architecture
            if key not in known:
                known.add(key)
                found.available.append(one)
    if not found.all:
        found.installed = list(_distributions())
        found.sources.append("Python distributions")
    return found


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    """Yield the fields we use of each paragraph that names a package, first lines only."""
    for paragraph in text.split("\n\n"):
        stanza = dict.fromkeys(_FIELDS, "")
        for line in paragraph.split("\n"):
            name, colon, value = line.partition(": ")
            if colon and name in _FIELDS:
                stanza[name] = value
        if stanza["Package"]:
            yield stanza


def _package(stanza: dict[str, str]) -> Found:
    name, email = parseaddr(stanza["Maintainer"])
    size = stanza["Installed-Size"]
    return Found(
        name=stanza["Package"],
        version=stanza["Version"],
        architecture=stanza["Architecture"],
        section=stanza["Section"],
        size_kib=int(size) if size.isdecimal() else 0,
        depends=tuple(part.strip() for part in stanza["Depends"].split(",") if part.strip()),
        summary=stanza["Description"],
        maintainer=name or email or "nobody",
        email=email,
        installed=bool(stanza["Status"]),
    )


def _read(path: Path) -> str | None:
    """Return the text of a list, unpacked by whatever is at hand; None when nothing is."""
    try:
        if path.suffix == ".gz":
            return gzip.decompress(path.read_bytes()).decode(errors="replace")
        if path.suffix == ".xz":
            return lzma.decompress(path.read_bytes()).decode(errors="replace")
        if path.name.endswith("_Packages"):
            return path.read_text(errors="replace")
        helper = shutil.which(_APT_HELPER)
        if helper is None:
            return None
        done = subprocess.run([helper, "cat-file", path], capture_output=True, check=True)
        return done.stdout.decode(errors="replace")
    except (OSError, EOFError, lzma.LZMAError, subprocess.CalledProcessError):
        return None


def _distributions() -> Iterator[Found]:
    """Yield the Python distributions that are installed."""
    for one in distributions():
        about: Any = one.metadata
        name, email = parseaddr(about.get("Author-email") or about.get("Maintainer-email") or "")
        files = one.files or ()
        size = sum(file.size or 0 for file in files)
        yield Found(
            name=about["Name"],
            version=one.version,
            architecture="all",
            section="python",
            size_kib=size // 1024,
            depends=tuple(one.requires or ()),
            summary=about.get("Summary") or "",
            maintainer=name or about.get("Author") or email or "nobody",
            email=email,
            installed=True,
        )
