"""The contracts' functions, events and errors, in the words of their NatSpec, as the compiler wrote them down."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from llamafund_chain.deployment import artifacts

CONTRACTS = ("CampaignFactory", "Campaign", "CourtArbiter")

_HEAD = """\
# Contracts

<!-- Made by scripts/export_reference.py from the artifacts. Do not edit. -->

The words are the NatSpec of [the sources](../../contracts/Campaign.sol), as the compiler wrote them into the metadata
whose hash ends the code on chain. [protocol.md](../protocol.md) says how it all works together, and
[the package](../../llamafund_chain/deployment/artifacts/Campaign.json) has the ABI.
"""
_SECTIONS = (("function", "Functions"), ("event", "Events"), ("error", "Errors"))
_MUTABILITY = {"view": "reads", "pure": "reads", "payable": "takes coins", "nonpayable": "changes"}


def page() -> str:
    """The page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _HEAD
    for contract in CONTRACTS:
        artifact = artifacts.load(contract)
        metadata = json.loads(artifact.metadata)
        said = metadata["output"]
        source = artifacts.standard_json_input()["sources"][artifact.source_name]["content"]
        constants = dict(re.findall(r"public constant (\w+) = ([^;]+);", source))
        yield f"## {contract}\n"
        yield f"{_line(said['userdoc'].get('notice', ''))}\n"
        if said["devdoc"].get("details"):
            yield f"{_line(said['devdoc']['details'])}\n"
        for kind, heading in _SECTIONS:
            items = sorted((one for one in artifact.abi if one["type"] == kind), key=lambda one: one["name"])
            yield f"### {contract}: {heading.lower()}\n"
            for item in items:
                yield from _item(item, said, constants.get(item["name"], ""))
            yield ""


def _item(item: Mapping[str, Any], said: Mapping[str, Any], constant: str) -> Iterator[str]:
    signature = f"{item['name']}({','.join(map(_canonical, item['inputs']))})"
    user, dev = (_said(said[book], item, signature) for book in ("userdoc", "devdoc"))
    inputs = ", ".join(_declared(one) for one in item["inputs"])
    outputs = ", ".join(_declared(one) for one in item.get("outputs", ()))
    how = _MUTABILITY.get(item.get("stateMutability", ""), "")
    words = [
        f"`{constant}`." if constant else f"*{how}*" if how else "",
        _line(user.get("notice", "")),
        _line(dev.get("details", "")),
    ]
    said_of_it = " ".join(filter(None, words))
    result = f" → `{outputs}`" if outputs else ""
    yield f"- **`{item['name']}({inputs})`**{result}" + (f": {said_of_it}" if said_of_it else "")
    given = [*dev.get("params", {}).items(), *(("returns " + name, text) for name, text in _returns(dev))]
    yield from (f"    - `{name.strip()}`: {_line(text)}" for name, text in given)


def _returns(dev: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, text in dev.get("returns", {}).items():
        yield ("" if name.startswith("_") and name[1:].isdigit() else name), text
    if dev.get("return"):
        yield "", dev["return"]


def _said(book: Mapping[str, Any], item: Mapping[str, Any], signature: str) -> Mapping[str, Any]:
    """What userdoc or devdoc says of one item; a public state variable stands in a drawer of its own."""
    drawers = {"function": ("methods", "stateVariables"), "event": ("events",), "error": ("errors",)}[item["type"]]
    for drawer in drawers:
        found = book.get(drawer, {}).get(item["name"] if drawer == "stateVariables" else signature)
        if found:
            # Errors come in a list: several files may define one of the same name.
            return found[0] if isinstance(found, list) else found  # type: ignore[no-any-return]
    return {}


def _canonical(parameter: Mapping[str, Any]) -> str:
    kind = str(parameter["type"])
    if kind.startswith("tuple"):
        return f"({','.join(map(_canonical, parameter['components']))}){kind.removeprefix('tuple')}"
    return kind


def _declared(parameter: Mapping[str, Any]) -> str:
    """As in Solidity: a struct or an enum by its name."""
    inner = str(parameter.get("internalType", parameter["type"]))
    for word in ("struct ", "enum ", "contract "):
        inner = inner.removeprefix(word)
    indexed = " indexed" if parameter.get("indexed") else ""
    return f"{inner}{indexed} {parameter['name']}".strip()


def _line(text: str) -> str:
    return " ".join(text.split())
