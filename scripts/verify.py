"""Have Sourcify or Etherscan recompile the deployed contracts, so that their pages show the sources behind the code.

    python scripts/verify.py --chain-id 11155111 --out verification              write what the services ask for
    python scripts/verify.py --chain-id 11155111 --out verification --check      first recompile it here and compare
    python scripts/verify.py --deployment 10.json --out verification --submit sourcify
    python scripts/verify.py --chain-id 1 --out verification --submit etherscan --api-key-file key.txt

Without --submit nothing leaves this machine; the files can be uploaded by hand. Sourcify needs no account. Etherscan
wants an API key: in the environment variable ETHERSCAN_API_KEY, or in the first line of the file that --api-key-file
names. The services' interfaces: https://docs.sourcify.dev/docs/api/ (version 2) and
https://docs.etherscan.io/api-reference/endpoint/verifysourcecode (version 2).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from eth_abi.abi import encode
from eth_typing import HexStr
from eth_utils import to_checksum_address
from web3.utils.address import get_create2_address

from llamafund_chain.deployment import addresses, artifacts
from llamafund_chain.deployment.artifacts import Artifact
from llamafund_chain.errors import LlamafundError, NodeUnreachableError, NotFinalError, UsageError, VerificationError
from llamafund_chain.files import write_file
from llamafund_chain.text import printable

ROOT = Path(__file__).resolve().parent.parent
COMPILERS = ROOT / ".venv" / "solc"

SERVICES = {"sourcify": "https://sourcify.dev/server", "etherscan": "https://api.etherscan.io/v2/api"}
KEY_VARIABLE = "ETHERSCAN_API_KEY"

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 60.0
ANSWER_TIMEOUT = 120.0
"""Seconds that a whole answer may take, however steadily it drips in."""
MAX_ANSWER_BYTES = 1 << 20
WAIT = 600.0
"""Seconds until waiting for a service's verdict is given up."""
POLL = 5.0
"""Seconds between two questions whether there is a verdict."""

# Sourcify sets its own; Etherscan wants at least the ABI and both bytecodes.
OUTPUT_SELECTION = {
    "*": {"": ["ast"], "*": ["abi", "metadata", "evm.bytecode", "evm.deployedBytecode", "evm.methodIdentifiers"]}
}
APACHE_2_0 = "12"
"""Etherscan's number of the contracts' license."""

_BLOCK_BYTES = 1 << 16
_MAX_KEY_FILE = 4096
_KEY = re.compile(r"[!-~]{1,200}")
_JOB = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_GUID = re.compile(r"[0-9A-Za-z]{1,100}")


@dataclass(frozen=True)
class Submission:
    """What a service needs to know of one contract.

    Attributes:
        name: As in Solidity.
        address: Checksummed.
        identifier: Source and name, as `path/to/file.sol:Name`.
        compiler: Exact version, with its commit.
        standard_input: The compiler's input, self-contained.
        constructor_arguments: ABI-encoded; empty when there are none.
        transaction: Hash of the transaction that created it, with 0x; `None` when nobody recorded it.
    """

    name: str
    address: str
    identifier: str
    compiler: str
    standard_input: Mapping[str, Any]
    constructor_arguments: bytes
    transaction: str | None

    def for_sourcify(self) -> dict[str, Any]:
        """Return the body of `POST /v2/verify/{chainId}/{address}`."""
        body: dict[str, Any] = {
            "stdJsonInput": self.standard_input,
            "compilerVersion": self.compiler,
            "contractIdentifier": self.identifier,
        }
        return body if self.transaction is None else {**body, "creationTransactionHash": self.transaction}

    def for_etherscan(self) -> dict[str, str]:
        """Return the form of `verifysourcecode`, without the API key."""
        arguments = self.constructor_arguments.hex()
        return {
            "module": "contract",
            "action": "verifysourcecode",
            "codeformat": "solidity-standard-json-input",
            "sourceCode": json.dumps(self.standard_input, ensure_ascii=False),
            "contractaddress": self.address,
            "contractname": self.identifier,
            "compilerversion": f"v{self.compiler}",
            # The interface has had this name for years; its documentation and other explorers spell it right.
            "constructorArguements": arguments,
            "constructorArguments": arguments,
            "licenseType": APACHE_2_0,
        }

    def files(self) -> dict[str, str]:
        """Return texts by file name: what a person uploads by hand, and the requests as they are sent."""
        return {
            f"{self.name}.standard-input.json": _text(self.standard_input),
            f"{self.name}.constructor-arguments.txt": self.constructor_arguments.hex() + "\n",
            f"{self.name}.sourcify.json": _text(self.for_sourcify()),
            f"{self.name}.etherscan.json": _text(self.for_etherscan()),
        }


