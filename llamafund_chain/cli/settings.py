"""Configuration: what an option is if it is not typed, from the environment, a project's file or the user's file.

A project's file, `llamafund.toml`, is found in the current directory or above it. Whoever clones a repository gets one
with it, so it may only say what cannot hurt: the name of a network, whose node the user's own file names, and a store
inside of the project. A node that lies could make a false campaign look genuine, and a signer has the keys.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import click

from llamafund_chain.errors import UsageError
from llamafund_chain.files import check_secret, open_regular, read_error
from llamafund_chain.mistakes import Mistake, refusal, unknown_key
from llamafund_chain.text import printable

PROJECT_FILE = "llamafund.toml"
USER_VARIABLE = "LLAMAFUND_CONFIG"
"""Names another user's file."""

FINALITIES = ("finalized", "safe", "latest")

_META = "llamafund_chain.cli.settings"
_MAX_BYTES = 1 << 16
_MAX_INT = 1 << 63
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_SHOWN = 200


@dataclass(frozen=True)
class Key:
    """What a file can set.

    Attributes:
        kind: How it is written: text, texts (one or a list), a whole number, a path, or a table of networks.
        help: One sentence.
        choices: The only values; empty if there are others.
        in_projects: Whether a project's file may set it.
    """

    kind: Literal["text", "texts", "number", "path", "table"]
    help: str
    choices: tuple[str, ...] = ()
    in_projects: bool = False


KEYS: Mapping[str, Key] = {
    "network": Key("text", "Name of the chain to use; the node must be of it.", in_projects=True),
    "rpc": Key("texts", "Address of a node, or a list of them: the first that answers serves."),
    "finality": Key("text", "How settled a block must be to count.", FINALITIES),
    "store": Key("texts", "Where evidence is kept: a location, or a list of them.", in_projects=True),
    "keystore": Key("path", "Directory of the key files."),
    "passphrase_file": Key("path", "File whose first line is the passphrase."),
    "wallet": Key("text", "Key file that signs."),
    "signer": Key("text", "Who signs, as --signer takes it."),
    "from": Key("text", "Account that signs, for a signer that has several."),
    "facts": Key("text", "Base of facts: an SQLite file, or postgresql+psycopg://…"),
    "networks": Key("table", "Your nodes, and your own chains: one table for each, called after the network."),
}
"""By the name of the option, with underscores for dashes."""

NETWORK_KEYS: Mapping[str, Key] = {
    "rpc": Key("texts", "Address of a node of this network, or a list of them."),
    "chain_id": Key("number", "EIP-155 number; needed for a network that the program does not know."),
    "from_block": Key("number", "A block before which the contracts were not on this network."),
}
"""What a table in `networks` can set."""


@dataclass(frozen=True)
class UserNetwork:
    """A table in `networks`.

    Attributes:
        rpc: Addresses of nodes; may be empty.
        chain_id: EIP-155 number; `None` if the file does not say it.
        from_block: 0 if the file does not say it.
    """

    rpc: tuple[str, ...] = ()
    chain_id: int | None = None
    from_block: int = 0


@dataclass(frozen=True)
class Setting:
    """A value and where it is from.

    Attributes:
        texts: The value; several where there may be several.
        source: Whose file it is.
        file: The file.
    """

    texts: tuple[str, ...]
    source: Literal["project", "user"]
    file: Path

    @property
    def text(self) -> str:
        """The value in one line."""
        return " ".join(self.texts)


@dataclass(frozen=True)
class Settings:
    """What the files say.

    Attributes:
        user_file: Where the user's file is, or would be.
        project_file: The project's file; `None` without one.
        values: By key; the project's before the user's.
        networks: The user's, by name.
        ignored: Why a project's file was not read; empty if it was.
    """

    user_file: Path | None
    project_file: Path | None = None
    values: Mapping[str, Setting] = field(default_factory=dict)
    networks: Mapping[str, UserNetwork] = field(default_factory=dict)
    ignored: str = ""

    @property
    def addresses(self) -> Iterator[str]:
        """Every address of a node or signer in them; parts may be secret."""
        for setting in self.values.values():
            yield from setting.texts
        for network in self.networks.values():
            yield from network.rpc


def user_file() -> Path | None:
    """Where the user's file is, or would be; `None` if the user wants none."""
    named = os.environ.get(USER_VARIABLE)
    if named:
        return None if named == os.devnull else Path(named)
    # Imported here: `--help` needs no folder.
    from platformdirs import user_config_path

    return user_config_path("llamafund", appauthor=False) / "config.toml"


