"""Accounts whose keys are elsewhere: in another program that signs, or with whoever takes an unsigned transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import rlp
from eth_account import Account
from eth_account.datastructures import SignedTransaction as EthSignedTransaction
from eth_account.signers.base import BaseAccount
from eth_keys.exceptions import BadSignature
from eth_utils import ValidationError, is_hex_address, keccak, to_checksum_address
from hexbytes import HexBytes
from rlp.exceptions import RLPException

from llamafund_chain.chain.node import ConnectionLostError, Node, TimedOutError, require_http
from llamafund_chain.chain.outside import SendsOnlyError, UnsignedError
from llamafund_chain.chain.signatures import digest_of, usual_form
from llamafund_chain.errors import LlamafundError, NodeUnreachableError, UsageError, VerificationError
from llamafund_chain.text import printable

if TYPE_CHECKING:
    from eth_account.datastructures import SignedMessage
    from eth_account.messages import SignableMessage
    from eth_account.types import Blobs, TransactionDictType
    from eth_typing import ChecksumAddress, Hash32

PATIENCE = 600.0
"""Seconds for which a signer may wait for its owner to look, and to press a button."""

_QUANTITIES = ("nonce", "gas", "value", "chainId", "gasPrice", "maxFeePerGas", "maxPriorityFeePerGas")

# EIP-1193: the owner declined. Clef and others have words instead.
_DECLINED = 4001
_DECLINED_WORDS = ("denied", "rejected", "declined", "cancelled")
_NOT_OFFERED = (-32601, 4200)
_NOT_OFFERED_WORDS = ("not found", "not supported", "unsupported", "does not exist", "not available", "unknown")


@dataclass(frozen=True)
class DecodedTransaction:
    """What a signed transaction says, of the kinds that are signed here."""

    sender: str
    to: str
    value: int
    data: bytes
    nonce: int
    chain_id: int | None


class ForeignAccount(BaseAccount):
    """An account by its address, which signs no bare hashes.

    Args:
        address: Checksummed.
    """

    def __init__(self, address: str) -> None:
        self._address = address

    @property
    def address(self) -> ChecksumAddress:
        """Checksummed."""
        return to_checksum_address(self._address)

    def sign_message(self, signable_message: SignableMessage) -> SignedMessage:  # noqa: ARG002
        """Refuse: wallets show typed data in words, and a message of any other kind only as digits."""
        self._refuse()

    def unsafe_sign_hash(self, message_hash: Hash32) -> SignedMessage:  # noqa: ARG002
        """Refuse: nobody can see what a hash stands for."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise UsageError(
            f"{self._address} does not sign messages here",
            "Its key is not in a key file",
            "Use a wallet that can, or `llamafund attest --print-typed-data`",
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self._address == other._address

    def __hash__(self) -> int:
        return hash(self._address)


class LockedAccount(ForeignAccount):
    """An account that is unlocked when it first signs, so that a person sees what before they type a passphrase.

    Args:
        address: Checksummed.
        unlock: Returns the account with its key.
    """

    def __init__(self, address: str, unlock: Callable[[], BaseAccount]) -> None:
        super().__init__(address)
        self._unlock = unlock
        self._account: BaseAccount | None = None

    def unlocked(self) -> BaseAccount:
        """The account with its key. A person is asked for the passphrase the first time.

        Raises:
            LlamafundError: It cannot be unlocked.
        """
        if self._account is None:
            self._account = self._unlock()
        return self._account

    def sign_transaction(self, transaction_dict: TransactionDictType, blobs: Blobs | None = None) -> Any:  # noqa: ARG002
        """See `BaseAccount`."""
        return self.unlocked().sign_transaction(transaction_dict)

    def sign_message(self, signable_message: SignableMessage) -> SignedMessage:
        """See `BaseAccount`."""
        return self.unlocked().sign_message(signable_message)

    def unsafe_sign_hash(self, message_hash: Hash32) -> SignedMessage:
        """See `BaseAccount`."""
        return self.unlocked().unsafe_sign_hash(message_hash)


class AbsentAccount(ForeignAccount):
    """An account whose transactions are printed, to be signed and sent elsewhere."""

    def sign_transaction(self, transaction_dict: TransactionDictType, blobs: Blobs | None = None) -> NoReturn:  # noqa: ARG002
        """Hand the transaction over.

        Raises:
            UnsignedError: Always.
        """
        raise UnsignedError(rpc_fields(self._address, transaction_dict))


