"""`llamafund replay`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from pydantic import JsonValue

from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import HASH, WholeNumber, json_option, replay_jobs_option, stores_option
from llamafund_chain.cli.output import emit, note, progress, shows_progress
from llamafund_chain.cli.system import UNBOUNDED, warn
from llamafund_chain.errors import UncheckedError, UsageError, VerificationError
from llamafund_chain.evidence.programs import ProgramFile
from llamafund_chain.files.scratch import ScratchFolder
from llamafund_chain.store import LocalStore, Store, open_store
from llamafund_chain.store.several import open_stores
from llamafund_chain.text import counted
from llamafund_trainer.cli.display import progress_bar
from llamafund_trainer.record.environment import outside_at_a_glance
from llamafund_trainer.replay.bisection import Bisection
from llamafund_trainer.replay.choice import DETECTION_FORMULA, Pick, catch_chance
from llamafund_trainer.replay.cluster import ClusterReplay, Trust, replay_on_cluster
from llamafund_trainer.replay.dask_workers import DaskWorkers, open_cluster
from llamafund_trainer.replay.plan import ReplayPlan, ReplayRequest, first_difference, plan_replay, repeat
from llamafund_trainer.replay.program import Allowed
from llamafund_trainer.replay.result import SegmentResult, worst_verdict
from llamafund_trainer.runs.inputs import Inputs

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
    jobs: int
    cluster: str | None
    recheck: int
    dry_run: bool
    accept_close: bool
    trust_program: bool
    other_versions: bool
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
@replay_jobs_option
@click.option(
    "--cluster",
    metavar="URL",
    help="Hand the segments to the workers of a dask.distributed cluster, tcp://HOST:PORT or tls://HOST:PORT.",
)
@click.option(
    "--recheck",
    type=WholeNumber(1, 100_000),
    default=8,
    show_default=True,
    metavar="N",
    help="With --cluster: one in N segments is repeated by a second worker; at least one is.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be repeated, and what it takes.")
@click.option(
    "--accept-close", is_flag=True, help="Also exit with code 0 if another environment explains every difference."
)
@click.option(
    "--trust-program",
    is_flag=True,
    help="If the recipe is a program: run it even on a machine without a sandbox, as you would run your own.",
)
@click.option(
    "--other-versions",
    is_flag=True,
    help="If the recipe is a program: run it although other versions are installed than it needs.",
)
@stores_option
@json_option
def replay(**given: Any) -> None:
    """Repeat parts of the training that led to CHECKPOINT and compare the bytes.

    Fetches the recipe, data and checkpoints from the store and says what the replay will take. Then it trains from one
    checkpoint to the next in another process with the recorded settings. It compares weights, optimizer, scheduler and
    random state by hash. Only equal bytes count as the same.

    If bytes differ where the recipe's environment left a choice, or fixed nothing, the segment is also repeated under
    other settings. That shows how far honest repetitions can differ; a difference within that range is called close,
    never the same. Exits with code 3 if a file differs, and names the file. The exit code is 7 if that could not be
    told: this machine is not in the recipe's environment, honest repetitions differ too much, or a process died, which
    accuses nobody. The other segments are compared.

    If the recipe is a program of the researcher's own, it runs in a sandbox without network, home or other processes,
    from the checkpoint on, and every file of its checkpoints is compared.

    With --cluster, workers can only say that a segment is the same; whatever else they say is repeated here. The
    cluster must be your own, in a network that you trust: whoever reaches it runs programs on its workers and on this
    machine.

    \b
    Example:
      llamafund replay 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae --segments 3
    """
    _replay(ReplayOptions(**given))


def _replay(options: ReplayOptions) -> None:
    store, entropy = open_stores(options.stores), _entropy(options.entropy)
    request = ReplayRequest(options.checkpoint, options.segments, options.segment, entropy, options.finer)
    with ScratchFolder("replay") as workdir, ExitStack() as stack:
        workers = None
        if options.cluster is not None and not options.dry_run:
            # First of all: what else is done takes longer.
            workers = stack.enter_context(open_cluster(options.cluster))
        plan = plan_replay(store, request, workdir)
        if_interrupted("no segment counts as compared")
        warn(UNBOUNDED)
        note(f"To repeat: {plan.effort.describe()}{_shared(options, plan, workers)}.")
        elsewhere = outside_at_a_glance(plan.inputs.recipe) if isinstance(plan.inputs, Inputs) else {}
        if elsewhere:
            listed = ", ".join(f"{name} is {here!r}, not {named!r}" for name, (named, here) in elsewhere.items())
            note(f"This machine is not in the recipe's environment: {listed}. Other bytes will show nothing.")
        trust = Trust(one_in=options.recheck, seed=secrets.token_bytes(32))
        done = ClusterReplay((), {})
        if not options.dry_run:
            with _bar(plan.effort.steps) as advance:
                done = _repeated(options, store, plan, workdir, workers, trust, advance)
        results = done.results
        first = first_difference(store, plan, results, workdir, progress=progress)
    facts: dict[str, JsonValue] = {
        "checkpoint": options.checkpoint,
        "verdict": worst_verdict(results),
        "entropy": entropy.hex(),
        **_facts(plan, results),
        "first_difference": None if first is None else {"after_step": first.after, "by_step": first.by},
        "cluster": None if workers is None else _cluster_facts(options, trust, done),
    }
    lines = [*_lines(plan, results, first), *([] if workers is None else _cluster_lines(trust, done))]
    emit("replay", facts, lines, as_json=options.as_json)
    _require_same(results, accept_close=options.accept_close)


def _shared(options: ReplayOptions, plan: ReplayPlan, workers: DaskWorkers | None) -> str:
    if workers is not None:
        return f", handed to {counted(workers.count(), 'worker')} of {options.cluster}"
    is_shared = options.jobs > 1 and not isinstance(plan.inputs, ProgramFile)
    return f", shared among {options.jobs} processes" if is_shared else ""


def _repeated(
    options: ReplayOptions,
    store: Store,
    plan: ReplayPlan,
    workdir: Path,
    workers: DaskWorkers | None,
    trust: Trust,
    advance: Callable[[int], None],
) -> ClusterReplay:
    allowed = Allowed(trust=options.trust_program, other_versions=options.other_versions)
    if workers is None:
        results = repeat(store, plan.inputs, plan.picks, workdir, jobs=options.jobs, allowed=allowed, progress=advance)
        return ClusterReplay(results, {})
    places = [_seen_from_elsewhere(each) for each in options.stores]
    return replay_on_cluster(
        workers, store, plan, places, workdir, trust=trust, jobs=options.jobs, allowed=allowed, progress=advance
    )


def _seen_from_elsewhere(location: str) -> str:
    """A store's location for a worker, which has another working directory."""
    return str(Path(location).absolute()) if isinstance(open_store(location), LocalStore) else location


