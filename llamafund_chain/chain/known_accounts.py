"""The accounts of test chains, whose keys everybody knows. They sign nothing on a chain where money has a value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from llamafund_chain.errors import UsageError

CHAIN_ID = 31337
"""Chain of anvil and Hardhat, and of `llamafund devnet`."""

TEST_CHAINS = (CHAIN_ID, 1337)
"""The second one is of geth's developer mode and Ganache."""

PASSPHRASE = "devnet"  # noqa: S105 - it is no secret
"""Passphrase of the key files that `llamafund devnet` writes; as well known as the keys."""


@dataclass(frozen=True)
class KnownAccount:
    """An account that everybody can sign for.

    Attributes:
        name: Of its wallet on the test chain.
        address: Checksummed.
        key: The private key, with 0x.
    """

    name: str
    address: str
    key: str = field(repr=False)


KNOWN_ACCOUNTS = tuple(
    KnownAccount(name, address, f"0x{key}")
    for name, address, key in (
        (
            "alice",
            "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
            "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
        ),
        (
            "bob",
            "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
            "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
        ),
        (
            "carol",
            "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
            "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
        ),
        (
            "rosa",
            "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
            "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
        ),
        (
            "tara",
            "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65",
            "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
        ),
        (
            "vera",
            "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc",
            "8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
        ),
        (
            "otto",
            "0x976EA74026E726554dB657fA54763abd0C3a0aa9",
            "92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e",
        ),
        (
            "audrey",
            "0x14dC79964da2C08b23698B3D3cc7Ca32193d9955",
            "4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356",
        ),
        (
            "judy",
            "0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f",
            "dbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97",
        ),
        (
            "pia",
            "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720",
            "2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6",
        ),
    )
)
"""The first ten accounts of the mnemonic `test test … junk`, which every anvil, Hardhat and Foundry script funds."""

_NAMES = {account.address: account.name for account in KNOWN_ACCOUNTS}


def names_of(addresses: Iterable[str]) -> tuple[str, ...]:
    """The names of those addresses whose keys everybody has, each once.

    Args:
        addresses: Checksummed.
    """
    return tuple(dict.fromkeys(_NAMES[address] for address in addresses if address in _NAMES))


def require_own_key(address: str, chain_id: int) -> None:
    """Refuse to sign with a key that everybody has, unless the chain is a test chain.

    Args:
        address: Who would sign, checksummed.
        chain_id: EIP-155 number.

    Raises:
        UsageError: Everybody has the key of this account, and the chain is no test chain.
    """
    if address in _NAMES and chain_id not in TEST_CHAINS:
        raise UsageError(
            f"{address} is {_NAMES[address]}'s account on test chains, and this is chain {chain_id}",
            "Everybody has its key: whatever it holds or is owed there, a stranger can take",
            "Use a wallet of your own: llamafund wallet new NAME",
        )
