"""A tree of any number of files has one manifest and one hash, and nobody can slip another file in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from llamafund_chain.errors import VerificationError
from llamafund_chain.evidence.hashing import hash_tree, raw_cid
from llamafund_chain.evidence.manifests import (
    MAX_FILES,
    MAX_MANIFEST_BYTES,
    MAX_SAFE_INTEGER,
    CheckpointManifest,
    Content,
    DatasetManifest,
    DatasetPart,
    EvidenceManifest,
    FileEntry,
    Listing,
    ListingReference,
    StepRange,
    WeightsManifest,
    all_files,
    complete,
    parse,
    parse_as,
    parse_head,
)
from llamafund_chain.store import LocalStore, MissingContentError
from llamafund_chain.store.content import fetch_manifest, fetch_tree, publish_tree, verify_content

CID = "b" + "a" * 58
SMALL = 2048


def entries(count: int, name: str = "data/{:08}.txt", **extra: Any) -> tuple[FileEntry, ...]:
    return tuple(
        FileEntry.model_validate(
            {"path": name.format(index), "size": index % 7, "sha256": f"{index:064x}", "cid": CID, **extra}
        )
        for index in range(count)
    )


def checkpoint(files: Sequence[FileEntry], **changes: Any) -> CheckpointManifest:
    values: dict[str, Any] = {
        "files": tuple(files),
        "content": Content(root="0" * 64, size=sum(entry.size for entry in files)),
        "parent": "1" * 64,
        "steps": StepRange(first=0, last=20),
        "recipe": "2" * 64,
        "dataset": "3" * 64,
        "seed": "4" * 64,
        "data_order_seed": 7,
        "metrics": {},
        "environment": {},
        "chain": (),
        **changes,
    }
    return CheckpointManifest.model_validate(values)


def published(manifest: EvidenceManifest) -> dict[str, bytes]:
    """A store: every further manifest by its hash."""
    return {listing.sha256: listing.to_bytes() for listing in manifest.further_manifests()}


def dumps(value: Any) -> bytes:
    data: bytes = rfc8785.dumps(value)
    return data


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Manifests of at most 2 KiB, so that listings of listings need no hundred thousand files."""
    for module in ("base", "encoding", "listings", "models", "reading"):
        monkeypatch.setattr(f"llamafund_chain.evidence.manifests.{module}.MAX_MANIFEST_BYTES", SMALL)


def test_files_that_fit_stand_in_the_manifest_itself() -> None:
    manifest = checkpoint(entries(1000))
    assert manifest.listings == ()
    assert list(manifest.further_manifests()) == []
    assert b'"listings"' not in manifest.to_bytes()
    assert len(manifest.to_bytes()) <= MAX_MANIFEST_BYTES


def test_a_tree_of_many_files_is_listed_and_comes_back_whole() -> None:
    manifest = checkpoint(entries(3000))
    store = published(manifest)
    data = manifest.to_bytes()
    assert len(store) == len(manifest.listings) == 3
    assert all(len(listing) <= MAX_MANIFEST_BYTES for listing in (data, *store.values()))
    assert b'"files":[' not in data
    again = parse_as(CheckpointManifest, data, sha256=manifest.sha256, read=store.__getitem__)
    assert again == manifest
    assert again.to_bytes() == data
    assert again.files == manifest.files
    assert again.entry("data/00002999.txt") == manifest.files[-1]
    assert published(again) == store


def test_the_switch_to_listings_comes_with_the_first_byte_that_does_not_fit() -> None:
    files = entries(1000)
    spare = MAX_MANIFEST_BYTES - len(checkpoint(files, environment={"x": ""}).to_bytes())
    full = checkpoint(files, environment={"x": "x" * spare})
    assert (len(full.to_bytes()), full.listings) == (MAX_MANIFEST_BYTES, ())
    assert parse(full.to_bytes()) == full
    over = checkpoint(files, environment={"x": "x" * (spare + 1)})
    assert [listing.files for listing in over.listings] == [1000]


