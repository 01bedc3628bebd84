"""`atedb solo`: its options, as settings; what they mean is judged elsewhere (`atedb.settings`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from atedb.table import examples

_FILE: Any = click.Path(dir_okay=False, path_type=Path)
_MIB = 1024 * 1024


@click.command(
    "solo",
    epilog=examples(
        "atedb solo",
        "atedb solo data --port 0 --json",
        "atedb solo data --listen 0.0.0.0 --auth tokens.key --wire-encryption",
        "atedb solo data --listen :: --tls-cert cert.pem --tls-key key.pem --clients team.keys",
        "atedb solo data --pure-tcp --status-port 9100",
        "atedb solo data --service /test=test-data",
        "atedb solo data --port 5001 --stand-by",
    ),
)
@click.argument("path", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--listen",
    default="127.0.0.1",
    show_default=True,
    metavar="HOST",
    help="Address to listen on; 0.0.0.0 or :: for all.",
)
@click.option(
    "--port",
    default=5000,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="0 takes any that is free, and prints it.",
)
@click.option("--url", default="", metavar="URL", help="What clients open, if it is another.")
@click.option(
    "--service",
    "services",
    multiple=True,
    metavar="/NAME=DIR",
    help="Serve the chains of DIR at /NAME as well; may be repeated.",
)
@click.option(
    "--trust",
    default="distributed",
    show_default=True,
    type=click.Choice(["distributed", "centralized"]),
    help="Chains that may be made here: such as authors sign, or also such as this server signs.",
)
@click.option(
    "--auth",
    default="",
    metavar="FILE",
    help="Want a token that was made with this key file; see `atedb token`.",
)
@click.option(
    "--no-auth",
    count=True,
    help="Anybody may write. Say it twice if other machines reach this server.",
)
@click.option(
    "--clients",
    type=_FILE,
    metavar="FILE",
    help="Only these keys may connect: a principal or key id in each line.",
)
@click.option("--wire-encryption", is_flag=True, help="Take encrypted connections only.")
@click.option(
    "--no-encryption",
    is_flag=True,
    help="Other machines may connect in the clear, as behind a proxy that does TLS.",
)
@click.option("--tls-cert", type=_FILE, metavar="FILE", help="Certificate chain, PEM.")
@click.option("--tls-key", type=_FILE, metavar="FILE", help="Its key, PEM, without a passphrase.")
@click.option(
    "--identity",
    type=_FILE,
    metavar="FILE",
    help="The server's own key; made when it is missing. Default: PATH/.atedb/identity.",
)
@click.option(
    "--nodes-list",
    type=_FILE,
    metavar="FILE",
    help="URLs of servers that take what has no room here, one in each line.",
)
@click.option("--topology", type=_FILE, metavar="FILE", help="Which server has which chain.")
@click.option(
    "--cluster",
    default="",
    metavar="URL",
    help="Instead of --topology: each address that DNS has for this name is a server.",
)
@click.option(
    "--name-server",
    "name_servers",
    multiple=True,
    metavar="HOST[:PORT]",
    help="Ask this DNS server for --cluster; may be repeated.",
)
@click.option(
    "--peers",
    type=_FILE,
    metavar="FILE",
    help="Keys of the cluster's servers, one in each line: they may follow all chains and take"
    " them over.",
)
@click.option("--pure-tcp", is_flag=True, help="Frames over TCP instead of WebSockets; no HTTP.")
@click.option("--no-http", is_flag=True, help="Neither /healthz nor /metrics nor a page.")
@click.option(
    "--status-port",
    type=click.IntRange(0, 65535),
    metavar="N",
    help="These pages on 127.0.0.1 and this port instead.",
)
@click.option("--max-connections", default=20_000, show_default=True, type=click.IntRange(1))
@click.option(
    "--max-chains",
    default=0,
    type=click.IntRange(0),
    metavar="N",
    help="Chains open at once, in each service; 0 is without a limit, here and below.",
)
@click.option(
    "--max-subscriptions",
    default=0,
    type=click.IntRange(0),
    metavar="N",
    help="Chains open on all connections together; more go to --nodes-list.",
)
@click.option(
    "--commits-per-second",
    default="",
    metavar="N[,N[,N]]",
    help="Of each connection, on each chain, in all.",
)
@click.option("--bytes-per-second", default="", metavar="N[,N[,N]]", help="Likewise.")
@click.option(
    "--quota-bytes",
    default=0,
    type=click.IntRange(0),
    metavar="N",
    help="What the chains of one owner may take up.",
)
@click.option(
    "--quota-chains",
    default=0,
    type=click.IntRange(0),
    metavar="N",
    help="How many chains one owner may have.",
)
@click.option(
    "--idle-close",
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    type=click.FloatRange(0, 86_400),
    help="Close chains that nobody has open.",
)
@click.option(
    "--compact",
    default="heartbeat",
    show_default=True,
    type=click.Choice(["heartbeat", "never"]),
    help="Compact a chain where a checkpoint of its root says so, or keep all of it.",
)
@click.option(
    "--stand-by",
    is_flag=True,
    help="Share PATH with another server: wait, and take over when it ends or hangs.",
)
@click.option(
    "--stand-by-after",
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    type=click.FloatRange(0.2, 3600),
    help="A server that gives no sign of life for so long hangs.",
)
@click.option(
    "--create/--no-create",
    default=True,
    show_default=True,
    help="Whether clients may make new chains.",
)
@click.option("--json", "as_json", is_flag=True, help="The ready line and the journal as JSON.")
@click.option("--verbose", is_flag=True, help="Write each connection to the journal.")
def command(**given: Any) -> None:  # fmt: skip
    """Serve the chains below the directory PATH, by default `server` in your data directory.

    When it is ready it prints one line with its URL. Its journal goes to stderr. It listens on
    this machine only, unless --listen says otherwise; then it wants to know who may use it
    (--auth or --clients) and how the wire is protected (--wire-encryption or TLS).
    """
    import sys

    from ate.clock import SystemClock
    from atedb.journal import Journal
    from atedb.solo import run

    settings, clock = settings_of(given), SystemClock()
    journal = Journal(sys.stderr, clock, as_json=settings.as_json, verbose=settings.verbose)

    def ready(facts: dict[str, Any]) -> None:
        import json

        line = json.dumps(facts) if settings.as_json else f"atedb ready {facts['url']}"
        print(line, flush=True)
        journal.note("ready", url=facts["url"], key=facts["key"], status=facts.get("status"))

    run(settings, journal, clock, ready)


def settings_of(given: dict[str, Any]) -> Any:
    """Return the settings that the options mean; raises UsageError."""
    from ate.dio.opening import home
    from ate.errors import UsageError
    from atedb.gate import Limits
    from atedb.quota import Allowance
    from atedb.settings import Service, Settings, rates

    services = []
    for text in given.pop("services"):
        path, equals, folder = text.partition("=")
        if not equals or not folder:
            raise UsageError(f"no such service: {text!r}", hint="write --service /name=DIRECTORY")
        services.append(Service(path, Path(folder)))
    speeds = rates(given.pop("commits_per_second"), given.pop("bytes_per_second"))
    return Settings(
        path=given.pop("path") or home() / "server",
        services=tuple(services),
        bounds=Limits(given.pop("max_subscriptions"), given.pop("max_chains"), *speeds),
        quota=Allowance(given.pop("quota_bytes"), given.pop("quota_chains")),
        idle_close_s=given.pop("idle_close"),
        stand_by_after_s=given.pop("stand_by_after"),
        **given,
    )
