"""What a backer agrees to: the terms of a campaign, their encodings and their rules.

The chain has two encodings: the ABI tuple in calls of the factory and in events, and the tightly packed bytes in a
campaign's code. Both are here. So are all rules of the factory, so that a mistake is found before anybody pays for a
transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Self

from llamafund_chain.amounts import format_share
from llamafund_chain.chain.reverted import smallest_units
from llamafund_chain.errors import UsageError, VerificationError
from llamafund_chain.text import from_millionths
from llamafund_chain.times import duration, when

BPS = 10_000
DAY = 86_400

NO_HASH = "00" * 32
"""An empty `bytes32`."""

NO_MINIMUM = -(2**63)
"""The `min_score` that accepts every score."""

MIN_WEIGHTS_BPS = 2_500
MIN_STOP_BPS = 3_300
MAX_STOP_BPS = 8_000
MAX_ATTESTORS = 16
MAX_PAYEES = 8
MAX_MILESTONES = 16
VOTE_DELAY = DAY
"""Seconds between a campaign's activation and the opening of the stop vote."""
MIN_CHALLENGE_WINDOW = 2 * DAY
MAX_CHALLENGE_WINDOW = 90 * DAY
MIN_ANSWER_WINDOW = DAY
MAX_ANSWER_WINDOW = 30 * DAY
MIN_RULING_WINDOW = 7 * DAY
MAX_RULING_WINDOW = 90 * DAY
MIN_BOND = 10**12
"""Wei; below it, a price that doubles would stay next to nothing for too long."""
MAX_SLACK = 365 * DAY
MAX_FUNDING_PERIOD = 2 * 365 * DAY
MAX_CAMPAIGN_PERIOD = 10 * 365 * DAY

MAX_SCORE = 2**63 - 1
_MAX_UINT128 = 2**128 - 1
_MAX_UINT96 = 2**96 - 1

_FIXED_BYTES = 171
_ATTESTOR_BYTES = 20
_PAYEE_BYTES = 22
_MILESTONE_BYTES = 16
_ARBITER_BYTES = 24


Field = tuple[str | int, ...]
"""Where terms break a rule: a field's name; then an index, and the name of a part, where it has several."""


class TermsError(UsageError):
    """Terms that the factory would refuse.

    Attributes:
        field: Where.
        said: What is there, as a sentence about the field goes on: `is 10 %`.
    """

    def __init__(self, field: Field, said: str, why: str, remedy: str = "") -> None:
        spelled = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in field).removeprefix(".")
        super().__init__(f"{spelled} {said}", why, remedy)
        self.field = field
        self.said = said


class MilestoneKind(IntEnum):
    """The kind of a milestone's evidence."""

    DATASET = 0
    CHECKPOINT = 1
    WEIGHTS = 2


class Status(IntEnum):
    """A campaign's status."""

    FUNDING = 0
    ACTIVE = 1
    COMPLETED = 2
    FAILED = 3

    @property
    def label(self) -> str:
        """Its name in the contract, in texts and in JSON, for example `Funding`."""
        return self.name.capitalize()


@dataclass(frozen=True)
class Payee:
    """An account that gets a part of the released money.

    Attributes:
        account: Checksummed address.
        bps: Part of every released tranche, basis points.
    """

    account: str
    bps: int


@dataclass(frozen=True)
class Milestone:
    """One step that releases a tranche.

    Attributes:
        kind: The kind of its evidence.
        bps: Part of the pool that it releases, basis points.
        deadline: Unix seconds; it must be attested before this.
        min_score: The proposal's metric in millionths, higher is better; attestations below it are refused.
    """

    kind: MilestoneKind
    bps: int
    deadline: int
    min_score: int


