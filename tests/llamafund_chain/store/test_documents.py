"""Documents are read from the formats that people have, in bounded memory, whoever made the files."""

from __future__ import annotations

import gzip
import io
import json
import random
import sys
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from llamafund_chain.errors import UsageError
from llamafund_chain.store import documents

TEXTS = ["First.", "Zweiter, größer.\r\n", "x" * 300_000]  # codespell:ignore
LINES = b"".join(json.dumps({"text": text, "id": 1}).encode() + b"\n" for text in TEXTS)


def tar(members: dict[str, bytes], **options: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", **options) as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def parquet(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def arrow(table: pa.Table, new: Any = pa.ipc.new_stream) -> bytes:
    out = io.BytesIO()
    with new(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return out.getvalue()


TABLE = pa.table({"id": [1, 2, 3], "text": TEXTS})
MEMBERS = {f"{number:03}.txt": text.encode() for number, text in enumerate(TEXTS)}
FILES: dict[str, bytes] = {
    "a.jsonl.gz": gzip.compress(LINES),
    "members.jsonl.gz": gzip.compress(LINES[:100]) + gzip.compress(LINES[100:]) + bytes(512),
    "b.jsonl.zst": zstandard.compress(LINES),
    "frames.jsonl.zst": zstandard.compress(LINES[:100]) + zstandard.compress(LINES[100:]),
    "gnu.tar": tar({"001.jpg": b"\xff\xd8", **MEMBERS, "001.cls": b"3"}, format=tarfile.GNU_FORMAT),
    "pax.tar": tar({f"{'d' * 120}/{name}": data for name, data in MEMBERS.items()}, format=tarfile.PAX_FORMAT),
    "long.tar": tar({f"{'d' * 200}/{name}": data for name, data in MEMBERS.items()}, format=tarfile.GNU_FORMAT),
    "json.tar": tar({f"{n}.json": json.dumps({"text": t}).encode() for n, t in enumerate(TEXTS)} | {"m.json": b"{}"}),
    "c.parquet": parquet(TABLE),
    "plain.parquet": parquet(TABLE, use_dictionary=False, row_group_size=1),
    "d.arrow": arrow(TABLE),
    "file.arrow": arrow(TABLE, pa.ipc.new_file),
    "large.arrow": arrow(pa.table({"text": pa.array(TEXTS, pa.large_string())})),
}


def read(path: Path, size: int = 1 << 20) -> list[str]:
    parser = documents.parser(path.name, path)
    found = []
    data = path.read_bytes()
    for start in range(0, len(data), size):
        found += parser.update(data[start : start + size])
    return found + list(parser.finish())


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("size", [1 << 20, 977])
def test_documents_come_out_of_every_format_however_the_bytes_are_split(tmp_path: Path, name: str, size: int) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    assert read(tmp_path / name, size) == TEXTS


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_was_cut_or_damaged_anywhere_is_refused_or_read_in_full(tmp_path: Path, name: str) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    whole = FILES[name]
    for _ in range(4 if name.endswith((".parquet", ".arrow")) else 30):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        for data in (whole[: chance.randrange(len(whole))], bytes(damaged)):
            (tmp_path / name).write_bytes(data)
            try:
                found = read(tmp_path / name)
            except UsageError as error:
                assert name in str(error)  # noqa: PT017
            else:
                assert all(isinstance(text, str) for text in found)


def test_a_damaged_table_is_a_finding_whatever_error_pyarrow_has_for_it(tmp_path: Path) -> None:
    """Where the footer is sound and the pages are not, its errors are those of disks, but without their number."""
    whole = bytearray(parquet(pa.table({"text": ["one document"] * 3000}), use_dictionary=False, compression="gzip"))
    whole[4:60] = b"\xff" * 56
    (tmp_path / "x.parquet").write_bytes(whole)
    with pytest.raises(documents.NotDocumentsError, match="pyarrow cannot read it"):
        read(tmp_path / "x.parquet")


@pytest.mark.parametrize("name", ["a.jsonl.gz", "b.jsonl.zst", "gnu.tar"])
def test_a_file_cut_in_the_middle_is_never_taken_for_whole(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FILES[name][: len(FILES[name]) // 3])
    with pytest.raises(UsageError, match=r"ends in the middle|not an object|not JSON"):
        read(tmp_path / name)


LINE = b'{"text": "a"}\n'


@pytest.mark.parametrize(
    ("name", "pack"),
    [("bomb.jsonl.gz", gzip.compress), ("bomb.jsonl.zst", zstandard.compress)],
)
@pytest.mark.parametrize("content", [LINE, b"\n", b" "], ids=["documents", "lines", "one line"])
def test_threat_a_bomb_fills_neither_memory_nor_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, pack: Any, content: bytes
) -> None:
    monkeypatch.setattr(documents, "_FREE_BYTES", 100_000)
    monkeypatch.setattr(documents, "MAX_DOCUMENT_BYTES", 2_000_000)
    (tmp_path / name).write_bytes(pack(content * (4_000_000 // len(content))))
    pieces: list[int] = []
    update = documents._Lines.update

    def spy(lines: Any, data: bytes) -> Any:
        pieces.append(len(data))
        return update(lines, data)

    monkeypatch.setattr(documents._Lines, "update", spy)
    with pytest.raises(UsageError, match=r"unpacks to more than 200 times|longer than"):
        read(tmp_path / name)
    # Where it stops: one piece after the limit, and no piece is large.
    assert sum(pieces) < 100_000 + 200 * (tmp_path / name).stat().st_size + 33_000_000
    assert max(pieces, default=0) <= 32 * 1024 * 1024


def test_threat_a_table_of_one_value_repeated_is_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "_FREE_BYTES", 100_000)
    (tmp_path / "bomb.parquet").write_bytes(parquet(pa.table({"text": ["a"] * 1_000_000})))
    with pytest.raises(UsageError, match="unpacks to more than"):
        read(tmp_path / "bomb.parquet")


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("x.jsonl", b'{"text": "a", "text": "b"}', "key 'text' twice"),
        ("x.jsonl", b'{"text": "a", "meta": {"id": 1, "id": 2}}', "key 'id' twice"),
        ("x.txt", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        ("x.jsonl", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        ("x.jsonl.gz", b"plain", "not gzip"),
        ("x.jsonl.zst", b"plain", "not Zstandard"),
        ("x.jsonl.gz", gzip.compress(b"", mtime=0), "contains no documents"),
        ("x.tar", b"plain" * 200, "not a tar"),
        ("x.tar", tar({"a.jpg": b"x"}), "no .txt member"),
        ("x.parquet", b"plain", "pyarrow cannot read it"),
        ("x.parquet", parquet(pa.table({"body": ["a"]})), 'no column "text"'),
        ("x.parquet", parquet(pa.table({"text": [1]})), 'no column "text" of strings'),
        ("x.parquet", parquet(pa.table({"text": ["a", None]})), "row 2.*some text"),
        ("x.arrow", b"plain", "pyarrow cannot read it"),
        ("x.arrow", arrow(pa.table({"text": pa.array([], pa.string())})), "contains no documents"),
    ],
)
def test_what_holds_no_documents_is_refused(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(documents.NotDocumentsError, match=f"(?s){reason}"):
        read(tmp_path / name)


@pytest.mark.parametrize("code", [2, -9], ids=["no memory", "killed"])
def test_a_table_that_this_machine_could_not_read_is_not_called_no_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    reader = tmp_path / "reader.py"
    reader.write_text(f"import os, sys\nos.kill(os.getpid(), 9) if {code} < 0 else sys.exit({code})\n")
    monkeypatch.setattr(documents.tables, "__file__", str(reader))
    (tmp_path / "x.parquet").write_bytes(parquet(pa.table({"text": ["a"]})))
    with pytest.raises(UsageError, match="pyarrow") as caught:
        read(tmp_path / "x.parquet")
    assert not isinstance(caught.value, documents.NotDocumentsError)


@pytest.mark.parametrize(
    ("package", "name", "extra"), [("pyarrow", "x.parquet", "parquet"), ("zstandard", "x.jsonl.zst", "zstd")]
)
def test_a_package_that_is_missing_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, package: str, name: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    with pytest.raises(UsageError, match=rf"without the package {package}.*llamafund\[{extra}\]"):
        documents.parser(name, Path(name))


def test_pyarrow_is_imported_only_for_tables() -> None:
    import subprocess

    code = "import sys, llamafund_chain.store.dataset, llamafund_chain.cli.dataset; print('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
