"""Recording any training run: four calls that chain its checkpoints into manifests.

The Hugging Face and Lightning callbacks, the reference trainer and plain loops all call `Recorder`: `begin`,
`checkpoint`, `end`, `export`. It imports no machine-learning library.
"""

from __future__ import annotations

import hashlib
import math
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from llamafund_chain.errors import UsageError, VerificationError
from llamafund_chain.evidence.hashing import hash_tree
from llamafund_chain.evidence.manifests import (
    MAX_SAFE_INTEGER,
    CheckpointManifest,
    DatasetManifest,
    StepRange,
    WeightsManifest,
    beside,
    load_manifest,
    parse_as,
    save_manifest,
)
from llamafund_chain.files import storage_error, write_file
from llamafund_chain.store import open_store
from llamafund_chain.store.content import fetch_manifest, publish_tree, reading
from llamafund_trainer.record.environment import environment_of_program, observed_environment
from llamafund_trainer.record.files import is_complete, link_files, make_durable, recorded_names
from llamafund_trainer.record.processes import Processes
from llamafund_trainer.record.program import Places, describe_program, running_script
from llamafund_trainer.record.repeat import RepeatWarning
from llamafund_trainer.record.repetition import asked
from llamafund_trainer.record.weights import WeightsClaim, require_exportable, write_weights
from llamafund_trainer.seeds import data_order_seed, library_seed
from llamafund_trainer.tensors.dcp_index import INDEX

if TYPE_CHECKING:
    from llamafund_chain.store import Store

T = TypeVar("T")

Files = Path | Callable[[Path], object]
"""A complete directory, or a function that writes the files into an empty one."""

Written = Callable[[CheckpointManifest, Path, Path], None]
"""Called with a checkpoint's manifest, its directory and the path of the manifest."""

_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class RunIdentity:
    """What all checkpoints of one run share.

    Attributes:
        recipe: SHA-256 of the recipe file.
        dataset: SHA-256 of the dataset manifest.
        seed: The training seed, 64 hexadecimal digits.
        parent: SHA-256 of the evidence that checkpoint 0 names as its parent.
        milestone_steps: Steps after which a milestone's evidence is due. A manifest lists the checkpoints since the
            last of them.
    """

    recipe: str
    dataset: str
    seed: str
    parent: str
    milestone_steps: tuple[int, ...]


@dataclass(frozen=True)
class Complete:
    """A checkpoint whose files match its manifest.

    Attributes:
        step: Optimizer steps done.
        directory: Where the files are.
    """

    step: int
    directory: Path


