"""What runs elsewhere: the workflows, the hooks and the editors' settings, against what a contributor runs here."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted(path.name for path in (GITHUB / "workflows").iterdir())
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def source(name: str) -> str:
    return (GITHUB / "workflows" / name).read_text(encoding="utf-8")


def workflow(name: str) -> dict[Any, Any]:
    document: dict[Any, Any] = yaml.safe_load(source(name))
    return document


def steps(name: str) -> list[dict[str, Any]]:
    return [step for job in workflow(name)["jobs"].values() for step in job["steps"]]


def used(name: str) -> list[str]:
    """The actions that a workflow uses, with the comment behind each."""
    return re.findall(r"^\s*(?:- )?uses: (.+)$", source(name), re.MULTILINE)


def recipe(target: str) -> str:
    """The commands of a target of the Makefile."""
    match = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert match, target
    return match[1]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_action_is_pinned_by_its_commit(name: str) -> None:
    actions = used(name)
    assert len(actions) == sum("uses" in step for step in steps(name)) > 0
    assert [action for action in actions if not PINNED.fullmatch(action)] == []


def test_an_action_has_the_same_commit_everywhere() -> None:
    pins = {action for name in WORKFLOWS for action in used(name)}
    assert len(pins) == len({action.partition("@")[0] for action in pins})


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_read_and_nothing_else_and_ends_by_itself(name: str) -> None:
    document = workflow(name)
    assert document["permissions"] == {"contents": "read"}
    assert document["concurrency"]["group"]
    for title, job in document["jobs"].items():
        # PyPI learns from GitHub who publishes; that job runs nothing of ours.
        assert job.get("permissions") == ({"id-token": "write"} if (name, title) == ("dist.yml", "publish") else None)
        assert 0 < job["timeout-minutes"] <= 360
    checkouts = [step for step in steps(name) if step.get("uses", "").startswith("actions/checkout@")]
    assert [step["with"]["persist-credentials"] for step in checkouts] == [False]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_runs_one_target_of_the_makefile_and_only_a_release_has_no_cache(name: str) -> None:
    (run,) = (step["run"] for step in steps(name) if "run" in step)
    target = re.fullmatch(r"make (\w+) PYTHON=python\S.*", run)
    assert target, run
    assert target[1] == name.removesuffix(".yml")
    assert re.search(rf"^{target[1]}:", MAKEFILE, re.MULTILINE)
    cached = {step.get("with", {}).get("cache") for step in steps(name)} - {None}
    assert cached == (set() if name == "dist.yml" else {"pip", "npm"})


def test_the_tests_run_on_linux_and_macos_with_every_supported_python() -> None:
    (job,) = workflow("test.yml")["jobs"].values()
    matrix = job["strategy"]["matrix"]
    assert job["runs-on"] == "${{ matrix.os }}"
    assert {system.partition("-")[0] for system in matrix["os"]} == {"ubuntu", "macos"}
    assert matrix["python"] == ["3.11", "3.12", "3.13", "3.14"]
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["classifiers"]
    assert [f"Programming Language :: Python :: {version}" for version in matrix["python"]] == [
        classifier for classifier in classifiers if re.search(r":: 3\.\d+$", classifier)
    ]
    assert not {"include", "exclude"} & matrix.keys()
    assert {"run": "make test PYTHON=python${{ matrix.python }}"}.items() <= {
        key: value for step in job["steps"] for key, value in step.items()
    }.items()
    (setup,) = (step for step in job["steps"] if step.get("uses", "").startswith("actions/setup-python@"))
    assert setup["with"]["python-version"] == "${{ matrix.python }}"


def test_the_workflows_start_on_pushes_pull_requests_and_every_week() -> None:
    # YAML 1.1 reads the key `on` as true.
    assert {"push", "pull_request"} <= workflow("test.yml")[True].keys()
    assert {"schedule", "workflow_dispatch"} == workflow("assure.yml")[True].keys()


def test_a_release_is_built_from_its_tag_and_published_by_a_job_that_only_passes_it_on() -> None:
    document = workflow("dist.yml")
    assert document[True] == {"push": {"tags": ["v*"]}}
    publish = document["jobs"]["publish"]
    assert publish["needs"] == "build"
    assert publish["environment"]["name"] == "pypi"
    download, upload = publish["steps"]
    assert download["uses"].startswith("actions/download-artifact@")
    assert upload["uses"].startswith("pypa/gh-action-pypi-publish@")
    assert upload["with"] == {"attestations": True}


def test_workflows_and_updates_fit_their_schemas_and_pass_the_linter() -> None:
    tools = Path(sys.executable).parent
    for schema, files in (
        ("vendor.github-workflows", [GITHUB / "workflows" / name for name in WORKFLOWS]),
        ("vendor.dependabot", [GITHUB / "dependabot.yml"]),
    ):
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *files]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout
    ran = subprocess.run(
        [tools / "zizmor", "--offline", "--no-progress", GITHUB], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout


def test_nothing_newer_than_a_week_is_taken() -> None:
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text(encoding="utf-8"))["updates"]
    assert {one["package-ecosystem"] for one in updates} == {"github-actions", "npm", "pip", "docker"}
    assert [one["cooldown"]["default-days"] >= 7 for one in updates] == [True] * len(updates)


def test_the_hooks_are_the_project_s_own_tools_and_part_of_the_lint() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert repository["repo"] == "local"
    hooks = {hook["name"]: hook["entry"] for hook in repository["hooks"]}
    assert set(hooks) == {"ruff check", "ruff format", "mypy", "forge fmt", "codespell"}
    assert re.search("^lint: style types ", MAKEFILE, re.MULTILINE)
    lint = recipe("style") + recipe("types")
    for name, entry in hooks.items():
        assert entry.startswith(".venv/bin/")
        tool = "forge.py fmt" if name == "forge fmt" else name
        assert f" {tool}" in lint.replace("$(BIN)/", " ").replace("scripts/", " "), name


def test_tools_of_the_lint_are_pinned() -> None:
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    for tool in ("codespell", "mypy", "ruff"):
        assert any(line.startswith(f"{tool}==") for line in pins), tool


def test_editors_ruff_and_forge_agree_on_the_length_of_a_line() -> None:
    editors = (ROOT / ".editorconfig").read_text(encoding="utf-8")
    lengths = re.findall(r"^max_line_length = (\d+)$", editors, re.MULTILINE)
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]
    forge = tomllib.loads((ROOT / "foundry.toml").read_text(encoding="utf-8"))["fmt"]
    assert set(map(int, lengths)) == {ruff["line-length"], forge["line_length"]}


def test_owners_are_named_for_files_that_exist() -> None:
    lines = [line.split() for line in (GITHUB / "CODEOWNERS").read_text(encoding="utf-8").splitlines()]
    rules = [line for line in lines if line and line[0] != "#"]
    assert rules[0][0] == "*"
    for pattern, *owners in rules:
        assert pattern == "*" or (ROOT / pattern.strip("/")).exists(), pattern
        assert owners
        assert all(owner.startswith("@") for owner in owners)


def test_holes_are_never_reported_in_a_public_issue() -> None:
    templates = GITHUB / "ISSUE_TEMPLATE"
    config = yaml.safe_load((templates / "config.yml").read_text(encoding="utf-8"))
    assert config["blank_issues_enabled"] is False
    assert any("SECURITY.md" in link["about"] for link in config["contact_links"])
    assert "SECURITY.md" in (templates / "bug.yml").read_text(encoding="utf-8")
