"""The script of an audit's page is the one that its sources give."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from eth_utils import keccak

from llamafund_chain.chain import abi

ROOT = Path(__file__).resolve().parents[2]


def test_the_bundle_is_what_the_sources_give() -> None:
    ran = subprocess.run(
        [sys.executable, "scripts/bundle_verifier.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr


def test_the_proofs_that_page_and_verifier_share_need_nothing_from_outside() -> None:
    sources = [path for path in (ROOT / "web/src/proofs").glob("*.ts") if not path.name.endswith(".test.ts")]
    imported = {one for path in sources for one in re.findall(r'from "(.*?)"', path.read_text(encoding="utf-8"))}

    assert imported == {"./bytes", "./rlp", "./state"}


def test_the_verifier_knows_the_contracts_events() -> None:
    source = (ROOT / "llamafund_chain/audit/report/verifier/ledger.js").read_text(encoding="utf-8")
    tuple_ = re.search(r'ATTESTATION = "(.*?)"', source)
    assert tuple_ is not None
    listed = re.findall(r'^  ["`](\w+\(.*\))["`],$', source, re.MULTILINE)
    ours = {one.partition("(")[0]: one.replace("${ATTESTATION}", tuple_[1]) for one in listed}

    interface = abi.contract("Campaign")
    assert len(ours) == 14
    for name, signature in ours.items():
        assert interface.topic(name) == f"0x{bytes(keccak(text=signature)).hex()}", name
