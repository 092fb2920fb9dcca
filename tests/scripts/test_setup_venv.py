"""Which Python the environment is made with."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "setup_venv.sh"
TOOLS = "/usr/bin:/bin"

Ran = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def setup(tmp_path: Path) -> Ran:
    """Run the script on `tmp_path / "venv"`, with commands that look like Pythons of some versions first on PATH."""
    commands = tmp_path / "commands"
    commands.mkdir()

    def run(*asked: str, **versions: str) -> subprocess.CompletedProcess[str]:
        for file in commands.iterdir():
            file.unlink()
        absent = dict.fromkeys(("python3", "python3_11", "python3_12", "python3_13", "python3_14"), "")
        for name, version in {**absent, **versions}.items():
            _write_python(commands / name.replace("_", "."), version)
        return subprocess.run(
            ["sh", str(SCRIPT), str(tmp_path / "venv"), *asked],
            env={"PATH": f"{commands}:{TOOLS}"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def _write_python(file: Path, version: str) -> None:
    """A command that says it is this version, and notes what it made; none, like a shim of a switched-off version."""
    lines = [
        "#!/bin/sh",
        f'[ -n "{version}" ] || exit 127',
        f'case "$2" in *version_info*) echo {version.removesuffix("-bare")}; exit;; esac',
        f'case "$2" in *ensurepip*) exit {int(version.endswith("-bare"))};; esac',
        'mkdir -p "$4/bin" && cp "$0" "$4/bin/python" && echo made >> "$4/made"',
    ]
    file.write_text("\n".join(lines) + "\n")
    file.chmod(0o755)


def _made(tmp_path: Path) -> tuple[str, int]:
    """The environment's version, and how often one was made there."""
    said = subprocess.run(
        [tmp_path / "venv/bin/python", "-c", "version_info"], capture_output=True, text=True, check=True
    )
    return said.stdout.strip(), len((tmp_path / "venv/made").read_text().splitlines())


def test_the_newest_supported_python_that_runs_is_taken(setup: Ran, tmp_path: Path) -> None:
    assert setup(python3_11="3.11", python3_13="3.13", python3_12="3.12").stderr == ""
    assert _made(tmp_path) == ("3.13", 1)


def test_a_python_that_makes_no_environments_is_passed_over(setup: Ran, tmp_path: Path) -> None:
    setup(python3_14="3.14-bare", python3_11="3.11")
    assert _made(tmp_path) == ("3.11", 1)


def test_one_that_is_only_called_python3_will_do(setup: Ran, tmp_path: Path) -> None:
    setup(python3="3.14")
    assert _made(tmp_path) == ("3.14", 1)


def test_an_environment_stays_whatever_is_installed_later(setup: Ran, tmp_path: Path) -> None:
    setup(python3_11="3.11")
    setup(python3_11="3.11", python3_14="3.14")
    setup("python3.11", python3_11="3.11")
    assert _made(tmp_path) == ("3.11", 1)


def test_asking_for_another_version_makes_it_anew(setup: Ran, tmp_path: Path) -> None:
    setup(python3_11="3.11")
    setup("python3.12", python3_12="3.12")
    assert _made(tmp_path)[0] == "3.12"


def test_the_first_of_several_that_runs_is_taken(setup: Ran, tmp_path: Path) -> None:
    setup("python3.13", "python3.12", "python3.11", python3_14="3.14", python3_12="3.12", python3_11="3.11")
    assert _made(tmp_path) == ("3.12", 1)


def test_an_environment_whose_python_is_gone_is_made_anew(setup: Ran, tmp_path: Path) -> None:
    setup(python3_12="3.12")
    _write_python(tmp_path / "venv/bin/python", "")
    setup(python3_13="3.13")
    assert _made(tmp_path)[0] == "3.13"


@pytest.mark.parametrize(
    ("asked", "versions", "words"),
    [
        (["python3.12"], {}, "python3.12 does not run here."),
        (["python3"], {"python3": "3.10"}, "python3 is Python 3.10."),
        (["python3.12"], {"python3_12": "3.12-bare"}, "have that in python3.12-venv."),
        ([], {"python3": "3.15"}, "python3.11 does not run here. python3 is Python 3.15."),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(
    setup: Ran, tmp_path: Path, asked: list[str], versions: dict[str, str], words: str
) -> None:
    ran = setup(*asked, **versions)
    assert ran.returncode == 1
    assert words in ran.stderr
    assert ran.stderr.endswith("make PYTHON=/path/to/python\n")
    assert not (tmp_path / "venv").exists()


def test_a_real_environment_is_made_once(tmp_path: Path) -> None:
    made = []
    for _ in range(2):
        subprocess.run(["sh", str(SCRIPT), str(tmp_path / "venv"), sys.executable], check=True)
        made.append((tmp_path / "venv" / "pyvenv.cfg").stat().st_mtime_ns)
    assert made[0] == made[1]
    assert (tmp_path / "venv" / "bin" / "pip").exists()
