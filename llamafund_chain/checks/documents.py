"""Checks of the documents in a dataset: whether the held-out part is worth anything, and how much is there twice."""

from __future__ import annotations

import hashlib
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from llamafund_chain.checks.baselines import METRIC
from llamafund_chain.checks.check import CheckContext, CheckStatus, Finding
from llamafund_chain.checks.published import dataset_manifest
from llamafund_chain.evidence.manifests import DatasetManifest
from llamafund_chain.store.content import fetch_tree
from llamafund_chain.store.documents import published_documents

WINDOW = 13
"""Words in a row that count as the same text. A word is letters and digits; a character of a script without spaces is a
word of its own. Held-out text is cut into pieces of this length; each is looked for at every word of the training part,
so 25 words in a row are always found."""

MAX_PIECES = 4_000_000
"""Pieces of the held-out part that are looked for, the first ones; about 400 MB of memory."""

TRIVIAL = 50
"""How many times smaller `zlib` may make a held-out part before it is called trivial; it makes prose 3 times smaller,
and machine-written tables 20 times."""

_WARN_SHARE, _FAIL_SHARE = 0.01, 0.5
_TRIVIAL_FROM = 1 << 10
_WORDS = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\u0e00-\u0eff]|[^\W\u2e80-\u9fff\uac00-\ud7af\u0e00-\u0eff]+")
_SPACE = re.compile(r"\s")
_LONGEST_WORD = 1 << 8
_CHARACTERS = 1 << 20
"""Characters of a document that are cut into words at a time."""

_DIGEST = 16
_BUCKETS = 64


@dataclass
class _Heldout:
    """What is looked for in the training part.

    Attributes:
        documents: Hash of each document, and the path of the first file that has it.
        pieces: Hashes of pieces of `WINDOW` words.
        left_out: Whether there were more pieces than are looked for.
        packed: Bytes that all documents together take when `zlib` has packed them.
        size: Bytes that they take before.
    """

    documents: dict[bytes, str]
    pieces: set[int]
    left_out: bool = False
    packed: int = 0
    size: int = 0


def heldout_separate(context: CheckContext) -> Iterator[Finding]:
    """The held-out part can measure a model: it is there, says something, and is not in the training part."""
    dataset = dataset_manifest(context)
    if dataset is None:
        return
    if not dataset.part("heldout"):
        detail = "The dataset has no held-out part: nothing in it shows how the model does on unseen text"
        yield Finding("fail" if context.proposal.outcome.metric == METRIC else "warn", detail)
        return
    fetch_tree(context.store, dataset, context.workdir)
    heldout = _read_heldout(context.workdir, dataset)
    problem = _trivial(heldout)
    if problem is not None:
        yield Finding("fail", problem, {"bytes": heldout.size})
        return
    found: set[int] = set()
    count = 0
    for document in published_documents(context.workdir, dataset.part("train")):
        count += 1
        path = heldout.documents.get(_document_hash(document))
        if path is not None:
            detail = f"A document of {path!r} is both held out and trained on, so the metric flatters the model"
            yield Finding("fail", detail)
            return
        for words in _words_of(document):
            found |= heldout.pieces.intersection(_windows(words, 1))
    yield _overlap(heldout, len(found), count)


def documents_distinct(context: CheckContext) -> Iterator[Finding]:
    """How many documents of the dataset are there more than once."""
    dataset = dataset_manifest(context)
    if dataset is None:
        return
    fetch_tree(context.store, dataset, context.workdir / "data")
    parts = {name: dataset.part(name) for name in ("train", "heldout")}
    counts = {
        name: _count(context.workdir, published_documents(context.workdir / "data", entries))
        for name, entries in parts.items()
        if entries
    }
    facts: dict[str, JsonValue] = {name: {"documents": all_, "repeated": more} for name, (all_, more) in counts.items()}
    shares = {name: more / all_ for name, (all_, more) in counts.items() if all_}
    listed = " and ".join(
        f"{more} of {all_} {'training' if name == 'train' else 'held-out'} documents ({shares.get(name, 0.0):.1%})"
        for name, (all_, more) in counts.items()
    )
    many = any(share > _WARN_SHARE for share in shares.values())
    detail = f"Repetitions of an earlier document, apart from white space, are {listed}"
    yield Finding("warn" if many else "pass", f"{detail}: what is repeated weighs more" if many else detail, facts)


