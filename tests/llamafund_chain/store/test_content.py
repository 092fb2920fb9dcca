"""What manifests name is published whole and fetched verified, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamafund_chain.errors import UsageError, VerificationError
from llamafund_chain.evidence.hashing import hash_bytes, hash_tree, raw_cid
from llamafund_chain.evidence.manifests import (
    MAX_MANIFEST_BYTES,
    CheckpointManifest,
    Content,
    DatasetManifest,
    EvidenceManifest,
    FileEntry,
    WeightsManifest,
)
from llamafund_chain.store import LocalStore, MissingContentError
from llamafund_chain.store.content import fetch_manifest, fetch_tree, publish_manifest, publish_tree, verify_content
from llamafund_chain.store.fetching import fetch_all
from llamafund_chain.store.sources import Sources

FILES = {"README.md": b"# A model\n", "model.safetensors": b"weights" * 100_000, "tokenizer/vocab.json": b"{}"}


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "tree"


def weights(root: Path) -> WeightsManifest:
    tree = hash_tree(root)
    return WeightsManifest(
        files=tree.files,
        content=tree.content,
        parent="1" * 64,
        recipe="2" * 64,
        dataset="3" * 64,
        license="Apache-2.0",
        model_card="README.md",
        metrics={"heldout_bits_per_byte": 2_000_000},
        measurement="by hand",
        parameters=1,
        outcome_score=-2_000_000,
    )


def changed(manifest: WeightsManifest, **changes: object) -> WeightsManifest:
    return WeightsManifest.model_validate({**dict(manifest), **changes})


def with_entry(manifest: WeightsManifest, index: int, **changes: object) -> WeightsManifest:
    files = list(manifest.files)
    files[index] = FileEntry.model_validate({**dict(files[index]), **changes})
    return changed(manifest, files=tuple(files))


def files_below(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def test_a_manifest_comes_back_by_its_hash(store: LocalStore, root: Path) -> None:
    manifest = weights(root)
    sha256 = publish_manifest(store, manifest)
    assert sha256 == manifest.sha256 == hash_bytes(manifest.to_bytes()).sha256
    assert fetch_manifest(store, sha256, WeightsManifest) == manifest
    assert isinstance(fetch_manifest(store, sha256, EvidenceManifest), WeightsManifest)
    assert raw_cid(sha256) in store.pins()


def test_a_manifest_of_another_kind_is_refused(store: LocalStore, root: Path) -> None:
    sha256 = publish_manifest(store, weights(root))
    with pytest.raises(VerificationError, match="It must be a llamafund/checkpoint/1"):
        fetch_manifest(store, sha256, CheckpointManifest)


def overwrite(path: Path, data: bytes) -> None:
    """What whoever owns the disk can do to a file that a store keeps read-only."""
    path.chmod(0o600)
    path.write_bytes(data)


def test_a_manifest_replaced_in_the_store_is_refused(store: LocalStore, root: Path) -> None:
    manifest = weights(root)
    sha256 = publish_manifest(store, manifest)
    overwrite(store.path_of(raw_cid(sha256)), changed(manifest, outcome_score=0).to_bytes())
    with pytest.raises(VerificationError, match=f"has other bytes under {sha256}"):
        fetch_manifest(store, sha256, WeightsManifest)


def test_bytes_that_are_no_manifest_are_refused(store: LocalStore) -> None:
    digest = store.put_bytes(b"not a manifest")
    with pytest.raises(VerificationError, match="cannot be read as JSON"):
        fetch_manifest(store, digest.sha256, DatasetManifest)


def test_an_oversized_manifest_is_refused_before_it_is_parsed(store: LocalStore) -> None:
    sha256 = "0" * 64
    path = store.path_of(raw_cid(sha256))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"[" * (MAX_MANIFEST_BYTES + 1))
    with pytest.raises(VerificationError, match="more than 262144 bytes"):
        fetch_manifest(store, sha256, DatasetManifest)


def test_a_manifest_that_nobody_published_is_missing(store: LocalStore) -> None:
    with pytest.raises(MissingContentError, match=f"has nothing under {'ab' * 32}"):
        fetch_manifest(store, "ab" * 32, DatasetManifest)


def test_a_published_tree_comes_back_as_it_was(store: LocalStore, root: Path, tmp_path: Path) -> None:
    manifest = weights(root)
    sha256 = publish_tree(store, root, manifest)
    assert fetch_manifest(store, sha256, WeightsManifest) == manifest
    assert store.pins() == {raw_cid(sha256), *(entry.cid for entry in manifest.files)}
    verify_content(store, manifest)
    fetch_tree(store, manifest, tmp_path / "out")
    assert files_below(tmp_path / "out") == FILES


def test_progress_adds_up_to_the_content(store: LocalStore, root: Path, tmp_path: Path) -> None:
    manifest = weights(root)
    published: list[int] = []
    verified: list[int] = []
    fetched: list[int] = []
    publish_tree(store, root, manifest, progress=published.append)
    verify_content(store, manifest, progress=verified.append)
    fetch_tree(store, manifest, tmp_path / "out", progress=fetched.append)
    assert sum(published) == sum(verified) == sum(fetched) == manifest.content.size


def test_only_the_files_asked_for_are_fetched(store: LocalStore, root: Path, tmp_path: Path) -> None:
    manifest = weights(root)
    publish_tree(store, root, manifest)
    fetch_tree(store, manifest, tmp_path / "out", ["tokenizer/vocab.json"])
    assert files_below(tmp_path / "out") == {"tokenizer/vocab.json": b"{}"}


def test_a_file_that_the_manifest_does_not_name_is_not_fetched(store: LocalStore, root: Path, tmp_path: Path) -> None:
    manifest = weights(root)
    publish_tree(store, root, manifest)
    with pytest.raises(VerificationError, match=r"names no file '\.\./secret'"):
        fetch_tree(store, manifest, tmp_path / "out", ["README.md", "../secret"])
    assert not (tmp_path / "out").exists()


def test_a_file_changed_after_the_manifest_was_made_is_not_published(store: LocalStore, root: Path) -> None:
    manifest = weights(root)
    (root / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(VerificationError, match=r"'model\.safetensors' has the SHA-256"):
        publish_tree(store, root, manifest)
    assert not store.has(raw_cid(manifest.sha256))


def test_a_file_missing_from_the_directory_is_named(store: LocalStore, root: Path) -> None:
    manifest = weights(root)
    (root / "README.md").unlink()
    with pytest.raises(UsageError, match=r"README\.md"):
        publish_tree(store, root, manifest)


def test_content_replaced_in_the_store_is_refused_by_name(store: LocalStore, root: Path, tmp_path: Path) -> None:
    manifest = weights(root)
    publish_tree(store, root, manifest)
    entry = manifest.entry("model.safetensors")
    overwrite(store.path_of(entry.cid), b"W" * entry.size)
    with pytest.raises(VerificationError, match=r"'model\.safetensors'"):
        verify_content(store, manifest)
    with pytest.raises(VerificationError, match=r"'model\.safetensors'"):
        fetch_tree(store, manifest, tmp_path / "out")
    assert files_below(tmp_path / "out") == {"README.md": FILES["README.md"]}


def test_content_never_published_is_missing_by_name(store: LocalStore, root: Path, tmp_path: Path) -> None:
    manifest = weights(root)
    publish_tree(store, root, manifest)
    store.path_of(manifest.entry("README.md").cid).unlink()
    with pytest.raises(MissingContentError, match=r"'README\.md'"):
        verify_content(store, manifest)
    with pytest.raises(MissingContentError, match=r"'README\.md'"):
        fetch_tree(store, manifest, tmp_path / "out")


def test_a_hash_that_is_not_that_of_the_addressed_bytes_is_refused(
    store: LocalStore, root: Path, tmp_path: Path
) -> None:
    honest = weights(root)
    publish_tree(store, root, honest)
    forged = with_entry(honest, 1, sha256="a" * 64)
    with pytest.raises(VerificationError, match=r"'model\.safetensors': Its SHA-256 is"):
        verify_content(store, forged)
    with pytest.raises(VerificationError, match=r"^'model\.safetensors' has the SHA-256"):
        fetch_tree(store, forged, tmp_path / "out")
    assert "model.safetensors" not in files_below(tmp_path / "out")


def test_sizes_that_only_add_up_together_are_refused(store: LocalStore, root: Path) -> None:
    honest = weights(root)
    publish_tree(store, root, honest)
    sizes = [entry.size for entry in honest.files]
    files = tuple(
        FileEntry.model_validate({**dict(entry), "size": size})
        for entry, size in zip(honest.files, (sizes[0] + 1, sizes[1] - 1, sizes[2]), strict=True)
    )
    with pytest.raises(VerificationError, match=r"'README\.md'"):
        verify_content(store, changed(honest, files=files))


def test_a_wrong_content_root_is_refused(store: LocalStore, root: Path, tmp_path: Path) -> None:
    honest = weights(root)
    publish_tree(store, root, honest)
    forged = changed(honest, content=Content(root="b" * 64, size=honest.content.size))
    with pytest.raises(VerificationError, match="The content root of manifest"):
        verify_content(store, forged)
    with pytest.raises(VerificationError, match="The content root of manifest"):
        fetch_all(Sources([store]), forged, tmp_path / "out")
    sizes: list[int] = []
    fetch_all(Sources([store]), honest, tmp_path / "out", total=sizes.append, progress=sizes.append)
    assert sizes[0] == sum(sizes[1:])


def test_a_link_planted_in_the_destination_is_not_followed(store: LocalStore, root: Path, tmp_path: Path) -> None:
    manifest = weights(root)
    publish_tree(store, root, manifest)
    outside = tmp_path / "outside"
    outside.mkdir()
    victim = outside / "victim"
    victim.write_bytes(b"precious")
    out = tmp_path / "out"
    out.mkdir()
    (out / "README.md").symlink_to(victim)
    (out / "tokenizer").symlink_to(outside)
    with pytest.raises(UsageError, match="would be written outside"):
        fetch_tree(store, manifest, out)
    assert files_below(outside) == {"victim": b"precious"}
    assert (out / "README.md").read_bytes() == FILES["README.md"]
    assert not (out / "README.md").is_symlink()
