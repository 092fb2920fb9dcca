"""`llamafund dataset build` as a person and a script see it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from llamafund_chain.cli.main import run
from llamafund_chain.evidence.manifests import DatasetManifest
from llamafund_chain.store import open_store
from llamafund_chain.store.content import fetch_manifest, verify_content


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name, text in {"train/a.txt": "One.", "train/b.txt": "Two.", "heldout/c.txt": "Three."}.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "data"


def arguments(data: Path, *more: str) -> list[str]:
    words = ["--title", "Numbers", "--license", "CC0-1.0", "--source", "by hand"]
    return ["dataset", "build", str(data), *words, "--store", str(data.parent / "store"), *more]


def test_build_publishes_and_prints_the_hash(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments(data, "--json")) == 0
    captured = capsys.readouterr()
    facts = json.loads(captured.out)
    assert captured.err == ""
    assert (facts["schema"], facts["command"]) == ("llamafund/cli/1", "dataset build")
    store = open_store(data.parent / "store")
    manifest = fetch_manifest(store, facts["dataset"], DatasetManifest)
    verify_content(store, manifest)
    assert facts["parts"] == {"train": {"files": 2, "documents": 2}, "heldout": {"files": 1, "documents": 1}}
    assert (facts["content_root"], facts["content_size"]) == (manifest.content.root, 14)


def test_build_tells_a_person_the_same(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments(data, "--json")) == 0
    facts = json.loads(capsys.readouterr().out)
    assert run(arguments(data)) == 0
    out = capsys.readouterr().out
    assert facts["dataset"] in out
    assert facts["cid"] in out
    assert "2 to train on, 1 held out" in out


def test_the_written_manifest_hashes_to_what_goes_on_chain(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = data.parent / "made" / "dataset.json"
    assert run(arguments(data, "--json", "--out", str(out))) == 0
    assert hashlib.sha256(out.read_bytes()).hexdigest() == json.loads(capsys.readouterr().out)["dataset"]


def test_a_leak_from_training_into_measuring_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "heldout" / "copy.txt").write_text("One.")
    assert run(arguments(data)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "'heldout/copy.txt' is also in 'train/a.txt'" in captured.err
    assert captured.err.count("\n") == 1
    assert not (data.parent / "store").exists()


def test_bad_input_gets_one_line_and_exit_code_2(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data.parent / "empty").mkdir()
    for line in (
        arguments(data.parent / "absent"),
        arguments(data.parent / "empty"),
        arguments(data, "--title", ""),
        arguments(data, "--store", "http://127.0.0.1:5001"),
        ["dataset", "build", str(data)],
    ):
        assert run(line) == 2, line
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("Error: ")
        assert captured.err.count("\n") == 1


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dataset", "build", "--help"]) == 0
    assert "llamafund dataset build corpus" in capsys.readouterr().out


def test_what_was_hashed_before_is_kept_beside_the_store_and_nothing_else_changes(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    ahead = time.time_ns() + 60_000_000_000
    monkeypatch.setattr("llamafund_chain.evidence.hashing.cache.time.time_ns", lambda: ahead)
    (data / "train" / "long.jsonl").write_bytes((b'{"text": "' + b"long" * 5_000 + b'"}\n') * 1_000)
    kept = data.parent / "store" / "hashes.sqlite"
    printed = []
    for more in (("--no-cache",), (), (), ("--jobs", "1")):
        assert run(arguments(data, "--json", *more)) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        printed.append(captured.out)
        assert kept.exists() == (more != ("--no-cache",))
    assert len(set(printed)) == 1
    kept.write_bytes(b"something else")
    assert run(arguments(data, "--json")) == 0
    captured = capsys.readouterr()
    assert captured.out == printed[0]
    assert "hashes.sqlite' was not used: file is not a database. So everything was hashed" in captured.err


def test_a_cache_that_is_wanted_and_not_wanted_is_a_usage_error(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments(data, "--cache", str(data.parent / "cache"), "--no-cache")) == 2
    assert "--cache and --no-cache contradict each other" in capsys.readouterr().err
