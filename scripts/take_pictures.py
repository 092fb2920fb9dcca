"""Take the pictures of the page that the documents show: docs/pictures/web-*.webp.

    python scripts/take_pictures.py

The tests that open every view take them, at two widths, in light and dark: those that use `looked_at`. Look at each
before you commit it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "pictures"
TESTS = ROOT / "tests" / "web"


def tests() -> list[Path]:
    """The files with tests that take pictures."""
    return [path for path in sorted(TESTS.glob("test_*.py")) if views(path)]


def views(path: Path) -> list[str]:
    """The views that a file's tests look at."""
    return re.findall(r'looked_at\([\w.]+, "([\w-]+)"', path.read_text(encoding="utf-8"))


def main() -> int:
    """Run the tests, and make their pictures small."""
    # Imported here: the tests import this folder's scripts, and need no pictures.
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *map(str, tests())],
            cwd=ROOT,
            env={**os.environ, "LLAMAFUND_PICTURES": folder},
            check=False,
        )
        if ran.returncode:
            return ran.returncode
        taken = sorted(Path(folder).glob("*.png"))
        for old in TARGET.glob("web-*.webp"):
            old.unlink()
        for path in taken:
            with Image.open(path) as picture:
                picture.save(TARGET / f"web-{path.stem}.webp", quality=70, method=6)
    print(f"{len(taken)} pictures in {TARGET.relative_to(ROOT)}: look at each")
    return 0


if __name__ == "__main__":
    sys.exit(main())
