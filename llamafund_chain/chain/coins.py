"""The names of the chains' coins."""

from __future__ import annotations

from llamafund_chain.amounts import format_amount
from llamafund_chain.chain.networks import NETWORKS

DECIMALS = 18
"""Decimals of the coin on every EVM chain: one coin is 10^18 wei."""

UNNAMED = "the chain's coin"
"""The name of a coin whose symbol we do not know."""

UNKNOWN = f"of {UNNAMED}"
"""Follows an amount of it instead of the symbol."""


def coin_symbol(chain_id: int) -> str | None:
    """The symbol of a chain's coin; `None` for an unknown chain.

    Args:
        chain_id: EIP-155 number.
    """
    network = NETWORKS.get(chain_id)
    return None if network is None else network.coin


def format_coin(amount: int, chain_id: int) -> str:
    """An amount of a chain's coin as text: `0.5 ETH`, or `0.5 of the chain's coin` for an unknown chain.

    Args:
        amount: Wei.
        chain_id: EIP-155 number.
    """
    return f"{format_amount(amount, DECIMALS)} {coin_symbol(chain_id) or UNKNOWN}"
