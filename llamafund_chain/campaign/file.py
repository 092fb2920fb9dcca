"""The file that a researcher writes to open a campaign: what is proposed, and the terms of the money.

YAML with people's units: whole coins, percent, lengths of time such as `3d`, points in time such as `+30d` or
ISO 8601. Nothing is rounded, nothing unknown is passed over.
"""

from __future__ import annotations

import difflib
import json
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from llamafund_chain.amounts import parse_amount
from llamafund_chain.campaign.terms import NO_HASH, NO_MINIMUM, Milestone, MilestoneKind, Payee, Terms
from llamafund_chain.chain.tokens import NATIVE
from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.manifests import Address, ProposalManifest
from llamafund_chain.files import read_spans
from llamafund_chain.strict_yaml import load_yaml
from llamafund_chain.text import printable
from llamafund_chain.times import parse_duration, parse_time

SCHEMA = "llamafund/campaign-file/1"
MAX_FILE_BYTES = 256 * 1024

T = TypeVar("T")
S = TypeVar("S", bound=BaseModel)

_NATIVE_DECIMALS = 18
_METRIC_DECIMALS = 6
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,2})?) ?%")

# A number may be written with or without quotes; without them YAML gives an integer.
_Number = Annotated[str, Field(strict=False, coerce_numbers_to_str=True), StringConstraints(max_length=100)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, coerce_numbers_to_str=True)


class _PayeeSection(_Section):
    account: Address
    share: str


class _MilestoneSection(_Section):
    share: str
    deadline: str
    min_score: _Number | None = None
    kind: Literal["DATASET", "CHECKPOINT", "WEIGHTS"] | None = None


class _TermsSection(_Section):
    asset: Address | Literal["native"] | None = None
    goal: _Number
    cap: _Number
    funding_deadline: str
    stop: str
    challenge_window: str
    answer_window: str
    min_bond: _Number = "0"
    slack: str = "0s"
    quorum: int
    payees: tuple[_PayeeSection, ...]
    milestones: tuple[_MilestoneSection, ...]


class _File(_Section):
    schema_: Literal["llamafund/campaign-file/1"] = Field(alias="schema")
    proposal: dict[str, Any]
    terms: _TermsSection


def load(path: Path, *, now: int, decimals_of: Callable[[str], int]) -> tuple[ProposalManifest, Terms]:
    """Read a campaign file.

    Args:
        path: The file.
        now: Unix seconds that relative times count from: the chain's clock.
        decimals_of: Decimal places of the token at an address.

    Raises:
        UsageError: There is no such file, it is no campaign file, or it contradicts itself.
    """
    data = bytearray()
    for span in read_spans(path):
        data += span
        if len(data) > MAX_FILE_BYTES:
            raise UsageError(f"{str(path)!r} is not a campaign file", f"It is longer than {MAX_FILE_BYTES} bytes")
    try:
        return parse(bytes(data).decode("utf-8"), now=now, decimals_of=decimals_of)
    except UnicodeDecodeError as error:
        raise UsageError(f"{str(path)!r} is not a campaign file", "It is not UTF-8 text") from error
    except UsageError as error:
        raise UsageError(f"{str(path)!r}: {error.what}", error.why, error.remedy) from error


def parse(text: str, *, now: int, decimals_of: Callable[[str], int]) -> tuple[ProposalManifest, Terms]:
    """As `load`, from the file's text."""
    try:
        document = load_yaml(text)
    except ValueError as error:
        raise UsageError("This is not a campaign file", printable(str(error), 300)) from error
    if not isinstance(document, dict):
        raise UsageError("This is not a campaign file", "It has no sections", f"Begin with: schema: {SCHEMA}")
    _check_keys(document, _File, "")
    if isinstance(document.get("proposal"), dict):
        _scale_target(document["proposal"])
        _check_keys(document["proposal"], ProposalManifest, "proposal.")
    file = _validate(_File, document, "")
    proposal = _validate(ProposalManifest, file.proposal, "proposal.")
    return proposal, _terms(file.terms, proposal, now, decimals_of)


