"""Repeating parts of a run whose recipe is a program, in a sandbox, and comparing every byte of its checkpoints."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.errors import LlamafundError, UncheckedError, VerificationError
from llamafund_chain.evidence.hashing import hash_file
from llamafund_chain.evidence.manifests import CheckpointManifest, DatasetManifest, save_manifest
from llamafund_chain.evidence.programs import Program, ProgramFile
from llamafund_chain.files import storage_error
from llamafund_chain.store.content import fetch_manifest, fetch_tree
from llamafund_chain.text import printable
from llamafund_trainer.base_files import fetch_published
from llamafund_trainer.process.sandbox import (
    Ended,
    Limits,
    Room,
    choose_walls,
    entries_below,
    package_path,
    regular_file,
    remove,
    run_program,
)
from llamafund_trainer.record.environment import DECIDING_VARIABLES, OF_PROGRAMS, fits, quiet_variables
from llamafund_trainer.record.program import lock_problem
from llamafund_trainer.record.repetition import VARIABLE, Repetition
from llamafund_trainer.replay.choice import Pick
from llamafund_trainer.replay.result import FileComparison, SegmentResult
from llamafund_trainer.replay.segments import Segment

if TYPE_CHECKING:
    from llamafund_chain.store import Store

_ISA = {"DEFAULT": "default", "AVX2": "avx2", "AVX512": "avx512"}
"""What `cpu_capability` records, as ATen takes it."""

_SETTING = re.compile(r"[A-Za-z0-9_.,:=-]{1,64}")
_LACKING = re.compile(
    r"MemoryError|out of memory|allocate memory|not enough memory|No space left|Disk quota|File too large"
    r"|Resource temporarily unavailable|can't start new thread|Too many open files|bad_alloc|ALLOC_FAILED"
    r"|out of shared memory|killed by signal",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Allowed:
    """What a verifier allows a program.

    Attributes:
        trust: Whether it may run without a sandbox where there is none.
        other_versions: Whether to run it although other versions are installed than it needs.
        limits: What it may take; `None` for most of what this machine has.
    """

    trust: bool = False
    other_versions: bool = False
    limits: Limits | None = None


def repeat_program(
    store: Store,
    recipe: ProgramFile,
    picks: Sequence[Pick],
    workdir: Path,
    allowed: Allowed | None = None,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[SegmentResult, ...]:
    """Repeat segments one after the other.

    A program that takes more than it may, or that lacks something here, leaves its segment unchecked. One that ends
    without the checkpoint, or writes other bytes in the recorded environment, does not repeat.

    Args:
        store: Where the checkpoints are published.
        recipe: The program.
        picks: Segments of one run.
        workdir: Existing directory for fetched and new files.
        allowed: What the program may do.
        progress: Called with the number of steps repeated so far.

    Raises:
        UncheckedError: There is no sandbox, or other versions are installed than the program needs.
        LlamafundError: The store lacks something, or the disk fails, for each of the segments.
        VerificationError: Fetched files do not match their hashes.
    """
    allowed = allowed or Allowed()
    problem = lock_problem(recipe.program.lock, recipe.program.python)
    if problem is not None and not allowed.other_versions:
        raise UncheckedError(
            "The program was not run: other versions are installed here than it needs",
            problem,
            "Install those in an environment of their own, or try it as it is: llamafund replay --other-versions",
        )
    results: list[SegmentResult] = []
    troubles: list[LlamafundError] = []
    steps = 0
    for pick in picks:
        try:
            results.append(_repeat(store, recipe, pick, workdir, allowed))
        except VerificationError:
            raise
        except LlamafundError as error:
            # What cannot be fetched for one segment must not hide what the others show.
            troubles.append(error)
            results.append(SegmentResult(pick, (), {}, 0.0, trouble=str(error)))
        steps += pick.segment.steps
        progress(steps)
    if troubles and len(troubles) == len(picks):
        raise troubles[0]
    return tuple(results)


def initial_difference(
    store: Store, recipe: ProgramFile, first: CheckpointManifest, workdir: Path, allowed: Allowed | None = None
) -> SegmentResult:
    """Whether a program makes the checkpoint before the first step again; as `repeat_program` tells it."""
    pick = Pick(Segment(0, first, first), "first")
    return repeat_program(store, recipe, [pick], workdir, allowed)[0]


def _repeat(store: Store, recipe: ProgramFile, pick: Pick, workdir: Path, allowed: Allowed) -> SegmentResult:
    segment = pick.segment
    then = segment.end.environment
    if then.get("processes", "1") != "1":
        trouble = f"The run had {printable(then['processes'], 20)} processes; programs of one process can be repeated"
        return SegmentResult(pick, (), {}, 0.0, trouble=trouble)
    folder = workdir.absolute() / f"program-{segment.start.steps.last}-{segment.end.steps.last}"
    walls = choose_walls(trust=allowed.trust)
    room = Room(folder / "room", {}, str(folder / "room") if walls == "none" else "/room")
    try:
        # Nobody else may reach what the program makes, such as a file that runs as this user.
        folder.mkdir(mode=0o700)
        layout = _lay_out(store, recipe, segment, room)
        environment = _variables(then, layout.room.where)
        ended = run_program(
            [f"{room.where}/program/{recipe.program.entry}", *layout.arguments],
            layout.room,
            {**environment, VARIABLE: layout.job},
            allowed.limits or Limits.of_machine(folder),
            directory=f"{room.where}/program",
            walls=walls,
            gpu=then.get("device") == "cuda",
        )
        return _judge(pick, ended, room.own, lambda: _elsewhere(recipe.program, then, environment))
    except OSError as error:
        raise storage_error(error, f"Working in {str(folder)!r}") from error
    finally:
        remove(folder)


@dataclass(frozen=True)
class _Layout:
    """What a program finds.

    Attributes:
        room: Its surroundings.
        arguments: Its arguments, with the places in them.
        job: Path of the file that says what to repeat.
    """

    room: Room
    arguments: tuple[str, ...]
    job: str


def _lay_out(store: Store, recipe: ProgramFile, segment: Segment, room: Room) -> _Layout:
    program, own, first = recipe.program, room.own, segment.start.steps.last
    for name in ("program", "run", "output", "home", "tmp"):
        (own / name).mkdir(parents=True)
    for path, text in program.files.items():
        (own / "program" / path).parent.mkdir(parents=True, exist_ok=True)
        (own / "program" / path).write_bytes(text.encode())
    shown = dict(room.shown)
    read = own.parent / "read"
    (read / "job").mkdir(parents=True)
    inside = {name: f"{room.where}/{name}" for name in ("run", "store")}
    by_walls = room.where == "/room"
    dataset = segment.end.dataset
    for name, sha256, place in (
        ("data", dataset, program.data),
        *((one, one, at) for one, at in program.inputs.items()),
    ):
        below = place.removeprefix("{run}/")
        if place not in ("", f"{{{name}}}"):
            # The program may prepare it where it lies, so that it is a copy of its own.
            _fetch(store, sha256, dataset, own / ("run" if below != place else "program") / below)
            continue
        # Only once for all segments.
        here = own.parent.parent / f"program-read-{sha256[:16]}"
        if not here.exists():
            # A fetch that failed half-way must not pass for all of it.
            _fetch(store, sha256, dataset, here.with_suffix(".part"))
            here.with_suffix(".part").rename(here)
        shown[f"/{name}"] = here
        inside[name] = f"/{name}" if by_walls else str(here)
    job = "/job" if by_walls else str(read / "job")
    shown["/job"] = read / "job"
    start = None
    if first:
        start = own / "start" / f"checkpoint-{first}"
        fetch_tree(store, segment.start, start)
        save_manifest(read / "job" / "start.json", segment.start)
    asked = Repetition(
        first=first,
        last=segment.end.steps.last,
        start=None if start is None else Path(f"{room.where}/start/checkpoint-{first}"),
        manifest=None if start is None else Path(f"{job}/start.json"),
        output=Path(f"{room.where}/output"),
        seed=segment.end.seed,
        dataset=segment.end.dataset,
        recipe=recipe.sha256,
    )
    (read / "job" / "job.json").write_text(asked.model_dump_json(), encoding="utf-8")
    values = {**inside, "seed": segment.end.seed, "dataset": segment.end.dataset}
    return _Layout(
        Room(own, shown if by_walls else {}, room.where),
        tuple(_filled(argument, values) for argument in program.arguments),
        f"{job}/job.json",
    )


def _fetch(store: Store, sha256: str, dataset: str, directory: Path) -> None:
    """Fetch the dataset or an input."""
    if sha256 == dataset:
        fetch_tree(store, fetch_manifest(store, sha256, DatasetManifest), directory)
    else:
        fetch_published(store, sha256, directory)


def _filled(argument: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\{([a-z0-9]+)\}", lambda match: values.get(match[1], match[0]), argument)


def _variables(then: Mapping[str, str], where: str) -> dict[str, str]:
    """All environment variables of the program: nothing of ours, and of the record what decides the bits."""
    threads = then.get("threads", "1")
    count = threads if threads.isdecimal() and 0 < int(threads[:5]) <= 1024 else "1"
    recorded = {name: then[name] for name in DECIDING_VARIABLES if _SETTING.fullmatch(then.get(name, ""))}
    isa = {"ATEN_CPU_CAPABILITY": _ISA[then["cpu_capability"]]} if then.get("cpu_capability") in _ISA else {}
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "USER": "nobody",
        "TMPDIR": f"{where}/tmp",  # noqa: S108
        "PYTHONPATH": package_path(),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        **quiet_variables(f"{where}/home"),
        **isa,
        **recorded,
    }


def _judge(pick: Pick, ended: Ended, room: Path, elsewhere: Callable[[], str]) -> SegmentResult:
    """Compare what was made.

    Args:
        pick: The segment.
        ended: How the program ended.
        room: The folder that it could write to.
        elsewhere: Says what is not here as the recipe has it; empty if everything is.
    """
    segment = pick.segment
    compared = tuple(
        FileComparison(end.steps.last, entry.path, entry.sha256, _hash(room, end, entry.path, entry.size))
        for end in segment.made
        for entry in end.files
    )
    where = {"bwrap": "in a sandbox (bwrap)", "namespaces": "in a sandbox (namespaces)", "none": "without a sandbox"}
    result = SegmentResult(pick, compared, {}, ended.seconds, ran_on=where[ended.walls])
    if not result.differing:
        added = next(_added(room / "output", segment.made), None)
        if added is None:
            return result
        other, said = elsewhere(), f"the program also wrote {added!r}"
        return _with(result, trouble=_in_another(said, other)) if other else _with(result, problem=said)
    if ended.exceeded:
        return _with(result, trouble=f"the program was stopped, because it took {ended.exceeded}")
    missing = [file for file in result.differing if not file.repeated]
    if missing and (ended.code >= 128 or _LACKING.search(ended.log)):
        return _with(result, trouble=f"the program ended with code {ended.code} for want of something: {_tail(ended)}")
    other = elsewhere()
    if not missing:
        if not other:
            return result
        return _with(result, trouble=f"it gave other bytes in another environment, which shows nothing: {other}")
    if other:
        return _with(result, trouble=_in_another(_ending(ended, missing[0]), other))
    return _with(result, problem=_ending(ended, missing[0]))


def _in_another(said: str, other: str) -> str:
    return f"{said}. This is another environment: {other}"


def _ending(ended: Ended, missing: FileComparison) -> str:
    said = f"the program ended with code {ended.code} and without {missing.path!r} after step {missing.step}"
    return f"{said}: {_tail(ended)}" if ended.log.strip() else said


def _tail(ended: Ended) -> str:
    return printable(" / ".join(ended.log.strip().splitlines()[-3:]), 300)


def _with(result: SegmentResult, *, problem: str = "", trouble: str = "") -> SegmentResult:
    """A result that compares nothing, because it could not, or because of what was found first."""
    return SegmentResult(result.pick, (), {}, result.seconds, problem=problem, trouble=trouble, ran_on=result.ran_on)


def _hash(room: Path, end: CheckpointManifest, path: str, size: int) -> str:
    """SHA-256 of a file that the program wrote; empty if there is none. One of another size is not read."""
    found = regular_file(room, f"output/checkpoint-{end.steps.last}/{path}")
    if found is None:
        return ""
    if found.stat().st_size != size:
        return f"a file of {found.stat().st_size} bytes, not {size}"
    try:
        return hash_file(found).sha256
    except LlamafundError:
        return ""


def _added(output: Path, ends: Sequence[CheckpointManifest]) -> Iterator[str]:
    """Files in the repeated checkpoints that are not published."""
    for end in ends:
        folder = output / f"checkpoint-{end.steps.last}"
        known = {str(folder / entry.path) for entry in end.files}
        try:
            for entry in entries_below(folder):
                if entry.path not in known and not entry.is_dir(follow_symlinks=False):
                    yield entry.name
        except OSError:
            # The program made them so, and must not pass for trouble of this disk.
            yield "folders that hide what is in them"


def _elsewhere(program: Program, then: Mapping[str, str], variables: Mapping[str, str]) -> str:
    """What is not here as the recipe has it, in words; empty if everything is.

    The record of a checkpoint only counts for a program that names nothing: a cheat could record any machine.
    """
    named = program.environment or {name: then[name] for name in OF_PROGRAMS if name in then}
    home = str(Path(sys.executable).parent)
    own = {**variables, **quiet_variables(home), "TMPDIR": os.environ.get("TMPDIR", "/tmp")}  # noqa: S108
    if "LD_LIBRARY_PATH" in os.environ:
        own["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    here = _observed(frozenset(own.items()))
    other = [
        f"{name} {printable(value, 100)!r} (here {here.get(name, 'none')!r})"
        for name, value in named.items()
        if not fits(here.get(name, ""), value)
    ]
    versions = lock_problem(program.lock, program.python)
    return "; ".join([*other, *([] if versions is None else [versions])])


@cache
def _observed(variables: frozenset[tuple[str, str]]) -> Mapping[str, str]:
    """What this machine is. The program is not asked: it could say anything."""
    script = (
        "import json\nfrom llamafund_trainer.record.environment import environment_of_program\n"
        "print(json.dumps(environment_of_program()))"
    )
    command = [sys.executable, "-P", "-c", script]
    asked = subprocess.run(command, env=dict(variables), capture_output=True, check=False, timeout=600)
    try:
        here: dict[str, str] = json.loads(asked.stdout)
    except ValueError as error:
        reason = asked.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise UncheckedError("This machine's environment could not be observed", " ".join(reason)) from error
    return here
