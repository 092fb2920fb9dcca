"""Reading and writing files: whole or not at all, and never through a link or a pipe."""

from __future__ import annotations

from llamafund_chain.files.reading import (
    SPAN,
    IrregularFileError,
    changed_error,
    directory_error,
    kind_of,
    machine_trouble,
    open_descriptor,
    open_regular,
    read_error,
    read_limited,
    read_spans,
    read_text,
    storage_error,
)
from llamafund_chain.files.secret_files import check_secret, read_secret
from llamafund_chain.files.writing import (
    NO_LINK,
    PendingFile,
    is_abandoned,
    is_unfinished,
    sync,
    sync_all,
    sync_directory,
    unfinished_name,
    write_file,
)

__all__ = [
    "NO_LINK",
    "SPAN",
    "IrregularFileError",
    "PendingFile",
    "changed_error",
    "check_secret",
    "directory_error",
    "is_abandoned",
    "is_unfinished",
    "kind_of",
    "machine_trouble",
    "open_descriptor",
    "open_regular",
    "read_error",
    "read_limited",
    "read_secret",
    "read_spans",
    "read_text",
    "storage_error",
    "sync",
    "sync_all",
    "sync_directory",
    "unfinished_name",
    "write_file",
]
