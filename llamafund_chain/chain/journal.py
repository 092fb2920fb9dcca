"""What was signed, on disk before any node gets it: a later start finds its own transaction instead of paying twice.

One file a chain, one JSON object a line, readable by its owner only. A line is written and flushed to the disk before
the transaction leaves. A line that a crash cut short is skipped. The file never holds a key, a passphrase or a node's
address. It holds the signed bytes of a transaction, unless they are long: see
`docs/decisions/0025-a-journal-of-what-was-signed.md`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from llamafund_chain.chain.transactions import Call, Fees, SignedTransaction
from llamafund_chain.errors import LlamafundError
from llamafund_chain.files import PendingFile, storage_error
from llamafund_chain.http.answers import parse_json

STATE_VARIABLE = "LLAMAFUND_STATE"
"""Environment variable with the folder of the journal and the base of facts, instead of the user's state folder."""

MAX_RAW = 8 * 1024
"""Bytes of the longest signed transaction that is kept whole. Answers to challenges are longer; they can be remade."""

MAX_FILE = 1 << 20
"""Bytes from which on a file is rewritten without what nobody needs any more."""

MAX_CHAINS = 64
"""Most chains whose files are kept; those that were used last."""

_KEPT_CLOSED = 200
_KEPT_OPEN = 500
_MAX_READ = 64 << 20
_HASH = re.compile(r"[0-9a-f]{64}")

State = Literal["signed", "refused", "included", "told", "failed", "void"]
"""`signed`: it may have left. `refused`: the same, but a node refused it. `included`: it was seen in a block.
`told`: its sender was told of its success. `failed`: it was included and reverted. `void`: something else used its
number, or nobody signed it: it can never be included."""

_OPEN = ("signed", "refused", "included")


@dataclass(frozen=True)
class Entry:
    """One transaction of the journal.

    Attributes:
        id: Its name in the file.
        tx_hash: 64 hexadecimal digits; empty if a signer was to send it itself and did not say.
        chain_id: EIP-155 number.
        genesis: Hash of the chain's first block, 64 hexadecimal digits; empty if the node did not say. It tells apart
            development chains with the same number.
        head: The latest block when it was signed: it is in none before.
        at: Unix seconds.
        command: The command that sent it, in words.
        step: What it does, in words.
        intent: What it is to bring about, as a hash. Two with the same intent would pay twice.
        sender: Checksummed address.
        nonce: Its number among the sender's transactions.
        to: Checksummed address.
        value: Wei.
        data: Its call data, hexadecimal; `None` if they are long.
        gas: Gas limit.
        highest: Wei per unit of gas.
        tip: Wei per unit of gas of it for the proposer; `None` before EIP-1559.
        raw: The signed bytes, hexadecimal; empty if they are long or unknown.
        raw_sha256: Their SHA-256, 64 hexadecimal digits; empty if they are unknown.
        replaces: Hash of the transaction that it replaces under the same number; empty if none.
        state: What became of it, as far as it was told.
        block: Number of the block that includes it; `None` if none was seen.
        block_hash: Hash of that block; empty if none was seen.
    """

    id: str
    tx_hash: str
    chain_id: int
    genesis: str
    head: int
    at: int
    command: str
    step: str
    intent: str
    sender: str
    nonce: int
    to: str
    value: int
    data: str | None
    gas: int
    highest: int
    tip: int | None
    raw: str
    raw_sha256: str
    replaces: str = ""
    state: State = "signed"
    block: int | None = None
    block_hash: str = ""

    @property
    def is_open(self) -> bool:
        """Whether its sender may not know yet what became of it."""
        return self.state in _OPEN

    @property
    def signed(self) -> SignedTransaction:
        """The same as a transaction."""
        return SignedTransaction(
            self.tx_hash,
            bytes.fromhex(self.raw),
            self.sender,
            Call(self.to, bytes.fromhex(self.data or "")),
            self.value,
            self.nonce,
            self.gas,
            Fees(self.highest, self.tip),
        )


def entry_of(
    signed: SignedTransaction,
    *,
    chain_id: int,
    genesis: str,
    head: int,
    command: str,
    step: str,
    intent: str,
    replaces: str = "",
) -> Entry:
    """A new entry; see the attributes of `Entry`."""
    short = len(signed.raw) <= MAX_RAW
    return Entry(
        id=signed.tx_hash or secrets.token_hex(8),
        tx_hash=signed.tx_hash,
        chain_id=chain_id,
        genesis=genesis,
        head=head,
        at=int(time.time()),
        command=command,
        step=step,
        intent=intent,
        sender=signed.sender,
        nonce=signed.nonce,
        to=signed.transaction.to,
        value=signed.value,
        data=signed.transaction.data.hex() if len(signed.transaction.data) <= MAX_RAW else None,
        gas=signed.gas,
        highest=signed.fees.highest,
        tip=signed.fees.tip,
        raw=signed.raw.hex() if short else "",
        raw_sha256=hashlib.sha256(signed.raw).hexdigest() if signed.raw else "",
        replaces=replaces,
    )


def state_folder() -> Path:
    """Where what must last is: the folder that `LLAMAFUND_STATE` names, or the user's state folder."""
    named = os.environ.get(STATE_VARIABLE)
    if named:
        return Path(named)
    from platformdirs import user_state_path

    return user_state_path("llamafund", appauthor=False)


def default_folder() -> Path:
    """Where the journal is."""
    return state_folder() / "transactions"


