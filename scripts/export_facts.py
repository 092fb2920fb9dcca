"""Write the tables of the base of facts into docs/facts.md. `--check` compares only."""

from __future__ import annotations

import sys
from pathlib import Path

from llamafund_chain.facts.tables import VIEW_COMMENTS, metadata

PAGE = Path(__file__).resolve().parent.parent / "docs" / "facts.md"
MARK = "<!-- Written by scripts/export_facts.py from llamafund_chain/facts/tables.py. -->\n"


def page(text: str) -> str:
    """The page with the tables as they are, after the mark."""
    parts = [text.partition(MARK)[0], MARK]
    for table in metadata.tables.values():
        parts.append(f"\n### `{table.name}`\n\n{table.comment}\n\n| column | what it is |\n|---|---|\n")
        for column in table.columns:
            key = ", part of the key" if column.primary_key else ""
            empty = ", may be empty" if column.nullable else ""
            parts.append(f"| `{column.name}` | {column.comment}{key}{empty} |\n")
    parts.append("\n### Views\n\n| view | what it shows |\n|---|---|\n")
    parts += [f"| `{name}` | {comment} |\n" for name, comment in VIEW_COMMENTS.items()]
    return "".join(parts)


def main() -> None:
    """Write the page, or compare."""
    now = PAGE.read_text(encoding="utf-8")
    made = page(now)
    if "--check" in sys.argv[1:]:
        if made != now:
            raise SystemExit(f"{PAGE.name} is out of date: python scripts/export_facts.py")
    elif made != now:
        PAGE.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
