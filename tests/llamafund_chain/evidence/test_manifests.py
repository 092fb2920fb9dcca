"""Manifests have one encoding, and whatever else arrives is refused with words."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_examples import ADDRESS, checkpoint, dataset, dispute, file, proposal, update, weights

from llamafund_chain.errors import ExitCode, VerificationError
from llamafund_chain.evidence.manifests import (
    MAX_MANIFEST_BYTES,
    MAX_SAFE_INTEGER,
    CheckpointManifest,
    DatasetManifest,
    DisputeManifest,
    DisputeReport,
    ExpectedOutcome,
    FileEntry,
    Manifest,
    ProposalManifest,
    UpdateManifest,
    WeightsManifest,
    check_relative_path,
    check_sorted_unique,
    parse,
    parse_as,
)

KINDS: dict[type[Manifest], Any] = {
    ProposalManifest: proposal,
    UpdateManifest: update,
    DisputeManifest: dispute,
    DatasetManifest: dataset,
    CheckpointManifest: checkpoint,
    WeightsManifest: weights,
}


def encode(value: Any) -> bytes:
    data: bytes = rfc8785.dumps(value)
    return data


def refused(value: Any, words: str | None = None) -> str:
    with pytest.raises(VerificationError, match=words) as caught:
        parse(encode(value))
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.SCHEMA)
def test_a_manifest_is_read_and_written_byte_for_byte(kind: type[Manifest]) -> None:
    data = encode(KINDS[kind]())
    manifest = parse_as(kind, data, sha256=hashlib.sha256(data).hexdigest())
    assert type(manifest) is kind
    assert manifest.to_bytes() == data
    assert manifest.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.SCHEMA)
def test_unknown_fields_are_kept_and_hashed(kind: type[Manifest]) -> None:
    data = encode(KINDS[kind](zz_future={"deep": [1, None, True, "x"]}, _hidden="kept"))
    assert parse(data).to_bytes() == data
    assert parse(data).sha256 != parse(encode(KINDS[kind]())).sha256


def test_the_file_that_a_court_shows_is_the_first_report() -> None:
    refused(dispute(fileURI=f"/ipfs/{file('other', b'other')['cid']}"), "but the first report is at")
    refused(dispute(reports=[]), "reports")


def test_the_score_is_higher_for_the_better_model() -> None:
    lower = ExpectedOutcome(metric="loss", direction="lower", target=5, evaluation="")
    higher = ExpectedOutcome(metric="accuracy", direction="higher", target=5, evaluation="")
    assert lower.score(4) > lower.score(5)
    assert higher.score(5) > higher.score(4)


def test_scores_come_from_the_manifest() -> None:
    assert parse_as(WeightsManifest, encode(weights())).score == -5
    assert parse_as(CheckpointManifest, encode(checkpoint())).score is None
    assert parse_as(CheckpointManifest, encode(checkpoint(outcome_score=3))).score == 3
    assert parse_as(DatasetManifest, encode(dataset())).score is None


def test_a_part_lists_its_files_in_manifest_order() -> None:
    manifest = parse_as(DatasetManifest, encode(dataset()))
    assert [entry.path for entry in manifest.part("train")] == ["train/a"]
    assert manifest.entry("heldout/b").size == 4
    with pytest.raises(VerificationError, match="names no file 'absent'"):
        manifest.entry("absent")


def test_bytes_that_hash_to_something_else_are_refused() -> None:
    with pytest.raises(VerificationError, match="changed after the hash was published") as caught:
        parse(encode(dataset()), sha256="a" * 64)
    assert caught.value.exit_code is ExitCode.VERIFICATION_FAILED


def test_another_kind_than_expected_is_refused() -> None:
    with pytest.raises(VerificationError, match="It must be a llamafund/weights/1"):
        parse_as(WeightsManifest, encode(dataset()))


@pytest.mark.parametrize(
    "schema", ["llamafund/dataset/2", "llamafund/dataset", "", None, 1, ["llamafund/dataset/1"], {}]
)
def test_an_unknown_schema_is_refused(schema: Any) -> None:
    refused(dataset(schema=schema), "has (the schema|no field 'schema')")
    refused(dataset(schema="x" * 200), r"has the schema \"x{79}… \(122 more characters\)\.")


def test_another_encoding_of_the_same_content_is_refused() -> None:
    value = dataset()
    for data in (
        json.dumps(value).encode(),
        json.dumps(value, indent=1).encode(),
        encode(value) + b"\n",
        encode(value).replace(b"Texts", b"T\\u0065xts"),
        encode(value).replace(b'"tokens":null', b'"tokens": null'),
        encode(dict(reversed(value.items()))).replace(b'"samples":1', b'"samples":01', 1),
        b"\xef\xbb\xbf" + encode(value),
    ):
        with pytest.raises(VerificationError, match=r"canonical|cannot be read as JSON"):
            parse(data)


def test_a_left_out_default_is_another_content_and_refused() -> None:
    value = dataset()
    del value["tokens"]
    refused(value, "not in canonical form")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"title":"Texts"', b'"title":"Texts","title":"Texts"'),
        (b'"title":"Texts"', b'"title":"Texts","title":"Other"'),
        (b'"samples":1', b'"samples":1,"samples":2'),
        (b'"tokens":null', b'"tokens":1.0'),
        (b'"tokens":null', b'"tokens":1e2'),
        (b'"tokens":null', b'"tokens":NaN'),
        (b'"tokens":null', b'"tokens":-Infinity'),
        (b'"tokens":null', b'"tokens":-0'),
        (b'"tokens":null', b'"tokens":9007199254740992'),
        (b'"tokens":null', b'"tokens":' + b"9" * 5000),
        (b'"tokens":null', b'"tokens":-1'),
        (b'"tokens":null', b'"tokens":true'),
        (b'"tokens":null', b'"tokens":"1"'),
        (b'"tokens":null', b'"tokens":null,"zz":0.5'),
        (b'"tokens":null', b'"tokens":null,"zz":"\\ud800"'),
        (b'"tokens":null', b'"tokens":null,"schema_":"llamafund/dataset/1"'),
        (b'"tokens":null', b'"tokens":null,"schema_":"llamafund/weights/1"'),
        (b'"title":"Texts"', b'"title":"\xff"'),
        (b'"title":"Texts"', b'"title":"a\nb"'),
        (b'"title":"Texts"', b'"title":""'),
        (b'"title":"Texts"', b'"title":null'),
    ],
)
def test_json_that_two_programs_could_read_differently_is_refused(before: bytes, after: bytes) -> None:
    data = encode(dataset())
    assert before in data
    with pytest.raises(VerificationError):
        parse(data.replace(before, after, 1))


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b'"x"', b"5", b"{", b"\x00", b"{}x", b"\xff" * 10])
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(VerificationError):
        parse(data)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":[['])
def test_a_deeply_nested_document_is_refused_and_does_not_break_the_program(opening: bytes) -> None:
    with pytest.raises(VerificationError, match="nested more than 32 deep"):
        parse(opening * (200_000 // len(opening)))


@pytest.mark.parametrize(
    "data",
    [
        b'\\"' * 130_000,
        b'"' * 260_000,
        b'{"a":"' + b"\\" * 250_000,
        encode(checkpoint(files=[file("a/" * 120_000 + "a")])),
        encode(checkpoint(files=[file("a/" * 500 + f"{index:04}") for index in range(200)])),
        encode(checkpoint(metrics={f"m{index}": 0 for index in range(24_000)})),
    ],
    ids=["escapes", "quotes", "backslashes", "deep path", "many paths", "many metrics"],
)
def test_a_document_made_to_take_long_is_refused_soon(data: bytes) -> None:
    assert len(data) <= MAX_MANIFEST_BYTES
    started = time.process_time()
    with contextlib.suppress(VerificationError):
        parse(data)
    assert time.process_time() - started < 5


def test_nesting_is_allowed_up_to_its_bound() -> None:
    def nested(depth: int) -> dict[str, Any]:
        value: Any = []
        for _ in range(depth - 2):
            value = [value]
        return dataset(zz=value)

    assert parse(encode(nested(32))).to_bytes() == encode(nested(32))
    refused(nested(33), "nested more than 32 deep")


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (b'"zz":1,"zz":1', "the key '.*' occurs twice"),
        (b'"zz":{"a":1,"a":2}', "the key '.*' occurs twice"),
        (b'"zz":9007199254740992', "beyond"),
        (b'"zz":[-9007199254740992]', "beyond"),
        (b'"zz":' + b"9" * 100_000, r": 9{40} is beyond ±\(2\^53 - 1\)"),
        (b'"zz":1.5', "not an integer"),
        (b'"zz":1.' + b"5" * 100_000, r": 1\.5{38} is not an integer"),
        (b'"zz":[1e400]', "not an integer"),
        (b'"zz":NaN', "not an integer"),
    ],
)
def test_an_unknown_field_is_bound_by_the_rules_for_all(field: bytes, words: str) -> None:
    data = encode(dataset())
    with pytest.raises(VerificationError, match=words) as caught:
        parse(data[:-1] + b"," + field + b"}")
    assert len(str(caught.value)) < 500


def test_brackets_in_a_text_are_only_text() -> None:
    for text in ("[" * 100, "{" * 100, 'say "[" ' * 50, "\\" + "[" * 100, "]" * 100):
        data = encode(dataset(preparation=text))
        assert parse_as(DatasetManifest, data).preparation == text


def test_a_manifest_longer_than_one_block_is_refused_both_ways() -> None:
    with pytest.raises(VerificationError, match="at most 262144 bytes"):
        parse(b" " * (MAX_MANIFEST_BYTES + 1))
    links = [{"title": "x" * 300, "sha256": "3" * 64}] * 64
    spare = MAX_MANIFEST_BYTES - len(encode(update(links=links, zz="")))
    full, over = (update(links=links, zz="x" * length) for length in (spare, spare + 1))
    assert parse(encode(full)).to_bytes() == encode(full)
    manifest = UpdateManifest.model_validate_json(json.dumps(over))
    with pytest.raises(VerificationError, match="Shorten its texts and lists"):
        manifest.to_bytes()


UNSAFE = [
    "",
    "/",
    "/etc/passwd",
    "..",
    "../x",
    "a/..",
    "a/../b",
    "./a",
    "a/.",
    "a//b",
    "a/",
    "a\\b",
    "a\x00b",
    "x" * 256,
    "a/" * 512 + "a",
]


@pytest.mark.parametrize("path", UNSAFE)
def test_a_path_that_leaves_the_tree_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        check_relative_path(path)
    message = refused(checkpoint(files=[file(path)]), "not a valid llamafund/checkpoint/1")
    assert "the first entry of files" in message


@pytest.mark.parametrize(
    "path",
    [
        *("a", "a/b/c", "..a", "a..", "...", "é/ü", "x" * 255, "a/" * 511 + "aa", "a b", "-rf", "\U0001f999"),
        *("e\u0301", "\u00e9", "\u1112\u1161\u11ab", "a\nb", "a\tb", "\x1b[2J", " ", "a\u202eb", "..\n", "\n"),
    ],
)
def test_an_ordinary_path_is_taken(path: str) -> None:
    check_relative_path(path)
    assert parse_as(CheckpointManifest, encode(checkpoint(files=[file(path)]))).files[0].path == path


@given(st.text(max_size=30))
def test_a_safe_path_stays_inside_and_means_one_thing(path: str) -> None:
    try:
        check_relative_path(path)
    except ValueError:
        return
    parts = path.split("/")
    assert not path.startswith("/")
    assert all(part not in ("", ".", "..") for part in parts)
    assert "\\" not in path
    assert "\x00" not in path


@pytest.mark.parametrize(
    "paths", [["b", "a"], ["a", "a"], ["a", "a/b"], ["a", "a-b", "a/b"], ["é", "z"], ["a/b", "a/b/c/d"]]
)
def test_files_that_are_unsorted_or_inside_one_another_are_refused(paths: list[str]) -> None:
    with pytest.raises(ValueError, match=r"sorted and distinct|lies inside"):
        check_sorted_unique(paths)
    size = 4 * len(paths)
    refused(checkpoint(files=[file(path) for path in paths], content={"root": "0" * 64, "size": size}))


@pytest.mark.parametrize("size", [0, 3, 5])
def test_a_content_size_that_does_not_add_up_is_refused(size: int) -> None:
    refused(checkpoint(content={"root": "0" * 64, "size": size}), "add up to 4")


def test_no_files_at_all_are_refused() -> None:
    refused(checkpoint(files=[], content={"root": "0" * 64, "size": 0}), "files")


def directories(*names: str) -> list[dict[str, Any]]:
    """Parts, each of which names its files by these paths; the first is to train on."""
    kinds = ("train", "heldout")
    return [
        {"name": kind, "paths": name.split(), "source": "s", "license": "l", "samples": 1}
        for kind, name in zip(kinds, names, strict=False)
    ]


def test_a_part_may_name_a_whole_directory() -> None:
    files = [file("heldout/b"), file("heldout/c/d"), file("train/a"), file("train.txt")]
    files.sort(key=lambda entry: entry["path"])
    value = dataset(
        files=files, content={"root": "0" * 64, "size": 16}, parts=directories("train/ train.txt", "heldout/")
    )
    manifest = parse_as(DatasetManifest, encode(value))
    assert [entry.path for entry in manifest.part("train")] == ["train.txt", "train/a"]
    assert [entry.path for entry in manifest.part("heldout")] == ["heldout/b", "heldout/c/d"]


@pytest.mark.parametrize(
    "names",
    [
        ("train/",),  # a file is left over
        ("train/ heldout/", "heldout/"),
        ("train/ train/a", "heldout/"),
        ("train/ train/", "heldout/"),
        ("train/ trai", "heldout/"),
        ("train/ other/", "heldout/"),
        ("train/a/", "heldout/"),
        ("train", "heldout/"),
        ("/train/", "heldout/"),
        ("train/../", "heldout/ train/"),
        ("train//", "heldout/"),
        ("/", "heldout/"),
    ],
)
def test_directories_that_do_not_divide_the_files_are_refused(names: tuple[str, ...]) -> None:
    refused(dataset(parts=directories(*names)))


@pytest.mark.parametrize("names", ["train/ train/a", "train/ train/c/", "train/a train/b train/c/ train/c/d"])
def test_a_file_named_with_its_directory_too_is_refused(names: str) -> None:
    files = [file("train/a"), file("train/b"), file("train/c/d"), file("train/c/e")]
    value = dataset(files=files, content={"root": "0" * 64, "size": 16}, parts=directories("train/"))
    parse(encode(value))
    refused({**value, "parts": directories(names)}, "each file exactly once")


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [{"name": "train", "paths": ["train/a"], "source": "", "license": "l", "samples": 1}],
        [{"name": "train", "paths": ["heldout/b", "train/a", "train/a"], "source": "", "license": "l", "samples": 1}],
        [{"name": "train", "paths": ["heldout/b", "train/x"], "source": "", "license": "l", "samples": 1}],
        [{"name": "other", "paths": ["heldout/b", "train/a"], "source": "", "license": "l", "samples": 1}],
    ],
)
def test_parts_that_do_not_divide_the_files_are_refused(parts: list[Any]) -> None:
    refused(dataset(parts=parts), "parts")


def test_a_model_card_that_is_not_among_the_files_is_refused() -> None:
    refused(weights(model_card="MODEL.md"), "model card 'MODEL.md' is not among the files")


@pytest.mark.parametrize(
    "changes",
    [
        {"sha256": "A" * 64},
        {"sha256": "a" * 64 + "\n"},
        {"sha256": "a" * 63},
        {"cid": "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"},
        {"cid": "../" + "a" * 56},
        {"size": -1},
        {"size": True},
        {"size": MAX_SAFE_INTEGER + 1},
    ],
)
def test_a_malformed_file_entry_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        FileEntry.model_validate({**file("a"), **changes})


@pytest.mark.parametrize(
    "campaign",
    [
        *("", ADDRESS, f"eip155:0:{ADDRESS}", f"eip155:01:{ADDRESS}", f"solana:1:{ADDRESS}", f"eip155:1:{ADDRESS}0"),
        *(f"eip155:1:{ADDRESS}\n", f"eip155:{'1' * 33}:{ADDRESS}", f"eip155::{ADDRESS}", "eip155:1:0x", None, 1),
    ],
)
def test_an_update_names_its_campaign_and_chain(campaign: Any) -> None:
    refused(update(campaign=campaign), "campaign")


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"title": ""}, "title"),
        ({"title": "t" * 301}, "title"),
        ({"text": "t" * 20_001}, "text"),
        ({"links": [{"title": "", "sha256": "3" * 64}]}, "links"),
        ({"links": [{"title": "The data", "sha256": "0x" + "3" * 62}]}, "links"),
        ({"links": [{"title": "The data", "sha256": "3" * 64}] * 65}, "links"),
    ],
)
def test_an_update_is_bounded_and_its_links_are_hashes(changes: dict[str, Any], place: str) -> None:
    refused(update(**changes), place)
    assert parse(encode(update(title="t" * 300, text="é" * 20_000, links=[]))).document()["links"] == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recipe": "0x" + "AB" * 32}, f"Write it as {'ab' * 32}"),
        ({"recipe": "AB" * 31}, "Copy it from what `sha256sum`"),
        ({"researcher": {"name": "R", "address": "name.eth", "promise": ""}}, "Names are not looked up"),
        ({"researcher": {"name": "R", "address": "0x12", "promise": ""}}, "Copy it again; `llamafund wallet list`"),
    ],
)
def test_what_to_do_about_a_mistyped_hash_or_address_is_told(changes: dict[str, Any], said: str) -> None:
    assert said in refused(proposal(**changes))


def test_a_manifest_made_in_python_goes_by_the_names_of_its_fields() -> None:
    value = dispute()
    reports = tuple(DisputeReport.model_validate(one) for one in value["reports"])
    by_name = {**value, "reports": reports, "file_uri": value["fileURI"]}
    del by_name["fileURI"]
    assert DisputeManifest.model_validate(by_name).to_bytes() == encode(value)


@pytest.mark.parametrize("address", ["", "a1" * 20, ADDRESS + "0", ADDRESS + "\n", "0x" + "g" * 40, None])
def test_a_malformed_address_is_refused(address: Any) -> None:
    refused(proposal(researcher={"name": "R", "address": address, "promise": ""}), "researcher.address")


def test_a_manifest_cannot_be_changed() -> None:
    manifest = parse_as(WeightsManifest, encode(weights()))
    with pytest.raises(ValueError):
        manifest.outcome_score = 0  # type: ignore[misc]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=4))
def test_any_further_fields_survive_the_round_trip(extra: dict[str, Any]) -> None:
    data = encode({**extra, **weights()})
    try:
        manifest = parse(data)
    except VerificationError:
        assert "schema_" in extra
        return
    assert manifest.to_bytes() == data


@settings(max_examples=300)
@given(st.sampled_from(list(KINDS)), st.data())
def test_whatever_one_field_is_replaced_with_is_read_exactly_or_refused(
    kind: type[Manifest], choice: st.DataObject
) -> None:
    value = KINDS[kind]()
    spot: Any = value
    while True:
        key = choice.draw(st.sampled_from(sorted(spot) if isinstance(spot, dict) else list(range(len(spot)))))
        if isinstance(spot[key], (dict, list)) and spot[key] and choice.draw(st.booleans()):
            spot = spot[key]
            continue
        spot[key] = choice.draw(json_values)
        break
    data = encode(value)
    try:
        manifest = parse(data)
    except VerificationError:
        return
    assert manifest.to_bytes() == data


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(VerificationError):
        parse(data)


@settings(max_examples=300)
@given(st.data())
def test_a_manifest_damaged_anywhere_is_another_manifest_or_refused(choice: st.DataObject) -> None:
    data = bytearray(encode(dataset()))
    for _ in range(choice.draw(st.integers(min_value=1, max_value=3))):
        data[choice.draw(st.integers(0, len(data) - 1))] = choice.draw(st.integers(0, 255))
    try:
        manifest = parse(bytes(data))
    except VerificationError:
        return
    assert manifest.to_bytes() == bytes(data)
