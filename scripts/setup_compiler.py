"""Put the Solidity compiler where brownie looks for it: `.venv/solc/solc-v<version>`.

A native solc of exactly the version that `brownie-config.yaml` names is preferred when one is on PATH; otherwise the
npm package `solc` stands in through `scripts/solc-wasm.js`. Nothing is downloaded and nothing outside `.venv` changes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent


def wanted_version() -> str:
    """Return the compiler version of `brownie-config.yaml`, for example "0.8.37"."""
    config = yaml.safe_load((ROOT / "brownie-config.yaml").read_text(encoding="utf-8"))
    return str(config["compiler"]["solc"]["version"])


def version_of(solc: Path) -> str | None:
    """Return the version that a compiler reports, None when it reports none."""
    answer = subprocess.run([str(solc), "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"^Version: (\d+\.\d+\.\d+)\+", answer.stdout, re.MULTILINE)
    return match.group(1) if answer.returncode == 0 and match else None


def choose(version: str) -> Path:
    """Return the compiler to use.

    Raises:
        SystemExit: Neither a native compiler nor the npm package has the wanted version.
    """
    native = shutil.which("solc")
    if native is not None and version_of(Path(native)) == version:
        return Path(native)
    wasm = ROOT / "scripts" / "solc-wasm.js"
    found = version_of(wasm) if shutil.which("node") else None
    if found != version:
        raise SystemExit(
            f"No Solidity compiler {version} was found (the npm package reports {found}). The contracts are compiled "
            "with exactly that version. Install Node 20 and run `npm ci --ignore-scripts` in the checkout."
        )
    return wasm


def install(target: Path, compiler: Path) -> None:
    """Link `target` to the compiler, replacing what was there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f"{target.name}.{os.getpid()}")
    fresh.symlink_to(compiler)
    fresh.replace(target)


def main() -> int:
    """Set the compiler up and say which one it is."""
    version = wanted_version()
    compiler = choose(version)
    target = ROOT / ".venv" / "solc" / f"solc-v{version}"
    install(target, compiler)
    print(f"solc {version}: {target} -> {compiler}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
