"""`llamafund train`, `export` and `replay`."""

from __future__ import annotations

import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import JsonValue

from llamafund_chain.cli.options import (
    ADDRESS,
    HASH,
    finality_option,
    json_option,
    rpc_option,
    store_option,
    unlock,
    wallet_options,
)
from llamafund_chain.cli.output import emit, note, progress, rows
from llamafund_chain.errors import UsageError, VerificationError

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount
    from rich.progress import Progress

    from llamafund_chain.chain import Finality
    from llamafund_chain.store import Store
    from llamafund_trainer.bisection import Bisection
    from llamafund_trainer.campaigns import FundedRun
    from llamafund_trainer.effort import Effort
    from llamafund_trainer.replay import Pick, SegmentResult, Verdict
    from llamafund_trainer.run import RunProgress

_NOT_SHOWN = (
    "This does not show whether the data was any good, whether the held-out text is in it, or what the money was spent "
    "on."
)

campaign_option = click.option("--campaign", type=ADDRESS, metavar="ADDRESS", help="The campaign that pays for it.")


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
@click.option("--price", type=click.FloatRange(min=0), metavar="USD", help="Of one device for an hour, for --dry-run.")
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
    from llamafund_trainer.campaigns import require_agreed, sign_checkpoints
    from llamafund_trainer.evaluation import METRIC
    from llamafund_trainer.recipe import load_recipe
    from llamafund_trainer.run import RunRecord, train_run

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
    funded, account = _open(campaign, rpc, source, finality, wallet, keystore, passphrase_file)
    if funded is None:
        run_seed, parent, milestones = str(seed), dataset, 1
    else:
        require_agreed(funded, recipe=recipe_file.sha256, dataset=dataset)
        run_seed, parent, milestones = funded.seed, funded.parent, len(funded.checkpoint_milestones)
    steps = recipe_file.recipe.milestone_steps(milestones)
    record = RunRecord(recipe=recipe_file.sha256, dataset=dataset, seed=run_seed, parent=parent, milestone_steps=steps)
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
            ("held-out bits/byte", _shown(last.metrics.get(METRIC))),
            *(("attestation", str(path)) for path in signed.values()),
        )
    )
    emit("train", facts, lines, as_json=as_json)


