"""Which segments are repeated, and how likely that is to expose a cheat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from empty_run import empty_run
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from llamafund_trainer.replay.choice import catch_chance, choose, detection_chance, random_order, weight_jumps
from llamafund_trainer.replay.segments import (
    segments_of,
)
from llamafund_trainer.tensors.compare import movement


@given(st.integers(1, 40), st.integers(0, 50), st.binary(min_size=1, max_size=8))
@settings(max_examples=60)
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


def test_a_weight_that_is_no_number_hides_no_change_behind_it(tmp_path: Path) -> None:
    sizes = []
    before = tmp_path / "0.safetensors"
    save_file({"a": np.array([np.nan, 0, 1], dtype=np.float32)}, before)
    for number, values in enumerate(([np.nan, 0, 1], [np.nan, 0, 4], [np.nan, np.nan, 4], [np.nan, np.inf, 4])):
        after = tmp_path / f"{number + 1}.safetensors"
        save_file({"a": np.array(values, dtype=np.float32)}, after)
        sizes.append(movement(before, after))
        before = after
    assert sizes == [0, 3, np.inf, np.inf]


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


def test_the_first_steps_move_the_weights_most(lab: object, tmp_path: Path) -> None:
    sizes = weight_jumps(lab.store, segments_of(lab.run), tmp_path)
    assert len(sizes) == 4
    assert max(sizes) in sizes[:2]
    assert sizes[-1] == min(sizes)