def submissions(record: addresses.Deployment | None) -> tuple[Submission, ...]:
    """Return what the services need, for the implementation and the factory. It is the same on all chains.

    Args:
        record: Of the deployment; without one the creating transactions are left out.

    Raises:
        VerificationError: A constructor's arguments do not lead to the contract's address.
    """
    expected = addresses.predicted()
    request = artifacts.standard_json_input()
    request["settings"] = {**request["settings"], "outputSelection": OUTPUT_SELECTION}
    found = []
    for name, address, values in (
        ("Campaign", expected.implementation, ()),
        ("CampaignFactory", expected.factory, (expected.implementation,)),
    ):
        artifact = artifacts.load(name)
        arguments = encode(_constructor(artifact), values)
        init_code = artifact.bytecode + arguments
        given = get_create2_address(
            to_checksum_address(addresses.CREATE2_DEPLOYER), _hex(addresses.SALT), _hex(init_code)
        )
        if given != address:
            raise VerificationError(f"{name} with these constructor arguments would be at {given}, not at {address}")
        found.append(
            Submission(
                name=name,
                address=address,
                identifier=f"{artifact.source_name}:{name}",
                compiler=artifact.compiler,
                standard_input=request,
                constructor_arguments=arguments,
                transaction=None if record is None else record.transactions.get(name),
            )
        )
    return tuple(found)


def read_record(chain_id: int | None, path: Path | None) -> tuple[int, addresses.Deployment | None]:
    """Return the chain and what was recorded of the deployment on it.

    Args:
        chain_id: EIP-155 number; the package's own record counts.
        path: A record, named after its chain as `scripts/deploy.py` writes it; counts instead.

    Raises:
        UsageError: Neither says a chain, or they name two.
        VerificationError: It is not a record of these contracts.
    """
    if path is None:
        if chain_id is None or chain_id < 1:
            raise UsageError("No chain was named", "", "Name one with --chain-id, or a record with --deployment")
        return chain_id, addresses.load(chain_id)
    if not re.fullmatch(r"[0-9]{1,20}\.json", path.name) or not path.is_file():
        raise UsageError(
            f"{path} is not a record of a deployment",
            "It is a file that is called after its chain, as scripts/deploy.py writes it",
            "Name it like 11155111.json",
        )
    found = addresses.load(int(path.stem), path.parent)
    if chain_id is not None and chain_id != int(path.stem):
        raise UsageError(f"--chain-id is {chain_id} and {path.name} is of another chain", "", "Leave --chain-id out")
    return int(path.stem), found


