"""The examination of the node: what an audit was told, compared with itself, with proofs, and with other nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from llamafund_chain.audit.ledger import Ledger
from llamafund_chain.audit.node import books
from llamafund_chain.audit.node.logs import LogBook, ProvenLogs, headers_hashed, logs_fit_headers, prove_logs
from llamafund_chain.audit.node.settings import Demands
from llamafund_chain.audit.node.state import ProofsRefusedError, StateProver, StoredBooks
from llamafund_chain.audit.node.witnesses import Said, other_says_the_same
from llamafund_chain.audit.proof_pack import (
    HashSource,
    PackedHeader,
    PackedLog,
    PackedReceipts,
    ProofPack,
)
from llamafund_chain.campaign.state import CampaignState
from llamafund_chain.chain import abi
from llamafund_chain.chain.header_book import HeaderBook
from llamafund_chain.chain.headers import Header
from llamafund_chain.chain.known_accounts import TEST_CHAINS
from llamafund_chain.chain.networks import NETWORKS, chain_title
from llamafund_chain.chain.state_proofs import ProofError
from llamafund_chain.chain.transactions import Log
from llamafund_chain.checks.check import CheckResult, Finding, check_name, contradicts
from llamafund_chain.errors import NotFinalError

if TYPE_CHECKING:
    from llamafund_chain.audit.findings import Findings
    from llamafund_chain.audit.timeline import Story
    from llamafund_chain.campaign.client import CampaignClient
    from llamafund_chain.campaign.events import Event
    from llamafund_chain.chain.connection import Block, Finality

GROUP = "node"
"""The group of these results."""


class Examination:
    """What an audit was told, and what that is worth.

    Args:
        client: The campaign, through the node.
        block: The block at which everything is read.
        finality: How settled it is.
        demands: What is to be proven.
        findings: Where results go.
        progress: Called with a short sentence before anything slow.

    Attributes:
        headers: The headers that were read; the audit reads all its headers here.
        logs: The logs that were read; the audit enters all its logs here.
    """

    def __init__(
        self,
        client: CampaignClient,
        block: Block,
        finality: Finality,
        demands: Demands,
        findings: Findings,
        progress: Callable[[str], None],
    ) -> None:
        self._client = client
        self._block = block
        self._finality = finality
        self._demands = demands
        self._findings = findings
        self._progress = progress
        self.headers = HeaderBook(client.connection)
        self.logs = LogBook(keep=demands.state or demands.logs or bool(demands.others))
        self._kinds: frozenset[str] = frozenset()
        self._created: int | None = None
        self._first: int | None = None
        self._prover: StateProver | None = None
        self._code = b""
        self._proven_logs: ProvenLogs | None = None
        self._state: CampaignState | None = None
        self._pledges: Mapping[str, int] = {}
        self._agreed = False
        self._ended = False

    # ----------------------------------------------------------- on the way

    def expect(self, kinds: tuple[type[Event], ...], created: int | None) -> Callable[[Log], None]:
        """Get ready for the campaign's logs; enter each of them by calling what is returned.

        Args:
            kinds: The kinds of events that are read.
            created: Number of the block that opened the campaign; `None` if it is not known.
        """
        interface = abi.contract("Campaign")
        self._kinds = frozenset(interface.topic(kind.__name__) for kind in kinds)
        self._created, self._first = created, created or 0
        return self.logs.enter

    def begin(self) -> None:
        """Look at the block's header and, if it is demanded, at the code, before anything relies on them."""
        header = self.headers.at(self._block.number)
        self._same_block(header.hash, header.timestamp)
        if self._demands.state or self._demands.logs:
            self._look_at_code(header)

    def doubt(self) -> None:
        """Have the code proven by which the address is no campaign, if that was not demanded before."""
        if not (self._demands.state or self._demands.logs):
            self._look_at_code(self.headers.at(self._block.number))

    def _look_at_code(self, header: Header) -> None:
        self._progress("Proving the contract's code")
        if header.check == "recomputed":
            self._prover = StateProver(self._client, header, self._progress)
            self._attempt("code-proven", self._prove_code)

    def _prove_code(self, prover: StateProver) -> Finding:
        finding, self._code = books.code_proven(prover)
        return finding

    def compare(self, story: Story, state: CampaignState, pledges: Mapping[str, int], amount: books.Amount) -> None:
        """Compare the books that the node's answers give with those that it can prove.

        Args:
            story: The events, added up.
            state: What the contract said.
            pledges: What the contract said that each backer has.
            amount: Writes units as whole coins.
        """
        self._state, self._pledges = state, pledges
        self._same_block(state.block_hash, state.timestamp)
        if self._prover is not None:
            self.headers.fetch(self.logs.blocks)
            stored: list[StoredBooks] = []
            self._attempt("proofs-given", lambda prover: self._books(prover, story.ledger, stored))
            for one in stored:
                self._compare_books(one, story.ledger, state, amount)
        if self._demands.logs and self._first is not None:
            self._prove_logs(self._first)

    def _books(self, prover: StateProver, ledger: Ledger, into: list[StoredBooks]) -> Finding:
        into.append(prover.books(ledger.backers))
        detail = f"{len(prover.words)} stored words were proven with {prover.requests} requests"
        return Finding("pass", detail, {"words": len(prover.words), "requests": prover.requests})

    def _compare_books(self, stored: StoredBooks, ledger: Ledger, state: CampaignState, amount: books.Amount) -> None:
        terms = self._client.terms
        balance = self._client.connection.balance(self._client.address, self._block) if terms.is_native else 0
        for check, finding in (
            (books.state_proven, books.state_proven(stored, state, terms)),
            (books.balance_proven, books.balance_proven(stored, balance, terms, amount)),
            (books.pledges_proven, books.pledges_proven(stored, ledger, amount)),
            (books.claims_proven, books.claims_proven(stored, ledger, amount)),
            (books.votes_proven, books.votes_proven(stored, ledger, amount)),
            (books.bonds_proven, books.bonds_proven(stored, ledger)),
            (books.counts_proven, books.counts_proven(stored, self.logs)),
        ):
            self._add(check_name(check), finding)

    def _prove_logs(self, first: int) -> None:
        self._proven_logs = prove_logs(
            self._client.connection,
            self.headers.at(self._block.number),
            first,
            campaign=self._client.address,
            factory=None if self._created is None else self._client.verify_code().factory,
            kinds=[bytes.fromhex(kind[2:]) for kind in self._kinds],
            logs=self.logs.logs,
            progress=self._progress,
        )
        self._add("logs-proven", self._proven_logs.finding)

    # --------------------------------------------------------------- the end

    def end(self) -> None:
        """Ask the other nodes, and look at the headers and at the block once more. Later calls do nothing.

        Raises:
            NotFinalError: The block was undone meanwhile, which can happen to one that is not final.
        """
        if self._ended:
            return
        self._ended = True
        for url in self._demands.others:
            self._ask_other(url)
        strict = self._demands.state or self._demands.logs
        self._add("headers-hashed", headers_hashed(self.headers, strict=strict))
        if self._first is not None:
            self._add("logs-fit-headers", logs_fit_headers(self.logs, self.headers.all))
        now = self._client.connection.block(self._block.number)
        if now.hash != self._block.hash:
            detail = f"Block {self._block.number} was 0x{self._block.hash} at first and is 0x{now.hash} at the end"
            if self._finality == "latest":
                raise NotFinalError(detail, "It was undone meanwhile", "Nothing of it was used. Repeat the command")
            self._add("block-still-there", contradicts(f"{detail}, although it was {self._finality}"))

    def _ask_other(self, url: str) -> None:
        client = self._client
        finding = other_says_the_same(
            url,
            Said(
                client=client,
                head=self.headers.at(self._block.number),
                headers=self.headers.all,
                code=self._code or client.connection.code(client.address, self._block.number),
                first=self._first,
                topics=self._kinds,
                logs=self.logs.logs,
                state=self._state,
                pledges=self._pledges,
                words=self._prover.words if self._prover is not None else {},
            ),
            self._progress,
        )
        self._agreed = self._agreed or finding.status == "pass"
        self._add("nodes-agree", finding)

    @property
    def hash_from(self) -> HashSource:
        """Where the block's hash comes from."""
        return "given" if self._demands.block_hash is not None else "nodes" if self._agreed else "node"

    def caveat(self) -> str:
        """What the verdict says about the node, as sentences after the headline's; empty if there is nothing to say.

        Anybody can run a private chain with the number of a public one.
        """
        said, chain = "", self._client.connection.chain_id
        results = {check.name: check.status for check in self._findings.checks if check.group == GROUP}
        if self._prover is not None and results.get("proofs-given") == "pass":
            what = "Books and events are" if results.get("logs-proven") == "pass" else "The books are"
            said += f". {what} proven by the hash of block {self._block.number}"
        if self.hash_from == "node" and chain in NETWORKS and chain not in TEST_CHAINS:
            named = chain_title(chain)
            said += f". That this is {named} and no private chain of that number is the word of this one node"
        return said

    def pack(self) -> ProofPack | None:
        """Everything that proves the books; `None` if nothing was to be proven."""
        if not (self._demands.state or self._demands.logs):
            return None
        prover, proven = self._prover, self._proven_logs or ProvenLogs(Finding("unchecked", ""))
        headers = {header.number: header for header in (*self.headers.all, *proven.headers)}
        head = headers.pop(self._block.number)
        return ProofPack(
            hash_from=self.hash_from,
            head=_packed_header(head),
            headers=tuple(_packed_header(headers[number]) for number in sorted(headers)),
            linked_from=proven.first,
            code=f"0x{self._code.hex()}",
            accounts=tuple(prover.packed_accounts()) if prover else (),
            words=tuple(prover.packed_words()) if prover else (),
            nodes=prover.nodes.texts() if prover else (),
            logs=tuple(map(_packed_log, self.logs.logs)),
            receipts=tuple(
                PackedReceipts(block=one.block, receipts=tuple(f"0x{data.hex()}" for data in one.encoded))
                for one in proven.receipts
                if one.encoded
            ),
        )

    # --------------------------------------------------------------- helpers

    def _attempt(self, name: str, prove: Callable[[StateProver], Finding]) -> None:
        if self._prover is None:
            return
        try:
            finding = prove(self._prover)
        except ProofError as error:
            finding = contradicts(str(error))
        except ProofsRefusedError as error:
            finding = Finding("unchecked", f"The node gives no proofs of this block's state. {error}")
            self._prover = None
        self._add(name, finding)

    def _same_block(self, block_hash: str, timestamp: int) -> None:
        if (block_hash, timestamp) != (self._block.hash, self._block.timestamp):
            self._add("block-told-once", contradicts(f"It gave two answers about block {self._block.number}"))

    def _add(self, name: str, finding: Finding) -> None:
        self._findings.add(GROUP, [CheckResult.of(name, finding)])


def _packed_header(header: Header) -> PackedHeader:
    return PackedHeader(hash=f"0x{header.hash}", fields=dict(header.fields), recomputed=header.check == "recomputed")


def _packed_log(log: Log) -> PackedLog:
    return PackedLog(
        block=log.block,
        block_hash=f"0x{log.block_hash}",
        index=log.index,
        tx_hash=f"0x{log.tx_hash}",
        topics=tuple(f"0x{topic.hex()}" for topic in log.topics),
        data=f"0x{log.data.hex()}",
    )
