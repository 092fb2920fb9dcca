"""The chains that have a name."""

from __future__ import annotations

import re
from itertools import chain

import pytest

from llamafund_chain.chain.networks import NETWORKS, address_url, chain_title, network_named, transaction_url
from llamafund_chain.errors import UsageError

ADDRESS = "0x52908400098527886E0F7030069857D2E4169EE7"
HASH = "ab" * 32


@pytest.mark.parametrize(
    ("name", "chain_id"),
    [("ethereum", 1), ("mainnet", 1), ("Base", 8453), (" base ", 8453), ("8453", 8453), ("local", 31337)],
)
def test_a_network_is_found_by_each_of_its_names_and_by_its_number(name: str, chain_id: int) -> None:
    assert network_named(name).chain_id == chain_id


def test_no_two_networks_share_a_name() -> None:
    names = list(chain.from_iterable((known.name, *known.also) for known in NETWORKS.values()))
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z-]*", name) for name in names)


@pytest.mark.parametrize(("name", "meant"), [("sepolla", "sepolia"), ("optimsm", "optimism")])
def test_a_misspelt_network_is_guessed(name: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"There is no network '{name}'.*Did you mean '{meant}'"):
        network_named(name)


def test_a_network_that_nobody_knows_shows_no_control_characters() -> None:
    with pytest.raises(UsageError) as caught:
        network_named("\x1b[31mzzz")
    assert "\x1b" not in str(caught.value)
    assert "--rpc" in caught.value.remedy


def test_a_transaction_is_shown_by_the_explorer_of_its_chain_with_and_without_0x() -> None:
    assert transaction_url(8453, HASH) == transaction_url(8453, f"0x{HASH}") == f"https://basescan.org/tx/0x{HASH}"
    assert address_url(11155111, ADDRESS) == f"https://sepolia.etherscan.io/address/{ADDRESS}"


@pytest.mark.parametrize("chain_id", [31337, 424242])
def test_a_chain_without_an_explorer_has_no_links(chain_id: int) -> None:
    assert transaction_url(chain_id, HASH) is None
    assert address_url(chain_id, ADDRESS) is None


def test_a_chain_is_called_by_its_name_if_it_has_one() -> None:
    assert chain_title(8453) == "Base (chain 8453)"
    assert chain_title(424242) == "chain 424242"


def test_explorers_are_https_addresses_that_a_path_can_be_put_behind() -> None:
    assert all(re.fullmatch(r"https://[a-z.-]+[a-z]", n.explorer) for n in NETWORKS.values() if n.explorer)
