"""Run brownie without a trace outside the checkout.

    python scripts/brownie_env.py run deploy --network local

brownie keeps accounts, networks and caches in `~/.brownie` and has no setting for another place, so the home directory
is moved, for this process alone, to `build/home`. The networks are those of `scripts/networks.yaml` and the compiler is
the one that `scripts/setup_compiler.py` put into `.venv/solc`.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "build" / "home"
COMPILERS = ROOT / ".venv" / "solc"
NETWORKS = ROOT / "scripts" / "networks.yaml"


def prepare(home: Path = HOME) -> None:
    """Move brownie's data folder below `home`. Call it before anything imports brownie.

    Args:
        home: Directory that stands in for the home directory; created when missing.

    Raises:
        RuntimeError: brownie was imported already and has fixed its data folder.
    """
    if "brownie" in sys.modules:
        raise RuntimeError(
            "brownie was imported before its home was moved. It reads the home directory once, on import. "
            "Call brownie_env.prepare() first."
        )
    data = home / ".brownie"
    data.mkdir(parents=True, exist_ok=True)
    fresh = data / f"network-config.yaml.{os.getpid()}"
    shutil.copyfile(NETWORKS, fresh)
    fresh.replace(data / "network-config.yaml")
    os.environ["HOME"] = str(home)
    os.environ["SOLCX_BINARY_PATH"] = str(COMPILERS)


def load_project() -> Any:
    """Compile what changed and return brownie's project object. Needs `prepare` first."""
    from brownie import project

    return project.load(ROOT, name="LlamafundProject", raise_if_loaded=False)


def main() -> None:
    """Hand the command line to brownie, in the checkout's root."""
    prepare()
    os.chdir(ROOT)
    from brownie._cli.__main__ import main as brownie_main
    from brownie._config import CONFIG

    # brownie expands variables in the host alone. Other processes, with other variables, read the same file.
    for network in CONFIG.networks.values():
        network["chainid"] = os.path.expandvars(network["chainid"])
    brownie_main()


if __name__ == "__main__":
    main()
