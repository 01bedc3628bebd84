"""`ate completion`: the script that lets a shell complete what you type; it installs nothing."""

from __future__ import annotations

import click

from atecli import output
from atecli.opening import examples


@click.command(
    "completion",
    epilog=examples(
        'eval "$(ate completion bash)"                              in ~/.bashrc',
        'eval "$(ate completion zsh)"                               in ~/.zshrc',
        "ate completion fish > ~/.config/fish/completions/ate.fish  once",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, *, shell: str) -> None:
    """Print what SHELL needs to complete commands, options, chains and identities."""
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None  # the choices above are click's own
    script = made(context.find_root().command, {}, "ate", "_ATE_COMPLETE")
    # Not `source()`: it asks the bash of this machine for its version first, and may refuse.
    output.line((script.source_template % script.source_vars()).strip())