def compile_again(request: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Return the compiler's answer.

    Args:
        request: Standard JSON, self-contained.
        version: Of the compiler, with its commit.

    Raises:
        LlamafundError: There is no such compiler here, or it fails.
    """
    compiler = COMPILERS / f"solc-v{version.partition('+')[0]}"
    if not compiler.exists():
        raise LlamafundError(f"There is no compiler {compiler.name} in this checkout", "", "Run `make setup` first")
    try:
        ran = subprocess.run(
            # A base path that does not exist: what the input does not carry cannot be found either.
            [str(compiler), "--standard-json", "--base-path", str(COMPILERS / "nothing")],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT,
        )
    except subprocess.TimeoutExpired as error:
        raise LlamafundError(f"{compiler.name} has not finished after {WAIT:.0f} seconds") from error
    try:
        answer: dict[str, Any] = json.loads(ran.stdout)
    except ValueError as error:
        raise LlamafundError(f"{compiler.name} failed", printable(ran.stderr, 300)) from error
    errors = [item.get("message", "") for item in answer.get("errors", ()) if item.get("severity") == "error"]
    if errors:
        raise LlamafundError(f"{compiler.name} refuses the input", printable("; ".join(errors), 300))
    return answer


def check(submission: Submission, answer: Mapping[str, Any]) -> None:
    """Compare what the compiler made of an input with the deployed contract.

    Args:
        submission: The contract.
        answer: The compiler's, to the submission's input.

    Raises:
        VerificationError: A byte differs.
    """
    artifact = artifacts.load(submission.name)
    output = answer["contracts"][artifact.source_name][submission.name]
    pairs = {
        "creation code": (output["evm"]["bytecode"]["object"], artifact.bytecode.hex()),
        "runtime code": (output["evm"]["deployedBytecode"]["object"], artifact.deployed_bytecode.hex()),
        "metadata": (output["metadata"], artifact.metadata),
    }
    wrong = [what for what, (made, wanted) in pairs.items() if made != wanted]
    if wrong:
        raise VerificationError(
            f"The input compiles to another {' and '.join(wrong)} of {submission.name} than what is deployed",
            "",
            "Do not submit it. `make contracts` compares the artifacts with the sources",
        )


# ----------------------------------------------------------------------------------------------------------- services


class Service:
    """One verification service, asked politely and believed nothing.

    Args:
        name: For messages.
        url: Its base address.
        secret: Never shown; `None` when there is none.
    """

    def __init__(self, name: str, url: str, secret: str | None = None) -> None:
        try:
            parts = urlsplit(url)
        except ValueError:
            parts = urlsplit("")
        local = parts.hostname in ("127.0.0.1", "::1", "localhost")
        if parts.hostname is None or (parts.scheme != "https" and not (parts.scheme == "http" and local)):
            raise UsageError(
                f"The address of {name} cannot be used", "It must begin with https://", "Correct it in --url"
            )
        self.name = name
        self.url = url.rstrip("/")
        self._secret = secret
        self._session = requests.Session()

    def ask(self, method: str, url: str, **arguments: Any) -> tuple[int, dict[str, Any]]:
        """Send one request, once.

        Returns:
            HTTP status and the answer, which is a JSON object.

        Raises:
            NodeUnreachableError: There was no answer in time, or none of that form.
        """
        try:
            status, body = self._fetch(method, url, **arguments)
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise NodeUnreachableError(f"{self.name} did not answer in time", "", "Try again later") from error
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            # The library's own words name the address, and with it a key.
            raise NodeUnreachableError(f"{self.name} cannot be reached", type(error).__name__, "Check --url") from None
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise NodeUnreachableError(
                f"{self.name} answered with HTTP status {status} and something that is not its JSON",
                self.quote(body[:200].decode("utf-8", "replace")),
                "Check --url, or try again later",
            )
        return status, answer

    def quote(self, text: object) -> str:
        """Return a stranger's words, printable and without the secret."""
        said = str(text)
        return printable(said if self._secret is None else said.replace(self._secret, "…"), 300)

    def refused(self, words: object) -> LlamafundError:
        """Return the error for a request that the service refused."""
        return LlamafundError(f"{self.name} refused the request", self.quote(words), "Nothing was verified")

    def _fetch(self, method: str, url: str, **arguments: Any) -> tuple[int, bytes]:
        until = time.monotonic() + ANSWER_TIMEOUT
        with self._session.request(
            method,
            url,
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
            # A redirection could carry the key, or the verdict, to somebody else.
            allow_redirects=False,
            stream=True,
            **arguments,
        ) as response:
            body = bytearray()
            while block := response.raw.read1(_BLOCK_BYTES, decode_content=False):
                body += block
                if len(body) > MAX_ANSWER_BYTES:
                    raise NodeUnreachableError(f"{self.name} answered with more than {MAX_ANSWER_BYTES >> 10} KiB")
                if time.monotonic() > until:
                    raise requests.exceptions.ReadTimeout
            return response.status_code, bytes(body)


def submit_to_sourcify(service: Service, chain_id: int, submission: Submission, wait: Callable[[str], None]) -> str:
    """Submit one contract and wait for the verdict.

    Args:
        service: Sourcify, version 2 of its interface.
        chain_id: EIP-155 number.
        submission: The contract.
        wait: Called with the job's name between two questions; raises when it has been long enough.

    Returns:
        The verdict in words.

    Raises:
        VerificationError: What it compiled is not what is on chain, to the last byte.
        LlamafundError: It refused, or did not answer sensibly.
    """
    url = f"{service.url}/v2/verify/{chain_id}/{submission.address}"
    status, answer = service.ask("POST", url, json=submission.for_sourcify())
    if status == 409 and answer.get("customCode") == "already_verified":
        return "was verified before"
    job = answer.get("verificationId")
    if status != 202:
        raise service.refused(answer.get("message", f"HTTP status {status}"))
    if not isinstance(job, str) or not _JOB.fullmatch(job):
        raise service.refused(f"It took the request, but named no job: {job}")
    while True:
        status, answer = service.ask("GET", f"{service.url}/v2/verify/{job}")
        if status == 200 and answer.get("isJobCompleted") is True:
            break
        # Too many questions are no verdict.
        if status not in (200, 429):
            raise service.refused(answer.get("message", f"HTTP status {status} for the job {job}"))
        wait(job)
    contract = answer.get("contract")
    error = answer.get("error")
    if isinstance(error, dict) or not isinstance(contract, dict):
        said = error.get("message", "") if isinstance(error, dict) else "no contract in its answer"
        raise _mismatch(service, submission, said)
    place = (str(contract.get("chainId")), str(contract.get("address")).lower())
    if place != (str(chain_id), submission.address.lower()):
        raise _mismatch(service, submission, f"its verdict is about {place[1]} on chain {place[0]}")
    if contract.get("match") != "exact_match":
        raise _mismatch(service, submission, f"it calls the match {contract.get('match')}, not exact_match")
    halves = f"creation code {contract.get('creationMatch')}, runtime code {contract.get('runtimeMatch')}"
    return f"verified ({service.quote(halves)})"


def submit_to_etherscan(
    service: Service, chain_id: int, submission: Submission, wait: Callable[[str], None], *, key: str
) -> str:
    """Submit one contract and wait for the verdict.

    Args:
        service: Etherscan, version 2 of its interface, or an explorer that speaks the same.
        chain_id: EIP-155 number.
        submission: The contract.
        wait: Called with the receipt's number between two questions; raises when it has been long enough.
        key: API key.

    Returns:
        The verdict in words.

    Raises:
        VerificationError: What it compiled is not what is on chain.
        LlamafundError: It refused, or did not answer sensibly.
    """
    place = {"chainid": str(chain_id)}
    form = {"apikey": key, **submission.for_etherscan()}
    status, answer = service.ask("POST", service.url, params=place, data=form)
    result = _words(answer)
    if _already_verified(result):
        return "was verified before"
    if status != 200 or str(answer.get("status")) != "1" or not _GUID.fullmatch(result):
        raise service.refused(result or f"HTTP status {status}")
    question = {**place, "module": "contract", "action": "checkverifystatus", "guid": result, "apikey": key}
    while True:
        status, answer = service.ask("GET", service.url, params=question)
        said = _words(answer)
        if status == 200 and said == "Pass - Verified":
            return "verified"
        if _already_verified(said):
            return "was verified before"
        if said.startswith("Fail"):
            raise _mismatch(service, submission, said)
        if not said.startswith(("Pending in queue", "In progress", "Max rate limit", "Max calls per sec")):
            raise service.refused(said or f"HTTP status {status}")
        wait(result)


def _words(answer: Mapping[str, Any]) -> str:
    """Return what Etherscan says: its errors, receipts and verdicts all come as `result`."""
    result = answer.get("result")
    return result if isinstance(result, str) else ""


def _already_verified(words: str) -> bool:
    return words.lower().startswith(("already verified", "contract source code already verified"))


def _mismatch(service: Service, submission: Submission, said: object) -> VerificationError:
    return VerificationError(
        f"{service.name} could not verify {submission.name} at {submission.address}",
        service.quote(said),
        "Recompile here with --check, and look at the contract with `llamafund verify-deployment`",
    )


def patience(name: str) -> Callable[[str], None]:
    """Return what waits between two questions and gives up after `WAIT` seconds."""
    until = time.monotonic() + WAIT

    def wait(job: str) -> None:
        if time.monotonic() + POLL > until:
            raise NotFinalError(
                f"{name} has no verdict after {WAIT:.0f} seconds",
                f"The request is still in its queue as {job}",
                "Run the command again later: what was verified meanwhile is not done twice",
            )
        time.sleep(POLL)

    return wait


def read_key(path: Path | None) -> str:
    """Return the API key.

    Args:
        path: File whose first line it is; the environment's when `None`.

    Raises:
        UsageError: There is none, or it is none.
    """
    if path is None:
        text, place = os.environ.get(KEY_VARIABLE, ""), KEY_VARIABLE
        if not text:
            raise UsageError(
                "There is no API key", "Etherscan wants one", f"Set {KEY_VARIABLE}, or name a file with --api-key-file"
            )
    else:
        place = str(path)
        try:
            with path.open("rb") as file:
                text = file.read(_MAX_KEY_FILE).decode("ascii", "replace")
        except OSError as error:
            raise UsageError(f"{path} cannot be read", error.strerror or "", "Check --api-key-file") from error
    key = text.split("\n", 1)[0].strip()
    if not _KEY.fullmatch(key):
        raise UsageError(f"There is no API key in {place}", "Its first line is empty, too long or not plain text")
    return key


def _constructor(artifact: Artifact) -> list[str]:
    return [parameter["type"] for item in artifact.abi if item["type"] == "constructor" for parameter in item["inputs"]]


def _hex(data: bytes) -> HexStr:
    return HexStr(f"0x{data.hex()}")


def _text(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def run(arguments: argparse.Namespace) -> None:
    """Do what the command line asks for."""
    chain_id, record = read_record(arguments.chain_id, arguments.deployment)
    # What can be refused is refused before anything is written or sent.
    key = read_key(arguments.api_key_file) if arguments.submit == "etherscan" else None
    service = (
        Service(
            arguments.submit.capitalize(), SERVICES[arguments.submit] if arguments.url is None else arguments.url, key
        )
        if arguments.submit
        else None
    )
    found = submissions(record)
    if arguments.check:
        answer = compile_again(found[0].standard_input, found[0].compiler)
        for submission in found:
            check(submission, answer)
            print(f"{submission.name}: the input compiles to exactly the deployed bytes")
    if record is None:
        print(f"No deployment on chain {chain_id} was recorded; the addresses follow from the code", file=sys.stderr)
    for submission in found:
        for name, text in submission.files().items():
            write_file(arguments.out / str(chain_id) / name, text.encode())
        print(f"{submission.name} {submission.address}: {arguments.out / str(chain_id) / submission.name}.*")
    if service is None:
        return
    for submission in found:
        wait = patience(service.name)
        if key is None:
            verdict = submit_to_sourcify(service, chain_id, submission, wait)
        else:
            verdict = submit_to_etherscan(service, chain_id, submission, wait, key=key)
        print(f"{service.name}: {submission.name} at {submission.address} {verdict}")


def main(argv: list[str] | None = None) -> int:
    """Write, check and submit; return the exit code that every command of the project uses."""
    parser = argparse.ArgumentParser(description="Verify the deployed contracts' sources with Sourcify or Etherscan.")
    parser.add_argument("--chain-id", type=int, metavar="N", help="EIP-155 number of the chain")
    parser.add_argument("--deployment", type=Path, metavar="FILE", help="record that scripts/deploy.py wrote")
    parser.add_argument("--out", type=Path, metavar="DIR", required=True, help="where the files go")
    parser.add_argument("--check", action="store_true", help="recompile here first and compare every byte")
    parser.add_argument("--submit", choices=sorted(SERVICES), help="send the contracts to this service")
    parser.add_argument("--url", help="the service's base address, if not its usual one")
    parser.add_argument("--api-key-file", type=Path, metavar="FILE", help=f"instead of the variable {KEY_VARIABLE}")
    try:
        run(parser.parse_args(argv))
    except LlamafundError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
