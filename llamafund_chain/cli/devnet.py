"""`llamafund devnet`: a local chain for trying things out."""

from __future__ import annotations

import signal
import sys
from types import FrameType

import click
from pydantic import JsonValue

from llamafund_chain.chain.devnet import DEVELOPMENT_KEYS, Devnet
from llamafund_chain.cli.options import ADDRESS, WholeNumber, json_option
from llamafund_chain.cli.output import emit, note, rows
from llamafund_chain.errors import LlamafundError

_DEFAULT_PORT = 8545
_GIFT = 100 * 10**18

_BLOCK_TIME = 2
"""Seconds. What waits for finality would wait forever on a chain without new blocks."""


@click.command(short_help="Run a local test chain until Ctrl-C.")
@click.option(
    "--port", type=WholeNumber(0, 65535), default=_DEFAULT_PORT, show_default=True, help="Port; 0 picks a free one."
)
@click.option("--fund", "funded", type=ADDRESS, multiple=True, help="Give 100 ETH to this account; repeatable.")
@json_option
def devnet(port: int, funded: tuple[str, ...], as_json: bool) -> None:
    """Run a local test chain that has the contracts, until Ctrl-C.

    Its coins are worth nothing, everybody knows its test keys, and nothing remains afterwards. Each transaction gets a
    block at once; without any, a block comes every two seconds. A block is final after two more blocks.

    \b
    Example:
      llamafund devnet --fund 0x70997970C51812dc3A010C7d01b50e0d17dc79C8
    """

    def stop(number: int, _: FrameType | None) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        with Devnet(port=port, block_time=_BLOCK_TIME) as chain:
            for address in funded:
                chain.fund(address, _GIFT)
            deployment = chain.deployment
            facts: dict[str, JsonValue] = {
                "rpc": chain.rpc_url,
                "chain": chain.connection.caip2,
                "factory": deployment.factory,
                "implementation": deployment.implementation,
                "funded": [*funded],
                "development_keys": [*DEVELOPMENT_KEYS],
            }
            pairs = [
                ("rpc", chain.rpc_url),
                ("chain", chain.connection.caip2),
                ("factory", deployment.factory),
                ("implementation", deployment.implementation),
            ]
            pairs += [("funded", address) for address in funded]
            pairs += [("known test key", key) for key in DEVELOPMENT_KEYS]
            emit("devnet", facts, rows(pairs), as_json=as_json)
            sys.stdout.flush()
            note("Running. Ctrl-C stops it.")
            status = chain.wait()
            raise LlamafundError(
                f"The chain's program stopped by itself with status {status}", remedy="Start the command again"
            )
    except KeyboardInterrupt:
        note("The chain has stopped.")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
