"""The published JSON Schemas agree with the models, and say what they can of what the models demand."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import export_schemas
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from manifest_examples import ADDRESS, checkpoint, dataset, dispute, file, proposal, review, update, weights

from llamafund_chain.errors import UsageError, VerificationError
from llamafund_chain.evidence.manifests import KINDS, MAX_SAFE_INTEGER, parse_head
from llamafund_chain.evidence.manifests.schemas import schema_names, schema_text

LISTED = {"listings": [{"sha256": "a" * 64, "files": 2, "size": 8}]}
PART = {"source": "s", "license": "l", "samples": 1}
EXAMPLES: dict[str, dict[str, Any]] = {
    "llamafund/proposal/1": proposal(),
    "llamafund/review/1": review(),
    "llamafund/update/1": update(),
    "llamafund/dispute/1": dispute(),
    "llamafund/dataset/1": dataset(
        parts=[
            {"name": "train", "paths": ["train/a"], **PART},
            {"name": "heldout", "paths": ["heldout/"], **PART},
        ]
    ),
    "llamafund/checkpoint/1": {
        name: value
        for name, value in checkpoint(**LISTED, content={"root": "0" * 64, "size": 8}).items()
        if name != "files"
    },
    "llamafund/weights/1": weights(),
    "llamafund/listing/1": {"schema": "llamafund/listing/1", "files": [file("a"), file("b\nc")]},
}
OPEN = sorted(set(EXAMPLES) - {"llamafund/listing/1"})
EVIDENCE = sorted(name for name in EXAMPLES if {"files", "listings"} & EXAMPLES[name].keys())


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema_text(name)))


def copy(name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(json.dumps(EXAMPLES[name]))
    return value


def test_the_published_schemas_are_those_of_the_models_and_the_docs_lead_to_them() -> None:
    assert export_schemas.differences(export_schemas.build()) == []


def test_an_outdated_schema_a_stale_file_and_a_missing_link_are_told(tmp_path: Path) -> None:
    files = {"a-1.json": "{}\n", "b-1.json": "{}\n"}
    directory, links = tmp_path / "package" / "schemas", tmp_path / "docs" / "schemas"
    directory.mkdir(parents=True)
    export_schemas.write(files, directory, links)
    assert export_schemas.differences(files, directory, links) == []
    assert (links / "a-1.json").read_text() == "{}\n"
    (directory / "a-1.json").write_text("{ }\n")
    (directory / "old-1.json").write_text("{}\n")
    (links / "b-1.json").unlink()
    assert export_schemas.differences(files, directory, links) == ["a-1.json", "b-1.json", "old-1.json"]
    export_schemas.write(files, directory, links)
    assert export_schemas.differences(files, directory, links) == []
    assert not (directory / "old-1.json").exists()


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_schema_is_valid_itself_and_names_its_kind(name: str) -> None:
    schema = json.loads(schema_text(name))
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == name == schema["properties"]["schema"]["const"]


@pytest.mark.parametrize("name", sorted(KINDS))
def test_an_example_is_accepted_by_schema_and_model(name: str) -> None:
    validator(name).validate(EXAMPLES[name])
    assert parse_head(rfc8785.dumps(EXAMPLES[name])).schema_ == name


def test_a_schema_is_found_by_its_kind_alone() -> None:
    assert schema_text("dataset") == schema_text("llamafund/dataset/1")
    assert schema_names() == sorted(EXAMPLES)
    for name in ("", "dataset/1", "llamafund/dataset/2", "../dataset", "llamafund/../dataset/1"):
        with pytest.raises(UsageError, match="The schemas are llamafund/checkpoint/1"):
            schema_text(name)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_field_left_out_or_of_another_type_is_refused_by_both(name: str) -> None:
    for field in EXAMPLES[name]:
        left_out, twisted = copy(name), copy(name)
        del left_out[field]
        twisted[field] = True
        for value in (left_out, twisted):
            assert not validator(name).is_valid(value), field
            with pytest.raises(VerificationError):
                parse_head(rfc8785.dumps(value))


@pytest.mark.parametrize("name", EVIDENCE)
def test_files_and_listings_exclude_one_another(name: str) -> None:
    value = copy(name)
    for field in ("files", "listings"):
        other = EXAMPLES["llamafund/weights/1"]["files"] if field == "files" else LISTED["listings"]
        value[field] = value.get(field, other)
    assert not validator(name).is_valid(value)
    for field in ("files", "listings"):
        empty = {key: item for key, item in copy(name).items() if key not in ("files", "listings")}
        assert not validator(name).is_valid({**empty, field: []})


@pytest.mark.parametrize("name", OPEN)
@pytest.mark.parametrize("value", [None, True, 1, -MAX_SAFE_INTEGER, "x", [1, ["x"]], {"deep": {"deeper": [None]}}])
def test_an_unknown_field_is_accepted_by_both(name: str, value: Any) -> None:
    extended = {**copy(name), "zz": value}
    validator(name).validate(extended)
    parse_head(rfc8785.dumps(extended))


@pytest.mark.parametrize("name", OPEN)
@pytest.mark.parametrize("value", [0.5, MAX_SAFE_INTEGER + 1, [[0.5]], {"deep": [-MAX_SAFE_INTEGER - 1]}])
def test_a_number_out_of_range_is_refused_even_in_an_unknown_field(name: str, value: Any) -> None:
    assert not validator(name).is_valid({**copy(name), "zz": value})


def test_a_listing_has_no_unknown_fields() -> None:
    assert not validator("listing").is_valid({**copy("llamafund/listing/1"), "zz": 1})
    assert validator("listing").is_valid({**copy("llamafund/listing/1"), "profile": "unixfs-v1-2025"})
    for other in (None, "", "unixfs-v0-2015", 1):
        assert not validator("listing").is_valid({**copy("llamafund/listing/1"), "profile": other})


@pytest.mark.parametrize(
    "path", ["", "/a", "a/", "a//b", "..", "../a", "a/../b", ".", "./a", "a\\b", "a\x00b", "x" * 1025]
)
def test_a_path_that_leaves_its_tree_is_refused_by_the_schema(path: str) -> None:
    value = copy("llamafund/listing/1")
    value["files"][0]["path"] = path
    assert not validator("listing").is_valid(value)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)
    | st.text(max_size=8)
    | st.sampled_from(["0" * 64, ADDRESS, "train", "higher", "WEIGHTS", "a" * 64, "train/"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=400)
@given(st.sampled_from(sorted(EXAMPLES)), st.data())
def test_whatever_the_model_accepts_the_schema_accepts(name: str, choice: st.DataObject) -> None:
    value = copy(name)
    spot: Any = value
    while True:
        keys = sorted(spot) if isinstance(spot, dict) else list(range(len(spot)))
        key = choice.draw(st.sampled_from(keys))
        if isinstance(spot[key], (dict, list)) and spot[key] and choice.draw(st.booleans()):
            spot = spot[key]
            continue
        spot[key] = choice.draw(values)
        break
    try:
        manifest = parse_head(rfc8785.dumps(value))
    except VerificationError:
        return
    validator(manifest.schema_).validate(value)


TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\[\]{},:"]+')
HOSTILE = st.sampled_from(
    [
        *(b"", b" ", b"\n", b"\x00", b"\xff", b"\xef\xbb\xbf", b",", b":", b"{", b"}", b"[", b"]", b"{}", b"[]", b'""'),
        *(b"null", b"true", b"NaN", b"-Infinity", b"0", b"-0", b"00", b"1.0", b"1e3", b"1E400", b"-1", b"0x10", b"1_0"),
        *(b"9007199254740991", b"9007199254740992", b"-9007199254740992", b"9" * 400, b"1" + b"0" * 5000),
        *(b'"\\u0061"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83e\\udd99"', b'"\\u0000"', b'"\x01"', b'"\\/"'),
        *(b'"schema"', b'"files"', b'"listings"', b'"path"', b'"__proto__"', b'"schema_"', b'"model_config"'),
        *(
            b'"llamafund/dataset/1"',
            b'"llamafund/listing/1"',
            b'"../a"',
            b'"/a"',
            b'"a\\\\b"',
            b'"a/./b"',
            b'"e\xcc\x81"',
        ),
        *(b"[" * 40, b'{"a":' * 40, b"[" * 40 + b"]" * 40, b"//", b"/**/", b"'a'", b"undefined"),
    ]
)


@settings(max_examples=1500)
@given(st.sampled_from(sorted(EXAMPLES)), st.data())
def test_hostile_json_is_refused_unless_it_is_the_one_way_to_say_it(name: str, choice: st.DataObject) -> None:
    """Tokens are put in, taken out, doubled and exchanged; other implementations judge whatever is accepted."""
    tokens = TOKEN.findall(rfc8785.dumps(EXAMPLES[name]))
    for _ in range(choice.draw(st.integers(1, 3))):
        place = choice.draw(st.integers(0, len(tokens) - 1))
        end = min(len(tokens), place + choice.draw(st.integers(0, 4)))
        kept = tokens[place:end]
        tokens[place:end] = choice.draw(st.sampled_from([[], kept * 2, [*kept, b",", *kept]])) or [choice.draw(HOSTILE)]
    data = b"".join(tokens)
    try:
        manifest = parse_head(data, sha256=hashlib.sha256(data).hexdigest())
    except VerificationError:
        return

    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({key for key, _ in pairs}) == len(pairs)
        return dict(pairs)

    value = json.loads(data, object_pairs_hook=distinct, parse_float=pytest.fail, parse_constant=pytest.fail)
    assert rfc8785.dumps(value) == data == manifest.to_bytes()
    assert manifest.sha256 == hashlib.sha256(data).hexdigest()
    validator(value["schema"]).validate(value)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
@pytest.mark.parametrize("version", ["0", "2", "10", "1.0", "1.1", "01", "", "1/", " 1", "١"])
def test_another_version_is_refused_by_both(name: str, version: str) -> None:
    value = {**copy(name), "schema": f"{name.rpartition('/')[0]}/{version}"}
    assert not validator(name).is_valid(value)
    with pytest.raises(VerificationError, match="has the schema"):
        parse_head(rfc8785.dumps(value))
