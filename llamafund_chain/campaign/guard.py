"""Answering challenges for as long as it takes: what was seen, proven and sent, and the outcome."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llamafund_chain.campaign.answering import (
    STUCK_BLOCKS,
    Leave,
    Send,
    Situation,
    TooExpensive,
    Vacate,
    Waiting,
    plan,
)
from llamafund_chain.campaign.challenges import Challenges, Prover, challenges_on
from llamafund_chain.campaign.client import ANSWER_GAS
from llamafund_chain.chain import transactions
from llamafund_chain.chain.reverted import ContractRefusedError
from llamafund_chain.chain.transactions import Call
from llamafund_chain.errors import LlamafundError, NodeUnreachableError, VerificationError
from llamafund_chain.evidence.merkle import ChunkProof
from llamafund_chain.store.content import Progress

if TYPE_CHECKING:
    from eth_account.signers.base import BaseAccount

    from llamafund_chain.campaign.attestation import Attestation
    from llamafund_chain.campaign.client import CampaignClient
    from llamafund_chain.campaign.state import OpenChallenge
    from llamafund_chain.chain.transactions import Fees, Receipt, SignedTransaction
    from llamafund_chain.store import Store

MAX_ANSWER_GAS = ANSWER_GAS + ANSWER_GAS // 4
"""The highest gas limit of an answer, whatever a node estimates."""

_EMPTY_GAS = 21_000
_FIRST_POLL = 0.05
_LONGEST_POLL = 2.0


@dataclass(frozen=True)
class Opened:
    """A challenge that is new since the guard last looked.

    Attributes:
        challenge: The challenge.
        now: Unix seconds of the block at which it was seen.
    """

    challenge: OpenChallenge
    now: int


@dataclass(frozen=True)
class Answer:
    """An answered challenge.

    Attributes:
        challenge: The challenge.
        receipt: The receipt of the transaction that answered it.
    """

    challenge: OpenChallenge
    receipt: Receipt


@dataclass(frozen=True)
class Unanswered:
    """A problem that kept challenges from being answered. Other challenges are still answered.

    Attributes:
        problem: The problem.
    """

    problem: LlamafundError


Outcome = Opened | Answer | Unanswered


@dataclass
class _Sent:
    """The transactions sent with one nonce. Only one of these tries can be included.

    Attributes:
        challenge: The challenge that the latest try answers; `None` if it only replaces an answer that came too late.
        tries: All tries, with the challenges that they answer; empty if the node has one from before this guard began.
        fees: The highest fees tried.
        block: The latest block when this was last examined.
        lost: How often another transaction seemed to be included.
    """

    challenge: OpenChallenge | None
    tries: list[tuple[OpenChallenge | None, SignedTransaction]]
    fees: Fees
    block: int
    lost: int = 0

    @property
    def waiting(self) -> Waiting:
        cost = max((signed.highest_cost for _, signed in self.tries), default=0)
        return Waiting(self.challenge, self.fees, self.block, cost, bool(self.tries))


class Guard:
    """Answers the challenges to a campaign, and remembers what it has read, proven and sent.

    The campaign accepts answers only in the order of the challenges. So they are sent with consecutive nonces, up to
    `IN_FLIGHT` at once, each in its own transaction: nodes accept at most 128 KiB in one. An answer that does not get
    through is replaced under the same nonce, never sent a second time beside it.

    Args:
        client: The campaign.
        account: The account that pays and gets the bonds; `None` to only look.
        stores: Where the content may be.
        max_fee: Most wei that one answer may cost; `None` for its bond, so that no answer costs more than it earns.
        replace: Whether the account is dedicated to the guard, so that its pending transactions may be replaced.
        progress: Called with the number of bytes read since the previous call.
    """

    def __init__(
        self,
        client: CampaignClient,
        account: BaseAccount | None,
        stores: Sequence[Store],
        *,
        max_fee: int | None = None,
        replace: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self.client = client
        self._account = account
        self._prover = Prover(stores, progress=progress)
        self._max_fee = max_fee
        self._replace = replace
        self._seen: Challenges | None = None
        self._announced: frozenset[OpenChallenge] = frozenset()
        self._under_way: dict[int, _Sent] = {}
        # Gas of the answer estimated last, and its call data.
        self._measured: tuple[int, bytes] = (0, b"")
        # Block at which it last reported that an answer is too expensive.
        self._told = -1
        self._unprovable = False
        self._included = 0
        self._sent = 0

    @property
    def under_way(self) -> list[str]:
        """Hashes of the sent transactions that are still pending, 64 hexadecimal digits each."""
        return [sent.tries[-1][1].tx_hash for _, sent in sorted(self._under_way.items()) if sent.tries]

    def look(self) -> Challenges:
        """The challenges that need an answer now.

        Raises:
            LlamafundError: The node does not answer, or its answer cannot be true.
        """
        self._seen = challenges_on(self.client, known=self._seen)
        return self._seen

    def settle(self) -> Iterator[Outcome]:
        """Answer until no challenge is open or nothing more can be done now.

        Raises:
            NotFinalError: No sent transaction was included for `transactions.RECEIPT_TIMEOUT` seconds.
            LlamafundError: As `step`.
        """
        self._unprovable = False
        included, until, pause = self._included, time.monotonic() + transactions.RECEIPT_TIMEOUT, _FIRST_POLL
        while True:
            before = (self._included, self._sent)
            yield from self.step()
            if not self._under_way and (self._included, self._sent) == before:
                return
            if self._included != included:
                included, until, pause = self._included, time.monotonic() + transactions.RECEIPT_TIMEOUT, _FIRST_POLL
            if time.monotonic() > until:
                raise transactions.not_included(self.under_way)
            threading.Event().wait(pause)
            pause = min(pause * 1.5, _LONGEST_POLL)

    def step(self) -> Iterator[Outcome]:
        """Look, report outcomes, and send missing answers, without waiting for a block.

        Raises:
            LlamafundError: The node refused something, or the account cannot pay.
            NodeUnreachableError: The node stopped answering; transactions that may have been sent are remembered.
        """
        challenges = self.look()
        yield from self._announce(challenges)
        if self._account is None:
            return
        yield from self._collect(self._account)
        yield from self._send(self._account, challenges)
        if self._unprovable or not self._unproven(challenges):
            return
        try:
            self._prover.prove(_attested(challenges), _chunks(challenges))
        except LlamafundError as error:
            # The content may be back the next time, but not during this call.
            self._unprovable = True
            yield Unanswered(error)
            return
        # Reading may have taken an hour.
        challenges = self.look()
        yield from self._announce(challenges)
        yield from self._send(self._account, challenges)

    def _announce(self, challenges: Challenges) -> Iterator[Outcome]:
        for challenge in challenges.queue:
            if challenge not in self._announced:
                yield Opened(challenge, challenges.now)
        self._announced = frozenset(challenges.queue)

    def _unproven(self, challenges: Challenges) -> bool:
        return challenges.answerable and bool(self._prover.missing(_attested(challenges), _chunks(challenges)))

    def _collect(self, account: BaseAccount) -> Iterator[Outcome]:
        """Report the outcomes of what was sent."""
        if not self._under_way:
            return
        mined = self.client.connection.nonce(account.address)
        for nonce, sent in sorted(self._under_way.items()):
            if nonce >= mined:
                continue
            found = self._outcome(sent)
            # A receipt may come late. For transactions from before this guard began, there is none.
            sent.lost += 1
            if found is not None or not sent.tries or sent.lost > STUCK_BLOCKS:
                del self._under_way[nonce]
                self._included += 1
            if found is not None:
                yield from found

    def _outcome(self, sent: _Sent) -> list[Outcome] | None:
        """The outcome of the try that was included; `None` while the node shows none."""
        for challenge, signed in reversed(sent.tries):
            try:
                receipt = self.client.connection.outcome(signed, money=self.client.asset.format)
            except ContractRefusedError as refusal:
                return [Unanswered(refusal)]
            if receipt is not None:
                return [] if challenge is None else [Answer(challenge, receipt)]
        return None

    def _send(self, account: BaseAccount, challenges: Challenges) -> Iterator[Outcome]:
        """Send the answers to the oldest challenges, as far as they are missing."""
        if not challenges.answerable and not self._under_way:
            return
        now = self._situation(str(account.address), challenges)
        told = self._told == challenges.block
        for action in plan(now, lambda challenge: self._gas_of(account, challenges, challenge), told=told):
            match action:
                case Leave(nonce):
                    self._under_way[nonce].block = challenges.block
                case TooExpensive(challenge, gas):
                    self._told = challenges.block
                    yield Unanswered(self._too_expensive(challenge, gas, now))
                case Vacate(nonce, fees):
                    self._transmit(None, self._sign_nothing(account, nonce, fees), challenges.block)
                case Send():
                    signed = self._sign(account, _attested(challenges), action)
                    self.client.connection.check_funds(signed.sender, now.held, signed.highest_cost)
                    if not self._transmit(action.challenge, signed, challenges.block):
                        return

    def _situation(self, sender: str, challenges: Challenges) -> Situation:
        connection = self.client.connection
        # At the block of the queue: earlier answers have used their nonces, later ones have not.
        first, mined = connection.nonce(sender, challenges.block), connection.nonce(sender)
        self._check_wallet(sender, range(mined, connection.nonce(sender, "pending")))
        return Situation(
            queue=challenges.queue if challenges.answerable else (),
            block=challenges.block,
            first=first,
            mined=mined,
            under_way={nonce: sent.waiting for nonce, sent in self._under_way.items()},
            market=connection.fees(),
            base_fee=connection.base_fee(),
            held=connection.balance(sender, "latest"),
            max_fee=self._max_fee,
        )

    def _sign(self, account: BaseAccount, attestation: Attestation, answer: Send) -> SignedTransaction:
        call = self._call(attestation, self._prover.proofs[answer.challenge.chunk])
        return self.client.connection.sign(account, call, nonce=answer.nonce, gas=answer.gas, fees=answer.fees)

    def _sign_nothing(self, account: BaseAccount, nonce: int, fees: Fees) -> SignedTransaction:
        nothing = Call(str(account.address), b"")
        return self.client.connection.sign(account, nothing, nonce=nonce, gas=_EMPTY_GAS, fees=fees)

    def _check_wallet(self, sender: str, waiting: range) -> None:
        foreign = [nonce for nonce in waiting if nonce not in self._under_way]
        if foreign and not self._replace:
            raise LlamafundError(
                f"{sender} has pending transactions: {len(foreign)}",
                "Answers would have to wait behind them, and may be among them",
                "Wait until they are included, or let `llamafund watch` answer with a dedicated wallet",
            )

    def _call(self, attestation: Attestation, proof: ChunkProof) -> Call:
        if not proof.proves(bytes.fromhex(attestation.content_root), attestation.content_size):
            raise VerificationError(f"The proof of chunk {proof.index} does not lead to the attested root")
        return self.client.answer_call(attestation, proof)

    def _gas_of(self, account: BaseAccount, challenges: Challenges, challenge: OpenChallenge) -> int | None:
        """Gas limit of an answer. Only the oldest can be simulated; its estimate is scaled for the others.

        Whatever the prices are (EIP-2028, EIP-7623, EIP-7976), an answer's gas grows at most in proportion to its call
        data: by their length, or by their weight with bytes other than zero.
        """
        attestation, proofs = _attested(challenges), self._prover.proofs
        if challenge.chunk not in proofs:
            return None
        if challenges.queue[0].chunk not in proofs:
            return MAX_ANSWER_GAS
        data = self._call(attestation, proofs[challenge.chunk]).data
        oldest = self._call(attestation, proofs[challenges.queue[0].chunk])
        gas, measured = self._measured
        if measured != oldest.data:
            money = self.client.asset.format
            gas = self.client.connection.estimate(str(account.address), oldest, block=challenges.block, money=money)
            self._measured = gas, oldest.data
        limit = max(gas, *(-(-gas * weigh(data) // weigh(oldest.data)) for weigh in (len, _weight)))
        return min(limit + limit // 10 + _EMPTY_GAS, MAX_ANSWER_GAS)

    def _too_expensive(self, challenge: OpenChallenge, gas: int, now: Situation) -> LlamafundError:
        limit = "the bond that it earns" if self._max_fee is None else "what --max-fee allows"
        money = self.client.coin.format
        return LlamafundError(
            f"Answering chunk {challenge.chunk} may cost {money(gas * now.base_fee)} at the current base fee",
            f"That is more than {limit}, {money(now.highest_fee(challenge))}",
            "It is tried again when the fee falls. Pay more with --max-fee: without an answer the campaign fails",
        )

    def _transmit(self, challenge: OpenChallenge | None, signed: SignedTransaction, block: int) -> bool:
        """Remember the transaction, then send it. Returns whether later nonces can follow."""
        before = self._under_way.get(signed.nonce)
        sent = before or _Sent(challenge, [], signed.fees, block)
        earlier = sent.challenge
        self._under_way[signed.nonce] = sent
        sent.tries.append((challenge, signed))
        sent.challenge, sent.fees, sent.block = challenge, signed.fees, block
        try:
            self.client.connection.transmit(signed)
        except transactions.UnderpricedError:
            # The pending one pays about as much. It will be outbid if it turns out to be late.
            sent.tries.pop()
            sent.challenge = earlier
            return True
        except transactions.NonceUsedError:
            self._drop(sent, signed.nonce, earlier)
            return False
        except NodeUnreachableError:
            raise
        except LlamafundError:
            self._drop(sent, signed.nonce, earlier)
            raise
        self._sent += 1
        return True

    def _drop(self, sent: _Sent, nonce: int, earlier: OpenChallenge | None) -> None:
        sent.tries.pop()
        sent.challenge = earlier
        if not sent.tries:
            del self._under_way[nonce]


def _attested(challenges: Challenges) -> Attestation:
    """The attestation of answerable challenges."""
    assert challenges.attestation is not None
    return challenges.attestation


def _chunks(challenges: Challenges) -> list[int]:
    return [challenge.chunk for challenge in challenges.queue]


def _weight(data: bytes) -> int:
    """Length of call data as EIP-7623 counts it: a byte other than zero counts four times."""
    return 4 * len(data) - 3 * data.count(0)
