"""Where the contracts are on every chain, how to deploy them, and how to verify them.

Both are created through the usual CREATE2 deployer with a fixed salt. So their addresses follow from their code alone:
they are the same on every chain, known before anything is deployed, and never taken by anything else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llamafund_chain.deployment import artifacts
from llamafund_chain.errors import LlamafundError, UsageError, VerificationError
from llamafund_chain.text import printable

if TYPE_CHECKING:
    from web3 import Web3

CREATE2_DEPLOYER = "0x4e59b44847b379578588920cA78FbF26c0B4956C"
SALT = b"llamafund/1".ljust(32, b"\0")

_CREATE2_DEPLOYER_CODE = bytes.fromhex(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b"
    "8082525050506014600cf3"
)

_NEEDED = {
    "transient storage (EIP-1153)": bytes.fromhex("600160005d60005c60005260206000f3"),
    "mcopy (EIP-5656)": bytes.fromhex("60016000526020600060205e60205160005260206000f3"),
}
"""Creation code that uses one instruction, and whose contract is the number 1 in 32 bytes."""

Send = Callable[[dict[str, Any]], Mapping[str, Any]]
"""Sends a transaction given as `to`, `data` and `value` (wei), waits for it, and returns its receipt."""


@dataclass(frozen=True)
class DeploymentAddresses:
    """Checksummed addresses of the two contracts, the same on every chain."""

    implementation: str
    factory: str


@dataclass(frozen=True)
class Deployment:
    """The two contracts on one chain, verified.

    Attributes:
        chain_id: EIP-155 number.
        implementation: Checksummed address of the `Campaign` that every clone delegates to.
        factory: Checksummed address of the `CampaignFactory`.
        implementation_code_hash: Keccak-256 of the code there, with 0x.
        factory_code_hash: Keccak-256 of the code there, with 0x.
        compiler: Exact version of the compiler, with its commit.
        salt: Salt of both CREATE2 deployments, with 0x.
        block: Number of the block that deployed the factory; `None` if somebody else deployed it.
        transactions: Hashes of the deploying transactions, by contract; empty if somebody else deployed them.
        arbiters: Arbiters that were deployed beside them, by address, with the court that each asks.
    """

    chain_id: int
    implementation: str
    factory: str
    implementation_code_hash: str
    factory_code_hash: str
    compiler: str
    salt: str
    block: int | None
    transactions: Mapping[str, str]
    arbiters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Part:
    name: str
    address: str
    init_code: bytes
    code: bytes


@cache
def predicted() -> DeploymentAddresses:
    """Compute the contracts' addresses from their code alone."""
    implementation, factory = _parts()
    return DeploymentAddresses(implementation=implementation.address, factory=factory.address)


def verify(w3: Web3) -> Deployment:
    """Check the contracts on a chain by the hash of their code.

    Args:
        w3: Connection to a node of the chain.

    Raises:
        VerificationError: They are not there, or other code is.
    """
    from eth_utils import to_checksum_address

    return verify_codes(w3.eth.chain_id, [bytes(w3.eth.get_code(to_checksum_address(place))) for place in places()])


def places() -> tuple[str, ...]:
    """Checksummed addresses of the contracts, in the order that `verify_codes` takes."""
    return tuple(part.address for part in _parts())


def code_hashes() -> dict[str, str]:
    """Keccak-256 of the code that must be at `places`, with 0x, by address."""
    from eth_utils import keccak

    return {part.address: "0x" + keccak(part.code).hex() for part in _parts()}


def verify_codes(chain_id: int, codes: Sequence[bytes]) -> Deployment:
    """Check the contracts on a chain by the hash of their code.

    Args:
        chain_id: EIP-155 number.
        codes: What is at `places`.

    Raises:
        VerificationError: It is nothing, or other code.
    """
    for part, code in zip(_parts(), codes, strict=True):
        _check(chain_id, part, code)
    return _deployment(chain_id, block=None, transactions={}, arbiters={})


