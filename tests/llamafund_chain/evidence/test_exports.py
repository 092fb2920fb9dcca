"""Exports are judged by the standards' own schemas and validators, and by what other tools make of the same files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.exports import FORMATS, export
from llamafund_chain.evidence.hashing import hash_tree, raw_cid
from llamafund_chain.evidence.manifests import (
    CheckpointManifest,
    DatasetManifest,
    DatasetPart,
    DatasetPromise,
    EvidenceManifest,
    ExpectedOutcome,
    Listing,
    MilestonePromise,
    Party,
    ProposalManifest,
    StepRange,
    WeightsManifest,
)
from llamafund_chain.store.publishing import list_directory

ROOT = Path(__file__).resolve().parents[3]
# Names whose order by bytes and by components differs, and what JSON, shells and terminals stumble over.
NAMES = (
    "README.md",
    "a-b",
    "a/b",
    "a/c d",
    "a.b/é.txt",
    "-rf",
    "with\nbreak",
    'quo"te',
    "e\u0301",
    "\u00e9",
    ".hidden",
)


def tree(root: Path, names: tuple[str, ...]) -> Any:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 100)
    (root / names[0]).write_bytes(b"")
    return hash_tree(root)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tree"


def weights(folder: Path, **changes: Any) -> WeightsManifest:
    digest = tree(folder, NAMES)
    values: dict[str, Any] = {
        "files": digest.files,
        "content": digest.content,
        "parent": "1" * 64,
        "recipe": "2" * 64,
        "dataset": "3" * 64,
        "license": "Apache-2.0",
        "model_card": "README.md",
        "metrics": {"heldout_bits_per_byte": 2_000_001, "samples": -3},
        "measurement": "by hand",
        "parameters": 12,
        "outcome_score": -2_000_001,
    }
    return WeightsManifest.model_validate({**values, **changes})


def dataset(folder: Path, licenses: tuple[str, str] = ("CC0-1.0", "CC0-1.0")) -> DatasetManifest:
    digest = tree(folder, ("train/a.txt", "train/b.jsonl", "heldout/c\nd.txt", "heldout/LICENSE"))
    return DatasetManifest(
        title='Texts & "more"',
        files=digest.files,
        content=digest.content,
        preparation="none",
        parts=tuple(
            DatasetPart(name=name, paths=(f"{name}/",), source="here", license=license, samples=2)  # type: ignore[arg-type]
            for name, license in zip(("train", "heldout"), licenses, strict=True)
        ),
    )


def checkpoint(folder: Path) -> CheckpointManifest:
    digest = tree(folder, NAMES)
    return CheckpointManifest(
        files=digest.files,
        content=digest.content,
        parent="1" * 64,
        steps=StepRange(first=0, last=20),
        recipe="2" * 64,
        dataset="3" * 64,
        seed="4" * 64,
        data_order_seed=7,
        metrics={},
        environment={},
        chain=(),
    )


def listing(folder: Path) -> Listing:
    """What `llamafund publish` makes of a directory."""
    return list_directory(tree(folder, NAMES).files)


def read(manifest: EvidenceManifest | Listing, format_name: str, name: str | None = None) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(export(manifest, format_name, name=name))
    return document


def standards_python() -> Path:
    """The interpreter that has the validators which want an environment of their own."""
    python = Path(os.environ.get("LLAMAFUND_STANDARDS_PYTHON") or Path(sys.prefix) / "standards" / "bin" / "python")
    if not python.is_file():
        pytest.skip(
            f"model-signing, in-toto-attestation and mlcroissant are not here: there is no {python}. To have them: "
            "make .venv/standards/.ready"
        )
    return python


def judged(program: str, *arguments: object, home: Path) -> dict[str, Any]:
    """What a program says that uses a standard's own library."""
    ended = subprocess.run(
        [str(standards_python()), "-c", textwrap.dedent(program), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"},
    )
    assert ended.returncode == 0, ended.stderr
    answer: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return answer


@pytest.mark.parametrize("make", [weights, listing])
def test_a_bill_of_materials_is_valid_cyclonedx(folder: Path, make: Any) -> None:
    text = export(make(folder), "cyclonedx").decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_the_validator_of_cyclonedx_would_notice_a_fault(folder: Path) -> None:
    for spoil in (
        lambda bom: bom["metadata"]["component"].pop("name"),
        lambda bom: bom["components"][1]["hashes"][0].update(alg="SHA256"),
        lambda bom: bom.update(further="field"),
        lambda bom: bom.update(serialNumber="1"),
    ):
        bom = read(weights(folder), "cyclonedx")
        spoil(bom)
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bom)) is not None


