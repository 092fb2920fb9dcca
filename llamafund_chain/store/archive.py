"""Export a local store's contents to CAR files and import them. Kubo reads and writes the same files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from llamafund_chain.errors import LlamafundError, UsageError, VerificationError
from llamafund_chain.files import PendingFile, read_error
from llamafund_chain.store.base import MissingContentError
from llamafund_chain.store.ipfs import car
from llamafund_chain.store.ipfs.unixfs import (
    FileDag,
    Link,
    ReadAt,
    cid_from_bytes,
    cid_to_bytes,
    decode_links,
    is_balanced,
    is_leaf,
    reading_at,
)
from llamafund_chain.store.kinds.local import LocalStore

_MAX_DEPTH = 8


@dataclass(frozen=True)
class Imported:
    """What an import found in a CAR file.

    Attributes:
        files: Addresses of the files that were put into the store, in the order of their first block.
        incomplete: Addresses of files with missing blocks; nothing of them was kept.
        other: Number of nodes that are not files: directories, and files of other profiles.
        roots: The roots that the CAR file names.
    """

    files: tuple[str, ...]
    incomplete: tuple[str, ...]
    other: int
    roots: tuple[str, ...]


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
            with reading_at(store.path_of(cid)) as read_at:
                writer.add(dag, read_at)
        writer.close()


def import_car(path: Path, store: LocalStore) -> Imported:
    """Put the files in a CAR file into a store, also the files in its directories.

    The whole file is read and each block verified before anything is put into the store.

    Args:
        path: A CAR file, version 1.
        store: Where to put them. Nothing is pinned.

    Raises:
        UsageError: The file does not exist.
        VerificationError: It is not a valid CAR file. The store is unchanged.
        LlamafundError: The store cannot keep the files.
    """
    index = _Index(path)
    with reading_at(path) as read_at:
        files, incomplete = [], []
        for top in index.tops:
            name = cid_from_bytes(top)
            if index.size(top) > store.free():
                raise LlamafundError(
                    f"{name} in {str(path)!r} says that it is {index.size(top)} bytes long",
                    f"{store.location} has room for {store.free()}: a small file can claim any length by repeating "
                    "blocks",
                    "If you expect that length, free some space. Otherwise do not use the file",
                )
            try:
                store.put_stream(index.spans(top, read_at), name)
            except MissingContentError:
                incomplete.append(name)
            except VerificationError:
                # Valid blocks of another profile: other chunks, other widths. Evidence has no such address.
                index.other += 1
            else:
                files.append(name)
    return Imported(tuple(files), tuple(incomplete), index.other, tuple(cid_from_bytes(root) for root in index.roots))


class _Index:
    """Where each block of a CAR file is, and which blocks are whole files."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[bytes, tuple[int, int]] = {}
        self._links: dict[bytes, tuple[Link, ...]] = {}
        self.other = 0
        below: set[bytes] = set()
        try:
            stream = path.open("rb")
        except OSError as error:
            raise read_error(path, error) from error
        with stream:
            reader = car.CarReader(stream.read, str(path))
            self.roots = reader.roots
            for frame in reader:
                if frame.cid in self._places:
                    continue
                self._places[frame.cid] = (frame.offset, len(frame.block))
                if is_leaf(frame.cid):
                    continue
                links = decode_links(frame.block)
                # Also for a file of another profile: its leaves are not files.
                below.update(link.cid for link in links or ())
                if links is None or not is_balanced(links):
                    self.other += 1
                    del self._places[frame.cid]
                    continue
                self._links[frame.cid] = links
        roots = set(self.roots)
        self.tops = [cid for cid in self._places if cid not in below or cid in roots]

    def size(self, cid: bytes) -> int:
        """Bytes of the file below a node, according to its links."""
        if is_leaf(cid):
            return self._places[cid][1]
        return sum(link.size for link in self._links[cid])

    def spans(self, cid: bytes, read_at: ReadAt, depth: int = 0) -> Iterator[bytes]:
        """The bytes below a node, or of a leaf; never more than the node claims.

        Raises:
            MissingContentError: A block is not in the file.
            VerificationError: It is nested too deep, or its sizes are wrong.
        """
        if depth > _MAX_DEPTH:
            raise VerificationError(f"{cid_from_bytes(cid)} in {str(self._path)!r} is nested too deep")
        place = self._places.get(cid)
        if place is None:
            raise MissingContentError(f"{str(self._path)!r} lacks the block {cid_from_bytes(cid)}")
        if is_leaf(cid):
            yield read_at(*place)
            return
        for link in self._links[cid]:
            total = 0
            for span in self.spans(link.cid, read_at, depth + 1):
                total += len(span)
                if total > link.size:
                    raise VerificationError(f"{cid_from_bytes(cid)} in {str(self._path)!r} has wrong sizes")
                yield span