def _require_same(results: Sequence[SegmentResult], *, accept_close: bool) -> None:
    verdict = worst_verdict(results)
    if verdict == "different":
        wrong = next(result for result in results if result.verdict == verdict)
        raise VerificationError(wrong.describe(), remedy="Do not sign or pay for this run until it is explained")
    if verdict == "unchecked":
        lacking = [result.describe() for result in results if result.verdict == verdict]
        raise UncheckedError(
            f"{len(lacking)} of {len(results)} segments could not be repeated",
            lacking[0],
            "This says nothing about them. Run the same command again, with fewer --jobs if memory ran out",
        )
    if verdict == "unclear":
        unclear = next(result for result in results if result.verdict == verdict)
        raise UncheckedError(
            "It could not be told whether the training happened as published",
            unclear.describe(),
            "Repeat it where it was trained",
        )
    if verdict == "close" and not accept_close:
        raise VerificationError(
            "The bytes are not the same",
            "This is not the recorded environment; that may explain the difference, but it does not make them equal",
            "Repeat it in the recorded environment, or accept the difference with --accept-close",
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
        "random_segments": _random_count(_compared(plan, results)),
        "detection": {f"{fraction:g}": round(chance, 6) for fraction, chance in _chances(plan, results).items()},
        "picked": [[pick.segment.start.steps.last, pick.segment.end.steps.last, pick.reason] for pick in plan.picks],
        "segments": [_segment_facts(result) for result in results],
    }


