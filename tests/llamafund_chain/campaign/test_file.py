"""Campaign files: people's units in, exact terms out, nothing unknown passed over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from llamafund_chain.campaign.file import load, parse
from llamafund_chain.campaign.terms import DAY, NO_HASH, NO_MINIMUM, MilestoneKind
from llamafund_chain.chain.tokens import NATIVE
from llamafund_chain.errors import UsageError

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
        if value is ...:
            del target[last]
        else:
            target[last] = value
    return made


def read(text: str, decimals: int = 6):
    return parse(text, now=NOW, decimals_of=lambda _: decimals)


def dump(**changes: Any) -> str:
    return str(yaml.safe_dump(document(**changes), sort_keys=False))


def test_peoples_units_become_exact_terms() -> None:
    proposal, terms = read(dump())
    assert proposal.outcome.target == 2_900_000
    assert terms.proposal == proposal.sha256
    assert terms.dataset == "ab" * 32
    assert (terms.asset, terms.goal, terms.cap) == (NATIVE, 10 * 10**18 + 1, 20 * 10**18)
    assert terms.funding_deadline == NOW + 14 * DAY
    assert (terms.stop_bps, terms.challenge_window, terms.answer_window) == (5_000, 60 * 3_600, DAY)
    assert (terms.min_bond, terms.slack) == (10**16, 14 * DAY)
    assert [payee.bps for payee in terms.payees] == [6_667, 3_333]
    assert [step.kind for step in terms.milestones] == [MilestoneKind.DATASET, MilestoneKind.WEIGHTS]
    assert [step.deadline for step in terms.milestones] == [1_803_902_400, 1_806_573_600]
    assert [step.min_score for step in terms.milestones] == [NO_MINIMUM, -2_900_001]
    terms.validate(NOW)


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


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"terms__goal": "1e-19"}, ("terms.goal", "1e-19", "smallest unit")),
        ({"terms__goal": "-1"}, ("terms.goal", "not an amount")),
        ({"terms__goal": "1,000"}, ("terms.goal", "not an amount")),
        ({"terms__cap": ...}, ("terms.cap is missing",)),
        ({"terms__qorum": 1}, ("terms.qorum", "Did you mean quorum?")),
        ({"proposal__outcome__taget": "1"}, ("proposal.outcome.taget", "Did you mean target?")),  # codespell:ignore
        (
            {"proposal__attestors__0__adress": ROSA},
            ("proposal.attestors.0.adress", "Did you mean address?"),  # codespell:ignore
        ),
        ({"proposal__titel": "x"}, ("proposal.titel", "Did you mean title?")),  # codespell:ignore
        ({"suprise": 1}, ("suprise",)),  # codespell:ignore
        ({"schema": "llamafund/campaign-file/2"}, ("schema",)),
        ({"terms__stop": "half"}, ("terms.stop", "50%")),
        ({"terms__stop": "33.333%"}, ("terms.stop",)),
        ({"terms__slack": "two weeks"}, ("terms.slack", "3d")),
        ({"terms__funding_deadline": "tomorrow"}, ("terms.funding_deadline", "+30d")),
        ({"terms__funding_deadline": "2027-03-01T12:00:00"}, ("no time zone",)),
        ({"terms__quorum": "two"}, ("terms.quorum",)),
        ({"terms__milestones__0__kind": "WEIGHTS"}, ("terms.milestones.0.kind", "DATASET")),
        ({"terms__milestones": []}, ("0 entries",)),
        ({"terms__payees__0__account": ROSA.replace("C8", "c8")}, ("terms.payees.0.account", "typing error")),
        ({"terms__payees__0__account": "rosa.eth"}, ("terms.payees.0.account",)),
        ({"proposal__outcome__target": "2.9000001"}, ("proposal.outcome.target",)),
        ({"proposal__dataset__manifest": "abc"}, ("proposal.dataset.manifest",)),
        ({"proposal": "text"}, ("proposal",)),
        ({"terms": ["text"]}, ("terms",)),
    ],
)
def test_a_mistake_is_named_with_its_place(changes: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as refusal:
        read(dump(**changes))
    for word in words:
        assert word in str(refusal.value)


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
    ],
)
def test_hostile_yaml_is_one_clear_error(text: str) -> None:
    with pytest.raises(UsageError):
        read(text)


def test_a_file_says_its_name_in_the_error(tmp_path: Path) -> None:
    path = tmp_path / "llama.yaml"
    path.write_text(dump(terms__goal="x"))
    with pytest.raises(UsageError, match=r"llama\.yaml"):
        load(path, now=NOW, decimals_of=lambda _: 6)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="UTF-8"):
        load(path, now=NOW, decimals_of=lambda _: 6)
    path.write_bytes(b"a" * 300_000)
    with pytest.raises(UsageError, match="longer than"):
        load(path, now=NOW, decimals_of=lambda _: 6)
    with pytest.raises(UsageError, match="no file"):
        load(tmp_path / "nothing.yaml", now=NOW, decimals_of=lambda _: 6)
