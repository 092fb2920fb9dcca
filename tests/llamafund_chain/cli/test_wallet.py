"""`llamafund wallet` as a person and a script see it."""

from __future__ import annotations

import io
import json
import os
import shlex
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llamafund_chain.chain.keyfile import encrypt
from llamafund_chain.chain.wallet import KeyStore
from llamafund_chain.cli.main import run

# The first account of anvil's mnemonic, known to everybody.
MNEMONIC = "test test test test test test test test test test test junk"
KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


def secret(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


@pytest.fixture
def passphrase_file(tmp_path: Path) -> Path:
    return secret(tmp_path / "passphrase", "open sesame\n")


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
    (info,) = KeyStore(tmp_path / "keys").list().wallets
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
    for command in ("new", "list", "import", "change-passphrase"):
        assert run(["wallet", command, "--help"]) == 0
        assert f"llamafund wallet {command}" in capsys.readouterr().out


class Typist:
    """A terminal at which somebody types what is asked for, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *typed: str) -> None:
        self.asked: list[str] = []
        self._typed = [*typed]
        monkeypatch.setattr(sys, "stdin", self)
        monkeypatch.setattr("click.termui.hidden_prompt_func", self._hidden)

    def isatty(self) -> bool:
        return True

    def _hidden(self, prompt: str) -> str:
        self.asked.append(prompt)
        return self._typed.pop(0)


@pytest.mark.parametrize("text", [KEY, f"0x{KEY}", MNEMONIC])
def test_import_takes_a_key_or_mnemonic_from_a_hidden_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    typist = Typist(monkeypatch, text, "open sesame", "open sesame")
    assert run(["wallet", "import", "alice", "--light-kdf", "--keystore", str(tmp_path / "keys")]) == 0
    assert len(typist.asked) == 3
    captured = capsys.readouterr()
    assert ADDRESS in captured.out
    assert not any(word in captured.out + captured.err for word in (KEY, "junk", "sesame"))
    assert KeyStore(tmp_path / "keys").unlock("alice", "open sesame").address == ADDRESS


@pytest.mark.parametrize("text", [KEY, f"{MNEMONIC}\n"])
def test_import_takes_a_key_or_mnemonic_from_a_file_and_says_that_it_is_still_there(
    tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str], text: str
) -> None:
    file = secret(tmp_path / "plain", text)
    assert run(["wallet", "import", "alice", str(file), "--light-kdf", "--json", *options]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["wallet"]["address"] == ADDRESS
    assert f"{file} still has the key unencrypted" in captured.err


def test_import_takes_a_key_from_standard_input(
    tmp_path: Path, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{KEY}\n"))
    assert run(["wallet", "import", "alice", "-", "--light-kdf", *options]) == 0
    assert KeyStore(tmp_path / "keys").unlock("alice", "open sesame").address == ADDRESS


def test_import_takes_another_account_of_a_mnemonic(
    tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(secret(tmp_path / "plain", MNEMONIC))
    assert run(["wallet", "import", "a", file, "--derivation-path", "m/44'/60'/0'/0/1", "--light-kdf", *options]) == 0
    assert "0x70997970C51812dc3A010C7d01b50e0d17dc79C8" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["alice.json", "alice", f"UTC--2026-11-28T17-00-00.0Z--{ADDRESS[2:].lower()}"])
def test_import_takes_a_key_file_of_another_program_with_its_own_passphrase(
    tmp_path: Path, options: list[str], name: str
) -> None:
    file = tmp_path / name
    file.write_bytes(encrypt(bytes.fromhex(KEY), "theirs", light_kdf=True))
    old = secret(tmp_path / "old", "theirs")
    arguments = ["wallet", "import", "alice", str(file), "--old-passphrase-file", str(old), "--light-kdf"]
    assert run([*arguments, *options]) == 0
    assert KeyStore(tmp_path / "keys").unlock("alice", "open sesame").address == ADDRESS


def test_import_of_what_is_no_key_is_one_line_without_it(
    tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    file = secret(tmp_path / "plain", MNEMONIC.replace("junk", "marker"))
    assert run(["-v", "wallet", "import", "alice", str(file), *options]) == 2
    captured = capsys.readouterr()
    assert "This is not a mnemonic" in captured.err
    assert "marker" not in captured.out + captured.err
    assert not (tmp_path / "keys").exists()


def test_import_without_a_key_or_a_terminal_is_refused(
    options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert run(["wallet", "import", "alice", *options]) == 2
    assert "There is no key to import" in capsys.readouterr().err


def test_nobody_is_asked_for_a_secret_for_a_name_that_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    KeyStore(tmp_path / "keys").create("alice", "x", light_kdf=True)
    typist = Typist(monkeypatch)
    for command in ("new", "import"):
        assert run(["wallet", command, "alice", "--keystore", str(tmp_path / "keys")]) == 2
    assert typist.asked == []
    assert "never overwritten" in capsys.readouterr().err


def test_change_passphrase_asks_for_the_old_and_twice_for_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = KeyStore(tmp_path / "keys")
    info = keys.create("alice", "first", light_kdf=True)
    typist = Typist(monkeypatch, "first", "second", "second")
    assert run(["wallet", "change-passphrase", "alice", "--light-kdf", "--keystore", str(keys.directory)]) == 0
    assert len(typist.asked) == 3
    assert keys.unlock("alice", "second").address == info.address
    assert str(info.address) in capsys.readouterr().out


def test_change_passphrase_takes_both_from_files(tmp_path: Path, options: list[str]) -> None:
    keys = KeyStore(tmp_path / "keys")
    info = keys.create("alice", "open sesame", light_kdf=True)
    new = secret(tmp_path / "new", "second")
    arguments = ["wallet", "change-passphrase", "alice", "--new-passphrase-file", str(new), "--light-kdf"]
    assert run([*arguments, *options]) == 0
    assert keys.unlock("alice", "second").address == info.address


def test_list_shows_other_programs_wallets_and_notes_what_it_cannot_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    own = KeyStore(tmp_path / "data" / "llamafund" / "keystore").create("alice", "x", light_kdf=True)
    foundry = tmp_path / ".foundry" / "keystores"
    foundry.mkdir(parents=True)
    fields = json.loads(encrypt(bytes.fromhex(KEY), "x", light_kdf=True))
    (foundry / "carol").write_text(json.dumps({name: fields[name] for name in ("crypto", "id", "version")}))
    (foundry / "bad.json").write_text("{")
    assert run(["wallet", "list"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        f"alice  {own.address}",
        f"carol  names no address  {foundry / 'carol'}",
    ]
    assert captured.err.startswith(f"Note: '{foundry / 'bad.json'}' cannot be used as a key file")
    assert run(["wallet", "list", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [wallet["address"] for wallet in document["wallets"]] == [own.address, None]
    assert len(document["unusable"]) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_passphrase_or_key_that_others_can_read_is_refused_with_the_command_that_mends_it(
    tmp_path: Path, options: list[str], passphrase_file: Path, capsys: pytest.CaptureFixture[str], mode: int
) -> None:
    key = secret(tmp_path / "a key", KEY)
    for file in (key, passphrase_file):
        file.chmod(mode)
        assert run(["wallet", "import", "alice", str(key), *options]) == 2
        error = capsys.readouterr().err
        assert f"can be read by other users (its mode is {mode:04o})" in error
        assert f"Run: chmod 600 {shlex.quote(str(file))}" in error
        file.chmod(0o600)
    assert not (tmp_path / "keys").exists()
    assert run(["wallet", "import", "alice", str(key), "--light-kdf", *options]) == 0


def test_a_passphrase_comes_through_a_pipe_of_the_shell(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"open sesame\n")
    os.close(writing)
    arguments = ["--keystore", str(tmp_path / "keys"), "--passphrase-file", f"/dev/fd/{reading}", "--light-kdf"]
    assert run(["wallet", "new", "alice", *arguments]) == 0
    os.close(reading)
    assert KeyStore(tmp_path / "keys").unlock("alice", "open sesame").address


WORDS = st.sampled_from(
    ["crypto", "version", "kdf", "kdfparams", "n", "r", "p", "dklen", "salt", "mac", "cipher", "address"]
)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=10,
).map(lambda document: json.dumps(document).encode())


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=200) | DOCUMENTS | DOCUMENTS.map(lambda data: b'{"version": 3, "crypto": ' + data + b"}")
)
def test_random_bytes_and_random_json_as_key_files_never_give_a_traceback(
    tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str], data: bytes
) -> None:
    file = tmp_path / "keys" / "hostile.json"
    file.parent.mkdir(exist_ok=True)
    file.touch(mode=0o600)
    file.write_bytes(data)
    old = ["--old-passphrase-file", options[3]]
    assert run(["wallet", "list", *options[:2]]) == 0
    assert run(["wallet", "import", "other", str(file), "--light-kdf", *old, *options]) in (1, 2, 3)
    assert run(["wallet", "change-passphrase", "hostile", "--new-passphrase-file", options[3], *options]) in (1, 2, 3)
    told = capsys.readouterr()
    assert "Traceback" not in told.out + told.err
    assert "Unexpected" not in told.out + told.err
    assert file.read_bytes() == data
