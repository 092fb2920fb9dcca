"""Dockerfile, compose.yaml and units. No image can be built here: linters, schemas and our own parser check them."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging"
DOCKERFILE = (PACKAGING / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((PACKAGING / "compose.yaml").read_text(encoding="utf-8"))
UNITS = sorted((PACKAGING / "systemd").glob("*.service"))
CAMPAIGN = "0x" + "5f" * 20
SERVICE = (ROOT / "examples" / "attestor_service" / "service.py").read_text(encoding="utf-8")
BY_DIGEST = re.compile(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}")


def parse(words: list[str]) -> None:
    """Let our command line read words, without running the command."""
    from llamafund_chain.cli.main import cli

    with cli.make_context("llamafund", list(words)) as context:
        name, command, rest = cli.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None
        command.make_context(name, rest, parent=context).close()


def exec_start(unit: Path) -> list[str]:
    (line,) = re.findall(r"^ExecStart=(.+)$", unit.read_text(encoding="utf-8"), re.MULTILINE)
    return shlex.split(line.replace("%i", CAMPAIGN))


def require_options_of_the_service(words: list[str]) -> None:
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    assert options
    assert [option for option in options if f'"{option}"' not in SERVICE] == []


def test_the_dockerfile_passes_its_linter() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    ran = subprocess.run([hadolint, PACKAGING / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")


def test_every_image_is_pinned_by_digest_and_none_of_ours_runs_as_root() -> None:
    stages = re.findall(r"^FROM (\S+) AS (\w+)$", DOCKERFILE, re.MULTILINE)
    names = {name for _, name in stages}
    assert {"base", "trainer"} <= names
    assert [image for image, _ in stages if image not in names and not BY_DIGEST.fullmatch(image)] == []
    users: dict[str, str] = {}
    for text in re.split(r"^(?=FROM )", DOCKERFILE, flags=re.MULTILINE)[1:]:
        image, name = re.findall(r"^FROM (\S+) AS (\w+)$", text, re.MULTILINE)[0]
        users[name] = [users.get(image, "0"), *re.findall(r"^USER (\S+)$", text, re.MULTILINE)][-1]
    assert {users[name] for name in ("base", "trainer", "devnet")} == {"10001"}
    theirs = [one["image"] for one in COMPOSE["services"].values() if "build" not in one]
    assert theirs
    assert [image for image in theirs if not BY_DIGEST.fullmatch(image)] == []


def test_the_image_is_built_with_the_pinned_versions_and_from_files_that_are_there() -> None:
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [pin for pin in re.findall(r"[\w-]+==[\d.]+", DOCKERFILE) if pin not in pins] == []
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    admitted = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    assert [name for name in admitted if not (ROOT / name).exists()] == []
    copied = re.findall(r"^COPY ([\w./]+[\w]) ", DOCKERFILE, re.MULTILINE)
    assert [name for name in copied if name.partition("/")[0] not in admitted] == []


def test_compose_fits_its_schema_and_every_command_in_it_is_one_of_ours() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    ran = subprocess.run([*check, PACKAGING / "compose.yaml"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    targets = {service["build"]["target"] for service in COMPOSE["services"].values() if "build" in service}
    assert targets <= set(re.findall(r" AS (\w+)$", DOCKERFILE, re.MULTILINE))
    for name, service in COMPOSE["services"].items():
        if "build" not in service:
            continue
        assert service["image"] == f"llamafund:{service['build']['target']}"
        if "entrypoint" in service:
            assert service["entrypoint"] == ["python", "/opt/llamafund/service.py"], name
            require_options_of_the_service(service["command"])
        else:
            parse(service["command"])
    published = [port for one in COMPOSE["services"].values() for port in one.get("ports", ())]
    assert [port for port in published if "5001" in port] == ["127.0.0.1:5001:5001"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_valid_and_runs_one_of_our_commands(unit: Path, tmp_path: Path) -> None:
    program, *words = exec_start(unit)
    assert program.startswith("/opt/llamafund/bin/")
    if words[0].endswith("service.py"):
        require_options_of_the_service(words)
    else:
        parse(words)
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd-analyze here")
    # The program is not installed here: another one stands in for it, under the unit's own name.
    text = unit.read_text(encoding="utf-8").replace(program, shutil.which("true") or program)
    copy = tmp_path / unit.name
    copy.write_text(text, encoding="utf-8")
    command = [analyze, "verify", "--man=no", "--generators=no", str(copy).replace("@.", "@test.")]
    copy.rename(command[-1])
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert [line for line in ran.stderr.splitlines() if unit.stem.rstrip("@") in line] == []
    assert ran.returncode == 0, ran.stderr
