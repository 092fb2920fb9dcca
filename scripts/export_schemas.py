"""Write the manifests' JSON Schemas into the Python package. They are made from the models.

    python scripts/export_schemas.py           write llamafund_chain/evidence/schemas/*.json and the links to them
    python scripts/export_schemas.py --check   compare only; exit 1 when a schema is outdated

Run it after a change in llamafund_chain/evidence/manifests. A published schema may say more later, never something
else: a manifest that it accepted must stay acceptable, or the kind gets a new version.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from llamafund_chain.evidence.manifests.schemas import file_name, make_schema, render, schema_names
from llamafund_chain.files import write_file

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "llamafund_chain" / "evidence" / "schemas"
LINKS = ROOT / "docs" / "schemas"


def build() -> dict[str, str]:
    """Return the schemas' texts by file name."""
    return {file_name(name): render(make_schema(name)) for name in schema_names()}


def differences(files: dict[str, str], directory: Path = TARGET, links: Path = LINKS) -> list[str]:
    """Return the names of files that are missing, outdated, not made any more, or not linked to from the docs."""
    present = {path.name: path.read_text(encoding="utf-8") for path in directory.glob("*.json")}
    linked = {path.name for path in links.glob("*.json") if path.resolve() == (directory / path.name).resolve()}
    names = files.keys() | present.keys() | {path.name for path in links.glob("*.json")}
    return sorted(name for name in names if files.get(name) != present.get(name) or name not in linked)


def write(files: dict[str, str], directory: Path = TARGET, links: Path = LINKS) -> None:
    """Make the directory's JSON files exactly `files`, and the docs' links lead to them."""
    for path in (*directory.glob("*.json"), *links.glob("*.json")):
        if path.name not in files or path.parent == links:
            path.unlink()
    links.mkdir(parents=True, exist_ok=True)
    way = Path(os.path.relpath(directory, links))
    for name, text in files.items():
        write_file(directory / name, text.encode())
        (links / name).symlink_to(way / name)


def main() -> int:
    """Write the schemas, or compare."""
    parser = argparse.ArgumentParser(description="Write the manifests' JSON Schemas into the Python package.")
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 when a schema is outdated")
    arguments = parser.parse_args()
    files = build()
    changed = differences(files)
    if arguments.check and changed:
        print(
            f"Outdated schemas: {', '.join(changed)}. The manifests' models changed. "
            "Run `python scripts/export_schemas.py` and commit the result.",
            file=sys.stderr,
        )
        return 1
    if changed:
        write(files)
    print(f"{len(files)} schemas, {len(changed)} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
