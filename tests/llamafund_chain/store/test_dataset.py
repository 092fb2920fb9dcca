"""A dataset is counted, hashed and published; what would make its measure dishonest is refused."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from pathlib import Path

import pytest

from llamafund_chain import files
from llamafund_chain.errors import ExitCode, LlamafundError, UsageError
from llamafund_chain.evidence.manifests import MAX_MANIFEST_BYTES, DatasetManifest
from llamafund_chain.store import LocalStore
from llamafund_chain.store.content import fetch_manifest, fetch_tree
from llamafund_chain.store.dataset import Layout, build_dataset
from llamafund_chain.store.documents import read_documents

GOOD = {
    "train/a.txt": b"The first document.\n",
    "train/b.jsonl": b'{"text": "The second."}\n\n{"text": "The third.", "id": 3}\n',
    "heldout/c.txt": "Ein anderes, größeres Dokument.".encode(),  # codespell:ignore
}


def make(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def build(tmp_path: Path, files: dict[str, bytes], **changes: str) -> DatasetManifest:
    texts = {"title": "Test", "source": "by hand", "license": "CC0-1.0", "preparation": "none", **changes}
    return build_dataset(make(tmp_path / "data", files), store=LocalStore(tmp_path / "store"), **texts)


def test_documents_are_counted_by_part(tmp_path: Path) -> None:
    manifest = build(tmp_path, GOOD)
    assert [(part.name, part.paths, part.samples) for part in manifest.parts] == [
        ("train", ("train/",), 3),
        ("heldout", ("heldout/",), 1),
    ]
    assert [entry.path for entry in manifest.part("train")] == ["train/a.txt", "train/b.jsonl"]
    assert {(part.source, part.license) for part in manifest.parts} == {("by hand", "CC0-1.0")}


def test_manifest_and_files_are_published(tmp_path: Path) -> None:
    manifest = build(tmp_path, GOOD)
    store = LocalStore(tmp_path / "store")
    assert fetch_manifest(store, manifest.sha256, DatasetManifest) == manifest
    fetch_tree(store, manifest, tmp_path / "out")
    assert list(read_documents(tmp_path / "out", manifest.part("train"))) == [
        "The first document.\n",
        "The second.",
        "The third.",
    ]
    assert list(read_documents(tmp_path / "out", manifest.part("heldout"))) == [GOOD["heldout/c.txt"].decode()]


def test_the_same_files_give_the_same_hash(tmp_path: Path) -> None:
    assert build(tmp_path / "one", GOOD).sha256 == build(tmp_path / "two", GOOD).sha256


@pytest.mark.parametrize(
    "copy",
    [
        {"heldout/copy.txt": b"The first document.\n"},
        {"heldout/copy.txt": b"  The  first\r\ndocument."},
        {"heldout/copy.jsonl": b'{"text": "The second."}'},
        {"heldout/copy.jsonl": b'{"text": "another"}\n{"text": "The first document."}'},
    ],
)
def test_a_heldout_document_that_is_trained_on_is_refused(tmp_path: Path, copy: dict[str, bytes]) -> None:
    with pytest.raises(UsageError, match=r"'heldout/copy\.\w+' is also in 'train/\w\.\w+'") as caught:
        build(tmp_path, {**GOOD, **copy})
    assert caught.value.exit_code is ExitCode.USAGE
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("part", ["train", "heldout"])
def test_a_dataset_without_one_of_its_parts_is_refused(tmp_path: Path, part: str) -> None:
    files = {name: data for name, data in GOOD.items() if not name.startswith(part)}
    with pytest.raises(UsageError, match=f"has no files in {part}/"):
        build(tmp_path, files)


@pytest.mark.parametrize(
    "name", ["notes.md", "train/README.md", "train/picture.png", "train.txt", "other/d.txt", "train/.hidden"]
)
def test_a_file_that_belongs_to_no_part_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="belongs to no part"):
        build(tmp_path, {**GOOD, name: b"data"})


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("train/x.txt", b"\xff\xfe", "not UTF-8"),
        ("train/x.txt", b" \n ", "contains no text"),
        ("train/x.txt", b"", "contains no text"),
        ("train/x.jsonl", b"", "contains no documents"),
        ("train/x.jsonl", b"\n \n", "contains no documents"),
        ("train/x.jsonl", b'{"text": "good"}\n{"text": ', r"line 2.*not JSON"),
        ("train/x.jsonl", b'{"text": "\xff"}', "not JSON"),
        ("train/x.jsonl", b"[" * 100_000, "not JSON"),
        ("train/x.jsonl", b'{"text": 5}', "some text under the key"),
        ("train/x.jsonl", b'{"text": ""}', "some text under the key"),
        ("train/x.jsonl", b'["text"]', "some text under the key"),
        ("train/x.jsonl", b'{"text": "\\ud800"}', "half of a surrogate pair"),
        ("train/x.jsonl", b'{"n": ' + b"9" * 5000 + b', "text": "x"}', "not JSON"),
    ],
)
def test_files_that_hold_no_documents_are_refused(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        build(tmp_path, {**GOOD, name: data})
    assert name in str(caught.value)
    assert not re.search(r"codec|Expecting|char \d", str(caught.value))
    assert not (tmp_path / "store").exists()


def test_long_lines_are_put_together_again(tmp_path: Path) -> None:
    texts = ["x" * 5_000_000, "y" * 3_000_000, "z"]
    lines = "\n".join(json.dumps({"text": text}) for text in texts).encode()
    manifest = build(tmp_path, {**GOOD, "train/long.jsonl": lines})
    entry = manifest.entry("train/long.jsonl")
    assert list(read_documents(tmp_path / "data", (entry,))) == texts


def test_an_endless_document_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llamafund_chain.store.documents.MAX_DOCUMENT_BYTES", 1000)
    for name in ("train/long.txt", "train/long.jsonl"):
        with pytest.raises(UsageError, match="longer than 1000 bytes"):
            build(tmp_path / name, {**GOOD, name: b"x" * 1001})


@pytest.mark.parametrize(
    ("field", "most"), [("title", 300), ("source", 20_000), ("license", 300), ("preparation", 20_000)]
)
def test_a_text_that_fits_into_no_manifest_is_refused(tmp_path: Path, field: str, most: int) -> None:
    with pytest.raises(UsageError) as refused:
        build(tmp_path, GOOD, **{field: "x" * 30_000})
    assert str(refused.value) == (
        f"The dataset: {field} has 30000 characters. It may have at most {most} characters. Shorten it."
    )


@pytest.mark.parametrize("field", ["title", "license"])
def test_a_dataset_has_a_title_and_a_license(tmp_path: Path, field: str) -> None:
    with pytest.raises(UsageError) as refused:
        build(tmp_path, GOOD, **{field: ""})
    assert str(refused.value) == f"The dataset: {field} is empty. Text belongs there. Fill it in."


def test_more_files_than_fit_into_a_manifest_are_listed_in_further_ones(tmp_path: Path) -> None:
    many = {f"train/{index:04}-{'n' * 120}.txt": b"%d" % index for index in range(900)}
    manifest = build(tmp_path, {**GOOD, **many})
    assert manifest.listings
    assert fetch_manifest(LocalStore(tmp_path / "store"), manifest.sha256, DatasetManifest) == manifest


def test_parts_name_their_directories_and_so_as_many_files_as_there_are(tmp_path: Path) -> None:
    many = {f"train/{index:04}-{'n' * 240}.txt": b"%d" % index for index in range(1100)}
    manifest = build(tmp_path, {**GOOD, **many})
    assert len(manifest.to_bytes()) < MAX_MANIFEST_BYTES
    assert len(manifest.part("train")) == sum(path.startswith("train/") for path in {**GOOD, **many})


class Reads:
    """Counts how often each file of a directory is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count: Counter[str] = Counter()
        honest = files.open_descriptor

        def counting(path: str | Path) -> tuple[int, os.stat_result]:
            self.count[Path(path).name] += 1
            return honest(path)

        monkeypatch.setattr("llamafund_chain.files.reading.open_descriptor", counting)
        monkeypatch.setattr("llamafund_chain.evidence.hashing.one_pass.open_descriptor", counting)


