"""The deployer's guide is rehearsed on a fresh chain, by its own lines."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from llamafund_chain.chain.devnet import Devnet
from llamafund_chain.deployment.addresses import predicted

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
CHAIN = 424_242
# The chain of the rehearsal has another number and address than the example in the guide.
EXAMPLE = "LLAMAFUND_RPC_URL=https://node.example LLAMAFUND_CHAIN_ID=11155111"

pytestmark = pytest.mark.usefixtures("brownie_installed")


def blocks() -> list[str]:
    """The console blocks of the steps, without the prompts."""
    steps = GUIDE[GUIDE.index("## On a public network") : GUIDE.index("## When something goes wrong")]
    found = re.findall(r"^```console\n(.*?)^```$", steps, re.MULTILINE | re.DOTALL)
    return [re.sub(r"^\$ ", "", block, flags=re.MULTILINE) for block in found]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the guide uses, so that its record is not written into this checkout."""
    copy = tmp_path / "checkout"
    copy.mkdir()
    for name in ("llamafund_chain", "scripts", "contracts"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "brownie-config.yaml", copy)
    (ROOT / "build").mkdir(exist_ok=True)
    for name in (".venv", "node_modules", "build", "trainer"):
        (copy / name).symlink_to(ROOT / name)
    return copy


def test_each_step_of_the_guide_works_as_it_stands(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only in this process: the commands of the guide see a chain like any other.
    monkeypatch.setattr("llamafund_chain.chain.devnet.CHAIN_ID", CHAIN)
    monkeypatch.setattr("llamafund_chain.chain.devnet.TEST_CHAINS", frozenset({CHAIN}))
    clean = {key: value for key, value in os.environ.items() if not key.startswith("LLAMAFUND_")}
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "bin" / "llamafund").write_text(f'#!/bin/sh\nexec {python} -m llamafund_chain "$@"\n')
    for program in (tmp_path / "bin").iterdir():
        program.chmod(0o755)
    environment = {
        **clean,
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": f"{checkout}:{checkout / 'trainer'}",
        "STATE": str(tmp_path / "state.sh"),
    }
    (tmp_path / "state.sh").write_text(f"cd {checkout}\n")

    def live(block: str) -> str:
        # One shell for each block, which goes on where the one before it ended.
        keep = '{ export -p; declare -p CAMPAIGN FACTORY 2>/dev/null || true; echo "cd $PWD"; } > "$STATE"'
        script = f'set -euo pipefail\n. "$STATE"\n{block}\n{keep}'
        ran = subprocess.run(
            ["bash", "-c", script], cwd=checkout, env=environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, f"{block}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

    with Devnet(deploy=False) as chain:
        key, network, foreseen, deploy, verify, sources, project, create, use, watch = blocks()
        address = re.findall(r"0x[0-9a-fA-F]{40}", live(key))[0]
        chain.fund(address, 10**18)
        assert EXAMPLE in network
        live(network.replace(EXAMPLE, f"LLAMAFUND_RPC_URL={chain.rpc_url} LLAMAFUND_CHAIN_ID={CHAIN}"))
        assert live(foreseen).split() == [predicted().implementation, predicted().factory]
        with FileLock(ROOT / "build" / "brownie.lock"):
            live(deploy)
        record = json.loads((checkout / "llamafund_chain" / "deployment" / "records" / f"{CHAIN}.json").read_text())
        assert record["factory"] == predicted().factory
        live(verify)
        # To recompile takes as long as all the rest; tests/scripts/test_verify.py does it, too.
        live(sources if os.environ.get("LLAMAFUND_ASSURE") else sources.replace(" --check", ""))
        assert {path.name for path in (checkout / "verification" / str(CHAIN)).iterdir()} >= {
            "Campaign.standard-input.json"
        }
        live(project)
        _edit(checkout / "first" / "campaign.yaml", address)
        live(create)
        chain.finalize()
        live(use)
        chain.finalize()
        live(watch)


def _edit(file: Path, address: str) -> None:
    """What the guide asks a person to change: addresses, the goal and the cap, and no bond."""
    text = file.read_text(encoding="utf-8")
    others = iter([address, *(f"0x{number:040x}" for number in range(0xA11CE0, 0xA11CE9))])
    seen: dict[str, str] = {}
    text = re.sub(r"0x[0-9a-fA-F]{40}", lambda found: seen.setdefault(found[0], next(others)), text)
    text = re.sub(r"^  goal: \S+", "  goal: 0.001", text, flags=re.MULTILINE)
    text = re.sub(r"^  cap: \S+", "  cap: 0.0015", text, flags=re.MULTILINE)
    text = re.sub(r"^  min_bond:.*\n", "", text, flags=re.MULTILINE)
    file.write_text(text, encoding="utf-8")
