"""The facts of a demo, as JSON. Amounts are decimal strings in whole coins, hashes are 64 hexadecimal digits."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

Amount = str
"""Decimal number of whole coins, with all decimals of the asset and no exponent."""


class _Fact(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True, serialize_by_alias=True)


class Expectation(_Fact):
    """One thing that the story relies on, and whether it held.

    Attributes:
        act: Number of the act, 1 to 7.
        claim: What should hold, as a sentence.
        held: Whether it did.
        found: The values that decided it.
    """

    act: int
    claim: str
    held: bool
    found: str = ""


class ActFact(_Fact):
    """One act and how many seconds it took."""

    number: int
    title: str
    seconds: float


class Share(_Fact):
    """What one backer or payee put in and got out of a campaign, whole coins."""

    name: str
    account: str
    pledged: Amount = "0"
    paid: Amount = "0"
    refunded: Amount = "0"


class CampaignFact(_Fact):
    """A campaign's end.

    Attributes:
        ending: What became of it, as a sentence.
        pledged: What the campaign held when it left Funding.
        taken_back: Pledges taken back before that; not part of `pledged`.
        paid: What payees collected.
        refunded: What backers got back.
        dust: What integer division leaves in the contract forever.
        balanced: Whether pledged = paid + refunded + dust, to the smallest unit.
    """

    name: str
    title: str
    address: str
    asset: str
    decimals: int
    status: str
    ending: str
    pledged: Amount
    taken_back: Amount
    paid: Amount
    refunded: Amount
    dust: Amount
    balanced: bool
    backers: list[Share]
    payees: list[Share]


class TrainingFact(_Fact):
    """The funded training run. Losses are bits per byte of held-out text in millionths; lower is better."""

    seed: str
    seconds: float
    steps: int
    checkpoints: int
    parameters: int
    heldout_bits_per_byte: int
    promised_bits_per_byte: int
    unigram_bits_per_byte: int
    replayed: list[str]
    sample_prompt: str = ""
    sample: str = ""


class FraudFact(_Fact):
    """An attempted rug pull.

    Attributes:
        caught_by: Names of the checks that failed, or of the error.
        said: The program's own words.
        outcome: What became of the money.
    """

    name: str
    caught_by: list[str]
    said: str
    outcome: str


class AuditFact(_Fact):
    """An audit's verdict; `report` is a path inside the demo's folder."""

    campaign: str
    verdict: str
    passed: int
    failed: int
    warnings: int
    report: str


class DemoFacts(_Fact):
    """Everything that a demo computed.

    Attributes:
        held: Whether the story finished and every expectation held.
        broken: Why it did not hold; otherwise empty.
        started_at: Unix seconds.
        seconds: Duration of the whole demo.
    """

    SCHEMA: ClassVar[str] = "llamafund/demo/1"

    schema_: Literal["llamafund/demo/1"] = Field(default="llamafund/demo/1", alias="schema")
    held: bool = False
    broken: str = ""
    started_at: int
    seconds: float = 0.0
    folder: str
    chain: str = ""
    factory: str = ""
    implementation: str = ""
    manifests: dict[str, str] = Field(default_factory=dict)
    acts: list[ActFact] = Field(default_factory=list)
    expectations: list[Expectation] = Field(default_factory=list)
    training: TrainingFact | None = None
    campaigns: list[CampaignFact] = Field(default_factory=list)
    frauds: list[FraudFact] = Field(default_factory=list)
    audits: list[AuditFact] = Field(default_factory=list)

    def to_json(self) -> str:
        """The facts as indented JSON, ending in a newline."""
        return self.model_dump_json(indent=2) + "\n"
