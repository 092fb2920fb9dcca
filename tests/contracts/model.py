"""What a campaign should do: the auditor's ledger, and around it what the ledger has no business knowing.

Status, money and votes are the ledger's (`llamafund_chain.audit.ledger`), which adds up what happens by the rules of
`docs/protocol.md`. Here stands which calls are refused and with which error, whose account holds what, and what
receivers do. Where both agree with the contract after every call, contract and auditor test each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from content import CHUNK, Content
from world import ACTIVE, DATASET, DAY, FAILED, FUNDING, WEIGHTS, ZERO

from llamafund_chain.audit.ledger import Accounts, Ledger, Rules
from llamafund_chain.campaign.state import OpenChallenge
from llamafund_chain.campaign.terms import Status

ANSWER_GAS = 1_250_000
DOUBLING = 512
VOTE_DELAY = DAY
NATIVE = "native coin"
ASSET = "asset"


class RefusedError(Exception):
    """The call is refused with this error and these arguments."""

    def __init__(self, name: str, *arguments: Any) -> None:
        super().__init__(name, *arguments)
        self.name = name
        self.arguments = arguments


@dataclass
class Model:
    """One campaign with everybody's balances.

    Attributes:
        terms: As the campaign was opened.
        rules: What the ledger needs of them.
        address: The campaign's.
        now: Time of the latest block, unix seconds.
        fee: What the asset's contract keeps of a transfer of so many units.
        balances: Units of the native coin and of the asset by account, the campaign's own included. In a campaign in
            the native coin both are the same, as they are in `gifts`.
        moods: What an account does when coins arrive, if it does anything: raise the error of that name, or call.
        ledger: The auditor's, told of every call that goes through.
        challengers: Who challenged, by milestone and chunk.
    """

    terms: Mapping[str, Any]
    rules: Rules
    address: str
    now: int
    fee: Callable[[int], int]
    balances: dict[str, Counter[str]]
    moods: dict[str, str | Callable[[Model], None]] = field(default_factory=dict)

    ledger: Ledger = field(default_factory=Ledger)
    votes_from: int = 0
    evidence: list[bytes] = field(default_factory=list)
    content: Content | None = None
    commitment: tuple[bytes, int] | None = None
    challengers: dict[tuple[int, int], str] = field(default_factory=dict)
    gifts: Counter[str] = field(default_factory=Counter)

    # ------------------------------------------------------------ by the ledger

    @property
    def phase(self) -> int:
        return Status[self.ledger.status(self.rules, self.now).upper()].value

    @property
    def accounts(self) -> Accounts:
        return self.ledger.accounts(self.rules, self.now)

    @property
    def attested(self) -> int:
        return len(self.ledger.attested_at)

    @property
    def released_milestones(self) -> int:
        return self.ledger.released_milestones(self.rules, self.now)

    @property
    def waiting(self) -> bool:
        """Whether a tranche is attested and not released."""
        return self.attested > self.released_milestones

    @property
    def open_challenges(self) -> list[OpenChallenge]:
        latest = self.attested - 1
        return [
            OpenChallenge(chunk, opened_at, self.challengers[latest, chunk], bond)
            for chunk, (opened_at, bond) in self.ledger.challenges.items()
        ]

    def pledge_of(self, backer: str) -> int:
        """What is left of a pledge: nothing once it was refunded."""
        return 0 if backer in self.ledger.refunds else self.ledger.pledge_of(backer)

    def has_voted_stop(self, backer: str) -> bool:
        return backer in self.ledger.voters and backer not in self.ledger.refunds

    def refundable(self, backer: str) -> int:
        return 0 if backer in self.ledger.refunds else self.ledger.refund_due(self.rules, backer, self.now)

    def claimed(self, payee: int) -> int:
        return self.ledger.claims.get(payee, 0)

    def claimable(self, payee: int) -> int:
        return self.ledger.entitled(self.rules, payee, self.now) - self.claimed(payee)

    def deadline(self, milestone: int) -> int:
        """As the contract tells it, which adds the slack to milestones that are attested too."""
        if milestone < self.attested:
            return self.rules.deadlines[milestone] + self.ledger.slack_used
        return self.ledger.deadline(self.rules, milestone)

    @property
    def owed(self) -> int:
        """Units of the asset that somebody can still ask for, now or later, bonds apart."""
        accounts = self.accounts
        return accounts.claimable + accounts.refundable + accounts.locked

    # -------------------------------------------------------------------- time

    @property
    def window_end(self) -> int:
        return self.ledger.window_end(self.rules) if self.attested else 0

    @property
    def answer_by(self) -> int:
        return self.open_challenges[0].opened_at + self.rules.answer_window

    @property
    def boundaries(self) -> list[int]:
        """Moments ahead at which something may change, or at which slack keeps it from changing."""
        moved = [self.deadline(index) for index in range(len(self.rules.deadlines))]
        moments = [self.rules.funding_deadline, *self.rules.deadlines, *moved]
        if self.ledger.activated:
            moments.append(self.votes_from)
        if self.attested:
            moments += [self.window_end, self.ledger.attested_at[-1] + self.rules.challenge_window]
        moments += [challenge.opened_at + self.rules.answer_window for challenge in self.open_challenges]
        return sorted(moment for moment in set(moments) if moment > self.now)

    # ------------------------------------------------------------------- money

    def required_bond(self, base_fee: int) -> int:
        return self.price(len(self.open_challenges), base_fee)

    def price(self, open_challenges: int, base_fee: int) -> int:
        """What the next challenge costs behind so many open ones, wei."""
        base = max(int(self.terms["minBond"]), ANSWER_GAS * base_fee)
        doublings, rest = divmod(open_challenges, DOUBLING)
        return (base << doublings) * (DOUBLING + rest) // DOUBLING

    def _move(self, unit: str, source: str, target: str, amount: int) -> int:
        """Move units, and return how many arrived."""
        arrived = amount if unit == NATIVE or self.is_coin else amount - self.fee(amount)
        self.balances[unit][source] -= amount
        self.balances[unit][target] += arrived
        return arrived

    @property
    def is_coin(self) -> bool:
        return bool(self.terms["asset"] == ZERO)

    def _pay(self, unit: str, recipient: str, amount: int) -> None:
        """Money leaves the escrow; whoever receives coins may do something about it."""
        self._move(unit, self.address, recipient, amount)
        mood = self.moods.get(recipient)
        if mood is None or (unit == ASSET and not self.is_coin):
            return
        if isinstance(mood, str):
            raise RefusedError(mood)
        mood(self)

    def give(self, unit: str, source: str | None, amount: int) -> None:
        """Money arrives that nobody asked for."""
        if source is not None:
            self.balances[unit][source] -= amount
        arrived = amount if unit == NATIVE or self.is_coin else amount - self.fee(amount)
        self.balances[unit][self.address] += arrived
        for kind in (NATIVE, ASSET) if self.is_coin else (unit,):
            self.gifts[kind] += arrived

    # ----------------------------------------------------------------- backers

    def pledge(self, payer: str, backer: str, amount: int) -> None:
        if self.ledger.activated or self.now >= self.terms["fundingDeadline"]:
            self._require(FUNDING)
            raise RefusedError("Campaign_FundingOver", self.terms["fundingDeadline"])
        self._recipient(backer)
        arrived = self._move(ASSET, payer, self.address, amount)
        if arrived == 0:
            raise RefusedError("Campaign_ZeroAmount")
        total = self.ledger.pledged + arrived
        if total > self.terms["cap"]:
            raise RefusedError("Campaign_CapExceeded", self.terms["cap"], total)
        self.ledger.deposit(backer, arrived)

    def unpledge(self, backer: str, amount: int, recipient: str) -> None:
        self._require(FUNDING)
        self._recipient(recipient)
        if amount == 0:
            raise RefusedError("Campaign_ZeroAmount")
        if amount > self.pledge_of(backer):
            raise RefusedError("Campaign_PledgeTooSmall", self.pledge_of(backer), amount)
        rest = self.ledger.pledged - amount
        if rest < self.terms["goal"] <= self.ledger.pledged:
            raise RefusedError("Campaign_GoalLocked", self.terms["goal"], rest)
        self.ledger.withdraw(backer, amount)
        self._pay(ASSET, recipient, amount)

    def vote(self, backer: str, support: bool) -> None:
        self._require(ACTIVE)
        if self.attested == len(self.terms["milestones"]):
            raise RefusedError("Campaign_VotingClosed")
        if self.now < self.votes_from:
            raise RefusedError("Campaign_VotingNotOpen", self.votes_from)
        if self.pledge_of(backer) == 0:
            raise RefusedError("Campaign_NotBacker", backer)
        if self.has_voted_stop(backer) == support:
            raise RefusedError("Campaign_VoteUnchanged", support)
        self.ledger.vote(backer, support=support)
        if self.ledger.stop_decided(self.rules):
            self.ledger.stopped_at = self.now

    def collect_refund(self, backer: str) -> None:
        self._refund(backer, backer)

    def refund_to(self, backer: str, recipient: str) -> None:
        self._recipient(recipient)
        self._refund(backer, recipient)

    def _refund(self, backer: str, recipient: str) -> None:
        self._require(FAILED)
        amount = self.refundable(backer)
        if amount == 0:
            raise RefusedError("Campaign_NothingToRefund", backer)
        self.ledger.refund(backer, amount)
        self._pay(ASSET, recipient, amount)

    # -------------------------------------------------------------- challenges

    def challenge(self, caller: str, root: bytes, size: int, chunk: int, bond: int, base_fee: int) -> None:
        self._require(ACTIVE)
        if self.pledge_of(caller) == 0:
            raise RefusedError("Campaign_NotBacker", caller)
        self._window()
        self._content(root, size)
        chunks = -(-size // CHUNK)
        if chunk >= chunks:
            raise RefusedError("Campaign_ChunkOutOfRange", chunks, chunk)
        if (self.attested - 1, chunk) in self.challengers:
            raise RefusedError("Campaign_AlreadyChallenged", chunk)
        if bond < self.required_bond(base_fee):
            raise RefusedError("Campaign_BondTooSmall", self.required_bond(base_fee), bond)
        self._move(NATIVE, caller, self.address, bond)
        self.challengers[self.attested - 1, chunk] = caller
        self.ledger.challenge(chunk, self.now, bond, caller)

    def answer(self, caller: str, root: bytes, size: int, chunk: int, right: bool) -> None:
        self._require(ACTIVE)
        if not self.open_challenges:
            raise RefusedError("Campaign_NoChallengeOpen")
        challenge = self.open_challenges[0]
        if chunk != challenge.chunk:
            raise RefusedError("Campaign_NotNextChallenge", challenge.chunk, chunk)
        self._content(root, size)
        if not right:
            raise RefusedError("Campaign_WrongChunk", chunk)
        self.ledger.answer(chunk)
        self._pay(NATIVE, caller, challenge.bond)

    def return_bond(self, caller: str, chunk: int, recipient: str) -> None:
        self._require(FAILED)
        self._recipient(recipient)
        for challenge in self.open_challenges:
            if (challenge.chunk, challenge.challenger) == (chunk, caller) and challenge.bond > 0:
                self.ledger.return_bond(chunk)
                self._pay(NATIVE, recipient, challenge.bond)
                return
        raise RefusedError("Campaign_NotChallenger", caller, chunk)

    # ----------------------------------------------------------------- arbiter

    def contest(self, caller: str) -> None:
        self._arbiter(caller)
        if self.ledger.contested:
            raise RefusedError("Campaign_AlreadyContested")
        self._window()
        self.ledger.contested = True

    def rule(self, caller: str, upheld: bool) -> None:
        self._arbiter(caller)
        if not self.ledger.contested:
            raise RefusedError("Campaign_NotContested")
        self._window()
        self.ledger.rule(self.now, upheld=upheld)

    # ------------------------------------------- researcher, attestors, payees

    def activate(self, caller: str) -> None:
        self._require(FUNDING)
        if self.ledger.pledged < self.terms["goal"]:
            raise RefusedError("Campaign_GoalNotMet", self.terms["goal"], self.ledger.pledged)
        full = self.ledger.pledged == self.terms["cap"]
        if caller != self.terms["researcher"] and self.now < self.terms["fundingDeadline"] and not full:
            raise RefusedError("Campaign_FundingOpen", self.terms["fundingDeadline"])
        self.ledger.activated = True
        self.votes_from = self.now + VOTE_DELAY

    def extend(self, caller: str, seconds: int) -> None:
        self._researcher(caller)
        self._require(ACTIVE)
        last = len(self.terms["milestones"]) - 1
        if self.attested > last:
            raise RefusedError("Campaign_WrongMilestone", last, self.attested)
        if seconds == 0:
            raise RefusedError("Campaign_ZeroAmount")
        used = self.ledger.slack_used + seconds
        if used > self.terms["slack"]:
            raise RefusedError("Campaign_SlackExceeded", self.terms["slack"], used)
        self.ledger.slack_used = used

    def post_update(self, caller: str) -> None:
        self._researcher(caller)

    def attest(self, claim: Mapping[str, Any], signers: int, signed: Sequence[bool], content: Content | None) -> None:
        """Record an attestation; `signed` says of each signature passed whether it is that signer's."""
        self._require(ACTIVE)
        index = self.attested
        if claim["milestone"] != index:
            raise RefusedError("Campaign_WrongMilestone", index, claim["milestone"])
        if self.open_challenges:
            raise RefusedError("Campaign_ChallengeOpen", self.answer_by)
        if self.waiting:
            raise RefusedError("Campaign_WindowOpen", self.window_end)
        self._claim(claim, self.terms["milestones"][index])
        self._signatures(signers, signed)
        self.ledger.attested_at.append(self.now)
        self.evidence.append(claim["evidence"])
        self.content = content
        self.commitment = (claim["contentRoot"], claim["contentSize"])

    def _claim(self, claim: Mapping[str, Any], milestone: tuple[int, int, int, int]) -> None:
        kind, _, _, min_score = milestone
        if claim["kind"] != kind:
            raise RefusedError("Campaign_WrongKind", kind, claim["kind"])
        if self.now >= claim["expiry"]:
            raise RefusedError("Campaign_AttestationExpired", claim["expiry"])
        if claim["parent"] != self.parent:
            raise RefusedError("Campaign_WrongParent", self.parent, claim["parent"])
        if kind == DATASET and any(self.terms["dataset"]) and claim["evidence"] != self.terms["dataset"]:
            raise RefusedError("Campaign_WrongDataset", self.terms["dataset"], claim["evidence"])
        if not any(claim["evidence"]):
            raise RefusedError("Campaign_EmptyEvidence")
        root, size = claim["contentRoot"], claim["contentSize"]
        if (size == 0) != (not any(root)) or (size == 0 and kind == WEIGHTS):
            raise RefusedError("Campaign_BadContent", root, size)
        if claim["score"] < min_score:
            raise RefusedError("Campaign_ScoreTooLow", min_score, claim["score"])

    def _signatures(self, signers: int, signed: Sequence[bool]) -> None:
        attestors = self.terms["attestors"]
        if signers >= 1 << len(attestors):
            raise RefusedError("Campaign_UnknownSigner", signers)
        named = [attestor for bit, attestor in enumerate(attestors) if signers >> bit & 1]
        if len(named) < self.terms["quorum"]:
            raise RefusedError("Campaign_QuorumNotMet", self.terms["quorum"], len(named))
        if len(named) != len(signed):
            raise RefusedError("Campaign_QuorumNotMet", self.terms["quorum"], len(signed))
        for attestor, good in zip(named, signed, strict=True):
            if not good:
                raise RefusedError("Campaign_BadSignature", attestor)

    @property
    def parent(self) -> bytes:
        return self.evidence[-1] if self.evidence else self.terms["proposal"]

    def claim(self, caller: str, payee: int, recipient: str) -> None:
        payees = self.terms["payees"]
        if payee >= len(payees) or payees[payee][0] != caller:
            raise RefusedError("Campaign_NotPayee", caller, payee)
        self._recipient(recipient)
        amount = self.claimable(payee)
        if amount == 0:
            raise RefusedError("Campaign_NothingToClaim")
        self.ledger.claim(payee, amount)
        self._pay(ASSET, recipient, amount)

    # ------------------------------------------------------------------ checks

    def _require(self, phase: int) -> None:
        if self.phase != phase:
            raise RefusedError("Campaign_WrongStatus", self.phase)

    def _researcher(self, caller: str) -> None:
        if caller != self.terms["researcher"]:
            raise RefusedError("Campaign_NotResearcher", caller)

    def _arbiter(self, caller: str) -> None:
        if caller != self.terms["arbiter"]:
            raise RefusedError("Campaign_NotArbiter", caller)
        self._require(ACTIVE)
        if self.attested != len(self.terms["milestones"]):
            raise RefusedError("Campaign_NothingToContest")

    def _window(self) -> None:
        if self.now >= self.window_end:
            raise RefusedError("Campaign_WindowOver", self.window_end)

    def _recipient(self, recipient: str) -> None:
        if recipient in (ZERO, self.address):
            raise RefusedError("Campaign_BadRecipient", recipient)

    def _content(self, root: bytes, size: int) -> None:
        if self.commitment != (root, size):
            raise RefusedError("Campaign_WrongContent", root, size)