def _read_heldout(root: Path, dataset: DatasetManifest) -> _Heldout:
    heldout = _Heldout({}, set())
    packer = zlib.compressobj()
    for entry in dataset.part("heldout"):
        for document in published_documents(root, (entry,)):
            text = document.encode()
            heldout.documents.setdefault(_document_hash(document), entry.path)
            heldout.size += len(text)
            heldout.packed += len(packer.compress(text))
            for words in _words_of(document):
                if len(heldout.pieces) >= MAX_PIECES:
                    heldout.left_out = True
                    break
                heldout.pieces.update(_windows(words, WINDOW))
    heldout.packed += len(packer.flush())
    return heldout


def _trivial(heldout: _Heldout) -> str | None:
    """Why a held-out part measures nothing; `None` if it may."""
    if heldout.size >= _TRIVIAL_FROM and heldout.size > TRIVIAL * heldout.packed:
        times = heldout.size // heldout.packed
        return f"The held-out part repeats itself: packed it is {times} times smaller, so any model learns it by heart"
    return None


def _overlap(heldout: _Heldout, found: int, documents: int) -> Finding:
    """The finding about pieces of held-out text in the training part."""
    pieces = len(heldout.pieces)
    share = found / pieces if pieces else 0.0
    facts: dict[str, JsonValue] = {"window": WINDOW, "pieces": pieces, "found": found, "share": round(share, 6)}
    detail = (
        f"None of the held-out documents is among the {documents} training documents. Of {pieces} different held-out "
        f"pieces of {WINDOW} words, {found} stand in training text ({share:.1%})"
    )
    if heldout.left_out:
        detail += "; no more pieces were looked for"
    status: CheckStatus = "pass"
    if share > _WARN_SHARE:
        status = "fail" if share >= _FAIL_SHARE else "warn"
        detail += ", so the metric flatters the model"
    return Finding(status, detail, facts)


def _words_of(document: str) -> Iterator[Sequence[str]]:
    """The words of a document in stretches of bounded length, each beginning with the last words of the one before."""
    kept: list[str] = []
    start = 0
    while start < len(document):
        end = start + _CHARACTERS
        space = _SPACE.search(document, end, end + _LONGEST_WORD)
        end = end if space is None else space.start()
        kept += _WORDS.findall(document[start:end].casefold())
        yield kept
        kept = kept[-WINDOW + 1 :]
        start = end


def _windows(words: Sequence[str], step: int) -> Iterable[int]:
    """The hashes of all runs of `WINDOW` words, from every so many words on."""
    if step == 1:
        return map(hash, zip(*(words[place:] for place in range(WINDOW)), strict=False))
    return (hash(tuple(words[place : place + WINDOW])) for place in range(0, len(words) - WINDOW + 1, step))


def _count(folder: Path, documents: Iterable[str]) -> tuple[int, int]:
    """How many documents there are, and how many of them repeat one. Memory is a small part of all hashes.

    Args:
        folder: Existing; has files with the hashes meanwhile.
        documents: The documents.
    """
    count = repeated = 0
    with tempfile.TemporaryDirectory(dir=folder, prefix="hashes-") as made:
        with ExitStack() as stack:
            files = [stack.enter_context((Path(made) / f"{place:02x}").open("wb")) for place in range(_BUCKETS)]
            for document in documents:
                digest = _document_hash(document)[:_DIGEST]
                files[digest[0] % _BUCKETS].write(digest)
                count += 1
        for path in sorted(Path(made).iterdir()):
            data = path.read_bytes()
            distinct = {data[place : place + _DIGEST] for place in range(0, len(data), _DIGEST)}
            repeated += len(data) // _DIGEST - len(distinct)
    return count, repeated


def _document_hash(document: str) -> bytes:
    """A hash that is equal for documents that differ only in white space."""
    return hashlib.sha256(" ".join(document.split()).encode()).digest()
