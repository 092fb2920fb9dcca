"""Code that stands at an account's address for the length of one simulated call, and the calls that it makes."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from llamafund_chain.chain.abi import Interface, checksum

BATCH_CODE = bytes.fromhex(
    "608060405234801561001057600080fd5b506004361061002b5760003560e01c80639b56388e14610030575b600080fd5b61"
    "004361003e3660046101d9565b610059565b604051610050919061024e565b60405180910390f35b6060816001600160401b"
    "0381111561007357610073610303565b6040519080825280602002602001820160405280156100b957816020015b60408051"
    "80820190915260008152606060208201528152602001906001900390816100915790505b50905060005b828110156101d257"
    "8383828181106100d9576100d9610319565b90506020028101906100eb919061032f565b6100f990602081019061034f565b"
    "6001600160a01b031684848381811061011457610114610319565b9050602002810190610126919061032f565b6101349060"
    "2081019061037f565b6040516101429291906103cc565b6000604051808303816000865af19150503d806000811461017f57"
    "6040519150601f19603f3d011682016040523d82523d6000602084013e610184565b606091505b5083838151811061019757"
    "610197610319565b60200260200101516000018484815181106101b4576101b4610319565b60209081029190910181015101"
    "9190915290151590526001016100bf565b5092915050565b600080602083850312156101ec57600080fd5b82356001600160"
    "401b0381111561020257600080fd5b8301601f8101851361021357600080fd5b80356001600160401b038111156102295760"
    "0080fd5b8560208260051b840101111561023e57600080fd5b6020919091019590945092505050565b600060208201602083"
    "5280845180835260408501915060408160051b86010192506020860160005b828110156102f757603f198786030184528151"
    "8051151586526020810151905060406020870152805180604088015260005b818110156102c557602081840181015160608a"
    "84010152016102a8565b506000606082890101526060601f19601f8301168801019650505060208201915060208401935060"
    "0181019050610276565b50929695505050505050565b634e487b7160e01b600052604160045260246000fd5b634e487b7160"
    "e01b600052603260045260246000fd5b60008235603e1983360301811261034557600080fd5b9190910192915050565b6000"
    "6020828403121561036157600080fd5b81356001600160a01b038116811461037857600080fd5b9392505050565b60008083"
    "35601e1984360301811261039657600080fd5b8301803591506001600160401b038211156103b057600080fd5b6020019150"
    "368190038213156103c557600080fd5b9250929050565b818382376000910190815291905056"
)
"""Runtime code of `Batch.sol`: solc 0.8.37 for Paris, optimizer for 1 run, without metadata."""

Overrides = Mapping[str, Mapping[str, Any]]


def _function(name: str, inputs: Sequence[str], outputs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "type": "function",
        "name": name,
        "inputs": [{"name": "", "type": kind} for kind in inputs],
        "outputs": list(outputs),
    }


TOKEN = Interface(
    (
        _function("balanceOf", ("address",), ({"name": "", "type": "uint256"},)),
        _function("approve", ("address", "uint256"), ()),
        _function("transfer", ("address", "uint256"), ()),
        _function("transferFrom", ("address", "address", "uint256"), ()),
    )
)
BATCH = Interface(
    (
        {
            "type": "function",
            "name": "run",
            "inputs": [
                {
                    "name": "calls",
                    "type": "tuple[]",
                    "components": [{"name": "to", "type": "address"}, {"name": "data", "type": "bytes"}],
                }
            ],
            "outputs": [
                {
                    "name": "results",
                    "type": "tuple[]",
                    "components": [{"name": "success", "type": "bool"}, {"name": "returned", "type": "bytes"}],
                }
            ],
        },
    )
)

TELL_THE_TIME = "0x4260005260206000f3"
"""Code that returns the block's time, to see whether a node turns the clock."""

TELL_A_BALANCE = "0x6000353160005260206000f3"
"""Code that returns the balance, in the chain's coin, of the address that it is given as a word."""


def stranger() -> str:
    """Another address each time: a token could favor one that it knows."""
    return checksum(f"0x{secrets.token_hex(20)}")
