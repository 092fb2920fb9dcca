"""What counting reaches, and which promises it keeps."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_campaign import terms

from llamafund_chain.campaign.terms import NO_HASH, NO_MINIMUM, Terms
from llamafund_chain.checks import baselines
from llamafund_chain.checks.baselines import (
    ENGLISH,
    UNIFORM,
    UnknownBaselineError,
    check_promise,
    counting_on,
    unigram_bytes,
)
from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.manifests import ExpectedOutcome
from llamafund_chain.samples.corpus import LICENSE, SOURCE, TITLE, write_corpus
from llamafund_chain.store import LocalStore
from llamafund_chain.store.dataset import build_dataset

PROMISE = ExpectedOutcome(metric="heldout_bits_per_byte", direction="lower", target=3_000_000, evaluation="measured")


def test_counting_on_the_english_reference_reaches_what_this_package_says(tmp_path: Path) -> None:
    preparation = write_corpus(tmp_path / "corpus").preparation
    store = LocalStore(tmp_path / "store")
    words = {"title": TITLE, "source": SOURCE, "license": LICENSE, "preparation": preparation}
    dataset = build_dataset(tmp_path / "corpus", **words, store=store)
    assert counting_on(store, dataset.sha256) == ENGLISH


def test_counting_knows_frequencies_and_nothing_else() -> None:
    assert unigram_bytes(["aaaabbbb" * 1000], ["abababab"]) == pytest.approx(1_000_000, rel=0.01)
    assert unigram_bytes(["ab" * 1000], ["aabb"]) == unigram_bytes(["a" * 1000 + "b" * 1000], ["abab"])


@given(st.text(min_size=1), st.text(min_size=1))
def test_counting_is_no_better_than_the_held_out_frequencies_allow_and_no_worse_than_guessing(
    train: str, heldout: str
) -> None:
    data = heldout.encode("utf-8", "ignore")
    best = sum(-data.count(byte) * math.log2(data.count(byte) / len(data)) for byte in set(data)) / len(data)
    assert unigram_bytes([train], [heldout]) >= round(best * 1_000_000) - 1
    # Smoothed by enough, every byte is as likely as any other.
    assert unigram_bytes([heldout], [heldout]) <= UNIFORM + 1


def test_counting_is_smoothed_from_a_ten_thousandth_to_a_hundred_and_knows_256_bytes() -> None:
    def bits(count: int, total: int, k: float) -> int:
        return round(math.log2((total + k * 256) / (count + k)) * 1_000_000)

    assert unigram_bytes(["a" * 1000], ["a"]) == bits(1000, 1000, 1e-4)
    assert unigram_bytes(["ab"], ["c"]) == bits(0, 2, 100.0)
    assert math.log2(256) * 1_000_000 == UNIFORM


@pytest.fixture
def run(hand_made):
    return hand_made()


def with_floor(run, floor: int, **changes) -> Terms:
    agreed = terms(**{"dataset": run.dataset.sha256, **changes})
    # Only the last milestone's minimum counts.
    first, last = agreed.milestones
    return replace(agreed, milestones=(replace(first, min_score=10**9), replace(last, min_score=floor)))


def test_a_promise_beyond_counting_is_accepted_to_the_millionth(run) -> None:
    counting = counting_on(run.store, run.dataset.sha256)
    check_promise(with_floor(run, -counting + 1), PROMISE, run.store)
    with pytest.raises(UsageError, match="counting letters already does"):
        check_promise(with_floor(run, -counting), PROMISE, run.store)


def test_without_a_dataset_english_text_is_the_measure(run) -> None:
    check_promise(with_floor(run, -ENGLISH + 1, dataset=NO_HASH), PROMISE, run.store)
    with pytest.raises(UsageError, match=r"on English text \(no dataset is fixed\)"):
        check_promise(with_floor(run, -ENGLISH, dataset=NO_HASH), PROMISE, run.store)
    with pytest.raises(UsageError, match=r"on English text \(the dataset cannot be read"):
        check_promise(with_floor(run, -ENGLISH, dataset="ab" * 32), PROMISE, run.store)


def test_a_promise_that_asks_for_nothing_is_refused(run) -> None:
    with pytest.raises(UsageError, match=r"terms.milestones\[1\] has no min_score"):
        check_promise(with_floor(run, NO_MINIMUM), PROMISE, run.store)
    two = with_floor(run, NO_MINIMUM)
    three = replace(two, milestones=(two.milestones[0], *two.milestones[:1], two.milestones[1]))
    with pytest.raises(UsageError, match=r"terms.milestones\[2\] has no min_score"):
        check_promise(three, PROMISE, run.store)


@pytest.mark.parametrize("changes", [{"metric": "accuracy"}, {"direction": "higher"}])
def test_a_metric_whose_baselines_nobody_knows_is_no_reason(run, changes: dict[str, str]) -> None:
    check_promise(with_floor(run, -(10**9)), PROMISE.model_copy(update=changes), run.store)


def test_a_dataset_too_large_to_be_fetched_for_this_is_told(run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert baselines.MAX_BYTES == 64 * 1024 * 1024
    monkeypatch.setattr(baselines, "MAX_BYTES", run.dataset.content.size)
    counting_on(run.store, run.dataset.sha256)
    monkeypatch.setattr(baselines, "MAX_BYTES", run.dataset.content.size - 1)
    with pytest.raises(UnknownBaselineError, match="more than are fetched for this"):
        counting_on(run.store, run.dataset.sha256)


def test_a_dataset_whose_files_are_gone_or_changed_is_told_without_an_accusation(run) -> None:
    entry = run.dataset.part("heldout")[0]
    run.replace_in_store(entry.cid, b"other bytes")
    with pytest.raises(UnknownBaselineError, match="the dataset cannot be read"):
        counting_on(run.store, run.dataset.sha256)


@pytest.mark.parametrize(("error", "words"), [(OSError("no number"), "no number"), (OSError(28, "full", "x"), "full")])
def test_trouble_with_this_machine_is_told_in_its_words(run, monkeypatch, error: OSError, words: str) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(baselines, "fetch_tree", fail)
    with pytest.raises(UnknownBaselineError) as caught:
        counting_on(run.store, run.dataset.sha256)
    assert caught.value.what == f"the dataset cannot be read: {words}"
