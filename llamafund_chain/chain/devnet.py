"""A local development chain: an anvil process with the contracts on it, which stops when its parent exits."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from llamafund_chain.chain import abi
from llamafund_chain.chain.connection import connect
from llamafund_chain.chain.foundry import find_program
from llamafund_chain.chain.known_accounts import CHAIN_ID, TEST_CHAINS
from llamafund_chain.chain.node_errors import RpcError
from llamafund_chain.chain.reverted import Explain, explain
from llamafund_chain.deployment import addresses, artifacts
from llamafund_chain.errors import LlamafundError, UsageError
from llamafund_chain.files.scratch import ScratchFolder
from llamafund_chain.text import printable

if TYPE_CHECKING:
    from web3 import Web3

    from llamafund_chain.chain.connection import Connection
    from llamafund_chain.deployment.addresses import Deployment
    from llamafund_chain.deployment.court_arbiter import CourtArbiter

START_TIMEOUT = 60.0
"""Seconds that anvil may take to listen."""

_FINAL_BLOCKS = 3
_KEPT_STATES = 100_000
"""States of old blocks on disk. Anvil counts undone blocks too, and by default forgets the first after about 3600."""

_LISTENING = re.compile(r"Listening on (?:127\.0\.0\.1|localhost):(\d+)")
_UNKNOWN_OPTION = "unexpected argument"
_PR_SET_PDEATHSIG = 1
_GRACE = 5.0
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "TZ", "RUST_BACKTRACE")


class Devnet:
    """A chain that runs until the end of the `with` block, or until this process ends.

    Its clock starts at the real time and runs with it; `advance` adds to it.

    Args:
        port: TCP port on 127.0.0.1; 0 for a free one.
        deploy: Deploy the contracts on it.
        hardfork: The Ethereum upgrade whose rules apply; the contracts need cancun or later.
        block_time: Seconds after which a block comes even without a transaction; `None` for never.
        final_at_once: The latest block is the finalized one. Otherwise that is two blocks behind it.
        explain: Puts reverts into words.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        deploy: bool = True,
        hardfork: str = "cancun",
        block_time: int | None = None,
        final_at_once: bool = False,
        explain: Explain = explain,
    ) -> None:
        self._port = port
        self._hardfork = hardfork
        self._deploy = deploy
        self._block_time = block_time
        self._final_at_once = final_at_once
        self._process: subprocess.Popen[str] | None = None
        self._home: ScratchFolder | None = None
        self._explain = explain
        self._connection: Connection | None = None
        self._deployment: Deployment | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------------- what

    @property
    def rpc_url(self) -> str:
        """The node's address."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """The anvil process."""
        return self._running().pid

    @property
    def connection(self) -> Connection:
        """A connection to it."""
        if self._connection is None:
            raise LlamafundError("The development chain is not running")
        return self._connection

    @property
    def w3(self) -> Web3:
        """The same connection as a web3 object."""
        return self.connection.w3

    @property
    def deployment(self) -> Deployment:
        """The contracts on it."""
        if self._deployment is None:
            raise LlamafundError("The development chain has no contracts")
        return self._deployment

    # --------------------------------------------------------------------- do

    def fund(self, address: str, amount: int) -> None:
        """Set an account's balance.

        Args:
            address: Any account.
            amount: Wei.
        """
        self.connection.request("anvil_setBalance", address, hex(amount))

    def advance(self, seconds: int) -> None:
        """Let time pass, with enough blocks to make everything before final.

        Args:
            seconds: At least 0.
        """
        advance(self.connection, seconds)

    def finalize(self) -> None:
        """Mine enough blocks to make everything before final."""
        advance(self.connection, 0)

    def mine_every(self, seconds: int) -> None:
        """From now on a block comes at these intervals, and transactions wait for the next one.

        Args:
            seconds: At least 1.
        """
        self.connection.request("evm_setIntervalMining", seconds)

    def snapshot(self) -> str:
        """Remember the chain as it is."""
        return str(self.connection.request("evm_snapshot"))

    def revert(self, snapshot: str) -> None:
        """Go back to a snapshot, which can be used only once."""
        self.connection.request("evm_revert", snapshot)

    def deploy(self, creation: bytes) -> str:
        """Deploy any contract.

        Args:
            creation: Code that returns the contract's code.

        Returns:
            Checksummed address.
        """
        from eth_utils import to_checksum_address

        return str(to_checksum_address(self._send({"data": f"0x{creation.hex()}"})["contractAddress"]))

    def deploy_token(self, name: str = "Development Dollar", symbol: str = "DEV", decimals: int = 18) -> str:
        """Deploy an ERC-20 with permit that anybody may mint.

        Args:
            name: Its name.
            symbol: Its symbol.
            decimals: Decimal places of a whole coin.

        Returns:
            Checksummed address.
        """
        from eth_abi.abi import encode

        artifact = artifacts.load("DevToken")
        return self.deploy(artifact.bytecode + encode(["string", "string", "uint8"], [name, symbol, decimals]))

    def deploy_mock_court(self, fee: int) -> str:
        """Deploy a court in which anybody rules; see `contracts/test/MockCourt.sol`.

        Args:
            fee: Wei that a dispute costs.

        Returns:
            Checksummed address.
        """
        from eth_abi.abi import encode

        return self.deploy(artifacts.load("MockCourt").bytecode + encode(["uint256"], [fee]))

    def rule_mock_court(self, court: str, dispute: int, ruling: int) -> None:
        """Let a mock court rule.

        Args:
            court: Address from `deploy_mock_court`.
            dispute: Number of the dispute at the court.
            ruling: One of those in `llamafund_chain.deployment.court_arbiter`.
        """
        data = abi.contract("MockCourt").encode("give", dispute, ruling)
        self._send({"to": court, "data": f"0x{data.hex()}"})

    def deploy_arbiter(self, arbiter: CourtArbiter) -> str:
        """Deploy an arbiter that asks a court, unless it is there.

        Args:
            arbiter: Which one.

        Returns:
            Checksummed address.
        """
        arbiter.deploy(self.w3, self._send)
        return arbiter.address

    def mint_token(self, token: str, holder: str, amount: int) -> None:
        """Mint tokens.

        Args:
            token: Address from `deploy_token`.
            holder: The account that gets them.
            amount: Smallest units.
        """
        data = abi.contract("DevToken").encode("mint", holder, amount)
        self._send({"to": token, "data": f"0x{data.hex()}"})

    def wait(self) -> int:
        """Wait until the chain stops by itself.

        Returns:
            The exit status of its program.
        """
        return self._running().wait()

    def close(self) -> None:
        """Stop the chain. Can be called at any time and more than once."""
        process, self._process = self._process, None
        self._connection = self._deployment = None
        if process is not None:
            for request in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, request)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_GRACE)
                    break
            if process.stdout is not None:
                process.stdout.close()
        if self._home is not None:
            self._home.close()
            self._home = None

    # ---------------------------------------------------------------- helpers

    def _start(self) -> None:
        binary = find_program("anvil")
        # Anvil keeps caches in the home directory. They are removed with the chain.
        self._home = ScratchFolder("devnet")
        arguments = ["--host", "127.0.0.1", "--port", str(self._port), "--chain-id", str(CHAIN_ID)]
        arguments += ["--hardfork", self._hardfork, "--slots-in-an-epoch", "0" if self._final_at_once else "1"]
        arguments += ["--max-persisted-states", str(_KEPT_STATES)]
        if self._block_time is not None:
            arguments += ["--mixed-mining", "--block-time", str(self._block_time)]
        try:
            process = subprocess.Popen(
                [str(binary), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=_environment(str(self._home.path)),
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
                preexec_fn=_parent_death_signal(),
            )
        except OSError as error:
            raise LlamafundError(
                f"{binary} cannot be started",
                error.strerror or str(error),
                "Install it again, or name another one in LLAMAFUND_ANVIL",
            ) from error
        self._process = process
        self._port = _wait_for_port(process)
        self._connection = connect(self.rpc_url, explain=self._explain)
        if self._connection.chain_id != CHAIN_ID:
            raise LlamafundError(f"The chain at {self.rpc_url} is not the one that was started")
        if self._deploy:
            self._deployment = addresses.deploy(self._connection.w3, self._send)
        self.finalize()

    def _send(self, transaction: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send from an account whose key anvil has."""
        from web3.types import TxParams

        w3 = self.connection.w3
        fields: TxParams = {"from": w3.eth.accounts[0], **transaction}  # type: ignore[typeddict-item]
        receipt = w3.eth.wait_for_transaction_receipt(w3.eth.send_transaction(fields), poll_latency=0.01)
        if receipt["status"] != 1:
            raise LlamafundError(f"Transaction {receipt['transactionHash'].to_0x_hex()} reverted")
        return receipt

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise LlamafundError("The development chain is not running")
        return self._process


