"""Repeating segments: which ones, what equality means, and what a spliced run gives away."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save, save_file

from llamafund_chain.errors import ExitCode, VerificationError
from llamafund_chain.evidence.hashing import hash_file
from llamafund_chain.evidence.manifests import CheckpointManifest, StepRange
from llamafund_trainer.recipe import parse_recipe
from llamafund_trainer.record.environment import differing_settings
from llamafund_trainer.replay.choice import Pick, catch_chance, choose, detection_chance, random_order, weight_jumps
from llamafund_trainer.replay.estimate import planned_effort, timed_effort
from llamafund_trainer.replay.replay import replay_segments
from llamafund_trainer.replay.result import FileComparison, SegmentResult
from llamafund_trainer.replay.segments import (
    STATE_FILES,
    Segment,
    fetch_start,
    repeat_everywhere,
    repeat_once,
    segments_of,
    with_recipe,
)
from llamafund_trainer.replay.tolerance import Gap, optimizer_changes, optimizer_gap, optimizer_spread
from llamafund_trainer.runs.inputs import fetch_inputs, walk_run
from llamafund_trainer.tensors.compare import TensorEntry, movement
from llamafund_trainer.tensors.initial_weights import parameter_count
from llamafund_trainer.tensors.torch_save import optimizer_tensors


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


def result(
    settings: dict[str, tuple[str, str]],
    amount: float,
    repeated: str = "bb",
    tolerance: float | None = 1e-6,
    **more: object,
) -> SegmentResult:
    return SegmentResult(
        pick=Pick(empty_run(1)[0], "random"),
        compared=(FileComparison(10, "model.safetensors", "aa", repeated),),
        settings=settings,
        seconds=1.0,
        weights=Gap("w", amount, 1e-3, tolerance),
        **more,  # type: ignore[arg-type]
    )


ELSEWHERE = {"threads": ("1", "2")}


def test_other_bytes_are_never_called_the_same() -> None:
    assert result({}, 1e-9).verdict == "different"
    assert result(ELSEWHERE, 1e-6).verdict == "close"
    assert result(ELSEWHERE, 1.1e-6).verdict == "different"
    assert result(ELSEWHERE, 1e-9, tolerance=None).verdict == "different"
    assert result(ELSEWHERE, float("nan")).verdict == "different"
    assert result(ELSEWHERE, 0.0, repeated="aa").verdict == "same"
    said = result(ELSEWHERE, 1e-9).describe()
    assert "different bytes" in said
    assert "threads ('1' then, '2' now)" in said
    assert "honest repetitions explain differences up to 1e-06" in said
    assert "equal" not in said
    assert "the same" not in said.replace("not the same environment", "")


def test_no_environment_explains_other_initial_weights() -> None:
    found = result(ELSEWHERE, 1e-9)
    start = FileComparison(0, "model.safetensors", "cc", "dd")
    assert replace(found, compared=(start, *found.compared)).verdict == "different"


def test_a_tolerance_as_large_as_the_training_itself_shows_nothing() -> None:
    assert result(ELSEWHERE, 1e-6, tolerance=0.99e-4).verdict == "close"
    assert result(ELSEWHERE, 1e-6, tolerance=1e-4).verdict == "unclear"
    assert "shows nothing" in result(ELSEWHERE, 1e-6, tolerance=1e-4).describe()


def test_honest_repetitions_that_agree_to_the_bit_tell_nothing_of_other_machines() -> None:
    """On a GPU no setting of the processor changes anything."""
    assert Gap("w", 1e-7, 1e-1).calibrated(0.0).nearness == "unclear"
    assert Gap("w", 5e-1, 1e-1).calibrated(0.0).nearness == "unclear", "honest runs came apart by 0.94 of the change"
    assert Gap("3.exp_avg", 5.0, 1.0, in_shares=True).calibrated(0.0).nearness == "unclear", "it may hardly have moved"
    assert Gap("0.step", float("inf"), 1.0, in_shares=True).calibrated(0.0).nearness == "different"
    assert Gap("w", 1e-7, 0.0).calibrated(0.0).nearness == "different", "nothing was changed, by anybody's arithmetic"


@pytest.mark.parametrize(
    ("amount", "tolerance", "verdict"),
    [
        (1e-4, 1e-4, "close"),
        (1.1e-4, 1e-4, "different"),
        (1e-4, 0.1, "unclear"),
        (5.0, 0.1, "unclear"),
        (5.0, 0.09, "different"),
        (float("inf"), 0.1, "different"),
        (float("inf"), float("inf"), "different"),
        (float("nan"), 1e-4, "different"),
        (float("inf"), 1e-4, "different"),
        (1e-4, float("nan"), "different"),
        (1e-4, None, "different"),
    ],
)
def test_close_weights_vouch_for_no_optimizer(amount: float, tolerance: float | None, verdict: str) -> None:
    found = result(ELSEWHERE, 1e-9, optimizer=Gap("3.exp_avg", amount, 1.0, tolerance, in_shares=True))
    assert found.verdict == verdict
    assert "the optimizer's 3.exp_avg differs by" in found.describe()
    assert found.gap_facts()["optimizer_difference"] == str(amount)


def optimizer_with(path: Path, moments: dict[int, float]) -> dict[str, TensorEntry]:
    """One after some steps, with the same moment in each element of a parameter, for those that had a gradient."""
    import torch

    state = {
        number: {"step": torch.tensor(3.0), "exp_avg": torch.full((4,), moment)} for number, moment in moments.items()
    }
    torch.save({"state": state, "param_groups": []}, path)
    return optimizer_tensors(path)


def test_a_parameter_that_got_its_first_gradient_in_the_segment_begins_with_zeros(tmp_path: Path) -> None:
    before = optimizer_with(tmp_path / "before.pt", {0: 1.0})
    repeated = optimizer_with(tmp_path / "repeated.pt", {0: 1.5, 1: 0.25})
    changes = optimizer_changes(before, repeated)
    assert changes == {"0.step": 0.0, "0.exp_avg": 0.5, "1.step": 3.0, "1.exp_avg": 0.25}
    near = optimizer_with(tmp_path / "near.pt", {0: 1.5, 1: 0.25 + 2**-20})
    gap = optimizer_gap(near, repeated, changes)
    assert (gap.largest, gap.amount) == ("1.exp_avg", 2**-18)
    assert gap.calibrated(optimizer_spread([near, repeated], changes)).nearness == "close"
    late = optimizer_with(tmp_path / "late.pt", {0: 1.5})
    assert optimizer_spread([late, repeated], changes) == 1.0, "honest repetitions that disagree show nothing"


@pytest.mark.parametrize("moments", [{0: 1.5}, {0: 1.5, 1: 0.25, 2: 0.25}])
def test_a_published_optimizer_with_other_parameters_than_the_repeated_one_is_different(
    tmp_path: Path, moments: dict[int, float]
) -> None:
    before = optimizer_with(tmp_path / "before.pt", {0: 1.0})
    repeated = optimizer_with(tmp_path / "repeated.pt", {0: 1.5, 1: 0.25})
    published = optimizer_with(tmp_path / "published.pt", moments)
    gap = optimizer_gap(published, repeated, optimizer_changes(before, repeated))
    assert gap.calibrated(1.0).nearness == "different"


def test_other_random_numbers_are_explained_by_other_libraries_at_most_and_never_close() -> None:
    assert result(ELSEWHERE, 1e-9, random_differs=True).verdict == "different"
    found = result({**ELSEWHERE, "torch": ("2.12", "2.13")}, 1e-9, random_differs=True)
    assert found.verdict == "unclear"
    assert "random state holds different numbers" in found.describe()


def test_the_worst_of_weights_and_optimizer_counts() -> None:
    unclear, wrong = Gap("0.exp_avg", 1e-4, 1.0, 0.1), Gap("0.exp_avg", 1e-4, 1.0, 1e-5)
    assert result(ELSEWHERE, 1e-9, optimizer=unclear).verdict == "unclear"
    assert result(ELSEWHERE, 1e-9, tolerance=1e-4, optimizer=wrong).verdict == "different"
    assert result(ELSEWHERE, 1.0, optimizer=unclear).verdict == "different"


def test_a_setting_that_was_not_recorded_counts_as_different() -> None:
    assert differing_settings({"torch": "2"}, {"torch": "2", "threads": "1"}) == {"threads": ("", "1")}
    assert differing_settings({"python": "3.11"}, {"python": "3.12"}) == {}


def test_a_setting_that_nobody_records_now_explains_nothing() -> None:
    assert differing_settings({"torch": "2", "moon": "full"}, {"torch": "2"}) == {}


def test_every_segment_of_an_honest_run_repeats_bit_for_bit(lab: object, tmp_path: Path) -> None:
    segments = segments_of(lab.run)
    steps: list[int] = []
    picks = [Pick(segment, "asked for") for segment in segments]
    results = replay_segments(
        lab.store, fetch_inputs(lab.store, lab.run[-1], tmp_path), picks, tmp_path, progress=steps.append
    )
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
    with pytest.raises(VerificationError, match="step 20 names another seed than its parent"):
        walk_run(lab.store, chain[-1])


def tampered(lab: object, scratch: Path, environment: dict[str, str]) -> tuple[CheckpointManifest, ...]:
    """The honest run, with the last bit of one weight after step 20 changed."""
    values = {name: each.copy() for name, each in load(lab.file(lab.run[2], "model.safetensors")).items()}
    values["model.norm.weight"].view(np.uint32)[0] ^= 1
    data = save(values, metadata={"format": "pt"})
    changed = lab.forge(lab.run[2], scratch / "bit", {"model.safetensors": data}, environment=environment)
    return lab.relink([*lab.run[:2], changed, *lab.run[3:]], scratch)


def test_what_another_environment_explains_is_close_and_no_success(
    lab: object, llamafund: Callable[..., object], tmp_path: Path
) -> None:
    chain = tampered(lab, tmp_path, {**lab.run[2].environment, "processor": "another one"})
    arguments = ("replay", chain[-1].sha256, "--segment", 1, "--store", lab.store.location, "--json")
    ran = llamafund(*arguments)
    ran.refused(ExitCode.VERIFICATION_FAILED, "not the same", "--accept-close")
    segment = ran.json["segments"][0]
    assert (ran.json["verdict"], segment["verdict"]) == ("close", "close")
    assert 0 < float(segment["largest_difference"]) <= float(segment["tolerance"])
    assert float(segment["tolerance"]) < 0.1 * float(segment["largest_change"])


OTHER_PROCESSOR = {"processor": "another one"}


def excused(lab: object, scratch: Path, files: dict[str, bytes], **environment: str) -> tuple[CheckpointManifest, ...]:
    """The honest run with other files after step 20, said to come from another environment; its weights are honest."""
    changed = lab.forge(lab.run[2], scratch / "excused", files, environment={**lab.run[2].environment, **environment})
    return lab.relink([*lab.run[:2], changed, *lab.run[3:]], scratch)


@pytest.fixture(scope="module")
def outcomes(lab: object, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Honest repetitions of the segment after step 10."""
    place = tmp_path_factory.mktemp("outcomes")
    return repeat_everywhere(lab.store, fetch_inputs(lab.store, lab.run[-1], place), segments_of(lab.run)[1], place)


