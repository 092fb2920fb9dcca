"""The wheel, installed outside the checkout: with each Python here, with the newest and the oldest allowed versions.

That needs the network, so it runs in `make test-dist` alone, which names the folder of the packages. The commands are
tried with the checkout's own installation as well, so that these tests stay right.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DIST = os.environ.get("LLAMAFUND_DIST", "")
UV = ROOT / ".venv" / "dist" / "bin" / "uv"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")

CHECKOUT = "checkout"

needs_packages = pytest.mark.skipif(not DIST, reason="downloads packages; runs with `make test-dist`")

Run = Callable[..., str]


def uv(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([UV, *arguments], capture_output=True, text=True, check=False)


def wheel() -> Path:
    (found,) = Path(DIST).glob("*.whl")
    return found


@pytest.fixture(
    scope="module",
    params=[
        CHECKOUT,
        *(
            pytest.param(f"{version}-{age}", marks=needs_packages)
            for version in PYTHONS
            for age in ("newest", "oldest")
        ),
    ],
)
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an environment's programs."""
    if request.param == CHECKOUT:
        return Path(sys.executable).parent
    version, age = request.param.split("-")
    found = uv("python", "find", "--no-python-downloads", "--system", version)
    if found.returncode != 0:
        pytest.skip(f"there is no Python {version} here")
    folder = tmp_path_factory.mktemp("installed") / "env"
    uv("venv", "--python", found.stdout.strip(), folder).check_returncode()
    resolution = "highest" if age == "newest" else "lowest-direct"
    pins = folder / "pins.txt"
    steps = (
        ("compile", "--resolution", resolution, ROOT / "pyproject.toml", "--output-file", pins),
        ("install", "--requirement", pins),
        ("install", "--no-deps", wheel()),
    )
    for step in steps:
        ended = uv("pip", *step, "--python", folder / "bin" / "python")
        assert ended.returncode == 0, ended.stderr
    return folder / "bin"


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Run:
    """Run the installed command in an empty home, with the development chain of the checkout on PATH."""
    anvil = shutil.which("node") and ROOT / "node_modules" / ".bin"
    environment = {"HOME": str(tmp_path / "home"), "PATH": f"{installed}:{anvil}:/usr/bin:/bin"}
    (tmp_path / "home").mkdir()

    def command(*arguments: str, cwd: Path = tmp_path) -> str:
        ended = subprocess.run(
            ["llamafund", *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    return command


def test_it_names_itself_and_lists_its_commands(run: Run) -> None:
    assert run("--version").startswith("llamafund ")
    assert "pledge" in run("--help")


def test_a_researcher_begins_a_project_and_builds_its_data(run: Run, tmp_path: Path) -> None:
    run("init", "begun")
    told = run(
        *("dataset", "build", "data", "--title", "t", "--license", "PSF-2.0", "--source", "s", "--json"),
        cwd=tmp_path / "begun",
    )
    assert json.loads(told)["parts"]["train"]["documents"] > 0


def test_a_backer_makes_a_wallet_and_an_auditor_reads_the_formats(run: Run, tmp_path: Path) -> None:
    (tmp_path / "passphrase").write_text("a long passphrase of nobody\n")
    (tmp_path / "passphrase").chmod(0o600)
    run("wallet", "new", "alice", "--passphrase-file", str(tmp_path / "passphrase"))
    assert "alice" in run("wallet", "list")
    assert json.loads(run("manifest", "schema", "dataset"))["$id"] == "llamafund/dataset/1"


def test_nothing_of_the_checkout_is_used(installed: Path) -> None:
    if installed == Path(sys.executable).parent:
        pytest.skip("this is the checkout")
    code = "import llamafund_chain, llamafund_trainer; print(llamafund_chain.__file__, llamafund_trainer.__file__)"
    told = subprocess.run([installed / "python", "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(Path(path).is_relative_to(installed.parent) for path in told.split())


@needs_packages
def test_the_demo_runs_from_the_wheel_with_the_trainer(tmp_path: Path) -> None:
    """With the versions of constraints.txt, as `make demo` has them."""
    environment, home = tmp_path / "env", tmp_path / "home"
    home.mkdir()
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    subprocess.run(
        [
            environment / "bin" / "pip",
            "install",
            "--quiet",
            "--constraint",
            ROOT / "constraints.txt",
            f"{wheel()}[trainer]",
        ],
        check=True,
    )
    ended = subprocess.run(
        [environment / "bin" / "llamafund", "demo", "--out", "out"],
        cwd=tmp_path,
        env={"HOME": str(home), "PATH": f"{ROOT / 'node_modules' / '.bin'}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-3000:]
    assert (tmp_path / "out" / "audit.html").is_file()
    # Nothing in an empty home but caches.
    assert {path.name for path in home.iterdir()} <= {".cache"}