def advance(connection: Connection, seconds: int) -> None:
    """Let time pass on a running test chain, with enough blocks to make everything before final.

    Args:
        connection: A node of that chain.
        seconds: At least 0.

    Raises:
        UsageError: The chain is no test chain, or its node cannot let time pass. Nothing was changed.
    """
    if connection.chain_id not in TEST_CHAINS:
        raise UsageError(
            f"{connection.shown_url} is chain {connection.chain_id}",
            "Only a test chain lets its time be changed",
            "Name the test chain with --rpc; `llamafund devnet` starts one",
        )
    try:
        if seconds:
            connection.request("evm_increaseTime", hex(seconds))
        for _ in range(_FINAL_BLOCKS):
            connection.request("evm_mine")
    except RpcError as error:
        raise UsageError(
            f"The node at {connection.shown_url} did not let time pass",
            f"It says: {printable(error.message, 200)}",
            "anvil and Hardhat can; `llamafund devnet` starts an anvil",
        ) from error


def _environment(home: str) -> dict[str, str]:
    """The variables that anvil needs, and none of the secrets that may be among the others."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**passed_on, "HOME": home, "XDG_CACHE_HOME": home}


def _parent_death_signal() -> Callable[[], None] | None:
    """A function for the child to run first: it asks Linux to end the child when its parent ends, in whatever way."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return ask


def _wait_for_port(process: subprocess.Popen[str]) -> int:
    """The port that anvil listens on. Keeps reading its output, so that anvil never blocks on a full pipe."""
    assert process.stdout is not None
    found = threading.Event()
    said: list[str] = []
    port: list[int] = []
    reader = threading.Thread(target=_read_output, args=(process.stdout, said, port, found), daemon=True)
    reader.start()
    found.wait(START_TIMEOUT)
    if port:
        return port[0]
    last = " ".join(line.strip() for line in said[-5:] if line.strip())
    raise LlamafundError(
        "anvil did not start",
        f"It said: {last}" if last else "It printed nothing",
        "It is older than this needs: run foundryup, or name a newer one in LLAMAFUND_ANVIL"
        if _UNKNOWN_OPTION in last
        else "Choose another --port if that one is taken",
    )


def _read_output(stream: IO[str], said: list[str], port: list[int], found: threading.Event) -> None:
    try:
        for line in stream:
            if found.is_set():
                continue
            said.append(line)
            match = _LISTENING.search(line)
            if match:
                port.append(int(match[1]))
                found.set()
    except (ValueError, OSError):
        pass
    finally:
        found.set()