def deploy(w3: Web3, send: Send, known: Deployment | None = None) -> Deployment:
    """Deploy the contracts to a chain unless they are there, and verify them.

    Args:
        w3: Connection to a node of the chain.
        send: Sends one transaction and returns its receipt.
        known: The earlier record for this chain; its block and transactions are kept if they are still right, and its
            arbiters as long as there is code.

    Raises:
        LlamafundError: The chain has no CREATE2 deployer, or lacks an instruction that campaigns use.
        VerificationError: Other code is at one of the addresses, or a transaction did not create the right code.
    """
    from eth_utils import to_checksum_address

    chain_id = w3.eth.chain_id
    if bytes(w3.eth.get_code(to_checksum_address(CREATE2_DEPLOYER))) != _CREATE2_DEPLOYER_CODE:
        raise LlamafundError(
            f"Chain {chain_id} has no CREATE2 deployer at {CREATE2_DEPLOYER}",
            "The contracts get their addresses from it",
            "Most chains have it; on others it is put there by the one transaction that its repository publishes "
            "(Arachnid/deterministic-deployment-proxy)",
        )
    for name, code in _NEEDED.items():
        _check_instruction(w3, chain_id, name, code)
    block: int | None = None
    transactions: dict[str, str] = {}
    for part in _parts():
        if not w3.eth.get_code(to_checksum_address(part.address)):
            receipt = send({"to": CREATE2_DEPLOYER, "data": "0x" + (SALT + part.init_code).hex(), "value": 0})
            transactions[part.name] = "0x" + bytes(receipt["transactionHash"]).hex()
            block = int(receipt["blockNumber"])
        elif known is not None and _still_holds(w3, known, part):
            transactions[part.name] = known.transactions[part.name]
            block = known.block
        _check(chain_id, part, bytes(w3.eth.get_code(to_checksum_address(part.address))))
    arbiters = (
        {}
        if known is None
        else {
            arbiter: court for arbiter, court in known.arbiters.items() if w3.eth.get_code(to_checksum_address(arbiter))
        }
    )
    return _deployment(chain_id, block=block, transactions=transactions, arbiters=arbiters)


