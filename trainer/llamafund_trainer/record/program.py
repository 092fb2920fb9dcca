"""The running script as a recipe that others can repeat: its text, its arguments, and what is installed."""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from importlib.util import find_spec
from pathlib import Path

from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.programs import MAX_PROGRAM_BYTES, Program

_OURS = ("llamafund_chain", "llamafund_trainer")
_REQUIRED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_REMEDY = "Or name a file with recipe=; then the run is recorded, and nobody can repeat it"

_SECRET_VARIABLE = re.compile(
    r"(^|_)(API_?KEY|KEY|TOKEN|SECRET|PASS(WORD|WD|PHRASE)?|CREDENTIALS?|MNEMONIC)(_|$)", re.IGNORECASE
)
_SHORTEST_SECRET = 8
_SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bhf_[A-Za-z0-9]{30,}|\bsk-[A-Za-z0-9_-]{20,}|\bgh[opsur]_[A-Za-z0-9]{36}"
    r"|\bgithub_pat_[A-Za-z0-9_]{50,}|\bA[KS]IA[A-Z0-9]{16}\b|://[^/\s:@{}'\"]+:[^/\s:@{}'\"]+@"
    r"|\"ciphertext\"\s*:"
)
"""Beginnings of keys, tokens with well-known beginnings, passwords in addresses, and keystores."""


@dataclass(frozen=True)
class Places:
    """Where a recorded run has its things, and values that its arguments may name.

    Attributes:
        evidence: The folder of the evidence.
        data: The folder with the dataset, if it is known.
        store: The store's path or address, if it is known.
        seed: The training seed.
        dataset: SHA-256 of the dataset's manifest.
        inputs: Folders that the script reads, by the SHA-256 of their published manifests.
    """

    evidence: Path
    data: Path | None
    store: str | None
    seed: str
    dataset: str
    inputs: Mapping[str, Path] = field(default_factory=dict)


def running_script() -> Path | None:
    """The script that this process was started with.

    `None` in a notebook, a shell, with `python -m`, and in one of several processes: nobody repeats those.
    """
    main = sys.modules.get("__main__")
    name = getattr(main, "__file__", None)
    if name is None or getattr(main, "__spec__", None) is not None or os.environ.get("WORLD_SIZE", "1") != "1":
        return None
    path = Path(name).resolve()
    return path if path.suffix == ".py" and path.is_file() else None


def describe_program(
    script: Path,
    arguments: Sequence[str],
    places: Places,
    more: Sequence[Path | str] = (),
    environment: Mapping[str, str] | None = None,
) -> Program:
    """Describe a script so that others can run it.

    Taken in are the modules beside the script that it imports, files beside it that its arguments name, and `more`.

    Args:
        script: The script.
        arguments: Its arguments.
        places: What its arguments may name.
        more: Further files or folders beside the script that it reads, such as configurations or modules that are
            imported by a computed name.
        environment: As `environment_of_program` tells it.

    Raises:
        UsageError: It needs something that nobody else has: a module that is neither beside it nor installed, or a
            place on this machine. Or it is too long, a file is not text, or a secret would be published with it.
    """
    script = script.resolve()
    root = script.parent
    named = _Arguments(root, places, arguments)
    written = tuple(named.portable(argument) for argument in arguments)
    paths = {script, *named.files, *_expanded(root, more)}
    imported, others = _modules(root, {path for path in paths if path.suffix == ".py"})
    files = {path.relative_to(root).as_posix(): _text(path) for path in sorted(paths | imported)}
    _refuse_secrets({"arguments": "\n".join(arguments), **files})
    program = Program(
        entry=script.name,
        arguments=written,
        data=named.place_of("data"),
        inputs={sha256: named.place_of(sha256) for sha256 in sorted(places.inputs)},
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        lock=lock_of(others),
        environment=dict(environment or {}),
        files=files,
    )
    if len(program.encoded) > MAX_PROGRAM_BYTES:
        raise UsageError(
            f"The program has {len(program.encoded)} bytes", f"At most {MAX_PROGRAM_BYTES} can be published", _REMEDY
        )
    return program


