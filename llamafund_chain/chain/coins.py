"""The names of the chains' coins."""

from __future__ import annotations

from collections.abc import Mapping

from llamafund_chain.amounts import format_amount

DECIMALS = 18
"""Decimals of the coin on every EVM chain: one coin is 10^18 wei."""

UNNAMED = "the chain's coin"
"""The name of a coin whose symbol we do not know."""

UNKNOWN = f"of {UNNAMED}"
"""Follows an amount of it instead of the symbol."""

_ETHER = (
    1,  # Ethereum
    10,  # Optimism
    8453,  # Base
    17000,  # Holesky
    31337,  # our own development chain, as anvil and Hardhat number theirs
    42161,  # Arbitrum One
    59144,  # Linea
    84532,  # Base Sepolia
    421614,  # Arbitrum Sepolia
    534352,  # Scroll
    560048,  # Hoodi
    11155111,  # Sepolia
    11155420,  # Optimism Sepolia
)

SYMBOLS: Mapping[int, str] = {
    **dict.fromkeys(_ETHER, "ETH"),
    56: "BNB",  # BNB Smart Chain
    100: "XDAI",  # Gnosis
    137: "POL",  # Polygon
    146: "S",  # Sonic
    250: "FTM",  # Fantom
    5000: "MNT",  # Mantle
    10200: "XDAI",  # Chiado
    42220: "CELO",  # Celo
    43114: "AVAX",  # Avalanche
    80002: "POL",  # Amoy
}
"""Symbols by EIP-155 number, as https://github.com/ethereum-lists/chains spells them."""


def coin_symbol(chain_id: int) -> str | None:
    """The symbol of a chain's coin; `None` for an unknown chain.

    Args:
        chain_id: EIP-155 number.
    """
    return SYMBOLS.get(chain_id)


def format_coin(amount: int, chain_id: int) -> str:
    """An amount of a chain's coin as text: `0.5 ETH`, or `0.5 of the chain's coin` for an unknown chain.

    Args:
        amount: Wei.
        chain_id: EIP-155 number.
    """
    return f"{format_amount(amount, DECIMALS)} {coin_symbol(chain_id) or UNKNOWN}"