@click.command()
@click.argument("checkpoint", type=HASH, metavar="CHECKPOINT")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIRECTORY",
    help="Empty or new; transformers loads it as it is.",
)
@click.option("--licence", metavar="SPDX", help="Without a campaign: licence of the weights.")
@campaign_option
@rpc_option
@finality_option
@store_option
@wallet_options
@json_option
def export(
    checkpoint: str,
    out: Path,
    licence: str | None,
    campaign: str | None,
    rpc: str,
    finality: Finality,
    store: str,
    wallet: str | None,
    keystore: Path,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Publish the open weights of a CHECKPOINT, named by the hash of its manifest.

    Writes config, weights, tokenizer and a model card, measures the promised metric on the held-out text, and
    publishes everything with a manifest. With --campaign and --wallet the evidence of the WEIGHTS milestone is
    signed, too: DIRECTORY/attestation-<milestone>.json, which is not part of what is published.

    \b
    Example:
      llamafund export 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae \\
        --out model --campaign 0x5FbDB2315678afecb367f032d93F642f64180aa3 --wallet tara
    """
    from llamafund_chain.evidence import fetch_manifest
    from llamafund_chain.manifests import CheckpointManifest
    from llamafund_chain.store import open_store
    from llamafund_trainer.campaigns import sign_weights
    from llamafund_trainer.evaluation import METRIC, UNIGRAM_BYTES, UNIGRAM_TOKENS
    from llamafund_trainer.export import export_weights

    source = open_store(store)
    funded, account = _open(campaign, rpc, source, finality, wallet, keystore, passphrase_file)
    if (funded is None) == (licence is None):
        raise UsageError(
            "It is not clear under which licence the weights are published",
            "A funded run takes it from the proposal of --campaign, any other from --licence, and never both",
        )
    head = fetch_manifest(source, checkpoint, CheckpointManifest)
    if funded is not None and head.seed != funded.seed:
        raise VerificationError(
            f"The checkpoint was trained with the seed {head.seed}",
            f"The campaign's is {funded.seed}",
            "Export a checkpoint of the funded run",
        )
    progress("Fetching the checkpoint and measuring it on the held-out text")
    with tempfile.TemporaryDirectory(prefix="llamafund-export-") as workdir:
        weights = export_weights(
            source,
            head,
            out,
            licence=licence or (funded.proposal.licence if funded else ""),
            workdir=Path(workdir),
            campaign=campaign or "",
        )
    milestone, path = sign_weights(funded, account, weights, out) if funded and account else (None, None)
    metrics: dict[str, JsonValue] = {**weights.metrics}
    facts: dict[str, JsonValue] = {
        "checkpoint": checkpoint,
        "weights": weights.sha256,
        "content_root": weights.content.root,
        "content_size": weights.content.size,
        "parameters": weights.parameters,
        "licence": weights.licence,
        "metrics": metrics,
        "score": weights.outcome_score,
        "campaign": campaign,
        "milestone": milestone,
        "attestation": None if path is None else str(path),
        "out": str(out),
    }
    lines = rows(
        (
            ("weights", weights.sha256),
            ("parameters", str(weights.parameters)),
            ("held-out bits/byte", _shown(weights.metrics[METRIC])),
            ("counting tokens", _shown(weights.metrics[UNIGRAM_TOKENS])),
            ("counting bytes", _shown(weights.metrics[UNIGRAM_BYTES])),
            ("written to", str(out)),
            *([("attestation", str(path))] if path else []),
        )
    )
    emit("export", facts, lines, as_json=as_json)


@click.command()
@click.argument("checkpoint", type=HASH, metavar="CHECKPOINT")
@click.option(
    "--segments",
    type=click.IntRange(1, 100_000),
    default=1,
    show_default=True,
    help="How many to repeat: one is random; then first, last, the largest change; then more random ones.",
)
@click.option("--segment", type=click.IntRange(0, 100_000), metavar="K", help="Repeat this one only, counted from 0.")
@click.option("--entropy", metavar="HEX", help="Decides the random ones, for example a block's hash.")
@click.option(
    "--finer",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    metavar="DIRECTORY",
    help="Where a segment differs: checkpoints inside it, directories checkpoint-<step>, to find the first wrong step.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be repeated, and what it takes.")
@click.option(
    "--accept-close",
    is_flag=True,
    help="End with exit code 0, too, when another environment explains all differences.",
)
@store_option
@json_option
def replay(
    checkpoint: str,
    segments: int,
    segment: int | None,
    entropy: str | None,
    finer: Path | None,
    dry_run: bool,
    accept_close: bool,
    store: str,
    as_json: bool,
) -> None:
    """Repeat parts of the training that led to CHECKPOINT and compare the bytes.

    Fetches recipe, data and checkpoints from the store, says what it will take, trains from one checkpoint to the next
    in a fresh process with the recorded settings, and compares weights, optimizer, scheduler and random state by hash.
    Only equal bytes count as the same. Where the environment is not the recorded one and bytes differ, the segment is
    repeated under other settings to see how far honest repetitions come apart; a difference within that is called
    close, never the same. Ends with exit code 3 when a file differs, and says which.

    \b
    Example:
      llamafund replay 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae --segments 3
    """
    from llamafund_chain.evidence import fetch_manifest
    from llamafund_chain.manifests import CheckpointManifest
    from llamafund_chain.store import open_store
    from llamafund_trainer.bisection import bisect, finer_checkpoints
    from llamafund_trainer.effort import planned_effort, timed_effort
    from llamafund_trainer.inputs import fetch_inputs, walk_run
    from llamafund_trainer.replay import Pick, choose, segments_of, weight_jumps
    from llamafund_trainer.replay import replay as repeat

    seed = _entropy(entropy)
    source = open_store(store)
    found = segments_of(walk_run(source, fetch_manifest(source, checkpoint, CheckpointManifest)))
    if segment is not None and segment >= len(found):
        raise UsageError(f"There is no segment {segment}", f"The run has {len(found)}, counted from 0")
    with tempfile.TemporaryDirectory(prefix="llamafund-replay-") as workdir:
        place = Path(workdir)
        if segment is not None:
            picks: tuple[Pick, ...] = (Pick(found[segment], "asked for"),)
        else:
            picks = choose(found, segments, seed, lambda: weight_jumps(source, found, place))
        if not picks:
            raise UsageError(
                "There is no segment to repeat", "These are the initial weights", "Name a later checkpoint"
            )
        inputs = fetch_inputs(source, picks[0].segment.end, place)
        inside = {} if finer is None else finer_checkpoints(finer, inputs.recipe)
        planned = planned_effort(inputs, found, [pick.segment for pick in picks])
        effort = timed_effort(source, inputs, picks[0].segment, planned, place)
        note(f"To repeat: {effort.describe()}.")
        results: tuple[SegmentResult, ...] = ()
        first: Bisection | None = None
        if not dry_run:
            with _replay_bar(effort.steps) as advance:
                results = repeat(source, inputs, picks, place, progress=advance)
        wrong = next((result for result in results if result.verdict == "different"), None)
        if wrong is not None and inside and not wrong.settings and not wrong.problem:
            progress("Looking for the first step that differs")
            first = bisect(source, inputs, wrong.pick.segment, inside, place)
    verdict = _worst([result.verdict for result in results])
    facts, lines = _replay_report(picks, len(found), effort, results)
    facts = {
        "checkpoint": checkpoint,
        "verdict": verdict,
        "entropy": seed.hex(),
        **facts,
        "first_difference": None if first is None else {"after_step": first.after, "by_step": first.by},
    }
    if first is not None:
        lines.insert(len(results), first.describe() + ".")
    emit("replay", facts, lines, as_json=as_json)
    if wrong is not None:
        raise VerificationError(wrong.describe(), remedy="Do not sign or pay for this run before it is explained")
    if verdict in ("close", "unclear") and not (verdict == "close" and accept_close):
        raise VerificationError(
            "The bytes are not the same",
            "The environment is not the recorded one; it may explain the difference, and that is no equality",
            "Repeat it in the recorded environment"
            + (", or take it for what it is with --accept-close" if verdict == "close" else ""),
        )


def _worst(verdicts: Sequence[Verdict]) -> Verdict | None:
    order: tuple[Verdict, ...] = ("different", "unclear", "close", "same")
    return next((verdict for verdict in order if verdict in verdicts), None)


def _replay_report(
    picks: Sequence[Pick], all_segments: int, effort: Effort, results: Sequence[SegmentResult]
) -> tuple[dict[str, JsonValue], list[str]]:
    """What is the same for a replay and its dry run, for machines and for people."""
    from llamafund_trainer.replay import DETECTION_FORMULA, catch_chance

    chances = {fraction: catch_chance(fraction, picks, all_segments) for fraction in (0.01, 0.1, 0.25, 0.5)}
    random = sum(pick.reason == "random" for pick in picks)
    facts: dict[str, JsonValue] = {
        "segments_in_run": all_segments,
        "steps": effort.steps,
        "share_of_compute": round(effort.share, 6),
        "estimate": {
            "tokens": effort.tokens,
            "operations": effort.operations,
            "bytes_to_fetch": effort.fetched,
            "seconds": None if effort.seconds is None else round(effort.seconds, 1),
        },
        "detection_formula": DETECTION_FORMULA,
        "random_segments": random,
        "detection": {f"{fraction:g}": round(chance, 6) for fraction, chance in chances.items()},
        "picked": [[pick.segment.start.steps.last, pick.segment.end.steps.last, pick.reason] for pick in picks],
        "segments": [_segment_facts(result) for result in results],
    }
    odds = ", ".join(f"{chance:.1%} ({fraction:.0%} faked)" for fraction, chance in chances.items())
    if len(picks) == all_segments:
        how = "all segments were chosen, so that nothing is left out"
    else:
        how = f"{DETECTION_FORMULA} with the faked fraction f and s = {random} random segments"
    spent = "would be" if not results else "is"
    lines = [f"{result.describe()}." for result in results]
    lines += [
        f"That {spent} {effort.steps} of {effort.all_steps} steps, {effort.share:.0%} of the computing.",
        f"Had a part of the segments been faked, the chance that this shows it is {odds}: {how}.",
        _NOT_SHOWN,
    ]
    return facts, lines


def _dry_run(path: Path, device: str | None, price: float | None, store: str, *, as_json: bool) -> None:
    from llamafund_chain.store import open_store
    from llamafund_trainer.dry_run import DEVICES, dry_run
    from llamafund_trainer.recipe import load_recipe

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


def _open(
    campaign: str | None,
    rpc: str,
    store: Store,
    finality: Finality,
    wallet: str | None,
    keystore: Path,
    passphrase_file: Path | None,
) -> tuple[FundedRun | None, LocalAccount | None]:
    """The campaign and the key that signs for it, before any long work."""
    if campaign is None:
        return None, None
    from llamafund_trainer.campaigns import open_funded_run, require_attestor

    funded = open_funded_run(rpc, campaign, store, finality)
    if not wallet:
        note("No wallet was named, so nothing will be signed.")
        return funded, None
    account = unlock(wallet, keystore, passphrase_file)
    require_attestor(funded, account)
    return funded, account


def _entropy(text: str | None) -> bytes:
    if text is None:
        return secrets.token_bytes(32)
    try:
        value = bytes.fromhex(text.removeprefix("0x"))
    except ValueError as error:
        raise UsageError(f"{text[:80]!r} is not hexadecimal", "Entropy decides which segments are repeated") from error
    if not value:
        raise UsageError("The entropy is empty", remedy="Give a block's hash, or leave --entropy out")
    return value


def _segment_facts(result: SegmentResult) -> dict[str, JsonValue]:
    segment = result.pick.segment
    files: list[JsonValue] = [
        {"step": file.step, "path": file.path, "published": file.published, "repeated": file.repeated}
        for file in result.compared
    ]
    settings: dict[str, JsonValue] = {name: [then, now] for name, (then, now) in result.settings.items()}
    return {
        "segment": segment.index,
        "reason": result.pick.reason,
        "first_step": segment.start.steps.last,
        "last_step": segment.end.steps.last,
        "verdict": result.verdict,
        "files": files,
        "settings": settings,
        **result.gap_facts(),
        "problem": result.problem or None,
        "seconds": round(result.seconds, 3),
    }


def _shown(value: int | None) -> str:
    from llamafund_chain.text import from_millionths

    return "not a finite number: the model has diverged" if value is None else from_millionths(value)


@contextmanager
def _training_bar(total: int) -> Iterator[Callable[[RunProgress], None]]:
    """A progress bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from llamafund_trainer.evaluation import METRIC

    with _bar() as bar:
        task = bar.add_task("Training", total=total, facts="")
        facts = {"loss": "", "held out": ""}

        def advance(done: RunProgress) -> None:
            if done.loss is not None:
                facts["loss"] = f"{done.loss:.3f}"
            if done.checkpoint is not None:
                facts["held out"] = f"{_shown(done.checkpoint.metrics.get(METRIC))} bits/byte"
            shown = " · ".join(f"{name} {value}" for name, value in facts.items() if value)
            bar.update(task, completed=done.step, facts=shown)

        yield advance


@contextmanager
def _replay_bar(total: int) -> Iterator[Callable[[int], None]]:
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with _bar() as bar:
        task = bar.add_task("Repeating", total=total, facts="")
        yield lambda steps: bar.update(task, completed=steps)


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[facts]}"),
        console=Console(stderr=True),
    )
