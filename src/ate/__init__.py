"""Encrypted, signed, append-only chains that programs use as objects.

    async with ate.open("universe") as chain:
        dio = chain.dio()
        key = dio.store(World("Hello")).id
        await dio.commit()
        print((await dio.load(World, key)).value)

Names are imported when they are first used, so that `import ate` costs next to nothing.
"""

from __future__ import annotations

import typing
from importlib import import_module

if typing.TYPE_CHECKING:
    from ate import blocking as blocking
    from ate.chain.checker import Checked as Checked
    from ate.chain.checker import check_proof as check_proof
    from ate.chain.evidence import Evidence as Evidence
    from ate.chain.retention import Retention as Retention
    from ate.client import Chain as Chain
    from ate.client import open as open  # noqa: A004 — the product's verb
    from ate.dio.collections import Child as Child
    from ate.dio.collections import Link as Link
    from ate.dio.collections import Map as Map
    from ate.dio.collections import Ref as Ref
    from ate.dio.collections import Vec as Vec
    from ate.dio.dao import Dao as Dao
    from ate.dio.dio import Dio as Dio
    from ate.dio.fork import Fork as Fork
    from ate.dio.history import Version as Version
    from ate.dio.lens import Lens as Lens
    from ate.dio.logic import Logic as Logic
    from ate.dio.method import method as method
    from ate.dio.opening import home as home
    from ate.dio.policy import CompactPolicy as CompactPolicy
    from ate.dio.queue import Queue as Queue
    from ate.dio.receipt import Proof as Proof
    from ate.dio.receipt import Receipt as Receipt
    from ate.dio.rpc import call as call
    from ate.dio.rpc import serve as serve
    from ate.dio.secondary import SecondaryIndex as SecondaryIndex
    from ate.dio.text import Text as Text
    from ate.dio.text import merge_text as merge_text
    from ate.dio.transaction import Durability as Durability
    from ate.errors import AteError as AteError
    from ate.errors import CommitError as CommitError
    from ate.errors import Compacted as Compacted
    from ate.errors import Conflict as Conflict
    from ate.errors import CorruptLog as CorruptLog
    from ate.errors import Deleted as Deleted
    from ate.errors import Fenced as Fenced
    from ate.errors import LimitExceeded as LimitExceeded
    from ate.errors import LoadError as LoadError
    from ate.errors import LogLocked as LogLocked
    from ate.errors import NoReadKey as NoReadKey
    from ate.errors import NotFound as NotFound
    from ate.errors import OutOfSpace as OutOfSpace
    from ate.errors import Refused as Refused
    from ate.errors import RemoteError as RemoteError
    from ate.errors import StorageError as StorageError
    from ate.errors import TimedOut as TimedOut
    from ate.errors import TrustError as TrustError
    from ate.errors import UsageError as UsageError
    from ate.errors import WriteDenied as WriteDenied
    from ate.errors import WrongType as WrongType
    from ate.event.access import Access as Access
    from ate.event.access import Any as Any
    from ate.event.access import Everyone as Everyone
    from ate.event.access import Inherit as Inherit
    from ate.event.access import Nobody as Nobody
    from ate.event.access import Only as Only
    from ate.event.access import Principal as Principal
    from ate.ids import ChainName as ChainName
    from ate.ids import ObjectId as ObjectId
    from ate.ntp.clock import NtpClock as NtpClock
    from ate.overview import Changes as Changes
    from ate.overview import changes as changes
    from ate.session import Session as Session

    FULL, LOCAL, NONE = Durability.FULL, Durability.LOCAL, Durability.NONE

__version__ = "0.1.0"

_HOMES = {
    "ate.chain.checker": ("Checked", "check_proof"),
    "ate.chain.evidence": ("Evidence",),
    "ate.chain.retention": ("Retention",),
    "ate.client": ("Chain", "open"),
    "ate.dio.collections": ("Child", "Link", "Map", "Ref", "Vec"),
    "ate.dio.dao": ("Dao",),
    "ate.dio.dio": ("Dio",),
    "ate.dio.fork": ("Fork",),
    "ate.dio.history": ("Version",),
    "ate.dio.lens": ("Lens",),
    "ate.dio.logic": ("Logic",),
    "ate.dio.method": ("method",),
    "ate.dio.opening": ("home",),
    "ate.dio.policy": ("CompactPolicy",),
    "ate.dio.queue": ("Queue",),
    "ate.dio.receipt": ("Proof", "Receipt"),
    "ate.dio.rpc": ("call", "serve"),
    "ate.dio.secondary": ("SecondaryIndex",),
    "ate.dio.text": ("Text", "merge_text"),
    "ate.dio.transaction": ("Durability",),
    "ate.errors": (
        "AteError", "CommitError", "Compacted", "Conflict", "CorruptLog", "Deleted", "Fenced",
        "LimitExceeded", "LoadError", "LogLocked", "NoReadKey", "NotFound", "OutOfSpace", "Refused",
        "RemoteError", "StorageError", "TimedOut", "TrustError", "UsageError", "WriteDenied",
        "WrongType",
    ),
    "ate.event.access": ("Access", "Any", "Everyone", "Inherit", "Nobody", "Only", "Principal"),
    "ate.ids": ("ChainName", "ObjectId"),
    "ate.ntp.clock": ("NtpClock",),
    "ate.overview": ("Changes", "changes"),
    "ate.session": ("Session",),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

_DURABILITIES = ("FULL", "LOCAL", "NONE")

__all__ = sorted([*_HOME_OF, *_DURABILITIES, "blocking"])  # noqa: PLE0605 — one table of names


def __getattr__(name: str) -> typing.Any:
    value: typing.Any
    if name in _DURABILITIES:
        value = import_module("ate.dio.transaction").Durability[name]
    elif name == "blocking":
        value = import_module("ate.blocking")
    elif name in _HOME_OF:
        value = getattr(import_module(_HOME_OF[name]), name)
    else:
        raise AttributeError(f"module 'ate' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
