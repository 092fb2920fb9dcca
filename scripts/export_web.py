"""Write web/src/generated: what the page knows of the contracts and the rules, from the one source in the package.

    python scripts/export_web.py           write the files
    python scripts/export_web.py --check   compare only; exit 1 when one is outdated

Run it after `make artifacts`, after a deployment, and after a change of the rules, of the chains that we know by name,
or of the sentences about refusals. Then run `make web`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from llamafund_chain.audit.recheck import report_file
from llamafund_chain.campaign import answer_cost, attestation, refusals, reviews, terms
from llamafund_chain.chain.known_accounts import KNOWN_ACCOUNTS, TEST_CHAINS
from llamafund_chain.chain.networks import NETWORKS
from llamafund_chain.chain.signatures import DOMAIN_FIELDS
from llamafund_chain.checks import baselines
from llamafund_chain.checks.rules import rules_text
from llamafund_chain.deployment import addresses, artifacts
from llamafund_chain.deployment.clones import creation_code
from llamafund_chain.evidence.manifests import MAX_MANIFEST_BYTES
from llamafund_chain.evidence.merkle import CHUNK_SIZE
from llamafund_chain.evidence.profiles import USUAL
from llamafund_chain.files import write_file
from llamafund_chain.name import PROJECT

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "web" / "src" / "generated"

_CONTRACTS = {"campaignAbi": "Campaign", "factoryAbi": "CampaignFactory", "courtArbiterAbi": "CourtArbiter"}
_TYPED_DATA = {
    "DOMAIN_TYPE": DOMAIN_FIELDS,
    "ATTESTATION_TYPES": {"MilestoneAttestation": attestation.STRUCT},
    "REVIEW_TYPES": {"Review": reviews.STRUCT},
}
_HEAD = "// Made by scripts/export_web.py. Do not edit.\n\n"


def rendered() -> dict[str, str]:
    """Text of each file, by its name."""
    return {
        "abi.ts": _HEAD + "\n".join(_constant(name, _abi(contract)) for name, contract in _CONTRACTS.items()),
        "constants.ts": _HEAD + "\n".join(_constant(name, value) for name, value in _constants().items()),
        "networks.ts": _HEAD + _constant("NETWORKS", _networks()),
        "refusals.json": _json({"sentences": refusals.SENTENCES, "when": refusals.WHEN}),
        "rules.json": _json(_rules()),
        "typedData.ts": _HEAD + "\n".join(_constant(name, value) for name, value in _TYPED_DATA.items()),
    }


def _abi(name: str) -> list[Any]:
    return [_plain(entry) for entry in artifacts.load(name).abi]


def _plain(entry: Any) -> Any:
    """An entry without the compiler's names of Solidity types, which nobody needs to call a contract."""
    if isinstance(entry, list):
        return [_plain(one) for one in entry]
    if isinstance(entry, dict):
        return {key: _plain(value) for key, value in entry.items() if key != "internalType"}
    return entry


def _constants() -> dict[str, Any]:
    places = addresses.predicted()
    creation = creation_code(places.implementation, b"")
    implementation, factory = addresses.places()
    hashes = addresses.code_hashes()
    return {
        "PROJECT": PROJECT,
        "FACTORY": factory,
        "IMPLEMENTATION": implementation,
        "FACTORY_CODE_HASH": hashes[factory],
        "IMPLEMENTATION_CODE_HASH": hashes[implementation],
        # A campaign's creation code is the head, two bytes with the length of all that follows it, and the clone.
        "CLONE_CREATION": "0x" + creation[3:].hex(),
        "CLONE_BYTES": len(creation_code(places.implementation, b"")) - len(b"\x61\0\0\x3d\x81\x60\x0a\x3d\x39\xf3"),
        "DOMAIN_NAME": attestation.DOMAIN_NAME,
        "DOMAIN_VERSION": attestation.DOMAIN_VERSION,
        "BPS": terms.BPS,
        "DAY": terms.DAY,
        "VOTE_DELAY": terms.VOTE_DELAY,
        "NO_MINIMUM": str(terms.NO_MINIMUM),
        "MAX_ATTESTORS": terms.MAX_ATTESTORS,
        "MAX_PAYEES": terms.MAX_PAYEES,
        "MAX_MILESTONES": terms.MAX_MILESTONES,
        "MIN_BOND": str(terms.MIN_BOND),
        "CHUNK_SIZE": CHUNK_SIZE,
        "LEAF_SIZE": USUAL.leaf_size,
        "FANOUT": USUAL.fanout,
        "MAX_MANIFEST_BYTES": MAX_MANIFEST_BYTES,
        "MAX_REVIEW_CHARACTERS": reviews.MAX_CHARACTERS,
        "MAX_REPORT_BYTES": report_file.MAX_BYTES,
        "ANSWER_GAS": answer_cost.TRANSACTION_GAS
        + answer_cost.EXECUTION_GAS
        + answer_cost.calldata_gas(answer_cost.longest_answer().data),
        "ANSWER_BYTES": len(answer_cost.longest_answer().data),
        "ANSWER_ZEROS": answer_cost.longest_answer().data.count(0),
        "UNIFORM": str(baselines.UNIFORM),
        "ENGLISH": str(baselines.ENGLISH),
        "TEST_CHAINS": list(TEST_CHAINS),
        "KNOWN_ACCOUNTS": {account.address: account.name for account in KNOWN_ACCOUNTS},
        "FIRST_BLOCKS": _first_blocks(),
    }


def _first_blocks() -> dict[int, int]:
    """The block that deployed the factory, by chain, where that is recorded."""
    found = {chain_id: addresses.load(chain_id) for chain_id in NETWORKS}
    return {
        chain_id: record.block for chain_id, record in found.items() if record is not None and record.block is not None
    }


def _networks() -> dict[int, Any]:
    return {
        chain_id: {"title": network.title, "coin": network.coin, "explorer": network.explorer, "name": network.name}
        for chain_id, network in NETWORKS.items()
    }


def _rules() -> dict[str, Any]:
    rules = json.loads(rules_text())
    facts = {name: fact["type"] for name, fact in rules["facts"].items()}
    cases = ("severity", "when", "says")
    return {
        **rules,
        "facts": facts,
        "rules": [
            {**rule, "cases": [{key: case[key] for key in cases} for case in rule["cases"]]} for rule in rules["rules"]
        ],
    }


def _constant(name: str, value: Any) -> str:
    return f"export const {name} = {_json(value).rstrip()} as const;\n"


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def outdated(directory: Path = TARGET) -> dict[Path, str]:
    """The files that are not as they should be, with the text that they should have."""
    wanted = {directory / name: text for name, text in rendered().items()}
    return {
        path: text for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    }


def main() -> int:
    """Write the files, or compare."""
    parser = argparse.ArgumentParser(description="Write what the page knows of the contracts and the rules.")
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 when a file is outdated")
    arguments = parser.parse_args()
    wanted = outdated()
    if arguments.check and wanted:
        names = ", ".join(path.name for path in wanted)
        print(
            f"Outdated in web/src/generated: {names}. Run `python scripts/export_web.py` and then `make web`.",
            file=sys.stderr,
        )
        return 1
    TARGET.mkdir(parents=True, exist_ok=True)
    for path, text in wanted.items():
        write_file(path, text.encode())
    print(f"{len(rendered())} files, {len(wanted)} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
