"""Gas of whole transactions, intrinsic cost included, from receipts of a real chain.

Three attestors, quorum two, three milestones, two payees; the artifacts that ship in the package.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.harness import Reference, Row
from llamafund_chain import artifacts
from llamafund_chain.devnet import Devnet

DAY = 86_400
ETHER = 10**18
NO_MINIMUM = -(2**63)

BOUNDS = {
    "create a campaign": 150_000,
    "first pledge, native coin": 55_300,
    "pledge again": 38_200,
    "attest with 2 signatures, later milestone": 70_000,
    "attest and one payee's claim, later milestone": 115_000,
    "refund": 37_800,
}


def run() -> Iterator[Row]:
    """Measure each operation on a development chain of its own.

    Raises:
        LlamafundError: No anvil was found, or it did not start.
    """
    with Devnet() as devnet:
        yield from _Scenario(devnet).rows()


class _Scenario:
    """Two campaigns: one that is paid out, one that fails and is refunded."""

    def __init__(self, devnet: Devnet) -> None:
        from eth_account import Account
        from web3 import Web3

        self.devnet = devnet
        self.w3 = Web3(Web3.HTTPProvider(devnet.rpc_url))
        self.accounts = list(self.w3.eth.accounts)
        self.attestors = sorted((Account.create() for _ in range(3)), key=lambda account: int(account.address, 16))
        self.factory = self._contract("CampaignFactory", devnet.deployment.factory)
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
            self.devnet.advance(2 * DAY)
            claim = self._send(campaign.functions.claim(1, payee), payee)
            label = "first milestone" if milestone == 0 else "later milestone"
            if milestone < 2:
                yield self._row(f"attest with 2 signatures, {label}", attest)
                yield self._row(f"claim, {label}", claim)
                yield self._row(f"attest and one payee's claim, {label}", attest + claim)
        failing, _ = self._create(researcher, payee, salt=2)
        for account in (backer, other):
            self._send(failing.functions.pledgeCoin(account), account, ETHER)
        self.devnet.advance(31 * DAY)
        yield self._row("refund", self._send(failing.functions.collectRefund(backer), backer))

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

    def _create(self, researcher: str, payee: str, salt: int) -> tuple[Any, int]:
        now = int(self.w3.eth.get_block("latest")["timestamp"])
        terms = {
            "researcher": researcher,
            "asset": "0x" + "00" * 20,
            "goal": 10 * ETHER,
            "cap": 100 * ETHER,
            "fundingDeadline": now + 30 * DAY,
            "stopBps": 5_000,
            "challengeWindow": 2 * DAY,
            "responseWindow": DAY,
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
        }
        create = self.factory.functions.createCampaign(terms, salt.to_bytes(32, "big"))
        receipt = self._receipt(create.transact({"from": researcher}))
        (event,) = self.factory.events.CampaignCreated().process_receipt(receipt)
        return self._contract("Campaign", event["args"]["campaign"]), int(receipt["gasUsed"])

    def _attest(self, campaign: Any, milestone: int, evidence: bytes, parent: bytes) -> int:
        expiry = int(self.w3.eth.get_block("latest")["timestamp"]) + 7 * DAY
        root = bytes([0xAA]) * 32
        attestation = (milestone, milestone, evidence, parent, root, 5_000_000_000, -2_400_000, expiry)
        digest = campaign.functions.attestationDigest(attestation).call()
        signatures = [account.unsafe_sign_hash(digest).signature for account in self.attestors[:2]]
        return self._send(campaign.functions.attest(attestation, 0b011, signatures), self.accounts[0])
