"""One campaign: proving that an address is one, reading it at one block, its events, and every transaction on it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from llamafund_chain import abi
from llamafund_chain.attestation import Attestation
from llamafund_chain.chain import Block, BlockId, Call, Connection, Finality, Log, Receipt, RpcError, check_code
from llamafund_chain.clones import CLONE_BYTES, clone_code, creation_code
from llamafund_chain.errors import LlamafundError, NotFinalError, VerificationError
from llamafund_chain.merkle import ChunkProof
from llamafund_chain.reverts import ContractRefusedError
from llamafund_chain.terms import NO_HASH, Status, Terms
from llamafund_chain.times import duration, when
from llamafund_chain.tokens import Asset, Permit, Token, asset_at

if TYPE_CHECKING:
    from eth_account.signers.base import BaseAccount

ANSWER_GAS = 1_250_000
"""Most gas that an answer to a challenge can cost; `Campaign.sol` derives it."""

QUEUE_HEAD = 16
"""Open challenges that are read each time, whatever was known of them before."""

# ERC-1271's isValidSignature(bytes32,bytes): called by these bytes, and answered with them for yes.
_IS_VALID_SIGNATURE = bytes.fromhex("1626ba7e")


@dataclass(frozen=True)
class Identity:
    """Proof that an address is a campaign of the one factory.

    Attributes:
        address: Checksummed.
        salt: 64 hexadecimal digits; with the terms and the factory it gives the address.
        factory: Checksummed address.
        implementation: Checksummed address.
        created: Block that opened it; null when the salt was given and nobody had to look.
        transaction: Hash of the transaction that opened it, 64 hexadecimal digits; null as `created`.
    """

    address: str
    salt: str
    factory: str
    implementation: str
    created: int | None
    transaction: str | None


@dataclass(frozen=True)
class CampaignState:
    """A campaign at one block. Amounts in the asset's smallest unit, times in unix seconds.

    Attributes:
        block: Number of the block.
        block_hash: 64 hexadecimal digits.
        timestamp: The block's time.
        status: At that time.
        pledged: Pledged and not taken back.
        attested_at: Of the latest attestation; 0 when there is none.
        challenged_at: When the oldest open challenge was made; 0 when none is open.
        slack_used: Seconds by which deadlines were pushed back.
        attested: Number of milestones attested.
        active: Whether the campaign was activated.
        stopped: Whether a stop vote succeeded.
        withheld: Whether it came before the latest attestation's tranche was released.
        released: Released to payees so far.
        stop_support: Pledges whose backers vote to stop.
        votes_from: From when votes to stop are taken; 0 before activation.
        training_seed: 64 hexadecimal digits; empty before activation.
        latest_evidence: SHA-256 of the latest evidence; the proposal's before the first.
        balance: What the campaign's address holds of the asset.
        claimable: By payee.
        claimed: By payee.
    """

    block: int
    block_hash: str
    timestamp: int
    status: Status
    pledged: int
    attested_at: int
    challenged_at: int
    slack_used: int
    attested: int
    active: bool
    stopped: bool
    withheld: bool
    released: int
    stop_support: int
    votes_from: int
    training_seed: str
    latest_evidence: str
    balance: int
    claimable: tuple[int, ...]
    claimed: tuple[int, ...]

    def window_end(self, terms: Terms) -> int:
        """When the challenge window of the latest attestation ends; 0 when there is none."""
        return self.attested_at + terms.challenge_window if self.attested else 0

    def deadline(self, terms: Terms, milestone: int) -> int:
        """A milestone's deadline with the slack used so far.

        Args:
            terms: The campaign's.
            milestone: Index in the terms.
        """
        moved = self.slack_used if milestone >= self.attested else 0
        return terms.milestones[milestone].deadline + moved


@dataclass(frozen=True)
class Event:
    """Something that happened. Amounts in the asset's smallest unit.

    Attributes:
        block: Number of the block.
        log_index: Position in the block.
        tx_hash: 64 hexadecimal digits.
    """

    block: int
    log_index: int
    tx_hash: str


@dataclass(frozen=True)
class Pledged(Event):
    backer: str
    payer: str
    amount: int


@dataclass(frozen=True)
class Unpledged(Event):
    backer: str
    recipient: str
    amount: int


@dataclass(frozen=True)
class Activated(Event):
    """Attributes: training_seed: 64 hexadecimal digits."""

    pledged: int
    training_seed: str


@dataclass(frozen=True)
class MilestoneAttested(Event):
    """Attributes: signers: bit i is set when attestor i of the terms signed."""

    milestone: int
    evidence: str
    attestation: Attestation
    signers: int


@dataclass(frozen=True)
class Claimed(Event):
    payee: int
    recipient: str
    amount: int


@dataclass(frozen=True)
class Refunded(Event):
    backer: str
    recipient: str
    amount: int


@dataclass(frozen=True)
class StopVoted(Event):
    backer: str
    support: bool
    weight: int
    total_support: int


@dataclass(frozen=True)
class Stopped(Event):
    total_support: int


@dataclass(frozen=True)
class DeadlinesExtended(Event):
    by_seconds: int
    slack_used: int


@dataclass(frozen=True)
class UpdatePosted(Event):
    manifest: str


@dataclass(frozen=True)
class Challenged(Event):
    """Attributes: bond: wei; answer_by: unix seconds."""

    milestone: int
    chunk: int
    challenger: str
    bond: int
    answer_by: int


@dataclass(frozen=True)
class ChallengeAnswered(Event):
    """Attributes: bond: wei."""

    milestone: int
    chunk: int
    answerer: str
    bond: int


@dataclass(frozen=True)
class BondReturned(Event):
    """Attributes: bond: wei."""

    milestone: int
    chunk: int
    challenger: str
    recipient: str
    bond: int


@dataclass(frozen=True)
class OpenChallenge:
    """A challenge that waits for an answer, or in a failed campaign had none.

    Attributes:
        chunk: Number of the 16 KiB chunk of the latest attestation's content, from 0.
        opened_at: Unix seconds.
        challenger: Whose bond it is.
        bond: Wei; zero once it was returned.
    """

    chunk: int
    opened_at: int
    challenger: str
    bond: int

    def answer_by(self, terms: Terms) -> int:
        """Unix seconds from which it counts as unanswered."""
        return self.opened_at + terms.response_window


@dataclass(frozen=True)
class CampaignCreated(Event):
    """Attributes: salt: 64 hexadecimal digits."""

    campaign: str
    researcher: str
    proposal: str
    terms: Terms
    salt: str


PledgeMeans = Literal["native", "allowance", "permit", "approval"]
"""How a pledge was paid: in the chain's coin, or in a token by what right to take it."""

