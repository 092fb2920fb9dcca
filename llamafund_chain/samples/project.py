"""A new project: everything that a first campaign on a test chain takes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from llamafund_chain.errors import LlamafundError, UsageError
from llamafund_chain.files import storage_error, write_file
from llamafund_chain.samples.corpus import write_corpus
from llamafund_chain.samples.machine import LIBRARIES, library_versions, processor_class

_FILES = {
    "start/campaign.yaml": "campaign.yaml",
    "start/recipe.yaml": "recipe.yaml",
    "start/README.md": "README.md",
    "start/gitignore": ".gitignore",
    "reference/LICENSE": "data-license.txt",
}
"""What is copied, and its name in the project."""

_HERE = Path(__file__).parent

RECIPE = _HERE / "start" / "recipe.yaml"
"""A recipe that trains in seconds."""

PROMISED_BITS_PER_BYTE = "4.1"
"""What the campaign file promises of it."""


_ENVIRONMENT = """\
# Where it is trained, because other machines compute other bits. Checks refuse what was trained elsewhere, and machines
# like this can repeat it bit for bit. This is the machine that wrote this file; `llamafund train recipe.yaml --dry-run`
# prints that of any other.
environment:
"""


def with_environment(recipe: bytes) -> bytes:
    """A recipe for the CPU that also names this machine as the place where it is trained.

    Args:
        recipe: The recipe's bytes, without a section `environment`.

    Returns:
        The same bytes if the libraries that train are not all installed here.
    """
    settings = library_versions()
    if LIBRARIES - settings.keys():
        return recipe
    settings["processor_class"] = processor_class()
    lines = "".join(f"  {name}: {json.dumps(value)}\n" for name, value in settings.items())
    return recipe + (_ENVIRONMENT + lines).encode()


def write_project(directory: Path) -> tuple[str, ...]:
    """Write a campaign file, a recipe for this machine, sample data, a README and a .gitignore.

    Args:
        directory: Must be empty or missing.

    Returns:
        The names in it, sorted.

    Raises:
        UsageError: It is not empty.
        LlamafundError: The package's files are missing or changed, or the project cannot be written.
    """
    try:
        taken = sorted(path.name for path in directory.iterdir()) if directory.exists() else []
    except NotADirectoryError as error:
        raise UsageError(f"{str(directory)!r} is not a folder", remedy="Name a new one") from error
    except OSError as error:
        raise storage_error(error, f"Reading the folder {str(directory)!r}") from error
    if taken:
        more = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
        raise UsageError(
            f"{str(directory)!r} is not empty: it has {taken[0][:80]!r}{more}",
            "Nothing in it is overwritten",
            "Name an empty or new folder",
        )
    files = {name: _packaged(source) for source, name in _FILES.items()}
    here = with_environment(files["recipe.yaml"])
    plain, named = (hashlib.sha256(data).hexdigest().encode() for data in (files["recipe.yaml"], here))
    files["recipe.yaml"], files["campaign.yaml"] = here, files["campaign.yaml"].replace(plain, named)
    write_corpus(directory / "data")
    for name, data in files.items():
        write_file(directory / name, data)
    return tuple(sorted(("data", *files)))


def _packaged(source: str) -> bytes:
    try:
        return (_HERE / source).read_bytes()
    except OSError as error:
        raise LlamafundError(
            f"The package has no {source}", error.strerror or str(error), "Install llamafund again"
        ) from error
