"""Make brownie run from its Python sources.

eth-brownie 1.22.2's wheel is compiled with mypyc, and the compiled modules fail with TypeErrors on live networks, on
deployments and on string defaults. The sources lie beside them; without the compiled files Python takes those. Safe to
run any number of times.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path


def compiled_modules() -> list[Path]:
    """Return brownie's compiled modules that are still installed.

    Raises:
        SystemExit: brownie is not installed in this environment.
    """
    try:
        listed = files("eth-brownie")
    except PackageNotFoundError:
        raise SystemExit("eth-brownie is not installed here; run `make setup` first.") from None
    found = (Path(str(entry.locate())) for entry in listed or [] if entry.suffix in {".so", ".pyd"})
    return sorted(path for path in found if path.exists())


def main() -> int:
    """Delete the compiled modules and say how many there were."""
    modules = compiled_modules()
    for module in modules:
        module.unlink()
    print(f"brownie: {len(modules)} compiled modules removed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
