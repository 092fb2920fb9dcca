"""Finds out what is at an address, from just a node's answers and the artifacts in this package.

No record of a deployment is needed. The artifacts say which bytes must be on the chain and, through CREATE2 (EIP-1014),
where. The factory and the implementation have the same address on all chains. A campaign's address follows from the
factory, the campaign's code and a salt; that of an arbiter at a court from its code and from what it asks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import base58
from pydantic import JsonValue

from llamafund_chain.campaign.arbiter import arbiter_at
from llamafund_chain.campaign.factory import predict_address, recorded_block, search_range
from llamafund_chain.campaign.terms import Terms
from llamafund_chain.chain import abi
from llamafund_chain.checks.check import CheckResult
from llamafund_chain.checks.risks import arbiter_alone
from llamafund_chain.deployment import addresses, artifacts, court_arbiter
from llamafund_chain.deployment.artifacts import Artifact
from llamafund_chain.deployment.clones import CLONE_BYTES, CLONE_HEAD, CLONE_TAIL, clone_code
from llamafund_chain.errors import LlamafundError, VerificationError
from llamafund_chain.evidence.file_dag import block_cid_v0
from llamafund_chain.name import PROJECT

if TYPE_CHECKING:
    from llamafund_chain.chain.connection import Block, Connection

MAX_CODE_BYTES = 24_576
"""Bytes of the longest code of a contract (EIP-170)."""

_CLONE_LIKENESS = 20
"""Matching bytes of head and tail, out of 25, from which code counts as a tampered clone."""

_DELEGATED = re.compile(rb"\xef\x01\x00(.{20})", re.DOTALL)
"""The code of an account that delegates to a contract (EIP-7702)."""

# The CBOR map that the compiler appends to code: {"ipfs": multihash, "solc": version}, and its length.
_TRAILER = re.compile(rb"\xa2\x64ipfs\x58\x22(\x12\x20.{32})\x64solc\x43(.{3})\x00\x33$", re.DOTALL)
_TRAILER_BYTES = 53

_CONTRACTS = ("CampaignFactory", "Campaign", court_arbiter.NAME)
_PARTS = {"CampaignFactory": "factory", "Campaign": "implementation"}
_SHOWN_BYTES = 8
_SHOWN_NAMES = 3


@dataclass(frozen=True)
class Difference:
    """The first difference of two byte strings.

    Attributes:
        offset: Offset of the first byte that differs, from 0.
        expected: Some expected bytes from there on; empty if there should be none.
        actual: Some actual bytes from there on; empty if there are none.
    """

    offset: int
    expected: bytes
    actual: bytes

    def __str__(self) -> str:
        return f"at byte {self.offset} it has {_hex(self.actual)} instead of {_hex(self.expected)}"


@dataclass(frozen=True)
class Compilation:
    """The compiler's record at the end of code.

    Attributes:
        compiler: Its version, for example `0.8.37`.
        metadata: IPFS address of the metadata, CIDv0; the metadata names the hash of each source.
    """

    compiler: str
    metadata: str


@dataclass(frozen=True)
class Inspection:
    """What is at an address, at one block.

    Attributes:
        chain_id: EIP-155 number.
        address: Checksummed.
        block: The block at which it was read.
        contract: What it is, or with failed checks pretends to be: `CampaignFactory`, `Campaign` (the implementation),
            `campaign` (a clone of it) or `CourtArbiter`. `None` if it is similar to none of them.
        code_bytes: Length of its code.
        code_hash: Keccak-256 of its code, 64 hexadecimal digits.
        compilation: The compiler's record in the code of the factory, or of the running implementation; `None` if there
            is none.
        compiler: Exact version that compiled the package's artifact, with its commit; `None` like `contract`.
        immutables: What the constructor put into the code, by the name of the immutable: addresses, and an arbiter's
            reserve in seconds.
        factory: Checksummed address that follows from the package's artifacts.
        implementation: The same for the implementation.
        terms: A campaign's terms; `None` if its code has none.
        salt: A campaign's salt, 64 hexadecimal digits; `None` if it is unknown.
        checks: The checks with their results.
    """

    chain_id: int
    address: str
    block: Block
    contract: str | None
    code_bytes: int
    code_hash: str
    compilation: Compilation | None
    compiler: str | None
    immutables: Mapping[str, str]
    factory: str
    implementation: str
    terms: Terms | None
    salt: str | None
    checks: tuple[CheckResult, ...]

    @property
    def holds(self) -> bool:
        """Whether it is one of LlamaFund's contracts, to the last byte and at its right address."""
        return all(check.status != "fail" for check in self.checks)


