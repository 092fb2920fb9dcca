"""Export a local store's contents to CAR files and import them. Kubo reads and writes the same files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from llamafund_chain.errors import LlamafundError, UsageError, VerificationError, WrongAnswerError
from llamafund_chain.evidence.file_dag import FileDag, ReadAt
from llamafund_chain.evidence.profiles import V1_2025
from llamafund_chain.files import PendingFile, read_error
from llamafund_chain.store.base import BrokeOffError, MissingContentError, OtherFormError, is_cid
from llamafund_chain.store.ipfs import car
from llamafund_chain.store.ipfs.anycid import DAG_PB, IDENTITY, RAW, AnyCid, decode_unixfs, parse_cid
from llamafund_chain.store.ipfs.unixfs import cid_to_bytes, reading_at, under_other_profile
from llamafund_chain.store.kinds.local import LocalStore

_MAX_DEPTH = 32
_SHORT_BLOCK = 1024
_FREE_BLOCKS = 100_000
"""A file may have so many blocks, and one more for each `_SHORT_BLOCK` bytes: a few blocks can unfold to any number."""


@dataclass(frozen=True)
class Root:
    """What became of a root that a CAR file names.

    Attributes:
        cid: Its address there.
        kind: What it is, in words.
        files: Addresses of the files that it stands for, as the store has them.
        problem: What the store does not have of it, in words; empty if it has everything.
        absent: Whether that is because blocks are missing or wrong, not because no store keeps such things.
    """

    cid: str
    kind: str
    files: tuple[str, ...]
    problem: str = ""
    absent: bool = False


@dataclass(frozen=True)
class Imported:
    """What an import found in a CAR file.

    Attributes:
        files: Addresses of the files that were put into the store, in the order of their first block.
        incomplete: Addresses of files with missing blocks, as the CAR file has them; nothing of them was kept.
        other: Number of nodes that are not files: directories, links, data of other kinds.
        roots: The roots that the CAR file names.
    """

    files: tuple[str, ...]
    incomplete: tuple[str, ...]
    other: int
    roots: tuple[Root, ...]

    @property
    def lacking(self) -> tuple[Root, ...]:
        """The roots of which something is missing."""
        return tuple(root for root in self.roots if root.problem)


class CarWriter:
    """Writes files one after another to a CAR file that gets its name only when it is complete.

    A context manager around `add` and `close`.

    Args:
        path: Replaced if it exists.
        roots: Addresses of all files that will be added; `ipfs dag import` pins them.

    Raises:
        UsageError: There are more than `car.MAX_ROOTS`, or none.
        LlamafundError: It cannot be written.
    """

    def __init__(self, path: Path, roots: Sequence[str]) -> None:
        unique = tuple(dict.fromkeys(roots))
        if not 0 < len(unique) <= car.MAX_ROOTS:
            raise UsageError(
                f"A CAR file cannot have {len(unique)} roots",
                f"There must be at least one, and at most {car.MAX_ROOTS}",
                "Publish to a directory or a Kubo node instead",
            )
        self._path = path
        self._open = set(unique)
        self._pending = PendingFile(path.parent)
        self._pending.write(car.header([cid_to_bytes(cid) for cid in unique]))

    def __enter__(self) -> CarWriter:
        self._pending.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._pending.__exit__(None, None, None)

    def add(self, dag: FileDag, read_at: ReadAt) -> None:
        """Append a file's blocks. A file that was added before, or is not a root, is skipped.

        Raises:
            VerificationError: The bytes have changed since the blocks were computed.
            LlamafundError: It cannot be written.
        """
        if dag.cid not in self._open:
            return
        for cid, block in dag.blocks(read_at):
            self._pending.write(car.frame(cid, block))
        self._open.remove(dag.cid)

    def close(self) -> None:
        """Flush the file to disk and give it its name.

        Raises:
            VerificationError: A root was not added.
            LlamafundError: It cannot be written.
        """
        if self._open:
            raise VerificationError(f"The CAR file would lack {min(self._open)} and {len(self._open) - 1} others")
        self._pending.commit(self._path)


def export_car(store: LocalStore, cids: Sequence[str], path: Path) -> None:
    """Write contents of a store to a CAR file, version 1, verifying them on the way.

    Args:
        store: The store that has them.
        cids: Their addresses, which become the file's roots.
        path: Replaced if it exists.

    Raises:
        MissingContentError: The store has nothing under an address.
        VerificationError: The store has other bytes under an address.
        UsageError: There is no address, or too many.
        LlamafundError: The file cannot be written.
    """
    with CarWriter(path, cids) as writer:
        for cid in dict.fromkeys(cids):
            dag = FileDag.of(store.stream(cid))
            if dag.cid != cid:
                dag = FileDag.of(store.stream(cid), V1_2025)
            with reading_at(store.path_of(cid)) as read_at:
                writer.add(dag, read_at)
        writer.close()


def import_car(path: Path, store: LocalStore) -> Imported:
    """Put the files in a CAR file into a store, also the files in its directories.

    The whole file is read and each block verified before anything is put into the store. Files of profiles that no
    listing names are kept under the usual address of the same bytes.

    Args:
        path: A CAR file, version 1 or 2.
        store: Where to put them. Nothing is pinned.

    Raises:
        UsageError: The file does not exist.
        VerificationError: It is cut short or malformed, or a block does not match its address. The store is unchanged.
        OtherFormError: It is a CAR file of another version.
        LlamafundError: The store cannot keep the files.
    """
    index = _Index(path)
    kept: dict[bytes, str] = {}
    lacks: dict[bytes, _Lack] = {}
    incomplete = []
    with reading_at(path) as read_at:
        for top in index.tops:
            if index.size(top) > store.free():
                raise LlamafundError(
                    f"{_text(top)} in {str(path)!r} says that it is {index.size(top)} bytes long",
                    f"{store.location} has room for {store.free()}: a small file can claim any length by repeating "
                    "blocks",
                    "If you expect that length, free some space. Otherwise do not use the file",
                )
            try:
                kept[top] = _keep(store, index, top, read_at)
            except MissingContentError as error:
                incomplete.append(_text(top))
                lacks[top] = _Lack(error.what, absent=True)
            except (VerificationError, OtherFormError) as error:
                lacks[top] = _Lack(error.what, absent=isinstance(error, VerificationError))
    return Imported(
        tuple(dict.fromkeys(kept.values())),
        tuple(incomplete),
        index.others,
        tuple(_root(root, index, kept, lacks, store) for root in index.roots),
    )


def _keep(store: LocalStore, index: _Index, top: bytes, read_at: ReadAt) -> str:
    """Put a file into the store: under its own address if listings have such, otherwise under the usual one."""
    name = _text(top)
    if is_cid(name):
        other = under_other_profile(name, lambda: index.spans(top, read_at))
        try:
            store.put_stream(index.spans(top, read_at), name, other=other)
        except WrongAnswerError:
            pass
        else:
            return name
    return store.put_spans(index.spans(top, read_at)).cid


@dataclass(frozen=True, slots=True)
class _Lack:
    """What is missing of a root; see `Root`."""

    problem: str
    absent: bool


def _root(
    root: AnyCid, index: _Index, kept: Mapping[bytes, str], lacks: Mapping[bytes, _Lack], store: LocalStore
) -> Root:
    kind, cid = index.kind(root.binary), root.text
    missing: list[_Lack] = []
    if kind is None:
        if is_cid(cid) and _is_whole(store, cid):
            return Root(cid, "file", (cid,))
        return Root(cid, "unknown", (), "its first block is not in the archive", absent=True)
    if kind == "file":
        below = [root.binary]
    elif kind.endswith("directory"):
        below = list(index.files_below(root.binary, missing))
    else:
        return Root(cid, kind, (), f"it is {_article(kind)}, and a store keeps files only")
    missing += [lacks[file] for file in below if file not in kept]
    found = tuple(dict.fromkeys(kept[file] for file in below if file in kept))
    if not missing:
        return Root(cid, kind, found)
    more = f", and {len(missing) - 1} more are missing" if len(missing) > 1 else ""
    return Root(cid, kind, found, f"{missing[0].problem}{more}", absent=any(lack.absent for lack in missing))


def _article(kind: str) -> str:
    """The words with their article."""
    return f"{'an' if kind[0] in 'aeio' else 'a'} {kind}"


def _is_whole(store: LocalStore, cid: str) -> bool:
    try:
        for _ in store.stream(cid):
            pass
    except (MissingContentError, VerificationError):
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Block:
    """Where a block of a CAR file is, and what its node links to.

    Attributes:
        offset: Of the block in the file, bytes.
        length: Bytes.
        kind: What it is, in words.
        inline: Bytes of a file that the node itself holds.
        children: Binary addresses and sizes of what is below it.
    """

    offset: int
    length: int
    kind: str
    inline: int
    children: tuple[tuple[bytes, int], ...]

    @property
    def size(self) -> int:
        return self.inline + sum(size for _, size in self.children)


class _Index:
    """Where each block of a CAR file is, and which blocks are whole files."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._blocks: dict[bytes, _Block] = {}
        try:
            stream = path.open("rb")
        except OSError as error:
            raise read_error(path, error) from error
        try:
            with stream:
                reader = car.CarReader(stream.read, str(path))
                self.roots = reader.roots
                for frame in reader:
                    if frame.cid not in self._blocks:
                        self._blocks[frame.cid] = _block_of(frame)
        except BrokeOffError as error:
            raise VerificationError(error.what, error.why, error.remedy) from error
        self.tops = self._find_tops()
        self._left = 0

    def _find_tops(self) -> list[bytes]:
        """The files: what a root or a directory names, and what is no part of another file."""
        below = {cid for block in self._blocks.values() if block.kind == "file" for cid, _ in block.children}
        named = dict.fromkeys(root.binary for root in self.roots)
        for block in self._blocks.values():
            if block.kind.endswith("directory"):
                named.update(dict.fromkeys(cid for cid, _ in block.children))
        found = [
            cid for cid, block in self._blocks.items() if block.kind == "file" and (cid not in below or cid in named)
        ]
        return found + [cid for cid in named if cid not in self._blocks and _identity(cid) is not None]

    @property
    def others(self) -> int:
        """Number of nodes that are not files."""
        return sum(block.kind != "file" for block in self._blocks.values())

    def kind(self, cid: bytes) -> str | None:
        """What a block is; `None` if it is not in the file."""
        block = self._blocks.get(cid) or _identity(cid)
        return None if block is None else block.kind

    def size(self, cid: bytes) -> int:
        """Bytes of the file below a node, according to the node."""
        block = self._blocks.get(cid) or _identity(cid)
        return 0 if block is None else block.size

    def files_below(self, cid: bytes, missing: list[_Lack]) -> Iterator[bytes]:
        """The files in a directory and in its directories; what is not in the CAR file goes into `missing`."""
        seen, waiting = {cid}, [cid]
        while waiting:
            for child, _ in self._blocks[waiting.pop()].children:
                if child in seen:
                    continue
                seen.add(child)
                kind = self.kind(child)
                if kind is None:
                    missing.append(_Lack(f"the block {_text(child)} is not in the archive", absent=True))
                elif kind == "file":
                    yield child
                elif kind.endswith("directory"):
                    waiting.append(child)
                else:
                    missing.append(_Lack(f"{_text(child)} is {_article(kind)}, which no store keeps", absent=False))

    def spans(self, cid: bytes, read_at: ReadAt) -> Iterator[bytes]:
        """The bytes of a file; never more than its node claims.

        Raises:
            MissingContentError: A block is not in the file.
            OtherFormError: A block is of a kind that files do not have, or the file is in more pieces than any tool
                cuts it into.
            VerificationError: It is nested too deep, or its sizes are wrong.
        """
        self._left = _FREE_BLOCKS + self.size(cid) // _SHORT_BLOCK
        return self._below(cid, read_at, 0)

    def _below(self, cid: bytes, read_at: ReadAt, depth: int) -> Iterator[bytes]:
        self._left -= 1
        if depth > _MAX_DEPTH or self._left < 0:
            raise OtherFormError(f"{_text(cid)} in {str(self._path)!r} is nested too deep, or in too many pieces")
        block = self._blocks.get(cid)
        if block is None:
            data = _identity_data(cid)
            if data is None:
                raise MissingContentError(f"the block {_text(cid)} is not in the archive")
            yield data
            return
        if block.kind != "file":
            raise OtherFormError(f"{_text(cid)} is {_article(block.kind)}, and not a part of a file")
        yield from self._inline(cid, block, read_at)
        for child, size in block.children:
            total = 0
            for span in self._below(child, read_at, depth + 1):
                total += len(span)
                if total > size:
                    break
                yield span
            if total != size:
                raise VerificationError(f"{_text(cid)} in {str(self._path)!r} has wrong sizes")

    def _inline(self, cid: bytes, block: _Block, read_at: ReadAt) -> Iterator[bytes]:
        if not block.inline:
            return
        data = read_at(block.offset, block.length)
        if cid[1] == RAW:
            yield data
            return
        node = decode_unixfs(data)
        if node is None:
            raise VerificationError(f"{str(self._path)!r} changed while it was read")
        yield node.data


