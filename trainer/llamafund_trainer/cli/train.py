"""`llamafund train`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from pydantic import JsonValue

from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import HASH, Number, json_option, store_option
from llamafund_chain.cli.output import emit, progress, rows
from llamafund_chain.errors import UsageError
from llamafund_chain.store import open_store
from llamafund_trainer.cli.shared import CampaignOptions, campaign_options, progress_bar, shown_metric
from llamafund_trainer.metric import METRIC
from llamafund_trainer.recipe import load_recipe
from llamafund_trainer.runs.dry_run import DEVICES, Estimate, dry_run
from llamafund_trainer.runs.requests import Trained, TrainRequest, train_and_sign
from llamafund_trainer.runs.run import RunProgress

_GIB = 1 << 30


@dataclass(frozen=True, kw_only=True)
class TrainOptions(CampaignOptions):
    """The command's options, by the names that click gives them."""

    recipe: Path
    dataset: str | None
    out: Path | None
    resume: bool
    dry_run: bool
    device: str | None
    price: float | None
    seed: str | None
    store: str
    as_json: bool


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path), metavar="RECIPE")
@click.option("--dataset", type=HASH, metavar="SHA256", help="Hash of the dataset manifest.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIRECTORY",
    help="For manifests, attestations and the latest checkpoint. An interrupted run continues from there.",
)
@click.option("--resume", is_flag=True, help="Continue the run in DIRECTORY; do not start a new one.")
@click.option("--dry-run", is_flag=True, help="Only say what the training takes: parameters, memory, tokens, cost.")
@click.option(
    "--device",
    type=click.Choice(list(DEVICES)),
    help="Device that --dry-run assumes; by default a laptop for recipes that train on the CPU, else an H100.",
)
@click.option("--price", type=Number(min=0), metavar="USD", help="Price of one device per hour, for --dry-run.")
@campaign_options
@click.option("--seed", type=HASH, metavar="HEX", help="Without a campaign: the training seed, 64 digits.")
@store_option
@json_option
def train(**given: Any) -> None:
    """Train the model of RECIPE and publish evidence of every step.

    Initial weights and data order follow from the campaign's training seed. Each checkpoint is published with a
    manifest that names the one before it, so anyone can repeat any part with `llamafund replay`. With --wallet, the
    evidence of each CHECKPOINT milestone is also signed: DIRECTORY/attestation-<milestone>.json.

    After an interruption, run the same command again: it continues from the last checkpoint and gives the same bytes.
    On SIGTERM it finishes the current step, saves its state and exits with code 130. It then continues from that step.

    \b
    Example:
      llamafund train recipe.yaml --out run --wallet rosa \\
        --dataset 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae \\
        --campaign 0x5FbDB2315678afecb367f032d93F642f64180aa3
    """
    options = TrainOptions(**given)
    if options.dry_run:
        _dry_run(options)
    else:
        _train(options)


def _train(options: TrainOptions) -> None:
    dataset, out = _require_dataset_and_out(options)
    recipe, store = load_recipe(options.recipe), open_store(options.store)
    funded, account = options.open_campaign(store)
    request = TrainRequest(recipe, dataset, out, options.seed or "", funded, account)
    if_interrupted("published checkpoints stay. The same command continues from the last one")
    progress("Fetching the data and starting the training process")
    with _bar(recipe.recipe.training.steps) as advance:
        trained = train_and_sign(store, request, advance)
    emit("train", _facts(options, trained), _lines(trained), as_json=options.as_json)


def _require_dataset_and_out(options: TrainOptions) -> tuple[str, Path]:
    """Refuse options that do not go together; returns the two that training needs."""
    if options.dataset is None or options.out is None:
        raise UsageError(
            "Training needs --dataset and --out", "Only --dry-run works without them", "Name a dataset and a directory"
        )
    if options.device is not None or options.price is not None:
        raise UsageError("--device and --price are for --dry-run", "The recipe decides where the training runs")
    if options.resume and not (options.out / "run.json").exists():
        raise UsageError(
            f"There is no run to continue in {str(options.out)!r}",
            "It has no run.json",
            "Leave out --resume to start a new run",
        )
    if (options.campaign is None) == (options.seed is None):
        raise UsageError(
            "It is not clear which seed to train with",
            "A funded run takes it from --campaign, any other run from --seed",
            "Give one of the two",
        )
    return options.dataset, options.out


