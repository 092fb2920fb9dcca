"""The audit's report as data, for `audit --json` and for the HTML page.

Amounts are decimal strings in whole coins, exact to the smallest unit. Times are UTC. Scores and metrics are
integers in millionths.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from llamafund_chain.audit.pack import EvidencePack
from llamafund_chain.audit.proof_pack import HashSource, ProofPack
from llamafund_chain.chain.coins import UNKNOWN, UNNAMED
from llamafund_chain.checks.check import CheckResult, CheckStatus, Contradiction, Depth

SCHEMA: Literal["llamafund/audit/1"] = "llamafund/audit/1"

Acting = Literal["anyone", "arbiter", "attestors", "backers", "challengers", "court", "payees", "researcher"]
"""Who does something."""

MilestoneState = Literal["pending", "window-open", "released", "withheld", "missed"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ReportCheck(_Record):
    """One result.

    Attributes:
        group: What was checked: `contract`, `proposal`, `timeline`, `milestone 0` …, `money`, `risks`, `node`.
        contradiction: Whom the node's answers contradict, if that is what was found; it says nothing about anybody.
    """

    group: str
    name: str
    status: CheckStatus
    detail: str
    data: dict[str, JsonValue] = Field(default_factory=dict)
    contradiction: Contradiction | None = None

    @classmethod
    def of(cls, group: str, result: CheckResult) -> ReportCheck:
        """The result of one check, in `group`."""
        return cls(
            group=group,
            name=result.name,
            status=result.status,
            detail=result.detail,
            data=dict(result.data),
            contradiction=result.contradiction,
        )


class Asset(_Record):
    """The money of the campaign.

    Attributes:
        address: The ERC-20's address; `None` for the chain's native coin.
        symbol: The token's name for itself; a token can choose any name. `None` for the coin of an unknown chain.
        decimals: Decimal places of a whole coin.
    """

    address: str | None
    symbol: str | None
    decimals: int

    @property
    def unit(self) -> str:
        """The text after an amount."""
        return self.symbol or UNKNOWN

    @property
    def name(self) -> str:
        """Its name without an amount."""
        return self.symbol or UNNAMED


class Person(_Record):
    """A key and its name in the proposal (empty if it has none)."""

    address: str
    name: str = ""


class Signer(_Record):
    """An attestor that signed.

    Attributes:
        index: Position in the terms.
        proof: `signature` means that it was recovered from the transaction. `contract` means that the campaign's
            verified code accepted it, and the transaction does not show it directly.
        signature: As it was submitted, hexadecimal with 0x; empty if the transaction does not show it.
    """

    index: int
    person: Person
    proof: Literal["signature", "contract"]
    signature: str = Field(default="", pattern=r"^(0x([0-9a-f]{2})+)?$")


class Attested(_Record):
    """An attestation on chain.

    Attributes:
        evidence: SHA-256 of the evidence manifest.
        content_size: Bytes; 0 if the content is withheld.
        window_ends: The tranche counts as released from then on; with the time for a ruling if it is contested.
        contested: Whether the arbiter contests it, or has refused it.
    """

    evidence: str
    at: AwareDatetime
    window_ends: AwareDatetime
    contested: bool
    score: int
    content_size: int
    signers: tuple[Signer, ...]
    transaction: str
    block: int


class MilestoneReport(_Record):
    """One milestone.

    Attributes:
        bps: Part of the pool, basis points.
        tranche: That part as an amount.
        deadline: With the slack used so far.
    """

    index: int
    kind: Literal["DATASET", "CHECKPOINT", "WEIGHTS"]
    title: str
    bps: int
    tranche: str
    deadline: AwareDatetime
    min_score: int
    state: MilestoneState
    attested: Attested | None = None


class PayeeReport(_Record):
    account: Person
    bps: int
    claimed: str
    claimable: str


class AccountsReport(_Record):
    """Every unit of the campaign's money, from one source; `None` if it cannot know.

    Attributes:
        deposited: Everything that backers ever pledged.
        withdrawn: What they took back before the goal locked it.
        pledged: The pool: deposited minus withdrawn.
        released: What payees may have: attested, window over.
        claimed: What payees have collected.
        claimable: What they can collect now.
        refunded: What backers have got back after a failure.
        refundable: What they can get back now.
        locked: Neither released nor refundable yet.
        rounding: Units that cannot be divided among the backers; they stay in the escrow.
        held: What the escrow must hold for all this.
        balance: What it really holds.
    """

    deposited: str | None
    withdrawn: str | None
    pledged: str
    released: str
    claimed: str
    claimable: str
    refunded: str | None
    refundable: str
    locked: str
    rounding: str | None
    held: str | None
    balance: str | None


class Money(_Record):
    """The ledger, kept twice and independently: added up from events, and read from the contract."""

    events: AccountsReport
    state: AccountsReport
    payees: tuple[PayeeReport, ...]
    backers: int


class Happening(_Record):
    """One moment of the campaign.

    Attributes:
        at: When; for what is to come, the deadline.
        what: One sentence.
        to_come: Whether it has not happened at the audited block.
        transaction: 64 hexadecimal digits; empty for what no transaction causes.
    """

    at: AwareDatetime
    what: str
    to_come: bool = False
    transaction: str = ""


class Flow(_Record):
    """A stream of money for the picture.

    Attributes:
        direction: `in` to the escrow, `out` of it, or `inside` for what is still there.
        kind: Determines the colour.
    """

    direction: Literal["in", "out", "inside"]
    kind: Literal["pledge", "withdrawn", "claimed", "claimable", "refunded", "refundable", "locked", "rounding"]
    label: str
    amount: str


class Curve(_Record):
    """A metric along the training, `points` as (step, millionths)."""

    name: str
    points: tuple[tuple[int, int], ...]


class Reference(_Record):
    """A level to compare a curve with, millionths."""

    name: str
    value: int


class Alarm(_Record):
    """A milestone whose evidence failed although a quorum attested it.

    Attributes:
        in_time: Whether its challenge window is still open.
        until: End of that window.
        headline: One sentence.
        reasons: What failed.
        choices: What the reader can still do, and what nobody can do any more.
    """

    milestone: int
    in_time: bool
    until: AwareDatetime
    headline: str
    reasons: tuple[str, ...]
    choices: tuple[str, ...]


class NextStep(_Record):
    """Something that can still be done.

    Attributes:
        who: Who can do it.
        what: One sentence.
        command: The command that does it; empty if it takes none of this program's.
        opens: From when on; `None` for now.
        until: Before when; `None` if no time ends it.
    """

    who: Acting
    what: str
    command: str
    opens: AwareDatetime | None
    until: AwareDatetime | None


class BackerReport(_Record):
    """Where one backer's money is. Amounts in whole coins of the asset, by the events.

    Attributes:
        deposited: What it ever pledged.
        withdrawn: What it took back during funding.
        pledged: Its pledge in the pool.
        share: Its part of the pool, basis points, rounded down.
        released: What of its pledge payees may have, rounded down.
        locked: What of its pledge is neither released nor refundable yet.
        refundable: What it can get back now.
        refunded: What it got back after the failure.
        bonds: Bonds of its challenges that wait in the escrow, in the chain's coin.
        votes_to_stop: Whether its pledge counts for a stop.
        next_steps: What it can still do, and until when.
    """

    address: str
    deposited: str
    withdrawn: str
    pledged: str
    share: int
    released: str
    locked: str
    refundable: str
    refunded: str
    bonds: str
    votes_to_stop: bool
    next_steps: tuple[NextStep, ...]


class Verdict(_Record):
    """The conclusion from all checks.

    Attributes:
        outcome: `contradicted` if the nodes' answers contradict one another, so that nothing can be concluded from
            them; else `fails` if a check failed; else `unchecked` if one that decides came to no result.
        headline: One sentence.
        unchecked_allowed: Whether the auditor accepts checks without a result.
        next_steps: What can still be done, by whom and until when.
    """

    outcome: Literal["holds", "fails", "unchecked", "contradicted"]
    headline: str
    passed: int
    warned: int
    failed: int
    unchecked: int
    unchecked_allowed: bool = False
    alarms: tuple[Alarm, ...] = ()
    next_steps: tuple[NextStep, ...] = ()


class ArbiterFacts(_Record):
    """Who can refuse the last tranche, and nothing else.

    Attributes:
        has_code: Whether it is a contract.
        court: Address of the court that it asks; `None` if it is not this project's arbiter for courts.
        dispute: Number of the campaign's dispute at the court that waits for a ruling; `None` if there is none.
        ruling_window: Seconds by which a contest prolongs the last challenge window.
    """

    person: Person
    has_code: bool
    court: str | None
    dispute: int | None
    ruling_window: int


class PersonNode(_Record):
    """An account around a campaign.

    Attributes:
        roles: In words; empty for one that is only a tie between others.
        kind: What kind of wallet it is, in words; empty for a plain key.
        group: Number of the group that ties bind it into; `None` if none does.
    """

    address: str
    roles: str
    kind: str
    group: int | None


class PersonTie(_Record):
    """A fact that ties two accounts together.

    Attributes:
        binds: Whether it makes the two look like one.
        block: Where it is seen; `None` for what is read from a state.
        transaction: 64 hexadecimal digits; `None` like `block`.
    """

    kind: Literal["acts-for", "pays-on", "moved", "same-name", "paid-first"]
    one: str
    other: str
    text: str
    binds: bool
    block: int | None
    transaction: str | None


class PeopleGraph(_Record):
    """The accounts around a campaign and what ties them together. None of it proves who anybody is.

    Attributes:
        looked: What was looked at, and what was not.
    """

    accounts: tuple[PersonNode, ...]
    ties: tuple[PersonTie, ...]
    looked: str


class RecordLine(_Record):
    """What the chain says that somebody did in all campaigns of the factory; `llamafund people` has the events.

    Attributes:
        campaigns: In how many of them it has the role.
        text: In words.
    """

    account: str
    role: Literal["researcher", "attestor"]
    campaigns: int
    text: str


class CampaignFacts(_Record):
    """What the campaign says about itself, read at one block; `arbiter` is `None` if its terms name none."""

    title: str
    summary: str
    status: Literal["Funding", "Active", "Completed", "Failed"]
    researcher: Person
    attestors: tuple[Person, ...]
    quorum: int
    arbiter: ArbiterFacts | None
    asset: Asset
    goal: str
    cap: str
    funding_deadline: AwareDatetime
    stop_bps: int
    stop_support: str
    challenge_window: int
    proposal: str
    dataset: str | None
    training_seed: str | None
    license: str
    metric: str
    target: int | None


class AuditReport(_Record):
    """Everything that an auditor found.

    Attributes:
        chain: CAIP-2 name.
        block: Number of the block at which everything was read.
        time: That block's time.
        finality: How settled this block is: `finalized`, `safe` or `latest`.
        depth: How far the audit went; see `checks.check.Depth`.
        hash_from: Where that block's hash comes from.
        facts: `None` if the address is not one of our campaigns.
        backer: The backer that the auditor asked about; `None` if nobody was named.
        timeline: What happened, and what is to come, in order; see `audit.chronicle`.
        records: Of the researcher and the attestors.
        proofs: What the books were proven with; `None` if nothing was to be proven.
        evidence: What the report can be checked with, without a node; `None` if nothing could be read.
        people: The accounts and what ties them; `None` if the node did not tell.
        limits: What no audit of this kind can show.
    """

    schema_: Literal["llamafund/audit/1"] = Field(default=SCHEMA, alias="schema")
    chain: str = Field(pattern=r"^eip155:(0|[1-9][0-9]{0,19})$")
    campaign: str = Field(pattern=r"^0x[0-9a-fA-F]{40}$")
    block: int = Field(ge=0, lt=2**256)
    block_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    hash_from: HashSource = "node"
    time: AwareDatetime
    finality: str
    depth: Depth
    verdict: Verdict
    checks: tuple[ReportCheck, ...]
    facts: CampaignFacts | None = None
    milestones: tuple[MilestoneReport, ...] = ()
    money: Money | None = None
    backer: BackerReport | None = None
    timeline: tuple[Happening, ...] = ()
    flows: tuple[Flow, ...] = ()
    curves: tuple[Curve, ...] = ()
    references: tuple[Reference, ...] = ()
    records: tuple[RecordLine, ...] = ()
    proofs: ProofPack | None = None
    evidence: EvidencePack | None = None
    people: PeopleGraph | None = None
    limits: tuple[str, ...] = ()

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)

    def to_json(self) -> str:
        """The report as indented JSON, ending in a newline."""
        return self.model_dump_json(indent=2) + "\n"

    def by_group(self) -> dict[str, list[ReportCheck]]:
        """The checks by group, in the order in which they ran."""
        groups: dict[str, list[ReportCheck]] = {}
        for check in self.checks:
            groups.setdefault(check.group, []).append(check)
        return groups


class AuditorSignature(_Record):
    """An auditor's signature on a report; see `audit.signed`.

    Attributes:
        auditor: Address.
        signature: Hexadecimal with 0x.
    """

    auditor: str = Field(pattern=r"^0x[0-9a-fA-F]{40}$")
    signature: str = Field(pattern=r"^0x([0-9a-f]{2}){1,8192}$")


def moment(seconds: int) -> datetime:
    """Unix seconds as an aware UTC datetime. Absurd values of a hostile node become the calendar's last moment."""
    return datetime.fromtimestamp(min(max(seconds, 0), 253_402_300_799), tz=UTC)
