"""The people, the chain and the campaigns that contract tests speak about."""

from __future__ import annotations

import http.client
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest
from content import Content
from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import HTTPProvider, Web3
from web3.types import RPCEndpoint

from llamafund_chain.chain import abi
from llamafund_chain.chain.abi import Interface
from llamafund_chain.chain.devnet import Devnet
from llamafund_chain.deployment import artifacts

ETHER = 10**18
DAY = 86_400
ZERO = "0x" + "00" * 20
NO_MINIMUM = -(2**63)
DATASET, CHECKPOINT, WEIGHTS = range(3)
FUNDING, ACTIVE, COMPLETED, FAILED = range(4)
PROPOSAL = bytes.fromhex("11" * 32)
DATA = bytes.fromhex("da" * 32)
GAS = 8_000_000
WITH_LISTS = {"eip712Domain", "terms"}
"""What `World.read` would return with tuples in place of lists."""

ATTESTATION_TYPES = {
    "MilestoneAttestation": [
        {"name": "milestone", "type": "uint8"},
        {"name": "kind", "type": "uint8"},
        {"name": "evidence", "type": "bytes32"},
        {"name": "parent", "type": "bytes32"},
        {"name": "contentRoot", "type": "bytes32"},
        {"name": "contentSize", "type": "uint64"},
        {"name": "score", "type": "int64"},
        {"name": "expiry", "type": "uint64"},
    ]
}


class RevertedError(Exception):
    """A transaction or call that the chain reverted; a transaction has cost its sender so many wei."""

    def __init__(self, name: str, arguments: tuple[Any, ...]) -> None:
        super().__init__(f"{name}{arguments}")
        self.name = name
        self.arguments = arguments
        self.cost = 0


@contextmanager
def refused(name: str, *arguments: Any) -> Iterator[None]:
    """Expect a revert with this error and, where any are given, these arguments.

    `name` is a custom error's name, "Error" for a reason string, "Panic", or "" for a revert without data.
    """
    with pytest.raises(RevertedError) as caught:
        yield
    assert caught.value.name == name, f"refused with {caught.value}, not with {name}"
    if arguments:
        assert caught.value.arguments == arguments, f"refused with {caught.value}, not with {arguments}"