def test_a_bill_of_materials_names_model_data_and_every_file(folder: Path) -> None:
    manifest = weights(folder)
    bom = read(manifest, "cyclonedx", "my-model")
    model = bom["metadata"]["component"]
    assert (model["type"], model["name"]) == ("machine-learning-model", "my-model")
    assert model["hashes"] == [{"alg": "SHA-256", "content": manifest.sha256}]
    assert model["licenses"] == [{"expression": "Apache-2.0"}]
    assert model["externalReferences"][0]["url"] == f"ipfs://{raw_cid(manifest.sha256)}"
    metrics = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert [(metric["type"], metric["value"]) for metric in metrics] == [
        ("heldout_bits_per_byte", "2.000001"),
        ("samples", "-0.000003"),
    ]
    (data,) = (part for part in bom["components"] if part["type"] == "data")
    assert data["hashes"][0]["content"] == "3" * 64
    assert model["modelCard"]["modelParameters"]["datasets"] == [{"ref": data["bom-ref"]}]
    files = [part for part in bom["components"] if part["type"] == "file"]
    assert [(part["name"], part["hashes"][0]["content"]) for part in files] == [
        (entry.path, entry.sha256) for entry in manifest.files
    ]
    references = [part["bom-ref"] for part in bom["components"]]
    assert len(set(references)) == len(references)
    assert bom["dependencies"][0]["dependsOn"] == references


@pytest.mark.parametrize("license", ["my own terms", "see LICENSE, section 2", "x" * 300])
def test_a_license_in_words_is_not_passed_off_as_an_spdx_identifier(folder: Path, license: str) -> None:
    text = export(weights(folder, license=license), "cyclonedx").decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    named = json.loads(text)["metadata"]["component"]["licenses"]
    assert named == ([{"expression": license}] if license == "x" * 300 else [{"license": {"name": license}}])


def test_a_statement_has_the_form_of_in_toto(folder: Path) -> None:
    manifest = weights(folder)
    statement = read(manifest, "in-toto", "my-model")
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://model_signing/signature/v1.0"
    resources = statement["predicate"]["resources"]
    assert {each["name"]: each["digest"] for each in resources} == {
        entry.path: entry.sha256 for entry in manifest.files
    }
    digest = hashlib.sha256(b"".join(bytes.fromhex(each["digest"]) for each in resources)).hexdigest()
    assert statement["subject"] == [{"name": "my-model", "digest": {"sha256": digest}}]
    assert statement["predicate"]["llamafund"]["manifest"] == manifest.sha256


@pytest.mark.parametrize("make", [weights, checkpoint, listing])
def test_model_signing_and_in_toto_read_a_statement_as_the_directory_itself(folder: Path, make: Any) -> None:
    """OpenSSF's own library hashes the files, and must come to the same manifest and the same subject."""
    statement = folder.parent / "statement.json"
    statement.write_bytes(export(make(folder), "in-toto", name=folder.name))
    program = """
        import json, pathlib, sys
        import model_signing
        from google.protobuf import json_format
        from in_toto_attestation.v1 import statement_pb2
        from in_toto_attestation.v1.statement import Statement
        from model_signing._signing.signing import Payload, dsse_payload_to_manifest

        statement = json.loads(pathlib.Path(sys.argv[1]).read_text())
        Statement.copy_from_pb(json_format.ParseDict(statement, statement_pb2.Statement())).validate()
        # Its default leaves out git's files, which a manifest names like all others.
        hashed = model_signing.hashing.Config().set_ignored_paths(paths=[], ignore_git_paths=False).hash(sys.argv[2])
        own = json_format.MessageToDict(Payload(hashed).statement.pb)
        statement["predicate"].pop("llamafund")
        print(json.dumps({"equal": dsse_payload_to_manifest(statement) == hashed, "own": own, "ours": statement}))
    """
    answer = judged(program, statement, folder, home=folder.parent)
    assert answer["equal"]
    assert answer["ours"] == answer["own"]


