"""The set-up steps and the compiler's stand-in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"
WASM = SCRIPTS / "solc-wasm.js"
SOURCE = "// SPDX-License-Identifier: MIT\npragma solidity 0.8.37;\n"


def _solc(*arguments: str, request: object = None, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    text = request if isinstance(request, str) else json.dumps(request)
    return subprocess.run([str(WASM), *arguments], input=text, capture_output=True, text=True, check=False, cwd=cwd)


def _request(sources: dict[str, str]) -> dict[str, object]:
    return {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sources.items()},
        "settings": {"outputSelection": {"*": {"*": ["evm.bytecode.object"]}}},
    }


def test_the_stand_in_reports_its_version_as_a_native_compiler_does() -> None:
    ran = _solc("--version")
    assert ran.returncode == 0
    assert "Version: 0.8.37+commit.f401782d.Linux.g++" in ran.stdout


def test_the_stand_in_reads_imports_below_its_base_path_and_nowhere_else(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "Library.sol").write_text(SOURCE + "contract Library {}", encoding="utf-8")
    (inside / "Link.sol").symlink_to(outside / "Library.sol")

    def errors(target: str, *arguments: str) -> list[str]:
        request = _request({"Main.sol": SOURCE + f'import "{target}";\ncontract Main {{}}'})
        ran = _solc("--standard-json", "--base-path", str(inside), *arguments, request=request)
        return [error["message"] for error in json.loads(ran.stdout).get("errors", [])]

    assert errors("Library.sol") == []
    assert errors("Link.sol")
    assert errors(str(outside / "Library.sol"))
    assert errors("Missing.sol")
    assert errors(str(outside / "Library.sol"), "--allow-paths", str(outside)) == []


def test_the_stand_in_writes_more_than_a_pipe_holds() -> None:
    functions = "".join(f"function f{n}() external pure returns (uint256) {{ return {n}; }}" for n in range(900))
    ran = _solc("--standard-json", request=_request({"Big.sol": SOURCE + f"contract Big {{ {functions} }}"}))
    assert len(ran.stdout) > 65_536
    assert json.loads(ran.stdout)["contracts"]["Big.sol"]["Big"]


@pytest.mark.parametrize("arguments", [(), ("--bin",), ("--standard-json", "--nonsense")])
def test_the_stand_in_refuses_what_it_does_not_do(arguments: tuple[str, ...]) -> None:
    ran = _solc(*arguments, request={})
    assert ran.returncode == 1
    assert "solc-wasm:" in ran.stderr


def _repeat(script: str) -> None:
    for _ in range(2):
        ran = subprocess.run(
            [sys.executable, str(SCRIPTS / script)], capture_output=True, text=True, check=False, timeout=60
        )
        assert ran.returncode == 0, ran.stderr


def test_setting_the_compiler_up_can_be_repeated() -> None:
    _repeat("setup_compiler.py")
    assert (ROOT / ".venv" / "solc" / "solc-v0.8.37").exists()


def test_patching_brownie_can_be_repeated(brownie_installed: None) -> None:
    _repeat("patch_brownie.py")


def test_a_native_compiler_of_the_right_version_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import setup_compiler

    def native(version: str) -> None:
        solc = tmp_path / "solc"
        solc.write_text(f"#!/bin/sh\necho 'Version: {version}+commit.0.Linux.g++'\n", encoding="utf-8")
        solc.chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    native("0.8.37")
    assert setup_compiler.choose("0.8.37") == tmp_path / "solc"
    native("0.8.36")
    assert setup_compiler.choose("0.8.37") == WASM
    with pytest.raises(SystemExit, match=r"0\.8\.99"):
        setup_compiler.choose("0.8.99")


def test_brownie_cannot_be_moved_once_it_is_imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import brownie_env

    monkeypatch.setitem(sys.modules, "brownie", sys)
    with pytest.raises(RuntimeError, match="home"):
        brownie_env.prepare(tmp_path)


def _forge(program: Path) -> subprocess.CompletedProcess[str]:
    script = str(SCRIPTS / "forge.py")
    env = {**os.environ, "LLAMAFUND_FORGE": str(program)}
    return subprocess.run(
        [sys.executable, script, "fmt", "--check"], env=env, capture_output=True, text=True, check=False
    )


def test_forge_gets_the_arguments_and_its_exit_code_comes_back(tmp_path: Path) -> None:
    program = tmp_path / "forge"
    program.write_text('#!/bin/sh\necho "$@"\nexit 7\n', encoding="utf-8")
    program.chmod(0o755)
    ran = _forge(program)
    assert (ran.returncode, ran.stdout) == (7, "fmt --check\n")


def test_a_forge_that_is_not_there_is_said_without_a_traceback(tmp_path: Path) -> None:
    ran = _forge(tmp_path / "forge")
    assert ran.returncode == 2
    assert "LLAMAFUND_FORGE" in ran.stderr
    assert "Traceback" not in ran.stderr
