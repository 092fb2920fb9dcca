"""What transformers loads when a job imports it: half of the time that a short job takes."""

from __future__ import annotations

import functools
import gc
import importlib.util
import sys
from collections.abc import Sequence, Set
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_ALL = "llamafund_trainer.worker.loop"
"""A module that imports all that jobs use."""

UNUSED = frozenset({"datasets", "lightning", "pandas", "peft", "pyarrow", "scipy", "sklearn", "torchvision", "trl"})
"""Packages that transformers would load if they are installed, and that jobs do not need."""


def import_libraries(needed: Set[str]) -> None:
    """Import all that jobs use; does nothing if that has been done.

    Args:
        needed: Packages of `UNUSED` that this job needs.
    """
    if _ALL in sys.modules:
        return
    leave_out(UNUSED - needed)
    read_models_once()
    # None of it is garbage. To look for some would take a quarter of the time, now and in each later collection.
    gc.disable()
    importlib.import_module(_ALL)
    gc.freeze()
    gc.enable()


def leave_out(packages: Set[str]) -> None:
    """Hide packages from transformers, which would spend seconds on loading them without using them."""
    find = importlib.util.find_spec

    def find_spec(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name.partition(".")[0] in packages else find(name, package)

    importlib.util.find_spec = find_spec


def read_models_once() -> None:
    """Let transformers remember what it has read of its models.

    While it is imported, it looks through the source of all its models twice, because it remembers 128 of 500 folders.
    """
    sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds the module of transformers that looks through the models."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "transformers.utils.import_utils":
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    """Gives that module's function a memory without a limit."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        name = "create_import_structure_from_path"
        limited = getattr(module, name, None)
        if limited is not None and hasattr(limited, "__wrapped__"):
            setattr(module, name, functools.cache(limited.__wrapped__))
