"""One campaign: proof that an address is one, its state at one block, its events, and all its transactions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from llamafund_chain.campaign.attestation import Attestation
from llamafund_chain.campaign.events import (
    CampaignCreated,
    CampaignEvent,
    Event,
    MilestoneAttested,
    campaign_event,
)
from llamafund_chain.campaign.factory import creations, predict_address, recorded_block, search_range
from llamafund_chain.campaign.refusals import explain, say_when
from llamafund_chain.campaign.state import CampaignProgress, CampaignState, Identity, OpenChallenge
from llamafund_chain.campaign.terms import NO_HASH, Status, Terms
from llamafund_chain.chain import abi, connection
from llamafund_chain.chain.abi import checksum
from llamafund_chain.chain.connection import At, Block, BlockId, Connection, Finality, Read, check_code
from llamafund_chain.chain.node_errors import LaggingError, RpcError
from llamafund_chain.chain.reverted import ContractRefusedError
from llamafund_chain.chain.sending import Agree, Sender
from llamafund_chain.chain.tokens import Asset, Permit, Token, asset_at, coin_of
from llamafund_chain.chain.transactions import Call, Log, Receipt
from llamafund_chain.deployment.clones import CLONE_BYTES, clone_code
from llamafund_chain.errors import LlamafundError, NodeError, NotFinalError, VerificationError, WrongAnswerError
from llamafund_chain.evidence.merkle import ChunkProof
from llamafund_chain.name import PROJECT
from llamafund_chain.times import duration, when

if TYPE_CHECKING:
    from eth_account.signers.base import BaseAccount

    from llamafund_chain.deployment.addresses import Deployment

ANSWER_GAS = 1_250_000
"""Most gas that an answer to a challenge can cost, as derived in `Campaign.sol`."""

QUEUE_HEAD = 16
"""Number of open challenges that are read each time, even if they are known."""

# The selector of ERC-1271's isValidSignature(bytes32,bytes), which is also its answer for yes.
_IS_VALID_SIGNATURE = bytes.fromhex("1626ba7e")

_PROGRESS = ("ledger", "status")
"""The views of the contract that tell how far a campaign is."""

_STATE = (
    *_PROGRESS,
    "trainingSeed",
    "released",
    "stopSupport",
    "votesFrom",
    "latestContent",
    "latestEvidence",
)
"""The views of the contract that a state consists of, besides what each payee has."""

_MAX_UINT32 = 2**32 - 1

DOUBLING = 512
"""Number of open challenges with which the price of the next one doubles."""

PledgeMeans = Literal["native", "allowance", "permit", "approval"]
"""How a pledge was paid: in the chain's coin, or the right by which a token was taken."""


