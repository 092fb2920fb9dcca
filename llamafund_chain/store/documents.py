"""Documents: the texts in a dataset's files, read span by span, however a stranger made the files."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from llamafund_chain.errors import UsageError, VerificationError
from llamafund_chain.evidence.hashing import pointer_kind, resolve_inside
from llamafund_chain.evidence.manifests import FileEntry
from llamafund_chain.files import read_spans
from llamafund_chain.mistakes import DocumentError, decode, explain_json
from llamafund_chain.store import tables
from llamafund_chain.strict_yaml import nesting

_MAX_DEPTH = 500
"""Half of Python's own limit, which other libraries may lift."""

MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
"""Most bytes of a document, so that a hostile file cannot fill the memory."""

MAX_RATIO = 200
"""How many times its size a packed file may unpack to. Text packs to a third or a tenth, a bomb to a thousandth."""

_FREE_BYTES = 64 * 1024 * 1024
"""Unpacked bytes for which the ratio is not looked at."""

_MAX_COLUMN_BYTES = 1024 * 1024 * 1024
"""Most unpacked bytes of a column in a row group or batch, which is in memory whole."""

_TABLE_MEMORY = 4 * 1024 * 1024 * 1024
"""Most bytes of memory of the process that reads a table."""

_ROW_BYTES = 64
"""What a row counts at least: as much as remembering its document takes."""

_UNPACKED_AT_ONCE = 1024 * 1024

_ZSTD_PIECE = 1024
"""Bytes given to Zstandard at a time. Four of them make at most 128 KiB, so that no more than 32 MiB come out."""

_TAR_BLOCK = 512
_MAX_TAR_NAME = 64 * 1024

SUFFIXES = (".txt", ".jsonl", ".jsonl.gz", ".jsonl.zst", ".tar", ".parquet", ".arrow")
"""How the names of files with documents end."""


class NotDocumentsError(UsageError):
    """A file's own bytes are no documents, or more than is safe to read. No package or machine is the reason."""


class Parser(Protocol):
    """Finds the documents in a file's bytes, however the bytes are split."""

    def update(self, data: bytes) -> Iterator[str]:
        """Take the next bytes, and return the documents that end in them."""
        ...

    def finish(self) -> Iterator[str]:
        """Return the documents that end with the file."""
        ...


def parser(name: str, path: Path) -> Parser:
    """A parser for a file's documents.

    Args:
        name: The file's path in its dataset; its end says what it is.
        path: Where the file is. Only tables (Parquet, Arrow) are read from there, because their parts are out of
            order; all others are read from the bytes that pass by.
    """
    if name.endswith(".gz"):
        return _Unpacked(name, _Lines(name), _Gzip(name))
    if name.endswith(".zst"):
        return _Unpacked(name, _Lines(name), _Zstandard(name))
    if name.endswith(".jsonl"):
        return _Lines(name)
    if name.endswith(".tar"):
        return _Tar(name)
    if name.endswith((".parquet", ".arrow")):
        return _Table(name, path)
    return _Whole(name)


def read_documents(root: Path, entries: Iterable[FileEntry]) -> Iterator[str]:
    """The documents of some of a dataset's files, in order.

    Args:
        root: The directory that their paths are relative to.
        entries: The files.

    Raises:
        UsageError: A file is missing or leads out of the directory, or contains anything but documents. Or it needs a
            package that is not installed.
        LlamafundError: A file cannot be read.
    """
    for entry in entries:
        path = resolve_inside(root, entry.path)
        found = parser(entry.path, path)
        for span in read_spans(path):
            yield from found.update(span)
        yield from found.finish()


def published_documents(root: Path, entries: Iterable[FileEntry]) -> Iterator[str]:
    """The documents of fetched files, which are what somebody published; otherwise like `read_documents`.

    Raises:
        VerificationError: A file contains anything but documents.
        UsageError: A file needs a package that is not installed, or a table cannot be read.
        LlamafundError: A file cannot be read.
    """
    try:
        yield from read_documents(root, entries)
    except NotDocumentsError as error:
        raise VerificationError(error.what, error.why, "Do not sign or pay for it") from error


