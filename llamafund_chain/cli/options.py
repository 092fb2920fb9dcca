"""Options that commands share, each with its environment variable, and the functions that use them."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from llamafund_chain.chain.known_accounts import CHAIN_ID
from llamafund_chain.chain.networks import NETWORKS, network_named
from llamafund_chain.chain.wallet import KeyStore, folders_of_others
from llamafund_chain.cli.numbers import COIN_AMOUNT
from llamafund_chain.cli.output import note
from llamafund_chain.cli.secrecy import keep_out_of_core_files
from llamafund_chain.cli.settings import FINALITIES, Settings, UserNetwork, current
from llamafund_chain.errors import LlamafundError, UsageError
from llamafund_chain.files import check_secret, directory_error, read_secret
from llamafund_chain.text import printable

if TYPE_CHECKING:
    from llamafund_chain.chain.sending import Agree

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_RPC = "http://127.0.0.1:8545"
_FROM_BLOCK = f"{__name__}.from_block"
_NETWORK = f"{__name__}.network"
_EXPECTED = f"{__name__}.expected"

_MAX_PASSPHRASE_FILE = 4096
_MAX_SIGNATURE = 8192
_WHOLE = re.compile(r"-?[0-9]{1,40}")
_QUESTION_LIMIT = 2000

DEFAULT_RECIPE = "recipe.yaml"
"""The recipe's file, in the folder of the campaign file."""


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


class AccountType(AddressType):
    """An address, or an ENS name such as `alice.eth` that looks the same to everybody; see `shared.account_named`.

    Only for what is looked at. Money goes to addresses.
    """

    name = "account"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from llamafund_chain.chain.ens import is_plain_name

        text = str(value).strip()
        if text.startswith("0x"):
            return super().convert(value, param, ctx)
        if not is_plain_name(text):
            self.fail(
                f"{text!r} is neither an address nor a plain name: names have lower case ASCII letters, digits and "
                "hyphens and end in .eth",
                param,
                ctx,
            )
        return text


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
ACCOUNT = AccountType()
HASH = HashType()
SIGNATURE = SignatureType()


