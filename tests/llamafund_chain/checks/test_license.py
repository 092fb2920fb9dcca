"""Licenses that published files name themselves, and files beside the open weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faulty_store import FAULTS, StoreWithAFault

from llamafund_chain.checks.beside import files_beside_weights, weights_in_several_stores
from llamafund_chain.checks.check import Check, CheckContext, CheckResult
from llamafund_chain.checks.license import model_card_license_matches, weights_header_license_matches
from llamafund_chain.checks.run import run_checks
from llamafund_chain.errors import NodeUnreachableError
from llamafund_chain.evidence.hashing import hash_tree
from llamafund_chain.evidence.manifests import WeightsManifest
from llamafund_chain.store import LocalStore
from llamafund_chain.store.content import publish_tree
from llamafund_chain.store.several import SeveralStores

PEOPLE = tuple(f"0x{digit * 40}" for digit in "1ab")
CHECKS: tuple[Check, ...] = (
    model_card_license_matches,
    weights_header_license_matches,
    files_beside_weights,
    weights_in_several_stores,
)


def shard(metadata: Any = None) -> bytes:
    head = json.dumps({} if metadata is None else {"__metadata__": metadata}).encode()
    return len(head).to_bytes(8, "little") + head


@pytest.fixture
def judged(hand_made: Callable[[], Any], tmp_path: Path):
    """Publishes weights with these files, and runs one check on them."""
    run = hand_made()
    run.propose(PEOPLE[0], PEOPLE[1:])
    run.train("5e" * 32)
    run.export()

    def judge(check: Check, store: Any = None, **files: bytes | str) -> CheckResult:
        root = tmp_path / "weights"
        root.mkdir(exist_ok=True)
        for name, data in {
            "README.md": "---\nlicense: apache-2.0\n---\n",
            "model.safetensors": shard(),
            **files,
        }.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data.encode() if isinstance(data, str) else data)
        tree = hash_tree(root)
        weights: WeightsManifest = run.weights.model_copy(update={"files": tree.files, "content": tree.content})
        publish_tree(run.store, root, weights)
        context = CheckContext(
            store=run.store if store is None else store(run.store, weights, root),
            proposal=run.proposal,
            terms=None,  # type: ignore[arg-type] - none of these checks looks at them
            chain_id=1,
            campaign="0x" + "ca" * 20,
            training_seed="",
            milestone=2,
            evidence=weights,
            ancestry=(),
            score=0,
            entropy=bytes(32),
            replay_segments=0,
            workdir=tmp_path / "work",
            progress=lambda text: None,
        )
        (result,) = run_checks(context, [check])
        return result

    return judge


@pytest.mark.parametrize(
    ("card", "status"),
    [
        ("---\nlicense: apache-2.0\n---\n# Model", "pass"),
        ("---\r\nlicense: Apache-2.0\r\n---\r\n", "pass"),
        ("\ufeff---\nlicense: [apache-2.0]\n---\n", "pass"),
        ("---\nlicense: other\nlicense_name: Apache-2.0\n---\n", "pass"),
        ("---\nlicense: cc-by-nc-4.0\n---\n", "fail"),
        ("---\nlicense: [apache-2.0, mit]\n---\n", "fail"),
        ("---\nlicense: other\n---\n", "warn"),
        ("---\nlicense: [other, mit]\n---\n", "fail"),
        ("---\nlicense: other\nlicense_name: mine-alone\n---\n", "fail"),
        ("# No metadata\nlicense: mit\n", "warn"),
        ("---\nlicense: mit\n", "warn"),
        ("---\nlicense:\n---\n", "warn"),
        ("---\nlicense: 3\n---\n", "warn"),
        ("---\n- license\n---\n", "warn"),
        ("---\nlicense: &a mit\nother: *a\n---\n", "warn"),
        ("---\n[[[[\n---\n", "warn"),
    ],
)
def test_a_model_card_that_names_another_license_is_caught(judged, card: str, status: str) -> None:
    assert judged(model_card_license_matches, **{"README.md": card}).status == status


def test_threat_a_model_card_under_another_license_than_promised_is_told(judged) -> None:
    found = judged(model_card_license_matches, **{"README.md": "---\nlicense: cc-by-nc-4.0\n---\n"})
    assert found.detail == "The model card names the license 'cc-by-nc-4.0', but the proposal promises 'Apache-2.0'"


def test_a_huge_model_card_is_not_read(judged) -> None:
    assert judged(model_card_license_matches, **{"README.md": "x" * (1 << 20) + "x"}).status == "warn"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (shard(), "pass"),
        (shard({"format": "pt"}), "pass"),
        (shard({"license": "apache-2.0"}), "pass"),
        (shard({"license": "mit"}), "fail"),
        (shard({"license": ["mit"]}), "fail"),
        (shard(["license"]), "warn"),
        (b"", "warn"),
        (b"\xff" * 9, "warn"),
        (b"\x02" + bytes(7) + b"{]", "warn"),
        (b"\x02" + bytes(7) + b"[]", "warn"),
        ((200_000).to_bytes(8, "little") + b"[" * 200_000, "warn"),
    ],
)
def test_a_weights_header_that_names_another_license_is_caught(judged, data: bytes, status: str) -> None:
    assert judged(weights_header_license_matches, **{"model.safetensors": data}).status == status


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("config.json", "pass"),
        ("LICENSE", "pass"),
        ("model-00001-of-00002.safetensors", "pass"),
        ("modeling_llama.py", "fail"),
        ("pytorch_model.BIN", "fail"),
        ("deep/inside/run.pkl", "fail"),
        ("notes.docx", "warn"),
        ("samples.npy", "warn"),
        ("config.json.bak", "warn"),
    ],
)
def test_threat_code_beside_the_open_weights_is_caught(judged, name: str, status: str) -> None:
    found = judged(files_beside_weights, **{name: b"\x00"})
    assert found.status == status
    assert status == "pass" or repr(name) in found.detail


def test_weights_that_only_one_store_has_are_a_remark(judged) -> None:
    assert judged(weights_in_several_stores).status == "warn"


@pytest.mark.parametrize(("whole", "status"), [(True, "pass"), (False, "warn")])
def test_weights_that_two_stores_have_are_none(judged, tmp_path: Path, whole: bool, status: str) -> None:
    def two(first: LocalStore, weights: WeightsManifest, root: Path) -> SeveralStores:
        second = LocalStore(tmp_path / "second")
        publish_tree(second, root, weights)
        if not whole:
            second.path_of(weights.files[0].cid).unlink()
        return SeveralStores((first, second))

    found = judged(weights_in_several_stores, two)
    assert (found.status, found.data["asked"], found.data["complete"]) == (status, 2, 2 if whole else 1)


def test_a_second_store_that_does_not_answer_is_a_remark(judged, tmp_path: Path, monkeypatch) -> None:
    second = LocalStore(tmp_path / "second")

    def silent(cid: str) -> bool:
        raise NodeUnreachableError("It does not answer")

    object.__setattr__(second, "has", silent)
    assert judged(weights_in_several_stores, lambda first, *_: SeveralStores((first, second))).status == "warn"


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_no_trouble_of_a_store_accuses_anybody(judged, check: Check, fault: str) -> None:
    found = judged(check, lambda store, *_: StoreWithAFault(store, FAULTS[fault], 1))
    assert found.status in ("unchecked", "pass", "warn")
    assert found.status == "unchecked" or check in (files_beside_weights, weights_in_several_stores)