def record(deployment: Deployment, directory: Path) -> Path:
    """Write a deployment to `<directory>/<chain id>.json` and return that path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{deployment.chain_id}.json"
    path.write_text(json.dumps(asdict(deployment), indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return path


def load(chain_id: int, directory: Path | None = None) -> Deployment | None:
    """Return the record for a chain; `None` if there is none.

    Args:
        chain_id: EIP-155 number.
        directory: Where `record` wrote it; `None` for the package's records.

    Raises:
        VerificationError: The record is not of a deployment of these contracts.
    """
    folder = files("llamafund_chain.deployment.records") if directory is None else directory
    entry = folder.joinpath(f"{chain_id}.json")
    if not entry.is_file():
        return None
    try:
        found = Deployment(**json.loads(entry.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise VerificationError(
            f"{entry} is not a record of a deployment", str(error), "Run scripts/deploy.py on that chain again"
        ) from error
    expected = _deployment(chain_id, block=found.block, transactions=found.transactions, arbiters=found.arbiters)
    if found != expected:
        raise VerificationError(
            f"{entry} records other contracts than this version's",
            f"It names the factory {found.factory} instead of {expected.factory}",
            "Use the version that deployed them, or run scripts/deploy.py on that chain",
        )
    return found


def known(chain_id: int) -> Deployment | None:
    """The record for a chain, of this package or else of the user.

    Args:
        chain_id: EIP-155 number.

    Raises:
        UsageError: The user's record is not of a deployment of these contracts.
    """
    # Imported here: most of the library needs no folder.
    from platformdirs import user_config_path

    found = load(chain_id)
    if found is not None:
        return found
    try:
        return load(chain_id, user_config_path("llamafund", appauthor=False) / "deployments")
    except VerificationError as error:
        raise UsageError(error.what, error.why, "Correct that file, or remove it: it only shortens searches") from error


def _deployment(
    chain_id: int, *, block: int | None, transactions: Mapping[str, str], arbiters: Mapping[str, str]
) -> Deployment:
    from eth_utils import keccak

    implementation, factory = _parts()
    return Deployment(
        chain_id=chain_id,
        implementation=implementation.address,
        factory=factory.address,
        implementation_code_hash="0x" + keccak(implementation.code).hex(),
        factory_code_hash="0x" + keccak(factory.code).hex(),
        compiler=artifacts.load("Campaign").compiler,
        salt="0x" + SALT.hex(),
        block=block,
        transactions=transactions,
        arbiters=arbiters,
    )


@cache
def _parts() -> tuple[_Part, _Part]:
    campaign = artifacts.load("Campaign")
    implementation = create2(campaign.bytecode)
    factory = artifacts.load("CampaignFactory")
    word = bytes.fromhex(implementation[2:]).rjust(32, b"\0")
    init_code = factory.bytecode + word
    return (
        _Part(campaign.name, implementation, campaign.bytecode, campaign.runtime({"SELF": word})),
        _Part(factory.name, create2(init_code), init_code, factory.runtime({"implementation": word})),
    )


def _check_instruction(w3: Web3, chain_id: int, name: str, code: bytes) -> None:
    """Raise unless the chain runs this code: a call that creates a contract, and changes nothing."""
    from web3.exceptions import ContractLogicError, Web3RPCError

    why = ""
    try:
        answer = bytes(w3.eth.call({"data": "0x" + code.hex()}))  # type: ignore[typeddict-item]
    except (ContractLogicError, Web3RPCError, ValueError) as error:
        # brownie raises what the node answered as a bare ValueError.
        if type(error) is ValueError and not isinstance(error.args[0], dict):
            raise
        answer, why = b"", f": {error}"
    if answer != (1).to_bytes(32, "big"):
        raise LlamafundError(
            f"Chain {chain_id} has no {name}{printable(why, 300)}",
            "The contracts could be deployed there, but no campaign could ever be opened",
            "Nothing was sent. Choose a chain that follows Ethereum's Cancun upgrade, or wait until this one does",
        )


def create2(init_code: bytes) -> str:
    """Checksummed address that the CREATE2 deployer gives to code, with the project's salt.

    Args:
        init_code: Creation code with its constructor's arguments.
    """
    from eth_utils import keccak, to_checksum_address

    preimage = b"\xff" + bytes.fromhex(CREATE2_DEPLOYER[2:]) + SALT + keccak(init_code)
    return str(to_checksum_address(keccak(preimage)[12:]))


def _check(chain_id: int, part: _Part, code: bytes) -> None:
    from eth_utils import keccak

    if not code:
        raise VerificationError(
            f"{part.name} is not deployed on chain {chain_id}: there is no code at {part.address}",
            "Only the factory at that address opens campaigns",
            "Check that this is the chain you mean, or run scripts/deploy.py on it",
        )
    if keccak(code) != keccak(part.code):
        raise VerificationError(
            f"The code at {part.address} on chain {chain_id} has the hash 0x{keccak(code).hex()}, "
            f"{part.name} has 0x{keccak(part.code).hex()}",
            "The node lies, or the chain does not compute addresses like Ethereum",
            "Do not use it. Try another node of the same chain",
        )


def _still_holds(w3: Web3, known: Deployment, part: _Part) -> bool:
    from hexbytes import HexBytes
    from web3.exceptions import TransactionNotFound

    if part.name not in known.transactions:
        return False
    try:
        return bool(w3.eth.get_transaction_receipt(HexBytes(known.transactions[part.name]))["status"])
    except TransactionNotFound:
        return False
