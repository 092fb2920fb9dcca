"""Bundle the verifier of an audit's page into one classic script, without a download.

    python scripts/bundle_verifier.py           write llamafund_chain/audit/report/verifier.js
    python scripts/bundle_verifier.py --check   compare only; exit 1 when it is outdated

Run it after a change in llamafund_chain/audit/report/verifier, or in web/src/proofs, whose proofs it shares with the
page. The same sources give the same bytes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from llamafund_chain.files import write_file

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "llamafund_chain" / "audit" / "report" / "verifier" / "main.js"
TARGET = ROOT / "llamafund_chain" / "audit" / "report" / "verifier.js"
ESBUILD = ROOT / "node_modules" / ".bin" / "esbuild"

_BANNER = (
    "/* Made from audit/report/verifier by scripts/bundle_verifier.py; a test compares. "
    "With @noble/curves and @noble/hashes: MIT, (c) Paul Miller. */"
)


def build() -> bytes:
    """The bundle's bytes.

    Raises:
        SystemExit: esbuild is not installed, or refuses the sources.
    """
    command = [
        *(str(ESBUILD), str(SOURCE.relative_to(ROOT)), "--bundle", "--minify", "--format=iife", "--target=es2022"),
        *("--charset=utf8", "--legal-comments=none", f"--banner:js={_BANNER}"),
    ]
    try:
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    except OSError as error:
        raise SystemExit(f"esbuild cannot run ({error}): `make setup` installs it") from error
    if ran.returncode:
        raise SystemExit(ran.stderr.decode(errors="replace"))
    # It stands inside a <script> element.
    if b"</script" in ran.stdout.lower() or b"<!--" in ran.stdout:
        raise SystemExit("The bundle would end its own <script> element")
    return ran.stdout


def main() -> int:
    """Write the bundle, or compare."""
    parser = argparse.ArgumentParser(description="Bundle the verifier of an audit's page.")
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 when it is outdated")
    arguments = parser.parse_args()
    made = build()
    same = TARGET.is_file() and TARGET.read_bytes() == made
    if arguments.check and not same:
        print("The verifier's bundle is outdated: run `python scripts/bundle_verifier.py`.", file=sys.stderr)
        return 1
    if not same:
        write_file(TARGET, made)
    print(f"{TARGET.name}: {len(made)} bytes, {'as it was' if same else 'written'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