CampaignEvent = (
    Pledged
    | Unpledged
    | Activated
    | MilestoneAttested
    | Claimed
    | Refunded
    | StopVoted
    | Stopped
    | Challenged
    | ChallengeAnswered
    | BondReturned
    | DeadlinesExtended
    | UpdatePosted
)


@dataclass
class CampaignClient:
    """A campaign on a chain. Nothing is believed of it before `verify_code` or `terms`.

    Attributes:
        connection: The chain.
        address: Checksummed address.
        salt: 64 hexadecimal digits when it is known; looked up in the factory's events otherwise.
    """

    connection: Connection
    address: str
    salt: str | None = None
    _terms: Terms | None = field(default=None, init=False, repr=False)
    _asset: Asset | None = field(default=None, init=False, repr=False)
    _identity: Identity | None = field(default=None, init=False, repr=False)

    _CONTRACT: ClassVar[str] = "Campaign"

    # ------------------------------------------------------------------ prove

    def verify_code(self) -> Identity:
        """Prove that the address is a campaign of the one factory. Done once.

        Raises:
            VerificationError: Nothing is there, or a look-alike, or the contracts are not on this chain.
        """
        if self._identity is None:
            deployment = self.connection.deployment()
            terms = self.terms
            created: CampaignCreated | None = None
            salt = self.salt
            if salt is None:
                created = self._creation(deployment.factory)
                salt = created.salt
            expected = predict_address(deployment.factory, deployment.implementation, terms, salt)
            if expected.lower() != self.address.lower():
                raise self._look_alike("Its address does not follow from the factory, its terms and its salt")
            self._identity = Identity(
                self.address,
                salt,
                deployment.factory,
                deployment.implementation,
                created.block if created else None,
                created.tx_hash if created else None,
            )
        return self._identity

    @property
    def terms(self) -> Terms:
        """The terms, read from the campaign's own code.

        Raises:
            VerificationError: The code is not that of a campaign.
        """
        if self._terms is None:
            deployment = self.connection.deployment()
            code = self.connection.code(self.address)
            check_code(code, "campaign", self.address)
            if not code.startswith(clone_code(deployment.implementation)):
                raise self._look_alike("Its code is not that of a campaign")
            try:
                self._terms = Terms.unpack(code[CLONE_BYTES:])
            except VerificationError as error:
                raise self._look_alike(str(error)) from error
        return self._terms

    @property
    def asset(self) -> Asset:
        """What the campaign's amounts are counted in."""
        if self._asset is None:
            self._asset = asset_at(self.connection, self.terms.asset)
        return self._asset

    @property
    def token(self) -> Token:
        """The campaign's ERC-20; only for campaigns that are not in the chain's own coin."""
        return Token(self.connection, self.terms.asset)

    # ------------------------------------------------------------------- read

    def state(self, block: BlockId = "latest") -> CampaignState:
        """Everything about the campaign at one block.

        Args:
            block: Which block; all is read at that one, whatever comes after it meanwhile.
        """
        at = self.connection.block(block)
        return self._state_at(at)

    def exists_at(self, block: BlockId) -> bool:
        """Whether the campaign was there at a block."""
        return bool(self.connection.code(self.address, block))

    def settled_block(self, finality: Finality) -> int:
        """Number of the block to rely on.

        Args:
            finality: How settled it must be.

        Raises:
            NotFinalError: The campaign is not there yet.
        """
        block = self.connection.block(finality).number
        if not self.exists_at(block):
            raise NotFinalError(
                f"The campaign {self.address} is on chain, but not {finality} yet",
                "A reorganisation could still undo it, and money sent there would be lost",
                "Wait some blocks and repeat the command, or say --finality latest if you accept that",
            )
        return block

    def pledge_of(self, backer: str, block: BlockId = "latest") -> int:
        """Smallest units that a backer has pledged."""
        return int(self._ask("pledgeOf", backer, block=block)[0])

    def has_voted_stop(self, backer: str, block: BlockId = "latest") -> bool:
        """Whether a backer votes to stop."""
        return bool(self._ask("hasVotedStop", backer, block=block)[0])

    def refundable(self, backer: str, block: BlockId = "latest") -> int:
        """Smallest units that a refund would send; zero unless the campaign has failed."""
        return int(self._ask("refundable", backer, block=block)[0])

    def required_bond(self) -> int:
        """Wei that a challenge must bring at the latest block's base fee.

        Computed here: many nodes run calls, and with them the contract's own view, as if the base fee were zero.
        """
        return max(self.terms.min_bond, ANSWER_GAS * self.connection.base_fee())

    def status(self, block: BlockId = "latest") -> Status:
        """Where the campaign stands at a block.

        Raises:
            VerificationError: The node names a status that does not exist.
        """
        status = self._ask("status", block=block)[0]
        if status >= len(Status):
            raise VerificationError(f"The campaign says that its status is {status}", "There is no such status")
        return Status(status)

    def open_challenges(
        self, block: BlockId = "latest", *, known: Sequence[OpenChallenge] = ()
    ) -> tuple[OpenChallenge, ...]:
        """The challenges that wait for an answer, in the order in which they must be answered.

        Args:
            block: Which block.
            known: Those at an earlier block. Challenges leave at the front and come at the end, so that most are not
                read again; the first `QUEUE_HEAD` always are.
        """
        at = self.connection.block(block).number

        def read(position: int) -> OpenChallenge:
            chunk, opened_at, challenger, bond = self._ask("openChallenge", position, block=at)[0]
            return OpenChallenge(chunk, opened_at, _checksum(challenger), bond)

        count = int(self._ask("openChallenges", block=at)[0])
        found = [read(position) for position in range(min(count, QUEUE_HEAD))]
        if found and found[0] in known:
            start = known.index(found[0])
            kept = [*known[start : start + count]]
            # A reorganisation may have changed what comes after the head.
            if kept[: len(found)] == found[: len(kept)] and kept[-1] == read(len(kept) - 1):
                found = [*found, *kept[len(found) :]]
        return (*found, *(read(position) for position in range(len(found), count)))

    def latest_attestation(self, block: BlockId = "latest", *, known: Attestation | None = None) -> Attestation | None:
        """The attestation whose content can be challenged, null when there is none.

        Args:
            block: Which block.
            known: The one at an earlier block; nothing is searched while the campaign still records it.

        Raises:
            VerificationError: The node shows another one than the campaign has recorded.
        """
        from eth_utils import keccak

        if known is not None:
            content = keccak(bytes.fromhex(known.content_root) + known.content_size.to_bytes(32, "big"))
            shown = [bytes(self._ask(name, block=block)[0]) for name in ("latestContent", "latestEvidence")]
            if shown == [content, bytes.fromhex(known.evidence)]:
                return known
        latest: Attestation | None = None
        for event in self.each_event(last=block, only=(MilestoneAttested,)):
            if isinstance(event, MilestoneAttested):
                latest = event.attestation
        recorded = bytes(self._ask("latestContent", block=block)[0])
        expected = (
            bytes(32)
            if latest is None
            else keccak(bytes.fromhex(latest.content_root) + latest.content_size.to_bytes(32, "big"))
        )
        if recorded != expected:
            raise VerificationError(
                "The node does not show the campaign's latest attestation",
                "Its events and the campaign's record differ",
                "Ask another node",
            )
        return latest

    def attestation_digest(self, attestation: Attestation) -> bytes:
        """The digest that the contract checks signatures against."""
        return bytes(self._ask("attestationDigest", attestation.to_abi())[0])

    def accepts_signature(self, wallet: str, digest: bytes, signature: bytes) -> bool:
        """Whether a wallet contract accepts a signature now (ERC-1271); the campaign will ask it again.

        Args:
            wallet: Address of the contract.
            digest: The 32 bytes that were signed.
            signature: In whatever form the wallet has agreed with its owners.
        """
        from eth_abi.abi import encode

        data = _IS_VALID_SIGNATURE + encode(["bytes32", "bytes"], [digest, signature])
        try:
            answer = self.connection.call(Call(wallet, data), sender=self.address)
        except (ContractRefusedError, RpcError):
            return False
        return answer[:32] == _IS_VALID_SIGNATURE + bytes(28)

    def events(
        self, first: int | None = None, last: BlockId = "latest", *, only: Collection[type[Event]] = ()
    ) -> tuple[CampaignEvent, ...]:
        """What happened to the campaign, in order; all of it in memory, see `each_event`.

        Args:
            first: First block; the one that opened the campaign when null.
            last: Last block.
            only: Kinds of events to ask the node for; all when empty.

        Raises:
            VerificationError: A log of the campaign does not fit its event.
        """
        return tuple(self.each_event(first, last, only=only))

    def each_event(
        self, first: int | None = None, last: BlockId = "latest", *, only: Collection[type[Event]] = ()
    ) -> Iterator[CampaignEvent]:
        """What happened to the campaign, in order, read as it is asked for.

        Anyone may add events to a campaign: tell in `only` which ones matter, so that the others cost nothing.

        Args:
            first: First block; the one that opened the campaign when null.
            last: Last block.
            only: Kinds of events to ask the node for; all when empty.

        Raises:
            VerificationError: A log of the campaign does not fit its event.
        """
        start = (self.verify_code().created or 0) if first is None else first
        interface = abi.contract(self._CONTRACT)
        topics = [sorted(interface.topic(kind.__name__) for kind in only)] if only else []
        for log in self.connection.logs(self.address, topics=topics, first=start, last=last):
            event = _campaign_event(log)
            if event is not None:
                yield event

    def events_in(self, receipt: Receipt) -> tuple[CampaignEvent, ...]:
        """What a transaction did to the campaign, from its receipt alone.

        Raises:
            VerificationError: A log of the campaign does not fit its event.
        """
        ours = [log for log in receipt.logs if log.address.lower() == self.address.lower()]
        return tuple(event for log in ours if (event := _campaign_event(log)) is not None)

    # ------------------------------------------------------------------ write

    def pledge(self, account: BaseAccount, amount: int, backer: str | None = None) -> Receipt:
        """Pledge the chain's own coin.

        Args:
            account: Who pays.
            amount: Wei.
            backer: Who is credited; the payer when null.
        """
        return self._send(account, "pledgeCoin", backer or account.address, value=amount)

    def pledge_token(self, account: BaseAccount, amount: int, backer: str | None = None) -> Receipt:
        """Pledge tokens that the campaign may already take from the payer.

        Args:
            account: Who pays.
            amount: Smallest units.
            backer: Who is credited; the payer when null.
        """
        return self._send(account, "pledgeToken", backer or account.address, amount)

    def pledge_token_with_permit(
        self, account: BaseAccount, amount: int, permit: Permit, backer: str | None = None
    ) -> Receipt:
        """Pledge tokens with a permit signed by the payer.

        Args:
            account: Who pays.
            amount: Smallest units.
            permit: From `Token.sign_permit` for this campaign and amount.
            backer: Who is credited; the payer when null.
        """
        return self._send(
            account,
            "pledgeTokenWithPermit",
            backer or account.address,
            amount,
            permit.deadline,
            permit.v,
            permit.r,
            permit.s,
        )

    def pledge_any(self, account: BaseAccount, amount: int, backer: str | None = None) -> tuple[Receipt, PledgeMeans]:
        """Pledge in the campaign's asset by the cheapest means that it offers.

        Args:
            account: Who pays.
            amount: Smallest units.
            backer: Who is credited; the payer when null.

        Returns:
            The pledge's receipt, and how it was made.

        Raises:
            ContractRefusedError: The campaign or the token refused.
            LlamafundError: The account holds too little.
        """
        if self.terms.is_native:
            return self.pledge(account, amount, backer), "native"
        token, owner = self.token, str(account.address)
        held = token.balance_of(owner)
        if held < amount:
            raise LlamafundError(
                f"{owner} holds {self.asset.format(held)}",
                f"The pledge is {self.asset.format(amount)}",
                "Nothing was sent. Pledge less, or use another wallet",
            )
        allowed = token.allowance(owner, self.address)
        if allowed >= amount:
            return self.pledge_token(account, amount, backer), "allowance"
        self._check_pledge_token(owner, amount, backer or owner)
        permit = token.sign_permit(account, self.address, amount)
        if permit is not None:
            try:
                return self.pledge_token_with_permit(account, amount, permit, backer), "permit"
            except ContractRefusedError as refusal:
                if refusal.name.startswith("Campaign_"):
                    raise
        if allowed:
            # Some tokens refuse to change an allowance that is not zero.
            self.approve(account, 0)
        self.approve(account, amount)
        return self.pledge_token(account, amount, backer), "approval"

    def approve(self, account: BaseAccount, amount: int) -> Receipt:
        """Allow the campaign to take tokens from an account.

        Args:
            account: Whose tokens.
            amount: Smallest units.
        """
        return self.connection.send(account, self.token.approve(self.address, amount), money=self.asset.format)

    def unpledge(self, account: BaseAccount, amount: int, recipient: str | None = None) -> Receipt:
        """Take back a part of the account's pledge.

        Args:
            account: The backer.
            amount: Smallest units.
            recipient: Who receives them; the backer when null.
        """
        return self._send(account, "unpledge", amount, recipient or account.address)

    def refund(self, account: BaseAccount, backer: str) -> Receipt:
        """Send a failed campaign's refund to the backer it belongs to; anyone may."""
        return self._send(account, "collectRefund", backer)

    def refund_to(self, account: BaseAccount, recipient: str) -> Receipt:
        """Send the account's own refund to another address."""
        return self._send(account, "refundTo", recipient)

    def vote_stop(self, account: BaseAccount, support: bool = True) -> Receipt:
        """Vote to stop the campaign, or retract that vote: from a day after activation."""
        return self._send(account, "voteStop", support)

    def activate(self, account: BaseAccount) -> Receipt:
        """Leave funding and publish the training seed."""
        return self._send(account, "activate")

    def extend_deadlines(self, account: BaseAccount, by_seconds: int) -> Receipt:
        """Push the current and all later deadlines back, within the slack.

        Args:
            account: The researcher.
            by_seconds: Seconds.
        """
        return self._send(account, "extendDeadlines", by_seconds)

    def post_update(self, account: BaseAccount, manifest: str) -> Receipt:
        """Publish an update's hash.

        Args:
            account: The researcher.
            manifest: 64 hexadecimal digits.
        """
        return self._send(account, "postUpdate", bytes.fromhex(manifest))

    def attest(
        self, account: BaseAccount, attestation: Attestation, signers: int, signatures: Sequence[bytes]
    ) -> Receipt:
        """Submit a signed attestation; anyone may.

        Args:
            account: Who pays for the transaction.
            attestation: What was signed.
            signers: Bit i is set when attestor i of the terms signed.
            signatures: One for each set bit, lowest bit first.
        """
        return self._send(account, "attest", attestation.to_abi(), signers, list(signatures))

    def claim(self, account: BaseAccount, payee: int, recipient: str | None = None) -> Receipt:
        """Collect what was released to a payee.

        Args:
            account: The payee.
            payee: Its number in the terms.
            recipient: Who receives it; the payee when null.

        Raises:
            ContractRefusedError: Nothing can be claimed now; the message says until when.
        """
        try:
            return self._send(account, "claim", payee, recipient or account.address)
        except ContractRefusedError as refusal:
            if refusal.name != "Campaign_NothingToClaim":
                raise
            raise self._nothing_to_claim(refusal) from refusal

    def challenge(self, account: BaseAccount, attestation: Attestation, chunk: int, bond: int) -> Receipt:
        """Demand a chunk of the content that was attested last.

        Args:
            account: A backer.
            attestation: The latest.
            chunk: From 0.
            bond: Wei, all of it for whoever answers.
        """
        return self._send(account, "challenge", *_content_of(attestation), chunk, value=bond)

    def check_challenge(self, challenger: str, attestation: Attestation, chunk: int, bond: int) -> None:
        """Let the campaign refuse a challenge without sending it.

        Raises:
            ContractRefusedError: It would be refused.
        """
        if self.connection.balance(challenger) < bond:
            return  # Some nodes then name no other reason; sending it says what is missing.
        call = self._call("challenge", *_content_of(attestation), chunk)
        self.connection.call(call, block="pending", sender=challenger, value=bond, money=self.asset.format)

    def answer(self, account: BaseAccount, attestation: Attestation, proof: ChunkProof) -> Receipt:
        """Show the chunk that the oldest open challenge demands, and take its bond; anyone may.

        Args:
            account: Who gets the bond.
            attestation: The latest.
            proof: Of the demanded chunk.
        """
        return self.connection.send(account, self.answer_call(attestation, proof), money=self.asset.format)

    def answer_call(self, attestation: Attestation, proof: ChunkProof) -> Call:
        """The call that shows a chunk, for whoever sends it with others.

        Args:
            attestation: The latest.
            proof: Of the demanded chunk.
        """
        return self._call("answer", *_content_of(attestation), proof.index, proof.data, list(proof.path))

    def return_bond(self, account: BaseAccount, chunk: int, recipient: str | None = None) -> Receipt:
        """Take back the bond of a challenge that was never answered, once the campaign has failed.

        Args:
            account: The challenger.
            chunk: From 0.
            recipient: Who receives it; the challenger when null.
        """
        return self._send(account, "returnBond", chunk, recipient or account.address)

    # ---------------------------------------------------------------- helpers

    def _state_at(self, at: Block) -> CampaignState:
        ask: Callable[..., tuple[Any, ...]] = lambda *args: self._ask(*args, block=at.number)  # noqa: E731
        terms = self.terms
        payees = range(len(terms.payees))
        pledged, attested_at, challenged_at, slack_used, attested, active, stopped, withheld = ask("ledger")[0]
        seed = bytes(ask("trainingSeed")[0]).hex()
        if terms.is_native:
            balance = self.connection.balance(self.address, at.number)
        else:
            balance = self.token.balance_of(self.address, at.number)
        return CampaignState(
            block=at.number,
            block_hash=at.hash,
            timestamp=at.timestamp,
            status=self.status(at.number),
            pledged=pledged,
            attested_at=attested_at,
            challenged_at=challenged_at,
            slack_used=slack_used,
            attested=attested,
            active=active,
            stopped=stopped,
            withheld=withheld,
            released=ask("released")[0],
            stop_support=ask("stopSupport")[0],
            votes_from=ask("votesFrom")[0],
            training_seed="" if seed == NO_HASH else seed,
            latest_evidence=bytes(ask("latestEvidence")[0]).hex(),
            balance=balance,
            claimable=tuple(ask("claimable", payee)[0] for payee in payees),
            claimed=tuple(ask("claimed", payee)[0] for payee in payees),
        )

    def _ask(self, function: str, *arguments: Any, block: BlockId = "latest") -> tuple[Any, ...]:
        interface = abi.contract(self._CONTRACT)
        data = self.connection.call(Call(self.address, interface.encode(function, *arguments)), block=block)
        return interface.decode_output(function, data)

    def _send(self, account: BaseAccount, function: str, *arguments: Any, value: int = 0) -> Receipt:
        return self.connection.send(account, self._call(function, *arguments), value, money=self.asset.format)

    def _call(self, function: str, *arguments: Any) -> Call:
        return Call(self.address, abi.contract(self._CONTRACT).encode(function, *arguments))

    def _check_pledge_token(self, payer: str, amount: int, backer: str) -> None:
        """Let the campaign refuse before anything is approved; only the missing allowance is expected."""
        total = self.state().pledged + amount
        if total > self.terms.cap:
            # The contract can tell only after the transfer, how much arrives.
            raise ContractRefusedError(
                f"The pledge would bring the total to {self.asset.format(total)} (Campaign_CapExceeded)",
                f"The campaign's cap is {self.asset.format(self.terms.cap)}",
                "Pledge less",
                name="Campaign_CapExceeded",
                values={"cap": self.terms.cap, "wouldBe": total},
            )
        call = Call(self.address, abi.contract(self._CONTRACT).encode("pledgeToken", backer, amount))
        try:
            self.connection.call(call, block="pending", sender=payer, money=self.asset.format)
        except ContractRefusedError as refusal:
            if refusal.name.startswith("Campaign_"):
                raise

    def _creation(self, factory: str) -> CampaignCreated:
        topic = f"0x{bytes(12).hex()}{self.address[2:].lower()}"
        for event in _creations(self.connection, factory, [None, topic]):
            if event.campaign.lower() == self.address.lower():
                return event
        raise self._look_alike("The factory never opened it")

    def _look_alike(self, why: str) -> VerificationError:
        return VerificationError(
            f"{self.address} is not a LlamaFund campaign (a look-alike, or another contract)",
            why,
            "Do not send money there. `llamafund campaign list` shows the campaigns of this chain",
        )

    def _nothing_to_claim(self, refusal: ContractRefusedError) -> ContractRefusedError:
        state = self.state("latest")
        ends = state.window_end(self.terms)
        if not state.attested:
            why = "No milestone has been attested yet"
        elif state.status is not Status.FAILED and state.timestamp < ends:
            why = (
                f"Milestone {state.attested - 1} is in its challenge window until {when(ends)}, "
                f"{duration(ends - state.timestamp)} from now"
            )
        else:
            why = "Everything released so far has been claimed"
        return ContractRefusedError(
            f"There is nothing to claim now ({refusal.name})",
            why,
            "A share is released when its milestone's window has passed",
            name=refusal.name,
            values=refusal.values,
        )