def _refuse_secrets(texts: Mapping[str, str]) -> None:
    """Refuse texts that hold the value of a secret environment variable, or what looks like a key or password."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if _SECRET_VARIABLE.search(name) and len(value) >= _SHORTEST_SECRET
    }
    for place, text in texts.items():
        held = next((f"the value of the variable {name}" for name, value in variables.items() if value in text), None)
        if held is None and _SECRETS.search(text):
            held = "what looks like a key, token or password"
        if held is not None:
            raise UsageError(
                f"{place[:200]!r} holds {held}",
                "The program would be published with it",
                f"Let the script read it from a variable. {_REMEDY}",
            )


def lock_of(modules: Iterable[str]) -> dict[str, str]:
    """Versions of the distributions that hold some modules, and of what those require, as far as it is installed.

    Of ours only the version counts, not what it requires.

    Raises:
        UsageError: A module comes from no distribution, so nobody else can install it.
    """
    known = packages_distributions()
    lock: dict[str, str] = {}
    queue: list[str] = []
    for name in sorted(set(modules)):
        if name in _OURS:
            queue.append("llamafund")
        elif name in known:
            queue += known[name]
        elif find_spec(name) is not None:
            raise UsageError(
                f"The module {name!r} is neither beside the script nor from an installed package",
                "So nobody else has it",
                f"Put it beside the script, or install it as a package. {_REMEDY}",
            )
    while queue:
        name = _normal(queue.pop())
        if name in lock:
            continue
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # An optional one, or one for other systems.
        lock[name] = found.version
        if name != "llamafund":
            matches = (_REQUIRED.match(line) for line in found.requires or () if "extra ==" not in line)
            queue += [match[0] for match in matches if match]
    return lock


def lock_problem(lock: Mapping[str, str], python: str) -> str | None:
    """What is installed here in another version than a program needs, as a sentence; `None` if nothing is."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    differing = [] if python == here else [f"Python {python} (here {here})"]
    for name, version in sorted(lock.items()):
        try:
            found = distribution(name).version
        except PackageNotFoundError:
            found = "missing"
        if found != version:
            differing.append(f"{name} {version} (here {found})")
    if not differing:
        return None
    more = f" and {len(differing) - 8} more" if len(differing) > 8 else ""
    return f"It needs {', '.join(differing[:8])}{more}"


class _Arguments:
    """Arguments without what is particular to this machine and run."""

    def __init__(self, root: Path, places: Places, arguments: Sequence[str]) -> None:
        self._root = root
        self._evidence = places.evidence.resolve()
        folders = {"data": places.data, **places.inputs}
        self._folders = {name: folder.resolve() for name, folder in folders.items() if folder is not None}
        self._values = {places.seed: "{seed}", places.dataset: "{dataset}"}
        if places.store is not None:
            self._values[places.store] = "{store}"
        named = (_place(_value(argument)) for argument in arguments)
        above = [path for path in named if path is not None and self._holds_run(path)]
        self._run = min(above, key=lambda path: len(path.parts), default=None)
        self._told: set[str] = set()
        self.files: list[Path] = []

    def portable(self, argument: str) -> str:
        """An argument, or the value behind its first `=`, by the name of the place or value that it means."""
        value = _value(argument)
        return argument.removesuffix(value) + self._named(value)

    def place_of(self, name: str) -> str:
        """Where the program reads the dataset or an input, as `Program.data` says it. Asked after all arguments."""
        folder = self._folders.get(name)
        if folder is None:
            return ""
        if name in self._told:
            return f"{{{name}}}"
        if self._run is not None and folder.is_relative_to(self._run):
            return f"{{run}}/{folder.relative_to(self._run).as_posix()}"
        if folder.is_relative_to(self._root) and folder != self._root:
            return folder.relative_to(self._root).as_posix()
        raise UsageError(
            f"The {'dataset' if name == 'data' else f'input {name}'} is in a folder that neither an argument names nor "
            "is beside the script",
            "Nobody else has that folder",
            f"Let the script take it as an argument. {_REMEDY}",
        )

    def _named(self, value: str) -> str:
        if value in self._values:
            return self._values[value]
        path = _place(value)
        if path is None:
            return value
        for name, folder in self._folders.items():
            if path == folder:
                self._told.add(name)
                return f"{{{name}}}"
        if self._run is not None and path.is_relative_to(self._run):
            below = path.relative_to(self._run).as_posix()
            return "{run}" if below == "." else f"{{run}}/{below}"
        if path.is_relative_to(self._root):
            if path.is_file():
                if _is_hidden(path.relative_to(self._root)):
                    raise UsageError(
                        f"The argument {value[:200]!r} names a hidden file",
                        "Its text would be published, and such files often hold secrets",
                        f"Let the script read secrets from variables. {_REMEDY}",
                    )
                self.files.append(path)
                return path.relative_to(self._root).as_posix()
            return path.relative_to(self._root).as_posix() if Path(value).is_absolute() else value
        if value.startswith(("/", "~")):
            raise UsageError(
                f"The argument {value[:200]!r} names a place on this machine",
                "Nobody else has it",
                f"Put it beside the script, or publish that folder and name it with inputs=. {_REMEDY}",
            )
        return value

    def _holds_run(self, path: Path) -> bool:
        return self._evidence.is_relative_to(path) and not self._root.is_relative_to(path)


