"""Write the recorded deployments into the ERC-7730 descriptors in `docs/erc7730`.

    python scripts/export_descriptors.py           write the chains and addresses that scripts/deploy.py recorded
    python scripts/export_descriptors.py --check   compare only; exit 1 when a descriptor names others

Run it after `make artifacts` and after a deployment. A development chain is left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from llamafund_chain.chain.devnet import CHAIN_ID
from llamafund_chain.deployment import addresses
from llamafund_chain.deployment.addresses import Deployment
from llamafund_chain.files import write_file

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "erc7730"
RECORDS = ROOT / "llamafund_chain" / "deployment" / "records"


def recorded(records: Path = RECORDS) -> list[Deployment]:
    """Return the deployments on public chains, lowest chain id first."""
    chain_ids = sorted(int(path.stem) for path in records.glob("*.json"))
    found = (addresses.load(chain_id, records) for chain_id in chain_ids if chain_id != CHAIN_ID)
    return [deployment for deployment in found if deployment is not None]


def updated(document: dict[str, Any], deployments: list[Deployment]) -> str:
    """Return a descriptor's text with these deployments."""
    context, name = document["context"], document["metadata"].get("contractName")
    binding = context.get("contract") or context["eip712"]
    if name == "CourtArbiter":
        binding["deployments"] = [_place(one, arbiter) for one in deployments for arbiter in sorted(one.arbiters)]
    elif name == "CampaignFactory":
        binding["deployments"] = [_place(one, one.factory) for one in deployments]
    else:
        # Campaigns have many addresses. Wallets know one by what it delegates to, and by the factory's event.
        binding["deployments"] = [_place(one, one.implementation) for one in deployments]
    if "factory" in binding:
        binding["factory"]["deployments"] = [_place(one, one.factory) for one in deployments]
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _place(deployment: Deployment, address: str) -> dict[str, Any]:
    return {"chainId": deployment.chain_id, "address": address}


def outdated(directory: Path = TARGET, records: Path = RECORDS) -> dict[Path, str]:
    """Return the descriptors that name other deployments, with the text that they should have."""
    found: dict[Path, str] = {}
    deployments = recorded(records)
    for path in sorted(directory.glob("*.json")):
        text = path.read_text(encoding="utf-8")
        wanted = updated(json.loads(text), deployments)
        if wanted != text:
            found[path] = wanted
    return found


def main() -> int:
    """Update the descriptors, or compare."""
    parser = argparse.ArgumentParser(description="Write the recorded deployments into the ERC-7730 descriptors.")
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 when a descriptor is outdated")
    arguments = parser.parse_args()
    wanted = outdated()
    if arguments.check and wanted:
        names = ", ".join(path.name for path in wanted)
        print(
            f"Outdated descriptors: {names}. The recorded deployments changed. "
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
