"""`llamafund train`, `export` and `replay`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import JsonValue

from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import (
    HASH,
    Number,
    finality_option,
    json_option,
    rpc_option,
    store_option,
    wallet_options,
)
from llamafund_chain.cli.output import emit, progress, rows
from llamafund_chain.errors import UsageError
from llamafund_trainer.cli.shared import campaign_option, open_funded, progress_bar, shown_score

if TYPE_CHECKING:
    from llamafund_chain.chain.connection import Finality
    from llamafund_trainer.runs.run import RunProgress


@click.command()
@click.argument("recipe", type=click.Path(dir_okay=False, path_type=Path), metavar="RECIPE")
@click.option("--dataset", type=HASH, metavar="SHA256", help="Hash of the dataset manifest.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIRECTORY",
    help="For manifests, the latest checkpoint and attestations; an interrupted run goes on from there.",
)
@click.option("--resume", is_flag=True, help="Only go on with a run that was begun in DIRECTORY; begin none.")
@click.option("--dry-run", is_flag=True, help="Only say what the training takes: parameters, memory, tokens, cost.")
@click.option(
    "--device",
    type=click.Choice(["laptop", "rtx-4090", "a100", "h100", "h200", "b200"]),
    help="What --dry-run estimates with; for recipes that train on the CPU a laptop, else an H100.",
)
@click.option("--price", type=Number(min=0), metavar="USD", help="Of one device for an hour, for --dry-run.")
@campaign_option
@click.option("--seed", type=HASH, metavar="HEX", help="Without a campaign: the training seed, 64 digits.")
@rpc_option
@finality_option
@store_option
@wallet_options
@json_option
def train(
    recipe: Path,
    dataset: str | None,
    out: Path | None,
    resume: bool,
    dry_run: bool,
    device: str | None,
    price: float | None,
    campaign: str | None,
    seed: str | None,
    rpc: str,
    finality: Finality,
    store: str,
    wallet: str | None,
    keystore: Path,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Train the model of RECIPE and publish evidence of every step of the way.

    Initial weights and data order follow from the campaign's training seed. Each checkpoint is published with a
    manifest that names the one before it; anyone can repeat any part with `llamafund replay`. With --wallet the
    evidence of each CHECKPOINT milestone is signed, too: DIRECTORY/attestation-<milestone>.json.

    Interrupted, the same command goes on from the last checkpoint to the same bytes. On SIGTERM it saves its state
    after the step at hand and ends with exit code 130; then it goes on from that step.

    \b
    Example:
      llamafund train recipe.yaml --out run --wallet tara \\
        --dataset 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae \\
        --campaign 0x5FbDB2315678afecb367f032d93F642f64180aa3
    """
    from llamafund_chain.store import open_store
    from llamafund_trainer.metric import METRIC
    from llamafund_trainer.recipe import load_recipe
    from llamafund_trainer.runs.funded_run import require_agreed, sign_checkpoints
    from llamafund_trainer.runs.run import RunRecord, train_run

    if dry_run:
        _dry_run(recipe, device, price, store, as_json=as_json)
        return
    if dataset is None or out is None:
        raise UsageError(
            "Training needs --dataset and --out", "Only --dry-run does without", "Name the dataset and a directory"
        )
    if device is not None or price is not None:
        raise UsageError("--device and --price are for --dry-run", "Where training runs is the recipe's to say")
    if resume and not (out / "run.json").exists():
        raise UsageError(
            f"There is no run in {str(out)!r} to go on with", "It was never begun", "Leave --resume out to begin one"
        )
    if (campaign is None) == (seed is None):
        raise UsageError(
            "It is not clear which seed to train with",
            "A funded run takes it from --campaign, any other from --seed, and never both",
        )
    recipe_file = load_recipe(recipe)
    source = open_store(store)
    funded, account = open_funded(campaign, rpc, source, finality, wallet, keystore, passphrase_file)
    if funded is None:
        run_seed, parent, milestones = str(seed), dataset, 1
    else:
        require_agreed(funded, recipe=recipe_file.sha256, dataset=dataset)
        run_seed, parent, milestones = funded.seed, funded.parent, len(funded.checkpoint_milestones)
    steps = recipe_file.recipe.milestone_steps(milestones)
    record = RunRecord(recipe=recipe_file.sha256, dataset=dataset, seed=run_seed, parent=parent, milestone_steps=steps)
    if_interrupted("published checkpoints stay. The same command goes on from the last one")
    progress("Fetching the data and starting the training process")
    with _training_bar(recipe_file.recipe.training.steps) as advance:
        checkpoints = train_run(source, recipe_file, record, out, progress=advance)
    last = checkpoints[-1]
    signed: dict[int, Path] = {}
    if funded is not None and account is not None:
        signed = sign_checkpoints(funded, account, checkpoints, steps, out)
    listed: list[JsonValue] = [
        {
            "step": checkpoint.steps.last,
            "manifest": checkpoint.sha256,
            "metrics": dict(checkpoint.metrics),
            "bytes": checkpoint.content.size,
        }
        for checkpoint in checkpoints
    ]
    attestations: list[JsonValue] = [{"milestone": number, "file": str(path)} for number, path in signed.items()]
    facts: dict[str, JsonValue] = {
        "recipe": recipe_file.sha256,
        "dataset": dataset,
        "seed": run_seed,
        "campaign": campaign,
        "checkpoint": last.sha256,
        "checkpoints": listed,
        "attestations": attestations,
        "out": str(out),
    }
    lines = rows(
        (
            ("steps", f"{last.steps.last}, {len(checkpoints)} checkpoints published"),
            ("last checkpoint", last.sha256),
            ("held-out bits/byte", shown_score(last.metrics.get(METRIC))),
            *(("attestation", str(path)) for path in signed.values()),
        )
    )
    emit("train", facts, lines, as_json=as_json)


