"""Options that commands share, each with its environment variable, and the functions that use them."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from llamafund_chain.chain.wallet import KeyStore, folders_of_others
from llamafund_chain.cli.numbers import COIN_AMOUNT
from llamafund_chain.cli.secrecy import keep_out_of_core_files
from llamafund_chain.errors import LlamafundError, UsageError
from llamafund_chain.files import check_secret, directory_error, read_secret
from llamafund_chain.text import printable

if TYPE_CHECKING:
    from llamafund_chain.chain.connection import Agree

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_RPC = "http://127.0.0.1:8545"
_FROM_BLOCK = f"{__name__}.from_block"
FINALITIES = ("finalized", "safe", "latest")

_MAX_PASSPHRASE_FILE = 4096
_MAX_SIGNATURE = 8192
_WHOLE = re.compile(r"-?[0-9]{1,40}")
_QUESTION_LIMIT = 2000


def data_folder() -> Path:
    """Where the program keeps key files and evidence unless told otherwise."""
    # Imported here: most commands are told, or keep nothing.
    from platformdirs import user_data_path

    return user_data_path("llamafund", appauthor=False)


def default_store() -> Path:
    """The default directory for evidence."""
    return data_folder() / "store"


def open_keystore(directory: Path | None) -> KeyStore:
    """The key files to choose from.

    Args:
        directory: The only directory to look in; `None` for the program's own and those of Foundry, brownie and geth.
    """
    if directory is not None:
        return KeyStore(directory)
    return KeyStore(data_folder() / "keystore", folders_of_others(Path.home()))


class FilePath(click.Path):
    """The path of a file that is read or written. A directory is refused as everywhere else.

    Args:
        exists: Whether it must exist.
    """

    def __init__(self, *, exists: bool = False) -> None:
        super().__init__(exists=exists, dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if Path(value).is_dir():
            raise directory_error(value)
        return super().convert(value, param, ctx)


if TYPE_CHECKING:
    _TextType = click.ParamType[str]
    _BytesType = click.ParamType[bytes]
else:
    # Generic only in the newest versions of click.
    _TextType = _BytesType = click.ParamType


class AddressType(_TextType):
    """An Ethereum address. A wrong checksum is refused, a missing one is accepted."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        # Imported here: it is slow to load, and `wallet list` needs no address.
        from eth_utils import is_hex_address, to_checksum_address

        text = str(value).strip()
        digits = text[2:]
        if not text.startswith("0x") or not is_hex_address(text):
            self.fail(f"{text!r} is not an address: write 0x and 40 hexadecimal digits", param, ctx)
        checksummed = str(to_checksum_address(text))
        if digits not in (digits.lower(), digits.upper(), checksummed[2:]):
            self.fail(f"{text!r} has a typo: its upper and lower case letters do not match its checksum", param, ctx)
        return checksummed


class HashType(_TextType):
    """32 bytes as 64 hexadecimal digits, with or without 0x."""

    name = "hash"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).strip().lower().removeprefix("0x")
        if len(text) != 64 or any(digit not in "0123456789abcdef" for digit in text):
            self.fail(
                f"{str(value)!r} is not a hash: write 64 hexadecimal digits, as sha256sum prints them",
                param,
                ctx,
            )
        return text


class SignatureType(_BytesType):
    """A signature as wallets return it: 64 bytes or more, in hexadecimal digits."""

    name = "signature"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        if isinstance(value, bytes):
            return value
        text = str(value).strip()
        try:
            data = bytes.fromhex(text[2:] if text[:2] in ("0x", "0X") else text)
        except ValueError:
            data = b""
        if not 64 <= len(data) <= _MAX_SIGNATURE:
            self.fail(
                f"{len(text)} characters that are not a signature: write 0x and at least 128 hexadecimal digits, as "
                "the wallet returned them",
                param,
                ctx,
            )
        return data