def _facts(options: TrainOptions, trained: Trained) -> dict[str, JsonValue]:
    record = trained.record
    checkpoints: list[JsonValue] = [
        {
            "step": checkpoint.steps.last,
            "manifest": checkpoint.sha256,
            "metrics": dict(checkpoint.metrics),
            "bytes": checkpoint.content.size,
        }
        for checkpoint in trained.checkpoints
    ]
    attestations: list[JsonValue] = [
        {"milestone": number, "file": str(path)} for number, path in trained.attestations.items()
    ]
    return {
        "recipe": record.recipe,
        "dataset": record.dataset,
        "seed": record.seed,
        "campaign": options.campaign,
        "checkpoint": trained.checkpoints[-1].sha256,
        "checkpoints": checkpoints,
        "attestations": attestations,
        "out": str(options.out),
    }


def _lines(trained: Trained) -> list[str]:
    last = trained.checkpoints[-1]
    return rows(
        (
            ("steps", f"{last.steps.last}, {len(trained.checkpoints)} checkpoints published"),
            ("last checkpoint", last.sha256),
            ("held-out bits/byte", shown_metric(last.metrics.get(METRIC))),
            *(("attestation", str(path)) for path in trained.attestations.values()),
        )
    )


@contextmanager
def _bar(total: int) -> Iterator[Callable[[RunProgress], None]]:
    """A progress bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with progress_bar() as bar:
        task = bar.add_task("Training", total=total, facts="")
        facts = {"loss": "", "held out": ""}

        def advance(done: RunProgress) -> None:
            if done.loss is not None:
                facts["loss"] = f"{done.loss:.3f}"
            if done.checkpoint is not None:
                facts["held out"] = f"{shown_metric(done.checkpoint.metrics.get(METRIC))} bits/byte"
            shown = " · ".join(f"{name} {value}" for name, value in facts.items() if value)
            bar.update(task, completed=done.step, facts=shown)

        yield advance


def _dry_run(options: TrainOptions) -> None:
    recipe = load_recipe(options.recipe)
    device = DEVICES[options.device or ("laptop" if recipe.recipe.determinism.device == "cpu" else "h100")]
    store = open_store(options.store) if recipe.recipe.base else None
    progress("Building the model without memory for its weights")
    estimate = dry_run(recipe, device, options.price, store)
    facts = {"recipe": recipe.sha256, **_dry_facts(estimate)}
    emit("train", facts, _dry_lines(estimate), as_json=options.as_json)


def _dry_facts(estimate: Estimate) -> dict[str, JsonValue]:
    counted = estimate.counted
    return {
        "parameters": counted.parameters,
        "trained_parameters": counted.trained,
        "model_bytes": counted.model_bytes,
        "activation_bytes": counted.activation_bytes,
        "tokens": estimate.tokens,
        "flops": counted.flops,
        "devices": estimate.devices,
        "device": estimate.device.name,
        "sustained_flops_per_device": estimate.device.flops,
        "seconds": round(estimate.seconds),
        "usd": f"{estimate.dollars:.2f}",
        "fits": estimate.fits,
    }


def _dry_lines(estimate: Estimate) -> list[str]:
    counted, device = estimate.counted, estimate.device
    parameters = f"{counted.parameters:,}"
    if counted.trained != counted.parameters:
        parameters += f", and an adapter with {counted.trained:,} that are trained"
    state, activations = counted.model_bytes / _GIB, counted.activation_bytes / _GIB
    fits = "fits" if estimate.fits else "does NOT fit"
    return rows(
        (
            ("parameters", parameters),
            ("tokens", f"{estimate.tokens:,}, {estimate.tokens / counted.parameters:.1f} per parameter"),
            ("operations", f"{counted.flops:.3g}"),
            ("memory", f"{state:.2f} GiB of state + {activations:.2f} GiB of activations in each process"),
            ("device", f"{estimate.devices} x {device.name}: {fits} into {device.memory / _GIB:.0f} GiB"),
            ("time", f"{estimate.seconds / 3600:.2f} hours, if each sustains {device.flops / 1e12:g} TFLOP/s"),
            ("cost", f"{estimate.dollars:,.2f} USD at {estimate.price:g} USD per hour and device"),
        )
    )
