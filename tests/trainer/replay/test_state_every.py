"""Checkpoints of which only every n-th holds the optimizer's state: what can be repeated, resumed and forged."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import load, save

from llamafund_chain.checks.check import CheckContext, Finding
from llamafund_chain.errors import UsageError, VerificationError
from llamafund_chain.evidence.hashing import hash_tree
from llamafund_chain.evidence.manifests import CheckpointManifest
from llamafund_chain.store.content import fetch_tree, publish_tree
from llamafund_trainer.checks.checkpoints import checkpoint_files_known
from llamafund_trainer.process.messages import SegmentEvent
from llamafund_trainer.recipe import RecipeFile, parse_recipe
from llamafund_trainer.replay import replay as replay_module
from llamafund_trainer.replay.choice import Pick
from llamafund_trainer.replay.replay import replay_segments
from llamafund_trainer.replay.result import SegmentResult
from llamafund_trainer.replay.segments import published_files, segments_of, state_files
from llamafund_trainer.runs.inputs import Inputs, fetch_inputs
from llamafund_trainer.runs.run import RunProgress, RunRecord, StoppedError, _continued, train_run

Chain = tuple[CheckpointManifest, ...]
Forge = Callable[..., Chain]
OTHER_PROCESSOR = {"processor": "another one"}
EVERY = 4


@dataclass(frozen=True)
class Kept:
    """A run with the optimizer's state every fourth step, which was stopped once.

    Attributes:
        lab: Whose store and data it has.
        inputs: Of the run.
        honest: Its first two segments, repeated.
        events: What the process said of each, by first step.
    """

    lab: object
    run: Chain
    inputs: Inputs
    honest: tuple[SegmentResult, ...]
    events: dict[int, SegmentEvent]


def recipe_with(recipe: RecipeFile, **training: object) -> RecipeFile:
    raw = yaml.safe_load(recipe.data)
    raw["training"] |= training
    return parse_recipe(yaml.safe_dump(raw).encode())


@pytest.fixture(scope="module")
def kept(lab: object, recipe: RecipeFile, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    place = tmp_path_factory.mktemp("kept")
    own = recipe_with(recipe, steps=24, checkpoint_every=1, log_every=1, state_every=EVERY)
    record = RunRecord(
        recipe=own.sha256,
        dataset=lab.dataset.sha256,
        seed="7e" * 32,
        parent=lab.dataset.sha256,
        milestone_steps=(24,),
    )

    def stop(done: RunProgress) -> None:
        if done.step == 1 and done.checkpoint is None and done.loss is None:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(StoppedError, match="stopped after step") as stopped:
        train_run(lab.store, own, record, place / "run", progress=stop)
    step = int(str(stopped.value).split("after step ")[1].split(".")[0])
    assert (place / "run" / "pause" / f"checkpoint-{step}" / "optimizer.pt").exists() == (step % EVERY != 0)
    later: list[int] = []
    run = train_run(lab.store, own, record, place / "run", progress=lambda done: later.append(done.step))
    assert later[0] == step + 1, "the pause holds the state, even where the checkpoint does not"

    inputs = fetch_inputs(lab.store, run[-1], place)
    events: dict[int, SegmentEvent] = {}
    original = replay_module._repeated

    def noted(*arguments: object) -> dict[int, object]:
        made = original(*arguments)
        for each in made.values():
            events[int(each.event.directory.parent.name.removeprefix("repeated-"))] = each.event
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay_module, "_repeated", noted)
        picks = [Pick(each, "asked for") for each in segments_of(run, own.recipe)[:2]]
        honest = replay_segments(lab.store, inputs, picks, place)
    return Kept(replace(lab, recipe=own), run, inputs, honest, events)


def files_of(link: CheckpointManifest) -> set[str]:
    return {entry.path for entry in link.files}


def test_only_every_fourth_checkpoint_holds_the_optimizer_and_all_repeat_bit_for_bit(kept: Kept) -> None:
    recipe = kept.inputs.recipe
    assert [link.steps.last for link in kept.run] == list(range(25))
    with_state = [link.steps.last for link in kept.run if "optimizer.pt" in files_of(link)]
    assert with_state == [0, 4, 8, 12, 16, 20, 24]
    assert all({"model.safetensors", "scheduler.pt", "rng_state.pth"} <= files_of(link) for link in kept.run)
    segments = segments_of(kept.run, recipe)
    assert [(each.start.steps.last, each.end.steps.last, len(each.between)) for each in segments[:2]] == [
        (0, 4, 3),
        (4, 8, 3),
    ]
    assert [(found.verdict, found.settings) for found in kept.honest] == [("same", {}), ("same", {})]
    for found, steps in zip(kept.honest, (range(5), range(5, 9)), strict=True):
        compared = {step: {file.path for file in found.compared if file.step == step} for step in steps}
        assert compared == {step: set(published_files(recipe, step)) for step in steps}
        assert len({file.step for file in found.compared}) == len(steps)


def test_a_run_up_to_a_checkpoint_without_the_state_ends_with_a_shorter_segment(kept: Kept) -> None:
    segments = segments_of(kept.run[:7], kept.inputs.recipe)
    assert [(each.start.steps.last, each.end.steps.last, len(each.between)) for each in segments] == [
        (0, 4, 3),
        (4, 6, 1),
    ]


def test_after_a_crash_it_goes_on_from_the_last_checkpoint_with_the_state(kept: Kept, tmp_path: Path) -> None:
    recipe, no_pause = kept.inputs.recipe, tmp_path / "pause"
    assert _continued(recipe, kept.run[:8], no_pause) == kept.run[:5]
    assert _continued(recipe, kept.run[:5], no_pause) == kept.run[:5]
    assert _continued(recipe, kept.run[:4], no_pause) == ()


def republished(kept: Kept, step: int, scratch: Path, **changes: object) -> Chain:
    """The first nine checkpoints as one chain, one of them changed."""
    links = list(kept.run[:9])
    links[step] = kept.lab.forge(links[step], scratch / "changed", **changes)
    return kept.lab.relink(links, scratch)


def judged(kept: Kept, chain: Chain, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> SegmentResult:
    """What a replay says of steps 4 to 8, with the repetition that the honest run had."""
    made = replay_module._Made(kept.events[EVERY], "here")
    monkeypatch.setattr(replay_module, "_repeated", lambda *_: {0: made})
    pick = Pick(segments_of(chain, kept.inputs.recipe)[1], "asked for")
    (found,) = replay_segments(kept.lab.store, kept.inputs, [pick], scratch)
    return found


def other_weights(kept: Kept, step: int, factor: np.float32) -> bytes:
    values = {name: each.copy() for name, each in load(kept.lab.file(kept.run[step], "model.safetensors")).items()}
    values["model.norm.weight"][0] *= factor
    return save(values, metadata={"format": "pt"})


@pytest.fixture
def elsewhere(kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for honest repetitions in two ways, which differ in a last bit at each step."""
    ways: dict[str, Path] = {}
    for name, factor in (("one", np.float32(1)), ("other", np.float32(1 + 2**-22))):
        for step in range(5, 9):
            place = tmp_path / name / f"checkpoint-{step}"
            fetch_tree(kept.lab.store, kept.run[step], place, published_files(kept.inputs.recipe, step))
            (place / "model.safetensors").write_bytes(other_weights(kept, step, factor))
        ways[name] = tmp_path / name / "checkpoint-8"
    monkeypatch.setattr(replay_module, "repeat_everywhere", lambda *_: ways)


