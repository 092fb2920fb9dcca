"""`llamafund replay`."""

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

from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import (
    HASH,
    WholeNumber,
    json_option,
    stores_option,
)
from llamafund_chain.cli.output import emit, note, progress
from llamafund_chain.errors import UsageError, VerificationError
from llamafund_trainer.cli.shared import progress_bar

if TYPE_CHECKING:
    from llamafund_trainer.replay.bisection import Bisection
    from llamafund_trainer.replay.estimate import Effort
    from llamafund_trainer.replay.replay import Pick, SegmentResult, Verdict

_NOT_SHOWN = (
    "This does not show whether the data was any good, whether the held-out text is in it, or what the money was spent "
    "on."
)


@click.command()
@click.argument("checkpoint", type=HASH, metavar="CHECKPOINT")
@click.option(
    "--segments",
    type=WholeNumber(1, 100_000),
    default=1,
    show_default=True,
    help="How many to repeat: one is random; then first, last, the largest change; then more random ones.",
)
@click.option("--segment", type=WholeNumber(0, 100_000), metavar="K", help="Repeat this one only, counted from 0.")
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
@stores_option
@json_option
def replay(
    checkpoint: str,
    segments: int,
    segment: int | None,
    entropy: str | None,
    finer: Path | None,
    dry_run: bool,
    accept_close: bool,
    stores: tuple[str, ...],
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
    from llamafund_chain.evidence.manifests import CheckpointManifest
    from llamafund_chain.store.content import fetch_manifest
    from llamafund_chain.store.several import open_stores
    from llamafund_trainer.replay.bisection import bisect, finer_checkpoints
    from llamafund_trainer.replay.estimate import planned_effort, timed_effort
    from llamafund_trainer.replay.replay import Pick, choose, segments_of, weight_jumps
    from llamafund_trainer.replay.replay import replay as repeat
    from llamafund_trainer.runs.inputs import fetch_inputs, walk_run

    seed = _entropy(entropy)
    source = open_stores(stores)
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
        if_interrupted("no segment counts as compared")
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
    from llamafund_trainer.replay.replay import DETECTION_FORMULA, catch_chance

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


@contextmanager
def _replay_bar(total: int) -> Iterator[Callable[[int], None]]:
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with progress_bar() as bar:
        task = bar.add_task("Repeating", total=total, facts="")
        yield lambda steps: bar.update(task, completed=steps)
