"""The artifacts in the package are what the contracts compile to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from llamafund_chain.deployment import artifacts

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def exporter() -> object:
    import export_artifacts

    return export_artifacts


def test_compiling_again_gives_the_exported_artifacts_to_the_last_byte(brownie_installed: None) -> None:
    script = ROOT / "scripts" / "export_artifacts.py"
    ran = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("change", ["edited", "missing", "foreign"])
def test_a_difference_is_noticed(exporter: object, tmp_path: Path, change: str) -> None:
    files = {"A.json": "{}\n", "B.json": "[]\n"}
    exporter.write(files, tmp_path)  # type: ignore[attr-defined]
    assert exporter.differences(files, tmp_path) == []  # type: ignore[attr-defined]
    if change == "edited":
        (tmp_path / "A.json").write_text("{ }\n", encoding="utf-8")
    elif change == "missing":
        (tmp_path / "A.json").unlink()
    else:
        files.pop("A.json")

    assert exporter.differences(files, tmp_path) == ["A.json"]  # type: ignore[attr-defined]
    exporter.write(files, tmp_path)  # type: ignore[attr-defined]
    assert exporter.differences(files, tmp_path) == []  # type: ignore[attr-defined]


def test_artifacts_name_no_path_of_this_machine() -> None:
    for path in (ROOT / "llamafund_chain" / "deployment" / "artifacts").glob("*.json"):
        assert str(ROOT) not in path.read_text(encoding="utf-8")


def test_the_metadata_names_the_exact_compiler_and_settings() -> None:
    metadata = json.loads(artifacts.load("Campaign").metadata)
    assert metadata["compiler"]["version"] == artifacts.load("Campaign").compiler == "0.8.37+commit.f401782d"
    assert metadata["settings"]["viaIR"] is True
    assert metadata["settings"]["evmVersion"] == "cancun"
    assert metadata["settings"]["optimizer"] == {"enabled": True, "runs": 10_000}


def test_an_unknown_contract_has_no_artifact() -> None:
    with pytest.raises(FileNotFoundError):
        artifacts.load("Nothing")
