"""Make halmos hash bytes with SHA-256.

halmos 0.3.3 takes the number of bytes that SHA-256 hashes for a number of bits, and stops. Run this with the Python of
.venv/assurance, any number of times. A halmos that looks different is refused: its proofs about hashes would need to be
looked at again.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

WRONG = 'f"f_sha256_{arg_size}", BitVecSorts[arg_size], BitVecSort256'
RIGHT = 'f"f_sha256_{arg_size}", BitVecSorts[8 * arg_size], BitVecSort256'


def main() -> int:
    """Correct the installed source, or say why not.

    Raises:
        SystemExit: halmos is not installed in this environment, or is another version.
    """
    package = importlib.util.find_spec("halmos")
    if package is None or package.origin is None:
        raise SystemExit("halmos is not installed here; run `make .venv/assurance/.ready` first.")
    source = Path(package.origin).with_name("sevm.py")
    text = source.read_text()
    if RIGHT in text:
        return 0
    if text.count(WRONG) != 1:
        raise SystemExit(
            f"{source} is not the one of halmos 0.3.3; see whether it hashes bytes, then drop this script."
        )
    source.write_text(text.replace(WRONG, RIGHT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