class _Whole:
    """A file that is one document."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._data = bytearray()

    def update(self, data: bytes) -> Iterator[str]:
        self._data += data
        if len(self._data) > MAX_DOCUMENT_BYTES:
            raise _too_long(self._name)
        return iter(())

    def finish(self) -> Iterator[str]:
        yield _text(bytes(self._data), repr(self._name))


class _Lines:
    """A file with one JSON object per line."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._rest = bytearray()
        self._number = 0
        self._found = False

    def update(self, data: bytes) -> Iterator[str]:
        head, *tail = data.split(b"\n")
        self._rest += head
        for piece in tail:
            yield from self._line()
            self._rest = bytearray(piece)
        if len(self._rest) > MAX_DOCUMENT_BYTES:
            raise _too_long(self._name)

    def finish(self) -> Iterator[str]:
        yield from self._line()
        if not self._found:
            raise _unreadable(repr(self._name), "It contains no documents")

    def _line(self) -> Iterator[str]:
        self._number += 1
        if len(self._rest) > MAX_DOCUMENT_BYTES:
            raise _too_long(self._name)
        if self._rest.strip():
            if not self._found:
                _refuse_pointer(bytes(self._rest), self._name)
            self._found = True
            yield _parse_line(bytes(self._rest), f"{self._name!r}, line {self._number}")


class _Unpacker(Protocol):
    """Unpacks a stream piece by piece, each piece of limited size."""

    def unpack(self, data: bytes) -> Iterator[bytes]: ...

    @property
    def ended(self) -> bool: ...


class _Unpacked:
    """A packed file."""

    def __init__(self, name: str, inner: Parser, unpacker: _Unpacker) -> None:
        self._name = name
        self._inner = inner
        self._unpacker = unpacker
        self._taken = 0
        self._made = 0

    def update(self, data: bytes) -> Iterator[str]:
        self._taken += len(data)
        for piece in self._unpacker.unpack(data):
            self._made += len(piece)
            if self._made > _FREE_BYTES + MAX_RATIO * self._taken:
                raise _bomb(self._name)
            yield from self._inner.update(piece)

    def finish(self) -> Iterator[str]:
        if not self._unpacker.ended:
            raise _unreadable(repr(self._name), "It ends in the middle: it was cut short")
        yield from self._inner.finish()


class _Gzip:
    """Unpacks gzip, also several members one after another."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._member = zlib.decompressobj(wbits=31)
        self._begun = False

    @property
    def ended(self) -> bool:
        return not self._begun

    def unpack(self, data: bytes) -> Iterator[bytes]:
        while data:
            if not self._begun:
                # Zeros may fill up the last block of a tape.
                data = data.lstrip(b"\0")
                if not data:
                    return
                self._member, self._begun = zlib.decompressobj(wbits=31), True
            try:
                piece = self._member.decompress(data, _UNPACKED_AT_ONCE)
            except zlib.error as error:
                raise _unreadable(repr(self._name), "It is not gzip, or damaged") from error
            if piece:
                yield piece
            data = self._member.unconsumed_tail
            if self._member.eof:
                data, self._begun = self._member.unused_data, False


class _Zstandard:
    """Unpacks Zstandard, also several frames one after another."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._new_frame, self._error = _zstandard(name)
        self._frame: Any = None

    @property
    def ended(self) -> bool:
        return self._frame is None

    def unpack(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_PIECE):
            rest = data[start : start + _ZSTD_PIECE]
            while rest:
                if self._frame is None:
                    self._frame = self._new_frame()
                try:
                    piece = self._frame.decompress(rest)
                except self._error as error:
                    raise _unreadable(repr(self._name), "It is not Zstandard, or damaged") from error
                if piece:
                    yield piece
                rest = b""
                if self._frame.eof:
                    rest, self._frame = self._frame.unused_data, None


def _zstandard(name: str) -> tuple[Any, type[Exception]]:
    """What makes the object that unpacks a frame, and its error; from Python 3.14 or from the package `zstandard`."""
    try:
        own = importlib.import_module("compression.zstd")
    except ImportError:
        pass
    else:
        options = {own.DecompressionParameter.window_log_max: 27}
        return lambda: own.ZstdDecompressor(options=options), own.ZstdError
    package = _import("zstandard", name, "zstd")
    return lambda: package.ZstdDecompressor(max_window_size=2**27).decompressobj(), package.ZstdError


