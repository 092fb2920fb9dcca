"""Export the compiled contracts into the Python package, so that its users need no compiler.

    python scripts/export_artifacts.py           write llamafund_chain/deployment/artifacts/*.json
    python scripts/export_artifacts.py --check   compile again and compare; exit 1 when a byte differs

The standard-JSON input is brownie's, with every imported file inlined: together with the compiler's version it is all
that is needed to get the same bytes anywhere, or to have a block explorer verify them.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any

import brownie_env
import yaml

ROOT = brownie_env.ROOT
TARGET = ROOT / "llamafund_chain" / "deployment" / "artifacts"
INPUT_NAME = "standard-input.json"
EXPORTED = {
    "Campaign": "contracts/Campaign.sol",
    "CampaignFactory": "contracts/CampaignFactory.sol",
    "CourtArbiter": "contracts/arbitration/CourtArbiter.sol",
    "DevToken": "contracts/test/DevToken.sol",
    "MockCourt": "contracts/test/MockCourt.sol",
}
EXPECTED_WARNINGS = {
    "2394": "OpenZeppelin's guard uses transient storage, and clears it at the end of each call",
}
IMPORT = re.compile(r'^\s*(?:import|\}\s*from)\b[^"\';]*["\']([^"\']+)["\']', re.MULTILINE)


def source_closure(roots: list[str], remappings: dict[str, str]) -> dict[str, str]:
    """Return the sources that `roots` import, directly or not, by source unit name.

    Args:
        roots: Paths relative to the checkout.
        remappings: Import prefix to path relative to the checkout.
    """
    sources: dict[str, str] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in sources:
            continue
        text = (ROOT / name).read_text(encoding="utf-8")
        sources[name] = text
        waiting.extend(_resolve(name, target, remappings) for target in IMPORT.findall(text))
    return dict(sorted(sources.items()))


def _resolve(importer: str, target: str, remappings: dict[str, str]) -> str:
    if target.startswith("."):
        return normpath(str(PurePosixPath(importer).parent / target))
    for prefix, path in remappings.items():
        if target.startswith(prefix):
            return path + target.removeprefix(prefix)
    return target


def standard_input() -> dict[str, Any]:
    """Return brownie's standard-JSON input for the exported contracts, self-contained."""
    from brownie.project import compiler

    config = yaml.safe_load((ROOT / "brownie-config.yaml").read_text(encoding="utf-8"))["compiler"]
    solc = config["solc"]
    remappings = dict(line.split("=", 1) for line in solc["remappings"])
    generated = compiler.generate_input_json(
        source_closure(list(EXPORTED.values()), remappings),
        evm_version=config["evm_version"],
        language="Solidity",
        remappings=solc["remappings"],
        optimizer=solc["optimizer"],
        viaIR=solc["viaIR"],
    )
    generated["settings"]["outputSelection"] = {
        "*": {
            "": ["ast"],
            "*": [
                "abi",
                "metadata",
                "evm.bytecode.object",
                "evm.deployedBytecode.object",
                "evm.deployedBytecode.immutableReferences",
            ],
        }
    }
    return dict(generated)


def build() -> dict[str, str]:
    """Compile and return the exported files' texts by file name."""
    from brownie.project import compiler

    request = standard_input()
    solc = yaml.safe_load((ROOT / "brownie-config.yaml").read_text(encoding="utf-8"))["compiler"]["solc"]
    compiler.set_solc_version(solc["version"])
    answer = compiler.compile_from_input_json(request, silent=True, allow_paths=str(ROOT))
    names = dict(_declarations(answer["sources"]))
    complaints = [
        entry["formattedMessage"] for entry in answer.get("errors", []) if entry["errorCode"] not in EXPECTED_WARNINGS
    ]
    if complaints:
        raise SystemExit("The compiler warns, and a warning is an error here:\n\n" + "\n".join(complaints))
    files = {INPUT_NAME: _text(request)}
    for name, path in EXPORTED.items():
        files[f"{name}.json"] = _text(_artifact(name, path, answer["contracts"][path][name], names))
    return files


def _artifact(name: str, path: str, output: dict[str, Any], names: dict[int, str]) -> dict[str, Any]:
    deployed = output["evm"]["deployedBytecode"]
    return {
        "contractName": name,
        "sourceName": path,
        "compiler": json.loads(output["metadata"])["compiler"]["version"],
        "abi": output["abi"],
        "bytecode": "0x" + output["evm"]["bytecode"]["object"],
        "deployedBytecode": "0x" + deployed["object"],
        "immutableReferences": {
            names[int(key)]: value for key, value in deployed.get("immutableReferences", {}).items()
        },
        "metadata": output["metadata"],
        "standardJsonInput": INPUT_NAME,
    }


def _declarations(node: Any) -> Iterator[tuple[int, str]]:
    """Yield the id and the name of each immutable variable in the compiler's syntax trees."""
    if isinstance(node, dict):
        if node.get("nodeType") == "VariableDeclaration" and node.get("mutability") == "immutable":
            yield node["id"], node["name"]
        for child in node.values():
            yield from _declarations(child)
    elif isinstance(node, list):
        for child in node:
            yield from _declarations(child)


def _text(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def differences(files: dict[str, str], directory: Path = TARGET) -> list[str]:
    """Return the names of files that are missing, outdated or not exported any more."""
    present = {path.name: path.read_text(encoding="utf-8") for path in directory.glob("*.json")}
    return sorted(name for name in files.keys() | present.keys() if files.get(name) != present.get(name))


def write(files: dict[str, str], directory: Path = TARGET) -> None:
    """Make the directory's JSON files exactly `files`."""
    directory.mkdir(parents=True, exist_ok=True)
    for path in directory.glob("*.json"):
        if path.name not in files:
            path.unlink()
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")


def main() -> int:
    """Export, or compare with what was exported."""
    parser = argparse.ArgumentParser(description="Export the compiled contracts into the Python package.")
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 when a byte differs")
    arguments = parser.parse_args()
    brownie_env.prepare()
    files = build()
    changed = differences(files)
    if not arguments.check:
        write(files)
        print(f"{len(files)} artifacts in {TARGET.relative_to(ROOT)}, {len(changed)} changed")
        return 0
    if changed:
        print(
            f"Not what the contracts compile to: {', '.join(changed)}. The sources or the compiler's settings changed "
            "after the export. Run `make artifacts` and commit the result.",
            file=sys.stderr,
        )
        return 1
    print(f"{len(files)} artifacts match the contracts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