class SafeAccount(AbsentAccount):
    """A Safe, whose owners sign and send its transactions with the Safe's own app."""

    def sign_transaction(self, transaction_dict: TransactionDictType, blobs: Blobs | None = None) -> NoReturn:  # noqa: ARG002
        """Hand the transaction over.

        Raises:
            UnsignedError: Always.
        """
        raise UnsignedError(rpc_fields(self._address, transaction_dict), by_safe=True)


class RemoteAccount(ForeignAccount):
    """An account of a program that signs: Clef, Frame, or a node with unlocked accounts.

    Args:
        signer: The program.
        address: One of its accounts.
    """

    def __init__(self, signer: RemoteSigner, address: str) -> None:
        super().__init__(address)
        self._signer = signer

    def sign_transaction(
        self,
        transaction_dict: TransactionDictType,
        blobs: Blobs | None = None,  # noqa: ARG002
    ) -> EthSignedTransaction:
        """A transaction, signed by the program. What comes back is decoded and compared: it is the one requested.

        Raises:
            SendsOnlyError: The program only sends transactions itself.
            VerificationError: It signed something else.
            LlamafundError: It refused, or its owner did.
            NodeUnreachableError: It does not answer.
        """
        answer = self._signer.request(
            ("eth_signTransaction", "account_signTransaction"), rpc_fields(self._address, transaction_dict)
        )
        raw = _bytes(answer.get("raw") if isinstance(answer, Mapping) else answer)
        self._signer.require_same(raw, self._address, transaction_dict)
        return EthSignedTransaction(raw_transaction=HexBytes(raw), hash=HexBytes(keccak(raw)), r=0, s=0, v=0)

    def require_chain(self, chain_id: int) -> None:
        """See `RemoteSigner.require_chain`."""
        self._signer.require_chain(chain_id)

    def send_transaction(self, transaction_dict: Mapping[str, Any]) -> str:
        """Let the program send a transaction. Call `require_chain` before: nobody looks at what it sends.

        Returns:
            Its hash, 64 hexadecimal digits.

        Raises:
            UsageError: It sends none.
            LlamafundError: It refused, or its owner did.
            NodeUnreachableError: It did not answer; it may have sent the transaction.
        """
        try:
            answer = self._signer.request(("eth_sendTransaction",), rpc_fields(self._address, transaction_dict))
        except SendsOnlyError:
            raise UsageError(
                f"The signer at {self._signer.shown} signs no transactions",
                "It offers neither eth_signTransaction nor eth_sendTransaction",
                "Use another signer, or --signer print",
            ) from None
        tx_hash = _bytes(answer)
        if len(tx_hash) != 32:
            raise self._signer.nonsense("eth_sendTransaction")
        return tx_hash.hex()

    def sign_typed_data(self, full_message: Mapping[str, Any]) -> bytes | None:
        """The signature of an EIP-712 document, in whatever form the program uses; `None` if it signs none.

        Raises:
            LlamafundError: It refused, or its owner did.
            NodeUnreachableError: It does not answer.
        """
        methods = ("eth_signTypedData_v4", "account_signTypedData")
        try:
            return _bytes(self._signer.request(methods, self._address, portable(full_message)))
        except SendsOnlyError:
            return None


