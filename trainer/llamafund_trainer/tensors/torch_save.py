"""Reading what `torch.save` wrote, without torch and without running the pickle in it.

Such a file is a zip archive with an index, which is a pickle, and the uncompressed bytes of the tensors. Our unpickler
for the index knows plain values, tensors and numpy's arrays. It refuses anything else that a pickle may ask for.

Torch later reads the same file with its own reader. So whatever torch could read differently is refused: archives
behind other data, archives with two directories, names that are alike, bytes that two tensors share.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from llamafund_chain.errors import VerificationError
from llamafund_chain.files import machine_trouble
from llamafund_trainer.tensors.compare import TensorEntry

MAX_INDEX = 32 * 1024 * 1024
"""Largest size of the index in bytes; the tensors are not in it."""

MAX_OPERATIONS = 4_000_000
"""Most operations of the pickle in the index; a tensor takes about 34."""

MAX_TENSORS = 300_000

MAX_REMEMBERED_TUPLES = 8
"""How often an index may use a tuple again; torch.save does so once or twice, for an optimizer's betas."""

MAX_SMALL_FILE = 16 * 1024 * 1024
"""Largest size in bytes of a file whose tensors are read into memory."""

_TYPES = {
    "DoubleStorage": ("F64", 8),
    "FloatStorage": ("F32", 4),
    "HalfStorage": ("F16", 2),
    "BFloat16Storage": ("BF16", 2),
    "LongStorage": ("I64", 8),
    "IntStorage": ("I32", 4),
    "ShortStorage": ("I16", 2),
    "CharStorage": ("I8", 1),
    "ByteStorage": ("U8", 1),
    "BoolStorage": ("BOOL", 1),
}
"""For each of torch's storages, the name of its type in safetensors and the bytes of an element."""

_NUMPY = frozenset({"_reconstruct", "ndarray", "dtype"})

