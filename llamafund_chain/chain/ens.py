"""Names of the Ethereum Name Service (ENS), beside addresses and never instead of them.

A name is shown only if the address claims it (its reverse record, ENSIP-3) and the name leads back to the address. Only
plain names count: ASCII letters, digits and hyphens, which look the same to everybody. Names that are kept outside of
the chain (ENSIP-10 with EIP-3668) are not looked up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llamafund_chain.chain import abi
from llamafund_chain.chain.abi import Interface
from llamafund_chain.chain.connection import Block, Connection
from llamafund_chain.chain.node_errors import RpcError
from llamafund_chain.chain.transactions import Call
from llamafund_chain.errors import UsageError, VerificationError

_REGISTRY = "0x00000000000C2E074eC69A0dFb2997BA6C7d2e1e"
REGISTRIES: Mapping[int, str] = {1: _REGISTRY, 11155111: _REGISTRY}
"""The registry by chain id, from https://docs.ens.domains/learn/deployments."""

MAX_ADDRESSES = 64
"""Most addresses whose names are looked up at once; the rest stays without."""

_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"(?:{_LABEL}\.)+eth")
_LONGEST = 60
_NOBODY = "0x" + "00" * 20


def _view(name: str, output: str) -> dict[str, Any]:
    return {
        "type": "function",
        "name": name,
        "inputs": [{"name": "node", "type": "bytes32"}],
        "outputs": [{"name": "", "type": output}],
    }


_VIEWS = (_view("resolver", "address"), _view("name", "string"), _view("addr", "address"))


def is_plain_name(text: str) -> bool:
    """Whether a text is a name that looks the same to everybody."""
    return len(text) <= _LONGEST and _NAME.fullmatch(text) is not None and "xn--" not in text and "--" not in text


def node_of(name: str) -> bytes:
    """The 32 bytes that stand for a name (ENSIP-1)."""
    from eth_utils import keccak

    node = bytes(32)
    for label in reversed(name.split(".")):
        node = keccak(node + keccak(label.encode()))
    return node


def names_of(connection: Connection, addresses: Iterable[str], at: Block) -> dict[str, str]:
    """The names of addresses, in four requests at most.

    Args:
        connection: The chain. Where it has no ENS, nothing is asked.
        addresses: Checksummed.
        at: The block.

    Returns:
        By address; only those that have a plain name which leads back to them.
    """
    registry = REGISTRIES.get(connection.chain_id)
    if registry is None:
        return {}
    asked = list(dict.fromkeys(addresses))[:MAX_ADDRESSES]
    backwards = [node_of(f"{address[2:].lower()}.addr.reverse") for address in asked]
    claimed = _records(connection, registry, "name", backwards, at)
    named = [
        (address, name)
        for address, name in zip(asked, claimed, strict=True)
        if isinstance(name, str) and is_plain_name(name)
    ]
    found = _records(connection, registry, "addr", [node_of(name) for _, name in named], at)
    return {
        address: name
        for (address, name), led in zip(named, found, strict=True)
        if led is not None and abi.checksum(led) == address
    }


def address_of(connection: Connection, name: str, at: Block) -> str:
    """The address that a plain name leads to.

    Args:
        connection: The chain.
        name: As `is_plain_name` accepts it.
        at: The block.

    Raises:
        UsageError: The chain has no ENS, or the name leads nowhere.
    """
    registry = REGISTRIES.get(connection.chain_id)
    if registry is None:
        raise UsageError(
            f"{name} cannot be looked up", f"Chain {connection.chain_id} has no ENS that is known", "Write the address"
        )
    (led,) = _records(connection, registry, "addr", [node_of(name)], at)
    if led is None or led == _NOBODY:
        raise UsageError(f"{name} leads to no address", "Nobody has it, or it has no address record on this chain")
    return abi.checksum(led)


def _records(connection: Connection, registry: str, kind: str, nodes: Sequence[bytes], at: Block) -> list[Any]:
    """What the resolvers of some nodes say; `None` where there is no resolver, or it says nothing of use."""
    resolvers = _ask(connection, [(registry, "resolver", node) for node in nodes], at)
    asked = [
        (place, (resolver, kind, node))
        for place, (resolver, node) in enumerate(zip(resolvers, nodes, strict=True))
        if resolver not in (None, _NOBODY)
    ]
    found: list[Any] = [None] * len(nodes)
    for (place, _), answer in zip(asked, _ask(connection, [one for _, one in asked], at), strict=True):
        found[place] = answer
    return found


def _ask(connection: Connection, questions: Sequence[tuple[str, str, bytes]], at: Block) -> list[Any]:
    if not questions:
        return []
    interface = Interface(_VIEWS)
    calls = [Call(abi.checksum(to), interface.encode(function, node)) for to, function, node in questions]
    found: list[Any] = []
    reads = [connection.read_of(call) for call in calls]
    for (_, function, _), answer in zip(questions, connection.read(reads, at), strict=True):
        try:
            # A resolver may revert, for example because the name is kept outside of the chain.
            said = None if isinstance(answer, RpcError) else connection.returned(answer)
            found.append(None if said is None else interface.decode_output(function, said)[0])
        except VerificationError:
            found.append(None)
    return found
