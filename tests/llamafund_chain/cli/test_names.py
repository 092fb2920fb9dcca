"""Names of ENS: verified both ways, of plain letters only, and never in place of an address."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from eth_abi.abi import encode
from faulty_node import FaultyNode

from llamafund_chain.chain import ens
from llamafund_chain.chain.connection import connect

REGISTRY = ens.REGISTRIES[1]
FORWARD = "0x" + "00" * 19 + "f1"
BY_NODE = "0x600435545f5260205ff3"
"""Code that returns what its storage has under the only argument: a registry, or a resolver of addresses."""


def saying(text: str) -> str:
    """Code that returns a text, whatever it is asked."""
    said = encode(["string"], [text])
    return f"0x60{len(said):02x}600a5f3960{len(said):02x}5ff3{said.hex()}"


@pytest.fixture
def record(devnet, monkeypatch) -> Iterator[Callable[..., None]]:
    """Gives an address a name on the test chain: `record(address, name, leads_to=address)`."""
    connection, put = devnet.connection, [REGISTRY, FORWARD]
    monkeypatch.setattr(ens, "REGISTRIES", {connection.chain_id: REGISTRY})

    def store(contract: str, node: bytes, address: str) -> None:
        connection.request("anvil_setStorageAt", contract, f"0x{node.hex()}", f"0x{address[2:].lower():0>64}")

    def make(address: str, name: str, leads_to: str | None = None) -> None:
        backwards = f"0x{len(put):038x}f2"
        put.append(backwards)
        connection.request("anvil_setCode", backwards, saying(name))
        store(REGISTRY, ens.node_of(f"{address[2:].lower()}.addr.reverse"), backwards)
        if leads_to is not None:
            store(REGISTRY, ens.node_of(name), FORWARD)
            store(FORWARD, ens.node_of(name), leads_to)

    for contract in put:
        connection.request("anvil_setCode", contract, BY_NODE)
    yield make
    # Going back to a snapshot leaves code that was put there.
    for contract in put:
        connection.request("anvil_setCode", contract, "0x")


def names(stage, *addresses: str) -> dict[str, str]:
    connection = stage.devnet.connection
    return ens.names_of(connection, addresses, connection.block())


def test_the_node_of_a_name_is_that_of_the_standard() -> None:
    assert ens.node_of("eth").hex() == "93cdeb708b7545dc668eb9280176169d1c33cfd8ed6f04690a0bcc88a93fc4ae"
    assert ens.node_of("foo.eth").hex() == "de9b09fd7c5f901e23a3f19fecc54828e9c848539801e86591bd9801b019f84f"


def test_a_name_counts_if_it_leads_back_to_the_address(stage, record) -> None:
    rosa, ada, eve = (account.address for account in stage.backers)
    record(rosa, "rosa.eth", leads_to=rosa)
    record(ada, "ada.eth")
    record(eve, "rosa.eth", leads_to=rosa)
    assert names(stage, rosa, ada, eve, stage.judge.address) == {rosa: "rosa.eth"}


@pytest.mark.parametrize(
    "name",
    [
        "rоsa.eth",
        "ROSA.eth",
        "rosa.eth\u200b",
        "xn--rsa-6cd.eth",
        "rosa",
        "rosa.xyz",
        "-a.eth",
        "a" * 70 + ".eth",
        ".eth",
    ],
)
def test_a_name_that_could_look_like_another_is_not_shown(stage, record, name: str) -> None:
    rosa = stage.backers[0].address
    record(rosa, name, leads_to=rosa)
    assert names(stage, rosa) == {}
    assert not ens.is_plain_name(name)


def test_a_chain_without_ens_is_asked_nothing(stage) -> None:
    with FaultyNode(stage.devnet.rpc_url) as node:
        connection = connect(node.url)
        block = connection.block()
        before = node.count
        assert ens.names_of(connection, [stage.judge.address], block) == {}
        assert node.count == before


def test_show_puts_the_name_behind_the_address_in_four_more_requests(llamafund, stage, record) -> None:
    client, researcher = stage.open(), stage.researcher.address
    words = ("campaign", "show", client.address, "--store", stage.run.store.location, "--rpc")
    with FaultyNode(stage.devnet.rpc_url) as node:
        assert llamafund(*words, node.url, "--json").json["names"] == {}
        without = node.count
    record(researcher, "rosa.eth", leads_to=researcher)
    with FaultyNode(stage.devnet.rpc_url) as node:
        assert llamafund(*words, node.url, "--json").json["names"] == {researcher: "rosa.eth"}
        assert node.count <= without + 3
    assert f"{researcher} (rosa.eth)" in llamafund(*words, stage.devnet.rpc_url).stdout


def test_a_resolver_that_reverts_hides_no_campaign(llamafund, stage, record) -> None:
    client, researcher = stage.open(), stage.researcher.address
    record(researcher, "rosa.eth", leads_to=researcher)
    stage.devnet.connection.request("anvil_setCode", FORWARD, "0xfe")
    words = ("campaign", "show", client.address, "--store", stage.run.store.location, "--rpc", stage.devnet.rpc_url)
    ran = llamafund(*words, "--json")
    assert (ran.code, ran.json["names"]) == (0, {})


def test_what_is_only_looked_at_can_be_named(llamafund, stage, record) -> None:
    client, backer = stage.open(), stage.backers[0].address
    record(backer, "alice.eth", leads_to=backer)
    client.pledge(stage.backers[0], 5)
    ran = llamafund("mine", "--backer", "alice.eth", "--rpc", stage.devnet.rpc_url, "--json")
    assert (ran.json["account"], len(ran.json["campaigns"])) == (backer, 1)
    assert f"alice.eth is {backer} (ENS" in ran.stderr
    llamafund("mine", "--backer", "bob.eth", "--rpc", stage.devnet.rpc_url).refused(2, "bob.eth leads to no address")
    llamafund("mine", "--backer", "аlice.eth", "--rpc", stage.devnet.rpc_url).refused(2, "neither an address nor")
    listed = ("campaign", "list", "--rpc", stage.devnet.rpc_url, "--researcher", "alice.eth", "--json")
    assert llamafund(*listed).json["campaigns"] == []


def test_money_goes_to_addresses_only(llamafund, stage, record) -> None:
    client, backer = stage.open(), stage.backers[0].address
    record(backer, "alice.eth", leads_to=backer)
    for words in (
        ("pledge", client.address, "1", "--backer", "alice.eth"),
        ("refund", client.address, "--to", "alice.eth"),
    ):
        llamafund(*words, "--rpc", stage.devnet.rpc_url, "--yes", wallet="backer1").refused(2, "not an address")


def test_a_name_on_a_chain_without_ens_is_refused(llamafund, stage) -> None:
    ran = llamafund("mine", "--backer", "alice.eth", "--rpc", stage.devnet.rpc_url)
    ran.refused(2, "alice.eth cannot be looked up", "Write the address")
