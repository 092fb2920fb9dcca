"""A real chain for each worker, key files, and the command line in process."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, settings
from json_documents import check_documents

from llamafund_chain.campaign.refusals import explain
from llamafund_chain.chain.devnet import Devnet

# A shell starts background jobs deaf to Ctrl-C, and they would hand that down to the programs under test.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run, so that nobody's change is refused for what another drew. Searches draw new ones. That
# a busy machine is slow is no fault.
settings.register_profile(
    "suite",
    derandomize=not {"LLAMAFUND_ASSURE", "LLAMAFUND_TEST_EXAMPLES"} & set(os.environ),
    print_blob=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("quick", settings.get_profile("suite"), max_examples=10)
settings.load_profile("suite")

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


SLOW_FIXTURES = {"_worker_devnet", "lab"}
"""What starts a chain, or trains."""

MOST_UNDONE = 5_000
"""Blocks that a worker's chain may have undone before another takes its place."""

SLOW_NAMES = {"Devnet", "brownie", "count_costs", "pty", "subprocess", "torch"}
"""What the module of a test imports if it starts a chain or another program by itself, trains, or builds models."""


SLOW_FOLDERS = {"assurance", "bench", "contracts", "e2e", "packaging"}
"""Kinds of tests that take long by what they are."""

LONG = ("e2e/test_demo", "contracts/test_state_machine", "e2e", "trainer", "web", "assurance")
"""Where files take minutes, in the order in which they are run. No two that begin with the same thing come together:
one worker would wait for the other to compile the contracts, or to train the lab's models."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--quick`."""
    parser.addoption(
        "--quick", action="store_true", help="the first case of each test that starts no chain, no training, no program"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Draw few examples, if it has to be quick."""
    settings.load_profile("quick" if config.getoption("--quick") else "suite")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import what takes long, if it has to be quick: torch alone takes seconds."""
    if not config.getoption("--quick"):
        return None
    if collection_path.name in SLOW_FOLDERS:
        return True
    if collection_path.suffix != ".py":
        return None
    imports = [
        one for one in ast.parse(collection_path.read_bytes()).body if isinstance(one, ast.Import | ast.ImportFrom)
    ]
    names = {alias.name.partition(".")[0] for one in imports for alias in one.names}
    return True if SLOW_NAMES & names else None


def _turn(item: pytest.Item) -> int:
    """When a test is run: its file's place in `LONG`, or after all of those."""
    return next((place for place, start in enumerate(LONG) if item.nodeid.startswith(f"tests/{start}")), len(LONG))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with long files, so that none runs alone at the end. Leave out what is slow, if it has to be quick."""
    items.sort(key=_turn)
    if not config.getoption("--quick"):
        return
    seen: set[tuple[str, str]] = set()
    kept, left_out = [], []
    for item in items:
        assert isinstance(item, pytest.Function)
        name = (str(item.path), f"{item.cls}.{item.originalname}")
        slow = getattr(item.obj, "is_hypothesis_test", False) or SLOW_FIXTURES & set(item.fixturenames)
        (left_out if slow or name in seen else kept).append(item)
        seen.add(name)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


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
    monkeypatch.setenv("XDG_STATE_HOME", str(home / ".local/state"))
    monkeypatch.delenv("LLAMAFUND_STATE", raising=False)
    for name in ("CONFIG", "NETWORK", "RPC", "WALLET", "KEYSTORE", "PASSPHRASE_FILE", "STORE", "FINALITY", "FACTS"):
        monkeypatch.delenv(f"LLAMAFUND_{name}", raising=False)


@pytest.fixture(scope="session")
def brownie_installed() -> None:
    """Skip what needs brownie where this Python has none."""
    if find_spec("brownie") is None:
        pytest.skip("brownie does not run on this Python; `make test` runs this with an older one where there is one")


class WorkerDevnet:
    """The chain of one worker. A new one takes its place before undone blocks fill the disk: a state each."""

    def __init__(self) -> None:
        self._chain: Devnet | None = None
        self._undone = 0

    def chain(self) -> Devnet:
        if self._undone > MOST_UNDONE:
            self.close()
        if self._chain is None:
            self._chain, self._undone = Devnet(explain=explain).__enter__(), 0
        return self._chain

    def revert(self, snapshot: str) -> None:
        assert self._chain is not None
        before = self._height()
        self._chain.revert(snapshot)
        self._undone += before - self._height()

    def close(self) -> None:
        if self._chain is not None:
            self._chain.close()
            self._chain = None

    def _height(self) -> int:
        assert self._chain is not None
        # Not by a connection of ours, which the test may have patched.
        asked = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}
        return int(requests.post(self._chain.rpc_url, json=asked, timeout=60).json()["result"], 16)


@pytest.fixture(scope="session")
def _worker_devnet() -> Iterator[WorkerDevnet]:
    worker = WorkerDevnet()
    yield worker
    worker.close()


@pytest.fixture
def devnet(_worker_devnet: WorkerDevnet) -> Iterator[Devnet]:
    """A chain with the contracts on it, afterwards as it was before."""
    chain = _worker_devnet.chain()
    before = chain.snapshot()
    yield chain
    _worker_devnet.revert(before)
    # Undoing a patch of an object leaves the method on it, where it hides every later patch of the class.
    left = {"call", "request", "request_many", "send", "logs"} & vars(chain.connection).keys()
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
        if "--json" in argv and not {"--help", "-h"} & {*argv}:
            check_documents(stdout.getvalue())
        return Ran(code, stdout.getvalue(), stderr.getvalue())

    return run
