"""The first wrong step, found with checkpoints inside a segment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from llamafund_chain.errors import ExitCode
from llamafund_chain.evidence.hashing import hash_file
from llamafund_trainer.replay.segments import (
    fetch_start,
    repeat_once,
    segments_of,
    with_recipe,
)
from llamafund_trainer.runs.inputs import fetch_inputs


def test_the_first_wrong_step_is_found_between_finer_checkpoints(
    lab: object, llamafund: Callable[..., object], tmp_path: Path
) -> None:
    """The cheat kept a checkpoint every second step; from step 16 on they come from elsewhere."""
    segment = segments_of(lab.run)[1]
    inputs = fetch_inputs(lab.store, lab.run[-1], tmp_path)
    (tmp_path / "often").mkdir()
    often = with_recipe(inputs, tmp_path / "often", training={"checkpoint_every": 2, "log_every": 2})
    finer = tmp_path / "finer"
    last = repeat_once(
        often, lab.run[0].seed, 10, 20, fetch_start(lab.store, lab.recipe.recipe, segment, tmp_path), finer
    )
    assert hash_file(last / "model.safetensors").sha256 == lab.run[2].entry("model.safetensors").sha256
    stranger = lab.forge(
        lab.other[2], tmp_path / "splice", seed=lab.run[0].seed, data_order_seed=lab.run[0].data_order_seed
    )
    for step in (16, 18):
        (finer / f"checkpoint-{step}" / "model.safetensors").write_bytes(lab.file(stranger, "model.safetensors"))
    chain = lab.relink([*lab.run[:2], stranger, *lab.run[3:]], tmp_path)
    ran = llamafund(
        "replay", chain[-1].sha256, "--segment", 1, "--finer", finer, "--store", lab.store.location, "--json"
    )
    ran.refused(ExitCode.VERIFICATION_FAILED, "Steps 10 to 20")
    assert ran.json["first_difference"] == {"after_step": 14, "by_step": 16}


def test_a_directory_without_checkpoints_is_no_help(
    lab: object, llamafund: Callable[..., object], tmp_path: Path
) -> None:
    replaying = ("replay", lab.run[-1].sha256, "--store", lab.store.location, "--finer", tmp_path)
    llamafund(*replaying).refused(ExitCode.USAGE, "no checkpoints")
    (tmp_path / "checkpoint-12").mkdir()
    llamafund(*replaying).refused(ExitCode.USAGE, "lacks model.safetensors")