@pytest.fixture
def repeated_before(outcomes: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the same whatever is published for its end, so they need not be made for each forgery."""
    monkeypatch.setattr("llamafund_trainer.replay.replay.repeat_everywhere", lambda *_: outcomes)


def replayed(lab: object, chain: tuple[CheckpointManifest, ...], scratch: Path) -> SegmentResult:
    (found,) = replay_segments(
        lab.store, fetch_inputs(lab.store, chain[-1], scratch), [Pick(segments_of(chain)[1], "asked for")], scratch
    )
    return found


def other_optimizer(lab: object, change: Callable[[dict[str, object]], object]) -> bytes:
    """The honest optimizer's file after step 20, written anew with something changed in it."""
    import torch

    state = torch.load(io.BytesIO(lab.file(lab.run[2], "optimizer.pt")), weights_only=True)
    change(state)
    target = io.BytesIO()
    torch.save(state, target)
    return target.getvalue()


def turn_momentum(state: dict[str, object]) -> None:
    for kept in state["state"].values():
        kept["exp_avg"].neg_()


def remember_larger_gradients(state: dict[str, object]) -> None:
    """Only one small tensor's, so that the largest numbers of the optimizer are honest."""
    smallest = min(state["state"].values(), key=lambda kept: float(kept["exp_avg_sq"].max()))
    smallest["exp_avg_sq"].mul_(2)


def forget_gradients(state: dict[str, object]) -> None:
    state["state"][0]["exp_avg_sq"].zero_()


def count_fewer_steps(state: dict[str, object]) -> None:
    state["state"][0]["step"] -= 1


def share_one_count(state: dict[str, object]) -> None:
    for kept in state["state"].values():
        kept["step"] = state["state"][0]["step"]


@pytest.mark.usefixtures("repeated_before")
@pytest.mark.parametrize("change", [turn_momentum, remember_larger_gradients])
def test_a_forged_optimizer_is_found_behind_an_environment_that_excuses_it(
    lab: object, tmp_path: Path, change: Callable[[dict[str, object]], object]
) -> None:
    chain = excused(lab, tmp_path, {"optimizer.pt": other_optimizer(lab, change)}, **OTHER_PROCESSOR)
    found = replayed(lab, chain, tmp_path)
    assert [file.path for file in found.differing] == ["optimizer.pt"]
    assert found.verdict == "different"
    assert found.optimizer.tolerance < 1e-2 < found.optimizer.amount


@pytest.mark.parametrize("change", [forget_gradients, count_fewer_steps])
@pytest.mark.parametrize("environment", [{}, OTHER_PROCESSOR])
def test_a_forged_optimizer_is_found_by_the_segment_that_begins_with_it(
    lab: object, tmp_path: Path, change: Callable[[dict[str, object]], object], environment: dict[str, str]
) -> None:
    """It would repeat bit for bit ever after."""
    chain = excused(lab, tmp_path, {"optimizer.pt": other_optimizer(lab, change)}, **environment)
    picks = [Pick(segments_of(chain)[2], "asked for")]
    (found,) = replay_segments(lab.store, fetch_inputs(lab.store, chain[-1], tmp_path), picks, tmp_path)
    assert found.verdict == "different"
    assert "the optimizer after step 20" in found.problem


@pytest.mark.parametrize("change", [forget_gradients, count_fewer_steps])
def test_an_optimizer_to_which_no_run_leads_is_found_at_the_end_of_a_segment_too(
    lab: object, tmp_path: Path, change: Callable[[dict[str, object]], object]
) -> None:
    chain = excused(lab, tmp_path, {"optimizer.pt": other_optimizer(lab, change)}, **OTHER_PROCESSOR)
    found = replayed(lab, chain, tmp_path)
    assert found.verdict == "different"
    assert "the optimizer after step 20" in found.problem


def test_a_random_state_that_somebody_chose_decides_nothing(lab: object, tuned: object, tmp_path: Path) -> None:
    """With dropout: numbers that are all zero would drop nothing ever after."""
    import torch

    run = tuned["lora"].run
    assert [link.steps.last for link in run] == [0, 2, 4]
    state = torch.load(io.BytesIO(lab.file(run[1], "rng_state.pth")), weights_only=False)
    state["cpu"][24 : 24 + 8 * 624] = 0
    torch.save(state, tmp_path / "rng_state.pth")
    files = {"rng_state.pth": (tmp_path / "rng_state.pth").read_bytes()}
    chain = lab.relink([run[0], lab.forge(run[1], tmp_path / "forged", files), run[2]], tmp_path)
    picks = [Pick(segments_of(chain)[1], "asked for")]
    (found,) = replay_segments(lab.store, fetch_inputs(lab.store, chain[-1], tmp_path), picks, tmp_path)
    assert found.verdict == "same", found.describe()


@pytest.mark.usefixtures("repeated_before")
def test_an_optimizer_whose_last_bits_another_environment_explains_is_close(lab: object, tmp_path: Path) -> None:
    def nudge(state: dict[str, object]) -> None:
        values = state["state"][1]["exp_avg"].view(-1).numpy()
        values[np.abs(values).argmax()] *= np.float32(1 + 2**-22)

    chain = excused(lab, tmp_path, {"optimizer.pt": other_optimizer(lab, nudge)}, **OTHER_PROCESSOR)
    found = replayed(lab, chain, tmp_path)
    assert [file.path for file in found.differing] == ["optimizer.pt"]
    assert found.verdict == "close"
    assert 0 < found.optimizer.amount <= found.optimizer.tolerance


def test_counts_that_share_their_bytes_are_refused(lab: object, tmp_path: Path) -> None:
    """Each is right, and torch would count all of them up for each parameter."""
    chain = excused(lab, tmp_path, {"optimizer.pt": other_optimizer(lab, share_one_count)}, **OTHER_PROCESSOR)
    with pytest.raises(VerificationError, match=r"optimizer\.pt cannot be read.*share their bytes"):
        replayed(lab, chain, tmp_path)


@pytest.mark.parametrize(
    ("environment", "verdict"), [({}, "different"), ({"peft": "0.1"}, "different"), ({"numpy": "1.0"}, "unclear")]
)
def test_a_forged_random_state_is_found_behind_an_environment_that_excuses_it(
    lab: object, tmp_path: Path, environment: dict[str, str], verdict: str
) -> None:
    files = {"rng_state.pth": lab.file(lab.other[2], "rng_state.pth")}
    found = replayed(lab, excused(lab, tmp_path, files, **OTHER_PROCESSOR, **environment), tmp_path)
    assert [file.path for file in found.differing] == ["rng_state.pth"]
    assert (found.random_differs, found.verdict) == (True, verdict)


def test_the_same_random_numbers_in_another_file_are_close(lab: object, tmp_path: Path) -> None:
    import torch

    state = torch.load(io.BytesIO(lab.file(lab.run[2], "rng_state.pth")), weights_only=False)
    torch.save(dict(state), tmp_path / "another_name.pth")
    files = {"rng_state.pth": (tmp_path / "another_name.pth").read_bytes()}
    found = replayed(lab, excused(lab, tmp_path, files, **OTHER_PROCESSOR), tmp_path)
    assert [file.path for file in found.differing] == ["rng_state.pth"]
    assert (found.random_differs, found.verdict) == (False, "close")


def test_the_optimizer_of_step_0_is_no_measure_of_how_far_it_moved(lab: object, tmp_path: Path) -> None:
    """With numbers as large as one likes in it, any other difference would be a small share of the change."""
    import torch

    first, forged = (torch.load(io.BytesIO(lab.file(link, "optimizer.pt")), weights_only=True) for link in lab.run[:2])
    for number, kept in forged["state"].items():
        moments = {name: torch.full_like(kept[name], 1e9) for name in ("exp_avg", "exp_avg_sq")}
        first["state"][number] = {"step": torch.zeros(()), **moments}
        kept["exp_avg"] *= -50
    links = []
    for link, state in zip(lab.run, (first, forged), strict=False):
        torch.save(state, tmp_path / "optimizer.pt")
        files = {"optimizer.pt": (tmp_path / "optimizer.pt").read_bytes()}
        environment = {**link.environment, **OTHER_PROCESSOR}
        links.append(lab.forge(link, tmp_path / f"forged-{link.steps.last}", files, environment=environment))
    chain = lab.relink([*links, *lab.run[2:]], tmp_path)
    picks = [Pick(segments_of(chain)[0], "first")]
    (found,) = replay_segments(lab.store, fetch_inputs(lab.store, chain[-1], tmp_path), picks, tmp_path)
    assert found.verdict == "different"
    assert "remembers gradients" in found.describe()


def test_settings_at_the_end_are_judged_behind_another_environment_too(lab: object, tmp_path: Path) -> None:
    def decay(state: dict[str, object]) -> None:
        state["param_groups"][0]["weight_decay"] = 0.5

    chain = excused(lab, tmp_path, {"optimizer.pt": other_optimizer(lab, decay)}, **OTHER_PROCESSOR)
    found = replayed(lab, chain, tmp_path)
    assert found.verdict == "different"
    assert "weight_decay 0.5" in found.problem


def test_one_changed_bit_is_different_in_the_recorded_environment(lab: object, tmp_path: Path) -> None:
    chain = tampered(lab, tmp_path, dict(lab.run[2].environment))
    picks = [Pick(segments_of(chain)[1], "asked for")]
    (found,) = replay_segments(lab.store, fetch_inputs(lab.store, chain[-1], tmp_path), picks, tmp_path)
    assert found.verdict == "different"
    assert found.weights.tolerance is None
    assert found.optimizer is None
    assert [file.path for file in found.differing] == ["model.safetensors"]


def with_other_numbers(data: bytes, before: float, after: float) -> bytes:
    """A file of `torch.save` in which one number is another one."""
    old, new = io.BytesIO(data), io.BytesIO()
    with zipfile.ZipFile(old) as source, zipfile.ZipFile(new, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("/data.pkl"):
                assert struct.pack(">d", before) in content
                content = content.replace(struct.pack(">d", before), struct.pack(">d", after))
            target.writestr(name, content)
    return new.getvalue()


def test_a_segment_that_begins_with_other_settings_than_the_recipe_s_is_not_even_repeated(
    lab: object, tmp_path: Path
) -> None:
    """Its steps would repeat bit for bit: the settings travel with the published state."""
    data = with_other_numbers(lab.file(lab.run[1], "scheduler.pt"), 0.02, 0.03)
    changed = lab.forge(lab.run[1], tmp_path / "rate", {"scheduler.pt": data})
    chain = lab.relink([lab.run[0], changed, *lab.run[2:]], tmp_path)
    picks = [Pick(segments_of(chain)[1], "asked for")]
    (found,) = replay_segments(lab.store, fetch_inputs(lab.store, chain[-1], tmp_path), picks, tmp_path)
    assert found.verdict == "different"
    assert "base_lrs [0.03, 0.03]" in found.describe()
    assert found.compared == ()


def test_a_repetition_with_other_values_changes_nothing_else(lab: object, tmp_path: Path) -> None:
    """Not even what a less strict reader of YAML takes for something else."""
    data = lab.recipe.data.replace(b"A Llama for tests", b"yes")
    inputs = replace(fetch_inputs(lab.store, lab.run[-1], tmp_path), recipe_file=parse_recipe(data))
    changed = with_recipe(inputs, tmp_path, training={"checkpoint_every": 2, "log_every": 2})
    training = inputs.recipe.training.model_copy(update={"checkpoint_every": 2, "log_every": 2})
    assert changed.recipe == inputs.recipe.model_copy(update={"training": training})


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


def test_a_dry_run_says_what_it_takes_and_trains_nothing(
    lab: object, llamafund: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr("llamafund_trainer.replay.segments.run_job", refuse)
    ran = llamafund(
        "replay", lab.run[-1].sha256, "--segments", 2, "--entropy", "00", "--dry-run", "--store", lab.store.location,
        "--json",
    )  # fmt: skip
    assert ran.code == ExitCode.OK, ran.stderr
    assert "To repeat: 20 of 40 steps (50% of the computing): 5120 tokens" in ran.stderr
    assert (ran.json["verdict"], ran.json["segments"]) == (None, [])
    assert ran.json["detection_formula"] == "1 - (1 - f)^s"
    random = ran.json["random_segments"]
    assert ran.json["detection"]["0.1"] == pytest.approx(1 - 0.9**random, abs=1e-6)
    assert len(ran.json["picked"]) == 2


def test_larger_work_is_timed_on_this_machine_before_it_starts(
    lab: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llamafund_trainer.replay.estimate.SMALL_WORK", 0)
    segments = segments_of(lab.run)
    inputs = fetch_inputs(lab.store, lab.run[-1], tmp_path)
    planned = planned_effort(inputs, segments, segments[1:3])
    assert planned.operations == 6 * parameter_count(inputs.recipe) * 20 * 8 * 32
    assert planned.fetched == sum(lab.run[index].entry(name).size for index in (1, 2) for name in STATE_FILES)
    assert planned.seconds is None
    timed = timed_effort(lab.store, inputs, segments[1], planned, tmp_path)
    assert timed.seconds is not None
    assert 0 < timed.seconds < 120
    assert "judging by a few of these steps" in timed.describe()


def test_a_directory_without_checkpoints_is_no_help(
    lab: object, llamafund: Callable[..., object], tmp_path: Path
) -> None:
    replaying = ("replay", lab.run[-1].sha256, "--store", lab.store.location, "--finer", tmp_path)
    llamafund(*replaying).refused(ExitCode.USAGE, "no checkpoints")
    (tmp_path / "checkpoint-12").mkdir()
    llamafund(*replaying).refused(ExitCode.USAGE, "lacks model.safetensors")
