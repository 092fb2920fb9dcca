"""Whether a held-out part can measure a model, and how much of a dataset is there twice."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from llamafund_chain.checks import documents
from llamafund_chain.checks.check import Finding
from llamafund_chain.checks.documents import WINDOW, documents_distinct, heldout_separate
from llamafund_chain.evidence.hashing import hash_tree
from llamafund_chain.evidence.manifests import DatasetManifest, DatasetPart
from llamafund_chain.store import LocalStore
from llamafund_chain.store.content import publish_tree

Look = Callable[..., Finding]
WORDS = [f"word{number}" for number in range(500)]


def text(seed: int, count: int = 200) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=count))


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """Publishes a dataset of these documents, and lets a check look at it."""
    store = LocalStore(tmp_path / "store")

    def run(check: object, parts: Mapping[str, list[str]], metric: str = "heldout_bits_per_byte") -> Finding:
        root = tmp_path / "data"
        for name, texts in parts.items():
            (root / name).mkdir(parents=True)
            for place, document in enumerate(texts):
                (root / name / f"{place:03}.txt").write_text(document)
        tree = hash_tree(root)
        dataset = DatasetManifest(
            title="Words",
            files=tree.files,
            content=tree.content,
            preparation="none",
            parts=tuple(
                DatasetPart(
                    name=name,
                    paths=tuple(f"{name}/{place:03}.txt" for place in range(len(texts))),
                    source="here",
                    license="CC0-1.0",
                    samples=len(texts),
                )
                for name, texts in parts.items()
            ),
        )
        publish_tree(store, root, dataset)
        work = tmp_path / "work"
        work.mkdir()
        proposal = SimpleNamespace(outcome=SimpleNamespace(metric=metric))
        context = SimpleNamespace(store=store, evidence=dataset, proposal=proposal, workdir=work, ancestry=())
        (found,) = check(context)
        assert sorted(path.name for path in work.iterdir()) in (["data"], ["heldout", "train"], [])
        return found

    return run


def test_separate_parts_without_repetitions_pass_with_their_numbers(look: Look) -> None:
    found = look(heldout_separate, {"train": [text(1), text(2)], "heldout": [text(3)]})
    assert (found.status, found.data["found"], found.data["window"]) == ("pass", 0, WINDOW)
    assert found.data["pieces"] == 200 // WINDOW


@pytest.mark.parametrize(("taken", "status"), [(200, "fail"), (60, "warn")])
def test_held_out_text_inside_a_longer_training_document_is_told_with_its_share(
    look: Look, taken: int, status: str
) -> None:
    stolen = " ".join(text(3).upper().split()[:taken])
    found = look(heldout_separate, {"train": [text(1), f"{text(2)}, {stolen}\n{text(4)}"], "heldout": [text(3)]})
    assert found.status == status
    assert found.data["found"] == taken // WINDOW
    assert "the metric flatters the model" in found.detail


def test_held_out_text_across_the_stretches_of_a_long_document_is_found(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "_CHARACTERS", 150)
    found = look(heldout_separate, {"train": [f"{text(1)} {text(3)}"], "heldout": [text(3)]})
    assert found.status == "fail"


def test_text_in_a_script_without_spaces_is_compared_by_its_characters(look: Look) -> None:
    letters = "".join(random.Random(1).choices("天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏", k=300))
    found = look(heldout_separate, {"train": [f"前{letters}后"], "heldout": [letters]})
    assert (found.status, found.data["share"]) == ("fail", 1)


def test_pieces_beyond_the_bound_are_not_looked_for_and_that_is_said(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "MAX_PIECES", 10)
    found = look(heldout_separate, {"train": [text(1)], "heldout": [text(3), text(4), text(5)]})
    assert found.data["pieces"] < 3 * (200 // WINDOW)
    assert "no more pieces were looked for" in found.detail


@pytest.mark.parametrize("heldout", [["yes " * 2000], ["the same line\n" * 30] * 40])
def test_a_held_out_part_that_measures_nothing_is_caught(look: Look, heldout: list[str]) -> None:
    found = look(heldout_separate, {"train": [text(1)], "heldout": heldout})
    assert found.status == "fail"
    assert "any model" in found.detail


@pytest.mark.parametrize(("metric", "status"), [("heldout_bits_per_byte", "fail"), ("accuracy", "warn")])
def test_a_promise_about_held_out_text_needs_a_held_out_part(look: Look, metric: str, status: str) -> None:
    assert look(heldout_separate, {"train": [text(1)]}, metric).status == status


def test_repeated_documents_are_told_with_their_share(look: Look) -> None:
    repeated = [text(seed) for seed in range(6)] + [text(1).replace(" ", "\n"), text(1)]
    found = look(documents_distinct, {"train": repeated, "heldout": [text(9)]})
    assert found.status == "warn"
    assert found.data == {
        "train": {"documents": 8, "repeated": 2},
        "heldout": {"documents": 1, "repeated": 0},
    }
    assert "2 of 8 training documents (25.0%)" in found.detail


def test_a_dataset_without_repetitions_passes(look: Look) -> None:
    assert look(documents_distinct, {"train": [text(1), text(2)], "heldout": [text(3)]}).status == "pass"
