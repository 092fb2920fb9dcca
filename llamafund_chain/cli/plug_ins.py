"""Commands that installed packages add through the entry point group `llamafund.commands`.

The files are read here and not through `importlib.metadata`, which takes a quarter of the time of `llamafund --help`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple

GROUP = "llamafund.commands"


class PlugIn(NamedTuple):
    """A command of another package.

    Attributes:
        name: The command's.
        value: Module and attribute, for example `llamafund_trainer.cli.train:train`.
    """

    name: str
    value: str

    @property
    def module(self) -> str:
        """Where it is defined."""
        return self.value.partition(":")[0].strip()

    def load(self) -> Any:
        """Import it.

        Raises:
            ImportError: Something that it needs is not installed.
        """
        found: Any = import_module(self.module)
        for part in self.value.partition(":")[2].partition("[")[0].strip().split("."):
            found = getattr(found, part)
        return found


def plug_ins() -> dict[str, PlugIn]:
    """What the installed packages add, by name."""
    listed = (plug_in for file in _files() for plug_in in _listed(file))
    return {found.name: found for found in sorted(listed, key=lambda found: found.value, reverse=True)}


def _files() -> Iterator[str]:
    """The lists of entry points, each package's first one, as Python would import it."""
    seen = set()
    for folder in dict.fromkeys(sys.path):
        try:
            names = os.listdir(folder or ".")  # noqa: PTH208 - pathlib takes longer to load than this takes
        except OSError:
            continue
        for name in names:
            package = name.partition("-")[0].lower()
            if name.endswith((".dist-info", ".egg-info")) and package not in seen:
                seen.add(package)
                yield f"{folder or '.'}/{name}/entry_points.txt"


def _listed(file: str) -> Iterator[PlugIn]:
    try:
        with open(file, encoding="utf-8") as lines:  # noqa: PTH123 - as above
            text = lines.read()
    except (OSError, ValueError):
        return
    if GROUP not in text:
        return
    section = ""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("["):
            section = stripped.strip("[]").strip()
        elif section == GROUP and "=" in stripped and not stripped.startswith(("#", ";")):
            name, _, value = stripped.partition("=")
            yield PlugIn(name.strip(), value.strip())
