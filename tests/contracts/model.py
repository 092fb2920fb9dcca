"""What a campaign should do, as a small simulation written from `docs/protocol.md` and not from the contract.

The contract works its state out of storage and time whenever it is asked. The model is driven by events instead: time
moves forward, milestones are released, campaigns fail and complete when their moment comes, and stay so. Where both
agree after every call, what the contract answers is what the diagram draws.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from content import CHUNK, Bytes
from world import ACTIVE, COMPLETED, DATASET, DAY, FAILED, FUNDING, WEIGHTS, ZERO

BPS = 10_000
ANSWER_GAS = 1_250_000
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
class Challenge:
    """A challenge."""

    milestone: int
    chunk: int
    challenger: str
    bond: int
    opened_at: int
    answered: bool = False
    returned: bool = False


@dataclass
class Model:
    """One campaign with everybody's balances.

    Attributes:
        terms: As the campaign was opened.
        address: The campaign's.
        now: Time of the latest block, unix seconds.
        fee: What the asset's contract keeps of a transfer of so many units.
        balances: Units of the native coin and of the asset by account, the campaign's own included. In a campaign in
            the native coin both are the same, as they are in `gifts`.
        moods: What an account does when coins arrive, if it does anything: raise the error of that name, or call.
    """

    terms: Mapping[str, Any]
    address: str
    now: int
    fee: Callable[[int], int]
    balances: dict[str, Counter[str]]
    moods: dict[str, str | Callable[[Model], None]] = field(default_factory=dict)

    phase: int = FUNDING
    active: bool = False
    votes_from: int = 0
    stopped: bool = False
    pledges: Counter[str] = field(default_factory=Counter)
    pledged: int = 0
    refunded: Counter[str] = field(default_factory=Counter)
    voters: set[str] = field(default_factory=set)
    stop_support: int = 0
    slack_used: int = 0
    attested_at: list[int] = field(default_factory=list)
    evidence: list[bytes] = field(default_factory=list)
    content: Bytes | None = None
    commitment: tuple[bytes, int] | None = None
    released_milestones: int = 0
    entitled: Counter[int] = field(default_factory=Counter)
    claimed: Counter[int] = field(default_factory=Counter)
    challenges: list[Challenge] = field(default_factory=list)
    gifts: Counter[str] = field(default_factory=Counter)

    # -------------------------------------------------------------------- time

    def advance(self, moment: int) -> None:
        """Let everything happen that time alone brings about until this moment."""
        while True:
            due = [event for event in self._coming() if event[0] <= moment]
            if not due:
                break
            min(due, key=lambda event: event[0])[1]()
        self.now = moment

    def _coming(self) -> list[tuple[int, Callable[[], None]]]:
        """What will happen if nobody does anything, and when."""
        if self.phase == FUNDING:
            end = self.terms["fundingDeadline"] if self.pledged < self.terms["goal"] else self.deadline(0)
            return [(end, self._fail)]
        if self.phase != ACTIVE:
            return []
        open_challenges = self.open_challenges
        if open_challenges:
            return [(open_challenges[0].opened_at + self.terms["answerWindow"], self._fail)]
        if self.waiting:
            return [(self.window_end, self._release)]
        return [(self.deadline(len(self.attested_at)), self._fail)]

    def _fail(self) -> None:
        self.phase = FAILED

    def _release(self) -> None:
        """The latest milestone's tranche belongs to the payees."""
        tranche = self.tranche(self.released_milestones)
        self.released_milestones += 1
        payees = self.terms["payees"]
        shares = [tranche * bps // BPS for _, bps in payees[:-1]]
        for payee, share in enumerate([*shares, tranche - sum(shares)]):
            self.entitled[payee] += share
        if self.released_milestones == len(self.terms["milestones"]):
            self.phase = COMPLETED

    def tranche(self, milestone: int) -> int:
        """Units that hang on a milestone."""
        bps = [milestone[1] for milestone in self.terms["milestones"]]
        before, after = sum(bps[:milestone]), sum(bps[: milestone + 1])
        return self.pledged * after // BPS - self.pledged * before // BPS

    def deadline(self, milestone: int) -> int:
        return int(self.terms["milestones"][milestone][2]) + self.slack_used

    @property
    def window_end(self) -> int:
        return self.attested_at[-1] + int(self.terms["challengeWindow"]) if self.attested_at else 0

    @property
    def waiting(self) -> bool:
        """Whether a tranche is attested and not released."""
        return len(self.attested_at) > self.released_milestones

    @property
    def open_challenges(self) -> list[Challenge]:
        return [challenge for challenge in self.challenges if not challenge.answered]

    @property
    def boundaries(self) -> list[int]:
        """Moments ahead at which something may change."""
        moments = [self.terms["fundingDeadline"], *(self.deadline(i) for i in range(len(self.terms["milestones"])))]
        if self.active:
            moments.append(self.votes_from)
        if self.attested_at:
            moments.append(self.window_end)
        moments += [challenge.opened_at + self.terms["answerWindow"] for challenge in self.open_challenges]
        return sorted(moment for moment in set(moments) if moment > self.now)

    # ------------------------------------------------------------------- money

    @property
    def released(self) -> int:
        return sum(self.tranche(milestone) for milestone in range(self.released_milestones))

    def refundable(self, backer: str) -> int:
        return self._refund_of(backer) if self.phase == FAILED else 0

    def _refund_of(self, backer: str) -> int:
        own = self.pledges[backer]
        return own * (self.pledged - self.released) // self.pledged if own else 0

    def required_bond(self, base_fee: int) -> int:
        return max(int(self.terms["minBond"]), ANSWER_GAS * base_fee)

    @property
    def bonds(self) -> int:
        """Wei that the escrow keeps for challengers and answerers."""
        return sum(challenge.bond for challenge in self.challenges if not challenge.answered and not challenge.returned)

    @property
    def owed(self) -> int:
        """Units of the asset that somebody can still ask for, now or later, bonds apart."""
        payees = sum(self.entitled.values()) - sum(self.claimed.values())
        if self.phase == FAILED:
            return payees + sum(self._refund_of(backer) for backer in self.pledges)
        return payees + self.pledged - self.released

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
        if self.active or self.now >= self.terms["fundingDeadline"]:
            self._require(FUNDING)
            raise RefusedError("Campaign_FundingOver", self.terms["fundingDeadline"])
        self._recipient(backer)
        arrived = self._move(ASSET, payer, self.address, amount)
        if arrived == 0:
            raise RefusedError("Campaign_ZeroAmount")
        if self.pledged + arrived > self.terms["cap"]:
            raise RefusedError("Campaign_CapExceeded", self.terms["cap"], self.pledged + arrived)
        self.pledges[backer] += arrived
        self.pledged += arrived

    def unpledge(self, backer: str, amount: int, recipient: str) -> None:
        self._require(FUNDING)
        self._recipient(recipient)
        if amount == 0:
            raise RefusedError("Campaign_ZeroAmount")
        if amount > self.pledges[backer]:
            raise RefusedError("Campaign_PledgeTooSmall", self.pledges[backer], amount)
        rest = self.pledged - amount
        if rest < self.terms["goal"] <= self.pledged:
            raise RefusedError("Campaign_GoalLocked", self.terms["goal"], rest)
        self.pledges[backer] -= amount
        self.pledged = rest
        self._pay(ASSET, recipient, amount)

    def vote(self, backer: str, support: bool) -> None:
        self._require(ACTIVE)
        if len(self.attested_at) == len(self.terms["milestones"]):
            raise RefusedError("Campaign_VotingClosed")
        if self.now < self.votes_from:
            raise RefusedError("Campaign_VotingNotOpen", self.votes_from)
        own = self.pledges[backer]
        if own == 0:
            raise RefusedError("Campaign_NotBacker", backer)
        if (backer in self.voters) == support:
            raise RefusedError("Campaign_VoteUnchanged", support)
        self.voters ^= {backer}
        self.stop_support += own if support else -own
        if support and self.stop_support * BPS >= self.pledged * self.terms["stopBps"]:
            self.stopped = True
            self._fail()

    def collect_refund(self, backer: str) -> None:
        self._refund(backer, backer)

    def refund_to(self, backer: str, recipient: str) -> None:
        self._recipient(recipient)
        self._refund(backer, recipient)

    def _refund(self, backer: str, recipient: str) -> None:
        self._require(FAILED)
        amount = self._refund_of(backer)
        if amount == 0:
            raise RefusedError("Campaign_NothingToRefund", backer)
        del self.pledges[backer]
        self.voters -= {backer}
        self.refunded[backer] += amount
        self._pay(ASSET, recipient, amount)

    # -------------------------------------------------------------- possession

    def challenge(self, caller: str, root: bytes, size: int, chunk: int, bond: int, base_fee: int) -> None:
        self._require(ACTIVE)
        if self.pledges[caller] == 0:
            raise RefusedError("Campaign_NotBacker", caller)
        if self.now >= self.window_end:
            raise RefusedError("Campaign_WindowOver", self.window_end)
        self._content(root, size)
        chunks = -(-size // CHUNK)
        if chunk >= chunks:
            raise RefusedError("Campaign_ChunkOutOfRange", chunks, chunk)
        milestone = len(self.attested_at) - 1
        if any((challenge.milestone, challenge.chunk) == (milestone, chunk) for challenge in self.challenges):
            raise RefusedError("Campaign_AlreadyChallenged", chunk)
        if bond < self.required_bond(base_fee):
            raise RefusedError("Campaign_BondTooSmall", self.required_bond(base_fee), bond)
        self._move(NATIVE, caller, self.address, bond)
        self.challenges.append(Challenge(milestone, chunk, caller, bond, self.now))

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
        challenge.answered = True
        if not self.open_challenges and self.now >= self.window_end:
            self._release()
        self._pay(NATIVE, caller, challenge.bond)

    def return_bond(self, caller: str, chunk: int, recipient: str) -> None:
        self._require(FAILED)
        self._recipient(recipient)
        for challenge in self.open_challenges:
            if challenge.chunk == chunk and challenge.challenger == caller and not challenge.returned:
                challenge.returned = True
                self._pay(NATIVE, recipient, challenge.bond)
                return
        raise RefusedError("Campaign_NotChallenger", caller, chunk)

    # ------------------------------------------- researcher, attestors, payees

    def activate(self, caller: str) -> None:
        self._require(FUNDING)
        if self.pledged < self.terms["goal"]:
            raise RefusedError("Campaign_GoalNotMet", self.terms["goal"], self.pledged)
        full = self.pledged == self.terms["cap"]
        if caller != self.terms["researcher"] and self.now < self.terms["fundingDeadline"] and not full:
            raise RefusedError("Campaign_FundingOpen", self.terms["fundingDeadline"])
        self.active = True
        self.votes_from = self.now + VOTE_DELAY
        self.phase = ACTIVE

    def extend(self, caller: str, seconds: int) -> None:
        self._researcher(caller)
        self._require(ACTIVE)
        last = len(self.terms["milestones"]) - 1
        if len(self.attested_at) > last:
            raise RefusedError("Campaign_WrongMilestone", last, len(self.attested_at))
        if seconds == 0:
            raise RefusedError("Campaign_ZeroAmount")
        if self.slack_used + seconds > self.terms["slack"]:
            raise RefusedError("Campaign_SlackExceeded", self.terms["slack"], self.slack_used + seconds)
        self.slack_used += seconds

    def post_update(self, caller: str) -> None:
        self._researcher(caller)

    def attest(self, claim: Mapping[str, Any], signers: int, signed: Sequence[bool], content: Bytes | None) -> None:
        """Record an attestation; `signed` says of each signature passed whether it is that signer's."""
        self._require(ACTIVE)
        index = len(self.attested_at)
        if claim["milestone"] != index:
            raise RefusedError("Campaign_WrongMilestone", index, claim["milestone"])
        if self.open_challenges:
            answer_by = self.open_challenges[0].opened_at + self.terms["answerWindow"]
            raise RefusedError("Campaign_ChallengeOpen", answer_by)
        if self.waiting:
            raise RefusedError("Campaign_WindowOpen", self.window_end)
        self._claim(claim, self.terms["milestones"][index])
        self._signatures(signers, signed)
        self.attested_at.append(self.now)
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
        amount = self.entitled[payee] - self.claimed[payee]
        if amount == 0:
            raise RefusedError("Campaign_NothingToClaim")
        self.claimed[payee] += amount
        self._pay(ASSET, recipient, amount)

    # ------------------------------------------------------------------ checks

    def _require(self, phase: int) -> None:
        if self.phase != phase:
            raise RefusedError("Campaign_WrongStatus", self.phase)

    def _researcher(self, caller: str) -> None:
        if caller != self.terms["researcher"]:
            raise RefusedError("Campaign_NotResearcher", caller)

    def _recipient(self, recipient: str) -> None:
        if recipient in (ZERO, self.address):
            raise RefusedError("Campaign_BadRecipient", recipient)

    def _content(self, root: bytes, size: int) -> None:
        if self.commitment != (root, size):
            raise RefusedError("Campaign_WrongContent", root, size)
