"""`llamafund devnet`: a local chain for trying things out, with wallets, and a clock that can be advanced."""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path
from types import FrameType

import click
from click.core import ParameterSource
from pydantic import JsonValue

from llamafund_chain.chain.connection import connect
from llamafund_chain.chain.devnet import Devnet
from llamafund_chain.chain.devnet import advance as let_pass
from llamafund_chain.chain.known_accounts import KNOWN_ACCOUNTS, PASSPHRASE
from llamafund_chain.chain.wallet import KeyStore
from llamafund_chain.cli.groups import LazyGroup
from llamafund_chain.cli.interruption import begins
from llamafund_chain.cli.numbers import NumericCommand, duration_above_zero
from llamafund_chain.cli.options import ADDRESS, WholeNumber, data_folder, expected_chain, json_option, rpc_option
from llamafund_chain.cli.output import emit, note, rows
from llamafund_chain.cli.system import LEFT_RUNNING, warn
from llamafund_chain.cli.table import Entry
from llamafund_chain.errors import LlamafundError, UsageError
from llamafund_chain.files import write_file
from llamafund_chain.times import duration, local_when, when

_DEFAULT_PORT = 8545
_GIFT = 100 * 10**18

_BLOCK_TIME = 2
"""Seconds. Deadlines pass only on a chain that has new blocks."""

_MOST_SECONDS = 10 * 365 * 86_400
"""Longest time that passes at once: more than the terms of any campaign."""


@click.group(
    cls=LazyGroup,
    table={"advance": Entry(f"{__name__}:advance", "Let time pass on a running test chain.")},
    short_help="Run a local test chain until Ctrl-C.",
)
@click.option(
    "--port", type=WholeNumber(0, 65535), default=_DEFAULT_PORT, show_default=True, help="Port; 0 picks a free one."
)
@click.option("--fund", "funded", type=ADDRESS, multiple=True, help="Give 100 ETH to this account; repeatable.")
@json_option
@click.pass_context
def devnet(context: click.Context, port: int, funded: tuple[str, ...], as_json: bool) -> None:
    """Run a local test chain that has the contracts, until Ctrl-C.

    Its ten accounts are wallets with coins that are worth nothing: alice, bob, rosa and others. It prints the lines
    that let commands in another terminal use them. Everybody knows their keys, which --json shows, so commands refuse
    them on any other chain.

    Each transaction gets a block at once; without any, a block comes every two seconds. Blocks are final at once, so
    nobody has to wait as on other chains. The clock is this machine's; `llamafund devnet advance 3d` lets three days
    pass. Chain and time end with this command: the next one begins anew. The wallets are the same every time, and the
    store is kept.

    \b
    Example:
      llamafund devnet
      llamafund devnet --fund 0x000000000000000000000000000000000000dEaD
    """
    if context.invoked_subcommand is not None:
        if any(context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in context.params):
            raise UsageError(
                "Options of `llamafund devnet` were given to one of its commands",
                "They are for the start of a chain",
                f"Write what belongs to {context.invoked_subcommand} after it",
            )
        return
    begins(context, context.command)
    warn(LEFT_RUNNING)
    _run(port, funded, as_json=as_json)


def _run(port: int, funded: tuple[str, ...], *, as_json: bool) -> None:
    def stop(number: int, _: FrameType | None) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        with Devnet(port=port, block_time=_BLOCK_TIME, final_at_once=True) as chain:
            for address in funded:
                chain.fund(address, _GIFT)
            _tell(chain, funded, _environment(chain.rpc_url, data_folder() / "devnet"), as_json=as_json)
            note("Running. Paste the lines with export into another terminal. Ctrl-C stops the chain.")
            status = chain.wait()
            raise LlamafundError(
                f"The chain's program stopped by itself with status {status}", remedy="Start the command again"
            )
    except KeyboardInterrupt:
        note("The chain has stopped.")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(chain: Devnet, funded: tuple[str, ...], environment: dict[str, str], *, as_json: bool) -> None:
    """Print where the chain is, who has coins on it, and what to set for the other commands."""
    deployment = chain.deployment
    accounts: list[JsonValue] = [
        {"name": account.name, "address": account.address, "key": account.key} for account in KNOWN_ACCOUNTS
    ]
    facts: dict[str, JsonValue] = {
        "rpc": chain.rpc_url,
        "chain": chain.connection.caip2,
        "factory": deployment.factory,
        "implementation": deployment.implementation,
        "funded": [*funded],
        "accounts": accounts,
        "environment": {**environment},
    }
    pairs = [
        ("rpc", chain.rpc_url),
        ("chain", chain.connection.caip2),
        ("factory", deployment.factory),
        ("implementation", deployment.implementation),
    ]
    pairs += [("funded", address) for address in funded]
    pairs += [(account.name, account.address) for account in KNOWN_ACCOUNTS]
    exports = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    emit("devnet", facts, [*rows(pairs), "", *exports], as_json=as_json)
    sys.stdout.flush()


def _environment(rpc_url: str, folder: Path) -> dict[str, str]:
    """The variables that let commands use the chain, its wallets, and a store of its own.

    Args:
        rpc_url: The chain's node.
        folder: Gets the wallets' key files, unless it has them.
    """
    keys = KeyStore(folder / "keystore")
    for account in KNOWN_ACCOUNTS:
        if not (keys.directory / f"{account.name}.json").exists():
            keys.add(account.name, bytes.fromhex(account.key[2:]), PASSPHRASE, light_kdf=True)
    passphrase = folder / "passphrase"
    write_file(passphrase, f"{PASSPHRASE}\n".encode(), mode=0o600)
    return {
        "LLAMAFUND_RPC": rpc_url,
        "LLAMAFUND_KEYSTORE": str(keys.directory),
        "LLAMAFUND_PASSPHRASE_FILE": str(passphrase),
        "LLAMAFUND_STORE": str(folder / "store"),
    }


@click.command(cls=NumericCommand, short_help="Let time pass on a running test chain.")
@click.argument("length", metavar="DURATION")
@rpc_option
@json_option
def advance(length: str, rpc: str, as_json: bool) -> None:
    """Let DURATION pass at once on a running test chain, in another terminal than `llamafund devnet`.

    Write DURATION like 3d, 36h or 1d12h. Voting times, challenge windows and deadlines end as they would have, and
    everything before is final. Any other chain than a test chain is refused.

    \b
    Example:
      llamafund devnet advance 3d
    """
    seconds = duration_above_zero(length)
    if seconds > _MOST_SECONDS:
        raise UsageError(
            f"{length[:60]} is {duration(seconds)}",
            f"At most {duration(_MOST_SECONDS)} pass at once",
            "Choose a shorter time",
        )
    connection = connect(rpc, expected=expected_chain())
    let_pass(connection, seconds)
    block = connection.block()
    local = local_when(block.timestamp)
    facts: dict[str, JsonValue] = {
        "chain": connection.caip2,
        "by_seconds": seconds,
        "block": block.number,
        "timestamp": block.timestamp,
    }
    lines = [
        f"Chain {connection.chain_id} has moved on by {duration(seconds)}.",
        *rows(
            (
                ("its time is now", when(block.timestamp)),
                *([("here", local)] if local else []),
                ("block", str(block.number)),
            )
        ),
    ]
    emit("devnet advance", facts, lines, as_json=as_json)
