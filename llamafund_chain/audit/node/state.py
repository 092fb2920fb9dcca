"""The books, proven: what the campaign stores, word by word, against the state root of one block (EIP-1186)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from llamafund_chain.audit.proof_pack import PackedAccount, PackedWord
from llamafund_chain.campaign import storage
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.terms import NO_HASH
from llamafund_chain.chain.abi import checksum
from llamafund_chain.chain.connection import Block
from llamafund_chain.chain.headers import Header
from llamafund_chain.chain.node_errors import PrunedError, RpcError
from llamafund_chain.chain.state_proofs import Nodes, ProofError, ProvenAccount, prove_account, prove_word, take_in

SLOTS_AT_ONCE = 500
"""Words that one proof is asked for; about 3 MB of JSON. geth answers at most 1 024."""

MAX_CHALLENGES = 100_000
"""Open challenges whose bonds are proven; keeping so many open takes more money than there is."""


@dataclass(frozen=True)
class StoredBooks:
    """What the campaign stores, as the state root has it. Amounts in the asset's smallest unit, times in unix seconds.

    Attributes:
        ledger: The packed record.
        latest_evidence: 64 hexadecimal digits; zeros before the first attestation.
        latest_content: 64 hexadecimal digits.
        training_seed: 64 hexadecimal digits; empty before activation.
        stop_support: Pledges that vote to stop.
        votes_from: When voting opens; 0 before activation.
        claimed: What each payee has claimed.
        answered: Number of challenges that were answered.
        challenged: Number of challenges that were ever made.
        bonds: What challengers of open challenges have there, wei, by chunk.
        backers: Each backer's pledge, and whether it votes to stop.
        balance: Wei that the campaign holds.
    """

    ledger: storage.StoredLedger
    latest_evidence: str
    latest_content: str
    training_seed: str
    stop_support: int
    votes_from: int
    claimed: tuple[int, ...]
    answered: int
    challenged: int
    bonds: Mapping[int, tuple[str, int]]
    backers: Mapping[str, tuple[int, bool]]
    balance: int


class ProofsRefusedError(Exception):
    """The node gives no proofs, or none of so old a state; its words are the message."""


@dataclass
class StateProver:
    """Asks a node for proofs at one block, and checks them.

    Attributes:
        client: The campaign, through the node.
        header: The block's header, whose hash was recomputed.
        nodes: All nodes of all proofs.
        accounts: Those that were proven, by address.
        words: The campaign's stored words that were proven, by slot, with what each is.
        requests: Number of proofs that were asked for.
    """

    client: CampaignClient
    header: Header
    progress: Callable[[str], None]
    nodes: Nodes = field(default_factory=Nodes)
    accounts: dict[str, ProvenAccount] = field(default_factory=dict)
    words: dict[int, tuple[str, int]] = field(default_factory=dict)
    requests: int = 0
    _at_once: int = SLOTS_AT_ONCE

    @property
    def root(self) -> bytes:
        """The state root that everything is proven against.

        Raises:
            ProofsRefusedError: The header names none.
        """
        if self.header.state_root is None:
            raise ProofsRefusedError("The block's header names no state root")
        return self.header.state_root

    def account(self, address: str) -> ProvenAccount:
        """An account.

        Raises:
            ProofError: The node's proof does not prove what the state has there.
            ProofsRefusedError: It gives none.
        """
        if address not in self.accounts:
            self._ask(address, ())
            self.accounts[address] = prove_account(self.root, address, self.nodes)
        return self.accounts[address]

    def stored(self, wanted: Mapping[int, str]) -> list[int]:
        """What the campaign stores.

        Args:
            wanted: What is at each slot, by slot.

        Returns:
            The words in the order of the slots.

        Raises:
            ProofError: The node's proof does not prove what the state has there.
            ProofsRefusedError: It gives none.
        """
        campaign = self.client.address
        missing = [slot for slot in wanted if slot not in self.words]
        while missing:
            part = missing[: self._at_once]
            try:
                said = self._ask(campaign, part)
            except ProofsRefusedError:
                if len(part) == 1:
                    raise
                self._at_once = max(len(part) // 4, 1)
                continue
            if campaign not in self.accounts:
                self.accounts[campaign] = prove_account(self.root, campaign, self.nodes)
            root = self.accounts[campaign].storage_root
            for slot in part:
                value = prove_word(root, slot, self.nodes)
                if value != said[slot]:
                    raise ProofError(f"A proof of the {wanted[slot]} proves {value}, and came with {said[slot]}")
                self.words[slot] = (wanted[slot], value)
            missing = missing[len(part) :]
        return [self.words[slot][1] for slot in wanted]

    def _ask(self, address: str, slots: Sequence[int]) -> Mapping[int, int]:
        at = Block(self.header.number, self.header.hash, self.header.timestamp)
        self.requests += 1
        keys = [f"0x{slot:064x}" for slot in slots]
        try:
            (answer,) = self.client.connection.read([("eth_getProof", (address, keys))], at)
        except PrunedError as error:
            raise ProofsRefusedError(str(error)) from error
        if isinstance(answer, RpcError):
            raise ProofsRefusedError(str(answer)) from answer
        return take_in(answer, address, slots, self.nodes, self.nodes)

    def books(self, backers: Sequence[str]) -> StoredBooks:
        """All that the campaign stores about money and milestones.

        Args:
            backers: Everybody who pledged, as far as the logs say.

        Raises:
            ProofError: The node's proofs do not prove it.
            ProofsRefusedError: It gives none.
        """
        payees = range(len(self.client.terms.payees))
        names = ("ledger", "latest evidence", "latest content", "training seed", "votes", "queue of challenges")
        ledger, evidence, content, seed, votes, queue, *claimed = self.stored(
            dict(zip(storage.FIXED, names, strict=True))
            | {storage.claimed_slot(place): f"claims of payee {place}" for place in payees}
        )
        record = storage.ledger_in(ledger)
        first, end = storage.queue_in(queue)
        self.progress(f"Proving the pledges of {len(backers)} backers")
        pledges = self.stored({storage.backer_slot(backer): f"pledge of {backer}" for backer in backers})
        support, votes_from = storage.votes_in(votes)
        return StoredBooks(
            ledger=record,
            latest_evidence=f"{evidence:064x}",
            latest_content=f"{content:064x}",
            training_seed="" if seed == 0 else f"{seed:064x}",
            stop_support=support,
            votes_from=votes_from,
            claimed=tuple(claimed),
            answered=first,
            challenged=end,
            bonds=self._bonds(range(first, min(end, first + MAX_CHALLENGES)), record.attested),
            backers={backer: storage.backer_in(word) for backer, word in zip(backers, pledges, strict=True)},
            balance=self.accounts[self.client.address].balance,
        )

    def _bonds(self, numbers: range, attested: int) -> dict[int, tuple[str, int]]:
        opened = self.stored({storage.challenge_slot(number): f"challenge {number}" for number in numbers})
        chunks = [storage.challenge_in(word)[0] for word in opened]
        words = self.stored({storage.bond_slot(attested, chunk): f"bond of chunk {chunk}" for chunk in chunks})
        return {chunk: storage.bond_in(word) for chunk, word in zip(chunks, words, strict=True)}

    def packed_accounts(self) -> Iterator[PackedAccount]:
        """The proven accounts, by address."""
        for address, account in sorted(self.accounts.items()):
            yield PackedAccount(
                address=checksum(address),
                nonce=account.nonce,
                balance=str(account.balance),
                storage_root=f"0x{account.storage_root.hex()}",
                code_hash=f"0x{account.code_hash.hex()}",
            )

    def packed_words(self) -> Iterator[PackedWord]:
        """The proven words, in the order in which they were asked for."""
        for slot, (what, value) in self.words.items():
            yield PackedWord(slot=f"0x{slot:064x}", value=f"0x{value:064x}", what=what)


def evidence_in(stored: StoredBooks, proposal: str) -> str:
    """The latest evidence as the contract's view gives it: before the first attestation, the proposal."""
    return proposal if stored.latest_evidence == NO_HASH else stored.latest_evidence
