"""Fine-tuning a base model, with all weights or an adapter: the whole way, on the lab's own open weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from llamafund_chain.checks.check import CheckContext
from llamafund_chain.checks.run import run_checks
from llamafund_chain.errors import ExitCode, LlamafundError, VerificationError
from llamafund_chain.evidence.manifests import EvidenceManifest
from llamafund_chain.store import LocalStore
from llamafund_chain.store.content import fetch_tree, publish_tree
from llamafund_trainer.checks import CHECKS
from llamafund_trainer.checks.weights import weights_equal_checkpoint
from llamafund_trainer.recipe import RecipeFile, parse_recipe
from llamafund_trainer.replay.bisection import bisect, finer_checkpoints
from llamafund_trainer.replay.choice import Pick, weight_jumps
from llamafund_trainer.replay.replay import replay_segments
from llamafund_trainer.replay.segments import repeat_once, segments_of, with_recipe
from llamafund_trainer.runs.inputs import fetch_inputs
from llamafund_trainer.runs.run import RunProgress, RunRecord, train_run

MakeContext = Callable[..., CheckContext]
NewRecord = Callable[..., RunRecord]
Llamafund = Callable[..., object]
METRIC = "heldout_bits_per_byte"

both = pytest.mark.parametrize("kind", ["full", "lora"])


@pytest.fixture
def tuned_context(lab: object, tuned: dict[str, object], context: MakeContext, proposal: object) -> MakeContext:
    """As `context`, for a fine-tuning."""

    def make(kind: str, evidence: EvidenceManifest, **changes: object) -> CheckContext:
        promised = proposal.model_copy(update={"recipe": tuned[kind].recipe.sha256})
        values: dict[str, object] = {"proposal": promised, **changes}
        if evidence.KIND == "WEIGHTS":
            values.setdefault("ancestry", (lab.dataset, tuned[kind].run[-1]))
        return context(evidence, **values)

    return make


@both
def test_it_begins_where_the_base_model_ends_and_learns(lab: object, tuned: dict[str, object], kind: str) -> None:
    values = [link.metrics[METRIC] for link in tuned[kind].run]
    assert values[0] == lab.weights.metrics[METRIC]
    assert values[-1] < values[0]
    assert [link.steps.last for link in tuned[kind].run] == [0, 2, 4]


def test_an_adapters_checkpoint_holds_no_other_weights(lab: object, tuned: dict[str, object]) -> None:
    last = tuned["lora"].run[-1]
    names = {entry.path for entry in last.files}
    assert {entry.path for entry in last.files if entry.path.endswith(".safetensors")} == {"adapter_model.safetensors"}
    assert {"config.json", "tokenizer.json", "optimizer.pt"} <= names
    assert not names & {"README.md", "training_args.bin"}
    assert last.entry("adapter_model.safetensors").size < lab.weights.entry("model.safetensors").size / 3
    config = json.loads(lab.file(last, "adapter_config.json"))
    assert config["base_model_name_or_path"] == lab.weights.sha256
    assert last.environment["peft"]


@both
def test_no_published_file_names_a_place_on_this_machine(lab: object, tuned: dict[str, object], kind: str) -> None:
    evidence = tuned[kind]
    for manifest in (evidence.run[-1], evidence.weights):
        for entry in manifest.files:
            assert str(evidence.folder.parent.parent).encode() not in lab.file(manifest, entry.path), entry.path


@both
def test_the_base_models_tokenizer_is_used_as_it_is(lab: object, tuned: dict[str, object], kind: str) -> None:
    for manifest in (tuned[kind].run[-1], tuned[kind].weights):
        for name in ("tokenizer.json", "tokenizer_config.json"):
            assert manifest.entry(name).sha256 == lab.weights.entry(name).sha256


@both
def test_every_segment_repeats_bit_for_bit_from_evidence_alone(
    lab: object, tuned: dict[str, object], kind: str, tmp_path: Path
) -> None:
    run = tuned[kind].run
    weights = "adapter_model.safetensors" if kind == "lora" else "model.safetensors"
    picks = [Pick(segment, "asked for") for segment in segments_of(run)]
    results = replay_segments(lab.store, fetch_inputs(lab.store, run[-1], tmp_path), picks, tmp_path)
    assert [(result.verdict, result.settings) for result in results] == [("same", {}), ("same", {})]
    assert all(weights in [file.path for file in result.compared] for result in results)
    assert all(size > 0 for size in weight_jumps(lab.store, segments_of(run), tmp_path))


@both
def test_an_interrupted_run_goes_on_to_the_same_evidence(
    lab: object, tuned: dict[str, object], kind: str, new_record: NewRecord, tmp_path: Path
) -> None:
    class StopHereError(Exception):
        pass

    store = store_with(lab, tmp_path / "store", lab.dataset, lab.weights)
    recipe = tuned[kind].recipe
    record = new_record(recipe=recipe.sha256, milestone_steps=(4,))

    def interrupt(done: RunProgress) -> None:
        if done.checkpoint is not None and done.step == 2:
            raise StopHereError

    with pytest.raises(StopHereError):
        train_run(store, recipe, record, tmp_path / "run", progress=interrupt)
    seen: list[RunProgress] = []
    again = train_run(store, recipe, record, tmp_path / "run", progress=seen.append)
    assert min(done.step for done in seen) == 3
    assert [link.sha256 for link in again] == [link.sha256 for link in tuned[kind].run]


@both
def test_plain_transformers_opens_the_open_weights(tuned: dict[str, object], kind: str) -> None:
    folder = tuned[kind].exported
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    assert type(model).__name__ == "LlamaForCausalLM"
    assert not hasattr(model, "peft_config")
    tensors = load_file(folder / "model.safetensors")
    assert sum(each.numel() for each in tensors.values()) == tuned[kind].weights.parameters
    prompt = tokenizer("Ada sees the", return_tensors="pt")["input_ids"]
    written = model.generate(input_ids=prompt, max_new_tokens=8, do_sample=False)
    assert written.shape == (1, prompt.shape[1] + 8)
    assert tokenizer.decode(written[0], skip_special_tokens=True).startswith("Ada sees the")


def test_the_merged_model_is_what_peft_makes_of_base_and_adapter(lab: object, tuned: dict[str, object]) -> None:
    from peft import PeftModel

    adapter = tuned["lora"].folder / "checkpoints" / "checkpoint-4"
    adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(lab.exported), str(adapter)).eval()
    merged = AutoModelForCausalLM.from_pretrained(tuned["lora"].exported)
    base = AutoModelForCausalLM.from_pretrained(lab.exported)
    tokens = torch.arange(24).reshape(1, 24)
    with torch.no_grad():
        wanted, found, before = (model(input_ids=tokens).logits for model in (adapted, merged, base))
    assert torch.allclose(wanted, found, atol=1e-4)
    assert not torch.allclose(before, found, atol=1e-2), "the adapter does nothing"


@both
def test_compare_weights_merges_again(lab: object, tuned: dict[str, object], kind: str, llamafund: Llamafund) -> None:
    evidence, store = tuned[kind], lab.store.location
    ran = llamafund("compare-weights", evidence.run[-1].sha256, evidence.exported, "--store", store, "--json")
    assert ran.code == ExitCode.OK, ran.stderr
    assert ran.json["verdict"] == "same"
    assert ran.json["tensors"] > 5
    start = llamafund("compare-weights", evidence.run[0].sha256, lab.weights.sha256, "--store", store, "--json")
    assert start.json["verdict"] == "same", "step 0 is the base model"
    llamafund("compare-weights", evidence.run[1].sha256, evidence.exported, "--store", store).refused(
        ExitCode.VERIFICATION_FAILED, "tensors are not the same"
    )


def test_the_promised_metric_of_an_adapters_checkpoint_is_measured_on_the_merged_model(
    lab: object, tuned: dict[str, object], proposal: object, llamafund: Llamafund
) -> None:
    evidence = tuned["lora"]
    promised = proposal.model_copy(update={"recipe": evidence.recipe.sha256})
    lab.store.put_bytes(promised.to_bytes())
    checkpoint = evidence.run[-1]
    ran = llamafund(
        "evaluate", checkpoint.sha256, "--proposal", promised.sha256, "--store", lab.store.location, "--json"
    )
    assert ran.code == ExitCode.OK, ran.stderr
    assert ran.json["value"] == checkpoint.metrics[METRIC]
    assert ran.json["published_tokenizer_is_the_datas"] is True


@both
def test_honest_evidence_passes_every_check(tuned: dict[str, object], kind: str, tuned_context: MakeContext) -> None:
    evidence = tuned[kind]
    made = tuned_context(kind, evidence.run[-1], replay_segments=1)
    found = [(result.name, result.status) for result in run_checks(made, CHECKS)]
    seeded = [("initial-weights-from-seed", "pass")] if kind == "lora" else []
    assert found == [
        *seeded,
        ("initial-weights-from-base", "pass"),
        ("environment-recorded", "pass"),
        ("checkpoint-files-known", "pass"),
        ("histories-agree", "pass"),
        ("schedule-follows-recipe", "pass"),
        ("steps-follow-recipe", "pass"),
        ("replay", "pass"),
        ("metric-re-evaluated", "pass"),
        ("changed-from-base", "pass"),
    ]
    weights = tuned_context(kind, evidence.weights, workdir=made.workdir / "weights")
    assert [(result.name, result.status) for result in run_checks(weights, CHECKS)] == [
        ("steps-follow-recipe", "pass"),
        ("metric-re-evaluated", "pass"),
        ("changed-from-base", "pass"),
        ("model-card-from-manifests", "pass"),
        ("weights-headers-plain", "pass"),
        ("weights-equal-checkpoint", "pass"),
        ("loads-in-transformers", "pass"),
    ]


@both
def test_settings_that_spoil_what_a_fine_tuned_model_writes_are_caught(
    lab: object, tuned: dict[str, object], kind: str, tuned_context: MakeContext, tmp_path: Path
) -> None:
    honest = tuned[kind].weights
    settings = {**json.loads(lab.file(honest, "generation_config.json")), "suppress_tokens": [5]}
    forged = lab.forge(honest, tmp_path, {"generation_config.json": json.dumps(settings).encode()})
    (result,) = weights_equal_checkpoint(tuned_context(kind, forged))
    assert result.status == "fail"
    assert "suppress_tokens" in result.detail


def test_bisection_finds_the_step_at_which_an_adapter_went_wrong(
    lab: object, tuned: dict[str, object], tmp_path: Path
) -> None:
    run = tuned["lora"].run
    segment = segments_of(run)[1]
    inputs = fetch_inputs(lab.store, run[-1], tmp_path)
    finer = with_recipe(inputs, tmp_path, training={"checkpoint_every": 1, "log_every": 1})
    fetch_tree(lab.store, run[1], tmp_path / "start")
    repeat_once(finer, segment.end.seed, 2, 3, tmp_path / "start", tmp_path / "finer")
    state = tmp_path / "finer" / "checkpoint-3" / "adapter_model.safetensors"
    inside = finer_checkpoints(tmp_path / "finer", inputs.recipe)
    (tmp_path / "right").mkdir()
    right = bisect(lab.store, inputs, segment, inside, tmp_path / "right")
    assert (right.after, right.by) == (3, 4), "the finer checkpoint is honest"
    state.write_bytes(lab.file(run[2], "adapter_model.safetensors"))
    (tmp_path / "wrong").mkdir()
    wrong = bisect(lab.store, inputs, segment, inside, tmp_path / "wrong")
    assert (wrong.after, wrong.by) == (2, 3)


def test_a_base_model_that_was_tampered_with_is_not_used(
    lab: object, tuned: dict[str, object], new_record: NewRecord, tmp_path: Path
) -> None:
    store = store_with(lab, tmp_path / "store", lab.dataset, lab.weights)
    entry = lab.weights.entry("model.safetensors")
    named = [path for path in (tmp_path / "store").rglob("*") if path.name == entry.cid]
    (place,) = [path for path in named if path.stat().st_size == entry.size]
    data = bytearray(place.read_bytes())
    data[-1] ^= 1
    place.chmod(0o600)
    place.write_bytes(data)
    record = new_record(recipe=tuned["full"].recipe.sha256, milestone_steps=(4,))
    with pytest.raises(VerificationError, match=r"model\.safetensors"):
        train_run(store, tuned["full"].recipe, record, tmp_path / "run")


def test_a_base_model_that_the_store_lacks_is_one_clear_error(
    lab: object, tuned: dict[str, object], new_record: NewRecord, dataset_store: LocalStore, tmp_path: Path
) -> None:
    record = new_record(recipe=tuned["full"].recipe.sha256, milestone_steps=(4,))
    with pytest.raises(LlamafundError, match="has nothing under"):
        train_run(dataset_store, tuned["full"].recipe, record, tmp_path / "run")


def test_layers_that_the_base_model_does_not_have_are_refused_with_the_nearest_one(
    lab: object, tuned: dict[str, object], new_record: NewRecord, tmp_path: Path
) -> None:
    recipe = with_lora(tuned["lora"].recipe, "{target_modules: [q_prj]}")
    with pytest.raises(LlamafundError, match=r"'q_prj'; the nearest one is 'q_proj'.*down_proj, .*v_proj"):
        train_run(lab.store, recipe, new_record(recipe=recipe.sha256, milestone_steps=(4,)), tmp_path / "run")


def test_samples_that_are_longer_than_the_base_model_takes_are_refused(
    lab: object, tuned: dict[str, object], new_record: NewRecord, tmp_path: Path
) -> None:
    recipe = parse_recipe(tuned["full"].recipe.data.replace(b"context_length: 32", b"context_length: 33"))
    with pytest.raises(LlamafundError, match=r"context_length is 33.*32 tokens at most"):
        train_run(lab.store, recipe, new_record(recipe=recipe.sha256, milestone_steps=(4,)), tmp_path / "run")


def test_two_processes_and_layers_computed_twice_adapt_and_repeat(
    lab: object, tuned: dict[str, object], new_record: NewRecord, tmp_path: Path
) -> None:
    data = with_lora(tuned["lora"].recipe, "{rank: 2, target_modules: [q_proj, v_proj]}").data
    data = data.replace(b"threads: 1", b"threads: 1, processes: 2").replace(b"steps: 4", b"steps: 2")
    recipe = parse_recipe(data.replace(b"batch_size: 4", b"batch_size: 4, gradient_checkpointing: true"))
    run = train_run(lab.store, recipe, new_record(recipe=recipe.sha256, milestone_steps=(2,)), tmp_path / "run")
    (tmp_path / "work").mkdir()
    inputs = fetch_inputs(lab.store, run[-1], tmp_path / "work")
    (found,) = replay_segments(lab.store, inputs, [Pick(segments_of(run)[0], "asked for")], tmp_path / "work")
    assert (found.verdict, found.settings) == ("same", {})


def with_lora(recipe: RecipeFile, section: str) -> RecipeFile:
    lines = [line for line in recipe.data.decode().splitlines() if not line.startswith("lora:")]
    return parse_recipe("\n".join([*lines, f"lora: {section}"]).encode())


def store_with(lab: object, root: Path, *manifests: EvidenceManifest) -> LocalStore:
    """A store that holds these and nothing else."""
    store = LocalStore(root)
    for number, manifest in enumerate(manifests):
        place = root.parent / f"copy-{number}"
        fetch_tree(lab.store, manifest, place)
        publish_tree(store, place, manifest)
    return store
