"""`llamafund replay`."""

from __future__ import annotations

import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from pydantic import JsonValue

from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import HASH, WholeNumber, json_option, stores_option
from llamafund_chain.cli.output import emit, note, progress
from llamafund_chain.errors import UsageError, VerificationError
from llamafund_chain.store.several import open_stores
from llamafund_trainer.cli.shared import progress_bar
from llamafund_trainer.replay.bisection import Bisection
from llamafund_trainer.replay.choice import DETECTION_FORMULA, catch_chance
from llamafund_trainer.replay.plan import ReplayPlan, ReplayRequest, first_difference, plan_replay
from llamafund_trainer.replay.replay import replay_segments
from llamafund_trainer.replay.result import SegmentResult, worst_verdict

_NOT_SHOWN = (
    "This does not show whether the data is any good, whether the held-out text is in it, or what the money was spent "
    "on."
)


@dataclass(frozen=True, kw_only=True)
class ReplayOptions:
    """The command's options, by the names that click gives them."""

    checkpoint: str
    segments: int
    segment: int | None
    entropy: str | None
    finer: Path | None
    dry_run: bool
    accept_close: bool
    stores: tuple[str, ...]
    as_json: bool


@click.command()
@click.argument("checkpoint", type=HASH, metavar="CHECKPOINT")
@click.option(
    "--segments",
    type=WholeNumber(1, 100_000),
    default=1,
    show_default=True,
    help="How many to repeat: one random; then also the first, the last, the largest change; then more random ones.",
)
@click.option("--segment", type=WholeNumber(0, 100_000), metavar="K", help="Repeat only this one, counted from 0.")
@click.option("--entropy", metavar="HEX", help="Decides the random segments, for example a block's hash.")
@click.option(
    "--finer",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    metavar="DIRECTORY",
    help="Has checkpoint-<step> directories inside a segment, to find the first wrong step if the segment differs.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be repeated, and what it takes.")
@click.option(
    "--accept-close", is_flag=True, help="Also exit with code 0 if another environment explains every difference."
)
@stores_option
@json_option
def replay(**given: Any) -> None:
    """Repeat parts of the training that led to CHECKPOINT and compare the bytes.

    Fetches the recipe, data and checkpoints from the store and says what the replay will take. Then it trains from one
    checkpoint to the next in a fresh process with the recorded settings. It compares weights, optimizer, scheduler and
    random state by hash. Only equal bytes count as the same.

    If bytes differ in an environment other than the recorded one, the segment is also repeated under other settings.
    That shows how far honest repetitions can differ; a difference within that range is called close, never the same.
    Exits with code 3 if a file differs, and names the file.

    \b
    Example:
      llamafund replay 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae --segments 3
    """
    _replay(ReplayOptions(**given))


def _replay(options: ReplayOptions) -> None:
    store, entropy = open_stores(options.stores), _entropy(options.entropy)
    request = ReplayRequest(options.checkpoint, options.segments, options.segment, entropy, options.finer)
    with tempfile.TemporaryDirectory(prefix="llamafund-replay-") as directory:
        workdir = Path(directory)
        plan = plan_replay(store, request, workdir)
        if_interrupted("no segment counts as compared")
        note(f"To repeat: {plan.effort.describe()}.")
        results: Sequence[SegmentResult] = ()
        if not options.dry_run:
            with _bar(plan.effort.steps) as advance:
                results = replay_segments(store, plan.inputs, plan.picks, workdir, progress=advance)
        first = first_difference(store, plan, results, workdir, progress=progress)
    facts: dict[str, JsonValue] = {
        "checkpoint": options.checkpoint,
        "verdict": worst_verdict(results),
        "entropy": entropy.hex(),
        **_facts(plan, results),
        "first_difference": None if first is None else {"after_step": first.after, "by_step": first.by},
    }
    emit("replay", facts, _lines(plan, results, first), as_json=options.as_json)
    _require_same(results, accept_close=options.accept_close)


def _require_same(results: Sequence[SegmentResult], *, accept_close: bool) -> None:
    verdict = worst_verdict(results)
    if verdict == "different":
        wrong = next(result for result in results if result.verdict == verdict)
        raise VerificationError(wrong.describe(), remedy="Do not sign or pay for this run until it is explained")
    if verdict == "unclear" or (verdict == "close" and not accept_close):
        accept = ", or accept the difference with --accept-close" if verdict == "close" else ""
        raise VerificationError(
            "The bytes are not the same",
            "This is not the recorded environment; that may explain the difference, but it does not make them equal",
            f"Repeat it in the recorded environment{accept}",
        )


def _facts(plan: ReplayPlan, results: Sequence[SegmentResult]) -> dict[str, JsonValue]:
    effort = plan.effort
    return {
        "segments_in_run": len(plan.segments),
        "steps": effort.steps,
        "share_of_compute": round(effort.share, 6),
        "estimate": {
            "tokens": effort.tokens,
            "operations": effort.operations,
            "bytes_to_fetch": effort.fetched,
            "seconds": None if effort.seconds is None else round(effort.seconds, 1),
        },
        "detection_formula": DETECTION_FORMULA,
        "random_segments": _random_count(plan),
        "detection": {f"{fraction:g}": round(chance, 6) for fraction, chance in _chances(plan).items()},
        "picked": [[pick.segment.start.steps.last, pick.segment.end.steps.last, pick.reason] for pick in plan.picks],
        "segments": [_segment_facts(result) for result in results],
    }


def _lines(plan: ReplayPlan, results: Sequence[SegmentResult], first: Bisection | None) -> list[str]:
    effort = plan.effort
    odds = ", ".join(f"{chance:.1%} ({fraction:.0%} faked)" for fraction, chance in _chances(plan).items())
    if len(plan.picks) == len(plan.segments):
        how = "every segment was chosen, so none is left out"
    else:
        how = f"{DETECTION_FORMULA}, with the faked fraction f and s = {_random_count(plan)} random segments"
    spent = "is" if results else "would be"
    return [
        *(f"{result.describe()}." for result in results),
        *([f"{first.describe()}."] if first is not None else []),
        f"That {spent} {effort.steps} of {effort.all_steps} steps, {effort.share:.0%} of the compute.",
        f"If part of the segments had been faked, the chance to expose it this way would be {odds}: {how}.",
        _NOT_SHOWN,
    ]


def _chances(plan: ReplayPlan) -> dict[float, float]:
    """The chance to expose a cheat, by the fraction of segments that were faked."""
    return {fraction: catch_chance(fraction, plan.picks, len(plan.segments)) for fraction in (0.01, 0.1, 0.25, 0.5)}


def _random_count(plan: ReplayPlan) -> int:
    return sum(pick.reason == "random" for pick in plan.picks)


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


def _entropy(text: str | None) -> bytes:
    if text is None:
        return secrets.token_bytes(32)
    try:
        value = bytes.fromhex(text.removeprefix("0x"))
    except ValueError as error:
        raise UsageError(
            f"The entropy {text[:80]!r} is not hexadecimal",
            "It decides which segments are repeated",
            "Give an even number of hexadecimal digits, such as a block's hash",
        ) from error
    if not value:
        raise UsageError("The entropy is empty", remedy="Give a block's hash, or leave out --entropy")
    return value


@contextmanager
def _bar(total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with progress_bar() as bar:
        task = bar.add_task("Repeating", total=total, facts="")
        yield lambda steps: bar.update(task, completed=steps)
