"""Signing, handing transactions to nodes, and their receipts. What is to be sent and whether is decided elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llamafund_chain.chain.coins import format_coin
from llamafund_chain.chain.connection import Connection
from llamafund_chain.chain.known_accounts import require_own_key
from llamafund_chain.chain.node_errors import RpcError
from llamafund_chain.chain.reverted import ContractRefusedError, smallest_units
from llamafund_chain.chain.transactions import Call, Fees, Receipt, SignedTransaction, refusal_of
from llamafund_chain.errors import LlamafundError, NodeError, NodeUnreachableError

if TYPE_CHECKING:
    from eth_account.signers.base import BaseAccount

Money = Callable[[int], str]
"""Writes amounts in the explanation of a refusal."""


class Outbox:
    """The way of signed transactions to one chain.

    Args:
        connection: The chain.

    Attributes:
        sent: Transactions that left, by hash (64 hexadecimal digits): whether each is known to be included.
        leaving: Called with those that are sent many at once, before they leave.
        arrived: Called with each that `outcomes` finds in a block, and its receipt.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.sent: dict[str, bool] = {}
        self.leaving: Callable[[Sequence[SignedTransaction]], None] = lambda _: None
        self.arrived: Callable[[SignedTransaction, Receipt], None] = lambda _, __: None

    def sign(
        self, account: BaseAccount, transaction: Call, value: int = 0, *, nonce: int, gas: int, fees: Fees
    ) -> SignedTransaction:
        """Sign a transaction without sending it.

        Args:
            account: The account that signs and pays.
            transaction: What to call or deploy.
            value: Wei to send with it.
            nonce: Number of the account's transaction, from 0.
            gas: Gas limit.
            fees: Wei per unit of gas.

        Raises:
            SendsOnlyError: Its signer only sends transactions itself.
            UnsignedError: Nobody signs for it here.
        """
        require_own_key(str(account.address), self.connection.chain_id)
        unsigned = SignedTransaction("", b"", str(account.address), transaction, value, nonce, gas, fees)
        signed = account.sign_transaction(unsigned.fields(self.connection.chain_id))
        return replace(unsigned, tx_hash=bytes(signed.hash).hex(), raw=bytes(signed.raw_transaction))

    def transmit(self, signed: SignedTransaction) -> None:
        """Send a signed transaction to the node, once. It is no error if the node has it already.

        Raises:
            SendRefusedError: The node refused it, in its words: it may have it all the same.
            NodeUnreachableError: The node stopped answering; the transaction may have arrived.
        """
        # Recorded first: whatever interrupts the request, the node may have it.
        self.sent[signed.tx_hash] = False
        try:
            self.connection.request("eth_sendRawTransaction", f"0x{signed.raw.hex()}")
        except RpcError as error:
            refusal = refusal_of(error)
            if refusal is not None:
                raise refusal from error

    def transmit_many(self, signed: Sequence[SignedTransaction]) -> list[RpcError | None]:
        """Send several signed transactions to the node, each once, at once if the node takes batches.

        Returns:
            For each why the node refused it, as `transmit` raises it; `None` if it was taken.

        Raises:
            NodeUnreachableError: The node stopped answering; some or all may have arrived.
        """
        self.leaving(signed)
        for one in signed:
            self.sent[one.tx_hash] = False
        requests = [("eth_sendRawTransaction", (f"0x{one.raw.hex()}",)) for one in signed]
        try:
            answers = self.connection.request_once(requests)
        except NodeUnreachableError as error:
            raise NodeUnreachableError(
                f"The node stopped answering while {len(signed)} transactions were being sent",
                "They may or may not have arrived; they were not sent again",
                f"Look them up before repeating the command: {', '.join(f'0x{one.tx_hash}' for one in signed)}",
            ) from error
        refusals: list[RpcError | None] = [
            refusal_of(answer) if isinstance(answer, RpcError) else None for answer in answers
        ]
        doubtful = [place for place, refusal in enumerate(refusals) if refusal is not None]
        for place, known in zip(doubtful, self._are_known([signed[place] for place in doubtful]), strict=True):
            refusal, tx_hash = refusals[place], signed[place].tx_hash
            if known or refusal is None:
                # An error may answer a transaction that arrived.
                refusals[place] = None
                continue
            refusal.what = f"{refusal.what}. It was transaction 0x{tx_hash}"
            self.forget(tx_hash)
        return refusals

    def _are_known(self, signed: Sequence[SignedTransaction]) -> list[bool]:
        """Whether the node has transactions, in a block or not; `False` where it does not say."""
        requests = [("eth_getTransactionByHash", (f"0x{one.tx_hash}",)) for one in signed]
        try:
            return [isinstance(answer, dict) for answer in self.connection.request_many(requests)] if requests else []
        except NodeError:
            return [False] * len(signed)

    def spread(self, signed: Sequence[SignedTransaction]) -> None:
        """Give signed transactions that were sent, but are not included, to the other nodes too.

        They are the same bytes with the same hash, so nothing is done twice. What a node answers does not matter.
        """
        if signed:
            self.connection.tell_others([("eth_sendRawTransaction", (f"0x{one.raw.hex()}",)) for one in signed])

    def forget(self, tx_hash: str) -> None:
        """Take note that a transaction did not leave after all.

        Args:
            tx_hash: 64 hexadecimal digits.
        """
        self.sent.pop(tx_hash, None)

    def outcomes(
        self, signed: Sequence[SignedTransaction], *, money: Money = smallest_units
    ) -> list[Receipt | ContractRefusedError | None]:
        """What became of transactions: the receipt, or the refusal if it was included and reverted, or `None`.

        Args:
            signed: The transactions.
            money: Writes amounts in the explanation of a refusal.

        Raises:
            RpcError: The node refused to say.
        """
        found: list[Receipt | ContractRefusedError | None] = []
        for one, receipt in zip(signed, self.receipts(signed), strict=True):
            if receipt is None:
                found.append(None)
            else:
                self.sent[one.tx_hash] = True
                self.arrived(one, receipt)
                found.append(receipt if receipt.succeeded else self.reverted(one, receipt, money))
        return found

    def receipts(self, signed: Sequence[SignedTransaction]) -> list[Receipt | None]:
        """The receipts of transactions; `None` for those that are in no block as far as the node knows.

        Raises:
            RpcError: The node refused to say.
            NodeUnreachableError: It does not answer, or with something that makes no sense.
        """
        requests = [("eth_getTransactionReceipt", (f"0x{one.tx_hash}",)) for one in signed]
        found: list[Receipt | None] = []
        for one, raw in zip(signed, self.connection.request_many(requests), strict=True):
            if isinstance(raw, RpcError):
                raise raw
            found.append(self.receipt_in(raw, one))
        return found

    def receipt_in(self, raw: Any, signed: SignedTransaction) -> Receipt | None:
        """The receipt of a transaction in a node's answer; `None` if there is none.

        Raises:
            NodeUnreachableError: It does not say what a receipt must.
        """
        price = signed.fees.highest
        if signed.fees.tip is not None and isinstance(raw, dict) and not raw.get("effectiveGasPrice"):
            price = self._price_then(raw.get("blockNumber"), signed.fees, signed.fees.tip)
        return self.connection.receipt_from(raw, signed.tx_hash, price)

    def reverted(self, signed: SignedTransaction, receipt: Receipt, money: Money) -> ContractRefusedError:
        """The error for a transaction that was included and reverted, with the reason if the node can tell it."""
        reason = "Something else was included before it and changed the outcome"
        try:
            self.connection.call(
                signed.transaction, block=receipt.block, sender=signed.sender, value=signed.value, money=money
            )
        except ContractRefusedError as refusal:
            reason = str(refusal)
        except NodeError as trouble:
            # That it reverted is known; only the reason is not.
            reason = f"Why is not known: {trouble.what}"
        return ContractRefusedError(
            f"Transaction 0x{signed.tx_hash} was included in block {receipt.block} and reverted; only its fee was "
            "spent",
            reason,
            fee=receipt.fee,
            data_fee=receipt.data_fee,
        )

    def check_funds(self, address: str, held: int, needed: int) -> None:
        """Refuse to send a transaction that an account cannot pay for.

        Args:
            address: The account.
            held: Wei that it has.
            needed: Wei for the amount and the highest possible fee.

        Raises:
            LlamafundError: It has too little.
        """
        if held < needed:
            chain_id = self.connection.chain_id
            raise LlamafundError(
                f"{address} has {format_coin(held, chain_id)}",
                f"Amount and highest possible fee are {format_coin(needed, chain_id)}",
                "Nothing was sent. Fund that account, or use another wallet",
            )

    def _price_then(self, block: Any, fees: Fees, tip: int) -> int:
        """Wei that a unit of gas cost in a block, where the receipt does not say so; the highest if it is not known."""
        try:
            header = self.connection.request("eth_getBlockByNumber", block, False)
            return min(fees.highest, int(header["baseFeePerGas"], 16) + tip)
        except (NodeError, KeyError, TypeError, ValueError):
            return fees.highest