def complete_networks(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Names of networks, for a shell that completes one."""
    try:
        own = list(current().networks)
    except (LlamafundError, OSError):
        own = []
    return [name for name in (*own, *(network.name for network in NETWORKS.values())) if name.startswith(begun)]


def complete_wallets(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Names of wallets, for a shell that completes one."""
    try:
        listed = open_keystore(context.params.get("keystore")).list()
    except (LlamafundError, OSError):
        return []
    return [wallet.name for wallet in listed.wallets if wallet.name.startswith(begun)]


def rpc_option(command: F) -> F:
    """How to reach the chain: `--rpc URL`, once or several times, parameter `rpc`; `--network` and `--from-block`.

    The parameter has the addresses separated by spaces, as the variable has them. `expected_chain` and `from_block`
    tell the rest.
    """
    with_block = click.option(
        "--from-block",
        envvar="LLAMAFUND_FROM_BLOCK",
        type=WholeNumber(min=0),
        default=None,
        metavar="BLOCK",
        show_envvar=True,
        expose_value=False,
        callback=lambda context, _option, number: context.meta.update({_FROM_BLOCK: number}),
        help="A block before which the campaign was not there. Nodes that keep no old states need it on long chains.",
    )(command)
    with_network = click.option(
        "--network",
        envvar="LLAMAFUND_NETWORK",
        metavar="NAME",
        default=None,
        show_envvar=True,
        expose_value=False,
        is_eager=True,
        callback=lambda context, _option, name: context.meta.update({_NETWORK: name}),
        shell_complete=complete_networks,
        help="The chain that it must be, for example base or sepolia. Your configuration names its node.",
    )(with_block)
    return click.option(
        "--rpc",
        envvar="LLAMAFUND_RPC",
        metavar="URL",
        multiple=True,
        default=None,
        show_default=DEFAULT_RPC,
        show_envvar=True,
        callback=lambda context, _option, urls: _reach(context, urls),
        help="JSON-RPC URL of the chain's node. Of several, the first that answers serves, and others take over.",
    )(with_network)


def _reach(context: click.Context, typed: Sequence[str]) -> str:
    """The nodes to ask: the more specific of `--rpc` and `--network` decides, and a network's node is checked.

    Whoever types `--rpc` wants that node, whatever network is configured; whoever types `--network` wants that chain.
    """
    if context.resilient_parsing:
        return ""
    settings = current()
    named: str | None = context.meta.get(_NETWORK)
    origin = _strength(context, "network", named)
    if named is None and "network" in settings.values:
        setting = settings.values["network"]
        named = setting.text
        if setting.source == "project":
            note(f"Network {named}, as {setting.file} says.")
    urls = " ".join(typed)
    if urls and (named is None or _strength(context, "rpc", urls) > origin):
        return urls
    if named is not None:
        chain_id, own = _network(named, settings)
        context.meta[_EXPECTED] = chain_id, named, own.from_block
        if urls and (_strength(context, "rpc", urls) == origin or not own.rpc):
            return urls
    configured = configured_nodes(named, settings)
    if configured is not None:
        return configured
    raise UsageError(
        f"No node of the network {named} is known",
        "The program asks only nodes that you name: a node sees what you ask, and could lie",
        f"Name one with --rpc, or write into {settings.user_file or 'your configuration'}: "
        f'[networks.{named}] and below it rpc = "URL"',
    )


def configured_nodes(network: str | None, settings: Settings) -> str | None:
    """The nodes to ask if neither `--rpc` nor its variable names one, separated by spaces.

    Args:
        network: What `--network` names, or the settings; `None` for any chain.
        settings: What the files say.

    Returns:
        `None` if no node of that network is known.

    Raises:
        UsageError: Nobody knows the network.
    """
    chain_id, own = (CHAIN_ID, UserNetwork()) if network is None else _network(network, settings)
    if own.rpc:
        return " ".join(own.rpc)
    if "rpc" in settings.values:
        return settings.values["rpc"].text
    return DEFAULT_RPC if chain_id == CHAIN_ID else None


def _strength(context: click.Context, parameter: str, value: object) -> int:
    """How near to the command line a value is from: typed, in the environment, or neither."""
    if not value:
        return 0
    return 2 if context.get_parameter_source(parameter) is ParameterSource.COMMANDLINE else 1


def _network(name: str, settings: Settings) -> tuple[int, UserNetwork]:
    """The EIP-155 number of a network, and what the user's file says of it.

    Raises:
        UsageError: Nobody knows it.
    """
    found = settings.networks.get(name.strip().lower())
    if found is not None and found.chain_id is not None:
        return found.chain_id, found
    known = network_named(name, settings.networks)
    same = (own for own in settings.networks.values() if own.chain_id == known.chain_id)
    return known.chain_id, next(same, UserNetwork())


def expected_chain() -> tuple[int, str] | None:
    """The EIP-155 number and the name of the chain that it must be; `None` for any."""
    found = click.get_current_context().meta.get(_EXPECTED)
    return None if found is None else found[:2]


def from_block() -> int:
    """The block that `--from-block` names, or the configuration for the network; 0 if neither does."""
    meta = click.get_current_context().meta
    typed = meta.get(_FROM_BLOCK)
    return int(meta.get(_EXPECTED, (0, "", 0))[2] if typed is None else typed)


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


def recipe_option(command: F) -> F:
    """`--recipe` for commands that take a campaign file, parameter `recipe`: a path, `None` for `DEFAULT_RECIPE`."""
    shown = f"The recipe's file.  [default: {DEFAULT_RECIPE} beside the file]"
    return click.option("--recipe", type=FilePath(), metavar="FILE", help=shown)(command)


def store_option(command: F) -> F:
    """`--store` for commands that work on one, parameter `store`: a location that `open_store` takes."""
    return _store_option("store", "Where to keep and fetch evidence: {}; only one.", callback=_only_one)(command)


def replay_jobs_option(command: F) -> F:
    """`--jobs` for what repeats training, parameter `jobs`: how many processes share the segments."""
    return click.option(
        "--jobs",
        type=WholeNumber(1, 1024),
        default=1,
        show_default=True,
        metavar="N",
        help="Share the segments among N processes. Each takes the memory, and the threads or GPUs, of a training.",
    )(command)


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
        default=_usual_stores,
        show_default="LLAMAFUND_STORE, your configuration, or the program's data folder",
        callback=callback,
        help=help_text.format("a directory, kubo:http://127.0.0.1:5001 or gateway:https://…"),
    )


def _usual_stores() -> tuple[str, ...]:
    named = os.environ.get("LLAMAFUND_STORE")
    if named or click.get_current_context().resilient_parsing:
        return (named or str(default_store()),)
    setting = current().values.get("store")
    if setting is None:
        return (str(default_store()),)
    if setting.source == "project":
        note(f"Store {', '.join(setting.texts)}, as {setting.file} says.")
    return setting.texts


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
