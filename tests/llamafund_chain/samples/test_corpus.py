"""The demo's corpus is real text, the same everywhere, split without anybody's choice and without overlap."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

from llamafund_chain.errors import LlamafundError, UsageError
from llamafund_chain.samples import corpus
from llamafund_chain.samples.corpus import DATASET_SHA256, LICENSE, SOURCE, TEXT_SHA256, TITLE, write_corpus
from llamafund_chain.store import LocalStore
from llamafund_chain.store.dataset import build_dataset

REFERENCE = files("llamafund_chain") / "samples" / "reference"


def shipped_text() -> bytes:
    return gzip.decompress((REFERENCE / "topics.json.gz").read_bytes())


def shipped_topics() -> dict[str, str]:
    topics: dict[str, str] = json.loads(shipped_text())
    return topics


def texts_below(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(directory.iterdir())}


def long_paragraphs(text: str) -> set[str]:
    pieces = (" ".join(piece.split()) for piece in re.split(r"\n\s*\n", text))
    return {piece for piece in pieces if len(piece) >= 40}


def test_the_summary_says_what_was_written(tmp_path: Path) -> None:
    summary = write_corpus(tmp_path / "corpus")
    for part, documents, size in (
        ("train", summary.train_documents, summary.train_bytes),
        ("heldout", summary.heldout_documents, summary.heldout_bytes),
    ):
        files = list((tmp_path / "corpus" / part).iterdir())
        assert len(files) == documents
        assert sum(path.stat().st_size for path in files) == size


def test_the_text_is_the_one_whose_hash_is_recorded_whichever_python_runs() -> None:
    assert hashlib.sha256(shipped_text()).hexdigest() == TEXT_SHA256
    assert TEXT_SHA256 in (REFERENCE / "NOTICE").read_text(encoding="utf-8")
    assert "PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2" in (REFERENCE / "LICENSE").read_text(encoding="utf-8")


def test_the_corpus_holds_the_shipped_text_word_for_word(tmp_path: Path) -> None:
    topics = shipped_topics()
    write_corpus(tmp_path)
    written = {**texts_below(tmp_path / "train"), **texts_below(tmp_path / "heldout")}
    assert {text.strip() for text in written.values()} == {text.strip() for text in topics.values()}
    assert all(topics[name.removesuffix(".txt")].strip() == text.strip() for name, text in written.items())


def test_about_a_tenth_is_held_out(tmp_path: Path) -> None:
    summary = write_corpus(tmp_path)
    share = summary.heldout_bytes / (summary.heldout_bytes + summary.train_bytes)
    assert 0.07 < share <= 0.1
    assert summary.heldout_documents >= 5


def test_no_document_stands_twice(tmp_path: Path) -> None:
    summary = write_corpus(tmp_path)
    texts = [*texts_below(tmp_path / "train").values(), *texts_below(tmp_path / "heldout").values()]
    assert len({text.strip() for text in texts}) == len(texts) == len(shipped_topics()) - summary.duplicates


def test_no_heldout_paragraph_was_seen_in_training(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    seen = set().union(*(long_paragraphs(text) for text in texts_below(tmp_path / "train").values()))
    for name, text in texts_below(tmp_path / "heldout").items():
        assert not long_paragraphs(text) & seen, name


def test_the_split_is_the_same_every_time(tmp_path: Path) -> None:
    assert write_corpus(tmp_path / "one") == write_corpus(tmp_path / "two")
    for part in ("train", "heldout"):
        assert texts_below(tmp_path / "one" / part) == texts_below(tmp_path / "two" / part)


def test_a_directory_that_holds_something_is_refused(tmp_path: Path) -> None:
    write_corpus(tmp_path / "corpus")
    with pytest.raises(UsageError, match="is not empty"):
        write_corpus(tmp_path / "corpus")


@pytest.mark.parametrize(
    ("shipped", "words"),
    [
        (None, "cannot be read"),
        (b"not compressed", "cannot be read"),
        (gzip.compress(b"{}")[:-4], "cannot be read"),
        (gzip.compress(b'{"assert": "Other words"}'), "not the text of this package"),
    ],
    ids=["missing", "not-gzip", "cut-short", "changed"],
)
def test_a_missing_or_changed_text_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shipped: bytes | None, words: str
) -> None:
    place = tmp_path / "samples" / "reference"
    place.mkdir(parents=True)
    if shipped is not None:
        (place / "topics.json.gz").write_bytes(shipped)
    monkeypatch.setattr(corpus, "files", lambda package: tmp_path)
    with pytest.raises(LlamafundError, match=words):
        write_corpus(tmp_path / "corpus")


def test_the_corpus_makes_the_dataset_whose_hash_is_recorded(tmp_path: Path) -> None:
    summary = write_corpus(tmp_path / "corpus")
    manifest = build_dataset(
        tmp_path / "corpus",
        title=TITLE,
        source=SOURCE,
        license=LICENSE,
        preparation=summary.preparation,
        store=LocalStore(tmp_path / "store"),
    )
    assert [part.samples for part in manifest.parts] == [summary.train_documents, summary.heldout_documents]
    assert manifest.sha256 == DATASET_SHA256
