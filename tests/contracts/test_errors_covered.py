"""Every custom error of the contracts is reached by some test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from llamafund_chain.deployment import artifacts

INTERFACES = {
    "Campaign": "interfaces/ICampaign.sol",
    "CampaignFactory": "interfaces/ICampaignFactory.sol",
    "CourtArbiter": "arbitration/ICourtArbiter.sol",
}


@pytest.mark.parametrize(("contract", "at_least"), [("Campaign", 21), ("CampaignFactory", 21), ("CourtArbiter", 16)])
def test_every_custom_error_is_expected_by_some_test(contract: str, at_least: int) -> None:
    errors = {item["name"] for item in artifacts.load(contract).abi if item["type"] == "error"}
    own = {name for name in errors if name.startswith(f"{contract}_")}
    texts = [path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py")]
    named = set(re.findall(rf"\b{contract}_\w+", "\n".join(texts)))

    assert len(own) >= at_least
    assert own - named == set()
    assert named - errors == {f"{contract}_"} & named


def test_the_interface_declares_no_error_that_the_contract_never_raises() -> None:
    root = Path(__file__).resolve().parents[2] / "contracts"
    for contract, path in INTERFACES.items():
        interface = (root / path).read_text(encoding="utf-8")
        source = (root / artifacts.load(contract).source_name.removeprefix("contracts/")).read_text(encoding="utf-8")
        declared = set(re.findall(r"error (\w+)\(", interface))
        raised = set(re.findall(r"revert (\w+)\(", source))
        assert declared == raised
