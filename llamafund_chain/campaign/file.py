"""The file that a researcher writes to open a campaign: the proposal, and the terms for the money.

It is YAML with everyday units: whole coins, percent, lengths of time such as `3d`, points in time such as `+30d` or
ISO 8601. Nothing is rounded, and nothing unknown is ignored. Messages name a mistake's line and use the same units.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo

from llamafund_chain.amounts import check_amount, parse_amount
from llamafund_chain.campaign.promised import bind
from llamafund_chain.campaign.terms import (
    MAX_SCORE,
    NO_HASH,
    NO_MINIMUM,
    Milestone,
    MilestoneKind,
    Payee,
    Terms,
    TermsError,
)
from llamafund_chain.chain.data_fees import DataFeeUnknownError
from llamafund_chain.chain.tokens import NATIVE, Asset
from llamafund_chain.errors import UsageError, VerificationError
from llamafund_chain.evidence.manifests import ADDRESS_RULE, MAX_SAFE_INTEGER, RULES, Party, ProposalManifest
from llamafund_chain.files import read_spans
from llamafund_chain.mistakes import (
    DocumentError,
    Lines,
    Mistake,
    Place,
    UnfitError,
    find_mistakes,
    line_of,
    named,
    refusal,
    unfit,
    unknown_keys,
)
from llamafund_chain.strict_yaml import load_yaml_with_lines
from llamafund_chain.text import from_millionths
from llamafund_chain.times import parse_duration, parse_time

SCHEMA = "llamafund/campaign-file/1"
MAX_FILE_BYTES = 256 * 1024

T = TypeVar("T")

_METRIC_DECIMALS = 6
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,2})?) ?%")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_TARGET = ("proposal", "outcome", "target")
_KINDS = Literal["DATASET", "CHECKPOINT", "WEIGHTS"]


def _percent(text: str) -> int:
    """Basis points of a share such as `50%` or `12.5%`."""
    match = _PERCENT.fullmatch(text.strip())
    if match is None:
        raise UnfitError("A share is a percentage with at most two decimal places", "Write it like 50% or 12.5%")
    return parse_amount(match[1], 2)


def _millionths(text: str, least: int, most: int) -> int:
    """Millionths of a metric's value such as `-7.5`."""
    cleaned = text.strip()
    try:
        value = parse_amount(cleaned.removeprefix("-"), _METRIC_DECIMALS)
    except UsageError as error:
        raise UnfitError(
            "A metric's value is a decimal number with at most six decimal places", "Write it like 7.5 or -7.5"
        ) from error
    signed = -value if cleaned.startswith("-") else value
    if not least <= signed <= most:
        raise UnfitError(f"It must be between {from_millionths(least)} and {from_millionths(most)}", "Check the number")
    return signed


def _score(text: str) -> int:
    return _millionths(text, NO_MINIMUM, MAX_SCORE)


def _address(text: str) -> str:
    """An address with its checksum. A wrong checksum is refused, a missing one is accepted."""
    from eth_utils import to_checksum_address

    if not _ADDRESS.fullmatch(text):
        raise UnfitError(ADDRESS_RULE.why, ADDRESS_RULE.remedy(text))
    checksummed = str(to_checksum_address(text))
    if text[2:] not in (text[2:].lower(), text[2:].upper(), checksummed[2:]):
        raise UnfitError(
            "It has a typo: its upper and lower case letters do not match its checksum",
            "Copy the address again",
        )
    return checksummed


def _asset(text: str) -> str:
    if text == "native":
        return NATIVE
    if not _ADDRESS.fullmatch(text):
        raise UnfitError(
            "It must be native, for the chain's coin, or the address of a token", "Write native or the address"
        )
    return _address(text)


def _amount(text: str) -> str:
    check_amount(text)
    return text


def _written(parse: Callable[[str], T]) -> BeforeValidator:
    """A value that people write as text, or that YAML reads as a number."""

    def read(value: object) -> T:
        return _parsed(parse, value)

    return BeforeValidator(read)


def _moment(value: object, info: ValidationInfo) -> int:
    assert info.context is not None
    now: int = info.context["now"]
    return _parsed(lambda text: parse_time(text, now), value)


def _parsed(parse: Callable[[str], T], value: object) -> T:
    # Any other type is read as empty text, which fails with a message about what belongs there.
    written = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    try:
        return parse(written)
    except UsageError as error:
        raise UnfitError(error.why, error.remedy) from error


