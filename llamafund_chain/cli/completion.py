"""`llamafund completion`: a script that lets a shell complete commands, options, wallets and networks."""

from __future__ import annotations

import click

from llamafund_chain.cli.groups import COMPLETION_VARIABLE
from llamafund_chain.cli.options import json_option
from llamafund_chain.cli.output import emit


@click.command(short_help="Print a script that lets a shell complete commands, wallets and networks.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@json_option
@click.pass_context
def completion(context: click.Context, shell: str, as_json: bool) -> None:
    """Print a script that lets SHELL complete commands, options, wallets and networks.

    For bash, add the example to ~/.bashrc. For zsh, write zsh and add it to ~/.zshrc. For fish, save the script as
    ~/.config/fish/completions/llamafund.fish.

    With --json: shell and script.

    \b
    Example:
      eval "$(llamafund completion bash)"
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None, "click knows all three"
    script = kind(context.find_root().command, {}, "llamafund", COMPLETION_VARIABLE).source()
    emit("completion", {"shell": shell, "script": script}, script.splitlines(), as_json=as_json)