class WholeNumber(click.IntRange):
    """A whole number within bounds."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value).strip()
        if not _WHOLE.fullmatch(text):
            self.fail(f"{str(value)!r} is not a whole number", param, ctx)
        number = int(text)
        if _outside(self, number):
            self.fail(f"{text} is out of range: {_bounds(self)}", param, ctx)
        return number


class Number(click.FloatRange):
    """A number within bounds."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value).strip()
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            self.fail(f"{str(value)!r} is not a number", param, ctx)
        if _outside(self, number):
            self.fail(f"{text} is out of range: {_bounds(self)}", param, ctx)
        return number


def _outside(kind: click.IntRange | click.FloatRange, number: float) -> bool:
    return (kind.min is not None and number < kind.min) or (kind.max is not None and number > kind.max)


def _bounds(kind: click.IntRange | click.FloatRange) -> str:
    if kind.max is None:
        return f"it must be at least {kind.min:g}"
    return f"it must be at most {kind.max:g}" if kind.min is None else f"it must be from {kind.min:g} to {kind.max:g}"


ADDRESS = AddressType()
HASH = HashType()
SIGNATURE = SignatureType()


def rpc_option(command: F) -> F:
    """`--rpc URL`, once or several times, parameter `rpc`; and `--from-block`, see `from_block`.

    The parameter has the addresses separated by spaces, as the variable has them.
    """
    with_block = click.option(
        "--from-block",
        envvar="LLAMAFUND_FROM_BLOCK",
        type=WholeNumber(min=0),
        default=0,
        metavar="BLOCK",
        show_envvar=True,
        expose_value=False,
        callback=lambda context, _option, number: context.meta.update({_FROM_BLOCK: number}),
        help="A block before which the campaign was not there. Nodes that keep no old states need it on long chains.",
    )(command)
    return click.option(
        "--rpc",
        envvar="LLAMAFUND_RPC",
        metavar="URL",
        multiple=True,
        default=(DEFAULT_RPC,),
        show_default=DEFAULT_RPC,
        show_envvar=True,
        callback=lambda _context, _option, urls: " ".join(urls) or DEFAULT_RPC,
        help="JSON-RPC URL of the chain's node. Of several, the first that answers serves, and others take over.",
    )(with_block)


def from_block() -> int:
    """The block that `--from-block` names; 0 if it names none."""
    return int(click.get_current_context().meta.get(_FROM_BLOCK, 0))


def finality_option(command: F) -> F:
    """`--finality`, parameter `finality`: one of `FINALITIES`."""
    return click.option(
        "--finality",
        envvar="LLAMAFUND_FINALITY",
        type=click.Choice(FINALITIES),
        default="finalized",
        show_default=True,
        show_envvar=True,
        help="How settled a block must be to count.",
    )(command)


def store_option(command: F) -> F:
    """`--store` for commands that work on one, parameter `store`: a location that `open_store` takes."""
    return _store_option("store", "Where to keep and fetch evidence: {}; only one.", callback=_only_one)(command)


def stores_option(command: F) -> F:
    """`--store` for what is only read from, parameter `stores`: locations that `open_store` takes, at least one."""
    return _store_option("stores", "Where to look for evidence: {}; repeatable, tried in turn.")(command)


def _store_option(parameter: str, help_text: str, *, callback: Callable[..., Any] | None = None) -> Callable[[F], F]:
    return click.option(
        "--store",
        parameter,
        metavar="LOCATION",
        multiple=True,
        # Not `envvar`: click would cut the variable at spaces.
        default=lambda: (os.environ.get("LLAMAFUND_STORE") or str(default_store()),),
        show_default="LLAMAFUND_STORE, or the program's data folder",
        callback=callback,
        help=help_text.format("a directory, kubo:http://127.0.0.1:5001 or gateway:https://…"),
    )


def _only_one(_: click.Context, __: click.Parameter, locations: tuple[str, ...]) -> str:
    if len(locations) > 1:
        raise UsageError(
            f"--store was given {len(locations)} times",
            "This command works on one store",
            "Name one of them; `llamafund publish` sends to several",
        )
    return locations[0]