def _block_of(frame: car.Frame) -> _Block:
    address = frame.address

    def block(kind: str, inline: int = 0, children: tuple[tuple[bytes, int], ...] = ()) -> _Block:
        return _Block(frame.offset, len(frame.block), kind, inline, children)

    if not frame.verified:
        return block(f"block whose {address.function_name} hash cannot be computed here")
    if address.codec == RAW:
        return block("file", len(frame.block))
    if address.codec != DAG_PB:
        return block(f"block of {address.codec_name}")
    node = decode_unixfs(frame.block)
    if node is None:
        return block("dag-pb block without a file or directory")
    return block(node.kind, len(node.data), tuple((child.cid.binary, child.size) for child in node.children))


def _identity_data(cid: bytes) -> bytes | None:
    """The bytes of a file that its address itself contains."""
    found = parse_cid(cid)
    if found is None or found[0].function != IDENTITY:
        return None
    if found[0].codec == RAW:
        return found[0].digest
    node = decode_unixfs(found[0].digest) if found[0].codec == DAG_PB else None
    return None if node is None or node.kind != "file" or node.children else node.data


def _identity(cid: bytes) -> _Block | None:
    data = _identity_data(cid)
    return None if data is None else _Block(0, 0, "file", len(data), ())


def _text(cid: bytes) -> str:
    found = parse_cid(cid)
    return cid.hex() if found is None else found[0].text
