"""The events of a campaign and of the factory, decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llamafund_chain.campaign.attestation import Attestation
from llamafund_chain.campaign.terms import Terms
from llamafund_chain.chain import abi
from llamafund_chain.chain.abi import checksum
from llamafund_chain.chain.transactions import Log


@dataclass(frozen=True)
class Event:
    """An event. Amounts are in the asset's smallest unit.

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
class Contested(Event):
    """Attributes: rule_by: unix seconds."""

    rule_by: int


@dataclass(frozen=True)
class Ruled(Event):
    """Attributes: upheld: whether the attestation stands; otherwise the campaign has failed."""

    upheld: bool


@dataclass(frozen=True)
class CampaignCreated(Event):
    """Attributes: salt: 64 hexadecimal digits."""

    campaign: str
    researcher: str
    proposal: str
    terms: Terms
    salt: str


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
    | Contested
    | Ruled
    | DeadlinesExtended
    | UpdatePosted
)


def campaign_event(log: Log) -> CampaignEvent | None:
    decoded = abi.contract("Campaign").decode_log(log.topics, log.data)
    if decoded is None:
        return None
    maker = _EVENTS.get(decoded.name)
    return None if maker is None else maker((log.block, log.index, log.tx_hash), decoded.values)


_Where = tuple[int, int, str]
_Values = Mapping[str, Any]

_EVENTS: Mapping[str, Callable[[_Where, _Values], CampaignEvent]] = {
    "Pledged": lambda at, v: Pledged(*at, checksum(v["backer"]), checksum(v["payer"]), v["amount"]),
    "Unpledged": lambda at, v: Unpledged(*at, checksum(v["backer"]), checksum(v["recipient"]), v["amount"]),
    "Activated": lambda at, v: Activated(*at, v["pledged"], v["trainingSeed"].hex()),
    "MilestoneAttested": lambda at, v: MilestoneAttested(
        *at, v["milestone"], v["evidence"].hex(), Attestation.from_abi(v["attestation"]), v["signers"]
    ),
    "Claimed": lambda at, v: Claimed(*at, v["payee"], checksum(v["recipient"]), v["amount"]),
    "Refunded": lambda at, v: Refunded(*at, checksum(v["backer"]), checksum(v["recipient"]), v["amount"]),
    "StopVoted": lambda at, v: StopVoted(*at, checksum(v["backer"]), v["support"], v["weight"], v["totalSupport"]),
    "Stopped": lambda at, v: Stopped(*at, v["totalSupport"]),
    "Challenged": lambda at, v: Challenged(
        *at, v["milestone"], v["chunk"], checksum(v["challenger"]), v["bond"], v["answerBy"]
    ),
    "ChallengeAnswered": lambda at, v: ChallengeAnswered(
        *at, v["milestone"], v["chunk"], checksum(v["answerer"]), v["bond"]
    ),
    "BondReturned": lambda at, v: BondReturned(
        *at, v["milestone"], v["chunk"], checksum(v["challenger"]), checksum(v["recipient"]), v["bond"]
    ),
    "Contested": lambda at, v: Contested(*at, v["ruleBy"]),
    "Ruled": lambda at, v: Ruled(*at, v["upheld"]),
    "DeadlinesExtended": lambda at, v: DeadlinesExtended(*at, v["bySeconds"], v["slackUsed"]),
    "UpdatePosted": lambda at, v: UpdatePosted(*at, v["manifest"].hex()),
}
