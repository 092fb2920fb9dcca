"""Repeating segments: what equality means, and what a spliced or forged run gives away."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from llamafund_chain.checks.check import CheckContext
from llamafund_chain.errors import ExitCode, VerificationError
from llamafund_chain.evidence.manifests import CheckpointManifest
from llamafund_chain.store.content import fetch_tree
from llamafund_trainer.checks.run import replay
from llamafund_trainer.process.messages import SegmentEvent
from llamafund_trainer.recipe import parse_recipe
from llamafund_trainer.replay.choice import Pick
from llamafund_trainer.replay.replay import _judge, replay_segments
from llamafund_trainer.replay.result import SegmentResult
from llamafund_trainer.replay.segments import (
    repeat_everywhere,
    segments_of,
    with_recipe,
)
from llamafund_trainer.runs.inputs import fetch_inputs, walk_run


def test_every_segment_of_an_honest_run_repeats_bit_for_bit(lab: object, tmp_path: Path) -> None:
    segments = segments_of(lab.run)
    steps: list[int] = []
    picks = [Pick(segment, "asked for") for segment in segments]
    results = replay_segments(
        lab.store, fetch_inputs(lab.store, lab.run[-1], tmp_path), picks, tmp_path, jobs=2, progress=steps.append
    )
    assert [each.verdict for each in results] == ["same"] * 4
    assert [len(each.compared) for each in results] == [8, 4, 4, 4]
    assert steps[-1] == 40


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


def test_threat_an_attestor_elsewhere_hears_what_it_takes_and_accuses_nobody(
    lab: object, llamafund: Callable[..., object], context: Callable[..., CheckContext], tmp_path: Path
) -> None:
    elsewhere = {"processor_class": "AuthenticAMD 999-1"}
    named = {"recipe": lab.publish_fixed(**elsewhere), "environment": {**lab.run[2].environment, **elsewhere}}
    chain = tampered(lab, tmp_path, named["environment"])
    links = [lab.forge(link, tmp_path / str(link.steps.last), **named) for link in chain[:3]]
    chain = lab.relink(links, tmp_path / "linked")
    ran = llamafund("replay", chain[-1].sha256, "--segment", 1, "--store", lab.store.location, "--json")
    ran.refused(ExitCode.UNCHECKED, "could not be told", "it says 'AuthenticAMD 999-1'", "where it was trained")
    assert "not 'AuthenticAMD 999-1'. Other bytes will show nothing." in ran.stderr
    (segment,) = ran.json["segments"]
    assert (ran.json["verdict"], segment["verdict"]) == ("unclear", "unclear")
    assert segment["outside"]["processor_class"][0] == "AuthenticAMD 999-1"
    statuses = [finding.status for finding in replay(context(chain[-1], replay_segments=2))]
    assert statuses == ["pass", "unchecked"]


def test_a_gpu_s_result_is_not_compared_with_what_instruction_sets_of_a_processor_change(
    lab: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A stand-in: the recipe says GPU, and what is compared was computed on a processor."""
    monkeypatch.setattr("llamafund_trainer.replay.replay.repeat_everywhere", lambda *_: pytest.fail("repeated"))
    chain = tampered(lab, tmp_path, dict(lab.run[2].environment))
    inputs = fetch_inputs(lab.store, chain[-1], tmp_path)
    determinism = inputs.recipe.determinism.model_copy(update={"device": "cuda"})
    on_gpu = inputs.recipe.model_copy(update={"determinism": determinism})
    inputs = replace(inputs, recipe_file=replace(inputs.recipe_file, recipe=on_gpu))
    segment = segments_of(chain)[1]
    fetch_tree(lab.store, lab.run[2], tmp_path / "again" / "checkpoint-20")
    fetch_tree(lab.store, lab.run[1], tmp_path / "again" / "checkpoint-10")
    event = SegmentEvent(
        index=0,
        directory=tmp_path / "again" / "checkpoint-20",
        environment={**segment.end.environment, "gpu": "another one"},
        seconds=1.0,
    )
    found = _judge(lab.store, inputs, Pick(segment, "asked for"), event, tmp_path, 1)
    assert (found.verdict, found.weights.tolerance) == ("unclear", 0.0)


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