def inspect(connection: Connection, address: str, salt: str | None = None) -> Inspection:
    """Find out what is at an address, and whether it is what it should be.

    Args:
        connection: The chain; read at its latest block.
        address: A factory, an implementation, a campaign, or anything else.
        salt: A campaign's salt, 64 hexadecimal digits; `None` to look it up in the factory's events.

    Raises:
        NodeUnreachableError: The node does not answer, or its answers make no sense.
        LlamafundError: It refuses a request, for example for events of old blocks.
    """
    from eth_utils import to_checksum_address

    return _Inspector(connection, str(to_checksum_address(address)), salt).run()


def compare(artifact: Artifact, code: bytes) -> Difference | None:
    """The first difference of code from an artifact's, ignoring immutables; `None` if there is none."""
    actual = bytearray(code[: len(artifact.deployed_bytecode)])
    for ranges in artifact.immutable_references.values():
        for start, length in ranges:
            # Zeros, like in the artifact; never more bytes than there are.
            end = min(start + length, len(actual))
            if end > start:
                actual[start:end] = bytes(end - start)
    return _difference(artifact.deployed_bytecode, bytes(actual) + code[len(artifact.deployed_bytecode) :])


def read_immutables(artifact: Artifact, code: bytes) -> dict[str, str]:
    """The addresses that a contract's constructor put into its code.

    Args:
        artifact: A contract whose immutables are all addresses.
        code: That contract's code.

    Returns:
        Checksummed address by the immutable's name.

    Raises:
        VerificationError: The copies of an immutable disagree, or are not an address.
    """
    from eth_utils import to_checksum_address

    found: dict[str, str] = {}
    for name, ranges in artifact.immutable_references.items():
        words = [code[start : start + length] for start, length in ranges]
        first = words[0]
        for (start, _), word in zip(ranges, words, strict=True):
            if word != first:
                raise VerificationError(
                    f"The immutable {name} is {_hex(word)} at byte {start} and {_hex(first)} at byte {ranges[0][0]}",
                    "A constructor writes the same value everywhere",
                )
        if len(first) != 32 or any(first[:12]):
            raise VerificationError(f"The immutable {name} at byte {ranges[0][0]} is not an address: {_hex(first)}")
        found[name] = str(to_checksum_address(first[12:]))
    return found


def read_compilation(code: bytes) -> Compilation | None:
    """The compiler's record at the end of code (Solidity's metadata section); `None` if there is none."""
    match = _TRAILER.search(code[-_TRAILER_BYTES:])
    if match is None:
        return None
    return Compilation(".".join(str(part) for part in match[2]), base58.b58encode(match[1]).decode("ascii"))


def check_sources(artifact: Artifact) -> CheckResult:
    """Follow code to its sources without a compiler: the code names the metadata's hash, the metadata each source's.

    Args:
        artifact: The artifact whose code, metadata and sources are compared.
    """
    from eth_utils import keccak

    name = "sources"
    cid = block_cid_v0(artifact.metadata.encode())
    named = read_compilation(artifact.deployed_bytecode)
    if named is None or named.metadata != cid:
        shown = "none" if named is None else named.metadata
        return CheckResult(name, "fail", f"The code names the metadata {shown}, the package's has the address {cid}")
    sources = artifacts.standard_json_input()["sources"]
    wanted = json.loads(artifact.metadata)["sources"]
    wrong = [
        path
        for path, entry in wanted.items()
        if path not in sources or f"0x{keccak(text=sources[path]['content']).hex()}" != entry["keccak256"]
    ]
    if wrong:
        return CheckResult(
            name,
            "fail",
            f"{len(wrong)} sources are not the ones that the metadata names: {_some(wrong)}",
            {"wrong": [*wrong]},
        )
    return CheckResult(
        name, "pass", f"the code names the metadata {cid}, which names the {len(wanted)} sources in this package"
    )


@dataclass(frozen=True)
class _Creation:
    salt: str
    terms: bytes
    block: int