def create_campaign(connection: Connection, account: BaseAccount, terms: Terms, salt: str) -> tuple[str, Receipt]:
    """Open a campaign.

    Args:
        connection: The chain.
        account: The researcher.
        terms: What backers will agree to.
        salt: 64 hexadecimal digits; tells apart campaigns with equal terms.

    Returns:
        The campaign's address, and the transaction's receipt.

    Raises:
        UsageError: The terms break a rule.
        ContractRefusedError: The factory refused.
    """
    deployment = connection.deployment()
    terms.validate(connection.timestamp())
    asset = asset_at(connection, terms.asset)
    address = predict_address(deployment.factory, deployment.implementation, terms, salt)
    call = Call(
        deployment.factory,
        abi.contract("CampaignFactory").encode("createCampaign", terms.to_abi(), bytes.fromhex(salt)),
    )
    receipt = connection.send(account, call, money=asset.format)
    return address, receipt


def list_campaigns(connection: Connection, last: BlockId = "latest") -> tuple[CampaignCreated, ...]:
    """All campaigns that the factory opened on a chain, oldest first."""
    return tuple(_creations(connection, connection.deployment().factory, [None], last))


def predict_address(factory: str, implementation: str, terms: Terms, salt: str) -> str:
    """Where the factory puts a campaign.

    Args:
        factory: Address.
        implementation: Address.
        terms: The campaign's.
        salt: 64 hexadecimal digits.

    Returns:
        Checksummed address.
    """
    from eth_utils import keccak, to_checksum_address

    creation = creation_code(implementation, terms.pack())
    digest = keccak(b"\xff" + bytes.fromhex(factory[2:]) + bytes.fromhex(salt) + keccak(creation))
    return str(to_checksum_address(digest[12:]))


