"""Answering challenges for as long as it takes: what was seen, proven and sent, and the outcome."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llamafund_chain.campaign.answer_cost import longest_answer
from llamafund_chain.campaign.answering import (
    IN_FLIGHT,
    STUCK_BLOCKS,
    Leave,
    Send,
    Situation,
    Takes,
    TooExpensive,
    Vacate,
    Waiting,
    gain,
    plan,
)
from llamafund_chain.campaign.challenges import Challenges, Prover, challenges_on
from llamafund_chain.campaign.client import ANSWER_GAS
from llamafund_chain.chain import transactions
from llamafund_chain.chain.data_fees import DataFee, DataFees
from llamafund_chain.chain.reverted import ContractRefusedError
from llamafund_chain.chain.transactions import Call
from llamafund_chain.errors import LlamafundError, VerificationError
from llamafund_chain.evidence.merkle import ChunkProof
from llamafund_chain.store.content import Progress

if TYPE_CHECKING:
    from eth_account.signers.base import BaseAccount

    from llamafund_chain.campaign.attestation import Attestation
    from llamafund_chain.campaign.client import CampaignClient
    from llamafund_chain.campaign.state import OpenChallenge
    from llamafund_chain.chain.transactions import Fees, Receipt, SignedTransaction
    from llamafund_chain.store import Store

_EMPTY_GAS = 21_000
_DATA_FEE_AGE = 60
_REFUSALS = 5
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
class _Try:
    """One of the transactions sent with a nonce.

    Attributes:
        challenge: The challenge that it answers; `None` if it only replaces an answer that came too late.
        signed: The transaction.
        data_fee: Most wei that a rollup charges for its data beside the gas.
    """

    challenge: OpenChallenge | None
    signed: SignedTransaction
    data_fee: int

    @property
    def cost(self) -> int:
        """Most wei that it can cost."""
        return self.signed.highest_cost + self.data_fee


@dataclass
class _Sent:
    """The transactions sent with one nonce. Only one of these tries can be included.

    Attributes:
        challenge: The challenge that the latest try answers; `None` if it only replaces an answer that came too late.
        tries: All tries; empty if the node has one from before this guard began.
        fees: The highest fees tried.
        block: The latest block when this was last examined.
        gone: The latest block when the account had first used the nonce, but no receipt was there; `None` before.
    """

    challenge: OpenChallenge | None
    tries: list[_Try]
    fees: Fees
    block: int
    gone: int | None = None

    @property
    def waiting(self) -> Waiting:
        cost = max((one.cost for one in self.tries), default=0)
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
        max_loss: Wei that each answer may cost beyond the bonds that all answers bring.
        replace: Whether the account is dedicated to the guard, so that its pending transactions may be replaced.
        progress: Called with the number of bytes read since the previous call.
    """

    def __init__(
        self,
        client: CampaignClient,
        account: BaseAccount | None,
        stores: Sequence[Store],
        *,
        max_loss: int = 0,
        replace: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self.client = client
        self._account = account
        self._prover = Prover(stores, progress=progress)
        self._max_loss = max_loss
        self._replace = replace
        self._seen: Challenges | None = None
        self._announced: frozenset[OpenChallenge] = frozenset()
        self._under_way: dict[int, _Sent] = {}
        self._data_fees = DataFees(client.connection)
        # By chunk, with the chain's time when it was read.
        self._data_fee: dict[int | None, tuple[int, DataFee]] = {}
        # Gas of the answer estimated last, and its call data.
        self._measured: tuple[int, bytes] = (0, b"")
        # Wei that the bonds of its answers brought beyond what its transactions cost, by nonce: a reorganisation may
        # undo an answer, and then its nonce is used again.
        self._gains: dict[int, int] = {}
        # Block at which it last reported that an answer is too expensive.
        self._told = -1
        # Block at which it last gave what is stuck to the other nodes.
        self._spread = -1
        self._unprovable = False
        self._included = 0
        self._sent = 0
        # How often in a row the campaign refused the answer to what seemed to be its oldest challenge.
        self._refused = 0

    @property
    def under_way(self) -> list[str]:
        """Hashes of the sent transactions that are still pending, 64 hexadecimal digits each."""
        return [sent.tries[-1].signed.tx_hash for _, sent in sorted(self._under_way.items()) if sent.tries]

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
            if not self._under_way and not self._refused and (self._included, self._sent) == before:
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
        yield from self._collect(self._account, challenges.block)
        unproven = not self._unprovable and self._unproven(challenges)
        # The bonds of challenges without a proof may yet pay for what is too expensive by itself.
        yield from self._send(self._account, challenges, told=unproven)
        if not unproven:
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

    def _collect(self, account: BaseAccount, block: int) -> Iterator[Outcome]:
        """Report the outcomes of what was sent."""
        if not self._under_way:
            return
        mined = self.client.connection.nonce(account.address)
        gone = [(nonce, sent) for nonce, sent in sorted(self._under_way.items()) if nonce < mined]
        tries = [one for _, sent in gone for one in sent.tries]
        outcomes = self.client.sender.outbox.outcomes([one.signed for one in tries], money=self.client.asset.format)
        found = dict(zip((one.signed.tx_hash for one in tries), outcomes, strict=True))
        for nonce, sent in gone:
            included = [(one, outcome) for one in sent.tries if (outcome := found[one.signed.tx_hash]) is not None]
            # A receipt may come late. For transactions from before this guard began, there is none.
            sent.gone = block if sent.gone is None else min(sent.gone, block)
            if included or not sent.tries or block > sent.gone + STUCK_BLOCKS:
                del self._under_way[nonce]
                self._included += 1
                # Without a receipt, it may have cost as much as it could.
                self._gains[nonce] = 0 if included else -sent.waiting.cost
            for one, outcome in included:
                # An operator's fee (OP stack) is in no receipt, but in what was asked before.
                cost = outcome.fee - outcome.data_fee + max(outcome.data_fee, one.data_fee)
                if isinstance(outcome, ContractRefusedError):
                    self._gains[nonce] = -cost
                    # Too low an estimate may be the reason.
                    self._measured = (0, b"")
                    yield Unanswered(outcome)
                elif one.challenge is None:
                    self._gains[nonce] = -cost
                else:
                    self._gains[nonce] = gain(one.challenge.bond, cost, self._max_loss)
                    yield Answer(one.challenge, outcome)

    def _send(self, account: BaseAccount, challenges: Challenges, *, told: bool = False) -> Iterator[Outcome]:
        """Send the answers to the oldest challenges, as far as they are missing."""
        if not challenges.answerable and not self._under_way:
            return
        try:
            now = self._situation(account, challenges)
        except ContractRefusedError:
            # While a block arrives, some nodes mix its state with that of the block before. A look later it is right.
            self._refused += 1
            if self._refused <= _REFUSALS:
                return
            self._refused = 0
            raise
        self._refused = 0
        stuck = [nonce for nonce, sent in self._under_way.items() if now.block >= sent.block + STUCK_BLOCKS]
        stuck = stuck if now.block != self._spread else []
        batch: list[_Try] = []
        for action in plan(now, told=told or self._told == challenges.block):
            match action:
                case Leave(nonce):
                    self._under_way[nonce].block = challenges.block
                case TooExpensive():
                    self._told = challenges.block
                    yield Unanswered(self._too_expensive(action, now))
                case Vacate(nonce, fees):
                    batch.append(_Try(None, self._sign_nothing(account, nonce, fees), 0))
                case Send(challenge=challenge, takes=takes):
                    signed = self._sign(account, _attested(challenges), action)
                    batch.append(_Try(challenge, signed, takes.data_fee))
        if batch:
            self.client.sender.outbox.check_funds(str(account.address), now.held, max(one.cost for one in batch))
            self._transmit(batch, challenges.block)
        self._spread = now.block
        latest = [self._under_way[nonce].tries[-1:] for nonce in stuck if nonce in self._under_way]
        self.client.sender.outbox.spread([one.signed for tries in latest for one in tries])

    def _situation(self, account: BaseAccount, challenges: Challenges) -> Situation:
        sender = str(account.address)
        # At the block of the queue: earlier answers have used their nonces, later ones have not.
        seen = self.client.connection.standing(sender, challenges.block)
        self._check_wallet(sender, range(seen.mined, seen.pending))
        return Situation(
            queue=challenges.queue if challenges.answerable else (),
            takes=self._takes(account, challenges) if challenges.answerable else (),
            block=challenges.block,
            first=seen.first,
            mined=seen.mined,
            under_way={nonce: sent.waiting for nonce, sent in self._under_way.items()},
            market=seen.fees,
            base_fee=seen.base_fee,
            held=seen.held,
            balance=sum(self._gains.values()),
            max_loss=self._max_loss,
        )

    def _sign(self, account: BaseAccount, attestation: Attestation, answer: Send) -> SignedTransaction:
        call = self._call(attestation, self._prover.proofs[answer.challenge.chunk])
        gas = answer.takes.gas
        return self.client.sender.outbox.sign(account, call, nonce=answer.nonce, gas=gas, fees=answer.fees)

    def _sign_nothing(self, account: BaseAccount, nonce: int, fees: Fees) -> SignedTransaction:
        nothing = Call(str(account.address), b"")
        return self.client.sender.outbox.sign(account, nothing, nonce=nonce, gas=_EMPTY_GAS, fees=fees)

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

    def _takes(self, account: BaseAccount, challenges: Challenges) -> list[Takes | None]:
        """What the answers to the oldest challenges take, with room for rising fees.

        Only the oldest can be simulated; its estimate is scaled for the others. Whatever the prices are (EIP-2028,
        EIP-7623, EIP-7976), an answer's execution and call data grow at most in proportion to its call data: by their
        length, or by their weight with bytes other than zero. What a rollup charges for data depends on how well they
        compress, so it is asked for those that are sent next. Those behind take no more than the heaviest answer.
        """
        attestation, proofs = _attested(challenges), self._prover.proofs
        front = [proofs.get(challenge.chunk) for challenge in challenges.queue[:IN_FLIGHT]]
        heaviest = longest_answer()
        calls: dict[int | None, Call] = {proof.index: self._call(attestation, proof) for proof in front if proof}
        # For those behind the front.
        calls[None] = heaviest
        data = self._data_fees_of(calls, challenges.now)
        gas, measured = ANSWER_GAS, heaviest
        if front and front[0] is not None:
            measured = calls[front[0].index]
            gas = max(0, self._estimate(account, measured, challenges.block) - data[front[0].index].gas)
        limits = {chunk: _limit(gas, call.data, measured.data, data[chunk]) for chunk, call in calls.items()}
        takes = [None if proof is None else limits[proof.index] for proof in front]
        for challenge in challenges.queue[IN_FLIGHT:]:
            if challenge.chunk not in proofs:
                break
            takes.append(limits[None])
        return takes

    def _estimate(self, account: BaseAccount, oldest: Call, block: int) -> int:
        """Gas of the answer to the oldest challenge, as the node estimates it."""
        gas, measured = self._measured
        if measured != oldest.data:
            money = self.client.asset.format
            gas = self.client.connection.estimate(str(account.address), oldest, block=block, money=money)
            self._measured = gas, oldest.data
        return gas

    def _data_fees_of(self, calls: Mapping[int | None, Call], now: int) -> Mapping[int | None, DataFee]:
        """What the data of calls costs, by chunk, read anew after `_DATA_FEE_AGE` seconds."""
        known = {chunk: (at, fee) for chunk, (at, fee) in self._data_fee.items() if now - at < _DATA_FEE_AGE}
        missing = [chunk for chunk in calls if chunk not in known]
        fees = self._data_fees.of([calls[chunk] for chunk in missing], ANSWER_GAS)
        known |= {chunk: (now, fee) for chunk, fee in zip(missing, fees, strict=True)}
        self._data_fee = {chunk: known[chunk] for chunk in calls}
        return {chunk: known[chunk][1] for chunk in calls}

    def _too_expensive(self, problem: TooExpensive, now: Situation) -> LlamafundError:
        money = self.client.coin.format
        challenge, cost = problem.challenge, money(problem.takes.at(now.base_fee))
        what = f"Answering chunk {challenge.chunk} may cost {cost} at the current base fee"
        if problem.behind:
            return LlamafundError(
                f"{what}, and this guard's transactions have cost {money(max(0, -now.balance))} more than they brought",
                "Others answered first, or fees rose. It does not risk more by itself",
                "Start it again if you accept that: without an answer the campaign fails",
            )
        extra = "" if not now.max_loss else f", even with the {money(now.max_loss)} of --max-loss for each"
        return LlamafundError(
            f"{what}, and its bond is {money(challenge.bond)}",
            f"The bonds of the answers after it do not make up for that{extra}",
            "It is tried again when the fee falls. Pay more with --max-loss: without an answer the campaign fails",
        )

    def _transmit(self, batch: Sequence[_Try], block: int) -> None:
        """Remember the transactions, then send them.

        Raises:
            LlamafundError: The node refused some; the others were sent.
            NodeUnreachableError: The node stopped answering; all of them may have been sent.
        """
        earlier: list[OpenChallenge | None] = []
        for one in batch:
            fees = one.signed.fees
            sent = self._under_way.setdefault(one.signed.nonce, _Sent(one.challenge, [], fees, block))
            earlier.append(sent.challenge)
            sent.tries.append(one)
            sent.challenge, sent.fees, sent.block = one.challenge, fees, block
        failures: list[LlamafundError] = []
        refusals = self.client.sender.outbox.transmit_many([one.signed for one in batch])
        for one, before, refusal in zip(batch, earlier, refusals, strict=True):
            if refusal is None:
                self._sent += 1
                continue
            sent = self._under_way[one.signed.nonce]
            sent.tries.pop()
            sent.challenge = before
            if isinstance(refusal, transactions.UnderpricedError):
                # The pending one pays about as much. It will be outbid if it turns out to be late.
                continue
            if not sent.tries:
                del self._under_way[one.signed.nonce]
            if not isinstance(refusal, transactions.NonceUsedError):
                failures.append(refusal)
        if failures:
            raise failures[0]


def _limit(gas: int, data: bytes, measured: bytes, fee: DataFee) -> Takes:
    """What an answer takes, given that another one takes so much gas beside its data fee."""
    limit = max(gas, *(-(-gas * weigh(data) // weigh(measured)) for weigh in (len, _weight)))
    return Takes(limit + limit // 10 + _EMPTY_GAS + fee.gas + fee.gas // 4, fee.wei + fee.wei // 4)


def _attested(challenges: Challenges) -> Attestation:
    """The attestation of answerable challenges."""
    assert challenges.attestation is not None
    return challenges.attestation


def _chunks(challenges: Challenges) -> list[int]:
    return [challenge.chunk for challenge in challenges.queue]


def _weight(data: bytes) -> int:
    """Length of call data as EIP-7623 counts it: a byte other than zero counts four times."""
    return 4 * len(data) - 3 * data.count(0)