def test_a_listing_is_filled_to_the_last_byte_that_fits() -> None:
    manifest = checkpoint(entries(3000))
    listings = list(manifest.further_manifests())
    for listing, following in pairwise(listings):
        entry = len(dumps(following.files[0].model_dump(mode="json")))
        assert len(listing.to_bytes()) + 1 + entry > MAX_MANIFEST_BYTES


@pytest.mark.parametrize("number", [0, 1])
def test_a_listing_may_be_exactly_as_long_as_allowed(number: int) -> None:
    files = entries(3000)
    listings = list(checkpoint(files).further_manifests())
    spare = MAX_MANIFEST_BYTES - len(listings[number].to_bytes())
    place = files.index(listings[number].files[0])
    longer = files[place].model_copy(update={"path": files[place].path + "x" * spare})
    filled = list(checkpoint((*files[:place], longer, *files[place + 1 :])).further_manifests())
    assert len(filled[number].to_bytes()) == MAX_MANIFEST_BYTES
    assert [listing.count for listing in filled] == [listing.count for listing in listings]


def test_listings_of_listings_hold_what_one_level_cannot(small_blocks: None) -> None:
    manifest = checkpoint(entries(200))
    store = published(manifest)
    kinds = [b'"listings":[' in data for data in store.values()]
    assert any(kinds)
    assert not all(kinds)
    assert all(len(data) <= SMALL for data in (manifest.to_bytes(), *store.values()))
    again = parse(manifest.to_bytes(), read=store.__getitem__)
    assert again == manifest
    assert published(manifest) == store


@settings(max_examples=50)
@given(st.lists(st.tuples(st.text(max_size=40), st.integers(0, 2**40), st.booleans()), min_size=1, max_size=150))
def test_any_tree_comes_back_with_its_hash_and_has_no_second_one(drawn: list[tuple[str, int, bool]]) -> None:
    files: dict[str, FileEntry] = {}
    for number, (name, size, extra) in enumerate(drawn):
        entry = {"path": f"{number:04}{name}", "size": size, "sha256": f"{number:064x}", "cid": CID}
        try:
            made = FileEntry.model_validate({**entry, **({"license": "CC0-1.0"} if extra else {})})
        except ValidationError:
            continue
        # A slash in the drawn name makes a directory of its beginning, which no other file here is.
        files[made.path] = made
    if not files:
        return
    with pytest.MonkeyPatch.context() as patch:
        for module in ("base", "encoding", "listings", "models", "reading"):
            patch.setattr(f"llamafund_chain.evidence.manifests.{module}.MAX_MANIFEST_BYTES", 4096)
        manifest = checkpoint(sorted(files.values(), key=lambda entry: entry.path.encode()))
        store = published(manifest)
        again = parse(manifest.to_bytes(), sha256=manifest.sha256, read=store.__getitem__)
        assert isinstance(again, EvidenceManifest)
        assert (again, again.sha256) == (manifest, manifest.sha256)
        assert checkpoint(again.files).sha256 == manifest.sha256
        assert tuple(all_files(parse_head(manifest.to_bytes()), store.__getitem__)) == manifest.files  # type: ignore[arg-type]


def test_a_listed_manifest_is_never_read_without_its_files_by_accident() -> None:
    data = checkpoint(entries(3000)).to_bytes()
    with pytest.raises(VerificationError, match="names its 3000 files in 3 further manifests") as caught:
        parse(data)
    assert "Name the store" in str(caught.value)
    head = parse_head(data)
    assert isinstance(head, CheckpointManifest)
    assert not head.is_complete
    assert head.file_count == 3000
    with pytest.raises(VerificationError, match="names no file"):
        head.entry("data/00000000.txt")
    with pytest.raises(VerificationError, match="not loaded"):
        list(head.further_manifests())


def test_a_listing_that_is_missing_ends_the_reading_with_the_stores_own_words() -> None:
    manifest = checkpoint(entries(3000))

    def read(wanted: str) -> bytes:
        raise LookupError(f"nothing under {wanted}")

    with pytest.raises(LookupError, match=manifest.listings[0].sha256):
        parse(manifest.to_bytes(), read=read)


