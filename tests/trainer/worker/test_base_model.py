"""What may be a base model, and what a stranger's files cannot do."""

from __future__ import annotations

import copy
import errno
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from llamafund_chain.errors import LlamafundError, VerificationError
from llamafund_chain.evidence.hashing import hash_tree
from llamafund_chain.store import LocalStore
from llamafund_chain.store.content import fetch_tree
from llamafund_chain.store.publishing import list_directory, publish
from llamafund_trainer import base_files as module
from llamafund_trainer.base_files import Base, fetch_base
from llamafund_trainer.process.launch import SPARE_MEMORY, bounds_for
from llamafund_trainer.process.messages import Bounds
from llamafund_trainer.recipe import RecipeFile
from llamafund_trainer.replay.segments import repeat_once
from llamafund_trainer.runs.inputs import prepare_inputs
from llamafund_trainer.runs.measure import measure_weights, same_tokenizer
from llamafund_trainer.runs.run import RunRecord, train_run
from llamafund_trainer.worker import base_model
from llamafund_trainer.worker.base_model import base_config, load_base
from llamafund_trainer.worker.corpus import load_corpus
from llamafund_trainer.worker.heldout import Heldout, bits_per_byte
from llamafund_trainer.worker.loop import replay_segment

Change = Callable[[Path], object]


@pytest.fixture
def folder(lab: object, tmp_path: Path) -> Path:
    """The lab's open weights as somebody may have downloaded them."""
    place = tmp_path / "model"
    place.mkdir()
    for path in lab.exported.iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    return place


def published(folder: Path, store: LocalStore) -> str:
    """As `llamafund publish FOLDER` does it."""
    files = hash_tree(folder).files
    return publish(folder, list_directory(files), files, [store.location]).sha256


def fetched(folder: Path, place: Path) -> Base:
    store = LocalStore(place / "store")
    return fetch_base(store, published(folder, store), place / "base")


def edit(folder: Path, name: str, **values: object) -> None:
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_published_directory_is_a_base_model_and_nothing_that_runs_is_fetched(folder: Path, tmp_path: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    (folder / "modeling_llama.py").write_text("raise SystemExit")
    (folder / "original").mkdir()
    (folder / "original" / "config.json").write_text("{}")
    base = fetched(folder, tmp_path)
    names = {path.name for path in base.directory.iterdir()}
    assert names == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert sum(tensor.numel() for tensor in load_base(base).parameters()) == 18912


def test_a_model_in_parts_and_in_half_precision_is_taken_over_without_loss(folder: Path, tmp_path: Path) -> None:
    half = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    (folder / "model.safetensors").unlink()
    half.save_pretrained(folder, max_shard_size="20KB")
    base = fetched(folder, tmp_path)
    assert len(list(base.directory.glob("*.safetensors"))) > 1
    model = load_base(base)
    for name, tensor in half.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor.float())
    assert str(tmp_path) not in json.dumps(model.config.to_dict())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda place: (place / "config.json").unlink(), "no config.json"),
        (lambda place: (place / "tokenizer.json").unlink(), "no tokenizer.json"),
        (lambda place: (place / "model.safetensors").unlink(), "neither model.safetensors nor"),
        (lambda place: (place / "config.json").write_text("[]"), "config.json cannot be read"),
        (lambda place: (place / "config.json").write_text("[" * 100_000), "config.json cannot be read"),
        (
            lambda place: (place / "config.json").write_text('{"vocab_size": 3, "vocab_size": 300}'),
            "occurs twice",
        ),
        (lambda place: (place / "config.json").write_text('{"rms_norm_eps": NaN}'), "NaN is not a number"),
        (lambda place: (place / "config.json").write_bytes(b" " * (module.MAX_CONFIG_BYTES + 1)), "is longer than"),
        (lambda place: edit(place, "config.json", auto_map={"AutoConfig": "x.Y"}), "program of its own"),
        (lambda place: edit(place, "tokenizer_config.json", auto_map={"AutoTokenizer": ["x.Y"]}), "program of its own"),
    ],
)
def test_what_is_no_model_is_refused_before_it_is_opened(
    folder: Path, tmp_path: Path, change: Change, words: str
) -> None:
    change(folder)
    with pytest.raises(VerificationError, match=words):
        fetched(folder, tmp_path)