class _Tar:
    """A tar archive as WebDataset writes it: `.txt` members are documents, and `.json` members with a text.

    Other members, such as pictures and labels, carry no text and are passed over.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting = bytearray()
        self._member = ""
        self._long_name: str | None = None
        self._left = 0
        self._padding = 0
        self._data: bytearray | None = None
        self._kind = b""
        self._ended = False
        self._found = False

    def update(self, data: bytes) -> Iterator[str]:
        view = memoryview(data)
        while view and not self._ended:
            if self._left:
                piece, view = view[: self._left], view[self._left :]
                self._left -= len(piece)
                if self._data is not None:
                    self._data += piece
                if not self._left:
                    yield from self._end_member()
            elif self._padding:
                skipped = min(self._padding, len(view))
                self._padding -= skipped
                view = view[skipped:]
            else:
                need = _TAR_BLOCK - len(self._waiting)
                self._waiting += view[:need]
                view = view[need:]
                if len(self._waiting) == _TAR_BLOCK:
                    header, self._waiting = bytes(self._waiting), bytearray()
                    yield from self._header(header)

    def finish(self) -> Iterator[str]:
        if self._left or self._waiting:
            raise _unreadable(repr(self._name), "It ends in the middle: it was cut short")
        if not self._found:
            raise _unreadable(repr(self._name), "It contains no documents: no .txt member, no .json one with a text")
        return iter(())

    def _header(self, block: bytes) -> Iterator[str]:
        if not any(block):
            self._ended = True
            return
        kind, size = block[156:157], self._number(block[124:136])
        if self._number(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * 32:
            raise _unreadable(repr(self._name), "It is not a tar archive, or damaged")
        if kind not in b"\0" + b"01257xgLK" or size < 0:
            raise _unreadable(repr(self._name), f"It has a member of the kind {kind!r}, which holds no document")
        self._kind, self._left, self._padding = kind, size, -size % _TAR_BLOCK
        self._member = self._long_name or _tar_name(block)
        wanted = kind in b"\0" + b"07" and self._member.endswith((".txt", ".json"))
        described = kind in (b"x", b"L")
        if size > (_MAX_TAR_NAME if described else MAX_DOCUMENT_BYTES) and (wanted or described):
            raise _too_long(f"{self._name}: {self._member}")
        self._data = bytearray() if wanted or described else None
        if not size:
            yield from self._end_member()

    def _end_member(self) -> Iterator[str]:
        data, self._data = self._data, None
        if self._kind == b"L" and data is not None:
            self._long_name = bytes(data).rstrip(b"\0").decode("utf-8", "replace")
        elif self._kind == b"x" and data is not None:
            self._long_name = self._pax_name(bytes(data)) or self._long_name
        elif self._kind not in (b"g", b"K"):
            self._long_name = None
            if data is not None:
                yield from self._document(bytes(data))

    def _document(self, data: bytes) -> Iterator[str]:
        place = f"{self._name!r}, member {self._member!r}"
        if self._member.endswith(".txt"):
            self._found = True
            yield _text(data, place)
        else:
            value = _parse_json(data, place)
            # Beside a picture it is often only its description.
            if isinstance(value, dict) and "text" in value:
                self._found = True
                yield _text_of(value, place)

    def _pax_name(self, data: bytes) -> str | None:
        """The path in a member's extended header; a record is its own length, a space, a key, `=` and a value."""
        found = None
        while data:
            length, space, _ = data.partition(b" ")
            if not space or not length.isdigit() or not len(length) < int(length) <= len(data):
                raise _unreadable(repr(self._name), "It has an extended header that is damaged")
            key, _, value = data[len(length) + 1 : int(length) - 1].partition(b"=")
            if key in (b"size", b"GNU.sparse.major", b"GNU.sparse.map"):
                raise _unreadable(repr(self._name), "It has a member that is too large or has holes")
            if key == b"path":
                found = value.decode("utf-8", "replace")
            data = data[int(length) :]
        return found

    def _number(self, field: bytes) -> int:
        if field[0] & 0x80:
            return int.from_bytes(field[1:], "big")
        digits = field.strip(b"\0 ")
        try:
            return int(digits or b"0", 8)
        except ValueError:
            raise _unreadable(repr(self._name), "It is not a tar archive, or damaged") from None


def _tar_name(block: bytes) -> str:
    name = block[:100].split(b"\0")[0]
    prefix = block[345:500].split(b"\0")[0] if block[257:262] == b"ustar" else b""
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "replace")