_Share = Annotated[int, _written(_percent)]
_Duration = Annotated[int, _written(parse_duration)]
_Moment = Annotated[int, BeforeValidator(_moment)]
_Amount = Annotated[str, _written(_amount)]
"""Checked, but not parsed: the number of decimal places depends on the asset."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _PayeeSection(_Section):
    account: Annotated[str, _written(_address)]
    share: _Share


class _MilestoneSection(_Section):
    share: _Share
    deadline: _Moment
    min_score: Annotated[int, _written(_score)] | None = None
    kind: _KINDS | None = None


class _ArbiterSection(_Section):
    account: Annotated[str, _written(_address)]
    ruling_window: _Duration


class _TermsSection(_Section):
    asset: Annotated[str, _written(_asset)] | None = None
    goal: _Amount
    cap: _Amount
    funding_deadline: _Moment
    stop: _Share
    challenge_window: _Duration
    answer_window: _Duration
    min_bond: _Amount | None = None
    slack: _Duration = 0
    quorum: int
    payees: tuple[_PayeeSection, ...]
    milestones: tuple[_MilestoneSection, ...]
    arbiter: _ArbiterSection | None = None


class _File(_Section):
    schema_: Literal["llamafund/campaign-file/1"] = Field(alias="schema")
    proposal: ProposalManifest
    terms: _TermsSection


def read(path: Path) -> Draft:
    """Read a campaign file, and check everything in it that needs no chain.

    Raises:
        UsageError: There is no such file, or it is not a campaign file.
    """
    name = repr(str(path))
    data = bytearray()
    for span in read_spans(path):
        data += span
        if len(data) > MAX_FILE_BYTES:
            raise UsageError(f"{name} is not a campaign file", f"It is longer than {MAX_FILE_BYTES} bytes")
    return parse(bytes(data), name=name)


def parse(data: bytes, *, name: str = "The campaign file") -> Draft:
    """Like `read`, but from the file's bytes.

    Args:
        data: The bytes.
        name: The file's name in messages.
    """
    try:
        document, lines = load_yaml_with_lines(data)
    except DocumentError as error:
        where = name if error.line is None else f"{name}, line {error.line}"
        raise UsageError(f"{where}: {error.problem}", remedy=error.remedy) from error
    return Draft(document, name, lines)


class Draft:
    """A campaign file of the right form, which does not know the chain's clock and its assets yet.

    Args:
        document: The file's values. They become this object's.
        name: The file's name in messages.
        lines: The lines of its values.

    Raises:
        UsageError: It is not a campaign file.
    """

    def __init__(self, document: Any, name: str, lines: Lines) -> None:
        self._name = name
        self._lines = lines
        self._check_form(document)
        self._wrong = _scale_target(document)
        self._document = document
        file = self._file(now=0)
        self._check_milestones(file)
        self._addresses(file.proposal)

    def complete(
        self, *, now: int, asset_of: Callable[[str], Asset], propose_bond: Callable[[], int]
    ) -> tuple[ProposalManifest, Terms]:
        """The proposal with the terms that it promises, and terms that the factory would accept.

        Args:
            now: Unix seconds that relative times count from: the chain's clock.
            asset_of: Returns the asset at an address; the chain's coin at `NATIVE`.
            propose_bond: Returns the least bond in wei for a file that gives none.

        Raises:
            UsageError: The factory would refuse its terms.
            VerificationError: There is no token at the asset's address.
            LlamafundError: Whatever else `asset_of` and `propose_bond` raise.
        """
        file = self._file(now)
        return bind(file.proposal, self._terms(file, now, asset_of, propose_bond))

    def _file(self, now: int) -> _File:
        wrong = list(self._wrong)
        try:
            file = _File.model_validate_json(json.dumps(self._document), context={"now": now})
        except ValidationError as error:
            wrong += find_mistakes(error, _File, self._document, language="YAML", rules=RULES)
            raise self._refuse(wrong) from error
        if wrong:
            raise self._refuse(wrong)
        return file

    def _check_form(self, document: Any) -> None:
        begin = f"Begin with the line: schema: {SCHEMA}"
        if not isinstance(document, dict):
            said = "It is empty" if document is None else "It has no sections"
            raise UsageError(f"{self._name} is not a campaign file", said, begin)
        schema = document.get("schema")
        if "schema" not in document:
            raise UsageError(f"{self._name} is not a campaign file", "It does not say that it is one", begin)
        if schema != SCHEMA:
            raise self._refuse(
                [
                    unfit(
                        ("schema",), schema, f"A campaign file says {SCHEMA}", "Check that it is the right file", "YAML"
                    )
                ]
            )
        proposal = document.get("proposal")
        if isinstance(proposal, dict) and "terms" in proposal:
            why = "The proposal promises what the section terms says, and that is written into it when it is published"
            raise self._refuse(
                [Mistake(("proposal", "terms"), "proposal.terms is written by hand", why, "Leave it out")]
            )
        unknown = list(unknown_keys(document, _File))
        if unknown:
            raise self._refuse(unknown)

    def _check_milestones(self, file: _File) -> None:
        place: Place = ("terms", "milestones")
        promised, steps = file.proposal.milestones, file.terms.milestones
        if len(steps) != len(promised):
            raise self._refuse(
                [
                    Mistake(
                        place,
                        f"{named(place)} has {len(steps)} entries, proposal.milestones has {len(promised)}",
                        "Each promised milestone has its share and its deadline, in the same order",
                        "Write as many in both",
                    )
                ]
            )
        for index, (promise, step) in enumerate(zip(promised, steps, strict=True)):
            if step.kind not in (None, promise.kind):
                inner: Place = (*place, index, "kind")
                raise self._refuse(
                    [
                        Mistake(
                            inner,
                            f"{named(inner)} is {step.kind}, but {promise.kind} in proposal.milestones",
                            "Terms and proposal describe the same milestones in the same order",
                            "Correct one of them",
                        )
                    ]
                )

    def _addresses(self, proposal: ProposalManifest) -> list[str]:
        """The researcher's address and the attestors', with their checksums."""
        parties: list[tuple[Place, Party]] = [(("proposal", "researcher", "address"), proposal.researcher)]
        parties += [(("proposal", "attestors", index, "address"), one) for index, one in enumerate(proposal.attestors)]
        found: list[str] = []
        wrong: list[Mistake] = []
        for place, party in parties:
            try:
                found.append(_address(party.address))
            except UnfitError as error:
                wrong.append(unfit(place, party.address, error.why, error.remedy, "YAML"))
        if wrong:
            raise self._refuse(wrong)
        return found

    def _terms(self, file: _File, now: int, asset_of: Callable[[str], Asset], propose_bond: Callable[[], int]) -> Terms:
        section, proposal = file.terms, file.proposal
        researcher, *attestors = self._addresses(proposal)
        coin = asset_of(NATIVE)
        asset = self._asset(section.asset or NATIVE, asset_of)
        terms = Terms(
            researcher=researcher,
            asset=asset.address,
            goal=self._money("goal", section.goal, asset),
            cap=self._money("cap", section.cap, asset),
            funding_deadline=section.funding_deadline,
            stop_bps=section.stop,
            challenge_window=section.challenge_window,
            answer_window=section.answer_window,
            min_bond=self._bond(section.min_bond, coin, propose_bond),
            slack=section.slack,
            proposal=proposal.sha256,
            dataset=proposal.dataset.manifest or NO_HASH,
            attestors=tuple(attestors),
            quorum=section.quorum,
            payees=tuple(Payee(payee.account, payee.share) for payee in section.payees),
            milestones=tuple(
                Milestone(
                    kind=MilestoneKind[promise.kind],
                    bps=step.share,
                    deadline=step.deadline,
                    min_score=NO_MINIMUM if step.min_score is None else step.min_score,
                )
                for promise, step in zip(proposal.milestones, section.milestones, strict=True)
            ),
            arbiter=None if section.arbiter is None else section.arbiter.account,
            ruling_window=0 if section.arbiter is None else section.arbiter.ruling_window,
        )
        try:
            terms.validate(now, money=asset.format, coin=coin.format)
        except TermsError as error:
            place = _place_of(error)
            raise self._refuse([Mistake(place, f"{named(place)} {error.said}", error.why, error.remedy)]) from error
        return terms

    def _asset(self, address: str, asset_of: Callable[[str], Asset]) -> Asset:
        try:
            return asset_of(address)
        except VerificationError as error:
            line = line_of(("terms", "asset"), self._lines)
            raise VerificationError(
                f"{self._name}, line {line}: terms.asset: {error.what}", error.why, error.remedy
            ) from error

    def _bond(self, text: str | None, coin: Asset, propose_bond: Callable[[], int]) -> int:
        if text is not None:
            return self._money("min_bond", text, coin)
        try:
            return propose_bond()
        except DataFeeUnknownError as error:
            remedy = "Write min_bond: what an answer to a challenge costs on this chain, and half as much more"
            what = f"{self._name} gives no terms.min_bond: {error.what}"
            raise DataFeeUnknownError(what, error.why, remedy) from error

    def _money(self, key: str, text: str, asset: Asset) -> int:
        try:
            return asset.parse(text)
        except UsageError as error:
            raise self._refuse([unfit(("terms", key), text, error.why, error.remedy, "YAML")]) from error

    def _refuse(self, mistakes: Sequence[Mistake]) -> UsageError:
        by_line = sorted(mistakes, key=lambda mistake: line_of(mistake.place, self._lines) or 0)
        return refusal(UsageError, self._name, by_line, self._lines)


def _scale_target(document: dict[str, Any]) -> list[Mistake]:
    """Convert the promised value from the metric's unit to the millionths of the manifest."""
    outcome = document
    for key in _TARGET[:-1]:
        outcome = outcome.get(key) if isinstance(outcome, dict) else None  # type: ignore[assignment]
    if not isinstance(outcome, dict) or "target" not in outcome:
        return []
    value, outcome["target"] = outcome["target"], 0
    try:
        outcome["target"] = _parsed(lambda text: _millionths(text, -MAX_SAFE_INTEGER, MAX_SAFE_INTEGER), value)
    except UnfitError as error:
        return [unfit(_TARGET, value, error.why, error.remedy, "YAML")]
    return []


def _place_of(error: TermsError) -> Place:
    """The place in the file of a field of the terms, which may have another name there."""
    first, *rest = error.field
    inner = ["share" if part == "bps" else part for part in rest]
    if first == "attestors":
        return ("proposal", "attestors", *inner, *(("address",) if inner else ()))
    if first == "milestones" and inner[1:] == ["kind"]:
        return ("proposal", "milestones", *inner)
    if first == "arbiter":
        return ("terms", "arbiter", "account")
    if first == "ruling_window":
        return ("terms", "arbiter", "ruling_window")
    return ("terms", "stop" if first == "stop_bps" else first, *inner)