def price_of_challenge(base: int, open_challenges: int) -> int:
    """Least bond of a challenge, in wei: doubled by every `DOUBLING` open challenges, in a straight line in between.

    Args:
        base: Least bond while none is open, wei.
        open_challenges: Number of challenges without an answer.
    """
    return (base << open_challenges // DOUBLING) * (DOUBLING + open_challenges % DOUBLING) // DOUBLING


def connect(rpc_url: str, expected: tuple[int, str] | None = None) -> Connection:
    """Open a connection that explains campaigns' refusals; see `llamafund_chain.chain.connection.connect`."""
    return connection.connect(rpc_url, expected=expected, explain=explain)


@dataclass
class CampaignClient:
    """A campaign on a chain. Nothing about it is trusted before `verify_code` or `terms`.

    Attributes:
        connection: The chain.
        address: Checksummed address.
        salt: 64 hexadecimal digits if it is known; otherwise it is looked up in the factory's events.
        sender: Sends transactions; by default one that keeps no journal.
    """

    connection: Connection
    address: str
    salt: str | None = None
    sender: Sender = field(default=None, repr=False)  # type: ignore[assignment]
    _terms: Terms | None = field(default=None, init=False, repr=False)
    _asset: Asset | None = field(default=None, init=False, repr=False)
    _identity: Identity | None = field(default=None, init=False, repr=False)
    _heads: tuple[Block, Block | None] | None = field(default=None, init=False, repr=False)

    _CONTRACT: ClassVar[str] = "Campaign"

    def __post_init__(self) -> None:
        if self.sender is None:
            self.sender = Sender(self.connection)

    # ------------------------------------------------------------------ prove

    def verify_code(self) -> Identity:
        """Prove that the address is a campaign of the factory. This happens once.

        Raises:
            VerificationError: There is nothing, or a look-alike, or the contracts are not on this chain.
        """
        if self._identity is None:
            terms = self.terms
            deployment = self.connection.deployment()
            created: CampaignCreated | None = None
            salt = self.salt
            if salt is None:
                created = self._creation(deployment.factory)
                salt = created.salt
            self._prove(deployment, terms, salt, created)
        assert self._identity is not None
        return self._identity

    @classmethod
    def of_event(cls, connection: Connection, created: CampaignCreated) -> CampaignClient:
        """The campaign that an event of the factory tells of, with its terms; nothing more is read.

        Raises:
            VerificationError: The address does not follow from the terms, or the contracts are not on this chain.
        """
        client = cls(connection, created.campaign, created.salt)
        client._prove(connection.deployment(), created.terms, created.salt, created)
        client._terms = created.terms
        return client

    def _prove(self, deployment: Deployment, terms: Terms, salt: str, created: CampaignCreated | None) -> None:
        expected = predict_address(deployment.factory, deployment.implementation, terms, salt)
        if expected.lower() != self.address.lower():
            if created is not None:
                # The factory tells of no campaign but those that it opens: the node made up the event, or the code.
                raise WrongAnswerError(
                    f"The node at {self.connection.shown_url} shows an event in which the factory opens {self.address}",
                    "The address does not follow from that event and the code, so the node does not tell the truth",
                    "Name another node with --rpc, and send no money there before",
                )
            raise self._look_alike("Its address does not follow from the factory, its terms and its salt")
        self._identity = Identity(
            self.address,
            salt,
            deployment.factory,
            deployment.implementation,
            created.block if created else None,
            created.tx_hash if created else None,
        )

    @property
    def heads(self) -> tuple[Block, Block | None]:
        """The latest and the finalized block when this run began to look; `None` if the node knows no finalized one."""
        return self.look_again() if self._heads is None else self._heads

    def look_again(self) -> tuple[Block, Block | None]:
        """The latest and the finalized block now, which `heads` names from here on."""
        _, latest, settled = self.connection.look_at(self.address)
        self._heads = latest, settled
        return self._heads

    @property
    def terms(self) -> Terms:
        """The terms, read from the campaign's code.

        Raises:
            VerificationError: The code is not that of a campaign.
        """
        if self._terms is None:
            code, latest, settled = self.connection.look_at(self.address)
            self._heads = latest, settled
            deployment = self.connection.deployment()
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
        """The asset of the campaign's amounts."""
        if self._asset is None:
            self._asset = asset_at(self.connection, self.terms.asset)
        return self._asset

    @property
    def coin(self) -> Asset:
        """The chain's coin, in which bonds are paid."""
        return coin_of(self.connection)

    @property
    def token(self) -> Token:
        """The campaign's ERC-20; only for campaigns that are not in the chain's coin."""
        return Token(self.connection, self.terms.asset)

    @property
    def caip10(self) -> str:
        """The campaign with its chain, as CAIP-10 writes it."""
        return f"{self.connection.caip2}:{self.address}"

    # ------------------------------------------------------------------- read

    def state(self, block: At = "latest") -> CampaignState:
        """Everything about the campaign at one block.

        Args:
            block: Which block. Everything is read at that block, even if newer ones arrive meanwhile.
        """
        at = block if isinstance(block, Block) else self.connection.block(block)
        return self._state_from(at, self.connection.read(self._state_reads(), at))

    def states(self, latest: Block, settled: Block) -> tuple[CampaignState, CampaignState | None]:
        """The campaign at two blocks, in one request; `None` for the earlier one if it did not exist yet.

        Args:
            latest: The later block.
            settled: The earlier one.
        """
        reads = self._state_reads()
        now, (code, *then) = self.connection.read_states(
            [(reads, latest), ([("eth_getCode", (self.address,)), *reads], settled)]
        )
        existed = bool(self.connection.code_of(code))
        return self._state_from(latest, now), self._state_from(settled, then) if existed else None

    def view(self, function: str, *arguments: Any) -> Read:
        """A function of the campaign that changes nothing, as a request of `Connection.read`; see `shown`.

        Args:
            function: Its name.
            arguments: Its arguments.
        """
        return self.connection.read_of(self._call(function, *arguments))

    def shown(self, function: str, answer: Any) -> Any:
        """The one value that a function returned, from the answer to `view`.

        Raises:
            ContractRefusedError: It reverts.
            VerificationError: The answer has another form.
        """
        return abi.contract(self._CONTRACT).decode_output(function, self.connection.returned(answer))[0]

    def progress_reads(self) -> list[Read]:
        """What has to be read to know how far the campaign is, in the order in which `progress_from` takes it."""
        return [self.view(name) for name in _PROGRESS]

    def progress_from(self, at: Block, answers: Sequence[Any]) -> CampaignProgress:
        """How far the campaign is.

        Args:
            at: The block at which it was read.
            answers: To `progress_reads`.

        Raises:
            VerificationError: There is no campaign.
        """
        ledger, status = (self.shown(name, answer) for name, answer in zip(_PROGRESS, answers, strict=True))
        pledged, attested_at, challenged_at, slack_used, attested, active, stopped, withheld, contested = ledger
        return CampaignProgress(
            block=at.number,
            block_hash=at.hash,
            timestamp=at.timestamp,
            status=_status(status),
            pledged=pledged,
            attested_at=attested_at,
            challenged_at=challenged_at,
            slack_used=slack_used,
            attested=attested,
            active=active,
            stopped=stopped,
            withheld=withheld,
            contested=contested,
        )

    def exists_at(self, block: At) -> bool:
        """Whether the campaign existed at a block."""
        return bool(self.connection.code(self.address, block))

    def settled_block(self, finality: Finality) -> int:
        """Number of the block to rely on.

        Args:
            finality: How settled it must be.

        Raises:
            NotFinalError: The campaign does not exist there yet.
        """
        block = self.connection.block(finality).number
        if not self.exists_at(block):
            raise NotFinalError(
                f"The campaign {self.address} is on chain, but not {finality} yet",
                "A reorganisation could still undo it, and money sent there would be lost",
                "Wait a few blocks and repeat the command. Or pass --finality latest, if you accept that",
            )
        return block

    def pledge_of(self, backer: str, block: BlockId = "latest") -> int:
        """Smallest units that a backer has pledged."""
        return int(self._ask("pledgeOf", backer, block=block)[0])

    def pledges_of(self, backers: Sequence[str], block: BlockId = "latest") -> list[int]:
        """Smallest units that some backers have pledged, in one request."""
        return [int(answer[0]) for answer in self._ask_many([("pledgeOf", backer) for backer in backers], block)]

    def refundable(self, backer: str, block: BlockId = "latest") -> int:
        """Smallest units of a backer's refund; zero unless the campaign has failed."""
        return int(self._ask("refundable", backer, block=block)[0])

    def open_challenge_count(self, block: BlockId = "latest") -> int:
        """Number of challenges without an answer."""
        return int(self._ask("openChallenges", block=block)[0])

    def required_bond(self) -> int:
        """Least bond of the next challenge at the latest block's base fee, in wei.

        Computed here, because many nodes run calls as if the base fee were zero, even the contract's own view.
        """
        base = max(self.terms.min_bond, ANSWER_GAS * self.connection.base_fee())
        return price_of_challenge(base, self.open_challenge_count())

    def status(self, block: BlockId = "latest") -> Status:
        """The campaign's status at a block.

        Raises:
            VerificationError: The node names a status that does not exist.
        """
        return _status(self._ask("status", block=block)[0])

    def open_challenges(
        self, block: BlockId = "latest", *, known: Sequence[OpenChallenge] = ()
    ) -> tuple[OpenChallenge, ...]:
        """The unanswered challenges, in the order in which they must be answered.

        Args:
            block: Which block.
            known: Those at an earlier block. Challenges leave at the front and join at the end, so most need not be
                read again. The first `QUEUE_HEAD` always are.
        """
        at = block if isinstance(block, int) else self.connection.block(block).number
        count = self.open_challenge_count(at)
        found = self._challenges(range(min(count, QUEUE_HEAD)), at)
        if found and found[0] in known:
            start = known.index(found[0])
            kept = [*known[start : start + count]]
            last, *rest = self._challenges(range(len(kept) - 1, count), at)
            # A reorganisation may have changed the challenges after the head.
            if kept[: len(found)] == found[: len(kept)] and kept[-1] == last:
                return (*kept, *rest)
        return (*found, *self._challenges(range(len(found), count), at))

    def latest_attestation(self, block: BlockId = "latest", *, known: Attestation | None = None) -> Attestation | None:
        """The attestation whose content can be challenged; `None` if there is none.

        Args:
            block: Which block.
            known: The attestation at an earlier block. No search is needed while the campaign still records it.

        Raises:
            LaggingError: The node shows another attestation than the campaign has recorded.
        """
        from eth_utils import keccak

        if known is not None:
            content = keccak(bytes.fromhex(known.content_root) + known.content_size.to_bytes(32, "big"))
            asked = self._ask_many([("latestContent",), ("latestEvidence",)], block)
            shown = [bytes(answer[0]) for answer in asked]
            if shown == [content, bytes.fromhex(known.evidence)]:
                return known
        latest: Attestation | None = None
        for event in self.each_event(last=block, only=(MilestoneAttested,)):
            if isinstance(event, MilestoneAttested):
                latest = event.attestation
        try:
            check_recorded(latest, bytes(self._ask("latestContent", block=block)[0]))
        except LaggingError:
            if self.connection.facts is not None:
                self.connection.facts.doubt([self.address])
            raise
        return latest

    def accepts_signature(self, wallet: str, digest: bytes, signature: bytes) -> bool:
        """Whether a wallet contract accepts a signature now (ERC-1271). The campaign will ask it again.

        Args:
            wallet: Address of the contract.
            digest: The 32 bytes that were signed.
            signature: In whatever form the wallet uses.
        """
        from eth_abi.abi import encode

        data = _IS_VALID_SIGNATURE + encode(["bytes32", "bytes"], [digest, signature])
        try:
            answer = self.connection.call(Call(wallet, data), sender=self.address)
        except (ContractRefusedError, RpcError):
            return False
        return answer[:32] == _IS_VALID_SIGNATURE + bytes(28)

    def events(
        self, first: int | None = None, last: At = "latest", *, only: Collection[type[Event]] = ()
    ) -> tuple[CampaignEvent, ...]:
        """The campaign's events, in order, all in memory; see `each_event`.

        Args:
            first: First block; `None` for the one that opened the campaign.
            last: Last block.
            only: Kinds of events to request from the node; all if empty.

        Raises:
            VerificationError: A log of the campaign does not fit its event.
        """
        return tuple(self.each_event(first, last, only=only))

    def each_event(
        self,
        first: int | None = None,
        last: At = "latest",
        *,
        only: Collection[type[Event]] = (),
        seen: Callable[[Log], None] | None = None,
    ) -> Iterator[CampaignEvent]:
        """The campaign's events, in order, read on demand.

        Anyone may add events to a campaign. Name the kinds that matter in `only`, so that the others cost nothing.

        Args:
            first: First block; `None` for the one that opened the campaign.
            last: Last block.
            only: Kinds of events to request from the node; all if empty.
            seen: Called with each log before its event.

        Raises:
            VerificationError: A log of the campaign does not fit its event.
        """
        start = (self.verify_code().created or 0) if first is None else first
        interface = abi.contract(self._CONTRACT)
        topics = [sorted(interface.topic(kind.__name__) for kind in only)] if only else []
        for log in self.connection.logs(self.address, topics=topics, first=start, last=last):
            if seen is not None:
                seen(log)
            event = campaign_event(log)
            if event is not None:
                yield event

    def events_in(self, receipt: Receipt) -> tuple[CampaignEvent, ...]:
        """The campaign's events in one transaction, from its receipt alone.

        Raises:
            VerificationError: A log of the campaign does not fit its event.
        """
        ours = [log for log in receipt.logs if log.address.lower() == self.address.lower()]
        return tuple(event for log in ours if (event := campaign_event(log)) is not None)

    # ------------------------------------------------------------------ write

    def pledge(
        self, account: BaseAccount, amount: int, backer: str | None = None, *, agree: Agree | None = None
    ) -> Receipt:
        """Pledge the chain's coin.

        Args:
            account: The payer.
            amount: Wei.
            backer: The account to credit; `None` for the payer.
            agree: See `Sender.send`.
        """
        credited = backer or str(account.address)
        intent = self._pledge_intent(amount, credited)
        return self._send(account, "pledgeCoin", credited, value=amount, agree=agree, intent=intent)

    def pledge_token(
        self, account: BaseAccount, amount: int, backer: str | None = None, *, agree: Agree | None = None
    ) -> Receipt:
        """Pledge tokens that the campaign may already take from the payer.

        Args:
            account: The payer.
            amount: Smallest units.
            backer: The account to credit; `None` for the payer.
            agree: See `Sender.send`.
        """
        credited = backer or str(account.address)
        intent = self._pledge_intent(amount, credited)
        return self._send(account, "pledgeToken", credited, amount, agree=agree, intent=intent)

    def pledge_token_with_permit(
        self,
        account: BaseAccount,
        amount: int,
        permit: Permit,
        backer: str | None = None,
        *,
        agree: Agree | None = None,
    ) -> Receipt:
        """Pledge tokens with a permit signed by the payer.

        Args:
            account: The payer.
            amount: Smallest units.
            permit: From `Token.sign_permit` for this campaign and amount.
            backer: The account to credit; `None` for the payer.
            agree: See `Sender.send`.
        """
        credited = backer or str(account.address)
        return self._send(
            account,
            "pledgeTokenWithPermit",
            credited,
            amount,
            permit.deadline,
            permit.v,
            permit.r,
            permit.s,
            agree=agree,
            intent=self._pledge_intent(amount, credited),
        )

    def pledge_any(
        self, account: BaseAccount, amount: int, backer: str | None = None, *, agree: Agree | None = None
    ) -> tuple[Receipt, PledgeMeans]:
        """Pledge in the campaign's asset, in the cheapest way that the asset supports.

        Args:
            account: The payer.
            amount: Smallest units.
            backer: The account to credit; `None` for the payer.
            agree: See `Sender.send`; called once, before the first of its transactions.

        Returns:
            The pledge's receipt, and how it was paid.

        Raises:
            ContractRefusedError: The campaign or the token refused.
            LlamafundError: The account has too little.
        """
        if self.terms.is_native:
            return self.pledge(account, amount, backer, agree=agree), "native"
        token, owner = self.token, str(account.address)
        intent = self._pledge_intent(amount, backer or owner)
        earlier = self.sender.earlier(owner, intent, money=self.asset.format, agree=agree)
        if earlier is not None:
            return earlier, self._means_of(earlier)
        held = token.balance_of(owner)
        if held < amount:
            raise LlamafundError(
                f"{owner} has {self.asset.format(held)}",
                f"The pledge is {self.asset.format(amount)}",
                "Nothing was sent. Pledge less, or use another wallet",
            )
        allowed = token.allowance(owner, self.address)
        if allowed >= amount:
            return self.pledge_token(account, amount, backer, agree=agree), "allowance"
        self._check_pledge_token(owner, amount, backer or owner)
        permit = token.sign_permit(account, self.address, amount)
        if permit is not None:
            try:
                return self.pledge_token_with_permit(account, amount, permit, backer, agree=agree), "permit"
            except ContractRefusedError as refusal:
                if refusal.name.startswith("Campaign_") or refusal.fee:
                    raise
        if allowed:
            # Some tokens refuse to change an allowance other than zero.
            self.approve(account, 0, agree=agree)
        self.approve(account, amount, agree=None if allowed else agree)
        try:
            return self.pledge_token(account, amount, backer), "approval"
        except LlamafundError as error:
            error.remedy += f". The approval of {self.asset.format(amount)} is done: only the pledge is left"
            raise

    def approve(self, account: BaseAccount, amount: int, *, agree: Agree | None = None) -> Receipt:
        """Allow the campaign to take tokens from an account.

        Args:
            account: The owner of the tokens.
            amount: Smallest units.
            agree: See `Sender.send`.
        """
        call = self.token.approve(self.address, amount)
        return self.sender.send(account, call, money=self.asset.format, agree=agree, repeatable=True)

    def unpledge(
        self, account: BaseAccount, amount: int, recipient: str | None = None, *, agree: Agree | None = None
    ) -> Receipt:
        """Take back part of the account's pledge.

        Args:
            account: The backer.
            amount: Smallest units.
            recipient: The account that receives them; `None` for the backer.
            agree: See `Sender.send`.
        """
        return self._send(account, "unpledge", amount, recipient or account.address, agree=agree)

    def refund(self, account: BaseAccount, backer: str, *, agree: Agree | None = None) -> Receipt:
        """Send a failed campaign's refund to its backer; anyone may.

        Args:
            account: The account that pays for the transaction.
            backer: The account that receives the refund.
            agree: See `Sender.send`.
        """
        return self._send(account, "collectRefund", backer, agree=agree)

    def refund_to(self, account: BaseAccount, recipient: str, *, agree: Agree | None = None) -> Receipt:
        """Send the account's refund to another account.

        Args:
            account: The backer.
            recipient: The account that receives it.
            agree: See `Sender.send`.
        """
        return self._send(account, "refundTo", recipient, agree=agree)

    def vote_stop(self, account: BaseAccount, support: bool = True, *, agree: Agree | None = None) -> Receipt:
        """Vote to stop the campaign, or retract that vote, from a day after activation.

        Args:
            account: The backer.
            support: Whether to vote. Otherwise an earlier vote is retracted.
            agree: See `Sender.send`.
        """
        return self._send(account, "voteStop", support, agree=agree)

    def activate(self, account: BaseAccount, *, agree: Agree | None = None) -> Receipt:
        """Close funding and publish the training seed.

        Args:
            account: The account that pays for the transaction.
            agree: See `Sender.send`.
        """
        return self._send(account, "activate", agree=agree)

    def extend_deadlines(self, account: BaseAccount, by_seconds: int, *, agree: Agree | None = None) -> Receipt:
        """Push back the current and all later deadlines, within the slack.

        Args:
            account: The researcher.
            by_seconds: How far, in seconds.
            agree: See `Sender.send`.
        """
        if by_seconds > _MAX_UINT32:
            raise ContractRefusedError(
                f"The deadlines would move by {duration(by_seconds)}",
                f"The terms allow {duration(self.terms.slack)}",
                "Extend by less",
                name="Campaign_SlackExceeded",
            )
        return self._send(account, "extendDeadlines", by_seconds, agree=agree)

    def post_update(self, account: BaseAccount, manifest: str, *, agree: Agree | None = None) -> Receipt:
        """Post an update's hash.

        Args:
            account: The researcher.
            manifest: Hash of an `UpdateManifest`, 64 hexadecimal digits.
            agree: See `Sender.send`.
        """
        return self._send(account, "postUpdate", bytes.fromhex(manifest), agree=agree)

    def attest(
        self,
        account: BaseAccount,
        attestation: Attestation,
        signers: int,
        signatures: Sequence[bytes],
        *,
        agree: Agree | None = None,
    ) -> Receipt:
        """Submit a signed attestation; anyone may.

        Args:
            account: The account that pays for the transaction.
            attestation: The signed attestation.
            signers: Bit i is set if attestor i of the terms signed.
            signatures: One per set bit, lowest bit first.
            agree: See `Sender.send`.
        """
        return self._send(account, "attest", attestation.to_abi(), signers, list(signatures), agree=agree)

    def claim(
        self, account: BaseAccount, payee: int, recipient: str | None = None, *, agree: Agree | None = None
    ) -> Receipt:
        """Collect a payee's released money.

        Args:
            account: The payee.
            payee: Its index in the terms.
            recipient: The account that receives it; `None` for the payee.
            agree: See `Sender.send`.

        Raises:
            ContractRefusedError: Nothing can be claimed now; the message says until when.
        """
        try:
            return self._send(account, "claim", payee, recipient or account.address, agree=agree)
        except ContractRefusedError as refusal:
            if refusal.name != "Campaign_NothingToClaim":
                raise
            raise self._nothing_to_claim(refusal) from refusal

    def challenge(
        self, account: BaseAccount, attestation: Attestation, chunk: int, bond: int, *, agree: Agree | None = None
    ) -> Receipt:
        """Challenge a chunk of the latest attested content.

        Args:
            account: A backer.
            attestation: The latest attestation.
            chunk: Number of the chunk, from 0.
            bond: Wei, all of it for whoever answers.
            agree: See `Sender.send`.
        """
        content = _content_of(attestation)
        return self._send(account, "challenge", *content, chunk, value=bond, agree=agree)

    def answer(self, account: BaseAccount, attestation: Attestation, proof: ChunkProof) -> Receipt:
        """Answer the oldest open challenge and get its bond; anyone may.

        Args:
            account: The account that gets the bond.
            attestation: The latest attestation.
            proof: Proof of the challenged chunk.
        """
        return self.sender.send(account, self.answer_call(attestation, proof), money=self.asset.format)

    def answer_call(self, attestation: Attestation, proof: ChunkProof) -> Call:
        """The call that answers with a chunk, for callers that send several answers.

        Args:
            attestation: The latest attestation.
            proof: Proof of the challenged chunk.
        """
        return self._call("answer", *_content_of(attestation), proof.index, proof.data, list(proof.path))

    def return_bond(
        self, account: BaseAccount, chunk: int, recipient: str | None = None, *, agree: Agree | None = None
    ) -> Receipt:
        """Reclaim the bond of an unanswered challenge after the campaign has failed.

        Args:
            account: The challenger.
            chunk: Number of the chunk, from 0.
            recipient: The account that receives it; `None` for the challenger.
            agree: See `Sender.send`.
        """
        return self._send(account, "returnBond", chunk, recipient or account.address, agree=agree)

    def contest(self, account: BaseAccount, *, agree: Agree | None = None) -> Receipt:
        """Contest the last attestation, so that its window lasts until a ruling.

        Args:
            account: The arbiter.
            agree: See `Sender.send`.
        """
        return self._send(account, "contest", agree=agree)

    def rule(self, account: BaseAccount, *, upheld: bool, agree: Agree | None = None) -> Receipt:
        """End a contest.

        Args:
            account: The arbiter.
            upheld: Whether the attestation stands. Otherwise the campaign fails, and backers get the last tranche.
            agree: See `Sender.send`.
        """
        return self._send(account, "rule", upheld, agree=agree)

    # ---------------------------------------------------------------- helpers

    def _state_reads(self) -> list[Read]:
        """What a state consists of, in the order in which `_state_from` takes the answers."""
        payees = range(len(self.terms.payees))
        asked = [(name,) for name in _STATE] + [(name, place) for name in ("claimable", "claimed") for place in payees]
        reads = [self.view(name, *arguments) for name, *arguments in asked]
        if self.terms.is_native:
            return [*reads, ("eth_getBalance", (self.address,))]
        return [*reads, self.connection.read_of(self.token.balance_call(self.address))]

    def _state_from(self, at: Block, answers: Sequence[Any]) -> CampaignState:
        interface = abi.contract(self._CONTRACT)
        payees, count = len(self.terms.payees), len(_PROGRESS)
        progress = self.progress_from(at, answers[:count])
        names = [*_STATE[count:], *["claimable"] * payees, *["claimed"] * payees]
        seed, released, stop_support, votes_from, content, evidence, *amounts = (
            interface.decode_output(name, self.connection.returned(answer))[0]
            for name, answer in zip(names, answers[count:-1], strict=True)
        )
        if self.terms.is_native:
            balance = self.connection.balance_of(answers[-1])
        else:
            balance = self.token.balance_in(self.connection.returned(answers[-1]))
        return CampaignState(
            **vars(progress),
            released=released,
            stop_support=stop_support,
            votes_from=votes_from,
            training_seed="" if bytes(seed).hex() == NO_HASH else bytes(seed).hex(),
            latest_content=bytes(content).hex(),
            latest_evidence=bytes(evidence).hex(),
            balance=balance,
            claimable=tuple(amounts[:payees]),
            claimed=tuple(amounts[payees:]),
        )

    def _ask(self, function: str, *arguments: Any, block: At = "latest") -> tuple[Any, ...]:
        interface = abi.contract(self._CONTRACT)
        data = self.connection.call(Call(self.address, interface.encode(function, *arguments)), block=block)
        return interface.decode_output(function, data)

    def _ask_many(self, questions: Sequence[tuple[Any, ...]], block: BlockId) -> list[tuple[Any, ...]]:
        """What several of the campaign's functions return, each given with its arguments."""
        interface = abi.contract(self._CONTRACT)
        calls = [Call(self.address, interface.encode(*question)) for question in questions]
        found: list[tuple[Any, ...]] = []
        for question, answer in zip(questions, self.connection.call_many(calls, block=block), strict=True):
            if isinstance(answer, LlamafundError):
                raise answer
            found.append(interface.decode_output(question[0], answer))
        return found

    def _challenges(self, positions: range, block: int) -> list[OpenChallenge]:
        """The open challenges at these positions of the queue."""
        answers = self._ask_many([("openChallenge", position) for position in positions], block)
        return [
            OpenChallenge(chunk, opened_at, checksum(challenger), bond)
            for ((chunk, opened_at, challenger, bond),) in answers
        ]

    def _pledge_intent(self, amount: int, backer: str) -> str:
        """What a pledge brings about, however it is paid."""
        return f"pledge {self.address} {backer} {amount}"

    def _means_of(self, receipt: Receipt) -> PledgeMeans:
        """How a token's pledge was paid that an earlier start has sent: the permit is in its call data."""
        try:
            (sent,) = self.connection.transactions([receipt.tx_hash])
            decoded = abi.contract(self._CONTRACT).decode_input(sent.data) if sent is not None else None
        except LlamafundError:
            return "allowance"
        return "permit" if decoded is not None and decoded.name == "pledgeTokenWithPermit" else "allowance"

    def _send(
        self,
        account: BaseAccount,
        function: str,
        *arguments: Any,
        value: int = 0,
        agree: Agree | None = None,
        intent: str | None = None,
    ) -> Receipt:
        call = self._call(function, *arguments)
        try:
            return self.sender.send(account, call, value, money=self.asset.format, agree=agree, intent=intent)
        except ContractRefusedError as refusal:
            say_when(refusal, function)
            raise

    def _call(self, function: str, *arguments: Any) -> Call:
        return Call(self.address, abi.contract(self._CONTRACT).encode(function, *arguments))

    def _check_pledge_token(self, payer: str, amount: int, backer: str) -> None:
        """Let the campaign refuse before anything is approved. Only the missing allowance is expected."""
        total = self.state().pledged + amount
        if total > self.terms.cap:
            # The contract knows only after the transfer how much arrives.
            raise ContractRefusedError(
                f"The pledge would bring the total to {self.asset.format(total)}",
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
        first, last = search_range(self.connection, self.address, self.heads[0])
        done: list[Block] = []
        try:
            found = creations(
                self.connection, factory, [None, topic], last, first=first, searched=lambda block: done.append(block)
            )
        except (KeyboardInterrupt, NodeError):
            # The next run goes on from there.
            if done:
                self.connection.remember_creation(self.address, done[-1], found=False)
            raise
        for event in found:
            if event.campaign.lower() == self.address.lower():
                return event
        if self._may_be_hidden(factory, topic):
            if self.connection.facts is not None:
                self.connection.facts.doubt([factory])
            raise LaggingError(
                f"The node at {self.connection.shown_url} does not show the event that opened {self.address}",
                "The block that created it has such an event; the node's search for events is behind or cut short",
                "Wait a little and repeat the command, or name another node with --rpc",
            )
        raise self._look_alike("The factory never opened it")

    def _may_be_hidden(self, factory: str, topic: str) -> bool:
        """Whether the factory may have opened the campaign, though the node's search for the event found nothing."""
        since = recorded_block(self.connection)
        block = self.connection.first_block_of(self.address, self.heads[0], since=since, few=0)
        kind = abi.contract("CampaignFactory").topic("CampaignCreated")
        return block is not None and self.connection.may_have_logged(block, factory, [kind, topic])

    def _look_alike(self, why: str) -> VerificationError:
        return VerificationError(
            f"{self.address} is not a {PROJECT} campaign (a look-alike, or another contract)",
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
            "A milestone's money is released when its challenge window has passed",
            name=refusal.name,
            values=refusal.values,
        )


def check_recorded(latest: Attestation | None, recorded: bytes) -> None:
    """Refuse a latest attestation that is not the one whose content a campaign has recorded.

    Args:
        latest: From the campaign's events; `None` if there is none.
        recorded: The campaign's record.

    Raises:
        LaggingError: The node's search for events is behind its states, or cut short.
    """
    from eth_utils import keccak

    expected = (
        bytes(32)
        if latest is None
        else keccak(bytes.fromhex(latest.content_root) + latest.content_size.to_bytes(32, "big"))
    )
    if recorded != expected:
        raise LaggingError(
            "The node does not show the campaign's latest attestation",
            "The campaign has recorded another one than the node's events tell of",
            "Wait a little and repeat the command, or name another node with --rpc",
        )


def _status(number: int) -> Status:
    if number >= len(Status):
        raise VerificationError(f"The campaign says that its status is {number}", "There is no such status")
    return Status(number)


def _content_of(attestation: Attestation) -> tuple[bytes, int]:
    return bytes.fromhex(attestation.content_root), attestation.content_size