def _creations(
    connection: Connection, factory: str, topics: list[str | None], last: BlockId = "latest"
) -> list[CampaignCreated]:
    from llamafund_chain import deployment

    interface = abi.contract("CampaignFactory")
    recorded = deployment.load(connection.chain_id)
    first = recorded.block if recorded is not None and recorded.block is not None else 0
    wanted = [interface.topic("CampaignCreated"), *topics[1:]]
    found: list[CampaignCreated] = []
    for log in connection.logs(factory, topics=wanted, first=min(first, connection.block(last).number), last=last):
        decoded = interface.decode_log(log.topics, log.data)
        if decoded is None:
            continue
        values = decoded.values
        found.append(
            CampaignCreated(
                log.block,
                log.index,
                log.tx_hash,
                _checksum(values["campaign"]),
                _checksum(values["researcher"]),
                values["proposal"].hex(),
                Terms.unpack(values["terms"]),
                values["salt"].hex(),
            )
        )
    return found


def _content_of(attestation: Attestation) -> tuple[bytes, int]:
    return bytes.fromhex(attestation.content_root), attestation.content_size


def _campaign_event(log: Log) -> CampaignEvent | None:
    decoded = abi.contract("Campaign").decode_log(log.topics, log.data)
    if decoded is None:
        return None
    maker = _EVENTS.get(decoded.name)
    return None if maker is None else maker((log.block, log.index, log.tx_hash), decoded.values)


