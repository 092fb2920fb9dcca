"""Lists that `sha256sum --check` reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from llamafund_chain.evidence.manifests import FileEntry

_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r"})


def sha256sum_lines(files: Iterable[FileEntry]) -> Iterator[str]:
    r"""One line per file, with its line end, as GNU coreutils' `sha256sum` prints and `sha256sum --check` reads.

    A name with a backslash, a line feed or a carriage return is escaped and its line starts with a backslash, as the
    manual of coreutils says. A file called `-` is written `./-`, because `--check` would take `-` for standard input.

    Args:
        files: In the order of the lines. Their paths are relative to the directory where `--check` runs.
    """
    for entry in files:
        name = entry.path.translate(_ESCAPES)
        mark = "\\" if name != entry.path else ""
        yield f"{mark}{entry.sha256}  {'./-' if name == '-' else name}\n"
