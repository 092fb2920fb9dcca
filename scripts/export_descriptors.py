"""Write the contracts' addresses into the ERC-7730 descriptors in `docs/erc7730`. They follow from the contracts' code.

    python scripts/export_descriptors.py           write the addresses for each network of scripts/networks.yaml
    python scripts/export_descriptors.py --check   compare only; exit 1 when a descriptor names others

Run it after `make artifacts`. A development chain and the network that the environment names are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from llamafund_chain.chain.devnet import CHAIN_ID
from llamafund_chain.deployment import addresses
from llamafund_chain.files import write_file

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "erc7730"


def chain_ids() -> list[int]:
    """Return the public networks' EIP-155 numbers, lowest first."""
    groups = yaml.safe_load((ROOT / "scripts" / "networks.yaml").read_text(encoding="utf-8"))["live"]
    ids = [network["chainid"] for group in groups for network in group["networks"]]
    return sorted(chain_id for chain_id in ids if isinstance(chain_id, int) and chain_id != CHAIN_ID)


def updated(document: dict[str, Any]) -> str:
    """Return a descriptor's text with today's deployments."""
    expected = addresses.predicted()
    context = document["context"]
    binding = context.get("contract") or context["eip712"]
    # Campaigns have many addresses. Wallets know one by what it delegates to, and by the factory's event.
    of_campaigns = "factory" in binding or "eip712" in context
    binding["deployments"] = _deployments(expected.implementation if of_campaigns else expected.factory)
    if "factory" in binding:
        binding["factory"]["deployments"] = _deployments(expected.factory)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _deployments(address: str) -> list[dict[str, Any]]:
    return [{"chainId": chain_id, "address": address} for chain_id in chain_ids()]


def outdated(directory: Path = TARGET) -> dict[Path, str]:
    """Return the descriptors that name other deployments, with the text that they should have."""
    found: dict[Path, str] = {}
    for path in sorted(directory.glob("*.json")):
        text = path.read_text(encoding="utf-8")
        wanted = updated(json.loads(text))
        if wanted != text:
            found[path] = wanted
    return found


def main() -> int:
    """Update the descriptors, or compare."""
    parser = argparse.ArgumentParser(description="Write the contracts' addresses into the ERC-7730 descriptors.")
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 when a descriptor is outdated")
    arguments = parser.parse_args()
    wanted = outdated()
    if arguments.check and wanted:
        names = ", ".join(path.name for path in wanted)
        print(
            f"Outdated descriptors: {names}. The contracts' code, and so their addresses, changed. "
            "Run `python scripts/export_descriptors.py` and commit the result.",
            file=sys.stderr,
        )
        return 1
    for path, text in wanted.items():
        write_file(path, text.encode())
    print(f"{len(list(TARGET.glob('*.json')))} descriptors, {len(wanted)} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
