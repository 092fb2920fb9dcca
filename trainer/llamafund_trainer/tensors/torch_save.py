"""Reading what `torch.save` wrote, without torch and without running the pickle in it.

Such a file is a zip archive: an index, which is a pickle, and beside it the bytes of the tensors, not compressed. The
index is read by an unpickler that knows plain values, tensors and numpy's arrays, and refuses whatever else a pickle
may ask for.

torch reads these files after us and with a reader of its own, so what it could understand otherwise is refused:
archives behind something else, archives with two directories, names that are alike, bytes that two tensors share.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from llamafund_chain.errors import VerificationError
from llamafund_trainer.tensors.compare import TensorEntry

MAX_INDEX = 32 * 1024 * 1024
"""Bytes of the index; the tensors stand beside it."""

MAX_OPERATIONS = 4_000_000
"""Of the pickle in the index; a tensor takes about 34."""

MAX_TENSORS = 300_000

MAX_REMEMBERED_TUPLES = 8
"""How often an index may use a tuple again; torch.save does so once or twice, for an optimizer's betas."""

MAX_SMALL_FILE = 16 * 1024 * 1024
"""Bytes of a file whose tensors are read into memory as well."""

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
"""torch's storages: safetensors' name of the type, and bytes of an element."""

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
"""All that torch.save makes a pickle of."""

_LOCAL_HEADER = 30
"""Bytes in front of a member's name in a zip archive."""

_LOCAL_MARK = b"PK\3\4"
"""What torch goes by: whatever begins otherwise is a file of the old kind to it, without an archive."""

_OTHER_MEMBERS = 16
"""Beside the tensors; torch.save writes five or six."""

_MAX_ENTRY = 128
"""Bytes of a member in the archive's directory; torch.save takes about 90."""

_LENGTHS = (26, 28)
"""Where in them the two bytes stand that say how long the name is, and the field behind it."""

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_LARGE_END = struct.Struct("<4sQ2H2L4Q")
"""What ends a zip archive: its directory's place and size, and in front of that the same for large ones."""

_MEMBER = re.compile(r"[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)+")


class _Final:
    """Made once: torch lets a pickle change a tensor or mapping that it has made, into one with other bytes."""

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError(f"it changes a {type(self).__name__} that it has made")


class _Mapping(_Final, OrderedDict[Any, Any]):
    """In place of an `OrderedDict`, whose attributes could hide what it holds.

    It begins empty, as torch.save writes it: made of a list it would be a copy, and a byte is enough to make another.
    """

    def __init__(self) -> None:
        super().__init__()


@dataclass(frozen=True)
class SavedTensor(_Final):
    """A tensor as the index describes it, which need not be true.

    Attributes:
        storage: Where its elements lie.
        offset: Elements in front of its first one.
    """

    storage: object
    offset: object
    shape: object
    stride: object

    # No key of a mapping: the hash of one that holds others twice takes for ever.
    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class _TensorMaker(_Final):
    """Takes what `torch._utils._rebuild_tensor_v2` takes."""

    def __call__(
        self, storage: object, offset: object, shape: object, stride: object, grad: object, hooks: object, *more: object
    ) -> SavedTensor:
        if grad is not False or hooks or any(more):
            # Among them what makes torch negate every element.
            raise pickle.UnpicklingError("a tensor of it is more than its bytes")
        return SavedTensor(storage, offset, shape, stride)


@dataclass(frozen=True)
class _Storage(_Final):
    """Bytes beside the index.

    Attributes:
        kind: A key of `_TYPES`.
        key: Their name in the archive.
        elements: How many the index says that there are.
        data: Themselves, where they were read.
    """

    kind: str
    key: str
    elements: int
    data: bytes | None


@dataclass(frozen=True)
class _Maker(_Final):
    """What the index would call; nothing is called."""

    name: str

    def __call__(self, *arguments: object) -> _Made:
        return _Made(self.name, arguments)


@dataclass
class _Made:
    """What the index wants made; two are equal when the same was to be made of the same."""

    name: str
    arguments: tuple[object, ...]
    state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


def read_saved(path: Path) -> Mapping[str, Any]:
    """The plain values of a file that `torch.save` wrote; tensors are `SavedTensor`s without their bytes.

    Raises:
        VerificationError: It is not a file of that kind, or asks for something else than plain values and tensors.
    """
    return _read(path, with_bytes=False)


def same_values(one: Path, other: Path) -> bool:
    """Whether two small files hold the same values, tensors included, whatever wrote them.

    Raises:
        VerificationError: As `read_saved`; also when one is longer than `MAX_SMALL_FILE`.
    """
    for path in (one, other):
        if path.stat().st_size > MAX_SMALL_FILE:
            raise VerificationError(f"{path.name} is longer than {MAX_SMALL_FILE} bytes")
    try:
        return _read(one, with_bytes=True) == _read(other, with_bytes=True)
    except RecursionError:
        return False