@pytest.mark.parametrize("name", ["../outside.safetensors", "weights.bin", 3, ["a.safetensors"], "missing.safetensors"])
def test_an_index_leads_nowhere_else(folder: Path, tmp_path: Path, name: object) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"lm_head.weight": name}}))
    with pytest.raises(VerificationError, match=r"as a file of weights|has no 'missing.safetensors'"):
        fetched(folder, tmp_path)


def test_a_manifest_of_something_else_is_refused(lab: object, tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="is a llamafund/dataset/1"):
        fetch_base(lab.store, lab.dataset.sha256, tmp_path)
    with pytest.raises(LlamafundError, match="has nothing under"):
        fetch_base(LocalStore(tmp_path / "empty"), lab.weights.sha256, tmp_path / "base")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"model_type": "llamma"}, "no language model of that type"),
        ({"model_type": ["llama"]}, "no language model of that type"),
        ({"quantization_config": {"bits": 4}}, "quantised"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000"),
        ({"hidden_size": 10**9}, "hidden_size is 1000000000"),
        ({"vocab_size": 2**24}, "asks for .* weights"),
        ({"hidden_act": "os.system"}, "cannot use the base model's"),
        ({"num_hidden_layers": 2}, "not those of its architecture"),
        ({"vision_config": {"num_hidden_layers": 10**9}}, "num_hidden_layers is 1000000000"),
        ({"attention_types": [[["global"], 10**9]]}, "attention_types is 1000000000"),
        ({"depths": [2, 2, 10**6]}, "depths is 1000000"),
        ({"model_type": "gpt_neo", "attention_types": [[["global"] * 1000, 20_000]]}, "attention_types is 20000"),
        ({"rope_parameters": json.loads('{"a": ' * 20 + "1" + "}" * 20)}, "nested more than 16 deep"),
        ({"tie_word_embeddings": False}, "not those of its architecture"),
        ({"intermediate_size": 80}, "cannot use|not those of its architecture"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(
    folder: Path, tmp_path: Path, values: dict[str, object], words: str
) -> None:
    edit(folder, "config.json", **values)
    base = fetched(folder, tmp_path)
    with pytest.raises(VerificationError, match=words):
        load_base(base)


def test_parts_of_a_model_that_no_file_holds_count_as_well(folder: Path, tmp_path: Path) -> None:
    """This architecture has a square of the longest text for each layer, and no weights for it."""
    config = AutoConfig.for_model(
        "gpt_neo",
        vocab_size=300,
        hidden_size=32,
        num_layers=1,
        num_heads=2,
        attention_types=[[["global"], 1]],
        max_position_embeddings=32,
        bos_token_id=0,
        eos_token_id=0,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    assert load_base(fetched(folder, tmp_path / "honest")).config.model_type == "gpt_neo"
    edit(folder, "config.json", max_position_embeddings=2**20)
    with pytest.raises(VerificationError, match=r"asks for 1099\d+ weights"):
        load_base(fetched(folder, tmp_path / "endless"))


def test_a_rotation_as_slow_as_one_likes_is_no_size(folder: Path, tmp_path: Path) -> None:
    edit(folder, "config.json", rope_parameters={"rope_type": "default", "rope_theta": 10**9})
    assert base_config(fetched(folder, tmp_path)).rope_parameters["rope_theta"] == 10**9


@pytest.mark.parametrize("sections", ["", "lora: {rank: 2, target_modules: [q_proj]}\n"])
def test_a_model_that_is_saved_under_other_names_is_refused_before_it_is_trained(
    experts: Path,
    dataset_store: LocalStore,
    tuned_recipe: Callable[..., RecipeFile],
    new_record: Callable[..., RunRecord],
    tmp_path: Path,
    sections: str,
) -> None:
    recipe = tuned_recipe(published(experts, dataset_store), sections)
    run = new_record(recipe=recipe.sha256, milestone_steps=(4,))
    with pytest.raises(VerificationError, match=r"'model\.layers\.0\.mlp\.experts"):
        train_run(dataset_store, recipe, run, tmp_path / "run")
    assert not list((tmp_path / "run").rglob("checkpoint-2"))


def test_weights_that_are_left_over_are_refused(folder: Path, tmp_path: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({**tensors, "model.extra.weight": torch.zeros(3)}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(VerificationError, match=r"unexpected keys.*extra"):
        load_base(fetched(folder, tmp_path))


def test_a_tied_tensor_that_the_files_hold_too_is_refused(folder: Path, tmp_path: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"] + 1
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(VerificationError, match=r"ties 'lm_head\.weight'"):
        load_base(fetched(folder, tmp_path))


def test_the_configuration_of_what_comes_out_is_in_single_precision(folder: Path, tmp_path: Path) -> None:
    edit(folder, "config.json", dtype="bfloat16")
    config = base_config(fetched(folder, tmp_path)).to_dict()
    assert str(config["dtype"]).removeprefix("torch.") == "float32"


def test_documents_begin_with_the_tokenizers_own_token_and_are_never_cut(folder: Path, tmp_path: Path) -> None:
    edit(folder, "tokenizer_config.json", bos_token=None, eos_token={"content": "<|endoftext|>"})
    truncating = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    edit(folder, "tokenizer.json", truncation=truncating)
    tokenizer, first = fetched(folder, tmp_path).tokenizer()
    assert first == tokenizer.token_to_id("<|endoftext|>")
    assert len(tokenizer.encode("Ada sees the river and the window of Grace").ids) > 4


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("tokenizer_config.json", {"bos_token": None, "eos_token": "<none>"}, "has no token to begin a document with"),
        ("config.json", {"vocab_size": 290}, "knows 300 tokens"),
        ("tokenizer.json", {"model": {"type": "Mystery"}}, "tokenizer.json cannot be read"),
    ],
)
def test_a_tokenizer_that_is_of_no_use_is_refused(
    folder: Path, tmp_path: Path, name: str, values: dict[str, object], words: str
) -> None:
    edit(folder, name, **values)
    with pytest.raises(VerificationError, match=words):
        fetched(folder, tmp_path).tokenizer()


def test_a_tokenizer_that_loses_text_cannot_measure_bits_per_byte(
    lab: object, recipe: RecipeFile, folder: Path, tmp_path: Path
) -> None:
    edit(folder, "tokenizer.json", normalizer={"type": "Lowercase"})
    base = fetched(folder, tmp_path)
    fetch_tree(lab.store, lab.dataset, tmp_path / "data")
    with pytest.raises(LlamafundError, match="loses some of the held-out document 0"):
        load_corpus(recipe.recipe, tmp_path / "data", lab.dataset, base)


@pytest.mark.parametrize("kind", ["qwen2", "gemma2", "gpt2", "mistral"])
def test_other_architectures_are_measured_in_double_precision_too(kind: str) -> None:
    sizes = (
        {"n_embd": 32, "n_layer": 2, "n_head": 2}
        if kind == "gpt2"
        else {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "intermediate_size": 64,
            "initializer_range": 0.2,
        }
    )
    config = AutoConfig.for_model(kind, vocab_size=300, bos_token_id=0, eos_token_id=0, pad_token_id=0, **sizes)
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager")
    heldout = Heldout(documents=((0, *range(5, 75)), (0, *range(100, 133)), (0, 7)), size=300)
    values = {
        bits_per_byte(copy.deepcopy(model).double(), heldout, context=24, stride=24, batch_size=size)
        for size in (1, 2, 16)
    }
    assert len(values) == 1
    (value,) = values
    assert value is not None
    with torch.no_grad():
        loss = 0.0
        for document in heldout.documents:
            for start in range(0, len(document) - 1, 24):
                window = torch.tensor([document[start : start + 25]])
                logits = model.eval()(input_ids=window[:, :-1]).logits.double()
                loss += float(torch.nn.functional.cross_entropy(logits[0], window[0, 1:], reduction="sum"))
    assert value / 1e6 == pytest.approx(loss / 0.6931471805599453 / 300, abs=2e-5)


def test_a_tokenizer_is_the_base_models_however_that_was_written(
    lab: object, tuned_recipe: Callable[[str], RecipeFile], folder: Path, tmp_path: Path
) -> None:
    """As older programs wrote it: to be cut and padded, merges as texts, without settings that came later."""
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    tokenizer["padding"] = {
        "strategy": "BatchLongest",
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "<|endoftext|>",
    }
    tokenizer["model"]["merges"] = [" ".join(merge) for merge in tokenizer["model"]["merges"]]
    del tokenizer["model"]["byte_fallback"], tokenizer["model"]["ignore_merges"]
    del tokenizer["pre_tokenizer"]["use_regex"]
    path.write_text(json.dumps(tokenizer))
    recipe = tuned_recipe(published(folder, lab.store))
    inputs = prepare_inputs(lab.store, recipe, lab.dataset.sha256, tmp_path / "inputs")
    measured = measure_weights(inputs, folder / "model.safetensors")
    assert measured.value == lab.weights.metrics["heldout_bits_per_byte"]
    assert same_tokenizer(path, measured.tokenizer)
    for change in ({"normalizer": {"type": "Replace", "pattern": {"Regex": "."}, "content": "a"}}, {"padding": None}):
        path.write_text(json.dumps({**tokenizer, **change}))
        assert not same_tokenizer(path, measured.tokenizer)


def test_a_tokenizer_that_takes_all_memory_ends_the_measurement_and_the_repetition(
    lab: object,
    tuned_recipe: Callable[[str], RecipeFile],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each e becomes a hundred thousand; it would be found to lose the text where there is memory enough for that."""
    monkeypatch.setattr("llamafund_trainer.process.launch.SPARE_MEMORY", 1 << 28)
    longer = {"type": "Replace", "pattern": {"String": "e"}, "content": "e" * 100_000}
    edit(folder, "tokenizer.json", normalizer=longer)
    recipe = tuned_recipe(published(folder, lab.store))
    inputs = prepare_inputs(lab.store, recipe, lab.dataset.sha256, tmp_path / "inputs")
    with pytest.raises(LlamafundError, match="enough memory"):
        measure_weights(inputs, folder / "model.safetensors")
    with pytest.raises(LlamafundError, match="enough memory"):
        repeat_once(inputs, "5a" * 32, 0, 2, None, tmp_path / "repeated")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts what a process takes as this needs it")
def test_a_segments_model_is_built_within_bounds_that_end_with_it(
    recipe: RecipeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class BuiltError(Exception):
        pass

    def build(*_: object) -> None:
        raise BuiltError(resource.getrlimit(resource.RLIMIT_CPU)[0] - time.process_time())

    monkeypatch.setattr("llamafund_trainer.worker.loop.starting_model", build)
    before = resource.getrlimit(resource.RLIMIT_CPU)
    corpus = SimpleNamespace(blocks=np.zeros((1, 32), np.int64), base=None)
    bounds = Bounds(memory=1 << 30, seconds=1000)
    with pytest.raises(BuiltError) as told:
        replay_segment(recipe.recipe, corpus, "5a" * 32, None, 0, 10, tmp_path, lambda *_: None, bounds)
    assert told.value.args[0] == pytest.approx(1000, abs=10)
    assert resource.getrlimit(resource.RLIMIT_CPU) == before


def test_the_bounds_grow_with_model_and_text(
    lab: object, tuned_recipe: Callable[[str], RecipeFile], folder: Path, tmp_path: Path
) -> None:
    recipe = tuned_recipe(published(folder, lab.store))
    inputs = prepare_inputs(lab.store, recipe, lab.dataset.sha256, tmp_path / "inputs")
    alone = bounds_for(inputs.base.directory)
    text = sum(entry.size for entry in lab.dataset.files)
    assert inputs.bounds.memory == alone.memory + 256 * text > alone.memory > SPARE_MEMORY
    with (inputs.data / "train" / "long.txt").open("wb") as file:
        file.truncate(1 << 30)
    assert inputs.bounds.seconds >= alone.seconds + 36_000
    new = prepare_inputs(lab.store, lab.recipe, lab.dataset.sha256, tmp_path / "new")
    assert new.bounds is None, "everything that is opened was made here"


@pytest.mark.parametrize("trouble", [OSError(errno.EIO, "Input/output error"), MemoryError()], ids=["disk", "memory"])
def test_a_failing_machine_stand_in_blames_no_base_model(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    base = fetched(folder, tmp_path)

    def fail(*_: object, **__: object) -> None:
        raise trouble

    monkeypatch.setattr(base_model.AutoConfig, "from_pretrained", fail)
    monkeypatch.setattr(Path, "read_text", fail)
    for name, read in (("config.json", lambda: base_config(base)), ("tokenizer.json", base.tokenizer)):
        with pytest.raises(LlamafundError, match=f"Reading {name} failed") as caught:
            read()
        assert not isinstance(caught.value, VerificationError)
