"""Shells complete commands, options, wallets and networks, quickly and without a word about mistakes."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from llamafund_chain.cli import main
from llamafund_chain.cli.groups import COMPLETION_VARIABLE


def asked() -> tuple[int, str, str]:
    """What a shell gets that has set its variables: the exit code, standard output and standard error."""
    # click writes bytes.
    stdout, stderr = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        code = main.run([])
    stdout.seek(0)
    return code, stdout.read(), stderr.getvalue()


def completed(monkeypatch: pytest.MonkeyPatch, *words: str) -> list[str]:
    """What bash is offered for the last of some words."""
    with monkeypatch.context() as patch:
        patch.setenv(COMPLETION_VARIABLE, "bash_complete")
        patch.setenv("COMP_WORDS", " ".join(["llamafund", *words]))
        patch.setenv("COMP_CWORD", str(len(words)))
        code, stdout, stderr = asked()
    assert (code, stderr) == (0, "")
    return [line.partition(",")[2] for line in stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("unp",), ["unpledge"]),
        (("wallet", "ch"), ["change-passphrase"]),
        (("tra",), ["train"]),
        (("campaign", "list", "--netw"), ["--network"]),
        (("campaign", "list", "--network", "base"), ["base", "base-sepolia"]),
        (("audit", "--finality", "sa"), ["safe"]),
        (("nonsense", "x"), []),
        (("wallet", "nonsense", "--"), ["--help"]),
    ],
)
def test_what_is_begun_is_completed(monkeypatch, words: tuple[str, ...], offered: list[str]) -> None:
    assert set(offered) <= set(completed(monkeypatch, *words))
    if len(offered) == 1 and not words[-1].endswith("--"):
        assert completed(monkeypatch, *words) == offered


def test_wallets_are_completed_by_name(keystore: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMAFUND_KEYSTORE", str(keystore))
    assert completed(monkeypatch, "refund", "--wallet", "back") == ["backer0", "backer1", "backer2"]
    assert completed(monkeypatch, "wallet", "change-passphrase", "jud") == ["judge"]
    monkeypatch.setenv("LLAMAFUND_KEYSTORE", os.devnull)
    assert completed(monkeypatch, "refund", "--wallet", "back") == []


def test_the_users_networks_are_completed_and_a_broken_file_only_hides_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "own.toml"
    monkeypatch.setenv("LLAMAFUND_CONFIG", str(file))
    file.write_text("[networks.lab]\nchain_id = 5\n")
    assert completed(monkeypatch, "campaign", "list", "--network", "l") == ["lab", "linea"]
    file.write_text("nonsense")
    assert completed(monkeypatch, "campaign", "list", "--network", "l") == ["linea"]


def test_a_commands_name_is_completed_without_loading_any(tmp_path: Path) -> None:
    program = (
        "import sys; from llamafund_chain.cli.main import run; code = run([])\n"
        "print(code, *sorted(sys.modules), file=sys.stderr)"
    )
    environment = {**os.environ, COMPLETION_VARIABLE: "zsh_complete", "COMP_WORDS": "llamafund ple", "COMP_CWORD": "1"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    code, *modules = done.stderr.split()
    assert code == "0"
    assert "pledge" in done.stdout
    assert "Put money into a campaign's escrow." in done.stdout
    assert {"llamafund_chain.cli.pledge", "pydantic", "web3"} & set(modules) == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell_asks_this_program(llamafund, shell: str) -> None:
    ran = llamafund("completion", shell)
    assert ran.code == 0
    assert f"{COMPLETION_VARIABLE}={shell}_complete" in ran.stdout
    assert llamafund("completion", shell, "--json").json["script"].splitlines() == ran.stdout.splitlines()


@pytest.mark.parametrize(
    ("instruction", "number"), [("bash_complete", "x"), ("csh_complete", "1"), ("nonsense", "1"), ("csh_source", "1")]
)
def test_a_shell_that_asks_in_a_wrong_way_gets_no_words(monkeypatch, instruction: str, number: str) -> None:
    monkeypatch.setenv("COMP_WORDS", 'llamafund "')
    monkeypatch.setenv(COMPLETION_VARIABLE, instruction)
    monkeypatch.setenv("COMP_CWORD", number)
    assert asked() == (1, "", "")