class Recorder:
    """Keeps the evidence of one training run in a directory.

    The directory holds `manifests/step-<step>.json`. It also holds `checkpoints/checkpoint-<step>/` for checkpoints
    that the recorder itself wrote, and for the last one that it was asked to keep. Hashing and publishing run in a
    thread beside the training.

    Args:
        directory: For the evidence; created when missing. Use one directory per run.
        recipe: A file that says how the model is trained; every manifest names its SHA-256. If left out, the running
            script is described so that others can repeat it, in `recipe.json` in the directory.
        program: Without `recipe`: further files or folders beside the script that it reads; see `describe_program`.
        inputs: Without `recipe`: further folders that the script reads, such as a base model, by the hash that
            `llamafund publish` printed for each.
        dataset: The dataset manifest: its SHA-256, or its file.
        seed: The campaign's training seed, or any other 64 hexadecimal digits without a campaign. Initial weights
            and data order must follow from it; see `library_seed`.
        data: The directory that the training reads. Its files are compared with the manifest, which must then be
            given as a file or be in the store.
        parent: SHA-256 of the evidence before the run; the dataset's when `None`.
        milestone_steps: Steps of the campaign's CHECKPOINT milestones, if there are any.
        store: Where everything is published, as `open_store` takes it; nowhere when `None`.
        written: Called in another thread after each manifest is written.
        every_process: Whether every process of a distributed training makes a recorder like this one, and calls the
            same methods of it in the same order. The first one then writes the evidence, once all have written their
            part of a checkpoint, and all know the same manifests. If not, only the first process may call it.

    Raises:
        UsageError: A hash is malformed, or a file is missing; or there is no recipe, and the script cannot be
            described. If this process is to repeat a run: it is another one. With `every_process`, from `begin` on:
            the processes do not have the same file system.
        VerificationError: The files in `data` do not match the dataset manifest.
        LlamafundError: A file cannot be read or written.
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        recipe: Path | str | None = None,
        program: Sequence[Path | str] = (),
        inputs: Mapping[str, Path | str] | None = None,
        dataset: Path | str,
        seed: str,
        data: Path | str | None = None,
        parent: str | None = None,
        milestone_steps: tuple[int, ...] = (),
        store: Store | Path | str | None = None,
        written: Written | None = None,
        every_process: bool = False,
    ) -> None:
        self.directory = Path(directory)
        self._processes = Processes(together=every_process)
        self._repetition = asked()
        if self._repetition is not None:
            self._repetition.require_run(seed, dataset)
            store, dataset, data = None, self._repetition.dataset, None
        self._store: Store | None = open_store(store) if isinstance(store, (str, Path)) else store
        recipe_bytes = b"" if recipe is None else _read(Path(recipe), "recipe")
        manifest = _dataset_manifest(dataset, self._store, needed=data is not None)
        dataset_hash = manifest.sha256 if manifest is not None else str(dataset)
        for name, value in (("seed", seed), ("dataset", dataset_hash), ("parent", parent or dataset_hash)):
            if _HASH.fullmatch(value) is None:
                raise UsageError(f"The {name} is {value[:80]!r}", "It must be 64 lower-case hexadecimal digits")
        if data is not None:
            files = Path(data)
            self._processes.first_does(lambda: _require_files(manifest, files))
        if self._repetition is None and recipe is None:
            places = Places(
                self.directory,
                None if data is None else Path(data),
                None if store is None else str(getattr(store, "location", store)),
                seed,
                dataset_hash,
                {sha256: Path(folder) for sha256, folder in (inputs or {}).items()},
            )
            recipe_bytes = _described(places, program)
            write_file(self.directory / "recipe.json", recipe_bytes)
        self.identity = RunIdentity(
            recipe=(hashlib.sha256(recipe_bytes).hexdigest() if self._repetition is None else self._repetition.recipe),
            dataset=dataset_hash,
            seed=seed,
            parent=parent or dataset_hash,
            milestone_steps=milestone_steps,
        )
        self._recipe_bytes = recipe_bytes
        self._written = written
        self._environment: dict[str, str] = {}
        self._manifests = self.directory / "manifests"
        self._history: list[CheckpointManifest] = []
        self._places: dict[int, Path] = {}
        self._earlier: dict[int, CheckpointManifest] = {}
        self._unlike: list[str] = []
        self._reached = self._kept = 0
        self._step = 0
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="llamafund-hashing")
        self._pending: list[Future[None]] = []

    @property
    def library_seed(self) -> int:
        """Seed for the random generators of Python, numpy and torch, derived from the training seed."""
        return library_seed(self.identity.seed)

    @property
    def data_order_seed(self) -> int:
        """Seed of the data order, derived from the training seed; below 2**53."""
        return data_order_seed(self.identity.seed)

    @property
    def step(self) -> int:
        """Step of the last checkpoint that was handed in, or from which the run continues."""
        return self._step

    @property
    def manifests(self) -> tuple[CheckpointManifest, ...]:
        """The manifests recorded so far, oldest first."""
        return tuple(self._history)

    @property
    def head(self) -> str:
        """SHA-256 of the last recorded manifest, or of the run's parent."""
        return self._history[-1].sha256 if self._history else self.identity.parent

    def head_of(self, step: int) -> str:
        """SHA-256 of the manifest of the checkpoint after a step, or of the run's parent when there is none."""
        found = [manifest.sha256 for manifest in self._chain() if manifest.steps.last == step]
        return found[0] if found else self.identity.parent

    def latest(self, checkpoints: Path | str | None = None) -> Complete | None:
        """The last complete checkpoint: one whose files match its manifest.

        Args:
            checkpoints: Where `checkpoint-<step>` directories are, besides the recorder's own.
        """
        return self._by_first(lambda: self._latest(checkpoints))

    def _latest(self, checkpoints: Path | str | None) -> Complete | None:
        if self._repetition is not None:
            start = self._repetition.start
            return None if start is None else Complete(self._repetition.first, start)
        places = [self._checkpoints] if checkpoints is None else [Path(checkpoints), self._checkpoints]
        for manifest in reversed(self._chain()):
            for place in places:
                directory = place / f"checkpoint-{manifest.steps.last}"
                if is_complete(manifest, directory):
                    return Complete(manifest.steps.last, directory)
        return None

    def begin(self, step: int = 0, environment: Mapping[str, str] | None = None) -> None:
        """Start or continue recording.

        Args:
            step: Optimizer steps done so far. Manifests of later checkpoints, which an interrupted run may have
                left, are removed: the run will write those checkpoints again. If one of them then has other bytes, a
                `RepeatWarning` says so.
            environment: What is recorded about this process; whatever can be observed when `None`.

        Raises:
            UsageError: There is no manifest for the step.
            LlamafundError: The store cannot keep the recipe, or the directory cannot be written.
        """
        if self._repetition is not None:
            self._repetition.require_start(step)
            self._history = self._chain()
            self._step = self._reached = step
            return
        # Observed in this thread, because torch has a thread count for each thread.
        self._environment = dict(observed_environment() if environment is None else environment)
        self._by_first(lambda: self._begin(step))
        self._step = self._reached = self._kept = step
        self._processes.require_shared(self._manifests)

    def _begin(self, step: int) -> None:
        known = [manifest for manifest in self._chain() if manifest.steps.last <= step] if step else []
        if step and (not known or known[-1].steps.last != step):
            steps = ", ".join(str(manifest.steps.last) for manifest in known) or "none"
            raise UsageError(
                f"There is no manifest of a checkpoint after step {step} in {str(self._manifests)!r}",
                f"There are manifests after steps: {steps}",
                "Continue from the checkpoint that latest() returns",
            )
        self._history = known
        self._earlier = {
            manifest.steps.last: manifest for manifest in self._chain() if manifest.steps.last > step or not step
        }
        kept = {manifest_name(manifest.steps.last) for manifest in known}
        try:
            self._manifests.mkdir(parents=True, exist_ok=True)
            for path in self._manifests.glob("step-*.json"):
                if path.name not in kept:
                    path.unlink()
        except OSError as error:
            raise storage_error(error, f"Writing to {str(self._manifests)!r}") from error
        if self._store is not None:
            self._store.pin(self._store.put_bytes(self._recipe_bytes).cid)

    def checkpoint(
        self,
        step: int,
        files: Files,
        metrics: Mapping[str, int] | None = None,
        *,
        outcome_score: int | None = None,
        keep: bool = False,
    ) -> None:
        """Record the state after some steps. Returns before the files are hashed.

        Args:
            step: Optimizer steps done.
            files: The checkpoint's directory, which must not change until `wait` returns. Or a function that writes
                the files into the empty directory it is given; that directory gets its final name once complete.
            metrics: Integers in millionths, or counts where the name says so.
            outcome_score: Score of the promised metric in millionths; higher is better.
            keep: Whether somebody else may remove the directory at any time. Its files are then linked into the
                recorder's own, where the last such checkpoint stays. On a disk without links, this waits until they
                are recorded.

        Raises:
            LlamafundError: The files cannot be written, or an earlier checkpoint could not be recorded.
            UsageError: The step is not after the last recorded one, or the first checkpoint is one that could not be
                exported.
        """
        self.wait()
        before = self._history[-1].steps.last if self._history else 0
        if step < before or (self._history and step == before):
            raise UsageError(f"A checkpoint after step {step} follows one after step {before}")
        directory = self._write(step, files) if callable(files) else files
        if self._repetition is not None:
            self._step = step
            self._repetition.take(step, directory)
            return
        if not callable(files):
            self._processes.require_same_files(directory)
        self._processes.first_does(lambda: self._submit(step, directory, dict(metrics or {}), outcome_score, keep))
        self._places[step], self._step = directory, step
        self._reached = max(self._reached, step)

    def _submit(
        self, step: int, directory: Path, metrics: dict[str, int], outcome_score: int | None, keep: bool
    ) -> None:
        if not self._places:
            require_exportable(directory, recorded_names(directory), step)
        kept = link_files(directory, self._own(step)) if keep else False
        place = self._own(step) if kept else directory
        self._pending.append(self._worker.submit(self._record, step, place, metrics, outcome_score, kept))
        if keep and not kept:
            self._wait()

    def reached(self, step: int) -> None:
        """Say how many optimizer steps were done when training ended. `export` refuses older weights."""
        self._reached = step

    def wait(self) -> None:
        """Wait until all checkpoints so far are recorded. Their files may be removed after that.

        Raises:
            LlamafundError: A checkpoint could not be read, or its manifest could not be written or published.
        """
        self._by_first(self._wait)
        self._warn()

    def _wait(self) -> None:
        while self._pending:
            self._pending.pop(0).result()

    def _by_first(self, work: Callable[[], T]) -> T:
        """Let the first process do something that is not done beside the training; all know the manifests then."""
        result, self._history = self._processes.first_does(lambda: (work(), self._history))
        return result

    def check(self) -> None:
        """Raise what `wait` would raise for the checkpoints that are already done, without waiting."""
        while self._pending and self._pending[0].done():
            self._pending.pop(0).result()
        self._warn()

    def end(self) -> tuple[CheckpointManifest, ...]:
        """Finish recording.

        Returns:
            The manifests of the run, oldest first.

        Raises:
            LlamafundError: As `wait`.
        """
        try:
            self.wait()
        finally:
            self._worker.shutdown(wait=True)
        return tuple(self._history)

    def export(
        self,
        directory: Path | str,
        *,
        license: str,
        score: int,
        step: int | None = None,
        metrics: Mapping[str, int] | None = None,
        measurement: str = "Not described.",
        model_card: str | None = None,
    ) -> WeightsManifest:
        """Write the open weights: a checkpoint without its training state and without files that can run code.

        Args:
            directory: Empty or missing. Gets a model card and whatever the checkpoint has that `transformers` loads.
                The manifest goes to `<directory>.json`. What `torch.distributed.checkpoint` wrote becomes one file:
                its own format, whose pickle is not run, or shards as safetensors in `model/`.
            license: SPDX identifier.
            score: Of the promised metric, in millionths; higher is better.
            step: Which checkpoint, if it is not to be the last one.
            metrics: Integers in millionths, or counts where the name says so.
            measurement: How they were measured.
            model_card: What you say about the model, in Markdown. It stands in the model card as the author's claim,
                below what the manifests say.

        Raises:
            UsageError: There is no such checkpoint, training went on after the last one, the directory is not empty,
                or the checkpoint has no weights that can be read without running code.
            VerificationError: The checkpoint's files no longer match its manifest, or a weight is not finite.
            LlamafundError: A file cannot be read or written.
        """
        claim = WeightsClaim(license, score, metrics or {}, measurement, model_card)
        self.wait()
        return self._by_first(lambda: self._export(Path(directory), step, claim))

    def _export(self, target: Path, step: int | None, claim: WeightsClaim) -> WeightsManifest:
        checkpoint = self._chosen(step)
        own = self._own(checkpoint.steps.last)
        source = next(
            (place for place in (own, self._places.get(checkpoint.steps.last, own)) if is_complete(checkpoint, place)),
            None,
        )
        if source is None:
            raise VerificationError(
                f"The checkpoint after step {checkpoint.steps.last} no longer matches its manifest {checkpoint.sha256}",
                "Its files were changed or removed. Nobody could trace such weights to the training",
                "Export an unchanged checkpoint",
            )
        manifest = write_weights(checkpoint, source, target, claim)
        save_manifest(target.parent / f"{target.name}.json", manifest)
        if self._store is not None:
            publish_tree(self._store, target, manifest)
        return manifest

    def _chosen(self, step: int | None) -> CheckpointManifest:
        """The manifest of the checkpoint to export."""
        if not self._history:
            raise UsageError("There is no checkpoint to export", "The weights come from the last one")
        last = self._history[-1].steps.last
        if step is None and last < self._reached:
            raise UsageError(
                f"The last checkpoint is after step {last}, but the training did {self._reached} steps",
                "Its weights are not those that the training ended with",
                f"Save a checkpoint after the last step, or say that you export older weights with step={last}",
            )
        for manifest in self._history:
            if manifest.steps.last == (last if step is None else step):
                return manifest
        steps = ", ".join(str(manifest.steps.last) for manifest in self._history)
        raise UsageError(f"There is no checkpoint after step {step}", f"There are some after steps {steps}")

    @property
    def _checkpoints(self) -> Path:
        return self.directory / "checkpoints"

    def _own(self, step: int) -> Path:
        return self._checkpoints / f"checkpoint-{step}"

    def _warn(self) -> None:
        """Say in the caller's thread what the other one found."""
        while self._unlike:
            warnings.warn(self._unlike.pop(0), RepeatWarning, stacklevel=3)

    def _compare(self, manifest: CheckpointManifest) -> None:
        """Compare a checkpoint that is written for the second time with the first."""
        earlier = self._earlier.pop(manifest.steps.last, None)
        if earlier is None or earlier.content == manifest.content:
            return
        # An index has a random number in it, and the checkpoint's path.
        before, after = (
            {entry.path: entry.sha256 for entry in each.files if entry.path.rpartition("/")[2] != INDEX}
            for each in (earlier, manifest)
        )
        if before == after:
            return
        names = sorted(name for name in before | after if before.get(name) != after.get(name))
        self._unlike.append(
            f"The checkpoint after step {manifest.steps.last} is not the one that was recorded before the "
            f"interruption: {', '.join(names[:4])}{' and more' if len(names) > 4 else ''} differ. So this "
            "training does not repeat, and nobody can check it by repeating it"
        )

    def _record(
        self, step: int, directory: Path, metrics: dict[str, int], outcome_score: int | None, kept: bool
    ) -> None:
        """Hash the files, publish them and write the manifest, in the other thread."""
        present = recorded_names(directory)
        make_durable(directory, present)
        tree = hash_tree(directory, sorted(present), jobs=1)
        before = self._history[-1] if self._history else None
        first = before.steps.last if before else 0
        manifest = CheckpointManifest(
            files=tree.files,
            content=tree.content,
            parent=self.head,
            steps=StepRange(first=first, last=step),
            recipe=self.identity.recipe,
            dataset=self.identity.dataset,
            seed=self.identity.seed,
            data_order_seed=self.data_order_seed,
            metrics=metrics,
            environment=self._environment,
            chain=self._links_since_milestone(),
            outcome_score=outcome_score,
        )
        if self._store is not None:
            publish_tree(self._store, directory, manifest)
        # Last, so that a run only continues from what was published.
        path = self._manifests / manifest_name(step)
        save_manifest(path, manifest)
        self._history.append(manifest)
        self._compare(manifest)
        if kept:
            # Only now can the run go on from this one.
            if self._kept > 0:
                shutil.rmtree(self._own(self._kept), ignore_errors=True)
            self._kept = step
        if self._written is not None:
            self._written(manifest, directory, path)

    def _links_since_milestone(self) -> tuple[str, ...]:
        links: list[str] = []
        for manifest in reversed(self._history):
            if manifest.steps.last in self.identity.milestone_steps:
                break
            links.append(manifest.sha256)
        return tuple(reversed(links))

    def _chain(self) -> list[CheckpointManifest]:
        """The manifests on disk, oldest first, up to the first that does not name the one before as its parent."""
        chain: list[CheckpointManifest] = []
        if self._repetition is not None:
            start = self._repetition.manifest
            return [] if start is None else [load_manifest(CheckpointManifest, start)]
        parent, run = self.identity.parent, self.identity
        for path in sorted(self._manifests.glob("step-*.json")):
            manifest = load_manifest(CheckpointManifest, path)
            theirs = (manifest.recipe, manifest.dataset, manifest.seed)
            if theirs != (run.recipe, run.dataset, run.seed):
                raise UsageError(
                    f"{str(self.directory)!r} holds the evidence of another run",
                    "Its manifests name another recipe, dataset or seed",
                    "Name a new directory",
                )
            if manifest.parent != parent:
                break
            chain.append(manifest)
            parent = manifest.sha256
        return chain

    def _write(self, step: int, files: Callable[[Path], object]) -> Path:
        final = self._own(step)
        unfinished = final.with_name(f".checkpoint-{step}.part")

        def prepare() -> None:
            # An interrupted run may have left part of this checkpoint.
            shutil.rmtree(unfinished, ignore_errors=True)
            with _writing(final):
                unfinished.mkdir(parents=True)

        def write() -> None:
            with _writing(final):
                files(unfinished)

        def finish() -> None:
            with _writing(final):
                if final.exists():
                    shutil.rmtree(final)
                unfinished.rename(final)

        try:
            self._processes.first_does(prepare)
            self._processes.all_do(write)
            self._processes.require_same_files(unfinished)
            self._processes.first_does(finish)
        finally:
            if self._processes.first:
                shutil.rmtree(unfinished, ignore_errors=True)
        return final


