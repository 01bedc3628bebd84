"""What a server is told, as one value, and whether that is safe; it opens no file and no socket."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from ate import limits
from ate.errors import UsageError
from ate.mesh.url import PORT, Url
from atedb.gate import Limits
from atedb.quota import Allowance
from atedb.throttle import Rate

#: What no chain's name begins with: the server's own files are in a directory of this name.
OWN: Final = ".atedb"
IDLE_CLOSE_S: Final = 60.0
STAND_BY_AFTER_S: Final = 5.0
_SERVICE: Final = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_RESERVED: Final = ("/healthz", "/metrics")


class Service(NamedTuple):
    """A directory of chains and the path where it is served."""

    path: str
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that `atedb solo` is told; the options of the command have the same names."""

    path: Path
    services: tuple[Service, ...] = ()
    listen: str = "127.0.0.1"
    port: int = PORT
    url: str = ""
    trust: str = "distributed"
    auth: str = ""
    no_auth: int = 0
    no_encryption: bool = False
    wire_encryption: bool = False
    identity: Path | None = None
    clients: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    nodes_list: Path | None = None
    topology: Path | None = None
    cluster: str = ""
    name_servers: tuple[str, ...] = ()
    peers: Path | None = None
    pure_tcp: bool = False
    no_http: bool = False
    status_port: int | None = None
    max_connections: int = limits.CONNECTIONS_MAX
    bounds: Limits = field(default_factory=Limits)
    quota: Allowance = field(default_factory=Allowance)
    idle_close_s: float = IDLE_CLOSE_S
    compact: str = "heartbeat"
    stand_by: bool = False
    stand_by_after_s: float = STAND_BY_AFTER_S
    create: bool = True
    as_json: bool = False
    verbose: bool = False

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.listen == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.listen).is_loopback
        except ValueError:
            return False

    @property
    def scheme(self) -> str:
        plain = "tcp" if self.pure_tcp else "ws"
        return plain + "s" if self.tls_cert is not None else plain

    def all_services(self) -> tuple[Service, ...]:
        """Return the main service and the further ones."""
        return (Service("/", self.path), *self.services)

    def address(self, port: int) -> str:
        """Return what clients are told to open: `--url`, or where the server listens."""
        if self.url:
            return str(Url.parse(self.url))
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.listen, self.listen)  # noqa: S104
        return str(Url(self.scheme, host, port))

    def check(self) -> None:
        """Return when these settings make sense and are safe.

        Raises:
            UsageError: they do not; the hint says what to do.
        """
        self._check_sense()
        self._check_services()
        if not self.is_local:
            self._check_safety()

    def _check_sense(self) -> None:
        if self.auth and self.no_auth:
            raise UsageError("--auth and --no-auth contradict each other", hint="choose one")
        if "://" in self.auth:
            raise UsageError(
                "an auth server cannot be asked yet: this version checks tokens with a key file",
                hint="make one: atedb token --new-key FILE, then --auth FILE",
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            raise UsageError(
                "TLS needs a certificate and its key", hint="--tls-cert FILE --tls-key FILE"
            )
        if self.stand_by and (self.services or self.topology is not None or self.cluster):
            raise UsageError(
                "--stand-by is for a server with one directory, and in no cluster",
                hint="leave --service, --topology and --cluster away",
            )
        if self.status_port is not None and self.no_http:
            raise UsageError("--status-port is for HTTP, and --no-http forbids it")
        if self.url:
            Url.parse(self.url)
        elif self.topology is not None or self.cluster:
            raise UsageError(
                "which of the servers of the cluster is this one?", hint="say so with --url"
            )
        if self.cluster:
            Url.parse(self.cluster)
            if self.topology is not None:
                raise UsageError("--cluster and --topology contradict each other")
        if self.peers is not None and self.topology is None and not self.cluster:
            raise UsageError("--peers are those of a cluster", hint="see --topology")

    def _check_services(self) -> None:
        seen: dict[str, Path] = {}
        for path, folder in self.all_services():
            if path != "/" and (not _SERVICE.fullmatch(path) or path in _RESERVED):
                raise UsageError(
                    f"not the path of a service: {path!r}",
                    hint="write --service /name=DIRECTORY; /healthz and /metrics are taken",
                )
            if path in seen:
                raise UsageError(f"two services at {path!r}")
            place = folder.resolve()
            for other in seen.values():
                if place == other or place in other.parents or other in place.parents:
                    raise UsageError(
                        f"the service {path!r} is inside the directory of another one, or around it"
                    )
            seen[path] = place

    def _check_safety(self) -> None:
        where = f"other machines can reach {self.listen}"
        if not self.auth and self.clients is None and self.no_auth < 2:
            if self.no_auth:
                raise UsageError(
                    f"{where}: with --no-auth anybody there can write",
                    hint="say it twice if you mean it: --no-auth --no-auth",
                )
            raise UsageError(
                f"{where}: say who may use the server",
                hint="--auth FILE (see `atedb token --help`) or --clients FILE",
            )
        if self.tls_cert is None and not self.wire_encryption and not self.no_encryption:
            raise UsageError(
                f"{where}: names of chains and tokens would cross the network in the clear",
                hint="add --wire-encryption, or --tls-cert and --tls-key; behind a proxy that does"
                " TLS: --no-encryption",
            )


def rates(commits: str, nbytes: str) -> tuple[Rate, Rate, Rate]:
    """Return the rates of a connection, a chain and the server.

    Args:
        commits, nbytes: `N`, `N,N` or `N,N,N`, 0 without a limit.

    Raises:
        UsageError: they are not of this form.
    """
    first, second = _three("--commits-per-second", commits), _three("--bytes-per-second", nbytes)
    one, two, three = (Rate(*pair) for pair in zip(first, second, strict=True))
    return one, two, three


def _three(option: str, text: str) -> list[int]:
    parts = text.split(",") if text else []
    if len(parts) > 3 or not all(part.isascii() and part.isdigit() for part in parts):
        raise UsageError(
            f"{option} {text}: no such rates",
            hint="one number for each connection, then for each chain, then for all: 100,500,2000",
        )
    numbers = [min(int(part), 1 << 50) for part in parts]
    return numbers + [0] * (3 - len(numbers))