def optimizer_tensors(path: Path) -> dict[str, TensorEntry]:
    """Where the tensors of an `optimizer.pt` lie, called for example `3.exp_avg` by the number of the parameter.

    Raises:
        VerificationError: As `read_saved`; also when a tensor does not lie in one piece in the file.
    """
    state = read_saved(path).get("state")
    found: dict[str, TensorEntry] = {}
    used: set[str] = set()
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            root = _root(_index(archive))
            if archive.read(f"{root}/byteorder") != b"little":
                raise ValueError("it was written by a big-endian machine")
            for number, name, tensor in _moments(state):
                if len(found) >= MAX_TENSORS:
                    raise ValueError(f"it has more than {MAX_TENSORS} tensors")
                storage, skipped, shape = _described(tensor)
                dtype, size = _TYPES[storage.kind]
                member = archive.getinfo(f"{root}/data/{storage.key}")
                if member.compress_type != zipfile.ZIP_STORED or member.file_size != storage.elements * size:
                    raise ValueError("bytes of a tensor are not what its index says")
                if skipped + math.prod(shape) > storage.elements:
                    raise ValueError("a tensor of it reaches behind its bytes")
                begin = _first_byte(file, member) + skipped * size
                entry = TensorEntry(f"{number}.{name}", dtype, shape, path, begin, math.prod(shape) * size)
                found[entry.name] = entry
                if storage.key in used:
                    raise ValueError("two tensors of it share their bytes: what is done to one is done to both")
                used.add(storage.key)
    # A stranger's file fails in any way it likes.
    except Exception as error:
        raise _unreadable(path, error) from error
    return found


def _moments(state: object) -> Iterator[tuple[int, str, SavedTensor]]:
    """The tensors of an optimizer's state, by parameter and name. Two keys that look alike would hide one another."""
    if not isinstance(state, Mapping):
        raise TypeError("it has no state")
    for number, kept in state.items():
        if type(number) is not int or not isinstance(kept, Mapping):
            raise TypeError("its state is not numbered")
        for name, value in kept.items():
            if not isinstance(name, str) or not isinstance(value, SavedTensor):
                raise TypeError("its state holds something else than tensors")
            yield number, name, value


def _described(tensor: SavedTensor) -> tuple[_Storage, int, tuple[int, ...]]:
    """Storage, first element and shape of a tensor that lies in one piece."""
    storage, skipped, shape, stride = tensor.storage, tensor.offset, tensor.shape, tensor.stride
    if not isinstance(storage, _Storage) or not isinstance(skipped, int) or skipped < 0:
        raise TypeError("a tensor of it is not described as torch does it")
    if not isinstance(shape, tuple) or any(type(size) is not int or size < 0 for size in shape):
        raise TypeError("a tensor of it has a shape that is none")
    if stride != tuple(math.prod(shape[index + 1 :]) for index in range(len(shape))):
        raise ValueError("a tensor of it does not lie in one piece")
    return storage, skipped, shape