class Journal:
    """The transactions of one chain.

    Args:
        folder: Where its files are.
        chain_id: EIP-155 number.

    Raises:
        LlamafundError: Files cannot be written there.
    """

    def __init__(self, folder: Path, chain_id: int) -> None:
        self._folder = folder
        self._path = folder / f"{chain_id}.jsonl"
        self._chain_id = chain_id

    def entries(self) -> list[Entry]:
        """All entries, oldest first. Lines that make no sense are skipped.

        Raises:
            LlamafundError: The file cannot be read.
        """
        try:
            with self._path.open("rb") as file:
                data = file.read(_MAX_READ)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._trouble(error, "Reading") from error
        found: dict[str, Entry] = {}
        for line in data.split(b"\n"):
            record = _record(line)
            name = str(record.get("id", ""))
            if name in found:
                found[name] = _changed(found[name], record)
            else:
                entry = _entry(record)
                if entry is not None and entry.chain_id == self._chain_id:
                    found[name] = entry
        return list(found.values())

    def add(self, entry: Entry) -> None:
        """Write an entry and wait until it is on the disk.

        Raises:
            LlamafundError: It cannot be written. Then nothing may be sent.
        """
        self._append(asdict(entry))
        self._prune()

    def change(self, entry: Entry, **changes: Any) -> Entry:
        """Write what changed about an entry; see the attributes of `Entry`.

        Raises:
            LlamafundError: It cannot be written.
        """
        changed = replace(entry, **changes)
        if changed != entry:
            self._append({"id": entry.id, **changes})
        return changed

    @contextlib.contextmanager
    def sending(self, sender: str, waits: Callable[[], None]) -> Iterator[None]:
        """Let no other process choose a number for the same account meanwhile.

        Args:
            sender: Checksummed address.
            waits: Called if another process has to be waited for.

        Raises:
            LlamafundError: Files cannot be written there.
        """
        with self._locked(f"{self._chain_id}-{sender.lower()}.lock", waits):
            yield

    # --------------------------------------------------------------- helpers

    def _append(self, record: Mapping[str, Any]) -> None:
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        with self._locked(f"{self._chain_id}.lock"):
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
                try:
                    os.fchmod(descriptor, 0o600)
                    size = os.fstat(descriptor).st_size
                    # A crash may have cut the last line short: what follows it must not be lost with it.
                    if size and os.pread(descriptor, 1, size - 1) != b"\n":
                        line = b"\n" + line
                    view = memoryview(line)
                    while view:
                        view = view[os.write(descriptor, view) :]
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
                if not size:
                    self._sync_folder()
                if size + len(line) > MAX_FILE:
                    self._rewrite()
            except OSError as error:
                raise self._trouble(error, "Writing") from error

    def _rewrite(self) -> None:
        """Keep what is open, and the newest of the rest."""
        entries = self.entries()
        still = [entry for entry in entries if entry.is_open][-_KEPT_OPEN:]
        closed = [entry for entry in entries if not entry.is_open][-_KEPT_CLOSED:]
        kept = {entry.id for entry in (*still, *closed)}
        with PendingFile(self._folder, mode=0o600) as pending:
            for entry in entries:
                if entry.id in kept:
                    pending.write(json.dumps(asdict(entry), separators=(",", ":")).encode() + b"\n")
            pending.commit(self._path)

    def _prune(self) -> None:
        """Forget the chains that were not used for the longest time."""
        with contextlib.suppress(OSError):
            by_age = sorted(self._folder.glob("*.jsonl"), key=lambda path: -path.stat().st_mtime)
            for path in by_age[MAX_CHAINS:]:
                path.unlink()

    @contextlib.contextmanager
    def _locked(self, name: str, waits: Callable[[], None] | None = None) -> Iterator[None]:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._trouble(error, "Writing") from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waits is not None:
                    waits()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _trouble(self, error: OSError, action: str) -> LlamafundError:
        told = storage_error(error, f"{action} the journal of sent transactions in {str(self._folder)!r}")
        remedy = f"Nothing is sent without it. {told.remedy}, or name another folder with {STATE_VARIABLE}"
        return LlamafundError(told.what, told.why, remedy)


def journals(folder: Path) -> list[int]:
    """The chains of which there is a journal, by EIP-155 number."""
    with contextlib.suppress(OSError):
        return sorted(int(path.stem) for path in folder.glob("*.jsonl") if path.stem.isdecimal())
    return []


def of_chain(entries: Sequence[Entry], genesis: str) -> list[Entry]:
    """The entries of the chain with this first block. Without knowing it, all count: better one question too many."""
    return [entry for entry in entries if not genesis or not entry.genesis or entry.genesis == genesis]


def _record(line: bytes) -> Mapping[str, Any]:
    try:
        document = parse_json(line) if line else None
    except ValueError:
        return {}
    return document if isinstance(document, Mapping) else {}


def _changed(entry: Entry, record: Mapping[str, Any]) -> Entry:
    return _entry({**asdict(entry), **record}) or entry


def _entry(record: Mapping[str, Any]) -> Entry | None:
    """An entry, or `None` if the record is not one: another version of this program may have written it."""
    try:
        entry = Entry(**record)
        texts = (entry.id, entry.genesis, entry.command, entry.step, entry.intent, entry.sender, entry.to)
        numbers = (entry.chain_id, entry.head, entry.at, entry.nonce, entry.value, entry.gas, entry.highest)
        fine = (
            all(isinstance(text, str) for text in texts)
            and all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)
            and (entry.tx_hash == "" or _HASH.fullmatch(entry.tx_hash) is not None)
            and isinstance(bytes.fromhex(entry.raw + (entry.data or "")), bytes)
        )
    except (TypeError, ValueError):
        return None
    return entry if fine else None