class RemoteSigner:
    """A program that signs, over JSON-RPC.

    Args:
        url: `http://…` or `https://…`. It may contain a secret.

    Attributes:
        shown: The address without what may be secret.

    Raises:
        UsageError: The address has another form.
    """

    def __init__(self, url: str) -> None:
        require_http(url, "signer", "http://127.0.0.1:8550")
        self._node = Node(url, PATIENCE)
        self.shown = self._node.shown

    def account(self, wanted: str | None = None) -> RemoteAccount:
        """One of its accounts.

        Args:
            wanted: Checksummed address; `None` if it has only one.

        Raises:
            UsageError: It has no such account, or several to choose from.
            LlamafundError: It refused to show them.
            NodeUnreachableError: It does not answer.
        """
        accounts = self._accounts()
        if wanted is None and len(accounts) == 1:
            return RemoteAccount(self, accounts[0])
        if wanted in accounts:
            return RemoteAccount(self, str(wanted))
        listed = ", ".join(accounts) or "none"
        if wanted is None:
            raise UsageError(
                f"The signer at {self.shown} has {len(accounts)} accounts",
                f"They are {listed}",
                "Name the one that signs with --from",
            )
        raise UsageError(
            f"The signer at {self.shown} has no account {wanted}", f"Its accounts are: {listed}", "Check --from"
        )

    def request(self, methods: Sequence[str], *params: Any) -> Any:
        """The result of the first of some methods that the program offers.

        Raises:
            SendsOnlyError: It offers none of them.
            LlamafundError: It refused, or its owner did.
            NodeUnreachableError: It does not answer.
        """
        for method in methods:
            response = self._response(method, params)
            if "error" not in response:
                return response["result"]
            error = response["error"] if isinstance(response["error"], Mapping) else {"message": response["error"]}
            words = str(error.get("message", ""))
            if error.get("code") in _NOT_OFFERED or _names_no_method(words.lower()):
                continue
            if error.get("code") == _DECLINED or any(part in words.lower() for part in _DECLINED_WORDS):
                raise LlamafundError(
                    f"The signer at {self.shown} did not sign",
                    f"It was declined there: {printable(words, 200)}",
                    "Nothing was sent. Repeat the command to be asked again",
                )
            raise LlamafundError(
                f"The signer at {self.shown} refused {method}",
                f"It says: {printable(words, 300)}",
                "Check that it has that account unlocked and serves this request",
            )
        raise SendsOnlyError

    def _response(self, method: str, params: Sequence[Any]) -> Mapping[str, Any]:
        try:
            return self._node.request(method, params)
        except NodeUnreachableError as error:
            # A node's words would lead to the node.
            why = error.why if isinstance(error, ConnectionLostError) else error.what
            if isinstance(error, TimedOutError):
                why = f"It was waited for during {PATIENCE:g} seconds"
            raise NodeUnreachableError(
                f"The signer at {self.shown} did not answer {method}",
                why,
                "Check that it runs and is unlocked, and the address after rpc:",
            ) from None

    def require_chain(self, chain_id: int) -> None:
        """Refuse a program that would send on another chain: what it sends cannot be looked at before.

        Raises:
            UsageError: It is on another chain, or does not say on which.
        """
        try:
            answer = self.request(("eth_chainId",))
        except SendsOnlyError:
            answer = None
        if _number(_bytes(_even(answer))) != chain_id:
            raise UsageError(
                f"The signer at {self.shown} would not send on chain {chain_id}",
                f"It says that its chain is {printable(str(answer), 80)}",
                "Nothing was sent. Switch its chain, or name a node of that chain with --rpc",
            )

    def require_same(self, raw: bytes, sender: str, wanted: Mapping[str, Any]) -> None:
        """Refuse a signed transaction that is not the requested one.

        Only gas and fees may differ, because some programs let their owner edit those.

        Raises:
            VerificationError: It is something else.
        """
        try:
            found = decode_transaction(raw)
        except ValueError as error:
            raise self._other("It is not a transaction") from error
        asked = {
            "sender": sender.lower(),
            "to": str(wanted["to"]).lower(),
            "value": wanted["value"],
            "data": bytes(wanted["data"]),
            "nonce": wanted["nonce"],
            "chain_id": wanted["chainId"],
        }
        wrong = [name for name, value in asked.items() if getattr(found, name) != value]
        if wrong:
            raise self._other(f"It differs in {', '.join(wrong)}")

    def nonsense(self, method: str) -> NodeUnreachableError:
        """The error for an answer that makes no sense."""
        return NodeUnreachableError(
            f"The signer at {self.shown} answered {method} with something that makes no sense",
            "Such an answer is not used",
            "Check the address after rpc:",
        )

    def _other(self, reason: str) -> VerificationError:
        return VerificationError(
            f"The signer at {self.shown} signed something else than it was given",
            reason,
            "Nothing was sent. Do not use that signer",
        )

    def _accounts(self) -> list[str]:
        for methods in (("eth_accounts",), ("eth_requestAccounts", "account_list")):
            try:
                answer = self.request(methods)
            except SendsOnlyError:
                continue
            if not isinstance(answer, list) or not all(isinstance(one, str) and is_hex_address(one) for one in answer):
                raise self.nonsense(methods[0])
            if answer:
                return [str(to_checksum_address(one)) for one in answer]
        return []


