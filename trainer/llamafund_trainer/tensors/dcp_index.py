"""Reading `.metadata`, the index of what `torch.distributed.checkpoint` saves, without running the pickle that it is.

Our interpreter of the pickle builds plain values, and only notes what else the pickle wants to make and from what. It
makes nothing of that, imports nothing, and computes no hash of a stranger's values.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from llamafund_chain.errors import VerificationError
from llamafund_chain.files import machine_trouble
from llamafund_trainer.tensors.torch_save import MAX_INDEX, MAX_OPERATIONS, MAX_TENSORS

INDEX = ".metadata"

MAX_DIMENSIONS = 32
"""Of a tensor; numpy cannot have more."""

_TYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}
"""Torch's types that we can export, with their names in safetensors."""

_METADATA = "torch.distributed.checkpoint.metadata"
_INDEX = f"{_METADATA}.Metadata"
_TENSOR = f"{_METADATA}.TensorStorageMetadata"
_PROPERTIES = f"{_METADATA}.TensorProperties"
_CHUNK = f"{_METADATA}.ChunkStorageMetadata"
_KEY = f"{_METADATA}.MetadataIndex"
_PLACE = "torch.distributed.checkpoint.filesystem._StorageInfo"
_SIZE = "torch.Size"
_OTHERS = frozenset(
    {
        *(f"{_METADATA}.{name}" for name in ("BytesStorageMetadata", "StorageMeta", "_MEM_FORMAT_ENCODING")),
        *(f"pathlib{place}.{kind}Path" for place in ("", "._local") for kind in ("Posix", "Windows")),
        *("torch.serialization._get_layout", "collections.OrderedDict"),
    }
)
"""What else an index names, besides types of torch; it does not concern the tensors."""

_NAMED = frozenset({_INDEX, _TENSOR, _PROPERTIES, _CHUNK, _KEY, _PLACE, _SIZE}) | _OTHERS


class RefusedError(Exception):
    """The index is not what torch writes, or asks for more; the message ends a sentence about it."""


@dataclass(frozen=True)
class Stored:
    """A part of a tensor, and where its bytes are.

    Attributes:
        offsets: Of its first element in the whole tensor.
        sizes: Its dimensions.
        file: Name of a file beside the index.
        begin: Bytes before what `torch.save` wrote into that file.
        length: Bytes of what it wrote.
    """

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    file: str
    begin: int
    length: int


@dataclass(frozen=True)
class SplitTensor:
    """A tensor as the index describes it, which may be a lie.

    Attributes:
        path: Its name in each of the nested mappings that were saved, from the outermost.
        dtype: Type by its name in safetensors; empty for one that we cannot export.
        shape: Its dimensions.
        parts: Where the parts with any elements are.
    """

    path: tuple[str, ...]
    dtype: str
    shape: tuple[int, ...]
    parts: tuple[Stored, ...]


@dataclass(frozen=True, eq=False)
class _Name:
    """Something that the pickle wants to import. It is not imported."""

    full: str


@dataclass(eq=False)
class _Made:
    """Something that the pickle wants to make. It is not made."""

    kind: str
    arguments: object
    state: object = None


@dataclass(eq=False)
class _Pairs:
    """A mapping as what was put into it, so that no key hides another one."""

    pairs: list[tuple[object, object]] = field(default_factory=list)