def _first_byte(file: BinaryIO, member: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin; the archive's directory only tells where its header does."""
    file.seek(member.header_offset)
    header = file.read(_LOCAL_HEADER)
    lengths = (int.from_bytes(header[start : start + 2], "little") for start in _LENGTHS)
    begin = member.header_offset + _LOCAL_HEADER + sum(lengths)
    if len(header) < _LOCAL_HEADER or begin + member.file_size > file.seek(0, io.SEEK_END):
        raise ValueError("bytes of a tensor reach behind the file")
    return begin


class _Reader(pickle.Unpickler):
    """Takes plain values, tensors and numpy's arrays; anything else that a pickle may ask for is refused."""

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
        # The module has two names: numpy renamed it.
        if (module.partition(".")[0] == "numpy" and name in _NUMPY) or (module, name) == ("_codecs", "encode"):
            return _Maker(name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        _, kind, key, _, elements = pid
        if kind not in _TYPES or not isinstance(key, str) or type(elements) is not int or elements < 0:
            raise pickle.UnpicklingError("it has bytes of no type that torch has")
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = _Storage(kind, key, elements, self._bytes(key) if self._with_bytes else None)
        elif (known.kind, known.elements) != (kind, elements):
            raise pickle.UnpicklingError("it describes the same bytes in two ways")
        return known

    def _bytes(self, key: str) -> bytes:
        member = self._archive.getinfo(f"{self._root}/data/{key}")
        if member.compress_type != zipfile.ZIP_STORED:
            raise pickle.UnpicklingError("its bytes are compressed")
        return self._archive.read(member)


def _read(path: Path, *, with_bytes: bool) -> Mapping[str, Any]:
    try:
        begin, members = _directory(path)
        with zipfile.ZipFile(path) as archive:
            if (archive.start_dir, len(archive.infolist())) != (begin, members):
                raise ValueError("its directory is not the one that its end tells of")
            index = _index(archive)
            if index.file_size > MAX_INDEX:
                raise ValueError(f"its index is longer than {MAX_INDEX} bytes")
            pickled = io.BytesIO(archive.read(index))
            _refuse_odd_operations(pickled)
            pickled.seek(0)
            state = _Reader(pickled, archive, _root(index), with_bytes=with_bytes).load()
    # A pickle from a stranger fails in any way it likes.
    except Exception as error:
        raise _unreadable(path, error) from error
    if not isinstance(state, Mapping):
        raise VerificationError(f"{path.name} cannot be read as a training state", f"It holds a {type(state).__name__}")
    return state


def _refuse_odd_operations(pickled: BinaryIO) -> None:
    """Refuse a pickle that torch.save would not write, before it can fill the memory or take for ever."""
    before, tuples, reused = "", set[object](), 0
    for count, (operation, value, _) in enumerate(pickletools.genops(pickled)):
        name = operation.name
        if name not in _OPERATIONS or count >= MAX_OPERATIONS:
            raise pickle.UnpicklingError(f"its index has {name}, or more than {MAX_OPERATIONS} operations")
        if name.endswith("BINPUT") and before.startswith("TUPLE"):
            tuples.add(value)
        elif name.endswith("BINGET"):
            # The hash of a tuple that holds another one twice, and that one another, takes for ever.
            reused += value in tuples
            if reused > MAX_REMEMBERED_TUPLES:
                raise pickle.UnpicklingError(f"its index uses tuples again more than {MAX_REMEMBERED_TUPLES} times")
        before = name
        # Numbers with one hash would make a mapping of them slow, and a memory of one thing can be made large.
        number = value if isinstance(value, int) else 0
        if (name == "LONG1" and abs(number) >= 2**63) or (name == "LONG_BINPUT" and number > count):
            raise pickle.UnpicklingError(f"its index has {name} with {str(value)[:40]}")


def _index(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """The only member that can be the index."""
    members = archive.infolist()
    (index,) = (each for each in members if each.filename.count("/") == 1 and each.filename.endswith("/data.pkl"))
    names = [each.orig_filename for each in members]
    if any(number != 1 for each in members for number in _fields(each.extra)):
        # Among them is a second name, by which Python 3.12 and later go, and torch does not.
        raise ValueError("one of its members is described by more than torch writes")
    if not all(_MEMBER.fullmatch(name) and name.startswith(f"{_root(index)}/") for name in names):
        raise ValueError("its members are not called as torch calls them")
    if len({name.lower() for name in names}) != len(names):
        raise ValueError("two of its members have one name")
    return index


def _fields(extra: bytes) -> Iterator[int]:
    """Kinds of the fields behind a member's name."""
    while extra:
        kind, length = struct.unpack_from("<HH", extra)
        yield kind
        extra = extra[4 + length :]


def _directory(path: Path) -> tuple[int, int]:
    """Where the archive's only directory begins, right in front of the archive's end, and how many members it has.

    Raises:
        ValueError: It is not there, or has more members than any training state.
    """
    whole = _END.size + _LOCATOR.size + _LARGE_END.size
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(len(_LOCAL_MARK))
        file.seek(max(0, size - whole))
        tail = file.read()
    if head != _LOCAL_MARK:
        raise ValueError("it does not begin as torch's archives do")
    mark, _, _, _, count, length, begin, comment = _END.unpack(tail[-_END.size :])
    end = size - _END.size
    locator = tail[-_END.size - _LOCATOR.size : -_END.size]
    if locator.startswith(b"PK\6\7"):
        end = size - whole
        large, _, _, _, _, _, _, count, length, begin = _LARGE_END.unpack(tail[: _LARGE_END.size])
        if large != b"PK\6\6" or _LOCATOR.unpack(locator)[2] != end:
            raise ValueError("its directory is not where torch puts it")
    if mark != b"PK\5\6" or comment or begin + length != end:
        raise ValueError("its directory is not where torch puts it")
    if count > MAX_TENSORS + _OTHER_MEMBERS or length > _MAX_ENTRY * count:
        raise ValueError(f"its directory says {count} members in {length} bytes")
    return begin, count


def _root(index: zipfile.ZipInfo) -> str:
    """The folder in the archive in which everything lies."""
    return index.filename.partition("/")[0]


def _unreadable(path: Path, error: Exception) -> VerificationError:
    reason = f"{type(error).__name__}: {error}"[:300]
    return VerificationError(f"{path.name} cannot be read as a training state", reason)
