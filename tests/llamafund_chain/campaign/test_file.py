"""Campaign files: people's units in, exact terms out, nothing unknown passed over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from llamafund_chain.campaign import file
from llamafund_chain.campaign.file import SCHEMA, parse
from llamafund_chain.campaign.terms import DAY, NO_HASH, NO_MINIMUM, MilestoneKind
from llamafund_chain.chain.data_fees import DataFeeUnknownError
from llamafund_chain.chain.tokens import NATIVE, Asset
from llamafund_chain.checks.agreement import terms_as_promised
from llamafund_chain.errors import UsageError, VerificationError

NOW = 1_800_000_000
ROSA = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
VERA = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
TOKEN = "0x5FbDB2315678afecb367f032d93F642f64180aa3"


def document(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "schema": "llamafund/campaign-file/1",
        "proposal": {
            "title": "A small llama",
            "summary": "Trained in the open.",
            "objectives": ["train", "publish"],
            "outcome": {"metric": "loss", "direction": "lower", "target": "2.9", "evaluation": "held-out text"},
            "dataset": {"manifest": "ab" * 32, "description": "text", "sources": ["here"], "license": "CC0-1.0"},
            "model": "Llama",
            "recipe": None,
            "compute": "two cores",
            "budget": "all of it",
            "milestones": [
                {"kind": "DATASET", "title": "data", "description": "published"},
                {"kind": "WEIGHTS", "title": "weights", "description": "open"},
            ],
            "license": "Apache-2.0",
            "researcher": {"name": "Rosa", "address": ROSA},
            "attestors": [{"name": "Vera", "address": VERA, "promise": "to look"}],
        },
        "terms": {
            "asset": None,
            "goal": "10.000000000000000001",
            "cap": "20",
            "funding_deadline": "+14d",
            "stop": "50%",
            "challenge_window": "2d12h",
            "answer_window": "1d",
            "min_bond": "0.01",
            "slack": "2w",
            "quorum": 1,
            "payees": [{"account": ROSA, "share": "66.67%"}, {"account": VERA, "share": "33.33 %"}],
            "milestones": [
                {"share": "30%", "deadline": "2027-03-01T12:00:00Z"},
                {"share": "70%", "deadline": "2027-04-01T12:00:00+02:00", "min_score": "-2.900001"},
            ],
        },
    }
    for path, value in changes.items():
        target = made
        *parents, last = path.split("__")
        for key in parents:
            target = target[int(key) if key.isdigit() else key]
        key = int(last) if isinstance(target, list) else last
        if value is ...:
            del target[key]
        else:
            target[key] = value
    return made


PROPOSED = 15 * 10**14


def asset_of(address: str) -> Asset:
    return Asset(address, "ETH", 18) if address == NATIVE else Asset(address, "USDC", 6)


def read(text: str):
    return parse(text.encode("utf-8", "surrogatepass")).complete(
        now=NOW, asset_of=asset_of, propose_bond=lambda: PROPOSED
    )


def dump(**changes: Any) -> str:
    return str(yaml.safe_dump(document(**changes), sort_keys=False))


def test_peoples_units_become_exact_terms() -> None:
    proposal, terms = read(dump())
    assert proposal.outcome.target == 2_900_000
    assert terms.proposal == proposal.sha256
    assert terms_as_promised(proposal, terms).status == "pass"
    assert terms.dataset == "ab" * 32
    assert (terms.asset, terms.goal, terms.cap) == (NATIVE, 10 * 10**18 + 1, 20 * 10**18)
    assert terms.funding_deadline == NOW + 14 * DAY
    assert (terms.stop_bps, terms.challenge_window, terms.answer_window) == (5_000, 60 * 3_600, DAY)
    assert (terms.min_bond, terms.slack) == (10**16, 14 * DAY)
    assert [payee.bps for payee in terms.payees] == [6_667, 3_333]
    assert [step.kind for step in terms.milestones] == [MilestoneKind.DATASET, MilestoneKind.WEIGHTS]
    assert [step.deadline for step in terms.milestones] == [1_803_902_400, 1_806_573_600]
    assert [step.min_score for step in terms.milestones] == [NO_MINIMUM, -2_900_001]


def test_a_proposal_that_promises_terms_by_hand_is_refused() -> None:
    with pytest.raises(UsageError, match=r"proposal\.terms is written by hand.*Leave it out"):
        read(dump(proposal__terms={"goal": "1"}))


def test_an_arbiter_is_nobody_unless_the_file_names_one() -> None:
    assert (read(dump())[1].arbiter, read(dump())[1].ruling_window) == (None, 0)
    terms = read(dump(terms__arbiter={"account": VERA.lower(), "ruling_window": "30d"}))[1]
    assert (terms.arbiter, terms.ruling_window) == (VERA, 30 * DAY)


def test_a_bond_that_the_file_does_not_give_is_the_proposed_one() -> None:
    assert read(dump(terms__min_bond=...))[1].min_bond == PROPOSED
    assert read(dump(terms__min_bond=None))[1].min_bond == PROPOSED
    assert read(dump(terms__min_bond="0.02"))[1].min_bond == 2 * 10**16


def test_a_bond_that_could_not_be_proposed_has_to_be_given() -> None:
    def unknown() -> int:
        raise DataFeeUnknownError("The fee could not be told")

    def parsed(text: str):
        return parse(text.encode()).complete(now=NOW, asset_of=asset_of, propose_bond=unknown)

    with pytest.raises(
        DataFeeUnknownError, match=r"gives no terms\.min_bond: The fee could not be told\. Write min_bond"
    ):
        parsed(dump(terms__min_bond=...))
    assert parsed(dump())[1].min_bond == 10**16


def test_a_promised_dataset_is_no_hash() -> None:
    assert read(dump(proposal__dataset__manifest=None))[1].dataset == NO_HASH


def test_amounts_of_a_token_have_its_decimals() -> None:
    text = dump(terms__asset=TOKEN, terms__goal="1.000001", terms__cap="2")
    terms = read(text)[1]
    assert (terms.asset, terms.goal) == (TOKEN, 1_000_001)
    assert terms.min_bond == 10**16, "a bond is always in the chain's coin"


def test_numbers_and_addresses_need_no_quotes() -> None:
    text = dump().replace("'10.000000000000000001'", "0.1").replace("'20'", "20")
    text = (
        text.replace(f"'{ROSA}'", ROSA)
        .replace("'2.9'", "2.9")
        .replace("'2027-03-01T12:00:00Z'", "2027-03-01T12:00:00Z")
    )
    proposal, terms = read(text)
    assert (terms.goal, terms.cap) == (10**17, 20 * 10**18)
    assert terms.researcher == ROSA
    assert proposal.outcome.target == 2_900_000


AMOUNT = (
    "An amount is a plain decimal number of whole coins, without sign, unit or separators. "
    "Write it like 25, 0.1 or 1e-18."
)
SHARE = "A share is a percentage with at most two decimal places. Write it like 50% or 12.5%."
LENGTH = "A length of time is numbers with the units s, m, h, d and w. Write it like 3d, 36h or 1d12h."
MOMENT = (
    "A point in time is ISO 8601 with a time zone, or counted from now. Write it like 2027-01-31T12:00:00Z or +30d."
)
EXACT = "A deadline is exact to the second and the same everywhere, so it needs a time of day and a time zone. "
METRIC = "A metric's value is a decimal number with at most six decimal places. Write it like 7.5 or -7.5."
ADDRESS = "It must be an address: 0x and 40 hexadecimal digits. "
HASH = "It must be a SHA-256 hash: 64 lower-case hexadecimal digits. "
TERMS = (
    "asset, goal, cap, funding_deadline, stop, challenge_window, answer_window, min_bond, slack, quorum, payees, "
    "milestones, arbiter"
)
MISTAKES: list[tuple[dict[str, Any], str]] = [
    # What is written in people's units.
    ({"terms__goal": "1,000"}, f"line 40: terms.goal is '1,000'. {AMOUNT}"),
    ({"terms__goal": "-1"}, f"line 40: terms.goal is '-1'. {AMOUNT}"),
    ({"terms__goal": None}, f"line 40: terms.goal has no value. {AMOUNT}"),
    ({"terms__goal": ["10"]}, f"line 40: terms.goal is a list. {AMOUNT}"),
    (
        {"terms__goal": "1e-19"},
        (
            "line 40: terms.goal is '1e-19'. "
            "The asset has 18 decimals, so its smallest amount is 0.000000000000000001. "
            "Write an amount with fewer decimal places."
        ),
    ),
    (
        {"terms__asset": TOKEN, "terms__goal": "0.0000001"},
        (
            "line 40: terms.goal is '0.0000001'. The asset has 6 decimals, so its smallest amount is 0.000001. "
            "Write an amount with fewer decimal places."
        ),
    ),
    ({"terms__stop": "half"}, f"line 43: terms.stop is 'half'. {SHARE}"),
    ({"terms__stop": 50}, f"line 43: terms.stop is 50. {SHARE}"),
    ({"terms__stop": "33.333%"}, f"line 43: terms.stop is '33.333%'. {SHARE}"),
    ({"terms__slack": "two weeks"}, f"line 47: terms.slack is 'two weeks'. {LENGTH}"),
    ({"terms__challenge_window": 3}, f"line 44: terms.challenge_window is 3. {LENGTH}"),
    ({"terms__funding_deadline": "tomorrow"}, f"line 42: terms.funding_deadline is 'tomorrow'. {MOMENT}"),
    (
        {"terms__funding_deadline": "2027-03-01"},
        f"line 42: terms.funding_deadline is '2027-03-01'. {EXACT}Write it like 2027-03-01T00:00:00Z for UTC.",
    ),
    (
        {"terms__milestones__1__min_score": "x"},
        f"line 59: min_score in the second entry of terms.milestones is 'x'. {METRIC}",
    ),
    (
        {"terms__milestones__1__min_score": "1e30"},
        (
            "line 59: min_score in the second entry of terms.milestones is '1e30'. "
            "It must be between -9223372036854.775808 and 9223372036854.775807. Check the number."
        ),
    ),
    ({"proposal__outcome__target": "2.9000001"}, f"line 11: proposal.outcome.target is '2.9000001'. {METRIC}"),
    ({"proposal__outcome__target": None}, f"line 11: proposal.outcome.target has no value. {METRIC}"),
    # Whole numbers, text, lists and sections.
    (
        {"terms__quorum": "two"},
        "line 48: terms.quorum is 'two'. It must be a whole number. Write it in digits.",
    ),
    (
        {"terms__quorum": "1"},
        "line 48: terms.quorum is '1'. It must be a whole number. Write it without quotes: 1.",
    ),
    ({"proposal__title": 2027}, 'line 3: proposal.title is 2027. It must be text. Put it in quotes: "2027".'),
    ({"proposal__title": ""}, "line 3: proposal.title is empty. Text belongs there. Fill it in."),
    (
        {"proposal__title": "x" * 301},
        "line 3: proposal.title has 301 characters. It may have at most 300 characters. Shorten it.",
    ),
    (
        {"proposal__objectives": "train"},
        (
            "line 5: proposal.objectives is 'train'. It must be a list. "
            "Write each entry in a line of its own, after a dash."
        ),
    ),
    (
        {"proposal": "text"},
        "line 2: proposal is 'text'. It must be a section with keys of its own. Write its keys and values there.",
    ),
    (
        {"terms": ["text"]},
        "line 38: terms is a list. It must be a section with keys of its own. Write its keys and values there.",
    ),
    (
        {"proposal__attestors": []},
        "line 34: proposal.attestors has no entries. It must have at least 1 entry. Add what is missing.",
    ),
    (
        {"proposal__outcome__direction": "Lower"},
        "line 10: proposal.outcome.direction is 'Lower'. It must be 'lower' or 'higher'. Did you mean lower?",
    ),
    # Keys.
    ({"terms__cap": ...}, "line 38: terms.cap is missing. Add it."),
    ({"proposal": ...}, "proposal is missing. Add it."),
    ({"terms__qorum": 1}, f"line 60: terms.qorum is not known here. Known are {TERMS}. Did you mean quorum?"),
    (
        {"proposal__outcome__taget": "1"},
        (
            "line 13: proposal.outcome.taget is not known here. "  # codespell:ignore
            "Known are metric, direction, target, evaluation. "
            "Did you mean target?"
        ),
    ),
    (
        {"proposal__attestors__0__adress": ROSA},
        (
            "line 38: adress in the first entry of proposal.attestors is not known here. "  # codespell:ignore
            "Known are name, address, promise. Did you mean address?"
        ),
    ),
    (
        {"terms__payees__0__zz": ROSA},
        "line 52: zz in the first entry of terms.payees is not known here. Known are account, share. Leave it out.",
    ),
    ({"surprise": 1}, "line 60: surprise is not known here. Known are schema, proposal, terms. Leave it out."),
    # Addresses and hashes.
    (
        {"terms__payees__0__account": "rosa.eth"},
        (
            f"line 50: account in the first entry of terms.payees is 'rosa.eth'. {ADDRESS}"
            "Names are not looked up: write the address itself."
        ),
    ),
    (
        {"terms__payees__0__account": ROSA.replace("C8", "c8")},
        (
            "line 50: account in the first entry of terms.payees is '0x70997970C51812dc3A010C7d01b50e0d17dc79c8'. "
            "It has a typo: its upper and lower case letters do not match its checksum. "
            "Copy the address again."
        ),
    ),
    (
        {"proposal__attestors__0__address": "0x12"},
        (
            f"line 36: address in the first entry of proposal.attestors is '0x12'. {ADDRESS}"
            "Copy it again; `llamafund wallet list` shows your own."
        ),
    ),
    (
        {"proposal__researcher__address": ROSA.replace("C8", "c8")},
        (
            "line 33: proposal.researcher.address is '0x70997970C51812dc3A010C7d01b50e0d17dc79c8'. "
            "It has a typo: its upper and lower case letters do not match its checksum. "
            "Copy the address again."
        ),
    ),
    (
        {"terms__asset": "ETH"},
        (
            "line 39: terms.asset is 'ETH'. It must be native, for the chain's coin, or the address of a token. "
            "Write native or the address."
        ),
    ),
    (
        {"proposal__dataset__manifest": "abc"},
        (
            f"line 14: proposal.dataset.manifest is 'abc'. {HASH}"
            "Copy it from what `sha256sum` or `llamafund publish` printed."
        ),
    ),
    (
        {"proposal__recipe": "0x" + "AB" * 32},
        (f"line 20: proposal.recipe is '0x{'AB' * 29}… (6 more characters)'. {HASH}Write it as {'ab' * 32}."),
    ),
    # What belongs together.
    (
        {"terms__milestones__0__kind": "WEIGHTS"},
        (
            "line 57: kind in the first entry of terms.milestones is WEIGHTS, but DATASET in proposal.milestones. "
            "Terms and proposal describe the same milestones in the same order. Correct one of them."
        ),
    ),
    (
        {"terms__milestones": []},
        (
            "line 54: terms.milestones has 0 entries, proposal.milestones has 2. "
            "Each promised milestone has its share and its deadline, in the same order. Write as many in both."
        ),
    ),
    # What the factory would refuse.
    (
        {"terms__goal": "21"},
        (
            "line 40: terms.goal is 21 ETH, more than the cap of 20 ETH. "
            "Pledges stop at the cap, so the goal could never be met. Lower the goal or raise the cap."
        ),
    ),
    ({"terms__goal": 0}, "line 40: terms.goal is 0 ETH. A campaign needs money to do something. Ask for more."),
    (
        {"terms__asset": TOKEN, "terms__goal": "21.5"},
        (
            "line 40: terms.goal is 21.5 USDC, more than the cap of 20 USDC. "
            "Pledges stop at the cap, so the goal could never be met. Lower the goal or raise the cap."
        ),
    ),
    (
        {"terms__cap": "1e30"},
        (
            "line 41: terms.cap is 1000000000000000000000000000000 ETH. "
            "It must be between 0 ETH and 340282366920938463463.374607431768211455 ETH."
        ),
    ),
    (
        {"terms__asset": TOKEN, "terms__goal": 1, "terms__min_bond": "1e30"},
        (
            "line 46: terms.min_bond is 1000000000000000000000000000000 ETH. "
            "It must be between 0.000001 ETH and 79228162514.264337593543950335 ETH."
        ),
    ),
    ({"terms__stop": "10%"}, "line 43: terms.stop is 10 %. It must be between 33 % and 80 %."),
    (
        {"terms__funding_deadline": "+1000d"},
        (
            "line 42: terms.funding_deadline is 2029-10-11 08:00:00 UTC. "
            "It must be between 2027-01-15 08:00:01 UTC and 2029-01-14 08:00:00 UTC."
        ),
    ),
    (
        {"terms__funding_deadline": "+999999999w"},
        (
            "line 42: terms.funding_deadline is the year 19167376. "
            "It must be between 2027-01-15 08:00:01 UTC and 2029-01-14 08:00:00 UTC."
        ),
    ),
    (
        {"terms__challenge_window": "1h"},
        "line 44: terms.challenge_window is 1 hour. It must be between 2 days and 90 days.",
    ),
    (
        {"terms__answer_window": "400d"},
        "line 45: terms.answer_window is 400 days. It must be between 1 day and 30 days.",
    ),
    ({"terms__slack": "53w"}, "line 47: terms.slack is 371 days. It must be between 0 seconds and 365 days."),
    ({"terms__quorum": 2}, "line 48: terms.quorum is 2. It must be from 1 to 1, the number of attestors."),
    (
        {"proposal__attestors__0__address": NATIVE},
        (
            "line 36: address in the first entry of proposal.attestors is the zero address. Nobody can sign for it. "
            "Name an address."
        ),
    ),
    (
        {"terms__payees__1__account": NATIVE},
        (
            "line 52: account in the second entry of terms.payees is the zero address. Nobody can claim for it. "
            "Name an address."
        ),
    ),
    (
        {"terms__payees__0__share": "0%"},
        (
            "line 51: share in the first entry of terms.payees is 0 %. A payee without a share is a mistake. "
            "Leave it out, or give it a share."
        ),
    ),
    (
        {"terms__payees__0__share": "800%"},
        "line 51: share in the first entry of terms.payees is 800 %. All shares together make up 100 %.",
    ),
    (
        {"terms__payees__0__share": "60%"},
        "line 49: terms.payees has shares that add up to 93.33 %. They must add up to 100 %. Correct them.",
    ),
    ({"terms__payees": []}, "line 49: terms.payees has no entries. At least one is needed. Name one."),
    (
        {"terms__milestones__0__share": "0%"},
        (
            "line 55: share in the first entry of terms.milestones is 0 %. "
            "Each milestone releases a share of the pledges. Leave it out, or give it a share."
        ),
    ),
    (
        {"terms__milestones__1__share": "69%"},
        "line 54: terms.milestones has shares that add up to 99 %. They must add up to 100 %. Correct them.",
    ),
    (
        {"terms__milestones__0__share": "80%", "terms__milestones__1__share": "20%"},
        (
            "line 57: share in the second entry of terms.milestones is 20 %. "
            "At least 25 % of the pledges must depend on the open weights. Give them more."
        ),
    ),
    (
        {"terms__milestones__0__deadline": "+15d"},
        (
            "line 56: deadline in the first entry of terms.milestones is 2027-01-30 08:00:00 UTC. "
            "Challenge window and answer window, 3 days 12 hours together, must fit between "
            "the funding deadline and it. "
            "Move it to 2027-02-01 20:00:00 UTC or later, for example to +18d."
        ),
    ),
    (
        {"terms__milestones__1__deadline": "+9999d"},
        (
            "line 58: deadline in the second entry of terms.milestones is 2054-06-01 08:00:00 UTC. "
            "A campaign lasts at most ten years: until 2037-01-12 08:00:00 UTC. Move it earlier."
        ),
    ),
    (
        {"proposal__milestones__1__kind": "DATASET"},
        (
            "line 27: kind in the second entry of proposal.milestones is DATASET. "
            "Milestones come in the order DATASET, CHECKPOINT, WEIGHTS, and the last one alone is WEIGHTS. "
            "Put them in this order."
        ),
    ),
    (
        {"terms__min_bond": "0.0000009"},
        (
            "line 46: terms.min_bond is 0.0000009 ETH. "
            "It must be between 0.000001 ETH and 79228162514.264337593543950335 ETH."
        ),
    ),
    (
        {"terms__arbiter": {"account": "0x" + "00" * 20, "ruling_window": "30d"}},
        (
            "line 61: terms.arbiter.account is the zero address. Nobody could rule. "
            "Name an address, or leave the arbiter out."
        ),
    ),
    (
        {"terms__arbiter": {"account": ROSA, "ruling_window": "6d"}},
        "line 62: terms.arbiter.ruling_window is 6 days. It must be between 7 days and 90 days.",
    ),
    (
        {"terms__arbiter": {"account": "rosa.eth", "ruling_window": "30d"}},
        f"line 61: terms.arbiter.account is 'rosa.eth'. {ADDRESS}Names are not looked up: write the address itself.",
    ),
    ({"terms__arbiter": {"account": ROSA}}, "line 60: terms.arbiter.ruling_window is missing. Add it."),
    (
        {"terms__arbiter": ROSA},
        (
            f"line 60: terms.arbiter is '{ROSA}'. It must be a section with keys of its own. "
            "Write its keys and values there."
        ),
    ),
    # Several at once.
    (
        {"terms__goal": [], "terms__cap": "x", "terms__quorum": ...},
        "line 38: terms.quorum is missing. Add it. Also wrong: terms.goal (line 40), terms.cap (line 41).",
    ),
    # What is no campaign file.
    (
        {"schema": "llamafund/campaign-file/2"},
        (
            "line 1: schema is 'llamafund/campaign-file/2'. A campaign file says llamafund/campaign-file/1. "
            "Check that it is the right file."
        ),
    ),
]


@pytest.mark.parametrize(
    ("changes", "said"), MISTAKES, ids=lambda value: "-".join(value) if isinstance(value, dict) else ""
)
def test_a_mistake_is_told_with_its_line_in_the_words_of_the_file(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as refusal:
        read(dump(**changes))
    where = ", " if said.startswith("line ") else ": "
    assert str(refusal.value) == f"The campaign file{where}{said}"


def test_a_token_that_is_not_there_is_told_with_its_place() -> None:
    def nothing(address: str) -> Asset:
        if address != NATIVE:
            raise VerificationError(f"There is no token at {address}", "The address has no code on this chain")
        return asset_of(address)

    with pytest.raises(VerificationError) as refusal:
        parse(dump(terms__asset=TOKEN).encode()).complete(now=NOW, asset_of=nothing, propose_bond=lambda: PROPOSED)
    assert str(refusal.value) == (
        f"The campaign file, line 39: terms.asset: There is no token at {TOKEN}. The address has no code on this chain."
    )


FORBIDDEN = re.compile(
    r"\^|\[0-9|NoneType|validation error|codec|pydantic|at least 1 character|Input should|bafkrei"
    r"|constrained|more like it|bps|basis point|\bwei\b|payees\[|tuple|\bstr\b|\bint\b|\bdict\b"
    r"|Milestone\(|2\^|smallest unit\)"
)
VALUES = {
    "missing": ...,
    "null": None,
    "number": 7,
    "negative": -1,
    "zero": 0,
    "huge": 10**70,
    "decimal": "1.5",
    "word": "hello",
    "empty": "",
    "blank": "  ",
    "list": ["x"],
    "empty list": [],
    "section": {"a": 1},
    "empty section": {},
    "true": True,
    "long": "x" * 25_000,
    "control": "a\x1bb",
}


def places(value: Any, place: str = "") -> Iterator[str]:
    if place:
        yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, f"{place}__{key}" if place else str(key))


@pytest.mark.parametrize("place", places(document()))
def test_no_field_whatever_stands_there_brings_out_a_phrase_of_the_program(place: str) -> None:
    for name, value in VALUES.items():
        said = ""
        try:
            read(dump(**{place: value}))
        except UsageError as error:
            said = str(error)
        assert not FORBIDDEN.search(said), (name, said)
        # Most of it refers to the very place; what does not, to another one that no longer fits it.
        assert not said or said.startswith(("The campaign file", "'")), (name, said)
        assert "is None" not in said


@pytest.mark.parametrize(
    "text",
    [
        "",
        "just words",
        "- a\n- list\n",
        "a: [",
        "a: &x 1\nb: *x\n",
        "a: &a [*a]",
        "schema: x\nschema: y\n",
        "a: !!python/object/apply:os.system ['true']",
        "[" * 5_000,
        "{a: " * 5_000,
        "a: \x00",
        "? [1, 2]\n: 3\n",
        "? {a: 1}\n: 3\n",
        'a: "\\ud800"',
    ],
)
def test_hostile_yaml_is_one_clear_error(text: str) -> None:
    with pytest.raises(UsageError):
        read(text)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (dump(terms__stop="x").encode(), f", line 43: terms.stop is 'x'. {SHARE}"),
        (dump(terms__stop="10%").encode(), ", line 43: terms.stop is 10 %. It must be between 33 % and 80 %."),
        (
            b"a: \xff\xfe",
            ", line 1: the byte 0xff is not UTF-8 text. Save it as UTF-8, or check that it is the right file.",
        ),
        (b"a:\n\tb: 1", ", line 2: a tab is used for indentation, where only spaces may be. Replace it with spaces."),
        (b"a" * 300_000, " is not a campaign file. It is longer than 262144 bytes."),
        (b"", f" is not a campaign file. It is empty. Begin with the line: schema: {SCHEMA}."),
        (b"- a", f" is not a campaign file. It has no sections. Begin with the line: schema: {SCHEMA}."),
        (b"a: 1", f" is not a campaign file. It does not say that it is one. Begin with the line: schema: {SCHEMA}."),
    ],
)
def test_a_file_is_called_by_its_name(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "llama.yaml"
    path.write_bytes(data)
    with pytest.raises(UsageError) as refusal:
        file.read(path).complete(now=NOW, asset_of=asset_of, propose_bond=lambda: PROPOSED)
    assert str(refusal.value) == f"{str(path)!r}{said}"


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no file"):
        file.read(tmp_path / "nothing.yaml").complete(now=NOW, asset_of=asset_of, propose_bond=lambda: PROPOSED)
    with pytest.raises(UsageError, match="is a directory"):
        file.read(tmp_path).complete(now=NOW, asset_of=asset_of, propose_bond=lambda: PROPOSED)