_Where = tuple[int, int, str]
_Values = Mapping[str, Any]

_EVENTS: Mapping[str, Callable[[_Where, _Values], CampaignEvent]] = {
    "Pledged": lambda at, v: Pledged(*at, _checksum(v["backer"]), _checksum(v["payer"]), v["amount"]),
    "Unpledged": lambda at, v: Unpledged(*at, _checksum(v["backer"]), _checksum(v["recipient"]), v["amount"]),
    "Activated": lambda at, v: Activated(*at, v["pledged"], v["trainingSeed"].hex()),
    "MilestoneAttested": lambda at, v: MilestoneAttested(
        *at, v["milestone"], v["evidence"].hex(), Attestation.from_abi(v["attestation"]), v["signers"]
    ),
    "Claimed": lambda at, v: Claimed(*at, v["payee"], _checksum(v["recipient"]), v["amount"]),
    "Refunded": lambda at, v: Refunded(*at, _checksum(v["backer"]), _checksum(v["recipient"]), v["amount"]),
    "StopVoted": lambda at, v: StopVoted(*at, _checksum(v["backer"]), v["support"], v["weight"], v["totalSupport"]),
    "Stopped": lambda at, v: Stopped(*at, v["totalSupport"]),
    "Challenged": lambda at, v: Challenged(
        *at, v["milestone"], v["chunk"], _checksum(v["challenger"]), v["bond"], v["answerBy"]
    ),
    "ChallengeAnswered": lambda at, v: ChallengeAnswered(
        *at, v["milestone"], v["chunk"], _checksum(v["answerer"]), v["bond"]
    ),
    "BondReturned": lambda at, v: BondReturned(
        *at, v["milestone"], v["chunk"], _checksum(v["challenger"]), _checksum(v["recipient"]), v["bond"]
    ),
    "DeadlinesExtended": lambda at, v: DeadlinesExtended(*at, v["bySeconds"], v["slackUsed"]),
    "UpdatePosted": lambda at, v: UpdatePosted(*at, v["manifest"].hex()),
}


def _checksum(address: str) -> str:
    from eth_utils import to_checksum_address

    return str(to_checksum_address(address))
