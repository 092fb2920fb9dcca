"""`llamafund verify`: every difference between a directory and a manifest is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llamafund_chain.evidence.hashing import TreeDigest, hash_tree
from llamafund_chain.evidence.manifests import Content, DatasetManifest, DatasetPart, EvidenceManifest
from llamafund_chain.store import open_store
from llamafund_chain.store.content import publish_manifest

FILES = {
    "heldout/h.txt": b"held out",
    "train/a.txt": b"first",
    "train/b.txt": b"second",
    "train/empty.txt": b"",
    "train/long.txt": b"x" * 5_000_000,
    "train/odd\nname \u202etxt.txt": b"odd",
}


def manifest_of(tree: TreeDigest) -> DatasetManifest:
    def part(name: str) -> DatasetPart:
        paths = tuple(file.path for file in tree.files if file.path.startswith(f"{name}/"))
        return DatasetPart(name=name, paths=paths, source="tests", license="CC0-1.0", samples=len(paths))  # type: ignore[arg-type]

    return DatasetManifest(
        title="Tests",
        files=tree.files,
        content=tree.content,
        preparation="none",
        parts=(part("train"), part("heldout")),
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for name, data in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


@pytest.fixture
def manifest(root: Path, tmp_path: Path) -> Path:
    path = tmp_path / "manifest.json"
    path.write_bytes(manifest_of(hash_tree(root)).to_bytes())
    return path


def test_a_directory_that_is_what_the_manifest_says_passes(llamafund, root: Path, manifest: Path) -> None:
    ran = llamafund("verify", root, "--manifest", manifest, "--json")
    assert (ran.code, ran.stderr) == (0, "")
    facts = ran.json
    assert facts["command"] == "verify"
    assert facts["verified"] is True
    assert (facts["files"], facts["bytes"]) == (len(FILES), sum(map(len, FILES.values())))
    assert facts["missing"] == facts["extra"] == facts["changed"] == facts["renamed"] == facts["contradictions"] == []


def test_the_manifest_may_be_named_by_its_hash(llamafund, root: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    sha256 = publish_manifest(open_store(store), manifest_of(hash_tree(root)))
    for name in (sha256, f"0x{sha256}"):
        ran = llamafund("verify", root, "--manifest", name, "--store", store, "--json")
        assert ran.code == 0, ran.stderr
        assert ran.json["manifest"] == sha256


def spoil(root: Path) -> None:
    (root / "heldout/h.txt").unlink()
    (root / "train/a.txt").rename(root / "train/renamed.txt")
    (root / "train/b.txt").write_bytes(b"SECOND")
    (root / "train/long.txt").write_bytes(b"short")
    (root / "train/extra.txt").write_bytes(b"extra")


def test_a_directory_that_was_published_verifies_by_its_listing(llamafund, root: Path, tmp_path: Path) -> None:
    published = llamafund("publish", root, "--to", tmp_path / "store", "--json").json
    assert published["manifest_schema"] == "llamafund/listing/1"
    arguments = ("verify", root, "--manifest", published["manifest"], "--store", tmp_path / "store", "--json")
    assert llamafund(*arguments).json["verified"] is True
    (root / "train/a.txt").write_bytes(b"other")
    ran = llamafund(*arguments)
    assert ran.code == 3
    assert [file["path"] for file in ran.json["changed"]] == ["train/a.txt"]


def test_each_missing_extra_changed_and_renamed_file_is_named(llamafund, root: Path, manifest: Path) -> None:
    expected = {file.path: file for file in hash_tree(root).files}
    spoil(root)
    actual = {file.path: file for file in hash_tree(root).files}
    ran = llamafund("verify", root, "--manifest", manifest, "--json")
    ran.refused(3, "does not match '", "manifest.json': 5 differences")
    facts = ran.json
    assert facts["verified"] is False
    assert facts["missing"] == ["heldout/h.txt"]
    assert facts["extra"] == ["train/extra.txt"]
    assert facts["renamed"] == [{"expected_path": "train/a.txt", "actual_path": "train/renamed.txt"}]
    assert facts["changed"] == [
        {
            "path": "train/b.txt",
            "expected_size": 6,
            "actual_size": 6,
            "expected_sha256": expected["train/b.txt"].sha256,
            "actual_sha256": actual["train/b.txt"].sha256,
            "line_ends": None,
        },
        {
            "path": "train/long.txt",
            "expected_size": 5_000_000,
            "actual_size": 5,
            "expected_sha256": expected["train/long.txt"].sha256,
            "actual_sha256": None,
            "line_ends": None,
        },
    ]
    assert facts["files"] == 2


def test_a_person_reads_the_same_with_every_character_visible(llamafund, root: Path, manifest: Path) -> None:
    spoil(root)
    (root / "train/odd\nname \u202etxt.txt").unlink()
    ran = llamafund("verify", root, "--manifest", manifest)
    ran.refused(3, "does not match '", "manifest.json': 6 differences")
    lines = ran.stdout.splitlines()
    assert "missing   heldout/h.txt" in lines
    assert "extra     train/extra.txt" in lines
    assert "renamed   train/a.txt is now train/renamed.txt" in lines
    assert "changed   train/long.txt: 5 bytes, not 5000000" in lines
    assert any(line.startswith("changed   train/b.txt: SHA-256 ") for line in lines)
    assert "missing   train/odd\\u{a}name \\u{202e}txt.txt" in lines


def test_two_files_that_changed_places_are_both_changed(llamafund, root: Path, manifest: Path) -> None:
    (root / "train/a.txt").write_bytes(FILES["train/b.txt"])
    (root / "train/b.txt").write_bytes(FILES["train/a.txt"])
    facts = llamafund("verify", root, "--manifest", manifest, "--json").json
    assert [file["path"] for file in facts["changed"]] == ["train/a.txt", "train/b.txt"]


def test_two_files_with_the_same_bytes_are_renamed_to_one_path_each(llamafund, tmp_path: Path) -> None:
    root = tmp_path / "data"
    for name in ("heldout/h", "train/1", "train/2"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"held out" if name == "heldout/h" else b"same")
    manifest = tmp_path / "manifest.json"
    manifest.write_bytes(manifest_of(hash_tree(root)).to_bytes())
    (root / "train/1").rename(root / "train/3")
    (root / "train/2").rename(root / "train/4")
    facts = llamafund("verify", root, "--manifest", manifest, "--json").json
    assert [tuple(pair.values()) for pair in facts["renamed"]] == [("train/1", "train/3"), ("train/2", "train/4")]
    assert (facts["missing"], facts["extra"]) == ([], [])


def test_an_empty_directory_misses_everything(llamafund, tmp_path: Path, manifest: Path) -> None:
    (tmp_path / "empty").mkdir()
    ran = llamafund("verify", tmp_path / "empty", "--manifest", manifest, "--json")
    assert ran.code == 3
    assert ran.json["missing"] == sorted(FILES, key=str.encode)


def lie(honest: DatasetManifest, **changes: object) -> EvidenceManifest:
    return honest.model_copy(update=changes)


def test_a_manifest_whose_content_root_is_another_is_refused(llamafund, root: Path, tmp_path: Path) -> None:
    honest = manifest_of(hash_tree(root))
    false = Content(root="ab" * 32, size=honest.content.size)
    path = tmp_path / "manifest.json"
    path.write_bytes(lie(honest, content=false).to_bytes())
    ran = llamafund("verify", root, "--manifest", path, "--json")
    assert ran.code == 3
    (text,) = ran.json["contradictions"]
    assert text == f"the content root is {honest.content.root}, not {'ab' * 32}"


def test_a_manifest_whose_address_is_of_other_bytes_is_refused(llamafund, root: Path, tmp_path: Path) -> None:
    honest = manifest_of(hash_tree(root))
    first, second, *rest = honest.files
    path = tmp_path / "manifest.json"
    files = (first, second.model_copy(update={"cid": first.cid}), *rest)
    path.write_bytes(lie(honest, files=files).to_bytes())
    ran = llamafund("verify", root, "--manifest", path, "--json")
    assert ran.code == 3
    (text,) = ran.json["contradictions"]
    assert text == f"the address of 'train/a.txt' is {second.cid}, not {first.cid}"


def test_bytes_that_went_bad_are_seen_though_the_times_say_nothing(llamafund, root: Path, manifest: Path) -> None:
    path = root / "train/long.txt"
    status = path.stat()
    with path.open("r+b") as stream:
        stream.seek(2_000_000)
        stream.write(b"y")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    facts = llamafund("verify", root, "--manifest", manifest, "--json").json
    assert [file["path"] for file in facts["changed"]] == ["train/long.txt"]


def test_a_cache_is_used_only_when_it_is_named_and_says_so(
    llamafund, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    ahead = time.time_ns() + 60_000_000_000
    monkeypatch.setattr("llamafund_chain.evidence.hashing.cache.time.time_ns", lambda: ahead)
    (root / "train/huge.txt").write_bytes(b"z" * 20_000_000)
    manifest = tmp_path / "large.json"
    manifest.write_bytes(manifest_of(hash_tree(root)).to_bytes())
    cache = tmp_path / "hashes.sqlite"
    for cached in (0, sum(map(len, FILES.values())) + 20_000_000):
        ran = llamafund("verify", root, "--manifest", manifest, "--cache", cache, "--json")
        assert ran.code == 0, ran.stderr
        assert ran.json["cached"] == cached
        assert ("were not read" in ran.stderr) == bool(cached)
    assert llamafund("verify", root, "--manifest", manifest, "--json").json["cached"] == 0
    cache.write_bytes(b"something else")
    ran = llamafund("verify", root, "--manifest", manifest, "--cache", cache, "--json")
    assert ran.code == 0
    assert "was not used: file is not a database. So everything was hashed" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("absent", "--manifest", "manifest.json"), 2, "absent"),
        (("data", "--manifest", "absent.json"), 2, "There is no file 'absent.json'"),
        (("data", "--manifest", "data/train/a.txt"), 2, "'data/train/a.txt' cannot be read as JSON"),
        (("data", "--manifest", "data/train/long.txt"), 2, "longer than 262144 bytes"),
        (("data", "--manifest", "manifest.json", "--jobs", "0"), 2, "0 is out of range: it must be at least 1"),
        (("data", "--manifest", "ab" * 32, "--store", "store"), 1, "has nothing under"),
        (("data",), 2, "Missing option '--manifest'"),
    ],
)
def test_bad_input_gets_one_line(
    llamafund, manifest: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, words: str
) -> None:
    monkeypatch.chdir(manifest.parent)
    ran = llamafund("verify", *arguments)
    ran.refused(code, words)
    assert ran.stdout == ""


def test_a_link_that_leaves_the_directory_is_refused(llamafund, root: Path, manifest: Path) -> None:
    (root / "train" / "passwords").symlink_to("/etc/passwd")
    llamafund("verify", root, "--manifest", manifest).refused(2, "'train/passwords' leads out of")


def test_help_shows_an_example(llamafund) -> None:
    assert "llamafund verify weights --manifest" in llamafund("verify", "--help").stdout
