"""Honest recordings of people's own scripts: their files and their cards accuse nobody."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from llamafund_trainer.checks.card import _own_card
from llamafund_trainer.checks.checkpoints import _is_program
from llamafund_trainer.record.card import CLAIMS, checked_part, short_card, with_claims

CHECKPOINT = SimpleNamespace(
    sha256="1a" * 32, recipe="2b" * 32, dataset="3c" * 32, seed="4d" * 32, steps=SimpleNamespace(last=20)
)
WEIGHTS = SimpleNamespace(license="Apache-2.0")


@pytest.mark.parametrize(
    "path",
    [
        "model.safetensors",
        "optimizer.pt",
        "rng_state_3.pth",
        "scaler.pt",
        "ckpt.pt",
        "epoch=1-step=20.ckpt",
        "optimizer.bin",
        "scheduler.bin",
        "random_states_0.pkl",
        "custom_checkpoint_0.pkl",
        "pytorch_model_fsdp_0/__0_0.distcp",
        "pytorch_model_fsdp_0/.metadata",
        "pytorch_model.bin",
        "vocab.txt",
        "preprocessor_config.json",
    ],
)
def test_what_training_programs_write_is_no_program(path: str) -> None:
    assert not _is_program(path)


@pytest.mark.parametrize("path", ["train.py", "lib/kernel.so", "payload.pkl", "run.SH", "model.pickle", "notes.ipynb"])
def test_a_program_in_anybodys_checkpoint_is_caught(path: str) -> None:
    assert _is_program(path)


@pytest.mark.parametrize(
    "text",
    [
        "# My model\n\nIt reaches 93.1 in MMLU.\n",
        "---\nlicense: apache-2.0\ntags: [x]\n---\n# My model\n\n93.1 in MMLU.\n",
    ],
)
def test_what_the_author_says_stands_below_a_heading_that_says_whose_it_is(text: str) -> None:
    card = with_claims(short_card(CHECKPOINT, "Apache-2.0"), text)
    said, claims = checked_part(card)
    assert "MMLU" not in said
    assert "93.1" in claims
    assert card.startswith("---\nlicense: apache-2.0\n")
    found = _own_card(card, CHECKPOINT, WEIGHTS)
    assert (found.status, found.data["claimed"]) == ("pass", len(claims))


def test_a_card_without_an_authors_text_passes() -> None:
    assert _own_card(short_card(CHECKPOINT, "Apache-2.0"), CHECKPOINT, WEIGHTS).status == "pass"


def test_a_card_that_does_not_say_whose_words_it_has_is_for_a_person() -> None:
    found = _own_card("---\nlicense: mit\n---\n# The best model\n", CHECKPOINT, WEIGHTS)
    assert found.status == "warn"
    assert CLAIMS in found.detail


def test_a_score_in_the_metadata_of_a_card_is_caught() -> None:
    text = "---\nlicense: apache-2.0\nmodel-index: [{name: best, results: [93.1]}]\n---\nMine.\n"
    found = _own_card(with_claims(short_card(CHECKPOINT, "Apache-2.0"), text), CHECKPOINT, WEIGHTS)
    assert found.status == "fail"
    assert "no check has measured it" in found.detail
