"""A real chain for each worker, key files, and the command line in process."""

from __future__ import annotations

import contextlib
import io
import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from llamafund_chain.campaign.refusals import explain
from llamafund_chain.chain.devnet import Devnet

# A shell starts background jobs deaf to Ctrl-C, and they would hand that down to the programs under test.
signal.signal(signal.SIGINT, signal.default_int_handler)

PASSPHRASE = "correct horse battery staple"
PEOPLE = {
    "researcher": 1,
    "compute": 2,
    "attestor0": 11,
    "attestor1": 12,
    "attestor2": 13,
    "backer0": 21,
    "backer1": 22,
    "backer2": 23,
    "stranger": 31,
    "judge": 41,
}
"""Wallets by name, and the private keys of the accounts in `llamafund_chain/conftest.py`."""


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        document = json.loads(self.stdout)
        assert document["schema"] == "llamafund/cli/1"
        return document

    def unasked(self, *words: str) -> None:
        """It showed these words and ended, because nobody could answer."""
        self.refused(2, "needs a confirmation", "not a terminal", "--yes")
        for word in words:
            assert word in self.stderr, self.stderr

    def refused(self, code: int, *words: str) -> None:
        """One clear line on standard error with these words, this exit code, and no traceback."""
        assert self.code == code, self.stderr or self.stdout
        lines = [line for line in self.stderr.splitlines() if line.startswith("Error: ")]
        assert len(lines) == 1, self.stderr
        for word in words:
            assert word in lines[0], lines[0]
        assert "Traceback" not in self.stderr + self.stdout
        assert PASSPHRASE not in self.stderr + self.stdout


Llamafund = Callable[..., Ran]


def write_secret(path: Path, text: str) -> None:
    """A file that only its owner can read, as commands demand of secrets."""
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def pytest_make_parametrize_id(val: object) -> str | None:
    """Call a test by the beginning of a long value: names are sent to each worker, and to programs as a variable."""
    if isinstance(val, str | bytes) and len(val) > 60:
        return f"{val[:40]!r}… {len(val)}"
    return None


@pytest.fixture(autouse=True)
def _nothing_of_the_users(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the home directory, or is steered by the environment."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / ".local/share"))
    for name in ("RPC", "WALLET", "KEYSTORE", "PASSPHRASE_FILE", "STORE", "FINALITY"):
        monkeypatch.delenv(f"LLAMAFUND_{name}", raising=False)


@pytest.fixture(scope="session")
def brownie_installed() -> None:
    """Skip what needs brownie where this Python has none."""
    if find_spec("brownie") is None:
        pytest.skip("brownie does not run on this Python; `make test` runs this with an older one where there is one")


@pytest.fixture(scope="session")
def _worker_devnet() -> Iterator[Devnet]:
    with Devnet(explain=explain) as chain:
        yield chain


@pytest.fixture
def devnet(_worker_devnet: Devnet) -> Iterator[Devnet]:
    """A chain with the contracts on it, afterwards as it was before."""
    before = _worker_devnet.snapshot()
    yield _worker_devnet
    _worker_devnet.revert(before)
    # Undoing a patch of an object leaves the method on it, where it hides every later patch of the class.
    left = {"call", "request", "request_many", "send", "logs"} & vars(_worker_devnet.connection).keys()
    assert not left, f"the test patched the chain that all tests share: {left}. Take a connection of its own"


@pytest.fixture(scope="session")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key files of `PEOPLE`, and the file `passphrase` that opens them."""
    from eth_account import Account

    directory = tmp_path_factory.mktemp("keystore")
    write_secret(directory / "passphrase", f"{PASSPHRASE}\n")
    for name, number in PEOPLE.items():
        key_file = Account.encrypt(number.to_bytes(32, "big"), PASSPHRASE, kdf="scrypt", iterations=4)
        (directory / f"{name}.json").write_text(json.dumps(key_file))
    return directory


@pytest.fixture
def llamafund(keystore: Path) -> Llamafund:
    """Runs a command in this process; `wallet=` names who signs."""

    def run(*arguments: object, wallet: str | None = None, passphrase_file: Path | None = None) -> Ran:
        from llamafund_chain.cli import main

        argv = [str(argument) for argument in arguments]
        if wallet is not None:
            argv += ["--wallet", wallet, "--keystore", str(keystore)]
            argv += ["--passphrase-file", str(passphrase_file or keystore / "passphrase")]
        stdout, stderr = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            code = main.run(argv)
        return Ran(code, stdout.getvalue(), stderr.getvalue())

    return run