def _names_no_method(words: str) -> bool:
    """Whether an error says that there is no such method, and not that there is no such account."""
    return "method" in words and any(part in words for part in _NOT_OFFERED_WORDS)


def signature_of(account: BaseAccount, document: Mapping[str, Any]) -> bytes | None:
    """An account's signature of an EIP-712 document; `None` if it signs elsewhere, or signs none.

    Args:
        account: Any account.
        document: The whole document, so that a wallet can show it.
    """
    if isinstance(account, RemoteAccount):
        return account.sign_typed_data(document)
    if isinstance(account, AbsentAccount):
        return None
    from eth_account.messages import encode_typed_data

    return bytes(account.sign_message(encode_typed_data(full_message=dict(document))).signature)


def typed_signature(account: BaseAccount, document: Mapping[str, Any]) -> str:
    """An account's signature of an EIP-712 document, 65 bytes, hexadecimal with 0x.

    Raises:
        UsageError: The account signs elsewhere, or no typed data.
        VerificationError: Its signer returned something else.
    """
    from eth_account.messages import encode_typed_data

    signature = signature_of(account, document)
    if signature is None:
        raise UsageError(
            f"{account.address} does not sign here",
            "Its signer signs no typed data (EIP-712), or somewhere else",
            "Sign with a key file, or with a signer that signs typed data",
        )
    form = usual_form(digest_of(encode_typed_data(full_message=dict(document))), signature, str(account.address))
    if form is None:
        raise VerificationError(
            f"What the signer returned is not a signature of {account.address}",
            f"It has {len(signature)} bytes and is of something else, or by another key",
            "Nothing was signed. Do not use that signer",
        )
    return f"0x{form.hex()}"


def rpc_fields(sender: str, transaction: Mapping[str, Any]) -> dict[str, str]:
    """A transaction's fields as JSON-RPC has them.

    Args:
        sender: Checksummed address.
        transaction: Fields as `eth_account` has them.
    """
    fields = {"from": sender, "to": str(transaction["to"]), "data": f"0x{bytes(transaction['data']).hex()}"}
    fields |= {name: hex(transaction[name]) for name in _QUANTITIES if name in transaction}
    return fields | {"type": "0x2" if "maxFeePerGas" in transaction else "0x0"}


def portable(document: Mapping[str, Any]) -> dict[str, Any]:
    """An EIP-712 document that every JSON reader understands: numbers that JavaScript would round become text."""

    def exact(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: exact(item) for name, item in value.items()}
        return str(value) if isinstance(value, int) and abs(value) >= 2**53 else value

    return {**document, "message": exact(document["message"])}


def decode_transaction(raw: bytes) -> DecodedTransaction:
    """What a signed transaction says: one with a fee market (EIP-1559) or a legacy one (EIP-155).

    Raises:
        ValueError: It is another kind, or nobody has signed it as a node wants it.
    """
    if not raw or (raw[0] != 2 and raw[0] < 0xC0):
        raise ValueError("It is of another kind")
    try:
        sender = str(Account.recover_transaction(raw)).lower()
    except (RLPException, BadSignature, ValidationError, ValueError, TypeError, RecursionError) as error:
        raise ValueError("Nobody has signed it") from error
    if raw[0] == 2:
        chain, nonce, _, _, _, to, value, data, _, parity, _, _ = rlp.decode(raw[1:])
        # `recover_transaction` takes other numbers too. A node does not.
        if parity not in (b"", b"\x01"):
            raise ValueError("Its signature's parity is neither 0 nor 1")
        chain_id: int | None = _number(chain)
    else:
        nonce, _, _, to, value, data, v, _, _ = rlp.decode(raw)
        chain_id = (_number(v) - 35) // 2 if _number(v) >= 35 else None
    return DecodedTransaction(sender, f"0x{to.hex()}", _number(value), bytes(data), _number(nonce), chain_id)


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _even(value: Any) -> Any:
    """A quantity with an even number of digits."""
    return f"0x0{value[2:]}" if isinstance(value, str) and len(value) % 2 else value


def _bytes(value: Any) -> bytes:
    """Bytes of an answer; empty if it has another form."""
    try:
        return bytes.fromhex(value[2:]) if isinstance(value, str) and value[:2] in ("0x", "0X") else b""
    except ValueError:
        return b""
