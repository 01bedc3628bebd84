"""From the options of a command to an open chain: who acts, where the files are; no decisions.

Commands that only read open read-only, so that they work beside a writer.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

if TYPE_CHECKING:
    from ate.client import Chain
    from ate.dio.opening import Opening
    from ate.log.local import LocalLog
    from ate.session import Session

#: How long a server may take to answer before what is written waits in the copy.
_ARRIVE_S: Final = 5.0


@dataclass(slots=True)
class Target:
    """The chain that a command is about, and who acts.

    Args:
        name: of the chain.
        path: the directory that holds the chains; None is the user's.
        identity: name of the identity that acts; None is nobody.
        passphrase_file: see `atecli.passphrase`.
        as_json: JSON instead of tables.
        url: of the server that the chain is shared through; None is a chain of this machine alone.
            With `path` the copy there is used, else one in memory.
        token_file: holds what the server wants to be shown; it is read at each connection.
    """

    name: str
    path: Path | None
    identity: str | None
    passphrase_file: str | None
    as_json: bool
    url: str | None = None
    token_file: Path | None = None
    _session: Session | None = field(default=None, repr=False)

    def directory(self) -> Path:
        """Return the directory of the chain, there or not; raises UsageError when it is no name."""
        from ate.dio.opening import chain_directory
        from ate.ids import ChainName

        return chain_directory(ChainName(self.name), self.path)

    def exists(self) -> bool:
        """Tell whether there are files of a chain, whatever their state."""
        directory = self.directory()
        patterns = ("CURRENT", "[0-9]" * 6, ".epoch-*/CURRENT")
        return any(any(directory.glob(one)) for one in patterns)

    def check_exists(self) -> None:
        """Raise NotFound when there is no such chain."""
        from ate.errors import NotFound

        if self.url is None and not self.exists():
            known = "ate chains" if self.path is None else f"ate chains --path {self.path}"
            raise NotFound(f"there is no chain {self.name!r}", hint=f"see what there is: {known}")

    def session(self) -> Session | None:
        """Return the session of the identity that acts; asks for the passphrase the first time."""
        if self.identity is not None and self._session is None:
            from atecli import identity, passphrase

            identity.check_exists(self.identity)
            word = passphrase.ask(f"passphrase of {self.identity}", file=self.passphrase_file)
            self._session = identity.load(self.identity, word)
        return self._session

    def check_stdin_is_free(self) -> None:
        """Raise UsageError when the passphrase is to come from stdin."""
        from ate.errors import UsageError
        from atecli import passphrase

        if self.identity is not None and passphrase.is_stdin(self.passphrase_file):
            raise UsageError("stdin cannot hold the input and the passphrase at once")

    def open(self, *, salvage: bool = False) -> Opening:
        """Open the chain for reading, beside any writer; raises NotFound when there is none.

        Args:
            salvage: open a damaged chain too, up to the damage.
        """
        from ate import client

        self.check_exists()
        if self.url is not None:
            return self.join()
        return client.open(
            self.name, path=self.path, session=self.session(), readonly=True, salvage=salvage,
            plugins=filters(),
        )  # fmt: skip

    def join(self, *, create: bool = False, recovery: str = "readonly-async") -> Opening:
        """Open the chain through its server; the copy of `path` serves while that is away."""
        from ate import client

        return client.open(
            self.name, path=self.path, session=self.session(), create=create, url=self.url,
            recovery=recovery, plugins=filters(), connection={"token": self._token},
        )  # fmt: skip

    def _token(self) -> bytes:
        return self.token_file.read_bytes() if self.token_file is not None else b""

    @asynccontextmanager
    async def open_to_write(
        self, *, create: bool = False, signs: bool = True
    ) -> AsyncIterator[Chain]:
        """Open the chain as its writer.

        Args:
            create: make it when there is none, and say so.
            signs: what is to be done needs a key on a chain that takes signed commits only.

        Raises:
            WriteDenied: nobody acts, and the chain takes signed commits only.
            NotFound: there is none, and `create` is false.
        """
        from ate import client
        from ate.errors import WriteDenied
        from atecli.exits import say
        from atecli.history import is_signed

        is_new = create and self.url is None and not self.exists()
        if not is_new:
            self.check_exists()
        session = self.session()
        if self.url is not None:
            # With a copy on the disk what is written waits there while there is no server.
            opening = self.join(create=create, recovery="async" if self.path else "readonly-async")
        else:
            opening = client.open(
                self.name, path=self.path, session=session, create=is_new, plugins=filters()
            )
        async with opening as chain:
            await arrive(chain)
            if is_new:
                how = f"sealed and signed by {session.identity}" if session else "without keys"
                say(f"made the chain {self.name!r}, {how}")
            elif signs and session is None and is_signed(chain):
                hint = "act as somebody who may write: --as NAME"
                raise WriteDenied("the chain takes signed commits only", hint=hint)
            yield chain
            if chain.status.pending:
                say("there is no connection: it waits here, and `ate sync` sends it")

    def store(self) -> LocalLog:
        """Open the log alone, for reading; what is in it is not judged."""
        from ate.log.local import LocalLog

        self.check_exists()
        return LocalLog.open(self.directory(), readonly=True)


async def arrive(chain: Chain) -> None:
    """Wait until a shared chain is as its server has it, or there is no connection."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_ARRIVE_S):
            async for status in chain.statuses():
                if status.current or status.trouble:
                    return


