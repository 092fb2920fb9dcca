"""The asset of a campaign: the chain's coin or an ERC-20, whose answers are not trusted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llamafund_chain.amounts import MAX_DECIMALS, format_amount, parse_amount
from llamafund_chain.chain.abi import Interface
from llamafund_chain.chain.coins import DECIMALS, UNKNOWN, UNNAMED, coin_symbol
from llamafund_chain.chain.connection import BlockId, Connection, Read, check_code
from llamafund_chain.chain.signatures import digest_of, usual_form
from llamafund_chain.chain.transactions import Call
from llamafund_chain.errors import TransactionRevertedError, VerificationError
from llamafund_chain.text import printable

if TYPE_CHECKING:
    from eth_account.signers.base import BaseAccount

NATIVE = "0x0000000000000000000000000000000000000000"
"""Stands for the chain's coin in place of an asset's address."""

TRANSFERRED = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
"""Topic of an ERC-20's event `Transfer(address,address,uint256)`."""

PERMIT_VALIDITY = 3_600
"""Seconds that a permit is valid."""

_SYMBOL_LENGTH = 16
_FIELDS_OF_EIP5267 = 0b01111
_ASSET_READS = 3


def _function(name: str, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> dict[str, Any]:
    return {
        "type": "function",
        "name": name,
        "inputs": [{"name": "", "type": kind} for kind in inputs],
        "outputs": [{"name": "", "type": kind} for kind in outputs],
    }


_ERC20 = (
    _function("name", (), ("string",)),
    _function("symbol", (), ("string",)),
    _function("decimals", (), ("uint8",)),
    _function("version", (), ("string",)),
    _function("balanceOf", ("address",), ("uint256",)),
    _function("allowance", ("address", "address"), ("uint256",)),
    _function("approve", ("address", "uint256"), ()),
    _function("transfer", ("address", "uint256"), ()),
    _function("nonces", ("address",), ("uint256",)),
    _function("DOMAIN_SEPARATOR", (), ("bytes32",)),
    _function("eip712Domain", (), ("bytes1", "string", "string", "uint256", "address", "bytes32", "uint256[]")),
)


@dataclass(frozen=True)
class Asset:
    """What amounts are counted in.

    Attributes:
        address: `NATIVE` or the token's checksummed address.
        symbol: The token's name for itself, made printable; any token can choose any name. `None` for the coin of an
            unknown chain.
        decimals: Decimal places of a whole coin.
    """

    address: str
    symbol: str | None
    decimals: int

    @property
    def unit(self) -> str:
        """The text after an amount."""
        return self.symbol or UNKNOWN

    @property
    def name(self) -> str:
        """Its name without an amount."""
        return self.symbol or UNNAMED

    @property
    def is_native(self) -> bool:
        """Whether it is the chain's coin."""
        return int(self.address, 16) == 0

    def format(self, amount: int) -> str:
        """An amount with its symbol, as text.

        Args:
            amount: Smallest unit.
        """
        return f"{self.plain(amount)} {self.unit}"

    def plain(self, amount: int) -> str:
        """An amount in whole coins as a decimal string, exact.

        Args:
            amount: Smallest unit.
        """
        return format_amount(amount, self.decimals)

    def parse(self, text: str) -> int:
        """The smallest units of an amount in whole coins.

        Raises:
            UsageError: It is not a number, or is finer than the smallest unit.
        """
        return parse_amount(text, self.decimals)


@dataclass(frozen=True)
class Permit:
    """A signed EIP-2612 permit.

    Attributes:
        deadline: Unix seconds.
    """

    deadline: int
    v: int
    r: bytes
    s: bytes


def coin_of(connection: Connection) -> Asset:
    """The chain's coin, in which bonds are paid, whatever a campaign's asset is."""
    return Asset(NATIVE, coin_symbol(connection.chain_id), DECIMALS)


def asset_at(connection: Connection, address: str) -> Asset:
    """The asset that campaign terms name.

    Raises:
        VerificationError: There is no token at that address.
    """
    return coin_of(connection) if int(address, 16) == 0 else Token(connection, address).asset


def assets_at(connection: Connection, addresses: Iterable[str]) -> dict[str, Asset | VerificationError]:
    """The assets that the terms of many campaigns name, read at once, or why one cannot be used.

    Args:
        connection: The chain.
        addresses: `NATIVE` and tokens' checksummed addresses, in any number.
    """
    found: dict[str, Asset | VerificationError] = {}
    tokens: list[Token] = []
    for address in dict.fromkeys(addresses):
        if int(address, 16) == 0:
            found[address] = coin_of(connection)
        else:
            tokens.append(Token(connection, address))
    answers = connection.read([read for token in tokens for read in token.asset_reads()]) if tokens else []
    for token, start in zip(tokens, range(0, len(answers), _ASSET_READS), strict=True):
        try:
            found[token.address] = token.asset_in(answers[start : start + _ASSET_READS])
        except VerificationError as error:
            found[token.address] = error
    return found


class Token:
    """An ERC-20.

    Args:
        connection: The chain.
        address: Checksummed address.
    """

    def __init__(self, connection: Connection, address: str) -> None:
        self.connection = connection
        self.address = address

    @cached_property
    def _interface(self) -> Interface:
        return Interface(_ERC20)

    @cached_property
    def asset(self) -> Asset:
        """Symbol and decimals.

        Raises:
            VerificationError: There is no contract, or it states no sensible number of decimals.
        """
        return self.asset_in(self.connection.read(self.asset_reads()))

    def asset_reads(self) -> list[Read]:
        """What has to be read to know symbol and decimals, in the order in which `asset_in` takes it."""
        calls = (self._call("decimals"), self._call("symbol"))
        return [("eth_getCode", (self.address,)), *(self.connection.read_of(call) for call in calls)]

    def asset_in(self, answers: Sequence[Any]) -> Asset:
        """Symbol and decimals, from the answers to `asset_reads`.

        Raises:
            VerificationError: There is no contract, or it states no sensible number of decimals.
        """
        code, decimals, symbol = answers
        check_code(self.connection.code_of(code), "token", self.address)
        try:
            (places,) = self._interface.decode_output("decimals", self.connection.returned(decimals))
        except (TransactionRevertedError, VerificationError) as error:
            raise VerificationError(
                f"The contract at {self.address} is not a usable token",
                "It does not say how many decimals it has",
                "Check the address",
            ) from error
        if places > MAX_DECIMALS:
            raise VerificationError(
                f"The token at {self.address} says that it has {places} decimals",
                f"At most {MAX_DECIMALS} make sense",
            )
        try:
            text = self._text_in("symbol", self.connection.returned(symbol))
        except TransactionRevertedError:
            text = ""
        return Asset(self.address, printable(text.strip(), _SYMBOL_LENGTH) or "tokens", places)

    def balance_of(self, holder: str, block: BlockId = "latest") -> int:
        """Smallest units that an account has."""
        return self.balance_in(self.connection.call(self.balance_call(holder), block=block))

    def balance_call(self, holder: str) -> Call:
        """The call that returns what an account has."""
        return self._call("balanceOf", holder)

    def balance_in(self, returned: bytes) -> int:
        """Smallest units that an account has, from what `balance_call` returned."""
        return int(self._interface.decode_output("balanceOf", returned)[0])

    def allowance(self, owner: str, spender: str) -> int:
        """Smallest units that `spender` may still take from `owner`."""
        return int(self._ask("allowance", owner, spender)[0])

    def approve(self, spender: str, amount: int) -> Call:
        """The call that lets `spender` take `amount` smallest units."""
        return self._call("approve", spender, amount)

    def sign_permit(self, account: BaseAccount, spender: str, amount: int) -> Permit | None:
        """A permit for `spender` to take `amount` smallest units.

        Returns:
            `None` if the token does not support EIP-2612, or its domain cannot be recomputed, or the account signs
            elsewhere or no typed data, or what its signer returns is no signature of its key.
        """
        from eth_account.messages import encode_typed_data

        from llamafund_chain.chain.signers import signature_of

        owner = str(account.address)
        deadline = self.connection.timestamp() + PERMIT_VALIDITY
        try:
            (nonce,) = self._ask("nonces", owner)
            (separator,) = self._ask("DOMAIN_SEPARATOR")
        except (TransactionRevertedError, VerificationError):
            return None
        message = {
            "types": {
                "EIP712Domain": [
                    {"name": "name", "type": "string"},
                    {"name": "version", "type": "string"},
                    {"name": "chainId", "type": "uint256"},
                    {"name": "verifyingContract", "type": "address"},
                ],
                "Permit": [
                    {"name": "owner", "type": "address"},
                    {"name": "spender", "type": "address"},
                    {"name": "value", "type": "uint256"},
                    {"name": "nonce", "type": "uint256"},
                    {"name": "deadline", "type": "uint256"},
                ],
            },
            "primaryType": "Permit",
            "domain": {**self._domain(), "chainId": self.connection.chain_id, "verifyingContract": self.address},
            "message": {
                "owner": owner,
                "spender": spender,
                "value": amount,
                "nonce": nonce,
                "deadline": deadline,
            },
        }
        encoded = encode_typed_data(full_message=message)
        # The header of an EIP-712 message is the domain's hash: what the token checks against.
        if bytes(encoded.header) != bytes(separator):
            return None
        raw = signature_of(account, message)
        usual = None if raw is None else usual_form(digest_of(encoded), raw, owner)
        return None if usual is None else Permit(deadline, usual[64], usual[:32], usual[32:64])

    def _domain(self) -> dict[str, str]:
        try:
            fields, name, version, *_ = self._ask("eip712Domain")
            if fields[0] & _FIELDS_OF_EIP5267 == _FIELDS_OF_EIP5267:
                return {"name": name, "version": version}
        except (TransactionRevertedError, VerificationError):
            pass
        return {"name": self._raw_text("name"), "version": self._raw_text("version") or "1"}

    def _raw_text(self, function: str) -> str:
        """A text from the token."""
        try:
            return self._text_in(function, self.connection.call(self._call(function)))
        except TransactionRevertedError:
            return ""

    def _text_in(self, function: str, data: bytes) -> str:
        """A text from what a function returned. Tokens older than the standard answer with 32 bytes."""
        try:
            return str(self._interface.decode_output(function, data)[0])
        except VerificationError:
            return data.rstrip(b"\x00").decode("utf-8", "replace") if len(data) == 32 else ""

    def _call(self, function: str, *arguments: Any) -> Call:
        return Call(self.address, self._interface.encode(function, *arguments))

    def _ask(self, function: str, *arguments: Any, block: BlockId = "latest") -> tuple[Any, ...]:
        data = self.connection.call(self._call(function, *arguments), block=block)
        return self._interface.decode_output(function, data)
