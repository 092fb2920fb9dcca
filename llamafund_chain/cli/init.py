"""`llamafund init`: a folder with everything that a first campaign takes."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import json_option
from llamafund_chain.cli.output import emit, note
from llamafund_chain.samples.project import write_project

if TYPE_CHECKING:
    # Kept out of the light commands: it takes longer to load than they run.
    from pydantic import JsonValue


@click.command(short_help="Write a campaign file, a recipe and sample data to begin with.")
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIRECTORY")
@json_option
def init(directory: Path, as_json: bool) -> None:
    """Write a campaign file, a recipe, sample data, a README and a .gitignore into DIRECTORY.

    It is complete and works on the chain of `llamafund devnet`: its README has the next commands. Then change it into
    your own. DIRECTORY must be empty or new; nothing is overwritten.

    \b
    Example:
      llamafund init my-model
    """
    if_interrupted(f"{directory} is not complete. Remove it before you run it again")
    names = write_project(directory)
    folder = shlex.quote(str(directory))
    facts: dict[str, JsonValue] = {"directory": str(directory), "files": [*names]}
    emit("init", facts, [f"Written to {directory}: {', '.join(names)}"], as_json=as_json)
    if not as_json:
        note(f"Next: cd {folder}, and read README.md.")