def filters() -> tuple[Any, ...]:
    """Return the filters that bodies may need to be read; none of them changes what is written."""
    from ate.errors import UsageError
    from ate.limits import BODY_BYTES_MAX
    from ate.trust.compression import Zstd

    try:
        return (Zstd(least_bytes=BODY_BYTES_MAX + 1),)
    except UsageError:  # it is an extra of the library
        return ()


def run(target: Target, work: Coroutine[Any, Any, None]) -> None:
    """Run work that only reads; ctrl-c ends it at once, wherever it is."""
    _prepare(target, work, must_exist=True)
    # With any handler but Python's own, asyncio leaves ctrl-c alone. Its way would be to wait until
    # the work waits for something, and reading does not.
    before = signal.signal(signal.SIGINT, _interrupt)
    try:
        asyncio.run(work)
    finally:
        signal.signal(signal.SIGINT, before)


def run_to_write(target: Target, work: Coroutine[Any, Any, None], *, create: bool = False) -> None:
    """Run work that writes; ctrl-c ends it between two steps.

    Args:
        create: there need not be a chain yet.
    """
    _prepare(target, work, must_exist=not create)
    asyncio.run(work)


def _prepare(target: Target, work: Coroutine[Any, Any, None], *, must_exist: bool) -> None:
    """Do what must not happen inside the event loop: there, nobody could leave the prompt."""
    try:
        if must_exist:
            target.check_exists()
        target.session()
    except BaseException:
        work.close()
        raise


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def chain_names(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Return chain names for the shell to complete."""
    from atecli.commands.chains import found

    return [one.name for one in found(None) if one.name.startswith(incomplete)]


def identity_names(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Return names of identities for the shell to complete."""
    from atecli import identity

    return [name for name in identity.names() if name.startswith(incomplete)]


def examples(*lines: str) -> str:
    """Return the examples of a command for the end of its help; click leaves their lines alone."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


def path_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --path."""
    return click.option(
        "--path", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
        help="The directory that holds the chains.",
    )(function)  # fmt: skip


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(
        function
    )


def passphrase_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --passphrase-file."""
    return click.option(
        "--passphrase-file", metavar="FILE",
        help="Read the passphrase from FILE, - for stdin.  [env var: ATE_PASSPHRASE_FILE]",
    )(function)  # fmt: skip


def chain_command(
    function: Callable[..., None], *, is_required: bool = True, is_shared: bool = False
) -> Callable[..., None]:
    """Give a command the chain argument and the options that all of them share.

    The function is called with a `Target` and with what the command adds itself. Where no chain is
    required, its name may be empty. A shared one takes --url.
    """

    @functools.wraps(function)
    def command(
        chain: str | None,
        path: Path | None,
        identity: str | None,
        passphrase_file: str | None,
        *,
        as_json: bool,
        url: str | None = None,
        token_file: Path | None = None,
        **own: Any,
    ) -> None:
        if token_file is not None and url is None:
            raise click.UsageError("a token is for a server: say which with --url")
        where = (chain or "", path, identity, passphrase_file)
        function(Target(*where, as_json, url, token_file), **own)

    wrapped: Callable[..., Any] = command
    if is_shared:
        wrapped = click.option(
            "--token", "token_file", metavar="FILE",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="The access token that the server of --url wants, as `atedb token` prints it.",
        )(wrapped)  # fmt: skip
        wrapped = click.option(
            "--url", metavar="URL",
            help="The server that shares the chain, such as ws://HOST/; without a port it means"
            " 5000. --path then holds a copy, and without it the copy is in memory.",
        )(wrapped)  # fmt: skip
    for add in (
        json_option,
        passphrase_option,
        click.option(
            "--as", "identity", metavar="NAME", envvar="ATE_IDENTITY",
            shell_complete=identity_names, help="Act as this identity.  [env var: ATE_IDENTITY]",
        ),
        path_option,
    ):  # fmt: skip
        wrapped = add(wrapped)
    return click.argument("chain", shell_complete=chain_names, required=is_required)(wrapped)


def shared_command(function: Callable[..., None]) -> Callable[..., None]:
    """As `chain_command`, for a command that also works on a server's chain: it takes --url."""
    return chain_command(function, is_shared=True)
