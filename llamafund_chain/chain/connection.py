"""A connection to one chain: reading at a chosen finality. Everything that a node says may be malformed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from llamafund_chain.chain.creations import Creation, KnownCreations
from llamafund_chain.chain.headers import read_header
from llamafund_chain.chain.networks import chain_title
from llamafund_chain.chain.node import Answer, Question, require_http
from llamafund_chain.chain.node_errors import LaggingError, RpcError, UnsupportedTagError
from llamafund_chain.chain.nodes import Nodes
from llamafund_chain.chain.ranges import KnownRanges, search
from llamafund_chain.chain.reverted import Explain, Reading, explain, revert_data, smallest_units
from llamafund_chain.chain.transactions import (
    Call,
    Fees,
    Log,
    Outcome,
    Receipt,
    Transaction,
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

if TYPE_CHECKING:
    from web3 import Web3

    from llamafund_chain.deployment.addresses import Deployment

Finality = Literal["finalized", "safe", "latest"]
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

Topics = Sequence[str | Sequence[str] | None]
"""Wanted topics of logs by position: one topic, several alternatives, or `None` for any."""

BlockId = int | Literal["finalized", "safe", "latest", "pending", "earliest"]
Read = tuple[str, tuple[Any, ...]]
"""A method of a node and its parameters, without the block, which comes last."""

At = BlockId | Block
"""Which state to read. A `Block` is read by its hash: then nothing of another one is mixed in."""


@dataclass(frozen=True)
class LogPart:
    """The logs in a part of a range.

    Attributes:
        first: Its first block.
        last: Its last block.
        end: The same block; `None` if the node does not show it.
        logs: In order.
    """

    first: int
    last: int
    end: Block | None
    logs: Sequence[Log]


class KnownFacts(Protocol):
    """What is kept of a chain from run to run, which a node need not be asked for again."""

    def logs(
        self, connection: Connection, addresses: Sequence[str], topics: Topics, first: int, end: Block
    ) -> Iterator[Log]:
        """All logs of contracts up to a block that the node has shown; see `Connection.logs`."""

    def time_of(self, number: int) -> int | None:
        """Unix seconds of a block whose logs were given out; `None` if it is not known."""

    def doubt(self, addresses: Sequence[str]) -> None:
        """Ask the node for all logs of contracts again the next time, because something does not fit."""

    def confirm(self, connection: Connection, addresses: Sequence[str], first: int, end: Block) -> None:
        """Ask the node for all logs of contracts again now, and refuse if it says something else than is kept.

        Raises:
            NodeError: It does, or does not answer.
        """

    def read_past(self, connection: Connection, parts: Sequence[tuple[Sequence[Read], Block]]) -> list[list[Any]]:
        """Requests about states after blocks of the past; see `Connection.read_past`."""

    def transactions(self, connection: Connection, hashes: Sequence[str]) -> list[Transaction | None]:
        """Transactions that blocks include; see `Connection.transactions`."""

    def outcomes(self, connection: Connection, hashes: Sequence[str]) -> list[Outcome | None]:
        """What came of transactions; see `Connection.outcomes`."""

    def first_payments(
        self, connection: Connection, accounts: Collection[str], last: int
    ) -> dict[str, tuple[int, Transaction | None]]:
        """What is known of accounts' first payments.

        Args:
            connection: The chain.
            accounts: Checksummed addresses.
            last: Number of the last block to look at.

        Returns:
            By account the number of the block in which it first held a coin or sent a transaction, and the transaction
            there that paid it; `None` in its place if no transaction is known to have done so.
        """

    def keep_first_payments(
        self, connection: Connection, blocks: Mapping[str, int], payments: Mapping[str, Transaction], last: int
    ) -> None:
        """Keep what was found out, after another look; see `first_payments`.

        Args:
            connection: The chain.
            blocks: Number of the block of its first use, by account.
            payments: The transaction there that paid it, by account, where one did.
            last: Number of the last block that was looked at.
        """


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


def connect(rpc_url: str, *, expected: tuple[int, str] | None = None, explain: Explain = explain) -> Connection:
    """Open a connection and ask which chain it is.

    Args:
        rpc_url: `http://…` or `https://…`, or several separated by spaces: the first that answers serves, and the
            others take over.
        expected: EIP-155 number of the chain that it must be, and the name that the user gave it; `None` for any.
        explain: Explains reverts, for callers that know the contracts.

    Raises:
        UsageError: The address has another form, or the node is of another chain.
        NodeUnreachableError: Nothing answers there, or it is not a node.
    """
    for url in rpc_url.split() or [rpc_url]:
        require_http(url, "node", "http://127.0.0.1:8545")
    connection = Connection(rpc_url, explain)
    if expected is not None and connection.chain_id != expected[0]:
        raise UsageError(
            f"The node at {connection.shown_url} is of {chain_title(connection.chain_id)}",
            f"The network {expected[1]} is chain {expected[0]}",
            "Name a node of that network with --rpc, or another network with --network",
        )
    return connection


class Connection:
    """One node, or several, and through them one chain. Made by `connect`.

    Attributes:
        chain_id: EIP-155 number.
        rpc_url: As given. It may contain a secret; see `shown_url`.
        since: A block before which nothing of ours was on the chain, as far as the caller knows.
        facts: What is known from earlier runs; `None` to ask the node for everything.
    """

    def __init__(self, rpc_url: str, explain: Explain = explain) -> None:
        self.rpc_url = rpc_url
        self.since = 0
        self.facts: KnownFacts | None = None
        self._genesis: str | None = None
        self._explain = explain
        self._nodes = Nodes(rpc_url.split())
        self._w3: Web3 | None = None
        self._deployment: Deployment | None = None
        self._by_hash = True
        self._next: Literal["pending", "latest"] = "pending"
        self._ranges = KnownRanges()
        self._creations = KnownCreations()
        chain_id = self.request("eth_chainId")
        self.chain_id = self.quantity(chain_id, "eth_chainId")
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
    def other_urls(self) -> tuple[str, ...]:
        """The addresses of the nodes that do not answer now, as given. They may contain secrets."""
        return self._nodes.others

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

    def request_once(self, requests: Sequence[tuple[str, tuple[Any, ...]]]) -> list[Any]:
        """The same for requests that may change something: each is made once, of one node."""
        return self._each(requests, self._nodes.ask_once)

    def tell_others(self, requests: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
        """Make requests of all nodes but the one that answers, whatever those say."""
        self._nodes.tell_others([Question(method, params) for method, params in requests])

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
        chain_id = self.quantity(answer, "eth_chainId")
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
            self.quantity(raw.get("number"), "a block's number"),
            self._bytes(raw.get("hash"), "a block's hash").hex(),
            self.quantity(raw.get("timestamp"), "a block's time"),
        )

    def timestamp(self, which: BlockId = "latest") -> int:
        """Unix seconds of a block: the chain's clock."""
        known = self.facts.time_of(which) if self.facts is not None and isinstance(which, int) else None
        return self.block(which).timestamp if known is None else known

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

    def read_past(self, parts: Sequence[tuple[Sequence[Read], Block]]) -> list[list[Any]]:
        """Requests about states after blocks of the past, whose answers stay true; see `read_states`."""
        if self.facts is not None:
            return self.facts.read_past(self, parts)
        return self.read_states(parts) if parts else []

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
        return self.quantity(answer, "eth_getBalance")

    def code(self, address: str, block: At = "latest") -> bytes:
        """The code at an address; empty if there is none."""
        return self._bytes(self._read_one("eth_getCode", address, at=block), "eth_getCode")

    def balance(self, address: str, block: At = "latest") -> int:
        """Wei that an address holds."""
        return self.quantity(self._read_one("eth_getBalance", address, at=block), "eth_getBalance")

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
        address: str | Collection[str],
        *,
        topics: Topics = (),
        first: int = 0,
        last: At = "latest",
        searched: Callable[[Block], None] | None = None,
    ) -> Iterator[Log]:
        """All logs of one contract, or of several, in order, with the logs of only one response in memory.

        Anyone can make a contract write logs, so a large number is no reason to give up. If a node refuses large
        ranges, or a response is too long or takes too long, this requests smaller ranges. A node that does not have
        the last block of a range yet is waited for: its silence about that block would mean nothing.

        Args:
            address: The contract; or at least one.
            topics: Requested topics by position: one topic, several alternatives, or `None` for any.
            first: First block.
            last: Last block.
            searched: Called with the last block of each part of the range that is done, except the last part.

        Raises:
            NodeUnreachableError: A response does not make sense, or there is none even for a single block.
            RpcError: The node refuses even single blocks.
        """
        end = last if isinstance(last, Block) else self.block(last)
        contracts = [address] if isinstance(address, str) else list(address)
        if self.facts is not None:
            yield from self.facts.logs(self, contracts, topics, first, end)
            return
        for part in self.log_parts(contracts, topics=topics, first=first, end=end):
            if searched is not None and part.last != end.number and part.end is not None:
                searched(part.end)
            yield from part.logs

    def log_parts(self, addresses: Sequence[str], *, topics: Topics = (), first: int, end: Block) -> Iterator[LogPart]:
        """The parts of a range that the node searches at once, in order, always asked of the node; see `logs`.

        Args:
            addresses: The contracts; at least one.
            topics: See `logs`.
            first: First block.
            end: Last block.
        """
        contracts = frozenset(one.lower() for one in addresses)

        def ask(start: int, stop: int) -> LogPart:
            wanted = {"address": addresses[0] if len(addresses) == 1 else list(addresses), "topics": list(topics)}
            filter_ = {**wanted, "fromBlock": hex(start), "toBlock": hex(stop)}
            # A node without that block refuses the second request, where it would answer the first one with nothing.
            witness: tuple[str, tuple[Any, ...]] = ("eth_getBlockByNumber", (hex(stop), False))
            if stop == end.number:
                witness = ("eth_getLogs", ({**wanted, "blockHash": f"0x{end.hash}"},))
            raw, seen = self.request_many([("eth_getLogs", (filter_,)), witness])
            if isinstance(raw, RpcError):
                raise raw
            if not isinstance(raw, list):
                raise self._nonsense("eth_getLogs")
            found = [self.log_of(item) for item in raw if not isinstance(item, Mapping) or not item.get("removed")]
            if not all(_wanted(log, contracts, topics, start, stop) for log in found):
                raise self._nonsense("eth_getLogs")
            known = end if stop == end.number else self._block(seen) if isinstance(seen, Mapping) else None
            return LogPart(start, stop, known, sorted(found, key=lambda log: (log.block, log.index)))

        node = self.shown_url
        yield from search(
            ask, first, end.number, most=self._ranges.of(node), found=lambda blocks: self._ranges.remember(node, blocks)
        )

    def known_creation(self, address: str, head: Block) -> Creation | None:
        """What earlier runs found out about the creation of a contract, if it is of this chain as it is now.

        Args:
            address: The contract.
            head: The latest block.
        """
        known = self._creations.of(self.chain_id, address)
        if known is None or known.block > head.number or self.block(known.block).hash != known.hash:
            return None
        return known

    def remember_creation(self, address: str, block: Block, *, found: bool) -> None:
        """Remember for later runs which block created a contract, or up to which block none did.

        Args:
            address: The contract.
            block: The block.
            found: Which of the two.
        """
        self._creations.remember(self.chain_id, address, Creation(block.number, block.hash, found))

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
            `False` only if there is no such log in the block, or the node made up a whole header.
        """
        header = read_header(self.request("eth_getBlockByNumber", hex(block), False), self.shown_url)
        # A header that does not have its own hash says nothing.
        items = [bytes.fromhex(item[2:]) for item in (address, *topics)]
        return header.check == "different" or header.may_hold(*items)

    def transactions(self, hashes: Sequence[str]) -> list[Transaction | None]:
        """Transactions that blocks include, as many in one request as the node takes.

        Args:
            hashes: 64 hexadecimal digits each.

        Returns:
            In the same order; `None` for one that the node does not know, or that is not in a block yet.

        Raises:
            NodeUnreachableError: There is no answer, or it makes no sense.
        """
        return self.ask_transactions(hashes) if self.facts is None else self.facts.transactions(self, hashes)

    def ask_transactions(self, hashes: Sequence[str]) -> list[Transaction | None]:
        """The same, always asked of the node."""
        answers = self.request_many([("eth_getTransactionByHash", (f"0x{one}",)) for one in hashes]) if hashes else []
        return [self.transaction_of(answer, one) for answer, one in zip(answers, hashes, strict=True)]

    def transaction_of(self, raw: Any, tx_hash: str | None = None) -> Transaction | None:
        """A transaction in a node's answer; `None` if the node refused, or it is not in a block.

        Args:
            raw: The answer.
            tx_hash: The wanted one, 64 hexadecimal digits; `None` for any.

        Raises:
            NodeUnreachableError: It is none, or another one.
        """
        if isinstance(raw, RpcError) or raw is None or (isinstance(raw, Mapping) and raw.get("blockHash") is None):
            return None
        what = "a transaction"
        if not isinstance(raw, Mapping):
            raise self._nonsense(what)
        found = Transaction(
            self._sized(raw.get("hash"), 32, what),
            self._sized(raw.get("blockHash"), 32, what),
            f"0x{self._sized(raw.get('from'), 20, what)}",
            f"0x{self._sized(raw['to'], 20, what)}" if raw.get("to") else "",
            self.quantity(raw.get("value"), "a transaction's value"),
            self._bytes(raw.get("input", raw.get("data")), "a transaction's input"),
        )
        if tx_hash not in (None, found.tx_hash):
            raise self._nonsense(what)
        return found

    def outcomes(self, hashes: Sequence[str]) -> list[Outcome | None]:
        """What came of transactions, as many in one request as the node takes.

        Args:
            hashes: 64 hexadecimal digits each.

        Returns:
            In the same order; `None` for one that the node does not know, or that is not in a block yet.

        Raises:
            NodeUnreachableError: There is no answer, or it makes no sense.
        """
        return self.ask_outcomes(hashes) if self.facts is None else self.facts.outcomes(self, hashes)

    def ask_outcomes(self, hashes: Sequence[str]) -> list[Outcome | None]:
        """The same, always asked of the node."""
        answers = self.request_many([("eth_getTransactionReceipt", (f"0x{one}",)) for one in hashes]) if hashes else []
        return [self.outcome_of(answer, one) for answer, one in zip(answers, hashes, strict=True)]

    def outcome_of(self, raw: Any, tx_hash: str) -> Outcome | None:
        """What came of a transaction, from the answer to `eth_getTransactionReceipt`; `None` if it does not say.

        Raises:
            NodeUnreachableError: It is no receipt, or another one's.
        """
        if isinstance(raw, RpcError) or raw is None:
            return None
        what = "eth_getTransactionReceipt"
        if not isinstance(raw, Mapping) or self._sized(raw.get("transactionHash"), 32, what) != tx_hash:
            raise self._nonsense(what)
        if raw.get("blockHash") is None or raw.get("status") is None:
            return None
        logs = raw.get("logs")
        return Outcome(
            tx_hash,
            self._sized(raw["blockHash"], 32, what),
            self.quantity(raw["status"], "a receipt's status") == 1,
            tuple(self.log_of(item) for item in logs) if isinstance(logs, list) else (),
        )

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

    # ---------------------------------------------------- accounts and fees

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
        first, mined, pending, held = (self.quantity(number, "an account") for number in numbers)
        base = self._base_fee_of(latest)
        return Standing(first, mined, pending, held, base or 0, self._advised(base, tip, gas_price))

    def nonce(self, address: str, block: At = "latest") -> int:
        """Number of transactions that an account has sent; at `pending`, including pending ones."""
        answer = self._read_one("eth_getTransactionCount", address, at=block)
        return self.quantity(answer, "eth_getTransactionCount")

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
            return self.quantity(self._read_one("eth_estimateGas", fields, at=block), "eth_estimateGas")
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
        return self.quantity(gas, "eth_estimateGas"), _price(self._advised(base, tip, gas_price)), base or 0

    def base_fee(self) -> int:
        """Wei per unit of gas that the latest block burned (EIP-1559); 0 on chains without a base fee."""
        return self._base_fee() or 0

    def _base_fee(self) -> int | None:
        return self._base_fee_of(self.request("eth_getBlockByNumber", "latest", False))

    def _base_fee_of(self, block: Any) -> int | None:
        base = block.get("baseFeePerGas") if isinstance(block, Mapping) else None
        return None if base is None else self.quantity(base, "the base fee")

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
            return Fees(self.quantity(gas_price, "eth_gasPrice"), None)
        wei = _GWEI if isinstance(tip, RpcError) else self.quantity(tip, "eth_maxPriorityFeePerGas")
        return Fees(2 * base + wei, wei)

    def is_contract(self, address: str) -> bool:
        """Whether an account is a contract, for example a Safe: whoever makes it act pays the fee."""
        code = self.code(address)
        return bool(code) and not code.startswith(_DELEGATION)

    def genesis(self) -> str:
        """Hash of the chain's first block, 64 hexadecimal digits; empty if the node does not say."""
        if self._genesis is None:
            try:
                answer = self.request("eth_getBlockByNumber", "0x0", False)
                self._genesis = self._block(answer).hash if isinstance(answer, Mapping) else ""
            except NodeError:
                return ""
        return self._genesis

    def receipt_from(self, raw: Any, tx_hash: str, highest: int) -> Receipt | None:
        """The receipt in a node's answer; `None` if there is none yet.

        Args:
            raw: The answer to `eth_getTransactionReceipt`.
            tx_hash: Of which transaction, 64 hexadecimal digits.
            highest: Wei per unit of gas that the transaction offers, for nodes that do not say what it paid.

        Raises:
            NodeUnreachableError: It does not say what a receipt must.
        """
        if not isinstance(raw, Mapping) or raw.get("blockNumber") is None:
            return None
        if str(raw.get("transactionHash", f"0x{tx_hash}")).lower() != f"0x{tx_hash}":
            raise self._nonsense("eth_getTransactionReceipt")
        gas_used = self.quantity(raw.get("gasUsed"), "gas used")
        price = self.quantity(raw.get("effectiveGasPrice") or hex(highest), "the gas price")
        beside = self.quantity(raw.get("l1Fee") or "0x0", "the data fee")
        within = self.quantity(raw.get("gasUsedForL1") or "0x0", "the gas of the data") * price
        logs = raw.get("logs")
        return Receipt(
            tx_hash,
            self.quantity(raw.get("blockNumber"), "a receipt's block"),
            gas_used,
            gas_used * price + beside,
            beside + within,
            tuple(self.log_of(item) for item in logs) if isinstance(logs, list) else (),
            block_hash=self._bytes(raw.get("blockHash") or "0x", "a receipt's block").hex(),
            succeeded=self.quantity(raw.get("status"), "a receipt's status") == 1,
        )

    # --------------------------------------------------------------- helpers

    def _refusal(self, error: RpcError, money: Callable[[int], str]) -> LlamafundError:
        """A node's error to a call, as a revert when it is one."""
        revert = revert_data(error.code, error.message, error.data)
        if revert is None:
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

    def quantity(self, value: Any, what: str) -> int:
        """A number in a node's answer.

        Args:
            value: The answer.
            what: What it is, for messages.

        Raises:
            NodeUnreachableError: It is no number.
        """
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

    def _sized(self, value: Any, size: int, what: str) -> str:
        """Bytes of some length in a node's answer, as hexadecimal digits."""
        found = self._bytes(value, what)
        if len(found) != size:
            raise self._nonsense(what)
        return found.hex()

    def log_of(self, raw: Any) -> Log:
        """A log in a node's answer.

        Raises:
            NodeUnreachableError: It is none.
        """
        if not isinstance(raw, Mapping) or not isinstance(raw.get("topics"), list):
            raise self._nonsense("a log")
        return Log(
            f"0x{self._bytes(raw.get('address'), 'the address of a log').hex()}",
            tuple(self._bytes(topic, "a log's topic") for topic in raw["topics"]),
            self._bytes(raw.get("data"), "a log's data"),
            self.quantity(raw.get("blockNumber"), "a log's block"),
            self.quantity(raw.get("logIndex"), "a log's index"),
            self._bytes(raw.get("transactionHash"), "a log's transaction").hex(),
            self._bytes(raw.get("blockHash") or "0x", "a log's block").hex(),
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


def _wanted(log: Log, contracts: Collection[str], topics: Topics, first: int, last: int) -> bool:
    """Whether a log is one of those requested, from contracts in lower case. A node may answer anything."""
    if log.address.lower() not in contracts or not first <= log.block <= last or len(log.topics) < len(topics):
        return False
    for topic, accepted in zip(log.topics, topics, strict=False):
        choices = [accepted] if isinstance(accepted, str) else accepted
        if choices is not None and f"0x{topic.hex()}" not in [choice.lower() for choice in choices]:
            return False
    return True