def read_index(path: Path) -> tuple[SplitTensor, ...]:
    """The tensors in an index.

    Raises:
        VerificationError: It is not an index as torch writes it.
        LlamafundError: The machine cannot read it.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_INDEX + 1)
        if len(data) > MAX_INDEX:
            raise RefusedError(f"it is longer than {MAX_INDEX} bytes")
        return _tensors(_interpret(data))
    # A stranger's pickle can raise any exception.
    except Exception as error:
        reason = str(error)[:300] if isinstance(error, RefusedError) else "it is damaged, or torch did not write it"
        raise machine_trouble(error, f"Reading {path.name}") or VerificationError(
            f"{path.name} cannot be read as the index of a distributed checkpoint",
            f"{reason[0].upper()}{reason[1:]}",
            "Do not use it: loading it with torch may run code of whoever wrote it",
        ) from error


def _interpret(data: bytes) -> object:
    """What a pickle stands for."""
    machine = _Machine()
    for count, (operation, value, position) in enumerate(pickletools.genops(data)):
        if count >= MAX_OPERATIONS:
            raise RefusedError(f"it has more than {MAX_OPERATIONS} operations")
        if operation.name == "STOP":
            if position is None or position + 1 != len(data):
                raise RefusedError("it goes on after its end")
            break
        machine.do(operation.name, value)
    return machine.only()


class _Machine:
    """The part of a pickle's machine that an index needs. A mistake of the pickle raises any exception."""

    def __init__(self) -> None:
        self._stack: list[object] = []
        self._marks: list[int] = []
        self._memo: list[object] = []

    def only(self) -> object:
        """What is left at the end."""
        (value,) = self._stack
        return value

    def do(self, name: str, value: object) -> None:
        """Do one operation."""
        if name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _LITERALS:
            if isinstance(value, int) and abs(value) >= 2**63:
                raise RefusedError("it has a number that no size can be")
            self._stack.append(value)
        elif name in _EMPTY:
            self._stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            self._stack.append(tuple(reversed([self._stack.pop() for _ in range(_TUPLES[name])])))
        elif name in _FURTHER:
            _FURTHER[name](self, value)
        elif name not in ("PROTO", "FRAME"):
            raise RefusedError(f"it has the operation {name}")

    def mark(self, _: object) -> None:
        self._marks.append(len(self._stack))

    def memoize(self, _: object) -> None:
        self._memo.append(self._stack[-1])

    def get(self, value: object) -> None:
        assert isinstance(value, int)
        self._stack.append(self._memo[value])

    def close_tuple(self, _: object) -> None:
        self._stack.append(tuple(self._since_mark()))

    def append(self, _: object) -> None:
        value = self._stack.pop()
        self._list().append(value)

    def appends(self, _: object) -> None:
        values = self._since_mark()
        self._list().extend(values)

    def set_item(self, _: object) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._mapping().append((key, value))

    def set_items(self, _: object) -> None:
        values = self._since_mark()
        self._mapping().extend(zip(values[::2], values[1::2], strict=True))

    def name(self, _: object) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        full = f"{module if isinstance(module, str) else ''}.{name if isinstance(name, str) else ''}"
        if full not in _NAMED and not (module == "torch" and _is_type(name)):
            raise RefusedError(f"it asks for {full}")
        self._stack.append(_Name(full))

    def make(self, _: object) -> None:
        arguments, maker = self._stack.pop(), self._stack.pop()
        if not isinstance(maker, _Name):
            raise RefusedError("it calls something that has no name")
        self._stack.append(_Made(maker.full, arguments))

    def build(self, _: object) -> None:
        state, made = self._stack.pop(), self._stack[-1]
        if not isinstance(made, _Made) or made.state is not None:
            raise RefusedError("it changes something after making it")
        made.state = state

    def _since_mark(self) -> list[object]:
        begin = self._marks.pop()
        values = self._stack[begin:]
        del self._stack[begin:]
        return values

    def _list(self) -> list[object]:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise RefusedError("it appends to something that is no list")
        return target

    def _mapping(self) -> list[tuple[object, object]]:
        target = self._stack[-1]
        if not isinstance(target, _Pairs):
            raise RefusedError("it puts items into something that is no mapping")
        return target.pairs