@dataclass
class _Inspector:
    connection: Connection
    address: str
    salt: str | None
    immutables: dict[str, str] = field(default_factory=dict)
    compilation: Compilation | None = None
    compiler: str | None = None
    terms: Terms | None = None

    def run(self) -> Inspection:
        from eth_utils import keccak

        self.block = self.connection.block("latest")
        self.expected = addresses.predicted()
        code = self._code(self.address)
        contract = self._resemblance(code)
        return Inspection(
            chain_id=self.connection.chain_id,
            address=self.address,
            block=self.block,
            contract=contract,
            code_bytes=len(code),
            code_hash=keccak(code).hex(),
            # Filled in while the checks run.
            checks=tuple(self._checks(contract, code)),
            compilation=self.compilation,
            compiler=self.compiler,
            immutables=self.immutables,
            factory=self.expected.factory,
            implementation=self.expected.implementation,
            terms=self.terms,
            salt=self.salt,
        )

    def _code(self, address: str) -> bytes:
        return self.connection.code(address, self.block.number)

    def _resemblance(self, code: bytes) -> str | None:
        """What it is or pretends to be."""
        if not code:
            return None
        if self.address == self.expected.factory:
            return "CampaignFactory"
        if self.address == self.expected.implementation:
            return "Campaign"
        template = zip(
            CLONE_HEAD + CLONE_TAIL, code[: len(CLONE_HEAD)] + code[CLONE_BYTES - len(CLONE_TAIL) :], strict=False
        )
        if sum(wanted == found for wanted, found in template) >= _CLONE_LIKENESS:
            return "campaign"
        for name in _CONTRACTS:
            artifact = artifacts.load(name)
            if (
                len(code) == len(artifact.deployed_bytecode)
                and code[:_SHOWN_BYTES] == artifact.deployed_bytecode[:_SHOWN_BYTES]
            ):
                return name
        return None

    def _checks(self, contract: str | None, code: bytes) -> Iterator[CheckResult]:
        if contract == "CampaignFactory":
            yield from self._check_part("CampaignFactory", self.address)
            yield from self._check_part("Campaign", self.expected.implementation)
        elif contract == "Campaign":
            yield from self._check_part("Campaign", self.address)
        elif contract == "campaign":
            yield from self._check_campaign(code)
        elif contract == court_arbiter.NAME:
            yield from self._check_arbiter(code)
        else:
            yield self._foreign(code)
            return
        yield check_sources(artifacts.load("Campaign" if contract == "campaign" else contract))
        yield self._recorded(contract)

    # --------------------------------------------------------------- the two contracts

    def _check_part(self, name: str, address: str) -> Iterator[CheckResult]:
        """One of the two contracts: its bytes, its immutables, its address."""
        artifact, what, code = artifacts.load(name), _PARTS[name], self._code(address)
        if not code:
            yield CheckResult(f"{what}-code", "fail", f"there is no code at {address}, where {name} should be")
            return
        if self.compiler is None:
            self.compilation, self.compiler = read_compilation(code), artifact.compiler
        difference = compare(artifact, code)
        yield _code_check(
            f"{what}-code",
            difference,
            f"all {len(code)} bytes at {address} are those of {name}, apart from its immutables",
            f"the {len(code)} bytes at {address} are not the {len(artifact.deployed_bytecode)} of {name}",
        )
        if difference is None:
            yield self._immutable_check(artifact, address, code)
        wanted = self.expected.factory if name == "CampaignFactory" else self.expected.implementation
        good = f"{address} is the address that follows from its code (CREATE2 by {addresses.CREATE2_DEPLOYER})"
        bad = f"it is at {address}; the real {name} is at {wanted} on every chain"
        holds = address == wanted
        yield CheckResult(f"{what}-address", "pass" if holds else "fail", good if holds else bad)

    def _immutable_check(self, artifact: Artifact, address: str, code: bytes) -> CheckResult:
        what = _PARTS[artifact.name]
        (name,) = artifact.immutable_references
        wanted = address if artifact.name == "Campaign" else self.expected.implementation
        places: list[JsonValue] = [start for start, _ in artifact.immutable_references[name]]
        try:
            value = read_immutables(artifact, code)[name]
        except VerificationError as error:
            return CheckResult(f"{what}-immutables", "fail", str(error), {"offsets": places})
        self.immutables[name] = value
        if value != wanted:
            detail = f"{name} at byte {places[0]} is {value} instead of {wanted}"
            return CheckResult(f"{what}-immutables", "fail", detail, {"offsets": places, "offset": places[0]})
        return CheckResult(f"{what}-immutables", "pass", f"{name} is {value}", {"offsets": places})

    # --------------------------------------------------------------------- an arbiter

    def _check_arbiter(self, code: bytes) -> Iterator[CheckResult]:
        """An arbiter that asks a court: its bytes, its immutables, its address, and what it asks."""
        artifact = artifacts.load(court_arbiter.NAME)
        self.compilation, self.compiler = read_compilation(code), artifact.compiler
        difference = compare(artifact, code)
        yield _code_check(
            "arbiter-code",
            difference,
            f"all {len(code)} bytes at {self.address} are those of {artifact.name}, apart from its immutables",
            f"the {len(code)} bytes at {self.address} are not the {len(artifact.deployed_bytecode)} of {artifact.name}",
        )
        if difference is not None:
            return
        name = "arbiter-immutables"
        found = court_arbiter.recognise(code)
        if found is None:
            factory = self.expected.factory
            detail = f"the code does not name one court, one reserve and the factory {factory} wherever it needs them"
            yield CheckResult(name, "fail", detail)
            return
        reserve = str(found.appeal_reserve)
        self.immutables.update(court=found.court, factory=self.expected.factory, appealReserve=reserve)
        yield CheckResult(name, "pass", f"court is {found.court}, appealReserve {reserve}, factory this package's")
        arbiter = arbiter_at(self.connection, self.address, self.block.number)
        if arbiter.asked is None:
            detail = "it is not at the address that follows from its code and from what it asks (CREATE2)"
            yield CheckResult("arbiter-address", "fail", f"{detail}: anything may be in its storage")
            return
        yield CheckResult("arbiter-address", "pass", "it follows from its code and from what it asks (CREATE2)")
        yield from arbiter_alone(arbiter)

    # --------------------------------------------------------------------- a campaign

    def _check_campaign(self, code: bytes) -> Iterator[CheckResult]:
        wanted = clone_code(self.expected.implementation)
        difference = _difference(wanted, code[:CLONE_BYTES])
        yield _code_check(
            "campaign-code",
            difference,
            f"its first {CLONE_BYTES} bytes delegate every call to {self.expected.implementation} (EIP-1167)",
            f"its first {CLONE_BYTES} bytes do not delegate every call to {self.expected.implementation}"
            + _delegate(code, difference),
        )
        yield from self._check_part("Campaign", self.expected.implementation)
        yield from self._check_part("CampaignFactory", self.expected.factory)
        packed = code[CLONE_BYTES:]
        try:
            self.terms = Terms.unpack(packed)
        except VerificationError as error:
            yield CheckResult("terms", "fail", f"from byte {CLONE_BYTES}: {error}", {"offset": CLONE_BYTES})
        else:
            yield CheckResult("terms", "pass", f"the {len(packed)} bytes from byte {CLONE_BYTES} are its terms")
        if difference is None:
            yield self._check_address(packed)

    def _check_address(self, packed: bytes) -> CheckResult:
        """Whether the address follows by CREATE2 from the factory, the campaign's code and the salt."""
        name = "campaign-address"
        source = "the given salt"
        if self.salt is None:
            creation = self._creation()
            if creation is None:
                detail = (
                    f"the factory {self.expected.factory} has no CampaignCreated event for {self.address}: it never "
                    "opened this, or the node does not keep old events (then pass the salt)"
                )
                return CheckResult(name, "fail", detail)
            self.salt, source = creation.salt, f"the salt of the event in block {creation.block}"
            difference = _difference(creation.terms, packed)
            if difference is not None:
                offset = CLONE_BYTES + difference.offset
                detail = (
                    f"its terms are not those that the factory announced: at byte {offset} of its code there is "
                    f"{_hex(difference.actual)} instead of {_hex(difference.expected)}"
                )
                return CheckResult(name, "fail", detail, {"offset": offset})
        if self.terms is None:
            return CheckResult(name, "unchecked", "without terms there is no address to compute")
        address = predict_address(self.expected.factory, self.expected.implementation, self.terms, self.salt)
        if address != self.address:
            detail = f"with {source}, the factory and these terms give the address {address} (CREATE2)"
            return CheckResult(name, "fail", detail)
        return CheckResult(name, "pass", f"it follows from the factory, the terms and {source} (CREATE2)")

    def _creation(self) -> _Creation | None:
        """The factory's event that announced the campaign."""
        interface = abi.contract("CampaignFactory")
        topics = [interface.topic("CampaignCreated"), f"0x{bytes(12).hex()}{self.address[2:].lower()}"]
        for first, last in self._spans():
            for log in self.connection.logs(self.expected.factory, topics=topics, first=first, last=last):
                decoded = interface.decode_log(log.topics, log.data)
                if decoded is not None:
                    return _Creation(decoded.values["salt"].hex(), bytes(decoded.values["terms"]), log.block)
        return None

    def _spans(self) -> Iterator[tuple[int, Block | int]]:
        """The blocks to search: where the states show that it was created, then those before a record's, if any."""
        try:
            first, last = search_range(self.connection, self.address, self.block)
            since = recorded_block(self.connection)
        except VerificationError:
            first, last, since = 0, self.block, 0
        yield first, last
        if since:
            yield 0, since - 1

    # -------------------------------------------------------------------- all the rest

    def _foreign(self, code: bytes) -> CheckResult:
        name = "code"
        if not code:
            ours = self.address in (self.expected.factory, self.expected.implementation)
            what = f"{PROJECT} is not deployed on this chain" if ours else "it is an account with a key, or unused"
            return CheckResult(name, "fail", f"there is no code at {self.address}: {what}")
        delegated = _DELEGATED.fullmatch(code)
        if delegated is not None:
            detail = f"{self.address} is an account with a key that delegates to 0x{delegated[1].hex()} (EIP-7702)"
            return CheckResult(name, "fail", detail)
        parts: list[str] = []
        offsets: dict[str, JsonValue] = {}
        for other in _CONTRACTS:
            difference = compare(artifacts.load(other), code)
            # Equal code would have been recognised.
            assert difference is not None
            parts.append(f"{other} {difference}")
            offsets[other] = difference.offset
        size = f"{len(code)} bytes" + (
            f", more than any contract may have ({MAX_CODE_BYTES}, EIP-170)" if len(code) > MAX_CODE_BYTES else ""
        )
        detail = f"its code ({size}) is not {PROJECT}'s. Compared with {', with '.join(parts)}"
        return CheckResult(name, "fail", detail, {"offsets": offsets})

    def _recorded(self, contract: str) -> CheckResult:
        """What this package's record of the chain says. It may help; nothing depends on it."""
        name = "record"
        try:
            recorded = addresses.known(self.connection.chain_id)
        except LlamafundError as error:
            return CheckResult(name, "warn", str(error))
        if recorded is None:
            return CheckResult(name, "warn", f"there is no record of chain {self.connection.chain_id}")
        if contract == court_arbiter.NAME:
            if self.address in recorded.arbiters:
                return CheckResult(name, "pass", "the record of this chain names it")
            return CheckResult(name, "warn", "the record of this chain does not name it: anyone can deploy arbiters")
        if contract != "campaign" and self.address not in (recorded.factory, recorded.implementation):
            detail = f"the record of this chain names {recorded.factory} and {recorded.implementation}, not this"
            return CheckResult(name, "warn", detail)
        since = "" if recorded.block is None else f", since block {recorded.block}"
        whose = "its factory" if contract == "campaign" else "it"
        return CheckResult(name, "pass", f"the record of this chain names {whose}{since}")


