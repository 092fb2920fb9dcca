"""`llamafund wallet` as a person and a script see it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llamafund_chain.chain.wallet import KeyStore
from llamafund_chain.cli.main import run


@pytest.fixture
def passphrase_file(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text("open sesame\n")
    return path


@pytest.fixture
def options(tmp_path: Path, passphrase_file: Path) -> list[str]:
    return ["--keystore", str(tmp_path / "keys"), "--passphrase-file", str(passphrase_file)]


def test_new_makes_a_wallet_that_the_library_opens(
    tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["wallet", "new", "alice", "--light-kdf", *options]) == 0
    out = capsys.readouterr().out
    assert KeyStore(tmp_path / "keys").unlock("alice", "open sesame").address in out
    assert str(tmp_path / "keys" / "alice.json") in out


def test_new_prints_the_same_for_machines(
    tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["wallet", "new", "alice", "--light-kdf", "--json", *options]) == 0
    captured = capsys.readouterr()
    (info,) = KeyStore(tmp_path / "keys").list()
    assert json.loads(captured.out) == {
        "schema": "llamafund/cli/1",
        "command": "wallet new",
        "wallet": {"name": "alice", "address": info.address, "path": str(info.path)},
    }
    assert captured.err == ""


def test_list_shows_names_and_addresses(tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    store = KeyStore(tmp_path / "keys")
    infos = [store.create(name, "x", light_kdf=True) for name in ("bob", "alice")]
    assert run(["wallet", "list", *options[:2]]) == 0
    assert capsys.readouterr().out == f"alice  {infos[1].address}\nbob    {infos[0].address}\n"
    assert run(["wallet", "list", "--json", *options[:2]]) == 0
    listed = json.loads(capsys.readouterr().out)["wallets"]
    assert [wallet["name"] for wallet in listed] == ["alice", "bob"]


def test_list_of_an_empty_keystore_says_so(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["wallet", "list", *options[:2]]) == 0
    assert "There are no wallets in" in capsys.readouterr().out


def test_the_keystore_comes_from_the_environment_too(
    tmp_path: Path, passphrase_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLAMAFUND_KEYSTORE", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("LLAMAFUND_PASSPHRASE_FILE", str(passphrase_file))
    assert run(["wallet", "new", "alice", "--light-kdf"]) == 0
    assert (tmp_path / "elsewhere" / "alice.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["new", "../alice"], "cannot be a wallet's name"),
        (["new", "taken"], "never overwritten"),
        (["new"], "NAME"),
        (["new", "a", "--keystore"], "--keystore"),
        (["burn"], "burn"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(
    tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    KeyStore(tmp_path / "keys").create("taken", "x", light_kdf=True)
    assert run(["wallet", arguments[0], *(options if arguments[0] == "new" else []), *arguments[1:]]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert captured.err.count("\n") == 1


def test_an_empty_passphrase_file_is_refused(
    tmp_path: Path, options: list[str], passphrase_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    passphrase_file.write_text("")
    assert run(["wallet", "new", "alice", *options]) == 2
    assert "contains no passphrase" in capsys.readouterr().err
    assert not (tmp_path / "keys").exists()


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("new", "list"):
        assert run(["wallet", command, "--help"]) == 0
        assert f"llamafund wallet {command}" in capsys.readouterr().out
