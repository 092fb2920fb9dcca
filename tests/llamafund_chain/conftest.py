"""Hand-made evidence: small trees that have the form of a training run, without any training."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from llamafund_chain.campaign.attestation import Attestation, propose
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.factory import create_campaign
from llamafund_chain.campaign.promised import bind
from llamafund_chain.campaign.refusals import explain
from llamafund_chain.campaign.terms import MIN_BOND, Milestone, MilestoneKind, Payee, Terms
from llamafund_chain.chain.abi import Interface
from llamafund_chain.chain.connection import Connection
from llamafund_chain.chain.data_fees import ARBITRUM_GAS_INFO, ARBITRUM_NODE, OP_STACK_ORACLE, SCROLL_ORACLE
from llamafund_chain.chain.devnet import Devnet
from llamafund_chain.chain.tokens import NATIVE
from llamafund_chain.deployment.court_arbiter import CourtArbiter
from llamafund_chain.evidence.hashing import hash_tree
from llamafund_chain.evidence.manifests import (
    CheckpointManifest,
    Content,
    DatasetManifest,
    DatasetPromise,
    EvidenceManifest,
    ExpectedOutcome,
    FileEntry,
    MilestonePromise,
    Party,
    ProposalManifest,
    StepRange,
    WeightsManifest,
)
from llamafund_chain.store import LocalStore
from llamafund_chain.store.content import publish_manifest, publish_tree
from llamafund_chain.store.dataset import build_dataset

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

METRIC = "heldout_bits_per_byte"
ROOT = Path(__file__).resolve().parents[2]
SOLC = ROOT / ".venv" / "solc" / "solc-v0.8.37"
RECIPE = (
    b"schema: llamafund/recipe/1\nenvironment: {processor_class: Apple M2}\n# Hand-made: nothing was trained with it.\n"
)


@dataclass
class HandMadeRun:
    """The researcher's side of a campaign whose training is made up.

    Attributes:
        proposal: Published by `propose`.
        checkpoints: Published by `train`, oldest first; the last one is attested.
        weights: Published by `export`.
        filling: Bytes by which each tree is larger, for content of many chunks.
    """

    folder: Path
    store: LocalStore
    dataset: DatasetManifest = field(init=False)
    recipe: str = field(init=False)
    proposal: ProposalManifest = field(init=False, repr=False)
    checkpoints: list[CheckpointManifest] = field(default_factory=list)
    weights: WeightsManifest = field(init=False, repr=False)
    filling: int = 0

    def __post_init__(self) -> None:
        data = self.folder / "data"
        for part, texts in {"train": ("one", "two", "three"), "heldout": ("four",)}.items():
            (data / part).mkdir(parents=True)
            for text in texts:
                (data / part / f"{text}.txt").write_text(f"The number {text} as a document.\n" * 20)
        self.dataset = build_dataset(
            data,
            title="Numbers in words",
            source="written by hand",
            license="CC0-1.0",
            preparation="none",
            store=self.store,
        )
        self.recipe = self.store.put_bytes(RECIPE).sha256

    def propose(self, researcher: str, attestors: Sequence[str], /, **changes: object) -> ProposalManifest:
        values: dict[str, object] = {
            "title": "A model of numbers",
            "summary": "Four documents, one model, open weights.",
            "objectives": ("show that the audit works",),
            "outcome": ExpectedOutcome(
                metric=METRIC, direction="lower", target=3_000_000, evaluation="mean over the held-out part"
            ),
            "dataset": DatasetPromise(
                manifest=self.dataset.sha256,
                description="numbers in words",
                sources=("written by hand",),
                license="CC0-1.0",
            ),
            "model": "none: hand-made",
            "recipe": self.recipe,
            "compute": "one laptop",
            "budget": "one coin",
            "milestones": (
                MilestonePromise(kind="DATASET", title="The data", description="collected"),
                MilestonePromise(kind="CHECKPOINT", title="The run", description="trained"),
                MilestonePromise(kind="WEIGHTS", title="The weights", description="published"),
            ),
            "license": "Apache-2.0",
            "researcher": Party(name="Rosalind", address=researcher),
            "attestors": tuple(
                Party(name=f"Attestor {index}", address=address, promise="re-hash everything")
                for index, address in enumerate(attestors)
            ),
        }
        return self.publish(ProposalManifest.model_validate({**values, **changes}))

    def publish(self, proposal: ProposalManifest) -> ProposalManifest:
        self.proposal = proposal
        publish_manifest(self.store, proposal)
        return proposal

    def train(self, seed: str, *, parent: str | None = None, steps: Sequence[int] = (0, 20, 40)) -> CheckpointManifest:
        """Publish one checkpoint for each step; returns the last."""
        self.checkpoints = []
        for before, step in zip((0, *steps[:-1]), steps, strict=True):
            self.add_checkpoint(
                seed=seed,
                first=before,
                last=step,
                parent=self.checkpoints[-1].sha256 if self.checkpoints else (parent or self.dataset.sha256),
                chain=tuple(checkpoint.sha256 for checkpoint in self.checkpoints),
            )
        return self.checkpoints[-1]

    def add_checkpoint(
        self, *, seed: str, first: int, last: int, parent: str, chain: tuple[str, ...], **changes: object
    ) -> CheckpointManifest:
        files, content, root = self._tree(f"checkpoint-{len(self.checkpoints)}-{last}", f"state {seed} {last}")
        value = 8_000_000 - 137_000 * last
        values: dict[str, object] = {
            "files": files,
            "content": content,
            "parent": parent,
            "steps": StepRange(first=first, last=last),
            "recipe": self.recipe,
            "dataset": self.dataset.sha256,
            "seed": seed,
            "data_order_seed": 7,
            "metrics": {"train_loss": value - 500_000, METRIC: value},
            "environment": {"torch": "none: hand-made"},
            "chain": chain,
            "outcome_score": -value,
        }
        manifest = CheckpointManifest.model_validate({**values, **changes})
        publish_tree(self.store, root, manifest)
        self.checkpoints.append(manifest)
        return manifest

    def export(self, **changes: object) -> WeightsManifest:
        """Publish weights that grow out of the last checkpoint."""
        files, content, root = self._tree("weights", "open weights")
        last = self.checkpoints[-1]
        values: dict[str, object] = {
            "files": files,
            "content": content,
            "parent": last.sha256,
            "recipe": self.recipe,
            "dataset": self.dataset.sha256,
            "license": "Apache-2.0",
            "model_card": "README.md",
            "metrics": {METRIC: last.metrics[METRIC], "unigram_bits_per_byte": 4_600_000},
            "measurement": "not measured: hand-made",
            "parameters": 12,
            "outcome_score": -last.metrics[METRIC],
        }
        manifest = WeightsManifest.model_validate({**values, **changes})
        publish_tree(self.store, root, manifest)
        self.weights = manifest
        return manifest

    def replace_in_store(self, cid: str, data: bytes) -> None:
        """What a storage provider can do: other bytes under the same address."""
        path = self.store.path_of(cid)
        path.chmod(0o600)
        path.write_bytes(data)

    def remove_from_store(self, cid: str) -> None:
        self.store.path_of(cid).unlink()

    def _tree(self, name: str, text: str) -> tuple[tuple[FileEntry, ...], Content, Path]:
        root = self.folder / "trees" / name
        root.mkdir(parents=True, exist_ok=True)
        (root / "README.md").write_text(f"---\nlicense: apache-2.0\n---\n# {name}\n")
        data = text.encode() * 1000
        header = {"__metadata__": {"format": "pt"}, "w": {"dtype": "U8", "shape": [len(data)]}}
        header["w"]["data_offsets"] = [0, len(data)]
        head = json.dumps(header).encode()
        (root / "model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + data)
        if self.filling:
            (root / "optimizer.pt").write_bytes(random.Random(text).randbytes(self.filling))
        tree = hash_tree(root)
        return tree.files, tree.content, root


@pytest.fixture
def hand_made(tmp_path: Path) -> Callable[[], HandMadeRun]:
    """Makes runs, each with folders of its own."""
    count = 0

    def make() -> HandMadeRun:
        nonlocal count
        count += 1
        folder = tmp_path / f"run-{count}"
        return HandMadeRun(folder=folder, store=LocalStore(folder / "store"))

    return make


ETHER = 10**18
DAY = 86_400


@dataclass
class Stage:
    """A campaign on a real chain with everybody who takes part, and the researcher's hand-made run."""

    devnet: Devnet
    run: HandMadeRun
    researcher: LocalAccount = field(default_factory=lambda: _account(1))
    compute: LocalAccount = field(default_factory=lambda: _account(2))
    attestors: tuple[LocalAccount, ...] = field(default_factory=lambda: tuple(map(_account, (11, 12, 13))))
    backers: tuple[LocalAccount, ...] = field(default_factory=lambda: tuple(map(_account, (21, 22, 23))))
    judge: LocalAccount = field(default_factory=lambda: _account(41))
    client: CampaignClient = field(init=False, repr=False)
    court: str = field(init=False)

    def __post_init__(self) -> None:
        for account in (self.researcher, self.compute, *self.backers, self.judge):
            self.devnet.fund(account.address, 100 * ETHER)

    def open(
        self,
        *,
        proposal: dict[str, object] | None = None,
        told: dict[str, object] | None = None,
        settled: bool = True,
        **changes: object,
    ) -> CampaignClient:
        """Publish the proposal and open the campaign.

        Args:
            proposal: What is not as usual about the proposal.
            told: What it promises otherwise than the terms say.
            settled: Whether to make the campaign final.
            changes: What is not as usual about the terms.
        """
        attestors = tuple(account.address for account in self.attestors)
        promised = self.run.propose(self.researcher.address, attestors, **(proposal or {}))
        now = self.devnet.connection.timestamp()
        values: dict[str, object] = {
            "researcher": self.researcher.address,
            "asset": NATIVE,
            "goal": 10 * ETHER,
            "cap": 20 * ETHER,
            "funding_deadline": now + 10 * DAY,
            "stop_bps": 5_000,
            "challenge_window": 2 * DAY,
            "answer_window": DAY,
            "min_bond": MIN_BOND,
            "slack": 0,
            "proposal": promised.sha256,
            "dataset": self.run.dataset.sha256,
            "attestors": attestors,
            "quorum": 2,
            "payees": (
                Payee(account=self.researcher.address, bps=6_667),
                Payee(account=self.compute.address, bps=3_333),
            ),
            "milestones": (
                Milestone(kind=MilestoneKind.DATASET, bps=1_111, deadline=now + 20 * DAY, min_score=0),
                Milestone(kind=MilestoneKind.CHECKPOINT, bps=3_333, deadline=now + 30 * DAY, min_score=-(10**7)),
                Milestone(kind=MilestoneKind.WEIGHTS, bps=5_556, deadline=now + 40 * DAY, min_score=-3_000_000),
            ),
        }
        promised, terms = bind(promised, Terms(**{**values, **changes}))
        if told is not None:
            promised = promised.model_copy(update={"terms": promised.terms.model_copy(update=told)})
            terms = replace(terms, proposal=promised.sha256)
        self.run.publish(promised)
        salt = hashlib.sha256(promised.to_bytes()).hexdigest()
        address, _ = create_campaign(self.devnet.connection, self.researcher, terms, salt)
        if settled:
            self.devnet.finalize()
        self.client = CampaignClient(self.devnet.connection, address)
        return self.client

    def fund(self, *amounts: int) -> None:
        """Let backers pledge (wei), and the researcher activate."""
        for backer, amount in zip(self.backers, amounts or (7 * ETHER + 1, 3 * ETHER, 2 * ETHER + 7), strict=False):
            self.client.pledge(backer, amount)
        self.client.activate(self.researcher)
        self.devnet.finalize()

    @property
    def seed(self) -> str:
        return self.client.state().training_seed

    def attest(self, milestone: int, manifest: EvidenceManifest, **changes: object) -> Attestation:
        """Attestors 0 and 2 sign whatever they are given, and somebody submits it."""
        attestation = replace(propose(self.client, milestone, manifest), **changes)
        signatures = [
            bytes.fromhex(self.attestors[place].unsafe_sign_hash(self._digest(attestation)).signature.hex())
            for place in (0, 2)
        ]
        self.client.attest(self.backers[0], attestation, 0b101, signatures)
        self.devnet.finalize()
        return attestation

    def release(self) -> None:
        """Let the challenge window pass."""
        self.devnet.advance(2 * DAY)

    def honest_until(self, milestone: int, **terms: object) -> None:
        """Attest and release all milestones before the given one, honestly."""
        self.open(**terms)
        self.fund()
        if milestone > 0:
            self.attest(0, self.run.dataset)
            self.release()
        if milestone > 1:
            self.attest(1, self.run.train(self.seed))
            self.release()
        if milestone > 2:
            self.attest(2, self.run.export())
            self.release()

    def lie_about_the_weights(self, **terms: object) -> Attestation:
        """Let the quorum attest weights that did not grow out of the last checkpoint."""
        self.honest_until(2, **terms)
        return self.attest(2, self.run.export(parent=self.run.checkpoints[0].sha256))

    def arbiter_at_court(self, **other: Any) -> dict[str, object]:
        """Terms that name an arbiter which asks a new mock court, in `court`, for a fee of 0.1 ETH.

        Args:
            other: What is not as usual about the arbiter.
        """
        self.court = self.devnet.deploy_mock_court(ETHER // 10)
        address = self.devnet.deploy_arbiter(CourtArbiter(self.court, **{"appeal_reserve": 3 * DAY, **other}))
        return {"arbiter": address, "ruling_window": 7 * DAY}

    def _digest(self, attestation: Attestation) -> bytes:
        return attestation.digest(self.devnet.connection.chain_id, self.client.address)


def _account(number: int) -> LocalAccount:
    from eth_account import Account

    account: LocalAccount = Account.from_key(number.to_bytes(32, "big"))
    return account


@pytest.fixture
def stage(devnet: Devnet, hand_made: Callable[[], HandMadeRun]) -> Stage:
    """A chain, an honest run, and everybody with money; no campaign yet."""
    return Stage(devnet=devnet, run=hand_made())


@pytest.fixture
def own_stage(hand_made: Callable[[], HandMadeRun]) -> Iterator[Stage]:
    """The same on a chain that no other test uses, where call data costs what it costs on Ethereum (EIP-7623)."""
    with Devnet(hardfork="prague", explain=explain) as chain:
        yield Stage(devnet=chain, run=hand_made())


@pytest.fixture
def attested(stage: Stage) -> Stage:
    """The dataset's milestone is attested, its window open."""
    stage.honest_until(0)
    stage.attest(0, stage.run.dataset)
    return stage


@pytest.fixture
def large(stage: Stage) -> Stage:
    """A checkpoint of many chunks is attested, its window open."""
    stage.honest_until(1)
    stage.run.filling = 1 << 20
    stage.attest(1, stage.run.train(stage.seed, steps=(0,)))
    return stage


Hook = Callable[[str, tuple[Any, ...], Callable[[], Any]], Any]


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Callable[[Hook], None]:
    """Puts something between everybody and the node: `hook(method, params, forward)` gives the answer."""
    request = Connection.request

    def put(hook: Hook) -> None:
        monkeypatch.setattr(
            Connection,
            "request",
            lambda self, method, *params: hook(method, params, lambda: request(self, method, *params)),
        )
        # A batch is so many requests: the hook sees each of them.
        monkeypatch.setattr(
            Connection,
            "_each",
            lambda self, requests, _: [self._request_or_refusal(method, params) for method, params in requests],
        )

    return put


@pytest.fixture(scope="session")
def mock_fee_contracts() -> dict[str, tuple[Interface, bytes]]:
    """The contracts in contracts/test/MockFeeOracles.sol by name: interface and code."""
    source = (ROOT / "contracts" / "test" / "MockFeeOracles.sol").read_text(encoding="utf-8")
    request = {
        "language": "Solidity",
        "sources": {"mocks": {"content": source}},
        "settings": {"evmVersion": "cancun", "outputSelection": {"*": {"*": ["abi", "evm.deployedBytecode.object"]}}},
    }
    ran = subprocess.run(
        [str(SOLC), "--standard-json"], input=json.dumps(request), capture_output=True, text=True, check=True
    )
    return {
        name: (Interface(made["abi"]), bytes.fromhex(made["evm"]["deployedBytecode"]["object"]))
        for name, made in json.loads(ran.stdout)["contracts"]["mocks"].items()
    }


@pytest.fixture(scope="session")
def nasty_code() -> dict[str, bytes]:
    """Creation code of the tokens and wallets that only tests have, by name."""
    here = Path(__file__).parent
    files = (
        here / "chain" / "NastyTokens.sol",
        here / "checks" / "Wallets.sol",
        ROOT / "contracts" / "test" / "Tokens.sol",
    )
    request = {
        "language": "Solidity",
        "sources": {file.name: {"content": file.read_text(encoding="utf-8")} for file in files},
        "settings": {
            "evmVersion": "cancun",
            "remappings": ["@openzeppelin/contracts=node_modules/@openzeppelin/contracts"],
            "outputSelection": {file.name: {"*": ["evm.bytecode.object"]} for file in files},
        },
    }
    ran = subprocess.run(
        # A checkout may share another one's libraries.
        [
            str(SOLC),
            "--standard-json",
            "--base-path",
            str(ROOT),
            "--allow-paths",
            str((ROOT / "node_modules").resolve()),
        ],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return {
        name: bytes.fromhex(made["evm"]["bytecode"]["object"])
        for contracts in json.loads(ran.stdout)["contracts"].values()
        for name, made in contracts.items()
    }


@dataclass
class RollupMaker:
    """Makes the development chain charge for data like a rollup."""

    devnet: Devnet
    contracts: dict[str, tuple[Interface, bytes]]

    def put(self, name: str, address: str, **settings: tuple[int, ...]) -> None:
        """Put a mock's code at an address, and call its functions with these arguments."""
        interface, code = self.contracts[name]
        self.put_code(address, f"0x{code.hex()}")
        for function, arguments in settings.items():
            data = interface.encode(function, *arguments)
            self.devnet._send({"to": address, "data": f"0x{data.hex()}"})

    def put_code(self, address: str, code: str) -> None:
        """Put any code, hexadecimal with 0x, at the address of a fee contract."""
        self.devnet.connection.request("anvil_setCode", address, code)

    def op_stack(self, l1_base_fee: int = 8 * 10**9, blob_base_fee: int = 10**9) -> None:
        """An OP stack chain with Base's scalars of 2024 and 2025; fees in wei."""
        self.put("MockGasPriceOracle", OP_STACK_ORACLE, set=(l1_base_fee, blob_base_fee, 2_269, 1_055_762))

    def fjord(self, per_byte: int) -> None:
        """An OP stack chain before Isthmus, at so many wei for each byte."""
        self.put("MockFjordOracle", OP_STACK_ORACLE, set=(per_byte,))

    def scroll(self, per_byte: int) -> None:
        """Scroll, at so many wei for each byte."""
        self.put("MockFjordOracle", SCROLL_ORACLE, set=(per_byte,))

    def arbitrum(self, l1_price: int = 15 * 10**7, l2_price: int = 10**7) -> None:
        """An Arbitrum chain with these prices of gas, wei."""
        self.put_code(ARBITRUM_GAS_INFO, "0xfe")
        self.put("MockNodeInterface", ARBITRUM_NODE, set=(l1_price, l2_price))

    def unreadable(self) -> None:
        """An OP stack chain whose fee contract returns nothing."""
        self.put("MockSilentOracle", OP_STACK_ORACLE)


@pytest.fixture
def rollup(devnet: Devnet, mock_fee_contracts: dict[str, tuple[Interface, bytes]]) -> Iterator[RollupMaker]:
    """Makes the development chain charge for data like a rollup."""
    maker = RollupMaker(devnet, mock_fee_contracts)
    yield maker
    # Going back to a snapshot leaves code that was put there.
    for address in (OP_STACK_ORACLE, SCROLL_ORACLE, ARBITRUM_GAS_INFO, ARBITRUM_NODE):
        devnet.connection.request("anvil_setCode", address, "0x")


@pytest.fixture
def no_node() -> str:
    """The port of the service that discards everything: nobody listens there."""
    return "http://127.0.0.1:9"


@pytest.fixture
def untouched(stage):
    """Asserts that a refusal changed nothing: not one transaction more, not one unit moved."""

    def snapshot() -> tuple[Any, ...]:
        connection = stage.devnet.connection
        people = (stage.researcher, stage.compute, stage.judge, *stage.attestors, *stage.backers)
        return (
            connection.block().number,
            tuple(connection.balance(person.address) for person in people),
        )

    class Untouched:
        def __enter__(self) -> None:
            self.before = snapshot()

        def __exit__(self, *_: object) -> None:
            assert snapshot() == self.before

    return Untouched


@pytest.fixture
def campaign_file(stage, tmp_path: Path):
    """Writes a campaign file of the hand-made run; its path."""

    def write(name: str = "campaign.yaml", **terms: Any) -> Path:
        attestors = tuple(account.address for account in stage.attestors)
        proposal = json.loads(stage.run.propose(stage.researcher.address, attestors).to_bytes())
        proposal.pop("schema")
        proposal["outcome"]["target"] = "3"
        document = {
            "schema": "llamafund/campaign-file/1",
            "proposal": proposal,
            "terms": {
                "asset": None,
                "goal": "10",
                "cap": "20.5",
                "funding_deadline": "+10d",
                "stop": "50%",
                "challenge_window": "2d",
                "answer_window": "1d",
                "min_bond": "0.01",
                "slack": "5d",
                "quorum": 2,
                "payees": [
                    {"account": stage.researcher.address, "share": "70%"},
                    {"account": stage.compute.address, "share": "30%"},
                ],
                "milestones": [
                    {"share": "20%", "deadline": "+20d"},
                    {"share": "30%", "deadline": "+30d", "min_score": "-10"},
                    {"share": "50%", "deadline": "+40d", "min_score": "-3"},
                ],
                **terms,
            },
        }
        path = tmp_path / name
        path.write_text(yaml.safe_dump(document))
        return path

    return write
