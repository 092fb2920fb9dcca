"""The ERC-7730 descriptors in `docs/erc7730`, with which wallets say in words what is signed.

The checks here are this project's own reading of ERC-7730 version 2: structure, keys, paths and formats against the
ABI and the EIP-712 types.
"""

from __future__ import annotations

import copy
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from eth_utils import keccak
from eth_utils.abi import function_abi_to_4byte_selector

from llamafund_chain.campaign.attestation import DOMAIN_NAME, DOMAIN_VERSION, Attestation
from llamafund_chain.campaign.terms import NO_HASH, MilestoneKind
from llamafund_chain.chain import abi
from llamafund_chain.chain.tokens import NATIVE
from llamafund_chain.deployment import addresses, artifacts

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "erc7730"
SCHEMA = "https://eips.ethereum.org/assets/eip-7730/erc7730-v2.schema.json"
CONTRACTS = {f"calldata-{contract}.json": contract for contract in ("Campaign", "CampaignFactory", "CourtArbiter")}
MESSAGE = "eip712-MilestoneAttestation.json"

# What a small screen shows without cutting it off.
LONGEST_INTENT = 30
LONGEST_LABEL = 20
LONGEST_VALUE = {"uint8": 3, "bool": 5}
"""Characters of a value in an intent, by its type; all other types have longer ones than fit."""

INTEGER = re.compile(r"u?int\d+")
FITS: Mapping[str, Callable[[str], bool]] = {
    "raw": lambda kind: not kind.startswith("("),
    "addressName": lambda kind: kind == "address",
    "amount": lambda kind: bool(INTEGER.fullmatch(kind)),
    "tokenAmount": lambda kind: bool(INTEGER.fullmatch(kind)),
    "date": lambda kind: bool(INTEGER.fullmatch(kind)),
    "duration": lambda kind: bool(INTEGER.fullmatch(kind)),
    "unit": lambda kind: bool(INTEGER.fullmatch(kind)),
    "enum": lambda kind: bool(INTEGER.fullmatch(kind)),
}
PARAMS: Mapping[str, tuple[set[str], set[str]]] = {
    # By format: the parameters it must have, and those it may have.
    "raw": (set(), set()),
    "amount": (set(), set()),
    "duration": (set(), set()),
    "addressName": (set(), {"types", "sources"}),
    "tokenAmount": ({"tokenPath"}, {"nativeCurrencyAddress"}),
    "date": ({"encoding"}, set()),
    "unit": ({"base"}, {"decimals"}),
    "enum": ({"$ref"}, set()),
}
ADDRESS_TYPES = {"wallet", "eoa", "contract", "token", "collection"}
CONTAINER = {"@.value": "uint256", "@.to": "address"}


