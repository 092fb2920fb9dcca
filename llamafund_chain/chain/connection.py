"""A connection to one chain: reading at a chosen finality, and sending transactions with care.

Everything that a node says may be malformed. Nothing is ever sent twice, except to replace it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from llamafund_chain.chain.coins import format_coin
from llamafund_chain.chain.node import Answer, Question
from llamafund_chain.chain.node_errors import LaggingError, RpcError, UnsupportedTagError
from llamafund_chain.chain.nodes import Nodes
from llamafund_chain.chain.outside import SendsOnlyError
from llamafund_chain.chain.ranges import KnownRanges, search
from llamafund_chain.chain.reverted import ContractRefusedError, Explain, Reading, explain, smallest_units
from llamafund_chain.chain.transactions import (
    RECEIPT_TIMEOUT,
    Call,
    Fees,
    Log,
    Receipt,
    SignedTransaction,
    not_included,
    refusal_of,
)
from llamafund_chain.deployment import addresses
from llamafund_chain.errors import (
    LlamafundError,
    NodeError,
    NodeUnreachableError,
    NotFinalError,
    UsageError,
    VerificationError,
)
from llamafund_chain.text import printable

if TYPE_CHECKING:
    from eth_account.signers.base import BaseAccount
    from web3 import Web3

    from llamafund_chain.deployment.addresses import Deployment

Finality = Literal["finalized", "safe", "latest"]
Agree = Callable[[], None]
"""Asks whether to send the transaction, and raises if the answer is no."""


MAX_ANSWER_BYTES = 1 << 20
"""Bytes of the longest result of a contract call that is read."""

_GWEI = 10**9
_DELEGATION = bytes.fromhex("ef0100")  # EIP-7702: a key whose account runs the code of a contract

FEW_BLOCKS = 5_000
"""Blocks that are searched for logs without a look at where to begin."""

_LOOKING_BACK = tuple(10**power for power in range(1, 10))
_POINTS = 15


@dataclass(frozen=True)
class Block:
    """A block's number, hash (64 hexadecimal digits) and time (unix seconds)."""

    number: int
    hash: str
    timestamp: int


Ask = Callable[[Sequence[Question]], list[Answer]]

BlockId = int | Literal["finalized", "safe", "latest", "pending", "earliest"]
Read = tuple[str, tuple[Any, ...]]
"""A method of a node and its parameters, without the block, which comes last."""

At = BlockId | Block
"""Which state to read. A `Block` is read by its hash: then nothing of another one is mixed in."""


@dataclass(frozen=True)
class Standing:
    """An account and the fees of the moment.

    Attributes:
        first: Number of the transactions that the account had sent at the requested block.
        mined: The same at the latest block.
        pending: The same with its pending transactions.
        held: Wei that it has.
        base_fee: Wei per unit of gas that the latest block burned; 0 on chains without a base fee.
        fees: The fees that the node advises.
    """

    first: int
    mined: int
    pending: int
    held: int
    base_fee: int
    fees: Fees


def connect(rpc_url: str, *, explain: Explain = explain) -> Connection:
    """Open a connection and ask which chain it is.

    Args:
        rpc_url: `http://…` or `https://…`, or several separated by spaces: the first that answers serves, and the
            others take over.
        explain: Explains reverts, for callers that know the contracts.

    Raises:
        UsageError: The address has another form.
        NodeUnreachableError: Nothing answers there, or it is not a node.
    """
    for url in rpc_url.split() or [rpc_url]:
        if not url.startswith(("http://", "https://")) or any(ord(char) <= 32 for char in url):
            scheme = url.partition("://")[0] if "://" in url else ""
            begins = f" (it begins with {printable(scheme, 20)!r})" if scheme else ""
            raise UsageError(
                f"The node's address cannot be used{begins}",
                "It must be an HTTP address",
                "Write it like http://127.0.0.1:8545",
            )
    return Connection(rpc_url, explain)


