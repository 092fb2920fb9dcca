"""Transactions for wallets outside: the errors that lead there, links (EIP-681) and QR codes. Light to import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from llamafund_chain.chain import abi

CONTRACTS = ("Campaign", "CampaignFactory", "CourtArbiter", "DevToken")
"""Contracts whose calls we know; the last one stands for every token."""

_QUIET_ZONE = 4


class UnsignedError(Exception):
    """Nobody signs here: the transaction goes to a wallet outside. Not a failure; the command line prints it.

    Attributes:
        transaction: Its fields as JSON-RPC has them.
        by_safe: Whether it is a Safe that sends it.
    """

    def __init__(self, transaction: Mapping[str, str], *, by_safe: bool = False) -> None:
        super().__init__("The transaction is to be signed elsewhere")
        self.transaction = transaction
        self.by_safe = by_safe


class SendsOnlyError(Exception):
    """The signer does not hand out a signed transaction; it can only send one itself."""


def link_of(transaction: Mapping[str, str]) -> str | None:
    """A link that wallets on phones open (EIP-681).

    Args:
        transaction: Its fields as JSON-RPC has them.

    Returns:
        `None` if it calls an unknown function, or one with arguments that such a link cannot express.
    """
    target = f"ethereum:{transaction['to']}@{int(transaction['chainId'], 16)}"
    value = int(transaction["value"], 16)
    parameters: list[tuple[str, str]] = []
    data = bytes.fromhex(transaction["data"][2:])
    if data:
        described = next(
            (found for name in CONTRACTS if (found := abi.contract(name).describe_input(data)) is not None), None
        )
        if described is None:
            return None
        function, arguments = described
        target += f"/{function}"
        for kind, argument in arguments:
            text = _written(kind, argument)
            if text is None:
                return None
            parameters.append((kind, text))
    if value:
        parameters.append(("value", str(value)))
    return target + ("?" if parameters else "") + "&".join(f"{kind}={text}" for kind, text in parameters)


def safe_batch(transaction: Mapping[str, str], created: int) -> dict[str, Any]:
    """The file that a Safe's Transaction Builder imports, so that its owners can sign and send a transaction.

    Args:
        transaction: Its fields as JSON-RPC has them; its sender is the Safe.
        created: Unix milliseconds.
    """
    return {
        "version": "1.0",
        "chainId": str(int(transaction["chainId"], 16)),
        "createdAt": created,
        "meta": {"name": "llamafund", "description": "", "createdFromSafeAddress": transaction["from"]},
        "transactions": [
            {
                "to": transaction["to"],
                "value": str(int(transaction["value"], 16)),
                "data": transaction["data"],
                "contractMethod": None,
                "contractInputsValues": None,
            }
        ],
    }


def qr_code(text: str) -> Sequence[str]:
    """Lines of text that a phone's camera reads on a dark terminal: two rows of the code in each.

    Args:
        text: What the code says.
    """
    import segno

    rows = [
        [module != 0 for module in row]
        for row in segno.make(text, error="l", micro=False).matrix_iter(border=_QUIET_ZONE)
    ]
    rows += [[False] * len(rows[0])] * (len(rows) % 2)
    # A light module is a lit character.
    blocks = {(False, False): "█", (False, True): "▀", (True, False): "▄", (True, True): " "}
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return ["".join(blocks[upper, lower] for upper, lower in zip(*pair, strict=True)) for pair in pairs]


def _written(kind: str, value: Any) -> str | None:
    """An argument as a link has it; `None` if it cannot."""
    if kind == "address":
        return abi.checksum(value)
    if kind == "bool":
        return "true" if value else "false"
    if kind.startswith(("uint", "int")) and not kind.endswith("]"):
        return str(value)
    if kind.startswith("bytes") and not kind.endswith("]"):
        return f"0x{bytes(value).hex()}"
    return quote(value, safe="") if kind == "string" else None