@pytest.mark.parametrize("make", [dataset, listing])
def test_a_dataset_is_valid_croissant_for_its_own_library(folder: Path, make: Any) -> None:
    manifest = make(folder)
    description = folder.parent / "croissant.json"
    description.write_bytes(export(manifest, "croissant", name="texts"))
    program = """
        import json, pathlib, sys
        import mlcroissant
        from mlcroissant._src.core.rdf import make_context

        document = json.loads(pathlib.Path(sys.argv[1]).read_text())
        metadata = mlcroissant.Dataset(jsonld=document).metadata
        files = [[each.name, each.sha256, each.content_url, each.content_size] for each in metadata.distribution]
        del document["distribution"][0]["sha256"]
        try:
            mlcroissant.Dataset(jsonld=document)
            noticed = ""
        except mlcroissant.ValidationError as error:
            noticed = str(error)
        print(json.dumps({
            "errors": sorted(metadata.issues.errors), "files": files, "context": make_context(), "noticed": noticed
        }))
    """
    answer = judged(program, description, home=folder.parent)
    assert answer["errors"] == []
    assert answer["files"] == [
        [entry.path, entry.sha256, f"ipfs://{entry.cid}", f"{entry.size} B"] for entry in manifest.files
    ]
    assert answer["context"] == json.loads(description.read_bytes())["@context"]
    assert "sha256" in answer["noticed"]


def test_a_croissant_description_says_where_the_dataset_is_and_under_which_licenses(folder: Path) -> None:
    manifest = dataset(folder)
    one = read(manifest, "croissant")
    assert one["license"] == "CC0-1.0"
    assert one["url"] == f"ipfs://{raw_cid(manifest.sha256)}"
    assert one["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert {each["encodingFormat"] for each in one["distribution"]} == {
        "text/plain",
        "application/jsonlines",
        "application/octet-stream",
    }
    assert read(dataset(folder, ("CC0-1.0", "MIT")), "croissant")["license"] == ["CC0-1.0", "MIT"]


def test_sha256sum_accepts_an_exported_list_and_notices_a_change(folder: Path) -> None:
    program = shutil.which("sha256sum")
    if program is None:
        pytest.skip("there is no sha256sum here")
    sums = folder.parent / "SHA256SUMS"
    sums.write_bytes(export(weights(folder), "sha256sums"))
    command = [program, "--check", "--strict", str(sums)]
    assert subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0
    (folder / "with\nbreak").write_bytes(b"changed")
    ended = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    assert ended.returncode == 1
    assert ended.stdout.count(b"FAILED") == 1


@pytest.mark.parametrize("format_name", sorted(FORMATS))
def test_the_same_manifest_gives_the_same_bytes(folder: Path, format_name: str) -> None:
    manifest = dataset(folder) if format_name == "croissant" else weights(folder)
    again = type(manifest).model_validate_json(manifest.to_bytes())
    assert export(manifest, format_name) == export(again, format_name)
    if format_name != "sha256sums":
        # JSON in ASCII: nothing in it can steer the terminal that it is printed on.
        assert export(manifest, format_name).replace(b"\n", b"").decode("ascii").isprintable()


def test_what_a_format_has_no_words_for_is_refused(folder: Path) -> None:
    for manifest, format_name in (
        (weights(folder), "croissant"),
        (checkpoint(folder), "croissant"),
        (checkpoint(folder), "cyclonedx"),
    ):
        with pytest.raises(UsageError, match=manifest.SCHEMA) as caught:
            export(manifest, format_name)
        assert "in-toto" in caught.value.remedy
    with pytest.raises(UsageError, match="There is no format 'spdx'"):
        export(weights(folder), "spdx")


@pytest.mark.parametrize("format_name", sorted(FORMATS))
def test_a_listing_has_every_file_in_every_format(folder: Path, format_name: str) -> None:
    manifest = listing(folder)
    text = export(manifest, format_name).decode()
    for entry in manifest.files:
        assert text.count(entry.sha256) == sum(other.sha256 == entry.sha256 for other in manifest.files)
    assert "contentRoot" not in text, "a listing has none"


def test_a_proposal_names_no_files_to_export() -> None:
    proposal = ProposalManifest(
        title="t",
        summary="s",
        objectives=(),
        outcome=ExpectedOutcome(metric="m", direction="lower", target=1, evaluation="e"),
        dataset=DatasetPromise(manifest=None, description="d", sources=(), license="l"),
        model="m",
        recipe=None,
        compute="c",
        budget="b",
        milestones=(MilestonePromise(kind="WEIGHTS", title="t", description="d"),),
        license="l",
        researcher=Party(name="R", address="0x" + "1" * 40),
        attestors=(Party(name="A", address="0x" + "2" * 40),),
    )
    for format_name in FORMATS:
        with pytest.raises(UsageError, match="Only datasets, checkpoints and weights"):
            export(proposal, format_name)