def _value(argument: str) -> str:
    """The value behind an option's `=`, or the whole argument."""
    option, _, value = argument.partition("=")
    return value if option.startswith("-") and value else argument


def _place(value: str) -> Path | None:
    """What a value would mean as a path; `None` if it cannot be one."""
    if not value or value.startswith("-") or len(value) > 1_000 or "\0" in value:
        return None
    return Path(value).expanduser().resolve()


def _expanded(root: Path, named: Sequence[Path | str]) -> Iterator[Path]:
    for name in named:
        path = (root / name).resolve()
        if not path.exists() or not path.is_relative_to(root) or path == root:
            raise UsageError(
                f"{str(name)!r} is not a file or folder beside the script", remedy="Give its path from there"
            )
        yield from _in_folder(root, path) if path.is_dir() else (path,)


def _in_folder(root: Path, folder: Path) -> list[Path]:
    """Files below a folder, without hidden ones, caches, and links that lead out of the script's folder."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not _is_hidden(path.relative_to(folder))
        and "__pycache__" not in path.parts
        and path.resolve().is_relative_to(root)
    )


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAX_PROGRAM_BYTES + 1).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path.name!r} is not text", "A program is published as text", _REMEDY) from error
    except OSError as error:
        raise UsageError(f"{path.name!r} cannot be read", error.strerror or str(error)) from error


def _modules(root: Path, scripts: Iterable[Path]) -> tuple[set[Path], set[str]]:
    """The modules beside a script that it imports, also by way of one another; and the first names of all others."""
    found: set[Path] = set()
    others: set[str] = set()
    queue = list(scripts)
    while queue:
        path = queue.pop()
        for name in _imports(path, root):
            local = _local(root, name)
            if local is None:
                others.add(name.partition(".")[0])
            queue += [each for each in local or () if each not in found]
            found.update(local or ())
    return found, {name for name in others if name not in sys.stdlib_module_names}


def _imports(path: Path, root: Path) -> Iterator[str]:
    """Full names of what a module imports, or may import: `from a import b` names both `a` and `a.b`."""
    try:
        tree = ast.parse(_text(path), filename=path.name)
    except (SyntaxError, ValueError, RecursionError):
        return  # Not a module, such as a template.
    package = path.parent.relative_to(root).parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*above, *((node.module,) if node.module else ())))
            if base:
                yield base
            if node.level or (base and _local(root, base) is not None):
                yield from (f"{base}.{alias.name}".lstrip(".") for alias in node.names)


def _local(root: Path, name: str) -> list[Path] | None:
    """The files beside the script that importing a module runs; `None` if it is not beside it."""
    parts = name.split(".")
    first = root / parts[0]
    if not first.with_suffix(".py").is_file() and not first.is_dir():
        return None
    found = []
    for length in range(1, len(parts) + 1):
        place = root.joinpath(*parts[:length])
        found += [path for path in (place / "__init__.py", place.with_suffix(".py")) if path.is_file()]
    return found if found or first.is_dir() else None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