@contextmanager
def _writing(checkpoint: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise storage_error(error, f"Writing the checkpoint {str(checkpoint)!r}") from error


def manifest_name(step: int) -> str:
    """File name of the manifest of the checkpoint after a step."""
    return f"step-{step:08}.json"


def millionths(metrics: Mapping[str, float]) -> dict[str, int]:
    """Metrics as manifests hold them: rounded to millionths. One that is not finite becomes `<name>_diverged: 1`."""
    converted: dict[str, int] = {}
    for name, value in metrics.items():
        scaled = value * 1_000_000
        if math.isfinite(scaled) and abs(scaled) <= MAX_SAFE_INTEGER:
            converted[name] = round(scaled)
        else:
            converted[f"{name}_diverged"] = 1
    return converted


def _described(places: Places, more: Sequence[Path | str]) -> bytes:
    script = running_script()
    if script is None:
        raise UsageError(
            "There is no recipe, and no script that could be one",
            "In a notebook, in a shell, with python -m and in several processes, nobody else can tell what to run",
            "Name a file with recipe=, or start a script by its path",
        )
    return describe_program(script, sys.argv[1:], places, more, environment_of_program()).encoded


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"The {name} {str(path)!r} cannot be read", error.strerror or str(error)) from error


def _dataset_manifest(dataset: Path | str, store: Store | None, *, needed: bool) -> DatasetManifest | None:
    """The dataset's manifest, if it was given as a file or is needed and in the store."""
    if isinstance(dataset, str) and _HASH.fullmatch(dataset):
        return fetch_manifest(store, dataset, DatasetManifest) if needed and store is not None else None
    path = Path(dataset)
    listings = beside(path, None if store is None else reading(store))
    return parse_as(DatasetManifest, _read(path, "dataset manifest"), read=listings)


def _require_files(manifest: DatasetManifest | None, data: Path) -> None:
    if manifest is None:
        raise UsageError(
            "The files of the dataset cannot be compared with its manifest",
            "Only the manifest's hash is given, and no store",
            "Give the manifest's file as dataset, or a store that holds it",
        )
    tree = hash_tree(data, [entry.path for entry in manifest.files])
    for entry, found in zip(manifest.files, tree.files, strict=True):
        if entry.sha256 != found.sha256:
            raise VerificationError(
                f"{entry.path!r} in {str(data)!r} has the SHA-256 {found.sha256}",
                f"The dataset manifest says {entry.sha256}",
                "Train on the dataset that was promised to backers",
            )
