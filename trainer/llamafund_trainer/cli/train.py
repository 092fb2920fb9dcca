"""`llamafund train`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from pydantic import JsonValue

from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import HASH, Number, json_option, store_option
from llamafund_chain.cli.output import emit, progress, rows, shows_progress
from llamafund_chain.cli.system import LEFT_RUNNING, warn
from llamafund_chain.errors import UsageError
from llamafund_chain.files.scratch import ScratchFolder
from llamafund_chain.store import open_store
from llamafund_trainer.cli.campaign_options import CampaignOptions, campaign_options
from llamafund_trainer.cli.display import progress_bar, shown_metric
from llamafund_trainer.metric import METRIC
from llamafund_trainer.process.messages import Machines
from llamafund_trainer.recipe import Recipe, load_recipe
from llamafund_trainer.replay.decidability import Spread, measure_decidability
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
    machines: int
    machine: int | None
    rendezvous: str | None
    dry_run: bool
    decidable: bool
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
@click.option(
    "--machines",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="COUNT",
    help="How many machines share the recipe's processes. Run the same command on each, with the same DIRECTORY on a "
    "file system of all.",
)
@click.option("--machine", type=click.IntRange(min=0), metavar="NUMBER", help="Which of them this is, from 0.")
@click.option("--rendezvous", metavar="HOST:PORT", help="Where they meet: a free port of machine 0.")
@click.option(
    "--dry-run", is_flag=True, help="Only say what the training takes, and what the recipe can say of this machine."
)
@click.option(
    "--decidable",
    is_flag=True,
    help="With --dry-run: train two segments in every way that this machine has, and say how far that comes apart.",
)
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
    machines = _machines(options, recipe.recipe)
    funded, account = options.open_campaign(store)
    request = TrainRequest(recipe, dataset, out, options.seed or "", funded, account, machines)
    warn(LEFT_RUNNING)
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
    if options.decidable:
        raise UsageError("--decidable is for --dry-run", "It trains, and publishes nothing", "Add --dry-run")
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


def _machines(options: TrainOptions, recipe: Recipe) -> Machines | None:
    """The machines that train together; `None` for one."""
    if options.machines == 1:
        if options.machine is not None or options.rendezvous is not None:
            raise UsageError(
                "--machine and --rendezvous are for several machines", remedy="Add --machines, or leave them out"
            )
        return None
    host, _, port = (options.rendezvous or "").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise UsageError(
            f"The machines cannot meet at {options.rendezvous or 'nowhere'!r}",
            "It must be the name of machine 0 and a free port there",
            "Write it like --rendezvous node0.cluster:29500",
        )
    if options.machine is None or options.machine >= options.machines:
        raise UsageError(
            "It is not clear which machine this is",
            f"--machine must be a number from 0 to {options.machines - 1}, another one on each machine",
        )
    processes = recipe.determinism.processes
    if processes % options.machines:
        raise UsageError(
            f"{processes} processes cannot be shared by {options.machines} machines",
            "The recipe's determinism.processes counts those of all machines, and each has as many as another",
            "Use a number of machines that divides it",
        )
    return Machines(
        count=options.machines,
        number=options.machine,
        rendezvous=f"{host}:{int(port)}",
        processes=processes // options.machines,
        patience=recipe.evaluation.timeout,
    )


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
    if not shows_progress():
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
    if options.decidable and options.dataset is None:
        raise UsageError("--decidable needs --dataset", "It trains on the data", "Name a dataset")
    store = open_store(options.store) if recipe.recipe.base or options.decidable else None
    progress("Building the model without memory for its weights")
    estimate = dry_run(recipe, device, options.price, store)
    spreads: tuple[Spread, ...] = ()
    if options.decidable and options.dataset is not None and store is not None:
        with ScratchFolder("decidable") as workdir:
            spreads = measure_decidability(store, recipe, options.dataset, workdir, progress=progress)
    facts: dict[str, JsonValue] = {
        "recipe": recipe.sha256,
        **_dry_facts(estimate),
        "decidable": [_spread_facts(each) for each in spreads],
    }
    lines = [*_dry_lines(estimate), *(f"{each.describe()}." for each in spreads)]
    emit("train", facts, lines, as_json=options.as_json)


def _spread_facts(spread: Spread) -> dict[str, JsonValue]:
    return {
        "first_step": spread.first,
        "last_step": spread.last,
        "ways": [*spread.ways],
        "apart": str(spread.apart),
        "change": str(spread.change),
        "decides": spread.decides,
    }


def _dry_facts(estimate: Estimate) -> dict[str, JsonValue]:
    counted = estimate.counted
    return {
        "parameters": counted.parameters,
        "trained_parameters": counted.trained,
        "model_bytes": counted.model_bytes,
        "activation_bytes": counted.activation_bytes,
        "host_bytes": counted.host_bytes,
        "checkpoints": estimate.checkpoints,
        "checkpoints_with_state": estimate.with_state,
        "store_bytes": estimate.store,
        "store_bytes_saved": estimate.saved,
        "replay_steps": estimate.segment_steps,
        "replay_seconds": round(estimate.segment_seconds),
        "measuring_seconds_per_megabyte": round(estimate.measuring, 1),
        "tokens": estimate.tokens,
        "flops": counted.flops,
        "devices": estimate.devices,
        "device": estimate.device.name,
        "sustained_flops_per_device": estimate.device.flops,
        "seconds": round(estimate.seconds),
        "usd": f"{estimate.dollars:.2f}",
        "fits": estimate.fits,
        "environment": {**estimate.counted.environment},
        "outside": {name: [named, here] for name, (named, here) in estimate.outside.items()},
    }


def _dry_lines(estimate: Estimate) -> list[str]:
    counted, device = estimate.counted, estimate.device
    parameters = f"{counted.parameters:,}"
    if counted.trained != counted.parameters:
        parameters += f", and an adapter with {counted.trained:,} that are trained"
    state, activations = counted.model_bytes / _GIB, counted.activation_bytes / _GIB
    fits = "fits" if estimate.fits else "does NOT fit"
    table = rows(
        (
            ("parameters", parameters),
            ("tokens", f"{estimate.tokens:,}, {estimate.tokens / counted.parameters:.1f} per parameter"),
            ("operations", f"{counted.flops:.3g}"),
            ("memory", f"{state:.2f} GiB of state + {activations:.2f} GiB for a step in each process"),
            (
                "host memory",
                f"{counted.host_bytes / _GIB:.2f} GiB in each process, and about 12 bytes for each token of the data",
            ),
            ("store", _store_line(estimate)),
            (
                "replay",
                f"at least {estimate.segment_steps} steps: {_time(estimate.segment_seconds)} on the same devices",
            ),
            (
                "measuring",
                f"{estimate.measuring:.3g} seconds for a checkpoint and MB of held-out text, if the host does it",
            ),
            ("device", f"{estimate.devices} x {device.name}: {fits} into {device.memory / _GIB:.0f} GiB"),
            ("time", f"{_time(estimate.seconds)}, if each sustains {device.flops / 1e12:g} TFLOP/s"),
            ("cost", f"{estimate.dollars:,.2f} USD at {estimate.price:g} USD per hour and device"),
        )
    )
    return [*table, *_environment_lines(estimate)]


def _store_line(estimate: Estimate) -> str:
    size = f"{estimate.store / _GIB:.2f} GiB for {estimate.checkpoints} checkpoints"
    if not estimate.saved:
        return size
    all_of_them = f"{(estimate.store + estimate.saved) / _GIB:.2f} GiB if all had it"
    return f"{size}, {estimate.with_state} with the optimizer's state; {all_of_them}"


def _time(seconds: float) -> str:
    return f"{seconds / 3600:.2f} hours"


def _environment_lines(estimate: Estimate) -> list[str]:
    """Whether this machine is as the recipe says, and what the recipe can say of it."""
    listed = ", ".join(f"{name} is {here!r}, not {named!r}" for name, (named, here) in estimate.outside.items())
    if estimate.fixes_environment and not listed:
        return ["This machine is in the recipe's environment."]
    if listed:
        what = f"This machine is NOT in the recipe's environment: {listed}. To train here, the recipe would name"
    else:
        what = "The recipe fixes no environment, so any machine could be claimed later. To fix this one, add"
    here = estimate.counted.environment
    if not here.keys() & {"gpu", "processor_class"}:
        return [f"{what} its GPU, but it has none."]
    plain = (f"  {name}: {json.dumps(value)}" for name, value in here.items() if not name.startswith("NCCL_"))
    nccl = [f"    {name}: {json.dumps(value)}" for name, value in here.items() if name.startswith("NCCL_")]
    return [f"{what}:", "environment:", *plain, *(["  nccl_variables:", *nccl] if nccl else [])]