def keystore_option(command: F) -> F:
    """`--keystore`, parameter `keystore`: a directory or `None`, as `open_keystore` takes it."""
    return click.option(
        "--keystore",
        envvar="LLAMAFUND_KEYSTORE",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIRECTORY",
        default=None,
        show_default="the program's data folder, then those of Foundry, brownie and geth",
        show_envvar=True,
        help="Directory of the key files, the only one to look in.",
    )(command)


def passphrase_option(command: F) -> F:
    """`--passphrase-file`, parameter `passphrase_file`."""
    return click.option(
        "--passphrase-file",
        envvar="LLAMAFUND_PASSPHRASE_FILE",
        type=FilePath(),
        metavar="FILE",
        default=None,
        show_envvar=True,
        help="File whose first line is the passphrase. Without it, a terminal asks.",
    )(command)


def max_loss_option(command: F) -> F:
    """`--max-loss`, parameter `max_loss`: wei."""
    return click.option(
        "--max-loss",
        type=COIN_AMOUNT,
        metavar="AMOUNT",
        default="0",
        show_default="nothing",
        help="What each answer may cost beyond the bonds that the answers bring, in whole coins.",
    )(command)


def json_option(command: F) -> F:
    """`--json`, parameter `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document (schema llamafund/cli/1).")(
        command
    )


def yes_option(command: F) -> F:
    """`--yes`, parameter `yes`."""
    return click.option("--yes", is_flag=True, help="Do not ask for confirmation; needed without a terminal.")(command)


def check_passphrase(passphrase_file: Path | None) -> None:
    """Refuse what can be seen to be wrong before anything is asked or read: a pipe can be read only once.

    Raises:
        UsageError: There is no terminal to ask on, there is no such file, or other users can read it.
    """
    if passphrase_file is None:
        if not sys.stdin.isatty():
            raise UsageError(
                "There is no passphrase",
                "This is not a terminal, so nobody can type one",
                "Name a file with --passphrase-file, or set LLAMAFUND_PASSPHRASE_FILE",
            )
        return
    check_secret(passphrase_file, "passphrase file")


def read_passphrase(passphrase_file: Path | None, *, confirm: bool = False, purpose: str = "Passphrase") -> str:
    """The passphrase of a key file.

    Args:
        passphrase_file: File whose first line it is; `None` to ask a person.
        confirm: Ask twice, for a new key.
        purpose: Text of the question.

    Raises:
        UsageError: There is no terminal to ask on, or the file cannot be read, is empty or is too long.
    """
    check_passphrase(passphrase_file)
    keep_out_of_core_files()
    if passphrase_file is None:
        return str(click.prompt(purpose, hide_input=True, confirmation_prompt=confirm, err=True))
    text = read_secret(passphrase_file, "passphrase file", _MAX_PASSPHRASE_FILE)
    first = text.split("\n", 1)[0].rstrip("\r")
    if not first:
        raise UsageError(
            f"The passphrase file {str(passphrase_file)!r} contains no passphrase", "Its first line is empty"
        )
    return first


def agreement(question: str, *, yes: bool) -> Agree:
    """Asks a person whether to send what the campaign would take; see `ask`."""
    return partial(ask, question, yes=yes)


def ask(question: str, *, yes: bool) -> None:
    """Go on only if a person agrees.

    Args:
        question: What would be done, with every value.
        yes: Whether the person has agreed beforehand.

    Raises:
        UsageError: There is no terminal to ask on, and `--yes` was not given.
        LlamafundError: The answer was no.
    """
    if yes:
        return
    question = printable(question, _QUESTION_LIMIT)
    if not sys.stdin.isatty():
        click.echo(question, err=True)
        raise UsageError(
            "This needs a confirmation",
            "This is not a terminal, so nobody can answer",
            "Repeat the command with --yes if you agree",
        )
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        # The cursor still stands behind the question.
        click.echo(err=True)
        raise
    if not agreed:
        raise LlamafundError("Nothing was sent", "You answered no")