def load(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return document


def fragment(parameter: Mapping[str, Any]) -> str:
    """A parameter as in a descriptor's key: canonical type, one space, name."""
    kind = str(parameter["type"])
    if kind.startswith("tuple"):
        kind = f"({','.join(map(fragment, parameter['components']))}){kind.removeprefix('tuple')}"
    return f"{kind} {parameter['name']}"


def leaves(parameters: list[Mapping[str, Any]], before: str = "") -> Iterator[tuple[str, str]]:
    """Path and type of everything that is signed, with `.[]` for the elements of an array."""
    for parameter in parameters:
        path, kind = f"{before}{parameter['name']}", str(parameter["type"])
        if kind.endswith("[]"):
            path, kind = f"{path}.[]", kind.removesuffix("[]")
        if kind == "tuple":
            yield from leaves(parameter["components"], f"{path}.")
        else:
            yield path, kind


def functions(contract: str) -> dict[str, Mapping[str, Any]]:
    """The functions that change something, by their keys in a descriptor."""
    return {
        f"{item['name']}({','.join(map(fragment, item['inputs']))})": item
        for item in artifacts.load(contract).abi
        if item["type"] == "function" and item["stateMutability"] in ("payable", "nonpayable")
    }


def typed_data() -> dict[str, Any]:
    attestation = Attestation(0, MilestoneKind.DATASET, NO_HASH, NO_HASH, NO_HASH, 0, 0, 0)
    return attestation.typed_data(1, "0x" + "11" * 20)


def messages() -> dict[str, Mapping[str, Any]]:
    """The one EIP-712 message, by its `encodeType`, in the form of a function."""
    document = typed_data()
    struct = document["types"][document["primaryType"]]
    members = ",".join(fragment(member) for member in struct)
    key = f"{document['primaryType']}({members})"
    return {key: {"inputs": struct, "stateMutability": "nonpayable"}}


def problems(document: dict[str, Any], described: dict[str, Mapping[str, Any]]) -> list[str]:
    """What is wrong with a descriptor."""
    found: list[str] = []
    if document.keys() != {"$schema", "context", "metadata", "display"} or document["$schema"] != SCHEMA:
        found.append("top level")
    if not document["metadata"].keys() <= {"owner", "contractName", "constants", "enums"}:
        found.append("metadata")
    formats = document["display"]["formats"]
    found += [f"missing: {key}" for key in described.keys() - formats.keys()]
    found += [f"unknown: {key}" for key in formats.keys() - described.keys()]
    for key in described.keys() & formats.keys():
        found += [
            f"{formats[key].get('$id')}: {problem}" for problem in in_format(document, formats[key], described[key])
        ]
    return found


def in_format(document: dict[str, Any], shown: dict[str, Any], item: Mapping[str, Any]) -> Iterator[str]:
    types = {**dict(leaves(item["inputs"])), **CONTAINER}
    if not {"$id", "intent", "fields"} <= shown.keys() <= {"$id", "intent", "interpolatedIntent", "fields"}:
        yield "keys"
    if not 0 < len(shown["intent"]) <= LONGEST_INTENT:
        yield f"intent of {len(shown['intent'])} characters"
    paths = [field["path"] for field in shown["fields"]]
    if len(set(paths)) != len(paths):
        yield "a path twice"
    yield from (f"not shown: {path}" for path in types.keys() - set(paths) - CONTAINER.keys())
    if ("@.value" in paths) != (item["stateMutability"] == "payable"):
        yield "@.value is shown where money is sent, and only there"
    for field in shown["fields"]:
        yield from (f"{field.get('path')}: {problem}" for problem in in_field(document, field, types))
    visible = {field["path"] for field in shown["fields"] if field.get("visible", "always") == "always"}
    filled = shown.get("interpolatedIntent", "")
    for path in re.findall(r"\{([^{}]*)\}", filled):
        if path not in visible:
            yield f"{{{path}}} is not one of the fields that are always visible"
        filled = filled.replace(f"{{{path}}}", "9" * LONGEST_VALUE.get(types.get(path, ""), 100))
    if len(filled) > LONGEST_INTENT:
        yield f"interpolated intent of {len(filled)} characters"


def in_field(document: dict[str, Any], field: dict[str, Any], types: Mapping[str, str]) -> Iterator[str]:
    if not {"path", "label", "format"} <= field.keys() <= {"path", "label", "format", "params", "visible"}:
        yield "keys"
        return
    if field.get("visible", "always") not in ("always", "never", "optional"):
        yield "visible"
    if not 0 < len(field["label"]) <= LONGEST_LABEL:
        yield f"label of {len(field['label'])} characters"
    kind = types.get(field["path"])
    if kind is None:
        yield "no such path"
        return
    style, params = field["format"], field.get("params", {})
    if style not in FITS or not FITS[style](kind):
        yield f"{style} does not fit {kind}"
        return
    must, may = PARAMS[style]
    if not must <= params.keys() <= must | may:
        yield f"params {sorted(params)}"
        return
    if style == "date" and params["encoding"] != "timestamp":
        yield "encoding"
    if style == "addressName" and not set(params.get("types", ())) <= ADDRESS_TYPES:
        yield "types"
    if style == "enum" and resolve(document, params["$ref"]) != {str(int(kind)): kind.name for kind in MilestoneKind}:
        yield "the enum is not MilestoneKind"
    if style == "tokenAmount":
        if types.get(params["tokenPath"]) != "address":
            yield "tokenPath"
        if resolve(document, params.get("nativeCurrencyAddress", "")) != NATIVE:
            yield "nativeCurrencyAddress"


def resolve(document: Any, path: str) -> Any:
    root, *names = path.split(".")
    if root != "$":
        return None
    for name in names:
        document = document.get(name, {})
    return document


def described_by(name: str) -> dict[str, Mapping[str, Any]]:
    return messages() if name == MESSAGE else functions(CONTRACTS[name])


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import export_descriptors

    return export_descriptors


@pytest.mark.parametrize("name", [*CONTRACTS, MESSAGE])
def test_everything_that_is_signed_is_shown_in_words_that_fit_its_type(name: str) -> None:
    assert problems(load(name), described_by(name)) == []


def test_there_is_a_descriptor_for_each_contract_and_message_and_no_other() -> None:
    assert {path.name for path in FOLDER.glob("*.json")} == {*CONTRACTS, MESSAGE}


@pytest.mark.parametrize("name", CONTRACTS)
def test_wallets_find_each_function_by_its_selector(name: str) -> None:
    found = []
    for key in load(name)["display"]["formats"]:
        # As the standard says: drop the parameters' names, hash what is left.
        function, _, parameters = key.partition("(")
        types = re.sub(r" \w+", "", f"({parameters}")
        found.append(keccak(text=function + types)[:4])
    assert sorted(found) == sorted(map(function_abi_to_4byte_selector, functions(CONTRACTS[name]).values()))


def test_wallets_recognise_the_message_by_its_type_hash_and_domain() -> None:
    from eth_account.messages import encode_typed_data

    document = load(MESSAGE)
    (key,) = document["display"]["formats"]
    typed = typed_data()
    # The message's hash begins with its type's: hashStruct = keccak(typeHash ‖ values), and all values here are zero.
    signable = encode_typed_data(full_message=typed)
    assert signable.body == keccak(keccak(text=key) + bytes(32 * len(typed["message"])))
    assert document["context"]["eip712"]["domain"] == {"name": DOMAIN_NAME, "version": DOMAIN_VERSION}


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Records of deployments on two public chains, one with an arbiter, and on a development chain."""
    folder = tmp_path / "records"
    for chain_id, arbiters in ((31_337, {}), (10, {"0x" + "a1" * 20: "0x" + "c0" * 20}), (1, {})):
        done = addresses._deployment(chain_id, block=7, transactions={}, arbiters=arbiters)
        addresses.record(done, folder)
    return folder


def filled(exporter: Any, records: Path, name: str) -> dict[str, Any]:
    """A descriptor's context with these deployments."""
    context: dict[str, Any] = json.loads(exporter.updated(load(name), exporter.recorded(records)))["context"]
    return context


def test_campaigns_are_bound_by_the_factory_s_event_and_by_what_they_delegate_to(exporter: Any, records: Path) -> None:
    expected = addresses.predicted()
    contract = filled(exporter, records, "calldata-Campaign.json")["contract"]
    topic = keccak(text=contract["factory"]["deployEvent"]).hex()
    assert f"0x{topic}" == abi.contract("CampaignFactory").topic("CampaignCreated")
    assert contract["deployments"] == [{"chainId": chain, "address": expected.implementation} for chain in (1, 10)]
    factories = [{"chainId": chain, "address": expected.factory} for chain in (1, 10)]
    assert contract["factory"]["deployments"] == factories
    assert filled(exporter, records, "calldata-CampaignFactory.json")["contract"]["deployments"] == factories
    assert filled(exporter, records, MESSAGE)["eip712"]["deployments"] == contract["deployments"]


def test_arbiters_are_bound_where_they_were_deployed(exporter: Any, records: Path) -> None:
    found = filled(exporter, records, "calldata-CourtArbiter.json")["contract"]["deployments"]
    assert found == [{"chainId": 10, "address": "0x" + "a1" * 20}]


def test_descriptors_name_the_deployments_that_are_recorded_today(exporter: Any) -> None:
    outdated = [path.name for path in exporter.outdated()]
    assert not outdated, "run: python scripts/export_descriptors.py"


def test_an_outdated_deployment_is_noticed_and_replaced(
    exporter: Any,
    records: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in (*CONTRACTS, MESSAGE):
        (tmp_path / name).write_text((FOLDER / name).read_text(encoding="utf-8"), encoding="utf-8")
    wanted = exporter.outdated(tmp_path, records)
    assert {path.name for path in wanted} == {*CONTRACTS, MESSAGE}

    monkeypatch.setattr(exporter, "outdated", lambda: wanted)
    monkeypatch.setattr(sys, "argv", ["export_descriptors.py", "--check"])
    assert exporter.main() == 1
    assert "calldata-Campaign.json" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["export_descriptors.py"])
    assert exporter.main() == 0
    monkeypatch.undo()
    assert exporter.outdated(tmp_path, records) == {}


def test_only_a_permit_s_signature_is_never_shown() -> None:
    hidden = {
        (key.partition("(")[0], field["path"])
        for name in (*CONTRACTS, MESSAGE)
        for key, shown in load(name)["display"]["formats"].items()
        for field in shown["fields"]
        if field.get("visible") == "never"
    }
    assert hidden == {("pledgeTokenWithPermit", part) for part in "vrs"}


CLAIM = "claim(uint256 payee,address recipient)"


def _claim(document: dict[str, Any]) -> dict[str, Any]:
    claim: dict[str, Any] = document["display"]["formats"][CLAIM]
    return claim


def _fields(document: dict[str, Any]) -> list[dict[str, Any]]:
    fields: list[dict[str, Any]] = _claim(document)["fields"]
    return fields


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda d: d["display"]["formats"].pop(CLAIM), "missing: claim"),
        (lambda d: d["display"]["formats"].update({CLAIM.replace("payee", "who"): {}}), "unknown: claim"),
        (lambda d: _fields(d).pop(0), "not shown: payee"),
        (lambda d: _fields(d)[0].update(path="payees"), "no such path"),
        (lambda d: _fields(d)[0].update(format="addressName"), "does not fit uint256"),
        (lambda d: _fields(d)[0].update(label="Number of the payee, from 0"), "label of"),
        (
            lambda d: _claim(d).update(interpolatedIntent="Claim for {recipient}"),
            "interpolated intent of 110 characters",
        ),
        (lambda d: _claim(d).update(interpolatedIntent="Claim {amount}"), "always visible"),
        (lambda d: _fields(d)[1]["params"].update(types=["anyone"]), "types"),
        (lambda d: _fields(d).append({"path": "@.value", "label": "Money", "format": "amount"}), "@.value"),
        (lambda d: d["metadata"]["enums"]["milestoneKind"].update({"2": "DATASET"}), "not MilestoneKind"),
        (lambda d: d.update({"$schema": "erc7730-v9.schema.json"}), "top level"),
    ],
)
def test_a_spoilt_descriptor_is_noticed(spoil: Callable[[dict[str, Any]], object], words: str) -> None:
    document = copy.deepcopy(load("calldata-Campaign.json"))
    spoil(document)
    assert any(words in problem for problem in problems(document, functions("Campaign")))
