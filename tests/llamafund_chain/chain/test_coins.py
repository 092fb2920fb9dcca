"""What a chain's own coin is called, and that no sentence calls it otherwise."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import llamafund_chain
from llamafund_chain.chain.coins import format_coin
from llamafund_chain.chain.networks import NETWORKS
from llamafund_chain.chain.tokens import NATIVE, coin_of

PACKAGE = Path(llamafund_chain.__file__).parent
OF_THE_DEVELOPMENT_CHAIN = {"cli/devnet.py", "chain/devnet.py"}


@pytest.mark.parametrize(
    ("chain_id", "shown"),
    [(1, "0.5 ETH"), (137, "0.5 POL"), (100, "0.5 XDAI"), (56, "0.5 BNB"), (424242, "0.5 of the chain's coin")],
)
def test_an_amount_is_written_in_the_coin_of_its_chain(chain_id: int, shown: str) -> None:
    assert format_coin(5 * 10**17, chain_id) == shown


def test_an_asset_of_an_unknown_chain_has_no_symbol_but_a_name(devnet) -> None:
    class Elsewhere:
        chain_id = 424242

    known, unknown = coin_of(devnet.connection), coin_of(Elsewhere())
    assert (known.symbol, known.name, known.format(10**18)) == ("ETH", "ETH", "1 ETH")
    assert (unknown.symbol, unknown.name, unknown.format(10**18)) == (None, "the chain's coin", "1 of the chain's coin")
    assert unknown.address == NATIVE


def sentences(tree: ast.AST) -> Iterator[str]:
    """Every text in a module but its docstrings and attribute docstrings."""
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value


def test_no_sentence_names_a_coin_whatever_the_chain_is() -> None:
    symbols = {network.coin for network in NETWORKS.values()} - {"S"}
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE).as_posix()
        if place == "chain/networks.py" or place in OF_THE_DEVELOPMENT_CHAIN or place.startswith("demo/"):
            continue
        for text in sentences(ast.parse(path.read_text())):
            if symbols & set(text.replace(",", " ").replace(".", " ").split()):
                found.append(f"{place}: {text}")
    assert found == []
