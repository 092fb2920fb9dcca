"""Gas of whole transactions, intrinsic cost included, from receipts of a real chain.

Three attestors, quorum two, three milestones, two payees; the artifacts that ship in the package. The chain's rules
are those of Ethereum since Osaka, where calldata has a floor price (EIP-7623), and its clock is set: each run gives the
same figures.

On the same chain runs what others ship for a part of this: OpenZeppelin's RefundEscrow, and EAS, which records
attestations. Both come compiled in their npm packages.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

from bench.harness import Reference, Row
from llamafund_chain.chain.devnet import Devnet
from llamafund_chain.deployment import artifacts
from llamafund_chain.errors import LlamafundError
from llamafund_chain.evidence.merkle import CHUNK_SIZE, leaf_hash, node_hash

DAY = 86_400
ETHER = 10**18
NO_MINIMUM = -(2**63)
ZERO = "0x" + "00" * 20

BOUNDS = {
    "create a campaign": 158_500,
    "create a campaign with an arbiter": 164_500,
    "first pledge, native coin": 54_800,
    "pledge again": 37_712,
    "activate": 77_147,
    "challenge a chunk, the first": 108_500,
    "challenge a chunk, the next": 87_500,
    "answer a challenge (16 KiB, 20-level path)": 705_530,
    "attest with 2 signatures, first milestone": 99_746,
    "attest with 2 signatures, later milestone": 62_603,
    "claim, first milestone": 63_044,
    "claim, later milestone": 47_758,
    "contest": 37_000,
    "rule": 37_000,
    "refund": 37_800,
}
FIRST_BLOCK = 2_000_000_000
"""Unix seconds of the first transaction: fixed, so that every digest and every byte of a signature is."""


PACKAGES = Path(__file__).resolve().parents[1] / "node_modules"
ESCROW = PACKAGES / "openzeppelin-contracts-4/build/contracts/RefundEscrow.json"
EAS = PACKAGES / "@ethereum-attestation-service/eas-contracts/artifacts/contracts"

LEVELS = 20
CONTENT_BYTES = CHUNK_SIZE << LEVELS
"""Of the attested content: 16 GiB, whose chunks have paths of 20 hashes."""
CHUNK = bytes(1 + n % 255 for n in range(CHUNK_SIZE))
"""Without a zero byte: those would cost less."""
PATH = [bytes([n + 1]) * 32 for n in range(LEVELS)]
CONTENT_ROOT = reduce(node_hash, PATH, leaf_hash(CHUNK))
"""Of a tree whose chunk 0 is CHUNK and has this path: each of the hashes is a sibling on the right."""


def run() -> Iterator[Row]:
    """Measure each operation on a development chain of its own.

    Raises:
        LlamafundError: No anvil was found, or it did not start; or node_modules lacks what others ship.
    """
    if not (ESCROW.is_file() and EAS.is_dir()):
        raise LlamafundError(
            f"There is no RefundEscrow or no EAS in {PACKAGES}", "They are measured beside the campaigns", "make setup"
        )
    with Devnet(hardfork="osaka") as devnet:
        yield from _Scenario(devnet).rows()


class _Scenario:
    """Campaigns that are paid out, that fail and that are refused, and what others ship."""

    def __init__(self, devnet: Devnet) -> None:
        from eth_account import Account
        from web3 import Web3

        self.devnet = devnet
        self.w3 = Web3(Web3.HTTPProvider(devnet.rpc_url))
        self.accounts = list(self.w3.eth.accounts)
        self.attestors = [Account.from_key(key.to_bytes(32, "big")) for key in (101, 102, 103)]
        self.factory = self._contract("CampaignFactory", devnet.deployment.factory)
        devnet.connection.request("anvil_setBlockTimestampInterval", 1)
        self._warp(FIRST_BLOCK)
        self.unit = Reference("plain transfer", self._plain_transfer())

    def rows(self) -> Iterator[Row]:
        researcher, backer, other, payee = (self.accounts[index] for index in range(4))
        campaign, gas = self._create(researcher, payee, salt=1)
        yield self._row("create a campaign", gas)
        pledge = campaign.functions.pledgeCoin(backer)
        yield self._row("first pledge of a campaign, native coin", self._send(pledge, backer, ETHER))
        first = self._send(campaign.functions.pledgeCoin(other), other, ETHER)
        yield self._row("first pledge, native coin", first)
        yield self._row("pledge again", self._send(pledge, backer, 8 * ETHER))
        yield self._row("activate", self._send(campaign.functions.activate(), researcher))
        parent = campaign.functions.terms().call()[10]
        for milestone in range(3):
            evidence = bytes([milestone + 1]) * 32
            attest = self._attest(campaign, milestone, evidence, parent)
            parent = evidence
            if milestone == 0:
                yield from self._challenge(campaign, backer)
            self._pass(2 * DAY)
            claim = self._send(campaign.functions.claim(1, payee), payee)
            label = "first milestone" if milestone == 0 else "later milestone"
            if milestone < 2:
                yield self._row(f"attest with 2 signatures, {label}", attest)
                yield self._row(f"claim, {label}", claim)
                yield self._row(f"attest and one payee's claim, {label}", attest + claim)
        failing, _ = self._create(researcher, payee, salt=2)
        for account in (backer, other):
            self._send(failing.functions.pledgeCoin(account), account, ETHER)
        self._pass(31 * DAY)
        yield self._row("refund", self._send(failing.functions.collectRefund(backer), backer))
        yield from self._silence(researcher, backer, payee)
        yield from self._dispute(researcher, backer, payee)
        yield from self._refund_escrow(backer, other)
        yield from self._eas()

    def _challenge(self, campaign: Any, backer: str) -> Iterator[Row]:
        """A challenge and its answer; another answer costs the same."""
        challenge = campaign.functions.challenge(CONTENT_ROOT, CONTENT_BYTES, 0)
        yield self._row("challenge a chunk, the first", self._send(challenge, backer, ETHER))
        answer = campaign.functions.answer(CONTENT_ROOT, CONTENT_BYTES, 0, CHUNK, PATH)
        yield self._row("answer a challenge (16 KiB, 20-level path)", self._send(answer, self.accounts[5]))

    def _dispute(self, researcher: str, backer: str, payee: str) -> Iterator[Row]:
        """The arbiter contests the last of three attestations and refuses it."""
        campaign, gas = self._create(researcher, payee, salt=4, arbiter=self.accounts[6])
        yield self._row("create a campaign with an arbiter", gas)
        self._send(campaign.functions.pledgeCoin(backer), backer, 10 * ETHER)
        self._send(campaign.functions.activate(), researcher)
        parent = campaign.functions.terms().call()[10]
        for milestone in range(3):
            evidence = bytes([milestone + 1]) * 32
            self._attest(campaign, milestone, evidence, parent)
            parent = evidence
            if milestone < 2:
                self._pass(2 * DAY)
        yield self._row("contest", self._send(campaign.functions.contest(), self.accounts[6]))
        yield self._row("rule", self._send(campaign.functions.rule(False), self.accounts[6]))

    def _refund_escrow(self, backer: str, other: str) -> Iterator[Row]:
        """OpenZeppelin's escrow: what a pledge and a refund cost there, without terms or milestones."""
        owner = self.accounts[0]
        escrow = self._deploy(ESCROW, owner)
        self._send(escrow.functions.deposit(backer), owner, ETHER)
        deposit = self._send(escrow.functions.deposit(other), owner, ETHER)
        yield self._row("RefundEscrow 4.9.6: first deposit", deposit)
        yield self._row("RefundEscrow 4.9.6: deposit again", self._send(escrow.functions.deposit(other), owner, ETHER))
        self._send(escrow.functions.enableRefunds(), owner)
        yield self._row("RefundEscrow 4.9.6: refund", self._send(escrow.functions.withdraw(other), owner))

    def _eas(self) -> Iterator[Row]:
        """EAS: recording the eight values of an attestation once, signed by nobody but the sender."""
        registry = self._deploy(EAS / "SchemaRegistry.sol/SchemaRegistry.json")
        eas = self._deploy(EAS / "EAS.sol/EAS.json", registry.address)
        types = ["uint8", "uint8", "bytes32", "bytes32", "bytes32", "uint64", "int64", "uint64"]
        names = ("milestone", "kind", "evidence", "parent", "contentRoot", "contentSize", "score", "expiry")
        fields = ",".join(f"{kind} {name}" for kind, name in zip(types, names, strict=True))
        register = registry.functions.register(fields, ZERO, False)
        schema = register.call()
        self._send(register, self.accounts[0])
        values = (1, 1, bytes([2]) * 32, bytes([1]) * 32, CONTENT_ROOT, CONTENT_BYTES, -2_400_000, FIRST_BLOCK)
        data = self.w3.codec.encode(types, values)
        attest = eas.functions.attest((schema, (self.accounts[3], 0, False, bytes(32), data, 0)))
        yield self._row("EAS 1.9.0: attest", self._send(attest, self.accounts[0]))

    def _deploy(self, artifact: Path, *arguments: str) -> Any:
        """Deploy what a package ships compiled."""
        compiled = json.loads(artifact.read_text(encoding="utf-8"))
        factory = self.w3.eth.contract(abi=compiled["abi"], bytecode=compiled["bytecode"])
        receipt = self._receipt(factory.constructor(*arguments).transact({"from": self.accounts[0]}))
        return self.w3.eth.contract(address=receipt["contractAddress"], abi=compiled["abi"])

    def _silence(self, researcher: str, backer: str, payee: str) -> Iterator[Row]:
        """A second challenge, and taking a bond back in a campaign that failed because nobody answered."""
        campaign, _ = self._create(researcher, payee, salt=3)
        self._send(campaign.functions.pledgeCoin(backer), backer, 10 * ETHER)
        self._send(campaign.functions.activate(), researcher)
        self._attest(campaign, 0, bytes([1]) * 32, campaign.functions.terms().call()[10])
        self._send(campaign.functions.challenge(CONTENT_ROOT, CONTENT_BYTES, 0), backer, ETHER)
        challenge = campaign.functions.challenge(CONTENT_ROOT, CONTENT_BYTES, 1)
        yield self._row("challenge a chunk, the next", self._send(challenge, backer, ETHER))
        self._pass(DAY)
        yield self._row("return a bond", self._send(campaign.functions.returnBond(0, backer), backer))

    def _pass(self, seconds: int) -> None:
        self._warp(int(self.w3.eth.get_block("latest")["timestamp"]) + seconds)

    def _warp(self, moment: int) -> None:
        self.devnet.connection.request("evm_setNextBlockTimestamp", moment)
        self.devnet.connection.request("evm_mine")

    def _row(self, name: str, gas: int) -> Row:
        return Row(name=name, value=gas, unit="gas", reference=self.unit, bound=BOUNDS.get(name))

    def _contract(self, name: str, address: str) -> Any:
        return self.w3.eth.contract(address=self.w3.to_checksum_address(address), abi=artifacts.load(name).abi)

    def _receipt(self, transaction: Any) -> Any:
        receipt = self.w3.eth.wait_for_transaction_receipt(transaction)
        if receipt["status"] != 1:
            raise RuntimeError(f"transaction {transaction.hex()} reverted: the figures would mean nothing")
        return receipt

    def _send(self, call: Any, sender: str, value: int = 0) -> int:
        return int(self._receipt(call.transact({"from": sender, "value": value}))["gasUsed"])

    def _plain_transfer(self) -> int:
        from web3.types import Wei

        sender, recipient = self.accounts[8], self.accounts[9]
        transfer = self.w3.eth.send_transaction({"from": sender, "to": recipient, "value": Wei(1)})
        return int(self._receipt(transfer)["gasUsed"])

    def _create(self, researcher: str, payee: str, salt: int, arbiter: str = ZERO) -> tuple[Any, int]:
        now = int(self.w3.eth.get_block("latest")["timestamp"])
        terms = {
            "researcher": researcher,
            "asset": ZERO,
            "goal": 10 * ETHER,
            "cap": 100 * ETHER,
            "fundingDeadline": now + 30 * DAY,
            "stopBps": 5_000,
            "challengeWindow": 2 * DAY,
            "answerWindow": DAY,
            "minBond": ETHER // 100,
            "slack": 14 * DAY,
            "proposal": bytes(range(1, 33)),
            "dataset": bytes([1]) * 32,
            "attestors": [account.address for account in self.attestors],
            "quorum": 2,
            "payees": [(researcher, 7_000), (payee, 3_000)],
            "milestones": [
                (0, 2_000, now + 40 * DAY, NO_MINIMUM),
                (1, 3_000, now + 50 * DAY, -3_000_000),
                (2, 5_000, now + 60 * DAY, -2_500_000),
            ],
            "arbiter": arbiter,
            "rulingWindow": 30 * DAY if arbiter != ZERO else 0,
        }
        create = self.factory.functions.createCampaign(terms, salt.to_bytes(32, "big"))
        receipt = self._receipt(create.transact({"from": researcher}))
        (event,) = self.factory.events.CampaignCreated().process_receipt(receipt)
        return self._contract("Campaign", event["args"]["campaign"]), int(receipt["gasUsed"])

    def _attest(self, campaign: Any, milestone: int, evidence: bytes, parent: bytes) -> int:
        expiry = int(self.w3.eth.get_block("latest")["timestamp"]) + 7 * DAY
        attestation = (milestone, milestone, evidence, parent, CONTENT_ROOT, CONTENT_BYTES, -2_400_000, expiry)
        digest = campaign.functions.attestationDigest(attestation).call()
        signatures = [account.unsafe_sign_hash(digest).signature for account in self.attestors[:2]]
        return self._send(campaign.functions.attest(attestation, 0b011, signatures), self.accounts[0])