class _Table:
    """A Parquet or Arrow file: one document per row, in the column `text`."""

    def __init__(self, name: str, path: Path) -> None:
        self._name = name
        self._path = path
        self._size = 0
        # Before anything is read, so that a lack of the package is told at once.
        _import("pyarrow", name, "parquet")

    def update(self, data: bytes) -> Iterator[str]:
        self._size += len(data)
        return iter(())

    def finish(self) -> Iterator[str]:
        number = made = 0
        for text in self._texts():
            number += 1
            # A row that repeats another costs next to nothing in the file.
            made += _ROW_BYTES + (len(text) if text is not None else 0)
            if made > _FREE_BYTES + MAX_RATIO * self._size:
                raise _bomb(self._name)
            place = f"{self._name!r}, row {number}"
            try:
                yield _text_of({"text": None if text is None else text.decode("utf-8")}, place)
            except UnicodeDecodeError as error:
                raise _unreadable(place, "It is not UTF-8") from error
        if not number:
            raise _unreadable(repr(self._name), "It contains no documents")

    def _texts(self) -> Iterator[bytes | None]:
        """The rows' texts, from a process of its own: pyarrow crashes on some damaged files."""
        arguments = [str(self._path), str(_MAX_COLUMN_BYTES), str(_TABLE_MEMORY)]
        with (
            tempfile.TemporaryFile() as said,
            subprocess.Popen(
                [sys.executable, "-P", tables.__file__, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
            ) as process,
        ):
            assert process.stdout is not None
            try:
                while length := process.stdout.read(8):
                    size = int.from_bytes(length, "big")
                    if size == tables.NULL:
                        yield None
                        continue
                    if len(length) == 8 and size > MAX_DOCUMENT_BYTES:
                        raise _too_long(self._name)
                    text = process.stdout.read(size)
                    if len(length) < 8 or len(text) < size:
                        break
                    yield text
            except BaseException:
                process.kill()
                raise
            code = process.wait()
            said.seek(0)
            reason = said.read(1000).decode("utf-8", "replace").strip()
        if code:
            why = f"pyarrow cannot read it: {' '.join(reason.split())}"
            error = _unreadable(
                repr(self._name), why if code > 0 else "pyarrow crashed on it, as on some damaged files"
            )
            # Otherwise the memory may have been too small, or the process was killed.
            raise error if code == tables.NO_TABLE else UsageError(error.what, error.why, error.remedy)


def _import(package: str, name: str, extra: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise UsageError(
            f"{name!r} cannot be read without the package {package}",
            "It is not installed, because few datasets need it",
            f"Run: pip install 'llamafund[{extra}]'",
        ) from error


def _text(data: bytes, place: str) -> str:
    _refuse_pointer(data, place)
    try:
        text = decode(data)
    except DocumentError as error:
        raise _unreadable(place, f"It is not UTF-8: {error}") from error
    if not text.strip():
        raise _unreadable(place, "It contains no text")
    return text


def _refuse_pointer(data: bytes, place: str) -> None:
    found = pointer_kind(data)
    if found is not None:
        kind, command = found
        raise NotDocumentsError(
            f"{place} is a {kind} pointer, not a document",
            "It only names a file that was not fetched",
            f"Run in that folder: {command}",
        )


class _TwiceError(ValueError):
    """A JSON object has a key twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _TwiceError(key)
        found[key] = value
    return found


def _parse_json(line: bytes, place: str) -> Any:
    # Most lines have fewer brackets than that, which takes less time to see.
    if line.count(b"[") + line.count(b"{") > _MAX_DEPTH and nesting(line) > _MAX_DEPTH:
        raise _unreadable(place, f"It is not JSON that can be read: nested more than {_MAX_DEPTH} deep")
    try:
        return json.loads(decode(line), object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise _unreadable(place, f"It is not JSON: {explain_json(error).problem}") from error
    except DocumentError as error:
        raise _unreadable(place, f"It is not JSON: {error.problem}") from error
    except _TwiceError as error:
        raise _unreadable(
            place, f"It has the key {str(error)[:80]!r} twice, so programs read different things"
        ) from error
    except ValueError as error:
        raise _unreadable(place, "It is not JSON that can be read: a number is too long") from error


def _parse_line(line: bytes, place: str) -> str:
    return _text_of(_parse_json(line, place), place)


def _text_of(value: Any, place: str) -> str:
    text = value.get("text") if isinstance(value, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise _unreadable(place, 'It is not an object with some text under the key "text"')
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise _unreadable(place, "Its text is not valid Unicode: it contains half of a surrogate pair") from error
    if size > MAX_DOCUMENT_BYTES:
        raise _too_long(place)
    return text


def _unreadable(place: str, reason: str) -> NotDocumentsError:
    return NotDocumentsError(f"{place} cannot be read as documents", reason, "Correct or remove it")


def _bomb(name: str) -> NotDocumentsError:
    return _unreadable(
        repr(name), f"It unpacks to more than {MAX_RATIO} times its size, and could fill memory and time"
    )


def _too_long(name: str) -> NotDocumentsError:
    what = f"{name!r} has a document longer than {MAX_DOCUMENT_BYTES} bytes"
    return NotDocumentsError(what, remedy="Split it into several")
