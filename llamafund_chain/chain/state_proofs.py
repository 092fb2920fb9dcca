"""Proofs of accounts and of stored words against a block's state root (`eth_getProof`, EIP-1186).

A proof is a path through a Merkle Patricia trie (Yellow Paper, appendix D): each node is named by its Keccak-256, from
the root on. Nothing of a proof is decoded before its hash is the one that the node above names. So a hostile proof
is refused without being read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llamafund_chain.errors import NodeError

MAX_NODES = 65
"""Nodes of the longest path: one for each half byte of a key of 32 bytes, and the root."""

MAX_NODE_BYTES = 1 << 10
"""Bytes of the longest node that is read. A branch with 16 hashes has 532."""

EMPTY_ROOT = bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")
"""Root of a trie without entries: Keccak-256 of an empty string in RLP."""

EMPTY_CODE = bytes.fromhex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470")
"""Keccak-256 of no code."""


class ProofError(NodeError):
    """A proof does not prove what it came with. It says something about the node, and about nothing else."""


@dataclass(frozen=True)
class ProvenAccount:
    """An account as a state root has it.

    Attributes:
        nonce: Number of its transactions, or of the contracts that it created.
        balance: Wei.
        storage_root: Root of what it stores, 32 bytes.
        code_hash: Keccak-256 of its code, 32 bytes.
    """

    nonce: int
    balance: int
    storage_root: bytes
    code_hash: bytes


NO_ACCOUNT = ProvenAccount(0, 0, EMPTY_ROOT, EMPTY_CODE)
"""An address that the state does not have."""


class Nodes:
    """Nodes of tries by their hashes. What many proofs share is kept once."""

    def __init__(self) -> None:
        self._by_hash: dict[bytes, bytes] = {}

    def add(self, proof: Any) -> None:
        """Take in a proof as a node gives it: a list of nodes, hexadecimal with 0x. Their order does not matter.

        Raises:
            ProofError: It has another form, or is longer than a proof can be.
        """
        from eth_utils import keccak

        if not isinstance(proof, list) or len(proof) > MAX_NODES:
            raise ProofError("A proof is no list of nodes, or too long", f"At most {MAX_NODES} make sense")
        for text in proof:
            if not isinstance(text, str) or not text.startswith("0x") or len(text) > 2 + 2 * MAX_NODE_BYTES:
                raise ProofError("A node of a proof is no hexadecimal text, or too long")
            try:
                data = bytes.fromhex(text[2:])
            except ValueError:
                raise ProofError("A node of a proof is no hexadecimal text") from None
            self._by_hash[keccak(data)] = data

    def get(self, name: bytes) -> bytes:
        """The node with a hash.

        Raises:
            ProofError: It is missing.
        """
        node = self._by_hash.get(name)
        if node is None:
            raise ProofError(f"A proof lacks the node 0x{name.hex()}", "What it came with is not proven")
        return node

    def texts(self) -> tuple[str, ...]:
        """All of them, hexadecimal with 0x, in the order of their hashes."""
        return tuple(f"0x{self._by_hash[name].hex()}" for name in sorted(self._by_hash))


def find(root: bytes, key: bytes, nodes: Nodes) -> bytes | None:
    """The value of a key in a trie; `None` if it is proven to have none.

    Args:
        root: The trie's root, 32 bytes.
        key: As the trie has it: for accounts and stored words the Keccak-256 of the address or slot.
        nodes: The proof's.

    Raises:
        ProofError: The proof does not lead to an end.
    """
    path = [half for byte in key for half in (byte >> 4, byte & 15)]
    if root == EMPTY_ROOT:
        return None
    here: Any = root
    for _ in range(MAX_NODES):
        if isinstance(here, bytes):
            if not here:
                return None
            if len(here) != 32:
                raise ProofError("A node of a proof names another by something that is no hash")
            here = _decoded(nodes.get(here), "A node of a proof")
        if not isinstance(here, list) or len(here) not in (2, 17):
            raise ProofError("A node of a proof is neither a branch nor a leaf")
        if len(here) == 17:
            if not path:
                return here[16] or None
            here, path = here[path[0]], path[1:]
            continue
        part, leaf = _unpacked(here[0])
        if path[: len(part)] != part or (leaf and len(part) != len(path)):
            return None
        path = path[len(part) :]
        if leaf:
            return _value(here[1])
        here = here[1]
    raise ProofError("A proof goes on for longer than its key")


def _decoded(data: bytes, what: str) -> Any:
    import rlp

    try:
        return rlp.decode(data)
    except (rlp.exceptions.RLPException, RecursionError) as error:
        raise ProofError(f"{what} is not in RLP, or lists in lists without end") from error


def _value(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise ProofError("A leaf of a proof has no value")
    return value


def _unpacked(packed: Any) -> tuple[list[int], bool]:
    """The half bytes of a part of a path, and whether it is the last part (Yellow Paper, appendix C)."""
    if not isinstance(packed, bytes) or not packed or packed[0] >> 4 > 3:
        raise ProofError("A node of a proof has a path that makes no sense")
    halves = [half for byte in packed for half in (byte >> 4, byte & 15)]
    return halves[1 if halves[0] & 1 else 2 :], bool(halves[0] & 2)


def prove_account(state_root: bytes, address: str, nodes: Nodes) -> ProvenAccount:
    """An account in a state.

    Raises:
        ProofError: The nodes do not prove what the state has there.
    """
    from eth_utils import keccak

    value = find(state_root, keccak(bytes.fromhex(address[2:])), nodes)
    if value is None:
        return NO_ACCOUNT
    parts = _decoded(value, "A proven account")
    if not isinstance(parts, list) or len(parts) != 4 or not all(isinstance(part, bytes) for part in parts):
        raise ProofError("A proven account has another form")
    nonce, balance, storage_root, code_hash = parts
    if len(storage_root) != 32 or len(code_hash) != 32:
        raise ProofError("A proven account has another form")
    return ProvenAccount(int.from_bytes(nonce, "big"), int.from_bytes(balance, "big"), storage_root, code_hash)


def prove_word(storage_root: bytes, slot: int, nodes: Nodes) -> int:
    """What a contract has stored at a slot; 0 if it is proven to have nothing there.

    Raises:
        ProofError: The nodes do not prove what is there.
    """
    from eth_utils import keccak

    value = find(storage_root, keccak(slot.to_bytes(32, "big")), nodes)
    if value is None:
        return 0
    word = _decoded(value, "A proven word")
    if not isinstance(word, bytes) or len(word) > 32:
        raise ProofError("A proven word has another form")
    return int.from_bytes(word, "big")


def take_in(answer: Any, address: str, slots: Sequence[int], account: Nodes, storage: Nodes) -> Mapping[int, int]:
    """Collect the nodes of an answer to `eth_getProof`, and what it says is stored.

    Args:
        answer: The answer.
        address: The account that was asked about.
        slots: The slots that were asked for.
        account: Where the nodes that lead to the account go.
        storage: Where the nodes of what it stores go.

    Returns:
        What the answer says is at each slot, which nothing proves yet.

    Raises:
        ProofError: It is not an answer to this question.
    """
    if not isinstance(answer, Mapping) or str(answer.get("address", address)).lower() != address.lower():
        raise ProofError(f"A proof is not about {address}, which was asked about")
    account.add(answer.get("accountProof"))
    listed = answer.get("storageProof")
    if not isinstance(listed, list) or len(listed) != len(slots):
        raise ProofError("A proof covers other slots than those that were asked for")
    said: dict[int, int] = {}
    for slot, one in zip(slots, listed, strict=True):
        if not isinstance(one, Mapping) or _number(one.get("key")) != slot:
            raise ProofError("A proof covers other slots than those that were asked for")
        storage.add(one.get("proof"))
        said[slot] = _number(one.get("value"))
    return said


def _number(text: Any) -> int:
    if isinstance(text, str) and text.startswith("0x") and len(text) <= 66:
        try:
            return int(text, 16) if len(text) > 2 else 0
        except ValueError:
            pass
    raise ProofError("A proof has something other than a number where there should be one")


def root_of(values: Iterable[bytes]) -> bytes:
    """Root of the trie that has these values at 0, 1, 2 …, as a block has its receipts (Yellow Paper, 4.4.3)."""
    import rlp
    from eth_utils import keccak

    entries = [
        ([half for byte in rlp.encode(index) for half in (byte >> 4, byte & 15)], value)
        for index, value in enumerate(values)
    ]
    if not entries:
        return EMPTY_ROOT
    entries.sort(key=lambda entry: entry[0])
    return bytes(keccak(rlp.encode(_built(entries, 0))))


def _built(entries: Sequence[tuple[list[int], bytes]], depth: int) -> list[Any]:
    """The trie's node of entries that have the same path up to `depth`; at least one, in the order of their paths."""
    first, last = entries[0][0], entries[-1][0]
    if len(entries) == 1:
        return [_packed(first[depth:], leaf=True), entries[0][1]]
    shared = depth
    while shared < len(first) and first[shared] == last[shared]:
        shared += 1
    if shared > depth:
        return [_packed(first[depth:shared], leaf=False), _named(_built(entries, shared))]
    branch: list[Any] = [b""] * 17
    for half in range(16):
        below = [entry for entry in entries if len(entry[0]) > depth and entry[0][depth] == half]
        if below:
            branch[half] = _named(_built(below, depth + 1))
    # No key of a list of receipts is the beginning of another, so that the branch itself never has a value.
    return branch


def _named(node: list[Any]) -> Any:
    """How the node above has this one: by its hash, or whole where that is shorter."""
    import rlp
    from eth_utils import keccak

    data = rlp.encode(node)
    return node if len(data) < 32 else keccak(data)


def _packed(halves: Sequence[int], *, leaf: bool) -> bytes:
    flag = 2 if leaf else 0
    whole = [flag + 1, *halves] if len(halves) % 2 else [flag, 0, *halves]
    return bytes(whole[place] << 4 | whole[place + 1] for place in range(0, len(whole), 2))
