"""The wheel and the source archive: the same bytes whoever builds them, and everything that belongs there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"llamafund_chain": ROOT / "llamafund_chain", "llamafund_trainer": ROOT / "trainer" / "llamafund_trainer"}


def tracked() -> list[str]:
    """The files of this version of the project."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout: what belongs into the source archive is not known")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def build(source: Path, out: Path, **environment: str) -> tuple[Path, Path]:
    """Build both packages of a copy of the project; the wheel and the source archive."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--directory", str(out)],
        cwd=source,
        env={**os.environ, **environment},
        capture_output=True,
        check=True,
    )
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two copies of the project whose files have other times and rights."""
    found = [tmp_path_factory.mktemp("copy") / name for name in ("one", "two")]
    for number, copy in enumerate(found):
        for name in tracked():
            target = copy / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)
            target.chmod(0o600 if number else 0o644)
            os.utime(target, (1_000_000_000 * number + 1_000_000,) * 2)
    return found


@pytest.fixture(scope="module")
def built(copies: list[Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build(copies[0], tmp_path_factory.mktemp("built"))


def names_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_both_packages_have_the_same_bytes_whoever_builds_them(
    copies: list[Path], built: tuple[Path, Path], tmp_path: Path
) -> None:
    again = build(copies[1], tmp_path, TZ="Asia/Tokyo", LC_ALL="C")
    assert [one.name for one in again] == [one.name for one in built]
    assert [one.read_bytes() for one in again] == [one.read_bytes() for one in built]


def test_the_wheel_has_every_file_of_both_packages_and_no_other(built: tuple[Path, Path]) -> None:
    expected = {
        f"{package}/{path.relative_to(folder).as_posix()}"
        for package, folder in PACKAGES.items()
        for path in (ROOT / name for name in tracked())
        if path.is_relative_to(folder) and path.name != ".gitignore"
    }
    assert {name for name in names_in(built[0]) if ".dist-info/" not in name} == expected


def test_the_source_archive_has_everything_to_test_and_to_rebuild_the_project(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[1]) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {name for name in tracked() if not name.startswith(".github/")}
    assert wanted - held == set()
    assert {"contracts/Campaign.sol", "package-lock.json", "docs/protocol.md"} <= held


def test_a_wheel_from_the_source_archive_is_the_same_wheel(built: tuple[Path, Path], tmp_path: Path) -> None:
    with tarfile.open(built[1]) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    assert build(unpacked, tmp_path / "out")[0].read_bytes() == built[0].read_bytes()


def test_the_wheel_carries_its_bill_of_materials(built: tuple[Path, Path]) -> None:
    (name,) = [name for name in names_in(built[0]) if ".dist-info/sboms/" in name]
    with zipfile.ZipFile(built[0]) as archive:
        bill = json.loads(archive.read(name))
    names = {component["name"] for component in bill["components"]}
    assert bill["bomFormat"] == "CycloneDX"
    assert {"web3", "ipfshttpclient", "contracts", "torch"} <= names


def test_the_bill_of_materials_is_up_to_date() -> None:
    ended = subprocess.run(
        [sys.executable, "scripts/export_sbom.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
