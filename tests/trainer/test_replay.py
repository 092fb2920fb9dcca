"""Repeating segments: which ones, what equality means, and what a spliced run gives away."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamafund_chain.errors import ExitCode, VerificationError
from llamafund_chain.manifests import CheckpointManifest, StepRange
from llamafund_trainer.environment import differing_settings
from llamafund_trainer.inputs import fetch_inputs, walk_run
from llamafund_trainer.replay import (
    FileComparison,
    Pick,
    Segment,
    SegmentResult,
    catch_chance,
    choose,
    detection_chance,
    random_order,
    replay,
    segments_of,
    weight_jumps,
)
from llamafund_trainer.tensors import Difference


def empty_run(count: int) -> tuple[Segment, ...]:
    steps = [StepRange(first=max(0, 10 * (index - 1)), last=10 * index) for index in range(count + 1)]
    links = [CheckpointManifest.model_construct(steps=each) for each in steps]
    return tuple(Segment(index, *ends) for index, ends in enumerate(pairwise(links)))


@given(st.integers(1, 40), st.integers(0, 50), st.binary(min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_picks_are_distinct_and_as_many_as_asked(total: int, count: int, entropy: bytes) -> None:
    picks = choose(empty_run(total), count, entropy, lambda: [1.0] * total)
    indices = [pick.segment.index for pick in picks]
    assert len(set(indices)) == len(indices) == min(count, total)
    assert indices == sorted(indices)


def test_first_last_and_largest_change_are_among_four() -> None:
    sizes = [0.0] * 30
    sizes[17] = 5.0
    for entropy in (b"a", b"b", b"c"):
        indices = {pick.segment.index for pick in choose(empty_run(30), 4, entropy, lambda: sizes)}
        assert {0, 29, 17} <= indices


def test_a_single_pick_is_random_and_entropy_decides() -> None:
    picked = {choose(empty_run(50), 1, bytes([byte]), list)[0].segment.index for byte in range(60)}
    assert len(picked) > 20
    assert random_order(50, b"x") == random_order(50, b"x") != random_order(50, b"y")


def test_the_chance_to_catch_a_cheat_counts_random_picks_only() -> None:
    assert detection_chance(0.5, 1) == 0.5
    assert detection_chance(0.1, 10) == pytest.approx(0.6513, abs=1e-4)
    segments = empty_run(10)
    picks = choose(segments, 3, b"e", list)
    random = sum(pick.reason == "random" for pick in picks)
    assert catch_chance(0.5, picks, 10) == detection_chance(0.5, random)
    assert catch_chance(0.1, choose(segments, 10, b"e", list), 10) == 1


def result(settings: dict[str, tuple[str, str]], amount: float, repeated: str = "bb") -> SegmentResult:
    return SegmentResult(
        pick=Pick(empty_run(1)[0], "random"),
        compared=(FileComparison(10, "model.safetensors", "aa", repeated),),
        settings=settings,
        difference=Difference(("w",), "w", amount),
        seconds=1.0,
    )


def test_other_bytes_are_never_called_the_same() -> None:
    elsewhere = {"threads": ("1", "2")}
    assert result({}, 1e-9).verdict == "different"
    assert result(elsewhere, 1e-9).verdict == "close"
    assert result(elsewhere, 0.5).verdict == "different"
    assert result(elsewhere, float("nan")).verdict == "different"
    assert result(elsewhere, 0.0, repeated="aa").verdict == "same"
    said = result(elsewhere, 1e-9).describe()
    assert "other bytes" in said
    assert "threads ('1' then, '2' now)" in said
    assert "0.001" in said


def test_a_setting_that_was_not_recorded_counts_as_different() -> None:
    assert differing_settings({"torch": "2"}, {"torch": "2", "threads": "1"}) == {"threads": ("", "1")}
    assert differing_settings({"python": "3.11"}, {"python": "3.12"}) == {}


def test_every_segment_of_an_honest_run_repeats_bit_for_bit(lab: object, tmp_path: Path) -> None:
    segments = segments_of(lab.run)
    steps: list[int] = []
    picks = [Pick(segment, "asked for") for segment in segments]
    results = replay(lab.store, fetch_inputs(lab.store, lab.run[-1], tmp_path), picks, tmp_path, progress=steps.append)
    assert [each.verdict for each in results] == ["same"] * 4
    assert [len(each.compared) for each in results] == [8, 4, 4, 4]
    assert steps[-1] == 40


def test_the_first_steps_move_the_weights_most(lab: object, tmp_path: Path) -> None:
    sizes = weight_jumps(lab.store, segments_of(lab.run), tmp_path)
    assert len(sizes) == 4
    assert max(sizes) in sizes[:2]
    assert sizes[-1] == min(sizes)


def test_a_segment_spliced_in_from_another_run_is_found_and_named(
    lab: object, llamafund: Callable[..., object], tmp_path: Path
) -> None:
    stranger = lab.forge(
        lab.other[2], tmp_path / "splice", seed=lab.run[0].seed, data_order_seed=lab.run[0].data_order_seed
    )
    chain = lab.relink([*lab.run[:2], stranger, *lab.run[3:]], tmp_path)
    ran = llamafund("replay", chain[-1].sha256, "--segment", 1, "--store", lab.store.location, "--json")
    ran.refused(ExitCode.VERIFICATION_FAILED, "Steps 10 to 20", "model.safetensors")
    segment = ran.json["segments"][0]
    assert (segment["verdict"], segment["settings"]) == ("different", {})
    differing = {file["path"] for file in segment["files"] if file["published"] != file["repeated"]}
    assert {"model.safetensors", "optimizer.pt"} <= differing


def test_a_run_of_two_seeds_is_not_one_run(lab: object, tmp_path: Path) -> None:
    chain = lab.relink([*lab.run[:2], *lab.other[2:]], tmp_path)
    with pytest.raises(VerificationError, match="step 20 has another seed than its parent"):
        walk_run(lab.store, chain[-1])