def _terms(section: _TermsSection, proposal: ProposalManifest, now: int, decimals_of: Callable[[str], int]) -> Terms:
    asset = NATIVE if section.asset in (None, "native") else _address(str(section.asset), "terms.asset")
    decimals = _NATIVE_DECIMALS if asset == NATIVE else decimals_of(asset)
    if len(section.milestones) != len(proposal.milestones):
        raise UsageError(
            f"terms.milestones has {len(section.milestones)} entries, proposal.milestones {len(proposal.milestones)}",
            "Each promised milestone has its share and deadline",
        )
    return Terms(
        researcher=_address(proposal.researcher.address, "proposal.researcher.address"),
        asset=asset,
        goal=_named("terms.goal", lambda: parse_amount(section.goal, decimals)),
        cap=_named("terms.cap", lambda: parse_amount(section.cap, decimals)),
        funding_deadline=_named("terms.funding_deadline", lambda: parse_time(section.funding_deadline, now)),
        stop_bps=_named("terms.stop", lambda: _percent(section.stop)),
        challenge_window=_named("terms.challenge_window", lambda: parse_duration(section.challenge_window)),
        answer_window=_named("terms.answer_window", lambda: parse_duration(section.answer_window)),
        min_bond=_named("terms.min_bond", lambda: parse_amount(section.min_bond, _NATIVE_DECIMALS)),
        slack=_named("terms.slack", lambda: parse_duration(section.slack)),
        proposal=proposal.sha256,
        dataset=proposal.dataset.manifest or NO_HASH,
        attestors=tuple(
            _address(party.address, f"proposal.attestors.{index}.address")
            for index, party in enumerate(proposal.attestors)
        ),
        quorum=section.quorum,
        payees=tuple(
            Payee(
                _address(payee.account, f"terms.payees.{index}.account"),
                _named(f"terms.payees.{index}.share", lambda payee=payee: _percent(payee.share)),  # type: ignore[misc]
            )
            for index, payee in enumerate(section.payees)
        ),
        milestones=tuple(
            _milestone(index, step, proposal.milestones[index].kind, now)
            for index, step in enumerate(section.milestones)
        ),
    )


def _milestone(index: int, step: _MilestoneSection, promised: str, now: int) -> Milestone:
    place = f"terms.milestones.{index}"
    if step.kind is not None and step.kind != promised:
        raise UsageError(
            f"{place}.kind is {step.kind}, but proposal.milestones.{index}.kind is {promised}",
            "Terms and proposal describe the same milestones in the same order",
        )
    minimum = step.min_score
    return Milestone(
        kind=MilestoneKind[promised],
        bps=_named(f"{place}.share", lambda: _percent(step.share)),
        deadline=_named(f"{place}.deadline", lambda: parse_time(step.deadline, now)),
        min_score=NO_MINIMUM if minimum is None else _named(f"{place}.min_score", lambda: _millionths(str(minimum))),
    )


def _scale_target(proposal: dict[str, Any]) -> None:
    """Turn the promised value from the metric's unit into the millionths that the manifest holds."""
    outcome = proposal.get("outcome")
    if isinstance(outcome, dict) and "target" in outcome:
        outcome["target"] = _named("proposal.outcome.target", lambda: _millionths(str(outcome["target"])))


def _millionths(text: str) -> int:
    sign = -1 if text.strip().startswith("-") else 1
    return sign * parse_amount(text.strip().removeprefix("-"), _METRIC_DECIMALS)


def _percent(text: str) -> int:
    """Basis points of a share such as `50%` or `12.5%`."""
    match = _PERCENT.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"{printable(text, 40)!r} is not a share",
            "It is a percentage with at most two decimal places",
            "Write it like 50% or 12.5%",
        )
    return parse_amount(match[1], 2)


def _named(place: str, read: Callable[[], T]) -> T:
    """What `read` gives; a mistake in it is reported with its place in the file."""
    try:
        return read()
    except UsageError as error:
        raise UsageError(f"{place}: {error.what}", error.why, error.remedy) from error


def _address(text: str, place: str) -> str:
    from eth_utils import to_checksum_address

    checksummed = str(to_checksum_address(text))
    if text[2:] not in (text[2:].lower(), text[2:].upper(), checksummed[2:]):
        raise UsageError(
            f"{place} is {text}",
            "Its upper and lower case letters do not fit together: an address with a typing error",
            "Copy the address again",
        )
    return checksummed


def _validate(kind: type[S], document: dict[str, Any], place: str) -> S:
    try:
        return kind.model_validate_json(json.dumps(document))
    except ValidationError as error:
        first = error.errors()[0]
        where = place + ".".join(str(part) for part in first["loc"])
        missing = first["type"] == "missing"
        what = f"{where} is missing" if missing else f"{where} cannot be used: {first['msg']}"
        raise UsageError(what, f"{error.error_count() - 1} more like it" if error.error_count() > 1 else "") from error


def _check_keys(section: Mapping[str, Any], kind: type[BaseModel], place: str) -> None:
    """Refuse keys that the model does not have, however deep, naming the nearest one that it has."""
    known = {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
    for key, value in section.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            raise UsageError(
                f"{place}{printable(str(key), 60)} is not known here",
                f"Known are {', '.join(known)}",
                f"Did you mean {near[0]}?" if near else "",
            )
        for model in _models(known[key]):
            for index, item in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(item, dict):
                    inner = f"{place}{key}.{index}." if isinstance(value, list) else f"{place}{key}."
                    _check_keys(item, model, inner)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for part in typing.get_args(annotation):
        yield from _models(part)