_OPERATIONS = frozenset(
    {
        *("PROTO", "MARK", "STOP", "NONE", "NEWFALSE", "NEWTRUE"),
        *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"),
        *("EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_LIST", "APPEND", "APPENDS"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
        *("BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
        *("GLOBAL", "BINPERSID", "REDUCE", "BUILD"),
    }
)
"""All operations that torch.save uses in a pickle."""

_LOCAL_HEADER = 30
"""Bytes before a member's name in a zip archive."""

_LOCAL_MARK = b"PK\3\4"
"""Torch reads a file that starts with anything else as its old format, without an archive."""

_OTHER_MEMBERS = 16
"""Members that are not tensors; torch.save writes five or six."""

_MAX_ENTRY = 128
"""Bytes of a member in the archive's directory; torch.save uses about 90."""

_LENGTHS = (26, 28)
"""Offsets in the local header of the two-byte lengths of the name and of the extra field after it."""

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_LARGE_END = struct.Struct("<4sQ2H2L4Q")
"""The end of a zip archive, with the position and size of its directory, and the same for large archives before it."""

_MEMBER = re.compile(r"[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)+")


class _RefusedError(Exception):
    """The file is not what torch.save writes, or asks for more; the message ends a sentence about it."""


class _Final:
    """Cannot be changed: torch lets a pickle change a tensor or mapping after making it, to one with other bytes."""

    def __setstate__(self, state: object) -> None:
        raise _RefusedError("it changes a tensor or mapping after making it")


class _Mapping(_Final, OrderedDict[Any, Any]):
    """Stands in for `OrderedDict`, whose attributes could hide what it holds.

    It starts empty, as torch.save writes it. Made from a list it would be a copy, and a single byte makes another copy.
    """

    def __init__(self) -> None:
        super().__init__()


@dataclass(frozen=True)
class SavedTensor(_Final):
    """A tensor as the index describes it, which may be a lie.

    Attributes:
        storage: Where its elements are.
        offset: Number of elements before its first one.
        shape: Its dimensions.
        stride: Elements from one index to the next, by dimension.
    """

    storage: object
    offset: object
    shape: object
    stride: object

    # Not a key of a mapping: computing the hash of nested tensors can take forever.
    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class _TensorMaker(_Final):
    """Takes the arguments of `torch._utils._rebuild_tensor_v2`."""

    def __call__(
        self, storage: object, offset: object, shape: object, stride: object, grad: object, hooks: object, *more: object
    ) -> SavedTensor:
        if grad is not False or hooks or any(more):
            # One of them makes torch negate every element.
            raise _RefusedError("one of its tensors is more than its bytes")
        return SavedTensor(storage, offset, shape, stride)


@dataclass(frozen=True)
class _Storage(_Final):
    """Bytes of tensors in the archive.

    Attributes:
        kind: A key of `_TYPES`.
        key: Their name in the archive.
        elements: How many elements there are, according to the index.
        data: The bytes, if they were read.
    """

    kind: str
    key: str
    elements: int
    data: bytes | None


@dataclass(frozen=True)
class _Maker(_Final):
    """Something that the index wants to call. It is not called."""

    name: str

    def __call__(self, *arguments: object) -> _Made:
        return _Made(self.name, arguments)


@dataclass
class _Made:
    """Something that the index wants to make. Two are equal if the same would be made from the same arguments."""

    name: str
    arguments: tuple[object, ...]
    state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


def read_saved(path: Path) -> Mapping[str, Any]:
    """The plain values of a file that `torch.save` wrote. Tensors become `SavedTensor`s without their bytes.

    Raises:
        VerificationError: It is not such a file, or asks for something other than plain values and tensors.
        LlamafundError: The machine cannot read it.
    """
    return _mapping(path, with_bytes=False)


def same_values(one: Path, other: Path) -> bool:
    """Whether two small files hold the same values, including tensors, whichever library wrote them.

    Raises:
        VerificationError: As in `read_saved`, or a file is longer than `MAX_SMALL_FILE`.
    """
    for path in (one, other):
        if path.stat().st_size > MAX_SMALL_FILE:
            raise VerificationError(f"{path.name} is longer than {MAX_SMALL_FILE} bytes")
    try:
        return _mapping(one, with_bytes=True) == _mapping(other, with_bytes=True)
    except RecursionError:
        return False


def optimizer_tensors(path: Path) -> dict[str, TensorEntry]:
    """Where the tensors of an `optimizer.pt` are stored, by names such as `3.exp_avg` with the parameter's number.

    Raises:
        VerificationError: As in `read_saved`, or a tensor is not in one piece in the file.
    """
    state = read_saved(path).get("state")
    found: dict[str, TensorEntry] = {}
    used: set[str] = set()
    with _reporting(path), path.open("rb") as file, zipfile.ZipFile(file) as archive:
        for number, name, tensor in _moments(state):
            if len(found) >= MAX_TENSORS:
                raise _RefusedError(f"it has more than {MAX_TENSORS} tensors")
            key, entry = _located(path, file, archive, f"{number}.{name}", tensor)
            found[entry.name] = entry
            if key in used:
                raise _RefusedError("two of its tensors share their bytes, so a change to one would change both")
            used.add(key)
    return found


def saved_tensor(path: Path, begin: int, length: int, name: str) -> TensorEntry:
    """Where the only tensor is that `torch.save` wrote into a part of a file.

    Args:
        path: The file.
        begin: Bytes before the part.
        length: Its bytes.
        name: A name for the tensor.

    Raises:
        VerificationError: The part is not in the file, or `torch.save` did not write it, or it holds anything else.
        LlamafundError: The machine cannot read it.
    """
    with _reporting(path), path.open("rb") as whole:
        if not 0 <= begin <= begin + length <= whole.seek(0, io.SEEK_END):
            raise _RefusedError("it ends before one of the tensors that it is said to hold")
        file = io.BufferedReader(_Part(whole, begin, length))
        tensor = _read(file, with_bytes=False)
        if not isinstance(tensor, SavedTensor):
            raise _RefusedError("there is no tensor where one is said to be")
        with zipfile.ZipFile(file) as archive:
            _, entry = _located(path, file, archive, name, tensor)
    return replace(entry, offset=begin + entry.offset)


class _Part(io.RawIOBase):
    """A part of a file, as a file."""

    def __init__(self, whole: BinaryIO, begin: int, length: int) -> None:
        super().__init__()
        self._whole, self._begin, self._length, self._at = whole, begin, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        self._whole.seek(self._begin + self._at)
        data = self._whole.read(min(len(buffer), max(0, self._length - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _located(
    path: Path, file: BinaryIO, archive: zipfile.ZipFile, name: str, tensor: SavedTensor
) -> tuple[str, TensorEntry]:
    """The name of a tensor's bytes in the archive, and where they are in the file."""
    root = _root(_index(archive))
    if archive.read(f"{root}/byteorder") != b"little":
        raise _RefusedError("a big-endian machine wrote it")
    storage, skipped, shape = _described(tensor)
    dtype, size = _TYPES[storage.kind]
    member = archive.getinfo(f"{root}/data/{storage.key}")
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != storage.elements * size:
        raise _RefusedError("its index is wrong about the bytes of a tensor")
    if skipped + math.prod(shape) > storage.elements:
        raise _RefusedError("one of its tensors reaches past its bytes")
    begin = _first_byte(file, member) + skipped * size
    return storage.key, TensorEntry(name, dtype, shape, path, begin, math.prod(shape) * size)


def _moments(state: object) -> Iterator[tuple[int, str, SavedTensor]]:
    """The tensors of an optimizer's state, by parameter and name. Keys that look alike could hide one another."""
    if not isinstance(state, Mapping):
        raise _RefusedError("it has no state")
    for number, kept in state.items():
        if type(number) is not int or not isinstance(kept, Mapping):
            raise _RefusedError("its state is not numbered")
        for name, value in kept.items():
            if not isinstance(name, str) or not isinstance(value, SavedTensor):
                raise _RefusedError("its state holds something other than tensors")
            yield number, name, value


def _described(tensor: SavedTensor) -> tuple[_Storage, int, tuple[int, ...]]:
    """Storage, first element and shape of a tensor in one piece."""
    storage, skipped, shape, stride = tensor.storage, tensor.offset, tensor.shape, tensor.stride
    if not isinstance(storage, _Storage) or not isinstance(skipped, int) or skipped < 0:
        raise _RefusedError("one of its tensors is not described as torch does it")
    if not isinstance(shape, tuple) or any(type(size) is not int or size < 0 for size in shape):
        raise _RefusedError("one of its tensors has an impossible shape")
    if stride != tuple(math.prod(shape[index + 1 :]) for index in range(len(shape))):
        raise _RefusedError("one of its tensors is not in one piece")
    return storage, skipped, shape


def _first_byte(file: BinaryIO, member: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin. The archive's directory only says where its header begins."""
    file.seek(member.header_offset)
    header = file.read(_LOCAL_HEADER)
    lengths = (int.from_bytes(header[start : start + 2], "little") for start in _LENGTHS)
    begin = member.header_offset + _LOCAL_HEADER + sum(lengths)
    if len(header) < _LOCAL_HEADER or begin + member.file_size > file.seek(0, io.SEEK_END):
        raise _RefusedError("the bytes of a tensor reach past the end of the file")
    return begin


class _Reader(pickle.Unpickler):
    """Takes plain values, tensors and numpy's arrays, and refuses anything else that a pickle may ask for."""

    def __init__(self, file: Any, archive: zipfile.ZipFile, root: str, *, with_bytes: bool) -> None:
        super().__init__(file)
        self._archive = archive
        self._root = root
        self._with_bytes = with_bytes
        self._known: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return _Mapping
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _TensorMaker()
        if module == "torch" and name in _TYPES:
            return name
        # Any module of numpy, because numpy has renamed them.
        if (module.partition(".")[0] == "numpy" and name in _NUMPY) or (module, name) == ("_codecs", "encode"):
            return _Maker(name)
        raise _RefusedError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        _, kind, key, _, elements = pid
        if kind not in _TYPES or not isinstance(key, str) or type(elements) is not int or elements < 0:
            raise _RefusedError("it has bytes of a type that torch does not have")
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = _Storage(kind, key, elements, self._bytes(key) if self._with_bytes else None)
        elif (known.kind, known.elements) != (kind, elements):
            raise _RefusedError("it describes the same bytes in two ways")
        return known

    def _bytes(self, key: str) -> bytes:
        member = self._archive.getinfo(f"{self._root}/data/{key}")
        if member.compress_type != zipfile.ZIP_STORED:
            raise _RefusedError("its bytes are compressed")
        return self._archive.read(member)


def _mapping(path: Path, *, with_bytes: bool) -> Mapping[str, Any]:
    with _reporting(path), path.open("rb") as file:
        state = _read(file, with_bytes=with_bytes)
        if not isinstance(state, Mapping):
            raise _RefusedError("it does not hold a mapping of names to values")
        return state


def _read(file: BinaryIO, *, with_bytes: bool) -> object:
    begin, members = _directory(file)
    with zipfile.ZipFile(file) as archive:
        if (archive.start_dir, len(archive.infolist())) != (begin, members):
            raise _RefusedError("it has another directory than its end says")
        index = _index(archive)
        if index.file_size > MAX_INDEX:
            raise _RefusedError(f"its index is longer than {MAX_INDEX} bytes")
        pickled = io.BytesIO(archive.read(index))
        _refuse_odd_operations(pickled)
        pickled.seek(0)
        return _Reader(pickled, archive, _root(index), with_bytes=with_bytes).load()


@contextmanager
def _reporting(path: Path) -> Iterator[None]:
    """Say of whatever goes wrong that the file is to blame: a stranger's file can raise any exception."""
    try:
        yield
    except Exception as error:
        raise machine_trouble(error, f"Reading {path.name}") or _unreadable(path, error) from error


def _refuse_odd_operations(pickled: BinaryIO) -> None:
    """Refuse a pickle that torch.save would not write, before it can fill the memory or run forever."""
    before, tuples, reused = "", set[object](), 0
    for count, (operation, value, _) in enumerate(pickletools.genops(pickled)):
        name = operation.name
        if name not in _OPERATIONS or count >= MAX_OPERATIONS:
            raise _RefusedError(f"its index has {name}, or more than {MAX_OPERATIONS} operations")
        if name.endswith("BINPUT") and before.startswith("TUPLE"):
            tuples.add(value)
        elif name.endswith("BINGET"):
            # If each tuple holds the one before twice, computing the hash of the last one takes forever.
            reused += value in tuples
            if reused > MAX_REMEMBERED_TUPLES:
                raise _RefusedError(f"its index uses tuples again more than {MAX_REMEMBERED_TUPLES} times")
        before = name
        # Many large numbers with the same hash make a mapping slow, and a large memo index reserves memory.
        number = value if isinstance(value, int) else 0
        if (name == "LONG1" and abs(number) >= 2**63) or (name == "LONG_BINPUT" and number > count):
            raise _RefusedError(f"its index has {name} with {str(value)[:40]}")


def _index(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """The only member that can be the index."""
    members = archive.infolist()
    (index,) = (each for each in members if each.filename.count("/") == 1 and each.filename.endswith("/data.pkl"))
    names = [each.orig_filename for each in members]
    if any(number != 1 for each in members for number in _fields(each.extra)):
        # One of these fields is a second name, which Python 3.12 and later use and torch ignores.
        raise _RefusedError("one of its members has fields that torch does not write")
    if not all(_MEMBER.fullmatch(name) and name.startswith(f"{_root(index)}/") for name in names):
        raise _RefusedError("its members do not have the names that torch gives them")
    if len({name.lower() for name in names}) != len(names):
        raise _RefusedError("two of its members have the same name")
    return index


def _fields(extra: bytes) -> Iterator[int]:
    """Kinds of the extra fields after a member's name."""
    while extra:
        kind, length = struct.unpack_from("<HH", extra)
        yield kind
        extra = extra[4 + length :]


def _directory(file: BinaryIO) -> tuple[int, int]:
    """Where the archive's only directory begins, right before the archive's end, and how many members it has.

    Raises:
        _RefusedError: It is not there, or has more members than any training state.
    """
    whole = _END.size + _LOCATOR.size + _LARGE_END.size
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(len(_LOCAL_MARK))
    file.seek(max(0, size - whole))
    tail = file.read()
    if head != _LOCAL_MARK:
        raise _RefusedError("it does not begin as torch's archives do")
    mark, _, _, _, count, length, begin, comment = _END.unpack(tail[-_END.size :])
    end = size - _END.size
    locator = tail[-_END.size - _LOCATOR.size : -_END.size]
    if locator.startswith(b"PK\6\7"):
        end = size - whole
        large, _, _, _, _, _, _, count, length, begin = _LARGE_END.unpack(tail[: _LARGE_END.size])
        if large != b"PK\6\6" or _LOCATOR.unpack(locator)[2] != end:
            raise _RefusedError("its directory is not where torch puts it")
    if mark != b"PK\5\6" or comment or begin + length != end:
        raise _RefusedError("its directory is not where torch puts it")
    if count > MAX_TENSORS + _OTHER_MEMBERS or length > _MAX_ENTRY * count:
        raise _RefusedError(f"its directory says {count} members in {length} bytes")
    return begin, count


def _root(index: zipfile.ZipInfo) -> str:
    """The folder in the archive that everything is in."""
    return index.filename.partition("/")[0]


def _unreadable(path: Path, error: Exception) -> VerificationError:
    # Whatever else a library says about a stranger's bytes helps nobody.
    reason = str(error)[:300] if isinstance(error, _RefusedError) else "it is damaged, or torch.save did not write it"
    return VerificationError(
        f"{path.name} cannot be read as a training state",
        f"{reason[0].upper()}{reason[1:]}",
        "Do not use it: loading it with torch may run code of whoever wrote it",
    )
