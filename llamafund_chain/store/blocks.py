"""Single blocks of files, as a trustless gateway serves them, from directories that keep files whole.

Source: https://specs.ipfs.tech/http-gateways/trustless-gateway/ (`?format=raw`).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from llamafund_chain.evidence.file_dag import FileDag, cid_from_bytes, matches
from llamafund_chain.files import read_spans
from llamafund_chain.store.base import MissingContentError, Source
from llamafund_chain.store.ipfs.unixfs import cid_to_bytes, is_leaf, reading_at
from llamafund_chain.store.kinds.local import LocalStore
from llamafund_chain.store.sources import places_of

MOST_TREES = 64
"""Files whose trees are kept in memory: 32 bytes per leaf, and their places."""


@dataclass(frozen=True)
class _Tree:
    """A file in a directory, and where its blocks are in it."""

    path: Path
    dag: FileDag

    @cached_property
    def nodes(self) -> dict[bytes, tuple[int, int]]:
        """Level and index of each node, by its binary address."""
        return {
            link.cid: (level, index) for level, links in enumerate(self.dag.levels) for index, link in enumerate(links)
        }

    @cached_property
    def leaves(self) -> dict[bytes, int]:
        """Index of each leaf, by its binary address."""
        return {self.dag.leaf(index).cid: index for index in range(self.dag.leaf_count)}

    def block(self, binary: bytes) -> bytes | None:
        """The block with an address; `None` if the file has none, or has changed."""
        if binary in self.nodes:
            return self.dag.node(*self.nodes[binary])
        index = self.leaves.get(binary)
        if index is None:
            return None
        with reading_at(self.path) as read_at:
            block = read_at(index * self.dag.profile.leaf_size, self.dag.leaf(index).size)
        return block if matches(binary, block) else None


class Blocks:
    """The blocks of everything that a source has.

    A file's tree is made when the address of its root is asked for, which reads the file once; so leaves of large files
    are found after their root. Other places than directories give what is one block, and no nodes: they are, or have,
    gateways of their own. Several threads may ask at once.

    Args:
        source: Where files are.
        limit: Bytes of the largest block that is given.
    """

    def __init__(self, source: Source, limit: int) -> None:
        self._source = source
        self._limit = limit
        self._trees: OrderedDict[bytes, _Tree] = OrderedDict()
        self._looking = threading.Lock()
        # Reading a large file takes long; what is there meanwhile waits for nobody.
        self._making = threading.Lock()

    def read(self, cid: str) -> bytes:
        """A block, after comparing it with its address.

        Raises:
            UsageError: `cid` is not an address that stores use.
            MissingContentError: There is nothing under it.
            LlamafundError: It cannot be read, or is larger than the limit.
        """
        binary = cid_to_bytes(cid)
        found = self._known(binary)
        if found is not None:
            return found
        if is_leaf(binary):
            return self._source.read(cid, limit=self._limit)
        with self._making:
            found = self._known(binary) or self._first(binary)
        if found is not None:
            return found
        raise MissingContentError(f"{self._source.location} does not have the block {cid}")

    def _known(self, binary: bytes) -> bytes | None:
        with self._looking:
            for root, tree in self._trees.items():
                block = tree.block(binary)
                if block is not None:
                    self._trees.move_to_end(root)
                    return block
        return None

    def _first(self, binary: bytes) -> bytes | None:
        """The root of a file, whose tree is kept from now on."""
        cid = cid_from_bytes(binary)
        for path in self._files(cid):
            dag = FileDag.of(read_spans(path))
            if dag.root == binary:
                tree = _Tree(path, dag)
                with self._looking:
                    self._trees[binary] = tree
                    while len(self._trees) > MOST_TREES:
                        self._trees.popitem(last=False)
                return tree.block(binary)
        return None

    def _files(self, cid: str) -> Iterator[Path]:
        for place in places_of(self._source):
            if isinstance(place, LocalStore) and place.has(cid):
                yield place.path_of(cid)