class World:
    """One chain with the factory on it.

    Time stands still between transactions: each one is a second after the one before, unless it names its time.
    """

    def __init__(self, devnet: Devnet, project: Any) -> None:
        self.devnet = devnet
        self.project = project
        self.w3 = Web3(
            HTTPProvider(devnet.rpc_url, cache_allowed_requests=True, cacheable_requests={RPCEndpoint("eth_chainId")})
        )
        # Beside it: web3.py takes several times as long for the same requests.
        self._line = http.client.HTTPConnection(devnet.rpc_url.removeprefix("http://"))
        (
            self.researcher,
            self.compute,
            self.verifier,
            self.stranger,
            self.backer0,
            self.backer1,
            self.backer2,
            self.elsewhere,
            self.arbiter,
            *_,
        ) = self.w3.eth.accounts
        self.attestors: list[LocalAccount] = [Account.from_key(f"0x{n:064x}") for n in (101, 102, 103)]
        self.factory = self.w3.eth.contract(
            address=devnet.deployment.factory, abi=artifacts.load("CampaignFactory").abi
        )
        self.implementation = self.campaign_at(devnet.deployment.implementation)
        self._errors = [Interface(artifacts.load(name).abi) for name in ("Campaign", "CampaignFactory", "DevToken")]
        own = ("BlocklistToken", "CourtArbiter", "FlashLender", "MockCourt", "Puppet", "RebasingToken", "Wallet")
        self._errors += [Interface(project[name].abi) for name in own]
        self._salts = itertools.count(1)

    # ------------------------------------------------------------------- time

    def now(self) -> int:
        """Time of the latest block, unix seconds."""
        return self.time_of("latest")

    def time_of(self, block: int | str) -> int:
        """Time of a block, unix seconds."""
        which = hex(block) if isinstance(block, int) else block
        return int(self.rpc("eth_getBlockByNumber", which, False)["timestamp"], 16)

    def warp(self, moment: int) -> None:
        """Mine a block at that time, so that calls see it."""
        self.rpc("evm_setNextBlockTimestamp", moment)
        self.rpc("evm_mine")

    def rpc(self, method: str, *parameters: Any) -> Any:
        answer = self._answer(method, *parameters)
        assert "error" not in answer, answer
        return answer["result"]

    def _answer(self, method: str, *parameters: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
        self._line.request("POST", "/", body, {"Content-Type": "application/json"})
        return json.loads(self._line.getresponse().read())

    # ----------------------------------------------------------- transactions

    def send(
        self,
        call: Any,
        sender: str,
        *,
        value: int = 0,
        at: int | None = None,
        gas: int = GAS,
        base_fee: int | None = None,
    ) -> Any:
        """Send a call as a transaction in a block at a given time, and return the receipt.

        With a base fee, wei for each unit of gas, the block has it and the transaction pays just that.

        Raises:
            RevertedError: It reverted.
        """
        transaction = {"from": sender, "to": call.address, "data": data_of(call), "gas": gas}
        return self.transact(transaction, value=value, at=at, base_fee=base_fee)

    def transact(
        self, transaction: Mapping[str, Any], *, value: int = 0, at: int | None = None, base_fee: int | None = None
    ) -> Any:
        self.rpc("evm_setNextBlockTimestamp", at if at is not None else self.now() + 1)
        fields = {key: transaction[key] for key in ("from", "to", "data", "gas") if key in transaction}
        if base_fee is not None:
            self.rpc("anvil_setNextBlockBaseFeePerGas", hex(base_fee))
            fields["gasPrice"] = base_fee
        digest = self.w3.eth.send_transaction({"gas": GAS, **fields, "value": value})  # type: ignore[typeddict-item]
        receipt = self.w3.eth.wait_for_transaction_receipt(digest, poll_latency=0.005)
        if receipt["status"] != 1:
            trace = self.rpc("debug_traceTransaction", "0x" + bytes(digest).hex(), {"tracer": "callTracer"})
            refusal = self._refusal(trace.get("output", "0x"))
            refusal.cost = receipt["gasUsed"] * receipt["effectiveGasPrice"]
            raise refusal
        return receipt

    def call(self, call: Any, sender: str | None = None) -> Any:
        """Call at the latest block.

        Raises:
            RevertedError: It reverted.
        """
        from web3.exceptions import ContractLogicError

        try:
            return call.call({"from": sender or self.stranger})
        except ContractLogicError as error:
            raise self._refusal(str(error.data)) from error

    def read(self, address: str, interface: Interface, name: str, *arguments: Any) -> Any:
        """What a function of a contract returns at the latest block.

        Raises:
            RevertedError: It reverted.
        """
        data = f"0x{interface.encode(name, *arguments).hex()}"
        answer = self._answer("eth_call", {"from": self.stranger, "to": address, "data": data}, "latest")
        if "error" in answer:
            raise self._refusal(str(answer["error"].get("data")))
        values = interface.decode_output(name, bytes.fromhex(answer["result"][2:]))
        shown = [_checksummed(value) for value in values]
        return shown[0] if len(shown) == 1 else shown

    def _refusal(self, output: str) -> RevertedError:
        data = bytes.fromhex(output[2:]) if output.startswith("0x") else b""
        if data[:4] == bytes.fromhex("08c379a0"):
            return RevertedError("Error", tuple(self.w3.codec.decode(["string"], data[4:])))
        if data[:4] == bytes.fromhex("4e487b71"):
            return RevertedError("Panic", tuple(self.w3.codec.decode(["uint256"], data[4:])))
        for interface in self._errors:
            decoded = interface.decode_error(data)
            if decoded is not None:
                return RevertedError(decoded.name, tuple(_checksummed(value) for value in decoded.values.values()))
        return RevertedError("0x" + data.hex() if data else "", ())

    def balance(self, account: str) -> int:
        return int(self.w3.eth.get_balance(account))

    # ---------------------------------------------------------------- builders

    def terms(self, **overrides: Any) -> dict[str, Any]:
        """Terms that the factory accepts: goal 10 and cap 20 ether, three attestors, two payees, three milestones."""
        now = self.now()
        terms = {
            "researcher": self.researcher,
            "asset": ZERO,
            "goal": 10 * ETHER,
            "cap": 20 * ETHER,
            "fundingDeadline": now + 30 * DAY,
            "stopBps": 5_000,
            "challengeWindow": 3 * DAY,
            "answerWindow": 2 * DAY,
            "minBond": ETHER // 100,
            "slack": 20 * DAY,
            "proposal": PROPOSAL,
            "dataset": DATA,
            "attestors": [attestor.address for attestor in self.attestors],
            "quorum": 2,
            "payees": [(self.compute, 7_000), (self.verifier, 3_000)],
            "milestones": [
                (DATASET, 2_000, now + 60 * DAY, NO_MINIMUM),
                (CHECKPOINT, 3_000, now + 90 * DAY, -3_000_000),
                (WEIGHTS, 5_000, now + 120 * DAY, -2_500_000),
            ],
            "arbiter": ZERO,
            "rulingWindow": 0,
        }
        unknown = overrides.keys() - terms.keys()
        assert not unknown, f"no such terms: {unknown}"
        return {**terms, **overrides}

    def create(self, terms: Mapping[str, Any], salt: bytes | None = None, sender: str | None = None) -> Campaign:
        """Open a campaign with exactly these terms."""
        salt = next(self._salts).to_bytes(32, "big") if salt is None else salt
        receipt = self.send(self.factory.functions.createCampaign(terms, salt), sender or self.researcher)
        (event,) = self.factory.events.CampaignCreated().process_receipt(receipt)
        return Campaign(self, terms, salt, self.campaign_at(event["args"]["campaign"]))

    def open(self, **overrides: Any) -> Campaign:
        """Open a campaign with the usual terms, except for these."""
        return self.create(self.terms(**overrides))

    def campaign_at(self, address: str) -> Any:
        return self.w3.eth.contract(address=Web3.to_checksum_address(address), abi=artifacts.load("Campaign").abi)

    def deploy(
        self, name: str, *arguments: Any, value: int = 0, at: int | None = None, base_fee: int | None = None
    ) -> Any:
        """Deploy one of the contracts in contracts/test, as brownie compiled it."""
        container = self.project[name]
        factory = self.w3.eth.contract(abi=container.abi, bytecode=container.bytecode)
        data = factory.constructor(*arguments).data_in_transaction
        receipt = self.transact({"from": self.stranger, "data": data}, value=value, at=at, base_fee=base_fee)
        # None for a contract that is gone when its constructor ends.
        address = receipt["contractAddress"]
        return self.w3.eth.contract(address=address, abi=container.abi) if address else None

    def token(self, name: str = "DevToken", holders: Sequence[str] | None = None, decimals: int = 18) -> Any:
        """Deploy a token and give 10**20 of its smallest units to each backer; only DevToken has these decimals."""
        arguments = ("Dollar", "USD", decimals) if name == "DevToken" else ()
        token = self.deploy(name, *arguments)
        for holder in (self.backer0, self.backer1, self.backer2) if holders is None else holders:
            self.send(token.functions.mint(holder, 100 * ETHER), self.stranger)
        return token

    def sign(self, attestor: int | LocalAccount, digest: bytes) -> bytes:
        account = self.attestors[attestor] if isinstance(attestor, int) else attestor
        return bytes(account.unsafe_sign_hash(digest).signature)


@dataclass(frozen=True)
class Campaign:
    """A campaign and the terms that it was opened with."""

    world: World
    terms: Mapping[str, Any]
    salt: bytes
    contract: Any

    @property
    def address(self) -> str:
        return str(self.contract.address)

    @cached_property
    def functions(self) -> Any:
        return self.contract.functions

    # ------------------------------------------------------------------ backers

    def pledge(self, backer: str, amount: int, *, payer: str | None = None, at: int | None = None) -> Any:
        return self.world.send(self.functions.pledgeCoin(backer), payer or backer, value=amount, at=at)

    def pledge_token(self, token: Any, backer: str, amount: int, *, at: int | None = None) -> Any:
        """Approve and pledge."""
        self.world.send(token.functions.approve(self.address, amount), backer)
        return self.world.send(self.functions.pledgeToken(backer, amount), backer, at=at)

    def unpledge(self, backer: str, amount: int, recipient: str | None = None, *, at: int | None = None) -> Any:
        return self.world.send(self.functions.unpledge(amount, recipient or backer), backer, at=at)

    def vote(self, backer: str, support: bool = True, *, at: int | None = None) -> Any:
        return self.world.send(self.functions.voteStop(support), backer, at=at)

    def refund(self, backer: str, *, by: str | None = None, at: int | None = None) -> Any:
        return self.world.send(self.functions.collectRefund(backer), by or backer, at=at)

    def refund_to(self, backer: str, recipient: str, *, at: int | None = None) -> Any:
        return self.world.send(self.functions.refundTo(recipient), backer, at=at)

    # --------------------------------------------------------------- researcher

    def activate(self, *, by: str | None = None, at: int | None = None) -> Any:
        return self.world.send(self.functions.activate(), by or self.world.researcher, at=at)

    def extend(self, seconds: int, *, by: str | None = None, at: int | None = None) -> Any:
        return self.world.send(self.functions.extendDeadlines(seconds), by or self.world.researcher, at=at)

    def post_update(self, manifest: bytes, *, by: str | None = None) -> Any:
        return self.world.send(self.functions.postUpdate(manifest), by or self.world.researcher)

    # -------------------------------------------------------- attestors, payees

    def attestation(self, milestone: int | None = None, **overrides: Any) -> dict[str, Any]:
        """The attestation that the campaign waits for, or another."""
        index = self.ledger["attested"] if milestone is None else milestone
        kind = self.terms["milestones"][index][0] if index < len(self.terms["milestones"]) else WEIGHTS
        attestation = {
            "milestone": index,
            "kind": kind,
            "evidence": self.terms["dataset"]
            if kind == DATASET and any(self.terms["dataset"])
            else _word(0xE0 + index),
            "parent": self.read("latestEvidence"),
            "contentRoot": _word(0xC0 + index),
            "contentSize": 5_000_000_000,
            "score": -2_400_000,
            "expiry": self.world.now() + 3_650 * DAY,
        }
        unknown = overrides.keys() - attestation.keys()
        assert not unknown, f"no such field: {unknown}"
        return {**attestation, **overrides}

    def digest(self, attestation: Mapping[str, Any]) -> bytes:
        return bytes(self.functions.attestationDigest(attestation).call())

    def submit(
        self,
        attestation: Mapping[str, Any],
        signers: int = 0b011,
        signatures: Sequence[bytes] | None = None,
        *,
        at: int | None = None,
        by: str | None = None,
    ) -> Any:
        """Submit an attestation; the usual attestors sign where no signatures are given."""
        if signatures is None:
            digest = self.digest(attestation)
            signatures = [self.world.sign(i, digest) for i in range(3) if signers >> i & 1]
        call = self.functions.attest(attestation, signers, list(signatures))
        return self.world.send(call, by or self.world.stranger, at=at)

    def attest(self, *, at: int | None = None, **overrides: Any) -> Any:
        """Attest the next milestone, by default as soon as the window of the one before is over."""
        if at is None:
            ledger = self.ledger
            at = max(self.world.now() + 1, ledger["attestedAt"] + self.terms["challengeWindow"])
        return self.submit(self.attestation(**overrides), at=at)

    def claim(self, payee: int, recipient: str | None = None, *, by: str | None = None, at: int | None = None) -> Any:
        account = self.terms["payees"][payee][0] if payee < len(self.terms["payees"]) else self.world.stranger
        return self.world.send(self.functions.claim(payee, recipient or account), by or account, at=at)

    # ----------------------------------------------------------------- challenges

    def attest_content(self, content: Content, *, at: int | None = None, **overrides: Any) -> Any:
        """Attest the next milestone with this content."""
        return self.attest(at=at, contentRoot=content.root, contentSize=content.size, **overrides)

    def challenge(
        self, content: Content, chunk: int, *, by: str | None = None, bond: int | None = None, at: int | None = None
    ) -> Any:
        """Challenge a chunk; backer 0 does, with the least bond."""
        call = self.functions.challenge(content.root, content.size, chunk)
        value = self.read("requiredBond") if bond is None else bond
        return self.world.send(call, by or self.world.backer0, value=value, at=at)

    def answer(
        self,
        content: Content,
        chunk: int,
        *,
        data: bytes | None = None,
        path: Sequence[bytes] | None = None,
        by: str | None = None,
        at: int | None = None,
    ) -> Any:
        """Show a chunk with its path; a stranger does."""
        shown = content.chunk(chunk) if data is None else data
        proof = content.path(chunk) if path is None else path
        call = self.functions.answer(content.root, content.size, chunk, shown, list(proof))
        return self.world.send(call, by or self.world.stranger, at=at)

    def contest(self, *, by: str | None = None, at: int | None = None) -> Any:
        return self.world.send(self.functions.contest(), by or self.world.arbiter, at=at)

    def rule(self, upheld: bool, *, by: str | None = None, at: int | None = None) -> Any:
        return self.world.send(self.functions.rule(upheld), by or self.world.arbiter, at=at)

    def return_bond(self, chunk: int, recipient: str | None = None, *, by: str | None = None) -> Any:
        challenger = by or self.world.backer0
        return self.world.send(self.functions.returnBond(chunk, recipient or challenger), challenger)

    @property
    def answer_by(self) -> int:
        """The second from which the oldest open challenge counts as unanswered."""
        return int(self.ledger["challengedAt"] + self.terms["answerWindow"])

    # ------------------------------------------------------------------ stories

    def funded(self) -> Campaign:
        """Backers 0 and 1 pledge 6 and 4 ether: the goal exactly."""
        self.pledge(self.world.backer0, 6 * ETHER)
        self.pledge(self.world.backer1, 4 * ETHER)
        return self

    def activated(self) -> Campaign:
        self.activate()
        return self

    def attested(self, count: int) -> Campaign:
        """Attest the next milestones, each as soon as it can be."""
        for _ in range(count):
            self.attest()
        return self

    def window_passed(self) -> Campaign:
        """Go to the first second after the latest attestation's window."""
        self.world.warp(self.window_end)
        return self

    def overdue(self) -> Campaign:
        """Go to the deadline of the milestone that comes next."""
        self.world.warp(self.read("deadlineOf", self.ledger["attested"]))
        return self

    def votes_open(self) -> Campaign:
        """Go to the first second at which votes are taken, a day after activation; nothing to do when it has passed."""
        if self.world.now() < self.votes_from:
            self.world.warp(self.votes_from)
        return self

    def stopped(self) -> Campaign:
        """The larger backer stops it, once votes are taken."""
        self.votes_open().vote(self.world.backer0)
        return self

    # -------------------------------------------------------------------- state

    def read(self, name: str, *arguments: Any) -> Any:
        if name in WITH_LISTS:
            return self.world.call(self.functions[name](*arguments))
        return self.world.read(self.contract.address, abi.contract("Campaign"), name, *arguments)

    @property
    def status(self) -> int:
        return int(self.read("status"))

    @property
    def votes_from(self) -> int:
        """The second from which votes are taken; 0 before activation."""
        return int(self.read("votesFrom"))

    @property
    def ledger(self) -> dict[str, Any]:
        names = (
            "pledged",
            "attestedAt",
            "challengedAt",
            "slackUsed",
            "attested",
            "active",
            "stopped",
            "withheld",
            "contested",
        )
        return dict(zip(names, self.read("ledger"), strict=True))

    @property
    def window_end(self) -> int:
        ledger = self.ledger
        ruling = self.terms["rulingWindow"] if ledger["contested"] else 0
        return int(ledger["attestedAt"] + self.terms["challengeWindow"] + ruling)

    @property
    def held(self) -> int:
        """What the escrow holds of its asset."""
        if self.terms["asset"] == ZERO:
            return self.world.balance(self.address)
        token = self.world.w3.eth.contract(address=self.terms["asset"], abi=artifacts.load("DevToken").abi)
        return int(token.functions.balanceOf(self.address).call())

    def events(self, name: str, receipt: Any) -> list[dict[str, Any]]:
        from web3.logs import DISCARD

        return [dict(log["args"]) for log in self.contract.events[name]().process_receipt(receipt, errors=DISCARD)]


def data_of(call: Any) -> bytes:
    """The call data of a contract function."""
    return bytes.fromhex(call.build_transaction({"gas": 1, "gasPrice": 0, "nonce": 0, "chainId": 1})["data"][2:])


def _word(number: int) -> bytes:
    return bytes([number % 256]) * 32


def _checksummed(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_checksummed, value))
    return Web3.to_checksum_address(value) if isinstance(value, str) and value.startswith("0x") else value
