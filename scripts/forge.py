"""Run the project's own forge and end with its exit code, which the wrapper in its npm package forgets.

python scripts/forge.py fmt --check
"""

from __future__ import annotations

import subprocess
import sys

from llamafund_chain.chain.foundry import find_program
from llamafund_chain.errors import LlamafundError


def main() -> int:
    """Run forge with this process's arguments."""
    try:
        program = find_program("forge")
    except LlamafundError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    return subprocess.run([str(program), *sys.argv[1:]], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