def current() -> Settings:
    """What the files say, read once a command.

    Raises:
        UsageError: A file cannot be read, or has a mistake.
    """
    context = click.get_current_context(silent=True)
    if context is None:
        # A shell completes a word.
        return load(_directory())
    found = context.meta.get(_META)
    if not isinstance(found, Settings):
        found = context.meta[_META] = load(_directory())
        if found.ignored:
            click.echo(f"Note: {printable(found.ignored)}.", err=True)
    return found


def _directory() -> Path | None:
    try:
        return Path.cwd()
    except OSError:
        # It was removed.
        return None


def loaded(context: click.Context | None) -> Settings | None:
    """What a command has read; `None` if it needed no file."""
    return None if context is None else context.meta.get(_META)


def load(directory: Path | None) -> Settings:
    """Read the user's file and the project's.

    Args:
        directory: Where the search for the project's file begins, upwards; `None` for no search.

    Raises:
        UsageError: A file cannot be read, or has a mistake.
    """
    own = user_file()
    values: dict[str, Setting] = {}
    networks: dict[str, UserNetwork] = {}
    if own is not None and (own.exists() or os.environ.get(USER_VARIABLE)):
        document = _parse(own.resolve(), own)
        _check(document, KEYS, own)
        networks = {name: _network(name, table, own) for name, table in document.pop("networks", {}).items()}
        values |= {name: Setting(_value(name, value, own), "user", own) for name, value in document.items()}
    project = None if directory is None else _find(directory)
    if project is None:
        return _checked(Settings(own, None, values, networks))
    why = _untrusted(project)
    if why:
        return _checked(Settings(own, None, values, networks, why))
    document = _parse(project, project)
    _check(document, KEYS, project)
    for name, value in document.items():
        if not KEYS[name].in_projects:
            raise UsageError(
                f"{project}: a project's file may not set {name}",
                "Whoever wrote this project would choose your nodes, your keys, or how careful you are",
                "Remove it there. If you want it, write it into your own file, "
                f"{own or f'which {USER_VARIABLE} names'}",
            )
        values[name] = Setting(_value(name, value, project), "project", project)
        if name == "store":
            _check_inside(values[name].texts, project)
    return _checked(Settings(own, project, values, networks))


def _find(directory: Path) -> Path | None:
    for folder in (directory, *directory.parents):
        path = folder / PROJECT_FILE
        # A link that leads nowhere is found as well: it is refused, not passed over.
        if path.is_symlink() or path.exists():
            return path
    return None


def _untrusted(path: Path) -> str:
    """Why a project's file is not read; empty if it is."""
    try:
        status = path.lstat()
    except OSError as error:
        raise read_error(path, error) from error
    if stat.S_ISLNK(status.st_mode):
        return f"{path} was not read, because it is a link"
    if status.st_uid not in (0, os.getuid()):
        return f"{path} was not read, because it belongs to another user"
    if status.st_mode & 0o002:
        return f"{path} was not read, because every user can change it"
    return ""


def _parse(path: Path, shown: Path) -> dict[str, Any]:
    # Imported here: most commands find no file.
    import tomllib

    try:
        with open_regular(path) as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise read_error(shown, error) from error
    if len(data) > _MAX_BYTES:
        raise UsageError(f"{shown} is longer than {_MAX_BYTES >> 10} KiB", "That is no configuration", "Check its path")
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{shown} is not UTF-8 text", remedy="Save it as UTF-8") from error
    except (ValueError, RecursionError) as error:
        why = "It is nested too deep" if isinstance(error, RecursionError) else printable(str(error), _SHOWN)
        raise UsageError(f"{shown} is not TOML", why, 'Write each setting as: key = "value"') from error


def _check(table: Mapping[str, Any], keys: Mapping[str, Key], file: Path, *above: str) -> None:
    """Refuse keys that there are not, and values of another kind."""
    mistakes = []
    for name, value in table.items():
        place = (*above, name)
        key = keys.get(name)
        if key is None:
            mistakes.append(unknown_key(place, list(keys)))
        elif (why := _misfit(key, value)) is not None:
            mistakes.append(Mistake(place, f"{'.'.join(place)} cannot be that", *why))
    if mistakes:
        raise refusal(UsageError, str(file), mistakes)