def _code_check(name: str, difference: Difference | None, good: str, bad: str) -> CheckResult:
    if difference is None:
        return CheckResult(name, "pass", good)
    return CheckResult(name, "fail", f"{bad}: {difference}", {"offset": difference.offset})


def _difference(expected: bytes, actual: bytes) -> Difference | None:
    if expected == actual:
        return None
    length = min(len(expected), len(actual))
    offset = next((i for i in range(length) if expected[i] != actual[i]), length)
    return Difference(offset, expected[offset : offset + _SHOWN_BYTES], actual[offset : offset + _SHOWN_BYTES])


def _delegate(code: bytes, difference: Difference | None) -> str:
    """The address that a look-alike delegates to, if it is a clone at all."""
    from eth_utils import to_checksum_address

    start, end = len(CLONE_HEAD), len(CLONE_HEAD) + 20
    if difference is None or not code.startswith(CLONE_HEAD) or code[end:CLONE_BYTES] != CLONE_TAIL:
        return ""
    return f" but to {to_checksum_address(code[start:end])}"


def _hex(data: bytes) -> str:
    return f"0x{data.hex()}" if data else "nothing"


def _some(names: Sequence[Any]) -> str:
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return ", ".join(str(name) for name in names[:_SHOWN_NAMES]) + more
