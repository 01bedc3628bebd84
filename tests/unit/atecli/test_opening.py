"""From options to chains: who acts, what exists, and who may still be interrupted."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import click
import pytest

from ate.errors import NotFound, UsageError, WriteDenied
from atecli import opening
from atecli.opening import Target


def target(name: str = "notes", identity: str | None = None, **options: Any) -> Target:
    return Target(
        name, options.get("path"), identity, options.get("passphrase_file"), as_json=False
    )


async def make(name: str = "notes", identity: str | None = None) -> None:
    async with target(name, identity).open_to_write(create=True) as chain:
        dio = chain.dio()
        dio.store({"n": 1})
        await dio.commit()


def test_a_chain_is_below_the_path_or_the_home(home: Path, tmp_path: Path) -> None:
    assert target("a/b").directory() == home / "chains/a/b"
    assert target(path=tmp_path).directory() == tmp_path / "notes"
    with pytest.raises(UsageError):
        target("../x").directory()


def test_what_is_not_there_is_told_with_a_way_to_see_what_is(home: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound) as raised:
        target().check_exists()
    assert raised.value.hint == "see what there is: ate chains"
    with pytest.raises(NotFound) as raised:
        target(path=tmp_path).open()
    assert "--path" in raised.value.hint


async def test_writing_makes_a_chain_and_says_so(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NotFound):
        async with target().open_to_write():
            pass
    await make()
    assert capsys.readouterr().err == "ate: made the chain 'notes', without keys\n"
    await make()
    assert capsys.readouterr().err == ""
    async with target().open() as chain:
        assert chain.readonly
        assert len(chain) == 2
    store = target().store()
    assert store.readonly
    store.close()


async def test_a_session_is_opened_once(alice: str, capsys: pytest.CaptureFixture[str]) -> None:
    one = target(identity=alice)
    assert one.session() is one.session()
    await make(identity=alice)
    assert "sealed and signed by alice@example.org" in capsys.readouterr().err
    with pytest.raises(WriteDenied, match="signed commits only"):
        async with target().open_to_write():
            pass
    with pytest.raises(NotFound, match="no identity 'carol'"):
        target(identity="carol").session()


def test_stdin_serves_one_purpose(home: Path) -> None:
    target().check_stdin_is_free()
    target(passphrase_file="-").check_stdin_is_free()
    with pytest.raises(UsageError, match="at once"):
        target(identity="alice", passphrase_file="-").check_stdin_is_free()


async def test_compression_is_optional(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(opening.filters()) == 1

    def refuse(**_: object) -> None:
        raise UsageError("zstd is not installed")

    monkeypatch.setattr("ate.trust.compression.Zstd", refuse)
    assert opening.filters() == ()


def test_reading_ends_at_once_on_ctrl_c(home: Path) -> None:
    """Reading never waits, so it must not depend on the event loop getting a turn."""
    import asyncio

    asyncio.run(make())
    before = signal.getsignal(signal.SIGINT)
    reached: list[str] = []

    async def read() -> None:
        reached.append("begun")
        signal.raise_signal(signal.SIGINT)
        reached.append("went on")

    with pytest.raises(KeyboardInterrupt):
        opening.run(target(), read())
    assert reached == ["begun"]
    assert signal.getsignal(signal.SIGINT) is before


def test_nothing_runs_before_the_chain_is_there(home: Path) -> None:
    ran: list[int] = []

    async def work() -> None:
        ran.append(1)

    with pytest.raises(NotFound):
        opening.run(target(), work())
    with pytest.raises(NotFound):
        opening.run_to_write(target(), work())
    assert not ran
    opening.run_to_write(target(), work(), create=True)
    assert ran


def test_the_shared_options_become_a_target(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATE_IDENTITY", "alice")
    seen: list[Any] = []

    @click.command(epilog=opening.examples("ate x"))
    @opening.chain_command
    @click.option("--own")
    def command(target: Target, *, own: str) -> None:
        seen.extend([target, own])

    command.main(["notes", "--path", str(home), "--json", "--own", "1"], standalone_mode=False)
    made, own = seen
    assert (made.name, made.path, made.identity, made.as_json, own) == (
        "notes", home, "alice", True, "1",
    )  # fmt: skip
    assert "Examples:" in command.get_help(click.Context(command))


async def test_names_are_completed(alice: str, home: Path) -> None:
    await make("some/notes")
    await make("other")
    context, parameter = click.Context(click.Command("x")), click.Argument(["chain"])
    assert opening.chain_names(context, parameter, "so") == ["some/notes"]
    assert opening.identity_names(context, parameter, "a") == ["alice"]
