"""Write docs/reference/*.md: contracts, checks, manifests and the Python API, made from the code that they describe.

    python scripts/export_reference.py           write the pages
    python scripts/export_reference.py --check   compare only; exit 1 when one is outdated

Run it after a change of a check, a manifest or a public name, and after `make artifacts`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from reference_pages import api, checks, contracts, manifests

from llamafund_chain.files import write_file

TARGET = Path(__file__).resolve().parent.parent / "docs" / "reference"

PAGES: dict[str, Callable[[], str]] = {
    "api.md": api.page,
    "checks.md": checks.page,
    "contracts.md": contracts.page,
    "manifests.md": manifests.page,
}


def build() -> dict[str, str]:
    """The pages' texts, by file name."""
    return {name: page().rstrip() + "\n" for name, page in PAGES.items()}


def differences(files: dict[str, str], target: Path) -> list[str]:
    """The names of pages that are missing, outdated, or not made any more."""
    present = {path.name: path.read_text(encoding="utf-8") for path in target.glob("*.md")}
    return sorted(name for name in files.keys() | present.keys() if files.get(name) != present.get(name))


def main() -> int:
    """Write the pages, or compare."""
    parser = argparse.ArgumentParser(description="Write docs/reference, made from the code.")
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 when a page is outdated")
    arguments = parser.parse_args()
    files = build()
    changed = differences(files, TARGET)
    if arguments.check and changed:
        print(
            f"Outdated: {', '.join(changed)}. Run `python scripts/export_reference.py` and commit the result.",
            file=sys.stderr,
        )
        return 1
    TARGET.mkdir(parents=True, exist_ok=True)
    for name in changed:
        if name in files:
            write_file(TARGET / name, files[name].encode())
        else:
            (TARGET / name).unlink()
    print(f"{len(files)} pages, {len(changed)} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
