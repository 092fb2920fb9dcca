"""What a check is: it examines one milestone's evidence and reports findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, ParamSpec

from pydantic import JsonValue

from llamafund_chain.campaign.terms import Terms
from llamafund_chain.evidence.manifests import (
    EvidenceManifest,
    ProposalManifest,
)
from llamafund_chain.text import printable

if TYPE_CHECKING:
    from llamafund_chain.store import Store


P = ParamSpec("P")

CheckStatus = Literal["pass", "fail", "warn", "skip"]


@dataclass(frozen=True)
class Finding:
    """One finding of a check. It has no name of its own, so no check can report under another check's name.

    Attributes:
        status: `warn` needs a person's judgement, `skip` was not examined.
        detail: A sentence for people, with the values that decided. Parts of it may be strangers' text.
        data: The same facts, as JSON.
    """

    status: CheckStatus
    detail: str
    data: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckResult:
    """A finding with its check's name.

    Attributes:
        name: Stable name in kebab case, for example `content-published`.
        status: As in `Finding`.
        detail: As in `Finding`, but made printable.
        data: As in `Finding`.
    """

    name: str
    status: CheckStatus
    detail: str
    data: Mapping[str, JsonValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "detail", printable(self.detail, 1000))

    @classmethod
    def of(cls, name: str, finding: Finding) -> CheckResult:
        """A finding under the name of its check."""
        return cls(name, finding.status, finding.detail, finding.data)


@dataclass(frozen=True)
class CheckContext:
    """Everything that a check may examine. Everything from the chain was read at one block.

    Attributes:
        chain_id: EIP-155 number.
        campaign: Checksummed address.
        training_seed: 64 hexadecimal digits, empty before activation.
        milestone: Index in the terms.
        ancestry: Evidence of the earlier milestones on chain, oldest first.
        score: The attested or proposed score in millionths, higher is better; `None` if not known.
        entropy: Determines the random samples. Nobody could know it when the evidence was made.
        replay_segments: How many training segments to replay; 0 for none.
        workdir: Existing directory for fetched files; `run_checks` gives each check its own in it.
        progress: Called with a short sentence before anything slow.
        content_withheld: Whether the attestation says that the content is not published (`contentSize` 0).
    """

    store: Store
    proposal: ProposalManifest
    terms: Terms
    chain_id: int
    campaign: str
    training_seed: str
    milestone: int
    evidence: EvidenceManifest
    ancestry: tuple[EvidenceManifest, ...]
    score: int | None
    entropy: bytes
    replay_segments: int
    workdir: Path
    progress: Callable[[str], None]
    content_withheld: bool = False


Check = Callable[[CheckContext], Iterator[Finding]]


def check_name(check: Callable[..., object]) -> str:
    """The name by which a check is listed, skipped and reported: its function's name, with hyphens."""
    name: str = getattr(check, "__name__", type(check).__name__)
    return name.strip("_").replace("_", "-")


def result_of(check: Callable[P, Finding], *args: P.args, **kwargs: P.kwargs) -> CheckResult:
    """The result of a check that always has one finding.

    Args:
        check: The function.
        args: Its arguments.
        kwargs: Its keyword arguments.
    """
    return CheckResult.of(check_name(check), check(*args, **kwargs))
