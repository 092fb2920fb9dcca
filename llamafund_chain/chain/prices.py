"""What to offer for a unit of gas: by how soon a transaction is wanted, and by what it may cost at most."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Literal

from llamafund_chain.chain.coins import format_coin
from llamafund_chain.chain.connection import Connection
from llamafund_chain.chain.transactions import Fees
from llamafund_chain.errors import LlamafundError, NodeError

Speed = Literal["slow", "normal", "fast"]

_BLOCKS = 10
_PERCENTILE = {"slow": 10, "fast": 90}


def prices(connection: Connection, speed: Speed) -> Fees:
    """Wei per unit of gas to offer now.

    Normal is what the node advises. Slow offers the tip that a tenth of the latest transactions paid at most, with
    room for a base fee half as high again. Fast offers more than nine tenths of them, with room for three times the
    base fee.

    Args:
        connection: The chain.
        speed: How soon it is wanted.
    """
    advised = connection.fees()
    if speed == "normal":
        return advised
    if advised.tip is None:
        return Fees(advised.highest * 9 // 10 if speed == "slow" else advised.highest * 5 // 4, None)
    base, tip = (advised.highest - advised.tip) // 2, advised.tip
    paid = _tips(connection, _PERCENTILE[speed])
    if speed == "slow":
        tip = min(tip, tip // 2 if paid is None else paid)
        return Fees(base * 3 // 2 + tip, tip)
    tip = max(2 * tip, 0 if paid is None else paid)
    return Fees(3 * base + tip, tip)


def capped(fees: Fees, gas: int, max_fee: int | None, connection: Connection) -> Fees:
    """The same prices, lowered so far that a transaction never costs more.

    Args:
        fees: Wei per unit of gas.
        gas: Gas limit.
        max_fee: Most wei that it may cost; `None` without a limit.
        connection: The chain.

    Raises:
        LlamafundError: It would not be included at that price now.
    """
    if max_fee is None or gas * fees.highest <= max_fee:
        return fees
    most = max_fee // gas
    needed = connection.base_fee() if fees.tip is not None else fees.highest
    if most <= needed:
        chain_id = connection.chain_id
        raise LlamafundError(
            f"The transaction would cost more than {format_coin(max_fee, chain_id)}, the limit of --max-fee",
            f"Now it takes up to {format_coin(gas * (needed + 1), chain_id)}",
            "Nothing was sent. Wait until fees are lower, or allow more with --max-fee",
        )
    return fees.at_most(most)


def _tips(connection: Connection, percentile: int) -> int | None:
    """The tip that this percentile of the latest transactions paid, in wei per unit of gas; `None` if not known."""
    try:
        history = connection.request("eth_feeHistory", hex(_BLOCKS), "latest", [percentile])
        rewards = history.get("reward") if isinstance(history, Mapping) else None
        paid = [connection.quantity(reward[0], "a tip") for reward in rewards or ()]
    except (NodeError, TypeError, IndexError, KeyError):
        return None
    return int(statistics.median(paid)) if paid else None