def test_one_read_hashes_counts_and_compares_the_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "data"
    for name, data in {**GOOD, "train/long.jsonl": b'{"text": "x"}\n' * 400_000}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    reads = Reads(monkeypatch)

    def refuse(*_: object, **__: object) -> str:
        assert set(reads.count.values()) == {1}
        raise LlamafundError("far enough")

    monkeypatch.setattr("llamafund_chain.store.dataset.publish_tree", refuse)
    with pytest.raises(LlamafundError, match="far enough"):
        build_dataset(
            root, title="t", source="s", license="l", preparation="p", store=LocalStore(tmp_path / "store"), jobs=2
        )
    assert set(reads.count) == {Path(name).name for name in GOOD} | {"long.jsonl"}


def test_a_directory_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(LlamafundError, match="absent"):
        build_dataset(
            tmp_path / "absent",
            title="t",
            source="s",
            license="l",
            preparation="p",
            store=LocalStore(tmp_path / "store"),
        )


def test_companions_beside_the_parts_are_kept_and_belong_to_none(tmp_path: Path) -> None:
    companions = {"README.md": b"# Card", "LICENSE": b"CC0", ".gitattributes": b"*", "dataset_infos.json": b"{}"}
    manifest = build(tmp_path, {**GOOD, **companions, ".DS_Store": b"x", ".git/config": b"x"})
    assert {entry.path for entry in manifest.files} == {*GOOD, *companions}
    assert [part.samples for part in manifest.parts] == [3, 1]
    assert DatasetManifest.model_validate_json(manifest.to_bytes()) == manifest