def test_a_listing_with_other_bytes_is_refused_by_its_hash() -> None:
    manifest = checkpoint(entries(3000))
    store = published(manifest)
    store[manifest.listings[1].sha256] = store[manifest.listings[0].sha256]
    with pytest.raises(VerificationError, match=f"Manifest {manifest.listings[1].sha256} hashes to"):
        parse(manifest.to_bytes(), read=store.__getitem__)


def forge(
    change: Callable[[list[dict[str, Any]]], None] | None = None,
    listings: Callable[[list[tuple[FileEntry, ...]]], Sequence[Sequence[FileEntry]]] | None = None,
    count: int = 3000,
) -> tuple[bytes, dict[str, bytes]]:
    """A manifest over listings that nobody of good faith would write, with hashes that fit."""
    manifest = checkpoint(entries(count))
    groups = [listing.files for listing in manifest.further_manifests()]
    chosen = listings(groups) if listings is not None else groups
    store: dict[str, bytes] = {}
    references = []
    for group in chosen:
        data = dumps({"files": [entry.model_dump(mode="json") for entry in group], "schema": "llamafund/listing/1"})
        store[sha256(data)] = data
        references.append({"sha256": sha256(data), "files": len(group), "size": sum(entry.size for entry in group)})
    if change is not None:
        change(references)
    document = {**manifest.document(), "listings": references}
    document["content"] = {"root": "0" * 64, "size": sum(each["size"] for each in references)}
    return dumps(document), store


def test_the_forger_of_these_tests_can_also_be_honest() -> None:
    data, store = forge()
    assert parse(data, read=store.__getitem__) == checkpoint(entries(3000))


@pytest.mark.parametrize(
    ("listings", "words"),
    [
        (lambda groups: groups[::-1], "sorted and distinct"),
        (lambda groups: [groups[0], groups[0], *groups[1:]], "sorted and distinct"),
        (lambda groups: [*groups[:-1], groups[-1][:10], groups[-1][10:]], "as full as they must be"),
        (
            lambda groups: [groups[0][:-1], groups[0][-1:] + groups[1], *groups[2:]],
            "bytes long|as full as they must be",
        ),
        (lambda groups: [[entry] for group in groups for entry in group][:50], "as full as they must be|not those of"),
    ],
    ids=["reversed", "twice", "cut once more", "shifted", "one each"],
)
def test_another_cut_of_the_same_files_is_refused(listings: Any, words: str) -> None:
    data, store = forge(listings=listings)
    with pytest.raises(VerificationError, match=words):
        parse(data, read=store.__getitem__)


def test_files_out_of_order_end_the_reading_at_the_first_of_them() -> None:
    data, store = forge(listings=lambda groups: groups[::-1])
    head = parse_head(data)
    assert isinstance(head, CheckpointManifest)
    with pytest.raises(VerificationError, match=f"{head.sha256} names listings that are not of one tree"):
        list(all_files(head, store.__getitem__))
    first = len(parse_as(Listing, store[head.listings[0].sha256]).files)
    assert len(list(islice(all_files(head, store.__getitem__), first))) == first


def test_listings_for_files_that_would_have_fitted_are_refused() -> None:
    small = checkpoint(entries(10))
    data = dumps({"files": [entry.model_dump(mode="json") for entry in small.files], "schema": Listing.SCHEMA})
    reference = {"sha256": sha256(data), "files": 10, "size": small.content.size}
    document = {name: value for name, value in small.document().items() if name != "files"}
    with pytest.raises(VerificationError, match="as full as they must be"):
        parse(dumps({**document, "listings": [reference]}), read=lambda _: data)


@pytest.mark.parametrize(("field", "by"), [("files", 1), ("files", -1), ("size", 1), ("size", -1)])
def test_a_listing_that_holds_more_or_less_than_is_said_about_it_is_refused(field: str, by: int) -> None:
    def change(references: list[dict[str, Any]]) -> None:
        references[0][field] += by

    data, store = forge(change)
    with pytest.raises(VerificationError, match="The manifest that names it says"):
        parse(data, read=store.__getitem__)