def _lines(plan: ReplayPlan, results: Sequence[SegmentResult], first: Bisection | None) -> list[str]:
    effort = plan.effort
    compared = _compared(plan, results)
    odds = ", ".join(f"{chance:.1%} ({fraction:.0%} faked)" for fraction, chance in _chances(plan, results).items())
    if len(compared) == len(plan.segments):
        how = "every segment was chosen, so none is left out"
    else:
        how = f"{DETECTION_FORMULA}, with the faked fraction f and s = {_random_count(compared)} random segments"
    spent = "is" if results else "would be"
    return [
        *(f"{result.describe()}." for result in results),
        *([f"{first.describe()}."] if first is not None else []),
        f"That {spent} {effort.steps} of {effort.all_steps} steps, {effort.share:.0%} of the compute.",
        f"If part of the segments had been faked, the chance to expose it this way would be {odds}: {how}.",
        _NOT_SHOWN,
    ]


def _chances(plan: ReplayPlan, results: Sequence[SegmentResult]) -> dict[float, float]:
    """The chance to expose a cheat, by the fraction of segments that were faked."""
    compared = _compared(plan, results)
    return {fraction: catch_chance(fraction, compared, len(plan.segments)) for fraction in (0.01, 0.1, 0.25, 0.5)}


def _compared(plan: ReplayPlan, results: Sequence[SegmentResult]) -> Sequence[Pick]:
    """The picks that count: all of them, but for those that could not be repeated."""
    lacking = {result.pick.segment.index for result in results if result.verdict == "unchecked"}
    return [pick for pick in plan.picks if pick.segment.index not in lacking]


def _random_count(picks: Sequence[Pick]) -> int:
    return sum(pick.reason == "random" for pick in picks)


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
        "outside": {name: [named, now] for name, (named, now) in result.outside.items()},
        **result.gap_facts(),
        "problem": result.problem or None,
        "trouble": result.trouble or None,
        "ran_on": result.ran_on or None,
        "words": [
            {
                "worker": word.worker or None,
                "verdict": word.verdict,
                "answer": word.answer or None,
                "reason": word.reason or None,
            }
            for word in result.words
        ],
        "seconds": round(result.seconds, 3),
    }


def _cluster_facts(options: ReplayOptions, trust: Trust, done: ClusterReplay) -> dict[str, JsonValue]:
    return {
        "scheduler": options.cluster,
        "recheck": trust.one_in,
        "seed": trust.seed.hex(),
        "doubted": [{"worker": worker, "reason": reason} for worker, reason in done.doubted.items()],
    }


def _cluster_lines(trust: Trust, done: ClusterReplay) -> Iterator[str]:
    """Where each segment ran, and which workers are not believed any more."""
    for result in done.results:
        segment = result.pick.segment
        said = [
            f"{word.worker or 'a worker'} says {word.verdict!r}"
            + (f" (SHA-256 of its answer {word.answer})" if word.answer else "")
            + (f": {word.reason.rstrip('.')}" if word.reason else "")
            for word in result.words
        ]
        steps = f"Steps {segment.start.steps.last} to {segment.end.steps.last}"
        yield f"{steps} ran on {result.ran_on or 'no machine'}; {'; '.join(said) or 'no worker said anything'}."
    for worker, reason in done.doubted.items():
        yield f"The worker {worker} is not believed: {reason}. All that it said was repeated without it."
    yield (
        f"One in {trust.one_in} segments, at least one, was repeated by a second worker. The seed {trust.seed.hex()} "
        "chose which."
    )


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
    if not shows_progress():
        yield lambda _: None
        return
    with progress_bar() as bar:
        task = bar.add_task("Repeating", total=total, facts="")
        yield lambda steps: bar.update(task, completed=steps)
