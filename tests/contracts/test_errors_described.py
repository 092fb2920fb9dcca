"""Every custom error says when it is thrown and what its arguments are, as the compiler reads its NatSpec."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from export_artifacts import source_closure

ROOT = Path(__file__).resolve().parents[2]
COMPILER = ROOT / ".venv" / "solc" / "solc-v0.8.37"
OPENZEPPELIN = {"@openzeppelin/contracts": "node_modules/@openzeppelin/contracts"}
TAG = re.compile(r"@(\w+)")


def errors(sources: Mapping[str, str]) -> list[dict[str, Any]]:
    """The syntax trees of the custom errors that the project's own sources define."""
    request = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sources.items()},
        "settings": {
            "remappings": [f"{prefix}={path}" for prefix, path in OPENZEPPELIN.items()],
            "outputSelection": {"*": {"": ["ast"]}},
        },
    }
    ran = subprocess.run(
        [str(COMPILER), "--standard-json", "--base-path", "/nonexistent"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=True,
    )
    compiled = json.loads(ran.stdout)
    assert [entry for entry in compiled.get("errors", []) if entry["severity"] == "error"] == []
    return [
        node
        for name, source in compiled["sources"].items()
        if name.startswith("contracts/")
        for node in _definitions(source["ast"])
    ]


def _definitions(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if node.get("nodeType") == "ErrorDefinition":
            yield node
        for child in node.values():
            yield from _definitions(child)
    elif isinstance(node, list):
        for child in node:
            yield from _definitions(child)


def undescribed(error: Mapping[str, Any]) -> list[str]:
    """What an error's NatSpec leaves out: the error's name for its description, and `name.argument` for arguments."""
    # Text in front of the first tag counts as a notice. After that, tags and their texts take turns.
    first, *rest = TAG.split((error.get("documentation") or {"text": ""})["text"])
    tagged = [("notice", first), *zip(rest[::2], rest[1::2], strict=True)]
    described = any(tag in ("notice", "dev") and text.strip() for tag, text in tagged)
    arguments = dict(text.strip().partition(" ")[::2] for tag, text in tagged if tag == "param")
    name, parameters = error["name"], error["parameters"]["parameters"]
    missing = [f"{name}.{parameter['name']}" for parameter in parameters if not arguments.get(parameter["name"])]
    return missing if described else [name, *missing]


def test_every_error_says_when_it_is_thrown_and_what_its_arguments_are() -> None:
    ours = [str(path.relative_to(ROOT)) for path in (ROOT / "contracts").rglob("*.sol")]
    found = errors(source_closure(ours, OPENZEPPELIN))
    assert {"Campaign_WindowOpen", "CampaignFactory_BadGoal", "Blocked"} <= {error["name"] for error in found}
    assert [missing for error in found for missing in undescribed(error)] == []


def test_an_error_or_argument_without_words_is_noticed() -> None:
    notice, argument = "/// @notice Thrown late.", "/// @param at unix seconds"
    cases = {
        "Whole": (f"{notice}\n{argument}", "uint256 at", []),
        "Untagged": (f"/// Thrown late.\n{argument}", "uint256 at", []),
        "ForDevelopers": ("/// @dev Thrown late.", "", []),
        "Bare": ("", "", ["Bare"]),
        "Commented": ("// Thrown late.", "", ["Commented"]),
        "Argument": (argument, "uint256 at", ["Argument"]),
        "Notice": (notice, "uint256 at", ["Notice.at"]),
        "One": (f"{notice}\n{argument}", "uint256 at, uint256 by", ["One.by"]),
        "Unnamed": (notice, "uint256", ["Unnamed."]),
        "Neither": ("", "uint256 at", ["Neither", "Neither.at"]),
    }
    text = "\n".join(f"{words}\nerror {name}({arguments});" for name, (words, arguments, _) in cases.items())
    pragma = "// SPDX-License-Identifier: Apache-2.0\npragma solidity 0.8.37;\n"
    found = errors({"contracts/A.sol": pragma + text, "contracts/B.sol": f"{pragma}contract B {{\n{text}\n}}"})
    assert len(found) == 2 * len(cases)
    for error in found:
        assert undescribed(error) == cases[error["name"]][2]


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("    /// @notice Thrown when the goal is zero or above the cap.\n", "CampaignFactory_BadGoal"),
        ("    /// @param cap units of the asset\n", "CampaignFactory_BadGoal.cap"),
    ],
)
def test_a_line_taken_out_of_the_interface_is_missed(line: str, missing: str) -> None:
    name = "contracts/interfaces/ICampaignFactory.sol"
    closure = source_closure([name], OPENZEPPELIN)
    assert closure[name].count(line) == 1
    found = errors({**closure, name: closure[name].replace(line, "")})
    assert [part for error in found for part in undescribed(error)] == [missing]