def test_a_file_inside_a_file_of_another_listing_is_refused() -> None:
    # Many names lie between the file `a` and the path `a/b` in the order of bytes.
    between = entries(3000, "a-{:08}")
    outer, inner = (FileEntry(path=path, size=0, sha256="0" * 64, cid=CID) for path in ("a", "a/b"))
    groups = [[outer, *between[:1000]], between[1000:2000], [*between[2000:], inner]]
    data, store = forge(listings=lambda _: groups)
    with pytest.raises(VerificationError, match="lies inside the file 'a'"):
        parse(data, read=store.__getitem__)
    with pytest.raises(ValidationError, match="lies inside the file"):
        checkpoint([outer, *between, inner])


def test_listings_nested_without_end_are_refused_after_two() -> None:
    data = dumps({"files": [entry.model_dump(mode="json") for entry in entries(3)], "schema": Listing.SCHEMA})
    store = {sha256(data): data}
    reference = {"sha256": sha256(data), "files": 3, "size": 3}
    for _ in range(3):
        data = dumps({"listings": [reference], "schema": Listing.SCHEMA})
        store[sha256(data)] = data
        reference = {**reference, "sha256": sha256(data)}
    document = {name: value for name, value in checkpoint(entries(3)).document().items() if name != "files"}
    with pytest.raises(VerificationError, match="nested too deep"):
        parse(dumps({**document, "listings": [reference]}), read=store.__getitem__)


def test_a_manifest_of_endlessly_many_files_is_refused_before_a_listing_is_read() -> None:
    def change(references: list[dict[str, Any]]) -> None:
        for reference in references:
            reference["files"] = MAX_FILES

    data, _ = forge(change)
    with pytest.raises(VerificationError, match="are the most"):
        parse_head(data)


