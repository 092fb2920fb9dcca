"""The chains that we know by name: what `--network` takes, the symbols of coins, and links to block explorers.

A chain that is not listed works as well: it just has no name, no symbol and no links.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from llamafund_chain.chain.known_accounts import CHAIN_ID
from llamafund_chain.errors import UsageError
from llamafund_chain.text import closest, printable

_LONGEST_NAME = 60


@dataclass(frozen=True)
class Network:
    """A chain that we know.

    Attributes:
        chain_id: EIP-155 number.
        name: What `--network` takes.
        title: What people call it.
        coin: The coin's symbol, as https://github.com/ethereum-lists/chains spells it.
        explorer: URL of a block explorer, without a slash at its end; `None` where we know none that will last.
        also: Other names that `--network` takes, as other tools spell them.
    """

    chain_id: int
    name: str
    title: str
    coin: str = "ETH"
    explorer: str | None = None
    also: tuple[str, ...] = ()

    def transaction_url(self, tx_hash: str) -> str | None:
        """Where the block explorer shows a transaction; `None` without one.

        Args:
            tx_hash: 64 hexadecimal digits, with or without 0x.
        """
        return None if self.explorer is None else f"{self.explorer}/tx/0x{tx_hash.removeprefix('0x')}"

    def address_url(self, address: str) -> str | None:
        """Where the block explorer shows an address; `None` without one.

        Args:
            address: Checksummed, with 0x.
        """
        return None if self.explorer is None else f"{self.explorer}/address/{address}"


NETWORKS: Mapping[int, Network] = {
    network.chain_id: network
    for network in (
        Network(1, "ethereum", "Ethereum", explorer="https://etherscan.io", also=("mainnet",)),
        Network(10, "optimism", "OP Mainnet", explorer="https://optimistic.etherscan.io", also=("op",)),
        Network(56, "bsc", "BNB Smart Chain", "BNB", "https://bscscan.com", also=("bnb",)),
        Network(100, "gnosis", "Gnosis", "XDAI", "https://gnosisscan.io", also=("xdai",)),
        Network(137, "polygon", "Polygon", "POL", "https://polygonscan.com", also=("matic",)),
        Network(146, "sonic", "Sonic", "S", "https://sonicscan.org"),
        Network(250, "fantom", "Fantom", "FTM"),
        Network(5000, "mantle", "Mantle", "MNT", "https://mantlescan.xyz"),
        Network(8453, "base", "Base", explorer="https://basescan.org"),
        Network(10200, "chiado", "Gnosis Chiado", "XDAI", "https://gnosis-chiado.blockscout.com"),
        Network(17000, "holesky", "Holesky", explorer="https://holesky.etherscan.io"),
        Network(CHAIN_ID, "devnet", "Devnet", also=("anvil", "hardhat", "local")),
        Network(42161, "arbitrum", "Arbitrum One", explorer="https://arbiscan.io", also=("arbitrum-one",)),
        Network(42220, "celo", "Celo", "CELO", "https://celoscan.io"),
        Network(43114, "avalanche", "Avalanche", "AVAX", "https://snowtrace.io"),
        Network(59144, "linea", "Linea", explorer="https://lineascan.build"),
        Network(80002, "amoy", "Polygon Amoy", "POL", "https://amoy.polygonscan.com", also=("polygon-amoy",)),
        Network(84532, "base-sepolia", "Base Sepolia", explorer="https://sepolia.basescan.org"),
        Network(421614, "arbitrum-sepolia", "Arbitrum Sepolia", explorer="https://sepolia.arbiscan.io"),
        Network(534351, "scroll-sepolia", "Scroll Sepolia", explorer="https://sepolia.scrollscan.com"),
        Network(534352, "scroll", "Scroll", explorer="https://scrollscan.com"),
        Network(560048, "hoodi", "Hoodi", explorer="https://hoodi.etherscan.io"),
        Network(11155111, "sepolia", "Sepolia", explorer="https://sepolia.etherscan.io"),
        Network(
            11155420,
            "optimism-sepolia",
            "OP Sepolia",
            explorer="https://sepolia-optimism.etherscan.io",
            also=("op-sepolia",),
        ),
    )
}
"""By EIP-155 number."""


def unseen_fee(chain_id: int) -> int:
    """Most wei that a fee may be which nobody is shown before it is paid: a tenth of an ether, or ten other coins.

    Args:
        chain_id: EIP-155 number.
    """
    network = NETWORKS.get(chain_id)
    return 10**17 if network is None or network.coin == "ETH" else 10**19


def chain_title(chain_id: int) -> str:
    """What people call a chain: `Base (chain 8453)`, or `chain 424242` for an unknown one.

    Args:
        chain_id: EIP-155 number.
    """
    network = NETWORKS.get(chain_id)
    return f"chain {chain_id}" if network is None else f"{network.title} (chain {chain_id})"


def transaction_url(chain_id: int, tx_hash: str) -> str | None:
    """Where a block explorer shows a transaction; `None` where we know none.

    Args:
        chain_id: EIP-155 number.
        tx_hash: 64 hexadecimal digits, with or without 0x.
    """
    network = NETWORKS.get(chain_id)
    return None if network is None else network.transaction_url(tx_hash)


def address_url(chain_id: int, address: str) -> str | None:
    """Where a block explorer shows an address; `None` where we know none.

    Args:
        chain_id: EIP-155 number.
        address: Checksummed, with 0x.
    """
    network = NETWORKS.get(chain_id)
    return None if network is None else network.address_url(address)


def network_named(name: str, others: Iterable[str] = ()) -> Network:
    """The chain with a name.

    Args:
        name: Its name, one of its other names, or its EIP-155 number in digits; capitals do not matter.
        others: More names to offer if there is none.

    Raises:
        UsageError: There is none.
    """
    wanted = name.strip().lower()
    for network in NETWORKS.values():
        if wanted in (network.name, *network.also, str(network.chain_id)):
            return network
    listed = [*others, *(network.name for network in NETWORKS.values())]
    names = [*others, *(known for network in NETWORKS.values() for known in (network.name, *network.also))]
    near = closest(wanted, names)
    raise UsageError(
        f"There is no network {printable(name, _LONGEST_NAME)!r}",
        f"Known are {', '.join(listed)}",
        f"Did you mean {near!r}?" if near else "Use one of these names, or name a node of the chain with --rpc",
    )