def test_threat_other_weights_between_two_states_are_found(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forged = {"model.safetensors": other_weights(kept, 6, np.float32(1 + 2**-22))}
    found = judged(kept, republished(kept, 6, tmp_path, changed=forged), tmp_path, monkeypatch)
    assert [(file.step, file.path) for file in found.differing] == [(6, "model.safetensors")]
    assert found.verdict == "different"
    assert "model.safetensors after step 6" in found.describe()


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(("factor", "verdict"), [(1 + 2**-22, "close"), (1.5, "different")])
@pytest.mark.parametrize("places", [(6,), (6, 8)])
def test_weights_between_are_judged_by_themselves_where_the_environment_explains_others(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factor: float, verdict: str, places: tuple[int, ...]
) -> None:
    """The last checkpoint of the segment is honest, or as close as honest ones are."""
    links = list(kept.run[:9])
    for step in places:
        times = np.float32(factor if step == 6 else 1 + 2**-22)
        forged = {"model.safetensors": other_weights(kept, step, times)}
        links[step] = kept.lab.forge(links[step], tmp_path / f"changed-{step}", forged)
    record = {**links[6].environment, **OTHER_PROCESSOR}
    links[6] = kept.lab.forge(links[6], tmp_path / "recorded", None, environment=record)
    found = judged(kept, kept.lab.relink(links, tmp_path), tmp_path, monkeypatch)
    assert found.settings.keys() == {"processor"}
    assert found.verdict == verdict, found.describe()


@pytest.mark.parametrize("step", [5, 6])
def test_threat_a_forged_learning_rate_between_two_states_is_found(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    forged = {"scheduler.pt": kept.lab.file(kept.run[step + 1], "scheduler.pt")}
    chain = republished(kept, step, tmp_path, changed=forged)
    found = judged(kept, chain, tmp_path, monkeypatch)
    assert found.verdict == "different"


def without(kept: Kept, link: CheckpointManifest, path: str, scratch: Path) -> CheckpointManifest:
    fetch_tree(kept.lab.store, link, scratch)
    (scratch / path).unlink()
    tree = hash_tree(scratch)
    less = link.model_copy(update={"files": tree.files, "content": tree.content})
    publish_tree(kept.lab.store, scratch, less)
    return less


@pytest.fixture
def listed(kept: Kept, context: Callable[..., CheckContext]) -> Callable[[Chain], list[Finding]]:
    return lambda chain: list(checkpoint_files_known(context(chain[-1], ancestry=())))


def test_threat_a_checkpoint_without_the_state_that_the_recipe_promises_fails(
    kept: Kept, listed: Callable[[Chain], list[Finding]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [found.status for found in listed(kept.run)] == ["pass"]
    links = [*kept.run[:4], without(kept, kept.run[4], "optimizer.pt", tmp_path / "less"), *kept.run[5:9]]
    chain = kept.lab.relink(links, tmp_path)
    (found,) = listed(chain)
    assert found.status == "fail"
    assert "no optimizer.pt in" in found.detail
    assert "after step 4, which the recipe promises" in found.detail
    with pytest.raises(VerificationError, match=r"optimizer\.pt"):
        judged(kept, chain, tmp_path, monkeypatch)


def test_threat_a_state_where_the_recipe_has_none_fails(
    kept: Kept, listed: Callable[[Chain], list[Finding]], tmp_path: Path
) -> None:
    forged = {"optimizer.pt": kept.lab.file(kept.run[4], "optimizer.pt")}
    (found,) = listed(republished(kept, 6, tmp_path, changed=forged))
    assert found.status == "fail"
    assert "'optimizer.pt' lies in the checkpoint after step 6" in found.detail


def test_a_milestone_is_where_the_state_is(recipe: RecipeFile) -> None:
    own = recipe_with(recipe, checkpoint_every=10, state_every=20).recipe
    assert own.milestone_steps(2) == (20, 40)
    with pytest.raises(UsageError, match=r"after step 10.*a checkpoint with the optimizer's state every 20 steps"):
        own.milestone_steps(4)


@pytest.mark.parametrize(
    ("state_every", "words"),
    [(15, "state_every 15 is not a multiple of checkpoint_every 10"), (30, "steps 40 is not a multiple of")],
)
def test_a_state_without_its_checkpoint_is_refused(recipe: RecipeFile, state_every: int, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        recipe_with(recipe, state_every=state_every)


def sections() -> Iterator[dict[str, object]]:
    yield {}
    yield {"determinism": {"processes": 2, "sharding": "full"}}
    base = {"model": {"base": "0" * 64}, "tokenizer": None}
    yield {**base, "lora": {"rank": 4}}


@pytest.mark.parametrize("changes", sections())
def test_only_the_optimizer_is_left_out(recipe: RecipeFile, changes: dict[str, object]) -> None:
    raw = {**yaml.safe_load(recipe_with(recipe, state_every=20).data), **changes}
    own = parse_recipe(yaml.safe_dump({name: value for name, value in raw.items() if value is not None}).encode())
    assert published_files(own.recipe, 20) == state_files(own.recipe, 20)
    left_out = set(state_files(own.recipe, 10)) - set(published_files(own.recipe, 10))
    assert left_out, "something is saved"
    assert all("optimizer" in path for path in left_out)
    assert not any("optimizer" in path for path in published_files(own.recipe, 10))