@pytest.mark.parametrize(
    "reference",
    [
        {"sha256": "0" * 64, "files": 0, "size": 0},
        {"sha256": "0" * 64, "files": MAX_FILES + 1, "size": 0},
        {"sha256": "0" * 64, "files": 1, "size": -1},
        {"sha256": "0" * 64, "files": 1, "size": MAX_SAFE_INTEGER + 1},
        {"sha256": "A" * 64, "files": 1, "size": 0},
        {"sha256": "0" * 64, "files": True, "size": 0},
        {"sha256": "0" * 64, "files": 1, "size": 0, "further": "field"},
        {"files": 1, "size": 0},
    ],
)
def test_a_malformed_reference_to_a_listing_is_refused(reference: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ListingReference.model_validate(reference)


@pytest.mark.parametrize(
    "changes",
    [
        {"files": []},
        {"files": [], "listings": []},
        {"listings": []},
        {"listings": [{"sha256": "0" * 64, "files": 1, "size": 0}]},
        {"further": "field"},
        {"files": None},
        {"schema": "llamafund/listing/2"},
    ],
)
def test_a_malformed_listing_is_refused(changes: dict[str, Any]) -> None:
    honest = {"files": [entry.model_dump(mode="json") for entry in entries(2)], "schema": Listing.SCHEMA}
    assert isinstance(parse(dumps(honest)), Listing)
    with pytest.raises(VerificationError):
        parse(dumps({**honest, **changes}))


def test_a_listing_by_itself_is_in_order_and_of_a_size_that_can_be_written() -> None:
    first, second = entries(2)
    for files in ((second, first), (first, first)):
        with pytest.raises(ValidationError, match="sorted and distinct"):
            Listing(files=files)
    huge = tuple(entry.model_copy(update={"size": MAX_SAFE_INTEGER}) for entry in (first, second))
    assert Listing(files=huge[:1]).reference().size == MAX_SAFE_INTEGER
    with pytest.raises(ValidationError, match="more than 2\\^53 - 1 bytes"):
        Listing(files=huge)


@pytest.mark.parametrize("both", [{"listings": []}, {"listings": [{"sha256": "0" * 64, "files": 3, "size": 3}]}])
def test_files_and_listings_side_by_side_are_refused(both: dict[str, Any]) -> None:
    with pytest.raises(VerificationError):
        parse(dumps({**checkpoint(entries(3)).document(), **both}))


def test_a_listing_is_no_evidence() -> None:
    listing = Listing(files=entries(3))
    with pytest.raises(VerificationError, match="It must be a manifest of evidence"):
        parse_as(EvidenceManifest, listing.to_bytes())


def test_unknown_fields_of_a_listed_manifest_and_of_its_files_are_kept_and_hashed() -> None:
    plain = checkpoint(entries(3000))
    manifest = checkpoint(entries(3000, license="CC0-1.0"), future={"deep": [1, None]})
    store = published(manifest)
    again = parse(manifest.to_bytes(), read=store.__getitem__)
    assert again == manifest
    assert again.sha256 != plain.sha256
    assert manifest.files[0].model_extra == {"license": "CC0-1.0"}


def test_a_copy_with_other_files_has_the_listings_of_these() -> None:
    manifest = checkpoint(entries(3000))
    other = entries(3000, "other/{:08}.txt")
    copy = manifest.model_copy(update={"files": other})
    assert copy == checkpoint(other)
    assert manifest.model_copy(update={"files": entries(3), "content": Content(root="0" * 64, size=3)}) == checkpoint(
        entries(3)
    )
    head = parse_head(manifest.to_bytes())
    assert head.model_copy(update={"parent": "9" * 64}).listings == manifest.listings  # type: ignore[attr-defined]


def test_what_the_files_must_be_is_checked_as_soon_as_they_are_at_hand() -> None:
    files = entries(3000)
    content = Content(root="0" * 64, size=sum(entry.size for entry in files))
    part = {"name": "train", "paths": ("data/",), "source": "s", "license": "l", "samples": 1}
    whole = DatasetManifest(
        title="t", files=files, content=content, parts=(DatasetPart.model_validate(part),), preparation="none"
    )
    store = published(whole)
    again = parse_as(DatasetManifest, whole.to_bytes(), read=store.__getitem__)
    assert again.part("train") == files
    other = dumps({**whole.document(), "parts": [{**part, "paths": ["date/"]}]})
    head = parse_head(other)
    assert isinstance(head, DatasetManifest)
    with pytest.raises(VerificationError, match="each file exactly once"):
        complete(head, store.__getitem__)
    card = {"license": "l", "model_card": "absent", "measurement": "m", "parameters": 1, "outcome_score": 0}
    weights = WeightsManifest.model_construct(
        files=(), listings=whole.listings, content=content, metrics={}, parent="1" * 64, recipe="2" * 64,
        dataset="3" * 64, schema_=WeightsManifest.SCHEMA, **card,
    )  # fmt: skip
    with pytest.raises(VerificationError, match="model card 'absent' is not among the files"):
        parse(weights.to_bytes(), read=store.__getitem__)


def test_a_tree_of_many_files_is_published_fetched_and_proven_like_any_other(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    for number in range(1500):
        (root / f"{number:04}{'-' * 60}").write_bytes(b"%d" % number)
    tree = hash_tree(root)
    manifest = checkpoint(tree.files, content=tree.content)
    assert len(manifest.listings) > 1
    store = LocalStore(tmp_path / "store")
    published_hash = publish_tree(store, root, manifest)
    assert {raw_cid(listing.sha256) for listing in manifest.listings} < store.pins()
    fetched = fetch_manifest(store, published_hash, CheckpointManifest)
    assert fetched == manifest
    verify_content(store, fetched)
    fetch_tree(store, fetched, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        path.name: path.read_bytes() for path in root.iterdir()
    }
    store.path_of(raw_cid(manifest.listings[1].sha256)).unlink()
    with pytest.raises(MissingContentError, match=manifest.listings[1].sha256):
        fetch_manifest(store, published_hash, CheckpointManifest)