def _misfit(key: Key, value: object) -> tuple[str, str] | None:
    """Why a value cannot be a key's, and what to do; `None` if it can."""
    if key.kind == "table":
        fits = isinstance(value, dict) and all(isinstance(inner, dict) for inner in value.values())
        return None if fits else ("It must be tables", 'Write [networks.NAME], and below it rpc = "URL"')
    if key.kind == "number":
        fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_INT
        return None if fits else ("It must be a whole number", "Write it in digits, without quotes")
    texts = value if isinstance(value, list) and key.kind == "texts" else [value]
    if not texts or not all(isinstance(text, str) and text and "\0" not in text for text in texts):
        several = ", or several in brackets" if key.kind == "texts" else ""
        return "It must be text", f"Write it in quotes{several}"
    if key.choices and value not in key.choices:
        return f"It must be one of {', '.join(key.choices)}", "Choose one of them"
    return None


def _value(name: str, value: Any, file: Path) -> tuple[str, ...]:
    """A value that fits, with paths as if they had been typed where the file is."""
    kind = KEYS[name].kind
    texts = tuple(value) if isinstance(value, list) else (str(value),)
    if kind == "path" or name in ("store", "facts"):
        return tuple(text if kind != "path" and _is_address(text) else _path(text, file) for text in texts)
    return tuple(part for text in texts for part in text.split()) if kind == "texts" else texts


def _path(text: str, file: Path) -> str:
    return str(file.parent / os.path.expanduser(text))  # noqa: PTH111 - it leaves the unknown user of ~name alone


def _is_address(location: str) -> bool:
    return re.match(r"[a-z]+(\+insecure)?:|[a-z]+\+[a-z0-9]+://", location) is not None


def _check_inside(locations: tuple[str, ...], project: Path) -> None:
    """Refuse stores outside of a project."""
    folder = project.parent.resolve()
    for location in locations:
        if _is_address(location) or not Path(location).resolve().is_relative_to(folder):
            raise UsageError(
                f"{project}: store is {printable(location, _SHOWN)!r}",
                "A project's file may only name a directory inside of the project",
                "Write a relative path, or name the store in your own file",
            )


def _network(name: str, table: Mapping[str, Any], file: Path) -> UserNetwork:
    from llamafund_chain.chain.networks import NETWORKS

    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{file}: the network {printable(name, _SHOWN)!r} has a name that cannot be typed",
            "A name has at most 40 small letters, digits and dashes",
            "Rename it",
        )
    _check(table, NETWORK_KEYS, file, "networks", name)
    rpc = table.get("rpc", ())
    chain_id = table.get("chain_id")
    known = next((one for one in NETWORKS.values() if name in (one.name, *one.also)), None)
    if known is not None and chain_id not in (None, known.chain_id):
        raise UsageError(
            f"{file}: networks.{name} has chain_id {chain_id}",
            f"The network of that name is chain {known.chain_id}",
            "Correct it, or give your network another name",
        )
    if known is None and chain_id is None:
        raise UsageError(
            f"{file}: networks.{name} has no chain_id",
            "The program knows no network of that name, so it could not tell whether a node is of it",
            "Add: chain_id = NUMBER",
        )
    return UserNetwork(
        tuple(rpc.split() if isinstance(rpc, str) else rpc),
        chain_id if known is None else known.chain_id,
        table.get("from_block", 0),
    )


def _checked(settings: Settings) -> Settings:
    """Refuse a network that nobody knows, and a user's file that others can read with a token in an address."""
    from llamafund_chain.chain.networks import network_named
    from llamafund_chain.cli.secrecy import tokens_in

    named = settings.values.get("network")
    if named is not None and named.text.strip().lower() not in settings.networks:
        try:
            network_named(named.text, settings.networks)
        except UsageError as error:
            raise UsageError(f"{named.file}: {error.what}", error.why, error.remedy) from error
    own = settings.user_file
    if own is not None and tokens_in(settings.addresses):
        check_secret(own, "configuration file")
    return settings


class Defaults(Mapping[str, Any]):
    """The settings as click takes them: what parameters are if they are neither typed nor in the environment."""

    _LEFT_OUT = frozenset({"network", "networks", "rpc", "store", "facts"})
    """Their options ask for them: they depend on each other, or on a variable that click does not split."""

    def __getitem__(self, name: str) -> Any:
        if name not in KEYS or name in self._LEFT_OUT:
            raise KeyError(name)
        return current().values[name].text

    def __iter__(self) -> Iterator[str]:
        return iter([name for name in current().values if name not in self._LEFT_OUT])

    def __len__(self) -> int:
        return len(list(iter(self)))
