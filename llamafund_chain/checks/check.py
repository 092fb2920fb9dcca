"""What a check is: it examines one milestone's evidence and reports findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, ParamSpec, TypeVar, get_args

from pydantic import JsonValue

from llamafund_chain.campaign.terms import Terms
from llamafund_chain.errors import LlamafundError, accuses, system_reason
from llamafund_chain.evidence.manifests import (
    EvidenceManifest,
    ProposalManifest,
)
from llamafund_chain.text import printable

if TYPE_CHECKING:
    from llamafund_chain.store import Store


P = ParamSpec("P")
T = TypeVar("T")

_TRAINER_PACKAGES = frozenset({"accelerate", "llamafund_trainer", "safetensors", "tokenizers", "torch", "transformers"})

CheckStatus = Literal["pass", "fail", "warn", "unchecked"]

Depth = Literal["books", "evidence", "weights", "replay"]
"""How far an audit goes, each including those before it: contract, events and money; manifests and published bytes;
the weights and their score; the training, repeated in part."""

DEPTHS: tuple[Depth, ...] = get_args(Depth)


Contradiction = Literal["itself", "each other"]
"""Whom the answers of a node contradict: its own, or those of another node."""


@dataclass(frozen=True)
class Finding:
    """One finding of a check. It has no name of its own, so no check can report under another check's name.

    Attributes:
        status: `warn` needs a person's judgement; `unchecked` could not be told, which accuses nobody.
        detail: A sentence for people, with the values that decided. Parts of it may be strangers' text.
        data: The same facts, as JSON.
        contradiction: What is wrong with the nodes that were asked, if that is what was found. Then nothing could be
            told about the campaign, and `status` is `unchecked`.
    """

    status: CheckStatus
    detail: str
    data: Mapping[str, JsonValue] = field(default_factory=dict)
    contradiction: Contradiction | None = None


def contradicts(detail: str, data: Mapping[str, JsonValue] | None = None, whom: Contradiction = "itself") -> Finding:
    """The finding that nodes contradict themselves or each other, which accuses nobody else."""
    return Finding("unchecked", detail, data or {}, whom)


@dataclass(frozen=True)
class CheckResult:
    """A finding with its check's name.

    Attributes:
        name: Stable name in kebab case, for example `content-published`.
        status: As in `Finding`.
        detail: As in `Finding`, but made printable.
        data: As in `Finding`.
        contradiction: As in `Finding`.
    """

    name: str
    status: CheckStatus
    detail: str
    data: Mapping[str, JsonValue] = field(default_factory=dict)
    contradiction: Contradiction | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "detail", printable(self.detail, 1000))

    @classmethod
    def of(cls, name: str, finding: Finding) -> CheckResult:
        """A finding under the name of its check."""
        return cls(name, finding.status, finding.detail, finding.data, finding.contradiction)


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
        jobs: How many processes share the training segments.
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
    jobs: int = 1


Check = Callable[[CheckContext], Iterator[Finding]]


def check_name(check: Callable[..., object]) -> str:
    """The name by which a check is listed, left out and reported: its function's name, with hyphens."""
    name: str = getattr(check, "__name__", type(check).__name__)
    return name.strip("_").replace("_", "-")


def needs(depth: Depth) -> Callable[[T], T]:
    """Mark a check as one that only an audit of some depth runs. Unmarked checks are for `evidence`.

    Args:
        depth: The first depth that includes it.
    """

    def mark(check: T) -> T:
        check.depth = depth  # type: ignore[attr-defined]
        return check

    return mark


def depth_of(check: Check) -> Depth:
    """The first depth that includes a check."""
    depth: Depth = getattr(check, "depth", "evidence")
    return depth


def finding_of(error: Exception) -> Finding:
    """What a check has found that ended with an error.

    Only bytes that contradict what was published fail. Trouble with a store, a node, a disk, memory or the check itself
    says nothing about anybody.
    """
    if accuses(error):
        return Finding("fail", str(error))
    if isinstance(error, LlamafundError):
        return Finding("unchecked", str(error))
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in _TRAINER_PACKAGES:
        detail = f"It needs the package {error.name}, which is not installed"
        return Finding("unchecked", f"{detail}. Try: pip install 'llamafund[trainer]'")
    if isinstance(error, MemoryError):
        return Finding(
            "unchecked", "The memory did not suffice. Run it again on a machine with more, or with more free"
        )
    reason = system_reason(error) or (str(error) if isinstance(error, OSError) else "")
    if reason:
        return Finding("unchecked", f"This machine got in the way: {reason}. Mend that, and run it again")
    return Finding("unchecked", f"The check itself broke, which is a bug: {type(error).__name__}: {error}")


def result_of(check: Callable[P, Finding], *args: P.args, **kwargs: P.kwargs) -> CheckResult:
    """The result of a check that always has one finding.

    Args:
        check: The function.
        args: Its arguments.
        kwargs: Its keyword arguments.
    """
    return CheckResult.of(check_name(check), check(*args, **kwargs))