def test_folders_and_files_of_hugging_face_are_mapped_to_the_parts(tmp_path: Path) -> None:
    root = make(
        tmp_path / "data",
        {"data/train-00000-of-00001.jsonl": b'{"text": "a"}', "validation/a.txt": b"b", "test/sub/a.txt": b"c"},
    )
    options = {"title": "t", "source": "s", "license": "l", "preparation": "p", "store": LocalStore(tmp_path / "store")}
    layout = Layout(train=("data/train-*",), heldout=("validation", "test/"))
    manifest = build_dataset(root, **options, layout=layout)
    assert [part.paths for part in manifest.parts] == [
        ("data/train-00000-of-00001.jsonl",),
        ("test/", "validation/"),
    ]
    assert [entry.path for entry in manifest.part("heldout")] == ["test/sub/a.txt", "validation/a.txt"]
    with pytest.raises(UsageError, match="belongs to no part"):
        build_dataset(root, **options, layout=Layout(train=("data",), heldout=("test",)))
    with pytest.raises(UsageError, match="is both to train on and held out"):
        build_dataset(root, **options, layout=Layout(train=("data", "test"), heldout=("test", "validation")))
    with pytest.raises(UsageError, match=r"has no files in dev/.*--heldout"):
        build_dataset(root, **options, layout=Layout(train=("data",), heldout=("dev",)))


def test_threat_no_secret_and_no_pointer_gets_into_a_dataset(tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    for name, data, reason in (("train/x.txt", pointer, "git lfs pull"), ("train/x.txt", b"AKIA" + b"A" * 16, "AWS")):
        with pytest.raises(UsageError, match=reason):
            build(tmp_path / reason, {**GOOD, name: data})
        assert not (tmp_path / reason / "store").exists()


def test_line_ends_that_a_model_would_learn_are_remarked(tmp_path: Path) -> None:
    root = make(tmp_path / "data", {**GOOD, "train/windows.txt": b"one\r\ntwo\r\n"})
    remarks: list[str] = []
    build_dataset(
        root,
        title="t",
        source="s",
        license="l",
        preparation="p",
        store=LocalStore(tmp_path / "s"),
        remark=remarks.append,
    )
    assert remarks == ["1 document of 5 with CRLF line ends: a model learns these too"]