class Connection:
    """One node, or several, and through them one chain. Made by `connect`.

    Attributes:
        chain_id: EIP-155 number.
        rpc_url: As given. It may contain a secret; see `shown_url`.
        since: A block before which nothing of ours was on the chain, as far as the caller knows.
        sent: Transactions that left, by hash (64 hexadecimal digits): whether each is known to be included.
    """

    def __init__(self, rpc_url: str, explain: Explain = explain) -> None:
        self.rpc_url = rpc_url
        self.since = 0
        self.sent: dict[str, bool] = {}
        self._explain = explain
        try:
            self._nodes = Nodes(rpc_url.split())
        except ValueError as error:
            raise UsageError("The node's address cannot be used", "It is not a URL") from error
        self._w3: Web3 | None = None
        self._deployment: Deployment | None = None
        self._by_hash = True
        self._next: Literal["pending", "latest"] = "pending"
        self._ranges = KnownRanges()
        chain_id = self.request("eth_chainId")
        self.chain_id = self._quantity(chain_id, "eth_chainId")
        self._nodes.expect_chain(chain_id)

    def __repr__(self) -> str:
        return f"Connection({self.shown_url!r}, chain_id={self.chain_id})"

    @property
    def caip2(self) -> str:
        """The chain's CAIP-2 name, for example `eip155:1`."""
        return f"eip155:{self.chain_id}"

    @property
    def shown_url(self) -> str:
        """The address of the node that answers, without the parts that may be secret."""
        return self._nodes.shown

    @property
    def w3(self) -> Web3:
        """The same node as a web3 object."""
        if self._w3 is None:
            from web3 import Web3

            from llamafund_chain.chain.web3_provider import NodeProvider

            self._w3 = Web3(NodeProvider(self._answer))
        return self._w3

    # ------------------------------------------------------------------ read

    def request(self, method: str, *params: Any) -> Any:
        """One JSON-RPC request.

        Returns:
            The unchanged result.

        Raises:
            NodeUnreachableError: No node answered.
            RpcError: It answered with an error.
        """
        answer = self._answer(method, params)
        if isinstance(answer, NodeError):
            raise answer
        return answer

    def request_many(self, requests: Sequence[tuple[str, tuple[Any, ...]]]) -> list[Any]:
        """Several JSON-RPC requests, as many at once as the node takes.

        None of them may change anything: they may be made again.

        Args:
            requests: Methods with their parameters.

        Returns:
            The unchanged results in the order of the requests; an `RpcError` in place of each that was refused.

        Raises:
            NodeUnreachableError: No node answered, or not yet.
        """
        return self._each(requests, self._nodes.ask)

    def _each(self, requests: Sequence[tuple[str, tuple[Any, ...]]], ask: Ask) -> list[Any]:
        answers = ask([Question(method, params) for method, params in requests])
        for answer in answers:
            if isinstance(answer, NodeError) and not isinstance(answer, RpcError):
                raise answer
        return answers

    def _answer(self, method: str, params: Sequence[Any]) -> Answer:
        question = Question(method, tuple(params))
        return (self._nodes.ask if question.only_reads else self._nodes.ask_once)([question])[0]

    def _request_or_refusal(self, method: str, parameters: tuple[Any, ...]) -> Any:
        try:
            return self.request(method, *parameters)
        except RpcError as error:
            return error

    def block(self, which: BlockId = "latest") -> Block:
        """A block's number, hash and time.

        Raises:
            NotFinalError: The node knows no finalized or safe block.
            NodeUnreachableError: The node has no such block yet, or is of another chain than before.
        """
        return self.blocks(which)[0]

    def blocks(self, *which: BlockId) -> list[Block]:
        """Several blocks in one request; see `block`."""
        headers = [("eth_getBlockByNumber", (self._named(one), False)) for one in which]
        chain_id, *answers = self.request_many([("eth_chainId", ()), *headers])
        if any(_knows_no_pending(answer) for answer in answers):
            self._next = "latest"
            return self.blocks(*which)
        for name, answer in zip(which, answers, strict=True):
            if name in ("finalized", "safe") and (answer is None or isinstance(answer, UnsupportedTagError)):
                raise self._no_finality(str(name))
            if isinstance(answer, RpcError):
                raise answer
        if isinstance(chain_id, RpcError):
            raise chain_id
        self._check_chain(chain_id)
        return [self._block(answer) for answer in answers]

    def _check_chain(self, answer: Any) -> None:
        """Notice when another chain answers than the one that this connection was opened to."""
        chain_id = self._quantity(answer, "eth_chainId")
        if chain_id != self.chain_id:
            raise NodeUnreachableError(
                f"The node at {self.shown_url} is of chain {chain_id} now, and was of chain {self.chain_id} before",
                "What it said before may be of either",
                "Find out why, then repeat the command",
            )

    def _block(self, raw: Any) -> Block:
        if not isinstance(raw, Mapping):
            raise self._nonsense("eth_getBlockByNumber")
        return Block(
            self._quantity(raw.get("number"), "a block's number"),
            self._bytes(raw.get("hash"), "a block's hash").hex(),
            self._quantity(raw.get("timestamp"), "a block's time"),
        )

    def timestamp(self, which: BlockId = "latest") -> int:
        """Unix seconds of a block: the chain's clock."""
        return self.block(which).timestamp

    def read(self, requests: Sequence[Read], at: At = "latest") -> list[Any]:
        """Requests about one state, as many at once as the node takes; see `read_states`."""
        return self.read_states([(requests, at)])[0]

    def read_states(self, parts: Sequence[tuple[Sequence[Read], At]]) -> list[list[Any]]:
        """Requests about some states, as many at once as the node takes.

        Args:
            parts: Methods with their parameters, without the block, which comes last; and the state they are about.

        Returns:
            For each part the unchanged results in the order of its requests; an `RpcError` in place of each that was
            refused.

        Raises:
            NodeUnreachableError: No node answered, or not yet.
            NotFinalError: A block was undone meanwhile.
        """
        blocks = [at for _, at in parts if isinstance(at, Block)]
        try:
            found = self._read_with(parts)
        except LaggingError:
            self._check_undone(blocks)
            raise
        answers = [answer for part in found for answer in part]
        again = False
        if blocks and self._by_hash and any(_knows_no_hashes(answer) for answer in answers):
            # The node is older than EIP-1898.
            self._by_hash, again = False, True
        if self._next == "pending" and any(_knows_no_pending(answer) for answer in answers):
            self._next, again = "latest", True
        if again:
            return self.read_states(parts)
        if not self._by_hash:
            self._check_undone(blocks)
        return found

    def _check_undone(self, blocks: Sequence[Block]) -> None:
        for before, now in zip(blocks, self.blocks(*(one.number for one in blocks)), strict=True) if blocks else ():
            if before.hash != now.hash:
                raise NotFinalError(
                    f"Block {before.number} was undone while it was read",
                    f"Its hash was 0x{before.hash} and is 0x{now.hash} now",
                    "Nothing of it was used. Repeat the command",
                )

    def _read_with(self, parts: Sequence[tuple[Sequence[Read], At]]) -> list[list[Any]]:
        whole = [(method, (*parameters, self._named(at))) for requests, at in parts for method, parameters in requests]
        answers = iter(self.request_many(whole))
        return [[next(answers) for _ in requests] for requests, _ in parts]

    def _read_one(self, method: str, *parameters: Any, at: At) -> Any:
        (answer,) = self.read([(method, parameters)], at)
        if isinstance(answer, RpcError):
            raise answer
        return answer

    def _named(self, at: At) -> Any:
        """A block as a parameter of a request."""
        if isinstance(at, Block):
            return {"blockHash": f"0x{at.hash}", "requireCanonical": True} if self._by_hash else hex(at.number)
        if isinstance(at, int):
            return hex(at)
        return self._next if at == "pending" else at

    @staticmethod
    def read_of(call: Call) -> Read:
        """A call as a request of `read`."""
        return "eth_call", ({"to": call.to, "data": f"0x{call.data.hex()}"},)

    def returned(self, answer: Any) -> bytes:
        """What a call returned, from an answer of `read`.

        Raises:
            ContractRefusedError: It reverts.
            RpcError: The node refused it.
        """
        if isinstance(answer, RpcError):
            raise self._refusal(answer, smallest_units)
        return self._bytes(answer, "eth_call")[:MAX_ANSWER_BYTES]

    def code_of(self, answer: Any) -> bytes:
        """The code at an address, from an answer of `read`.

        Raises:
            RpcError: The node refused it.
        """
        if isinstance(answer, NodeError):
            raise answer
        return self._bytes(answer, "eth_getCode")

    def balance_of(self, answer: Any) -> int:
        """Wei that an address holds, from an answer of `read`.

        Raises:
            RpcError: The node refused it.
        """
        if isinstance(answer, RpcError):
            raise answer
        return self._quantity(answer, "eth_getBalance")

    def code(self, address: str, block: At = "latest") -> bytes:
        """The code at an address; empty if there is none."""
        return self._bytes(self._read_one("eth_getCode", address, at=block), "eth_getCode")

    def balance(self, address: str, block: At = "latest") -> int:
        """Wei that an address holds."""
        return self._quantity(self._read_one("eth_getBalance", address, at=block), "eth_getBalance")

    def call(
        self,
        call: Call,
        *,
        block: At = "latest",
        sender: str | None = None,
        value: int = 0,
        money: Callable[[int], str] = smallest_units,
    ) -> bytes:
        """Run a call without sending anything.

        Args:
            call: What to call.
            block: The block after which to run it; `pending` is the next one.
            sender: The calling account; `None` for nobody.
            value: Wei to send with it.
            money: Writes amounts in the explanation of a refusal.

        Raises:
            ContractRefusedError: It reverts.
        """
        transaction: dict[str, Any] = {"to": call.to, "data": f"0x{call.data.hex()}"}
        if sender is not None:
            transaction["from"] = sender
        if value:
            transaction["value"] = hex(value)
        try:
            answer = self._read_one("eth_call", transaction, at=block)
        except RpcError as error:
            raise self._refusal(error, money) from error
        return self._bytes(answer, "eth_call")[:MAX_ANSWER_BYTES]

    def call_many(self, calls: Sequence[Call], *, block: At = "latest") -> list[bytes | LlamafundError]:
        """Run calls without sending anything, many at once.

        Args:
            calls: What to call.
            block: The block after which to run them.

        Returns:
            What each returned, or why it was refused.

        Raises:
            NodeUnreachableError: No node answered.
        """
        answers = self.read([self.read_of(call) for call in calls], block)
        return [
            self._refusal(answer, smallest_units)
            if isinstance(answer, RpcError)
            else self._bytes(answer, "eth_call")[:MAX_ANSWER_BYTES]
            for answer in answers
        ]

    def logs(
        self,
        address: str,
        *,
        topics: Sequence[str | Sequence[str] | None] = (),
        first: int = 0,
        last: At = "latest",
    ) -> Iterator[Log]:
        """All logs of one contract, in order, with the logs of only one response in memory.

        Anyone can make a contract write logs, so a large number is no reason to give up. If a node refuses large
        ranges, or a response is too long or takes too long, this requests smaller ranges. A node that does not have
        the last block of a range yet is waited for: its silence about that block would mean nothing.

        Args:
            address: The contract.
            topics: Requested topics by position: one topic, several alternatives, or `None` for any.
            first: First block.
            last: Last block.

        Raises:
            NodeUnreachableError: A response does not make sense, or there is none even for a single block.
            RpcError: The node refuses even single blocks.
        """
        end = last if isinstance(last, Block) else self.block(last)

        def ask(start: int, stop: int) -> list[Log]:
            wanted = {"address": address, "topics": list(topics)}
            filter_ = {**wanted, "fromBlock": hex(start), "toBlock": hex(stop)}
            # A node without that block refuses the second request, where it would answer the first one with nothing.
            witness: tuple[str, tuple[Any, ...]] = ("eth_getBlockByNumber", (hex(stop), False))
            if stop == end.number:
                witness = ("eth_getLogs", ({**wanted, "blockHash": f"0x{end.hash}"},))
            raw, _ = self.request_many([("eth_getLogs", (filter_,)), witness])
            if isinstance(raw, RpcError):
                raise raw
            if not isinstance(raw, list):
                raise self._nonsense("eth_getLogs")
            found = [self._log(item) for item in raw if not isinstance(item, Mapping) or not item.get("removed")]
            if not all(_wanted(log, address, topics, start, stop) for log in found):
                raise self._nonsense("eth_getLogs")
            return sorted(found, key=lambda log: (log.block, log.index))

        node = self.shown_url
        for logs in search(
            ask, first, end.number, most=self._ranges.of(node), found=lambda blocks: self._ranges.remember(node, blocks)
        ):
            yield from logs

    def first_block_of(self, address: str, head: Block, *, since: int = 0, few: int = FEW_BLOCKS) -> int | None:
        """The block that created a contract, found by the states in which there is code.

        Args:
            address: The contract; it has code at `head`.
            head: The block to look back from.
            since: A block before which it did not exist.
            few: Number of blocks that are rather searched for logs; 0 to find the block anyway.

        Returns:
            `None` if so few blocks come into question that a search through all of them costs less.

        Raises:
            PrunedError: The node does not keep the states that tell.
        """
        without, with_code = since - 1, head.number
        if with_code - without <= min(self._ranges.of(self.shown_url) or few, few):
            return None
        # Most campaigns that somebody looks at are young.
        points = [head.number - back for back in _LOOKING_BACK if head.number - back > without]
        while points:
            questions = [Question("eth_getCode", (address, hex(point))) for point in points]
            for point, answer in zip(points, self._nodes.ask(questions), strict=True):
                if self.code_of(answer):
                    with_code = min(with_code, point)
                else:
                    without = max(without, point)
            step = max((with_code - without) // _POINTS, 1)
            points = list(range(without + step, with_code, step))[:_POINTS]
        return with_code

    def may_have_logged(self, block: int, address: str, topics: Sequence[str]) -> bool:
        """Whether a block's header allows a log, whatever a search for it finds (its bloom filter, Yellow Paper 4.3).

        Args:
            block: Number of the block.
            address: The contract that would have written the log.
            topics: Its topics, hexadecimal with 0x.

        Returns:
            `False` only if there is no such log in the block, or the node's header is wrong.
        """
        from eth_utils import keccak

        raw = self.request("eth_getBlockByNumber", hex(block), False)
        text = raw.get("logsBloom") if isinstance(raw, Mapping) else None
        if text is None:
            return True
        bloom = int.from_bytes(self._bytes(text, "a block's bloom filter"), "big")
        for item in (address, *topics):
            digest = keccak(bytes.fromhex(item[2:]))
            for place in (0, 2, 4):
                if not bloom >> (int.from_bytes(digest[place : place + 2], "big") & 2047) & 1:
                    return False
        return True

    def transaction_input(self, tx_hash: str) -> tuple[str | None, bytes]:
        """Where a transaction went and its call data.

        Raises:
            LlamafundError: The node does not know it.
        """
        raw = self.request("eth_getTransactionByHash", f"0x{tx_hash}")
        if raw is None:
            raise LlamafundError(
                f"The node does not know the transaction {tx_hash}", "It may not keep old transactions"
            )
        if not isinstance(raw, Mapping):
            raise self._nonsense("eth_getTransactionByHash")
        to = raw.get("to")
        return (str(to) if to else None), self._bytes(raw.get("input", raw.get("data")), "a transaction's input")

    def deployment(self) -> Deployment:
        """The implementation and factory on this chain, verified by their code. Looked up once.

        Raises:
            VerificationError: They are not deployed here, or other code is at their address.
        """
        if self._deployment is None:
            self._verify(self.read([("eth_getCode", (place,)) for place in addresses.places()]))
        assert self._deployment is not None
        return self._deployment

    def look_at(self, address: str) -> tuple[bytes, Block, Block | None]:
        """The code at an address, and the latest and the finalized block, in one request with all that proves them.

        Args:
            address: A contract.

        Returns:
            The code in the latest state; the latest block; the finalized one, or `None` if the node knows none.

        Raises:
            VerificationError: Our contracts are not deployed here, or other code is at their address.
        """
        places = (address, *addresses.places()) if self._deployment is None else (address,)
        codes = [("eth_getCode", (place, "latest")) for place in places]
        headers = [("eth_getBlockByNumber", (name, False)) for name in ("latest", "finalized")]
        chain_id, latest, settled, code, *ours = self.request_many([("eth_chainId", ()), *headers, *codes])
        for answer in (chain_id, latest):
            if isinstance(answer, RpcError):
                raise answer
        self._check_chain(chain_id)
        if self._deployment is None:
            self._verify(ours)
        final = None if settled is None or isinstance(settled, RpcError) else self._block(settled)
        return self.code_of(code), self._block(latest), final

    def _verify(self, codes: Sequence[Any]) -> None:
        self._deployment = addresses.verify_codes(self.chain_id, [self.code_of(code) for code in codes])

    # ------------------------------------------------------------------ send

    def send(
        self,
        account: BaseAccount,
        transaction: Call,
        value: int = 0,
        *,
        money: Callable[[int], str] = smallest_units,
        agree: Agree | None = None,
    ) -> Receipt:
        """Send one transaction and wait until it is included. It is simulated first and never sent twice.

        Args:
            account: The account that signs and pays.
            transaction: What to call or deploy.
            value: Wei to send with it.
            money: Writes amounts in the explanation of a refusal.
            agree: Called after a successful simulation. If it raises, the transaction is not sent.

        Raises:
            ContractRefusedError: The simulation or the included transaction reverted.
            LlamafundError: The account cannot pay for it, or the node refused it.
            NodeUnreachableError: The node stopped answering; the message says whether anything may have been sent.
        """
        sender = str(account.address)
        held = self.balance(sender, "latest")
        self.check_funds(sender, held, value)
        self.call(transaction, block="pending", sender=sender, value=value, money=money)
        if agree is not None:
            agree()
        gas = self.estimate(sender, transaction, value, block="pending", money=money)
        gas += gas // 4
        fees = self.fees()
        if held < value + gas * fees.highest and not self._is_contract(sender):
            self.check_funds(sender, held, value + gas * fees.highest)
        unsigned = SignedTransaction("", b"", sender, transaction, value, self.nonce(sender, "pending"), gas, fees)
        signed = self._signed_and_sent(account, unsigned)
        return self._checked(self._await_receipt(signed.tx_hash), signed, money)

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
        unsigned = SignedTransaction("", b"", str(account.address), transaction, value, nonce, gas, fees)
        signed = account.sign_transaction(unsigned.fields(self.chain_id))
        return replace(unsigned, tx_hash=bytes(signed.hash).hex(), raw=bytes(signed.raw_transaction))

    def _signed_and_sent(self, account: BaseAccount, unsigned: SignedTransaction) -> SignedTransaction:
        """Sign and send a transaction, or let a signer do both that only sends."""
        from llamafund_chain.chain.signers import RemoteAccount, SafeAccount

        if isinstance(account, SafeAccount) and not self._is_contract(unsigned.sender):
            raise UsageError(
                f"There is no Safe at {unsigned.sender}",
                "The address has no code on this chain",
                "Check the address after safe:, and with --rpc the chain",
            )
        try:
            signed = self.sign(
                account,
                unsigned.transaction,
                unsigned.value,
                nonce=unsigned.nonce,
                gas=unsigned.gas,
                fees=unsigned.fees,
            )
        except SendsOnlyError:
            assert isinstance(account, RemoteAccount)
            account.require_chain(self.chain_id)
        else:
            self.transmit(signed)
            return signed
        try:
            tx_hash = account.send_transaction(unsigned.fields(self.chain_id))
        except NodeUnreachableError as error:
            raise NodeUnreachableError(
                "The signer stopped answering while it was to send a transaction",
                f"It may or may not have sent it. {error.what}",
                f"Look in the signer for number {unsigned.nonce} of {unsigned.sender} before repeating the command",
            ) from error
        self.sent[tx_hash] = False
        return replace(unsigned, tx_hash=tx_hash)

    def transmit(self, signed: SignedTransaction) -> None:
        """Send a signed transaction to the node, once. It is no error if the node has it already.

        Raises:
            UnderpricedError: Another one with its nonce is pending, and this one does not pay enough to replace it.
            NonceUsedError: Another one with its nonce was included.
            RpcError: The node refused it for another reason.
            NodeUnreachableError: The node stopped answering; the transaction may have arrived.
        """
        # Recorded first: whatever interrupts the request, the node may have it.
        self.sent[signed.tx_hash] = False
        try:
            self.request("eth_sendRawTransaction", f"0x{signed.raw.hex()}")
        except NodeUnreachableError as error:
            raise NodeUnreachableError(
                f"The node stopped answering while transaction 0x{signed.tx_hash} was being sent",
                "It may or may not have arrived; it was not sent again",
                "Look that transaction up before repeating the command",
            ) from error
        except RpcError as error:
            refusal = refusal_of(error)
            if refusal is not None:
                del self.sent[signed.tx_hash]
                raise refusal from error

    def transmit_many(self, signed: Sequence[SignedTransaction]) -> list[RpcError | None]:
        """Send several signed transactions to the node, each once, at once if the node takes batches.

        Returns:
            For each why the node refused it, as `transmit` raises it; `None` if it was taken.

        Raises:
            NodeUnreachableError: The node stopped answering; some or all may have arrived.
        """
        for one in signed:
            self.sent[one.tx_hash] = False
        requests = [("eth_sendRawTransaction", (f"0x{one.raw.hex()}",)) for one in signed]
        try:
            answers = self._each(requests, self._nodes.ask_once)
        except NodeUnreachableError as error:
            raise NodeUnreachableError(
                f"The node stopped answering while {len(signed)} transactions were being sent",
                "They may or may not have arrived; they were not sent again",
                "Look them up before repeating the command",
            ) from error
        refusals = [refusal_of(answer) if isinstance(answer, RpcError) else None for answer in answers]
        for one, refusal in zip(signed, refusals, strict=True):
            if refusal is not None:
                del self.sent[one.tx_hash]
        return refusals

    def spread(self, signed: Sequence[SignedTransaction]) -> None:
        """Give signed transactions that were sent, but are not included, to the other nodes too.

        They are the same bytes with the same hash, so nothing is done twice. What a node answers does not matter.
        """
        if signed:
            self._nodes.tell_others([Question("eth_sendRawTransaction", (f"0x{one.raw.hex()}",)) for one in signed])

    def outcomes(
        self, signed: Sequence[SignedTransaction], *, money: Callable[[int], str] = smallest_units
    ) -> list[Receipt | ContractRefusedError | None]:
        """What became of transactions: the receipt, or the refusal if it was included and reverted, or `None`.

        Args:
            signed: The transactions.
            money: Writes amounts in the explanation of a refusal.

        Raises:
            RpcError: The node refused to say.
        """
        found: list[Receipt | ContractRefusedError | None] = []
        requests = [("eth_getTransactionReceipt", (f"0x{one.tx_hash}",)) for one in signed]
        for one, raw in zip(signed, self.request_many(requests), strict=True):
            if isinstance(raw, RpcError):
                raise raw
            if not isinstance(raw, Mapping) or raw.get("blockNumber") is None:
                found.append(None)
                continue
            try:
                found.append(self._checked(raw, one, money))
            except ContractRefusedError as refusal:
                found.append(refusal)
        return found

    def standing(self, address: str, block: int) -> Standing:
        """An account and the fees of the moment, read at once.

        Args:
            address: The account.
            block: For the number of transactions then.
        """
        asked: list[tuple[str, tuple[Any, ...]]] = [
            *(("eth_getTransactionCount", (address, when)) for when in (hex(block), "latest", self._next)),
            ("eth_getBalance", (address, "latest")),
            ("eth_getBlockByNumber", ("latest", False)),
            ("eth_maxPriorityFeePerGas", ()),
            ("eth_gasPrice", ()),
        ]
        *numbers, latest, tip, gas_price = self.request_many(asked)
        if any(_knows_no_pending(number) for number in numbers):
            self._next = "latest"
            return self.standing(address, block)
        for answer in (*numbers, latest):
            if isinstance(answer, RpcError):
                raise answer
        first, mined, pending, held = (self._quantity(number, "an account") for number in numbers)
        base = self._base_fee_of(latest)
        return Standing(first, mined, pending, held, base or 0, self._advised(base, tip, gas_price))

    def nonce(self, address: str, block: At = "latest") -> int:
        """Number of transactions that an account has sent; at `pending`, including pending ones."""
        answer = self._read_one("eth_getTransactionCount", address, at=block)
        return self._quantity(answer, "eth_getTransactionCount")

    def estimate(
        self,
        sender: str,
        transaction: Call,
        value: int = 0,
        *,
        block: At = "latest",
        money: Callable[[int], str] = smallest_units,
    ) -> int:
        """Gas that a transaction would take at a block, without a margin.

        Raises:
            ContractRefusedError: It would revert.
        """
        fields = {
            "from": sender,
            "to": transaction.to,
            "data": f"0x{transaction.data.hex()}",
            "value": hex(value),
        }
        try:
            return self._quantity(self._read_one("eth_estimateGas", fields, at=block), "eth_estimateGas")
        except RpcError as error:
            raise self._refusal(error, money) from error

    @staticmethod
    def cost_reads(sender: str, transaction: Call) -> list[tuple[str, tuple[Any, ...]]]:
        """Requests for `request_many`: what a transaction would cost now; see `cost_in`.

        Args:
            sender: The account that would send it.
            transaction: What it would call.
        """
        fields = {"from": sender, "to": transaction.to, "data": f"0x{transaction.data.hex()}", "value": "0x0"}
        return [
            ("eth_estimateGas", (fields, "latest")),
            ("eth_getBlockByNumber", ("latest", False)),
            ("eth_maxPriorityFeePerGas", ()),
            ("eth_gasPrice", ()),
        ]

    def cost_in(self, answers: Sequence[Any]) -> tuple[int, int, int]:
        """Units of gas, wei for each, and wei of that which blocks burn, from the answers to `cost_reads`.

        Raises:
            ContractRefusedError: It would revert.
            RpcError: The node refused to say.
        """
        gas, latest, tip, gas_price = answers
        if isinstance(gas, RpcError):
            raise self._refusal(gas, smallest_units)
        if isinstance(latest, RpcError):
            raise latest
        base = self._base_fee_of(latest)
        return self._quantity(gas, "eth_estimateGas"), _price(self._advised(base, tip, gas_price)), base or 0

    def base_fee(self) -> int:
        """Wei per unit of gas that the latest block burned (EIP-1559); 0 on chains without a base fee."""
        return self._base_fee() or 0

    def _base_fee(self) -> int | None:
        return self._base_fee_of(self.request("eth_getBlockByNumber", "latest", False))

    def _base_fee_of(self, block: Any) -> int | None:
        base = block.get("baseFeePerGas") if isinstance(block, Mapping) else None
        return None if base is None else self._quantity(base, "the base fee")

    def price(self) -> int:
        """Wei that a transaction pays now for each unit of gas: the base fee and the tip that the node advises."""
        return _price(self.fees())

    def fees(self) -> Fees:
        """The fees that the node advises now, with room for a base fee that doubles."""
        base = self._base_fee()
        if base is None:
            return self._advised(None, None, self.request("eth_gasPrice"))
        return self._advised(base, self._request_or_refusal("eth_maxPriorityFeePerGas", ()), None)

    def _advised(self, base: int | None, tip: Any, gas_price: Any) -> Fees:
        """The fees that a node advises, from its base fee and its answers; an error in place of a refused one."""
        if base is None:
            if isinstance(gas_price, RpcError):
                raise gas_price
            return Fees(self._quantity(gas_price, "eth_gasPrice"), None)
        wei = _GWEI if isinstance(tip, RpcError) else self._quantity(tip, "eth_maxPriorityFeePerGas")
        return Fees(2 * base + wei, wei)

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
            raise LlamafundError(
                f"{address} has {format_coin(held, self.chain_id)}",
                f"Amount and highest possible fee are {format_coin(needed, self.chain_id)}",
                "Nothing was sent. Fund that account, or use another wallet",
            )

    def _is_contract(self, address: str) -> bool:
        """Whether an account is a contract, for example a Safe: whoever makes it act pays the fee."""
        code = self.code(address)
        return bool(code) and not code.startswith(_DELEGATION)

    def _await_receipt(self, tx_hash: str) -> Mapping[str, Any]:
        until = time.monotonic() + RECEIPT_TIMEOUT
        pause = 0.02
        while True:
            try:
                raw = self.request("eth_getTransactionReceipt", f"0x{tx_hash}")
            except (NodeUnreachableError, RpcError) as error:
                raise NodeUnreachableError(
                    f"Transaction 0x{tx_hash} was sent, but the node does not say whether it was included",
                    str(error),
                    "Look that transaction up before repeating the command",
                ) from error
            if isinstance(raw, Mapping) and raw.get("blockNumber") is not None:
                return raw
            if time.monotonic() > until:
                raise not_included([tx_hash])
            time.sleep(pause)
            pause = min(pause * 1.5, 2.0)

    def _checked(self, raw: Mapping[str, Any], signed: SignedTransaction, money: Callable[[int], str]) -> Receipt:
        block = self._quantity(raw.get("blockNumber"), "a receipt's block")
        self.sent[signed.tx_hash] = True
        gas_used = self._quantity(raw.get("gasUsed"), "gas used")
        price = self._quantity(raw.get("effectiveGasPrice", "0x0"), "the gas price")
        beside = self._quantity(raw.get("l1Fee") or "0x0", "the data fee")
        within = self._quantity(raw.get("gasUsedForL1") or "0x0", "the gas of the data") * price
        if self._quantity(raw.get("status"), "a receipt's status") != 1:
            reason = "Something else was included before it and changed the outcome"
            try:
                self.call(signed.transaction, block=block, sender=signed.sender, value=signed.value, money=money)
            except ContractRefusedError as refusal:
                reason = str(refusal)
            except NodeError as trouble:
                # That it reverted is known; only the reason is not.
                reason = f"Why is not known: {trouble.what}"
            raise ContractRefusedError(
                f"Transaction 0x{signed.tx_hash} was included in block {block} and reverted; only its fee was spent",
                reason,
                fee=gas_used * price + beside,
                data_fee=beside + within,
            )
        logs = raw.get("logs")
        return Receipt(
            signed.tx_hash,
            block,
            gas_used,
            gas_used * price + beside,
            beside + within,
            tuple(self._log(item) for item in logs) if isinstance(logs, list) else (),
        )

    # --------------------------------------------------------------- helpers

    def _refusal(self, error: RpcError, money: Callable[[int], str]) -> LlamafundError:
        """A node's error to a call, as a revert when it is one."""
        data = error.data
        if isinstance(data, Mapping):
            data = data.get("data", data.get("result"))
        revert = b""
        if isinstance(data, str):
            digits = data.removeprefix("Reverted ").removeprefix("0x")
            try:
                revert = bytes.fromhex(digits)
            except ValueError:
                revert = b""
        text = error.message.lower()
        if not revert and error.code != 3 and "revert" not in text:
            return error
        return self._explain(revert, Reading(self.timestamp(), money, self.chain_id), message=error.message)

    def _no_finality(self, which: str) -> NotFinalError:
        return NotFinalError(
            f"The node at {self.shown_url} knows no {which} block",
            "The chain is too young, or does not say how settled its blocks are",
            "Wait. Or pass --finality latest, if you accept that what you read may be undone",
        )

    def _nonsense(self, what: str) -> NodeUnreachableError:
        return NodeUnreachableError(
            f"The node at {self.shown_url} answered {what} with something that makes no sense",
            "Such an answer is not used",
            "Name another node with --rpc",
        )

    def _quantity(self, value: Any, what: str) -> int:
        try:
            if isinstance(value, str) and value.startswith("0x") and len(value) <= 66:
                return int(value, 16)
        except ValueError:
            pass
        raise self._nonsense(what)

    def _bytes(self, value: Any, what: str) -> bytes:
        if isinstance(value, str) and value.startswith("0x"):
            try:
                return bytes.fromhex(value[2:])
            except ValueError:
                pass
        raise self._nonsense(what)

    def _log(self, raw: Any) -> Log:
        if not isinstance(raw, Mapping) or not isinstance(raw.get("topics"), list):
            raise self._nonsense("a log")
        return Log(
            str(raw.get("address")),
            tuple(self._bytes(topic, "a log's topic") for topic in raw["topics"]),
            self._bytes(raw.get("data"), "a log's data"),
            self._quantity(raw.get("blockNumber"), "a log's block"),
            self._quantity(raw.get("logIndex"), "a log's index"),
            self._bytes(raw.get("transactionHash"), "a log's transaction").hex(),
        )


def require_final(final: Any, latest: Any, what: str, finality: Finality) -> None:
    """Refuse to rely on a fact that is on chain but not yet settled enough.

    Args:
        final: The fact at the chosen finality.
        latest: The fact in the latest block.
        what: The fact as text, for the message.
        finality: The chosen finality.

    Raises:
        NotFinalError: The two differ.
    """
    if final != latest:
        raise NotFinalError(
            f"{what} is on chain, but not {finality} yet",
            "A reorganisation could still undo it",
            "Wait a few blocks and repeat the command",
        )


def check_code(code: bytes, what: str, address: str) -> None:
    """Refuse an address without code.

    Raises:
        VerificationError: There is none.
    """
    if not code:
        raise VerificationError(
            f"There is no {what} at {address}",
            "The address has no code on this chain",
            "Check the address, and with --rpc the chain",
        )


def _knows_no_hashes(answer: Any) -> bool:
    """Whether an error says that a block cannot be given by its hash (EIP-1898)."""
    if not isinstance(answer, RpcError) or answer.code == 3 or "revert" in answer.message.lower():
        return False
    return answer.code in (-32602, -32600, -32700) or any(
        words in answer.message.lower()
        for words in ("invalid", "unmarshal", "blockhash", "unexpected", "parse", "type")
    )


def _price(fees: Fees) -> int:
    """Wei for each unit of gas with the base fee as it is, of fees with room for one that doubles."""
    return fees.highest if fees.tip is None else (fees.highest + fees.tip) // 2


def _knows_no_pending(answer: Any) -> bool:
    return isinstance(answer, UnsupportedTagError) and answer.tag == "pending"


def _wanted(log: Log, address: str, topics: Sequence[str | Sequence[str] | None], first: int, last: int) -> bool:
    """Whether a log is one of those requested. A node may answer anything."""
    if log.address.lower() != address.lower() or not first <= log.block <= last or len(log.topics) < len(topics):
        return False
    for topic, accepted in zip(log.topics, topics, strict=False):
        choices = [accepted] if isinstance(accepted, str) else accepted
        if choices is not None and f"0x{topic.hex()}" not in [choice.lower() for choice in choices]:
            return False
    return True
