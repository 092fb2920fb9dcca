"""`llamafund train`, `export` and `replay`."""

from __future__ import annotations

import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator
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
    from llamafund_trainer.campaigns import FundedRun
    from llamafund_trainer.replay import SegmentResult
    from llamafund_trainer.run import RunProgress

_NOT_SHOWN = (
    "This does not show whether the data was any good, whether the held-out text is in it, or what the money was spent "
    "on."
)

campaign_option = click.option("--campaign", type=ADDRESS, metavar="ADDRESS", help="The campaign that pays for it.")


@click.command()
@click.argument("recipe", type=click.Path(dir_okay=False, path_type=Path), metavar="RECIPE")
@click.option("--dataset", type=HASH, required=True, metavar="SHA256", help="Hash of the dataset manifest.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIRECTORY",
    help="For manifests, the latest checkpoint and attestations; an interrupted run goes on from there.",
)
@campaign_option
@click.option("--seed", type=HASH, metavar="HEX", help="Without a campaign: the training seed, 64 digits.")
@rpc_option
@finality_option
@store_option
@wallet_options
@json_option
def train(
    recipe: Path,
    dataset: str,
    out: Path,
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
@store_option
@json_option
def replay(checkpoint: str, segments: int, segment: int | None, entropy: str | None, store: str, as_json: bool) -> None:
    """Repeat parts of the training that led to CHECKPOINT and compare the bytes.

    Fetches recipe, data and checkpoints from the store, trains from one checkpoint to the next in a fresh process
    with the recorded settings, and compares weights, optimizer, scheduler and random state by hash. Ends with exit
    code 3 when a file differs, and says which.

    \b
    Example:
      llamafund replay 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae --segments 3
    """
    from llamafund_chain.evidence import fetch_manifest
    from llamafund_chain.manifests import CheckpointManifest
    from llamafund_chain.store import open_store
    from llamafund_trainer.inputs import fetch_inputs, walk_run
    from llamafund_trainer.replay import Pick, catch_chance, choose, segments_of, weight_jumps
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
        steps, total = sum(pick.segment.steps for pick in picks), sum(each.steps for each in found)
        progress(f"Repeating {steps} of {total} steps")
        inputs = fetch_inputs(source, picks[0].segment.end, place)
        with _replay_bar(steps) as advance:
            results = repeat(source, inputs, picks, place, progress=advance)
    verdicts = {result.verdict for result in results}
    verdict = "different" if "different" in verdicts else "close" if "close" in verdicts else "same"
    chances = {fraction: catch_chance(fraction, picks, len(found)) for fraction in (0.1, 0.25, 0.5)}
    facts: dict[str, JsonValue] = {
        "checkpoint": checkpoint,
        "verdict": verdict,
        "entropy": seed.hex(),
        "segments_in_run": len(found),
        "steps": steps,
        "share_of_compute": round(steps / total, 6),
        "detection": {f"{fraction:g}": round(chance, 6) for fraction, chance in chances.items()},
        "segments": [_segment_facts(result) for result in results],
    }
    odds = ", ".join(f"{chance:.0%} ({fraction:.0%} faked)" for fraction, chance in chances.items())
    lines = [result.describe() for result in results]
    lines += [
        f"That is {steps} of {total} steps, {steps / total:.0%} of the computing.",
        f"Had a part of the segments been faked, this would have shown it with a chance of {odds}.",
        _NOT_SHOWN,
    ]
    emit("replay", facts, lines, as_json=as_json)
    if verdict == "different":
        first = next(result for result in results if result.verdict == "different")
        raise VerificationError(first.describe(), remedy="Do not sign or pay for this run before it is explained")
    if verdict == "close" and not as_json:
        note("The bytes are not the same. They are close, and the environment is not the recorded one.")


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
        "largest_difference": None if result.difference is None else str(result.difference.amount),
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