@dataclass(frozen=True)
class Terms:
    """Everything that a backer agrees to; immutable on chain.

    Attributes:
        researcher: Checksummed address of the account that opens the campaign.
        asset: `NATIVE` for the chain's coin, otherwise the ERC-20's checksummed address.
        goal: Smallest unit of the asset; below it every pledge is refunded.
        cap: Smallest unit of the asset; pledges above it are refused.
        funding_deadline: Unix seconds; pledges are accepted before this.
        stop_bps: Part of the pledges that stops the campaign, basis points.
        challenge_window: Seconds between an attestation and its payout.
        answer_window: Seconds that a challenge may stay unanswered.
        min_bond: Wei; lower bound of a challenge's bond.
        slack: Seconds by which the researcher may push deadlines back in total.
        proposal: SHA-256 of the proposal manifest, 64 hexadecimal digits.
        dataset: SHA-256 of the dataset manifest, or `NO_HASH` if it is only promised.
        attestors: Checksummed addresses of the accounts that may sign milestone attestations.
        quorum: How many of them must sign.
        payees: The accounts that get the released money.
        milestones: In the order in which they are attested.
        arbiter: Checksummed address of the account that can refuse the last tranche; `None` if nobody can.
        ruling_window: Seconds by which a contest prolongs the last challenge window; 0 if there is no arbiter.
    """

    researcher: str
    asset: str
    goal: int
    cap: int
    funding_deadline: int
    stop_bps: int
    challenge_window: int
    answer_window: int
    min_bond: int
    slack: int
    proposal: str
    dataset: str
    attestors: tuple[str, ...]
    quorum: int
    payees: tuple[Payee, ...]
    milestones: tuple[Milestone, ...]
    arbiter: str | None = None
    ruling_window: int = 0

    @property
    def is_native(self) -> bool:
        """Whether pledges are in the chain's coin."""
        return int(self.asset, 16) == 0

    def roles_of(self, account: str) -> list[str]:
        """What an account is in these terms, for example `researcher`, `attestor 0`, `payee 1` or `arbiter`.

        Args:
            account: Checksummed address.
        """
        roles = ["researcher"] if self.researcher == account else []
        roles += [f"attestor {place}" for place, attestor in enumerate(self.attestors) if attestor == account]
        roles += [f"payee {place}" for place, payee in enumerate(self.payees) if payee.account == account]
        return [*roles, "arbiter"] if self.arbiter == account else roles

    def to_abi(self) -> tuple[Any, ...]:
        """The ABI tuple that the factory takes, in the order of the Solidity struct."""
        return (
            self.researcher,
            self.asset,
            self.goal,
            self.cap,
            self.funding_deadline,
            self.stop_bps,
            self.challenge_window,
            self.answer_window,
            self.min_bond,
            self.slack,
            bytes.fromhex(self.proposal),
            bytes.fromhex(self.dataset),
            list(self.attestors),
            self.quorum,
            [(payee.account, payee.bps) for payee in self.payees],
            [(int(step.kind), step.bps, step.deadline, step.min_score) for step in self.milestones],
            self.arbiter or _NOBODY,
            self.ruling_window,
        )

    @classmethod
    def from_abi(cls, value: Sequence[Any] | Mapping[str, Any]) -> Self:
        """Terms from a decoded ABI tuple, or from the mapping in decoded events.

        Raises:
            VerificationError: It is not such a tuple.
        """
        try:
            fields = [value[name] for name in _ABI_NAMES] if isinstance(value, Mapping) else list(value)
            if len(fields) != len(_ABI_NAMES):
                raise ValueError(f"{len(fields)} fields instead of {len(_ABI_NAMES)}")
            payees = tuple(Payee(_checksum(account), int(bps)) for account, bps in map(_values, fields[14]))
            milestones = tuple(
                Milestone(MilestoneKind(kind), int(bps), int(deadline), int(min_score))
                for kind, bps, deadline, min_score in map(_values, fields[15])
            )
            return cls(
                _checksum(fields[0]),
                _checksum(fields[1]),
                int(fields[2]),
                int(fields[3]),
                int(fields[4]),
                int(fields[5]),
                int(fields[6]),
                int(fields[7]),
                int(fields[8]),
                int(fields[9]),
                bytes(fields[10]).hex(),
                bytes(fields[11]).hex(),
                tuple(_checksum(attestor) for attestor in fields[12]),
                int(fields[13]),
                payees,
                milestones,
                None if int(str(fields[16]), 16) == 0 else _checksum(fields[16]),
                int(fields[17]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise VerificationError("These are not the terms of a campaign", f"{error}") from error

    def pack(self) -> bytes:
        """The bytes at the end of the code of a campaign with these terms.

        Raises:
            OverflowError: A number does not fit; `validate` says which.
        """
        head = b"".join(
            (
                _address_bytes(self.researcher),
                _address_bytes(self.asset),
                self.goal.to_bytes(16, "big"),
                self.cap.to_bytes(16, "big"),
                self.funding_deadline.to_bytes(5, "big"),
                self.stop_bps.to_bytes(2, "big"),
                self.challenge_window.to_bytes(4, "big"),
                self.answer_window.to_bytes(4, "big"),
                self.min_bond.to_bytes(12, "big"),
                self.slack.to_bytes(4, "big"),
                bytes.fromhex(self.proposal),
                bytes.fromhex(self.dataset),
                self.quorum.to_bytes(1, "big"),
                len(self.attestors).to_bytes(1, "big"),
                len(self.payees).to_bytes(1, "big"),
                len(self.milestones).to_bytes(1, "big"),
            )
        )
        attestors = b"".join(_address_bytes(attestor) for attestor in self.attestors)
        payees = b"".join(_address_bytes(payee.account) + payee.bps.to_bytes(2, "big") for payee in self.payees)
        milestones = b""
        cumulative = 0
        for step in self.milestones:
            cumulative += step.bps
            milestones += step.kind.to_bytes(1, "big") + cumulative.to_bytes(2, "big")
            milestones += step.deadline.to_bytes(5, "big") + step.min_score.to_bytes(8, "big", signed=True)
        arbiter = b"" if self.arbiter is None else _address_bytes(self.arbiter) + self.ruling_window.to_bytes(4, "big")
        return head + attestors + payees + milestones + arbiter

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Terms from the bytes in a campaign's code.

        Raises:
            VerificationError: `pack` would not make these bytes.
        """
        if len(data) < _FIXED_BYTES:
            raise VerificationError(
                "These bytes are not the terms of a campaign",
                f"{len(data)} bytes, at least {_FIXED_BYTES} are needed",
            )
        quorum, attestors, payees, milestones = data[167:171]
        first_payee = _FIXED_BYTES + attestors * _ATTESTOR_BYTES
        first_milestone = first_payee + payees * _PAYEE_BYTES
        end = first_milestone + milestones * _MILESTONE_BYTES
        if len(data) not in (end, end + _ARBITER_BYTES):
            raise VerificationError(
                "These bytes are not the terms of a campaign",
                f"{len(data)} bytes instead of {end}, or {end + _ARBITER_BYTES} with an arbiter",
            )
        arbiter = _checksum(data[end : end + 20]) if len(data) > end else None
        if arbiter == _NOBODY:
            raise VerificationError("These bytes are not the terms of a campaign", "The arbiter is the zero address")
        return cls(
            researcher=_checksum(data[0:20]),
            asset=_checksum(data[20:40]),
            goal=int.from_bytes(data[40:56], "big"),
            cap=int.from_bytes(data[56:72], "big"),
            funding_deadline=int.from_bytes(data[72:77], "big"),
            stop_bps=int.from_bytes(data[77:79], "big"),
            challenge_window=int.from_bytes(data[79:83], "big"),
            answer_window=int.from_bytes(data[83:87], "big"),
            min_bond=int.from_bytes(data[87:99], "big"),
            slack=int.from_bytes(data[99:103], "big"),
            proposal=data[103:135].hex(),
            dataset=data[135:167].hex(),
            attestors=tuple(_checksum(part) for part in _parts(data[_FIXED_BYTES:first_payee], _ATTESTOR_BYTES)),
            quorum=quorum,
            payees=tuple(
                Payee(_checksum(part[:20]), int.from_bytes(part[20:], "big"))
                for part in _parts(data[first_payee:first_milestone], _PAYEE_BYTES)
            ),
            milestones=_unpack_milestones(data[first_milestone:end]),
            arbiter=arbiter,
            ruling_window=int.from_bytes(data[end + 20 :], "big"),
        )

    def validate(
        self, now: int, *, money: Callable[[int], str] = smallest_units, coin: Callable[[int], str] = smallest_units
    ) -> None:
        """Refuse terms that the factory would refuse, except for an asset without code.

        Args:
            now: Unix seconds of the block in which the campaign would be opened.
            money: Writes an amount of the asset, given in its smallest unit, for messages.
            coin: Writes an amount of the chain's coin, given in wei, for messages.

        Raises:
            TermsError: Naming the field, its value and the bound.
        """
        self._validate_money(money, coin)
        self._validate_times(now)
        self._validate_attestors()
        self._validate_payees()
        self._validate_milestones(now)

    def stop_threshold(self, pledged: int) -> int:
        """Units of a pool that must support a stop for it to succeed."""
        return -(-pledged * self.stop_bps // BPS)

    def blocking_stake(self, pledged: int) -> int:
        """Units of a pool that block every stop vote if their backer does not join it."""
        return pledged - self.stop_threshold(pledged) + 1

    def forcing_stake(self, pledged: int) -> int:
        """Units that somebody must add to a pool to hold enough of the sum to stop the campaign."""
        return -(-pledged * self.stop_bps // (BPS - self.stop_bps))

    def _validate_money(self, money: Callable[[int], str], coin: Callable[[int], str]) -> None:
        if self.proposal == NO_HASH:
            raise TermsError(("proposal",), "is empty", "Backers must be able to see what they pay for")
        _within("goal", self.goal, 0, _MAX_UINT128, money)
        _within("cap", self.cap, 0, _MAX_UINT128, money)
        _within("min_bond", self.min_bond, MIN_BOND, _MAX_UINT96, coin)
        if self.goal == 0:
            raise TermsError(("goal",), f"is {money(0)}", "A campaign needs money to do something", "Ask for more")
        if self.goal > self.cap:
            raise TermsError(
                ("goal",),
                f"is {money(self.goal)}, more than the cap of {money(self.cap)}",
                "Pledges stop at the cap, so the goal could never be met",
                "Lower the goal or raise the cap",
            )
        _within("stop_bps", self.stop_bps, MIN_STOP_BPS, MAX_STOP_BPS, format_share)

    def _validate_times(self, now: int) -> None:
        _within("funding_deadline", self.funding_deadline, now + 1, now + MAX_FUNDING_PERIOD, when)
        _within("challenge_window", self.challenge_window, MIN_CHALLENGE_WINDOW, MAX_CHALLENGE_WINDOW, duration)
        _within("answer_window", self.answer_window, MIN_ANSWER_WINDOW, MAX_ANSWER_WINDOW, duration)
        _within("slack", self.slack, 0, MAX_SLACK, duration)
        if self.arbiter is not None:
            if int(self.arbiter, 16) == 0:
                raise TermsError(
                    ("arbiter",),
                    "is the zero address",
                    "Nobody could rule",
                    "Name an address, or leave the arbiter out",
                )
            _within("ruling_window", self.ruling_window, MIN_RULING_WINDOW, MAX_RULING_WINDOW, duration)
        elif self.ruling_window:
            raise TermsError(
                ("ruling_window",),
                f"is {duration(self.ruling_window)}",
                "There is no arbiter who could rule",
                "Name an arbiter, or leave the window out",
            )

    def _validate_attestors(self) -> None:
        _counted("attestors", len(self.attestors), MAX_ATTESTORS)
        seen: set[str] = set()
        for index, attestor in enumerate(self.attestors):
            place = ("attestors", index)
            if int(attestor, 16) == 0:
                raise TermsError(place, "is the zero address", "Nobody can sign for it", "Name an address")
            if attestor.lower() in seen:
                raise TermsError(
                    place, f"is {attestor} again", "Each attestor counts once towards the quorum", "Name it once"
                )
            seen.add(attestor.lower())
        if not 1 <= self.quorum <= len(self.attestors):
            raise TermsError(
                ("quorum",), f"is {self.quorum}", f"It must be from 1 to {len(self.attestors)}, the number of attestors"
            )

    def _validate_payees(self) -> None:
        _counted("payees", len(self.payees), MAX_PAYEES)
        for index, payee in enumerate(self.payees):
            if int(payee.account, 16) == 0:
                raise TermsError(
                    ("payees", index, "account"), "is the zero address", "Nobody can claim for it", "Name an address"
                )
            _shared("payees", index, payee.bps, "A payee without a share is a mistake")
        _whole("payees", sum(payee.bps for payee in self.payees))

    def _validate_milestones(self, now: int) -> None:
        _counted("milestones", len(self.milestones), MAX_MILESTONES)
        last = len(self.milestones) - 1
        gap = self.challenge_window + self.answer_window
        earliest = self.funding_deadline + gap
        previous = MilestoneKind.DATASET
        for index, step in enumerate(self.milestones):
            _shared("milestones", index, step.bps, "Each milestone releases a share of the pledges")
            if step.kind < previous or (step.kind is MilestoneKind.WEIGHTS) != (index == last):
                raise TermsError(
                    ("milestones", index, "kind"),
                    f"is {step.kind.name}",
                    "Milestones come in the order DATASET, CHECKPOINT, WEIGHTS, and the last one alone is WEIGHTS",
                    "Put them in this order",
                )
            if step.deadline < earliest:
                before = "the funding deadline" if index == 0 else "the deadline of the previous milestone"
                raise TermsError(
                    ("milestones", index, "deadline"),
                    f"is {when(step.deadline)}",
                    f"Challenge window and answer window, {duration(gap)} together, must fit between {before} and it",
                    f"Move it to {when(earliest)} or later, for example to +{-(-(earliest - now) // DAY)}d",
                )
            _within(("milestones", index, "min_score"), step.min_score, NO_MINIMUM, MAX_SCORE, from_millionths)
            previous = step.kind
            earliest = step.deadline + gap
        _whole("milestones", sum(step.bps for step in self.milestones))
        if self.milestones[last].bps < MIN_WEIGHTS_BPS:
            raise TermsError(
                ("milestones", last, "bps"),
                f"is {format_share(self.milestones[last].bps)}",
                f"At least {format_share(MIN_WEIGHTS_BPS)} of the pledges must depend on the open weights",
                "Give them more",
            )
        if self.milestones[last].deadline > now + MAX_CAMPAIGN_PERIOD:
            raise TermsError(
                ("milestones", last, "deadline"),
                f"is {when(self.milestones[last].deadline)}",
                f"A campaign lasts at most ten years: until {when(now + MAX_CAMPAIGN_PERIOD)}",
                "Move it earlier",
            )


_ABI_NAMES = (
    "researcher",
    "asset",
    "goal",
    "cap",
    "fundingDeadline",
    "stopBps",
    "challengeWindow",
    "answerWindow",
    "minBond",
    "slack",
    "proposal",
    "dataset",
    "attestors",
    "quorum",
    "payees",
    "milestones",
    "arbiter",
    "rulingWindow",
)

_NOBODY = "0x" + "00" * 20


def _values(item: Any) -> tuple[Any, ...]:
    return tuple(item.values()) if isinstance(item, Mapping) else tuple(item)


def _checksum(address: str | bytes) -> str:
    from eth_utils import to_checksum_address

    return str(to_checksum_address(address))


def _address_bytes(address: str) -> bytes:
    raw = bytes.fromhex(address.removeprefix("0x"))
    if len(raw) != 20:
        raise OverflowError(f"{address} is not 20 bytes long")
    return raw


def _parts(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def _unpack_milestones(data: bytes) -> tuple[Milestone, ...]:
    """Milestones from their packed form, in which basis points are cumulative."""
    found: list[Milestone] = []
    before = 0
    for part in _parts(data, _MILESTONE_BYTES):
        cumulative = int.from_bytes(part[1:3], "big")
        if part[0] >= len(MilestoneKind) or cumulative < before:
            raise VerificationError(
                "These bytes are not the terms of a campaign",
                f"Milestone {len(found)} is of kind {part[0]} and ends at {cumulative} basis points after {before}",
            )
        found.append(
            Milestone(
                MilestoneKind(part[0]),
                cumulative - before,
                int.from_bytes(part[3:8], "big"),
                int.from_bytes(part[8:16], "big", signed=True),
            )
        )
        before = cumulative
    return tuple(found)


def _within(field: str | Field, value: int, low: int, high: int, write: Callable[[int], str]) -> None:
    if not low <= value <= high:
        place = (field,) if isinstance(field, str) else field
        raise TermsError(place, f"is {write(value)}", f"It must be between {write(low)} and {write(high)}")


def _counted(field: str, count: int, most: int) -> None:
    if not count:
        raise TermsError((field,), "has no entries", "At least one is needed", "Name one")
    if count > most:
        raise TermsError((field,), f"has {count} entries", f"At most {most} are allowed", "Name fewer")


def _shared(field: str, index: int, bps: int, why: str) -> None:
    if bps == 0:
        raise TermsError((field, index, "bps"), f"is {format_share(bps)}", why, "Leave it out, or give it a share")
    if not 0 < bps <= BPS:
        whole = format_share(BPS)
        raise TermsError((field, index, "bps"), f"is {format_share(bps)}", f"All shares together make up {whole}")


def _whole(field: str, total: int) -> None:
    if total != BPS:
        said = f"has shares that add up to {format_share(total)}"
        raise TermsError((field,), said, f"They must add up to {format_share(BPS)}", "Correct them")