def _dry_run(path: Path, device: str | None, price: float | None, store: str, *, as_json: bool) -> None:
    from llamafund_chain.store import open_store
    from llamafund_trainer.recipe import load_recipe
    from llamafund_trainer.runs.dry_run import DEVICES, dry_run

    recipe_file = load_recipe(path)
    assumed = DEVICES[device or ("laptop" if recipe_file.recipe.determinism.device == "cpu" else "h100")]
    progress("Building the model without memory for it")
    found = dry_run(recipe_file, assumed, price, open_store(store) if recipe_file.recipe.base else None)
    counted = found.counted
    facts: dict[str, JsonValue] = {
        "recipe": recipe_file.sha256,
        "parameters": counted.parameters,
        "trained_parameters": counted.trained,
        "model_bytes": counted.model_bytes,
        "activation_bytes": counted.activation_bytes,
        "tokens": found.tokens,
        "flops": counted.flops,
        "devices": found.devices,
        "device": assumed.name,
        "sustained_flops_per_device": assumed.flops,
        "seconds": round(found.seconds),
        "usd": f"{found.dollars:.2f}",
        "fits": found.fits,
    }
    gib = 1 << 30
    state, activations = counted.model_bytes / gib, counted.activation_bytes / gib
    fits = "fits" if found.fits else "does NOT fit"
    parameters = f"{counted.parameters:,}"
    if counted.trained != counted.parameters:
        parameters += f", and an adapter of {counted.trained:,} that is trained"
    lines = rows(
        (
            ("parameters", parameters),
            ("tokens", f"{found.tokens:,}, {found.tokens / counted.parameters:.1f} for each parameter"),
            ("operations", f"{counted.flops:.3g}"),
            ("memory", f"{state:.2f} GiB state + {activations:.2f} GiB activations in each process"),
            ("device", f"{found.devices} x {assumed.name}: {fits} into {assumed.memory / gib:.0f} GiB"),
            ("time", f"{found.seconds / 3600:.2f} hours, if each sustains {assumed.flops / 1e12:g} TFLOP/s"),
            ("cost", f"{found.dollars:,.2f} USD at {assumed.price if price is None else price:g} USD an hour for each"),
        )
    )
    emit("train", facts, lines, as_json=as_json)


@contextmanager
def _training_bar(total: int) -> Iterator[Callable[[RunProgress], None]]:
    """A progress bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from llamafund_trainer.metric import METRIC

    with progress_bar() as bar:
        task = bar.add_task("Training", total=total, facts="")
        facts = {"loss": "", "held out": ""}

        def advance(done: RunProgress) -> None:
            if done.loss is not None:
                facts["loss"] = f"{done.loss:.3f}"
            if done.checkpoint is not None:
                facts["held out"] = f"{shown_score(done.checkpoint.metrics.get(METRIC))} bits/byte"
            shown = " · ".join(f"{name} {value}" for name, value in facts.items() if value)
            bar.update(task, completed=done.step, facts=shown)

        yield advance