_CONSTANTS: Mapping[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_LITERALS = frozenset({"BININT", "BININT1", "BININT2", "LONG1", "SHORT_BINUNICODE", "BINUNICODE"})
_EMPTY: Mapping[str, Callable[[], object]] = {"EMPTY_DICT": _Pairs, "EMPTY_LIST": list}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_FURTHER: Mapping[str, Callable[[_Machine, object], None]] = {
    "MARK": _Machine.mark,
    "MEMOIZE": _Machine.memoize,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "TUPLE": _Machine.close_tuple,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "STACK_GLOBAL": _Machine.name,
    "REDUCE": _Machine.make,
    "NEWOBJ": _Machine.make,
    "BUILD": _Machine.build,
}


def _is_type(name: object) -> bool:
    """Whether torch has a type of numbers of this name, which is all that `torch.` with it can stand for."""
    return isinstance(name, str) and (
        name in _TYPES or name.startswith(("float8_", "complex", "uint", "qint", "quint", "float4_"))
    )


def _tensors(index: object) -> tuple[SplitTensor, ...]:
    """The tensors of an index. What is saved beside them, such as the optimizer's settings, is not looked at."""
    fields = _fields(index, _INDEX)
    paths = {} if fields["planner_data"] is None else _by_name(fields["planner_data"])
    places = _places(fields["storage_data"])
    described = _by_name(fields["state_dict_metadata"])
    if len(described) > MAX_TENSORS:
        raise RefusedError(f"it has more than {MAX_TENSORS} tensors")
    found, left = [], MAX_TENSORS
    for name, value in described.items():
        if isinstance(value, _Made) and value.kind == _TENSOR:
            tensor = _tensor(name, _fields(value, _TENSOR), _path(paths.get(name, (name,))), places)
            left -= len(tensor.parts)
            if left < 0:
                raise RefusedError(f"its tensors have more than {MAX_TENSORS} parts")
            found.append(tensor)
    return tuple(found)


def _tensor(
    name: str,
    fields: Mapping[str, object],
    path: tuple[str, ...],
    places: Mapping[tuple[str, tuple[int, ...]], tuple[str, int, int]],
) -> SplitTensor:
    shape, chunks = _size(fields["size"]), fields["chunks"]
    if not isinstance(chunks, list):
        raise RefusedError(f"it has no list of the parts of {_short(name)}")
    parts = []
    for chunk in (_fields(each, _CHUNK) for each in chunks):
        offsets, sizes = _size(chunk["offsets"]), _size(chunk["sizes"])
        if len(sizes) != len(shape) or len(offsets) != len(shape):
            raise RefusedError(f"a part of {_short(name)} has other dimensions than the whole")
        if 0 not in sizes:
            # A process that got no rows of a tensor has written a part without elements.
            parts.append(Stored(offsets, sizes, *_place_of(name, offsets, places)))
    return SplitTensor(path, _dtype(fields["properties"]), shape, tuple(parts))


def _place_of(
    name: str, offsets: tuple[int, ...], places: Mapping[tuple[str, tuple[int, ...]], tuple[str, int, int]]
) -> tuple[str, int, int]:
    place = places.get((name, offsets))
    if place is None:
        raise RefusedError(f"it does not say where the part of {_short(name)} at {[*offsets]} is")
    return place


def _places(storage: object) -> dict[tuple[str, tuple[int, ...]], tuple[str, int, int]]:
    """File, first byte and length of each part of a tensor, by its name and its offsets."""
    if not isinstance(storage, _Pairs):
        raise RefusedError("it does not say where the tensors are")
    found: dict[tuple[str, tuple[int, ...]], tuple[str, int, int]] = {}
    for key, value in storage.pairs:
        of, place = _fields(key, _KEY), _fields(value, _PLACE)
        if of.get("offset") is None:
            continue  # Not a tensor.
        name, offsets = of["fqn"], _size(of["offset"])
        file, begin, length = place["relative_path"], place["offset"], place["length"]
        if not isinstance(name, str) or not isinstance(file, str) or not _is_count(begin) or not _is_count(length):
            raise RefusedError("it does not say where the tensors are")
        if place.get("transform_descriptors") is not None:
            raise RefusedError(f"the bytes of {_short(name)} are compressed or changed in another way")
        if (name, offsets) in found:
            raise RefusedError(f"it says twice where the part of {_short(name)} at {[*offsets]} is")
        assert isinstance(begin, int)
        assert isinstance(length, int)
        found[name, offsets] = (file, begin, length)
    return found


def _fields(value: object, kind: str) -> dict[str, object]:
    """The attributes of something of a kind."""
    if not isinstance(value, _Made) or value.kind != kind:
        raise RefusedError(f"something else is where a {kind.rpartition('.')[2]} should be")
    return _by_name(value.state)


def _by_name(mapping: object) -> dict[str, object]:
    if not isinstance(mapping, _Pairs):
        raise RefusedError("something else is where a mapping should be")
    found: dict[str, object] = {}
    for name, value in mapping.pairs:
        if not isinstance(name, str) or name in found:
            raise RefusedError(f"a name occurs twice or is no text: {_short(name)}")
        found[name] = value
    return found


def _size(value: object) -> tuple[int, ...]:
    """A `torch.Size`."""
    arguments = value.arguments if isinstance(value, _Made) and value.kind == _SIZE and value.state is None else ()
    sizes = arguments[0] if isinstance(arguments, tuple) and len(arguments) == 1 else None
    if not isinstance(sizes, tuple) or len(sizes) > MAX_DIMENSIONS or not all(map(_is_count, sizes)):
        raise RefusedError("a size is not a few whole numbers")
    return sizes


def _dtype(properties: object) -> str:
    state = properties.state if isinstance(properties, _Made) and properties.kind == _PROPERTIES else None
    dtype = state[0] if isinstance(state, tuple) and state else None
    if not isinstance(dtype, _Name) or not _is_type(dtype.full.removeprefix("torch.")):
        raise RefusedError("a tensor has no type")
    return _TYPES.get(dtype.full.removeprefix("torch."), "")


def _path(value: object) -> tuple[str, ...]:
    if not isinstance(value, tuple) or not value or not all(isinstance(each, str | int) for each in value):
        raise RefusedError("it does not say what a tensor's name was")
    return tuple(str(each) for each in value)


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _short(name: object) -> str:
    return repr(name[:80]) if isinstance(name, str) else type(name).__name__
