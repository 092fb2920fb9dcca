"""`llamafund manifest` as a person and a script see it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from llamafund_chain.evidence.exports import FORMATS
from llamafund_chain.evidence.hashing import hash_tree, raw_cid
from llamafund_chain.evidence.manifests import (
    Content,
    DatasetManifest,
    DatasetPart,
    EvidenceManifest,
    FileEntry,
    Manifest,
)
from llamafund_chain.store import open_store
from llamafund_chain.store.publishing import list_directory, listings_of

TRAPS = (
    "train/a.txt",
    "train/A.txt",
    "train/\x1b[2Jb.txt",
    "train/c\u202etxt.exe",
    "train/d\ne.txt",
    "train/m\u043edel",
)


def manifest_of(files: Sequence[FileEntry], content: Content, **changes: Any) -> DatasetManifest:
    part = DatasetPart(name="train", paths=("train/",), source="here", license="CC0-1.0", samples=1)
    values = {"title": "Texts", "files": tuple(files), "content": content, "parts": (part,), "preparation": "none"}
    return DatasetManifest.model_validate({**values, **changes})


@pytest.fixture
def trapped(tmp_path: Path) -> DatasetManifest:
    """A dataset whose files have names that a person could misread, with a title that steers the terminal."""
    for name in TRAPS:
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    tree = hash_tree(tmp_path / "tree")
    return manifest_of(tree.files, tree.content, title="Texts\x1b[31m", future={"\x1b]0;k": ["\u202e", {}, True]})


@pytest.fixture
def large(tmp_path: Path) -> DatasetManifest:
    """A dataset of more files than fit into one manifest."""
    hashes = [f"{index:064x}" for index in range(3000)]
    files = [
        FileEntry(path=f"train/{index:05}", size=1, sha256=sha256, cid=raw_cid(sha256))
        for index, sha256 in enumerate(hashes)
    ]
    return manifest_of(files, Content(root="0" * 64, size=3000))


def saved(manifest: Manifest, folder: Path) -> Path:
    path = folder / "manifest.json"
    path.write_bytes(manifest.to_bytes())
    return path


def put(manifest: EvidenceManifest, folder: Path) -> Path:
    """A store with a manifest and its listings."""
    store = open_store(folder)
    for each in (*manifest.further_manifests(), manifest):
        store.put_bytes(each.to_bytes())
    return folder


def test_a_manifest_is_shown_with_every_character_visible(llamafund, trapped: DatasetManifest, tmp_path: Path) -> None:
    ran = llamafund("manifest", "show", saved(trapped, tmp_path), "--store", tmp_path / "store")
    assert (ran.code, ran.stderr) == (0, "")
    assert all(line.isprintable() for line in ran.stdout.split("\n"))
    for shown in (
        trapped.sha256,
        raw_cid(trapped.sha256),
        r"Texts\u{1b}[31m",
        r"train/\u{1b}[2Jb.txt",
        r"train/c\u{202e}txt.exe",
        r"train/d\u{a}e.txt",
        r"train/m\u{43e}del",
        r"future.\u{1b}]0;k.0",
        "note: 2 paths can be taken for one another, and some systems cannot hold both: train/A.txt, train/a.txt",
    ):
        assert shown in ran.stdout, shown


def test_a_script_gets_the_manifest_as_it_is(llamafund, trapped: DatasetManifest, tmp_path: Path) -> None:
    path = saved(trapped, tmp_path)
    facts = llamafund("manifest", "show", path, "--files", "--json", "--store", tmp_path / "store").json
    assert facts["command"] == "manifest show"
    assert facts["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts["document"] == json.loads(path.read_bytes())
    assert (facts["manifest_schema"], facts["complete"], facts["file_count"]) == ("llamafund/dataset/1", True, 6)
    assert [entry["path"] for entry in facts["files"]] == [entry.path for entry in trapped.files]
    assert facts["look_alikes"] == [["train/A.txt", "train/a.txt"]]
    assert llamafund("manifest", "show", path, "--json", "--store", tmp_path / "store").json["files"] is None


def test_only_the_first_files_are_shown_unless_all_are_asked_for(llamafund, large, tmp_path: Path) -> None:
    store = put(large, tmp_path / "store")
    short = llamafund("manifest", "show", saved(large, tmp_path), "--store", store)
    assert "3000, listed in" in short.stdout
    assert "train/00019" in short.stdout
    assert "train/00020" not in short.stdout
    assert "and 2980 more: --files shows them all" in short.stdout
    assert "train/02999" in llamafund("manifest", "show", saved(large, tmp_path), "--files", "--store", store).stdout


@pytest.mark.parametrize("prefix", ["", "0x"])
def test_a_manifest_is_found_by_its_hash_in_any_store(llamafund, large, tmp_path: Path, prefix: str) -> None:
    stores = ("--store", tmp_path / "empty", "--store", put(large, tmp_path / "store"))
    ran = llamafund("manifest", "check", prefix + large.sha256, *stores)
    assert (ran.code, ran.stdout) == (0, f"{large.sha256} is a valid llamafund/dataset/1\n")
    nobody = ("--store", tmp_path / "empty", "--store", tmp_path / "other")
    llamafund("manifest", "show", large.sha256, *nobody).refused(1, "None of 2 sources", "Name another source")


def test_without_its_listings_a_manifest_is_shown_in_part_and_passes_no_check(llamafund, large, tmp_path: Path) -> None:
    path, empty = saved(large, tmp_path), tmp_path / "empty"
    ran = llamafund("manifest", "show", path, "--json", "--store", empty)
    assert (ran.code, ran.json["complete"], ran.json["file_count"]) == (0, False, 3000)
    assert "only the manifest itself" in ran.stderr
    for command in (("check", path), ("export", path, "--as", "in-toto")):
        llamafund("manifest", *command, "--store", empty).refused(1, "has nothing under")


def test_a_listing_replaced_in_the_store_is_refused_by_every_command(llamafund, large, tmp_path: Path) -> None:
    path, store = saved(large, tmp_path), put(large, tmp_path / "store")
    listing = open_store(store).path_of(raw_cid(large.listings[0].sha256))
    listing.chmod(0o600)
    listing.write_bytes(b"{}")
    for command in (("show", path), ("check", path), ("export", path, "--as", "sha256sums")):
        llamafund("manifest", *command, "--store", store).refused(3)


def test_a_check_compares_with_the_hash_on_chain(llamafund, trapped: DatasetManifest, tmp_path: Path) -> None:
    path = saved(trapped, tmp_path)
    ran = llamafund("manifest", "check", path, "--hash", trapped.sha256, "--json")
    assert (ran.code, ran.json["valid"]) == (0, True)
    llamafund("manifest", "check", path, "--hash", "a" * 64).refused(3, "hashes to", "Do not sign")


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"", 2, "cannot be read as JSON: it is empty."),
        (b"not a manifest", 2, "cannot be read as JSON: line 1, column 1: a value is missing here."),
        (b"\xff", 2, "cannot be read as JSON: line 1: the byte 0xff is not UTF-8 text."),
        (b"[]", 2, "cannot be read as JSON: it is not a JSON object."),
        (b"{}", 3, "has no field 'schema'."),
        (
            b'{"schema":"llamafund/dataset/2"}',
            3,
            'has the schema "llamafund/dataset/2". The known schemas are llamafund/checkpoint/1',
        ),
        (b'{"schema":["a"]}', 3, 'has the schema ["a"].'),
        (b'{"schema":"\x1b[2J"}', 2, "cannot be read as JSON: line 1, column 12: text in quotes has a line break"),
        (b'{"schema":"\\u001b[2J"}', 3, r'has the schema "\u001b[2J".'),
        (b"[" * 100_000, 2, "nested more than 32 deep"),
        (b" " * 300_000, 2, "longer than 262144 bytes"),
        (b'{"schema":"llamafund/dataset/1"}', 3, "is not a valid llamafund/dataset/1: content is missing. Add it."),
        (
            b'{"content":{},"schema":"llamafund/listing/1"}',
            3,
            "content is not known here. Known are schema, files, listings, profile.",
        ),
    ],
)
def test_what_is_no_manifest_is_refused_in_one_line_that_names_the_file(
    llamafund, tmp_path: Path, data: bytes, code: int, words: str
) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(data)
    for command in (("show",), ("check",), ("export", "--as", "in-toto")):
        ran = llamafund("manifest", *command, path)
        ran.refused(code, words, repr(str(path)))
        assert (ran.stdout, "\x1b" in ran.stderr) == ("", False)


def altered(manifest: DatasetManifest, **changes: Any) -> DatasetManifest:
    """The manifest with another first file."""
    first = manifest.files[0].model_copy(update=changes)
    size = manifest.content.size - manifest.files[0].size + first.size
    content = Content(root=manifest.content.root, size=size)
    return manifest.model_copy(update={"files": (first, *manifest.files[1:]), "content": content})


OTHER = hashlib.sha256(b"other").hexdigest()
SEVERAL_BLOCKS = "bafybei" + "a" * 52


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cid": raw_cid(OTHER)}, f"is that of the hash {OTHER}"),
        ({"cid": SEVERAL_BLOCKS}, "is that of several blocks, but 15 bytes are one"),
        ({"size": 300_000}, "is that of one block, but 300000 bytes are more than one"),
        ({"size": 0}, "it has 0 bytes, but the hash"),
        ({"sha256": hashlib.sha256(b"").hexdigest()}, "it has 15 bytes, but the hash e3b0c442"),
        ({"cid": "b" + "a" * 58}, "of a kind that no file of evidence has"),
    ],
)
def test_entries_that_contradict_themselves_are_found_without_the_files(
    llamafund, trapped: DatasetManifest, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    manifest = altered(trapped, **changes)
    path = saved(manifest, tmp_path)
    ran = llamafund("manifest", "check", path)
    ran.refused(3, "contradicts itself in")
    assert words in ran.stderr
    facts = json.loads(llamafund("manifest", "check", path, "--json").stdout)
    assert (facts["valid"], any(words in text for text in facts["contradictions"])) == (False, True)


def test_two_entries_of_which_one_must_be_wrong_are_found(llamafund, trapped, tmp_path: Path) -> None:
    first, second = trapped.files[:2]
    twin = second.model_copy(update={"sha256": first.sha256, "cid": raw_cid(first.sha256), "size": first.size + 1})
    content = Content(root=trapped.content.root, size=trapped.content.size - second.size + twin.size)
    manifest = trapped.model_copy(update={"files": (first, twin, *trapped.files[2:]), "content": content})
    llamafund("manifest", "check", saved(manifest, tmp_path)).refused(3, "but not all that goes with it")


def test_a_published_listing_is_checked_and_exported_with_all_its_listings(llamafund, tmp_path: Path) -> None:
    hashes = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(3000)]
    files = tuple(
        FileEntry(path=f"{number:05}", size=1, sha256=sha256, cid=raw_cid(sha256))
        for number, sha256 in enumerate(hashes)
    )
    whole = list_directory(files)
    store = open_store(tmp_path / "store")
    for each in (*listings_of(whole, files), whole):
        store.put_bytes(each.to_bytes())
    assert whole.listings, "it does not fit into one"
    common = ("--store", tmp_path / "store")
    assert llamafund("manifest", "check", whole.sha256, *common).code == 0
    for name in FORMATS:
        text = llamafund("manifest", "export", whole.sha256, "--as", name, *common).stdout
        assert all(sha256 in text for sha256 in hashes), name


def test_what_is_neither_file_nor_hash_is_a_usage_error(llamafund, tmp_path: Path) -> None:
    for source in (tmp_path / "absent", "a" * 63, "0x" + "g" * 64, ""):
        llamafund("manifest", "show", source).refused(2)
    llamafund("manifest", "show", tmp_path).refused(2, "a directory")


def test_an_export_goes_to_standard_output_or_to_a_file_alike(llamafund, trapped, tmp_path: Path) -> None:
    path, out = saved(trapped, tmp_path), tmp_path / "made" / "export.json"
    printed = llamafund("manifest", "export", path, "--as", "croissant", "--name", "texts")
    assert json.loads(printed.stdout)["name"] == "texts"
    wrote = llamafund("manifest", "export", path, "--as", "croissant", "--name", "texts", "--out", out, "--json")
    assert out.read_text(encoding="utf-8") == printed.stdout
    assert (wrote.json["file"], wrote.json["text"], wrote.json["media_type"]) == (str(out), None, "application/ld+json")
    in_json = llamafund("manifest", "export", path, "--as", "croissant", "--name", "texts", "--json").json
    assert (in_json["text"], in_json["manifest"]) == (printed.stdout, trapped.sha256)


def test_names_that_steer_a_terminal_are_not_written_to_one(llamafund, trapped, tmp_path: Path, monkeypatch) -> None:
    path, out = saved(trapped, tmp_path), tmp_path / "SHA256SUMS"
    monkeypatch.setattr("llamafund_chain.cli.manifest._is_terminal", lambda: True)
    llamafund("manifest", "export", path, "--as", "sha256sums").refused(2, "--out")
    assert llamafund("manifest", "export", path, "--as", "in-toto").code == 0
    assert llamafund("manifest", "export", path, "--as", "sha256sums", "--out", out).code == 0
    assert out.read_bytes().count(b"\n") == len(TRAPS)


def test_an_export_that_a_format_has_no_words_for_leaves_nothing_behind(llamafund, trapped, tmp_path: Path) -> None:
    out = tmp_path / "bom.json"
    command = ("manifest", "export", saved(trapped, tmp_path), "--as", "cyclonedx", "--out", out)
    llamafund(*command).refused(2, "llamafund/dataset/1")
    assert not out.exists()
    llamafund("manifest", "export", saved(trapped, tmp_path), "--as", "pdf").refused(2, "pdf")


def test_the_schema_that_is_printed_accepts_the_manifest(llamafund, trapped: DatasetManifest) -> None:
    printed = json.loads(llamafund("manifest", "schema", "dataset").stdout)
    Draft202012Validator(printed).validate(json.loads(trapped.to_bytes()))
    assert llamafund("manifest", "schema", "llamafund/dataset/1", "--json").json["json_schema"] == printed
    names = llamafund("manifest", "schema").stdout.split()
    assert names == llamafund("manifest", "schema", "--json").json["names"]
    assert "llamafund/dataset/1" in names
    llamafund("manifest", "schema", "absent").refused(2, "The schemas are")
