"""`scripts/install_torch.sh` takes the CPU build of PyTorch on Linux without a GPU, and leaves the rest to pip."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PIN = re.findall(r"^torch==.+$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)[0]


@pytest.fixture
def installed(tmp_path: Path):
    """Runs the script with stand-ins for Python and `uname`; what it installs, and what it says."""

    def run(*, devices: tuple[str, ...] = (), system: str = "Linux", there: int = 1, works: int = 0) -> tuple[str, str]:
        (tmp_path / "dev").mkdir()
        for name in devices:
            (tmp_path / "dev" / name).touch()
        python, uname = tmp_path / "python", tmp_path / "uname"
        python.write_text(f'#!/bin/sh\n[ "$1" = -m ] || exit {there}\necho "$@"\nexit {works}\n')
        uname.write_text(f"#!/bin/sh\necho {system}\n")
        for program in (python, uname):
            program.chmod(0o755)
        ran = subprocess.run(
            ["sh", "scripts/install_torch.sh", python, tmp_path / "dev"],
            cwd=ROOT,
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        )
        return ran.stdout, ran.stderr

    return run


def test_linux_without_a_gpu_gets_the_cpu_build_of_the_pinned_version(installed) -> None:
    told, _ = installed()
    assert told.endswith(f"--index-url https://download.pytorch.org/whl/cpu {PIN}\n")


@pytest.mark.parametrize(
    "here", [{"devices": ("nvidiactl",)}, {"devices": ("kfd",)}, {"system": "Darwin"}, {"there": 0}], ids=str
)
def test_a_gpu_another_system_or_a_torch_that_is_there_is_left_alone(installed, here: dict[str, object]) -> None:
    assert installed(**here) == ("", "")


def test_without_that_index_the_usual_build_is_taken_and_said_so(installed) -> None:
    _, said = installed(works=1)
    assert "the usual one is installed, which is larger" in said
