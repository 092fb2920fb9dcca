"""Reads the column `text` of one Parquet or Arrow file, as a program of its own.

pyarrow crashes on some damaged files, so a stranger's table is read in another process with little memory. It imports
nothing of ours. Arguments: the file, the most bytes that a column may have in a row group or batch, and the most bytes
of memory. Writes each text to standard output, after its length as 8 bytes; null is the length 2^64 - 1. The exit code
is 0; or, with a reason on standard error, 1 if the file is no such table, and 2 if something else got in the way.
"""

from __future__ import annotations

import importlib
import resource
import sys
from collections.abc import Iterator
from typing import Any

NULL = 2**64 - 1
NO_TABLE = 1


def _columns(path: str, most: int) -> Iterator[Any]:
    pyarrow: Any = importlib.import_module("pyarrow")
    yield from (_parquet if path.endswith(".parquet") else _arrow)(pyarrow, path, most)


def _parquet(pyarrow: Any, path: str, most: int) -> Iterator[Any]:
    parquet: Any = importlib.import_module("pyarrow.parquet")
    _require_text(pyarrow, parquet.read_schema(path))
    # As a dictionary: a value that is repeated a million times stays one value.
    with parquet.ParquetFile(path, read_dictionary=["text"]) as file:
        for group in range(file.num_row_groups):
            columns = file.metadata.row_group(group)
            for number in range(columns.num_columns):
                column = columns.column(number)
                if column.path_in_schema == "text" and column.total_uncompressed_size > most:
                    raise ValueError(f"a row group has more than {most} bytes of text")
        for batch in file.iter_batches(batch_size=256, columns=["text"], use_threads=False):
            yield batch.column(0)


def _arrow(pyarrow: Any, path: str, most: int) -> Iterator[Any]:
    ipc: Any = importlib.import_module("pyarrow.ipc")
    with pyarrow.OSFile(path) as source:
        as_file = source.read(6) == b"ARROW1"
        source.seek(0)
        with (ipc.open_file if as_file else ipc.open_stream)(source) as reader:
            _require_text(pyarrow, reader.schema)
            batches = (reader.get_batch(number) for number in range(reader.num_record_batches)) if as_file else reader
            for batch in batches:
                column = batch.column("text")
                if column.nbytes > most:
                    raise ValueError(f"a batch has more than {most} bytes of text")
                # Offsets that a stranger wrote could lead anywhere in memory.
                column.validate(full=True)
                yield column


def _require_text(pyarrow: Any, schema: Any) -> None:
    types = pyarrow.types
    places = schema.get_all_field_indices("text")
    kind = schema.field(places[0]).type if len(places) == 1 else None
    if kind is not None and types.is_dictionary(kind):
        kind = kind.value_type
    if kind is None or not (types.is_string(kind) or types.is_large_string(kind)):
        raise ValueError('it has no column "text" of strings')


def main() -> int:
    """Run the program."""
    path, most, memory = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    out = sys.stdout.buffer
    try:
        for column in _columns(path, most):
            for value in column:
                text = value.as_py()
                data = b"" if text is None else text.encode("utf-8")
                out.write((NULL if text is None else len(data)).to_bytes(8, "big") + data)
        out.flush()
    except BrokenPipeError:
        return 0
    except Exception as error:  # noqa: BLE001 - whatever a library raises over a stranger's file is the answer
        sys.stderr.write(f"{error}"[:500])
        # pyarrow's errors about damaged files are of these kinds. Those about disks have a number; those about memory
        # and about a compression that it was built without are of others.
        return NO_TABLE if isinstance(error, ValueError) or (isinstance(error, OSError) and not error.errno) else 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
