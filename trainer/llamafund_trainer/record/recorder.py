"""Recording any training run: four calls that chain its checkpoints into manifests.

The Hugging Face and Lightning callbacks, the reference trainer and plain loops all call `Recorder`: `begin`,
`checkpoint`, `end`, `export`. It imports no machine-learning library.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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
from llamafund_chain.files import storage_error
from llamafund_chain.store import open_store
from llamafund_chain.store.content import fetch_manifest, publish_tree, reading
from llamafund_trainer.record.environment import observed_environment
from llamafund_trainer.record.weights import WeightsClaim, write_weights
from llamafund_trainer.seeds import data_order_seed, library_seed

if TYPE_CHECKING:
    from llamafund_chain.evidence.manifests import EvidenceManifest
    from llamafund_chain.store import Store

Files = Path | Callable[[Path], object]
"""A complete directory, or a function that writes the files into an empty one."""

Written = Callable[[CheckpointManifest, Path, Path], None]
"""Called with a checkpoint's manifest, its directory and the path of the manifest."""

_LEFT_OUT = frozenset({"training_args.bin"})
"""It names the run's directory, so it differs from run to run. It is also a pickle."""

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
    that the recorder itself wrote. Hashing and publishing run in a thread beside the training.

    Args:
        directory: For the evidence; created when missing. Use one directory per run.
        recipe: A file that says how the model is trained, for example the training script. Every manifest names
            its SHA-256.
        dataset: The dataset manifest: its SHA-256, or its file.
        seed: The campaign's training seed, or any other 64 hexadecimal digits without a campaign. Initial weights
            and data order must follow from it; see `library_seed`.
        data: The directory that the training reads. Its files are compared with the manifest, which must then be
            given as a file or be in the store.
        parent: SHA-256 of the evidence before the run; the dataset's when `None`.
        milestone_steps: Steps of the campaign's CHECKPOINT milestones, if there are any.
        store: Where everything is published, as `open_store` takes it; nowhere when `None`.
        written: Called in another thread after each manifest is written.

    Raises:
        UsageError: A hash is malformed, or a file is missing.
        VerificationError: The files in `data` do not match the dataset manifest.
        LlamafundError: A file cannot be read or written.
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        recipe: Path | str,
        dataset: Path | str,
        seed: str,
        data: Path | str | None = None,
        parent: str | None = None,
        milestone_steps: tuple[int, ...] = (),
        store: Store | Path | str | None = None,
        written: Written | None = None,
    ) -> None:
        self.directory = Path(directory)
        self._store: Store | None = open_store(store) if isinstance(store, (str, Path)) else store
        recipe_bytes = _read(Path(recipe), "recipe")
        manifest = _dataset_manifest(dataset, self._store, needed=data is not None)
        dataset_hash = manifest.sha256 if manifest is not None else str(dataset)
        for name, value in (("seed", seed), ("dataset", dataset_hash), ("parent", parent or dataset_hash)):
            if _HASH.fullmatch(value) is None:
                raise UsageError(f"The {name} is {value[:80]!r}", "It must be 64 lower-case hexadecimal digits")
        if data is not None:
            _require_files(manifest, Path(data))
        self.identity = RunIdentity(
            recipe=hashlib.sha256(recipe_bytes).hexdigest(),
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
        self._last: Complete | None = None
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
            checkpoints: Where `checkpoint-<step>` directories are; the recorder's own when `None`.
        """
        place = self.directory / "checkpoints" if checkpoints is None else Path(checkpoints)
        for manifest in reversed(self._chain()):
            directory = place / f"checkpoint-{manifest.steps.last}"
            if _is_complete(manifest, directory):
                return Complete(manifest.steps.last, directory)
        return None

    def begin(self, step: int = 0, environment: Mapping[str, str] | None = None) -> None:
        """Start or continue recording.

        Args:
            step: Optimizer steps done so far. Manifests of later checkpoints, which an interrupted run may have
                left, are removed: the run will write those checkpoints again.
            environment: What is recorded about this process; whatever can be observed when `None`.

        Raises:
            UsageError: There is no manifest for the step.
            LlamafundError: The store cannot keep the recipe, or the directory cannot be written.
        """
        # Observed in this thread, because torch has a thread count for each thread.
        self._environment = dict(observed_environment() if environment is None else environment)
        known = [manifest for manifest in self._chain() if manifest.steps.last <= step] if step else []
        if step and (not known or known[-1].steps.last != step):
            steps = ", ".join(str(manifest.steps.last) for manifest in known) or "none"
            raise UsageError(
                f"There is no manifest of a checkpoint after step {step} in {str(self._manifests)!r}",
                f"There are manifests after steps: {steps}",
                "Continue from the checkpoint that latest() returns",
            )
        self._history = known
        self._step = step
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
        self, step: int, files: Files, metrics: Mapping[str, int] | None = None, *, outcome_score: int | None = None
    ) -> None:
        """Record the state after some steps. Returns before the files are hashed.

        Args:
            step: Optimizer steps done.
            files: The checkpoint's directory, which must not change until `wait` returns. Or a function that writes
                the files into the empty directory it is given; that directory gets its final name once complete.
            metrics: Integers in millionths, or counts where the name says so.
            outcome_score: Score of the promised metric in millionths; higher is better.

        Raises:
            LlamafundError: The files cannot be written, or an earlier checkpoint could not be recorded.
            UsageError: The step is not after the last recorded one.
        """
        self.wait()
        before = self._history[-1].steps.last if self._history else 0
        if step < before or (self._history and step == before):
            raise UsageError(f"A checkpoint after step {step} follows one after step {before}")
        directory = self._write(step, files) if callable(files) else files
        self._last, self._step = Complete(step, directory), step
        self._pending.append(self._worker.submit(self._record, step, directory, dict(metrics or {}), outcome_score))

    def wait(self) -> None:
        """Wait until all checkpoints so far are recorded. Their files may be removed after that.

        Raises:
            LlamafundError: A checkpoint could not be read, or its manifest could not be written or published.
        """
        while self._pending:
            self._pending.pop(0).result()

    def check(self) -> None:
        """Raise what `wait` would raise for the checkpoints that are already done, without waiting."""
        while self._pending and self._pending[0].done():
            self._pending.pop(0).result()

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
        metrics: Mapping[str, int] | None = None,
        measurement: str = "Not described.",
        model_card: str | None = None,
    ) -> WeightsManifest:
        """Write the open weights: the last checkpoint without its training state and without files that can run code.

        Args:
            directory: Empty or missing. Gets a model card and whatever the checkpoint has that `transformers` loads.
                The manifest goes to `<directory>.json`. Shards that `torch.distributed.checkpoint` wrote as
                safetensors into `model/` become one file.
            license: SPDX identifier.
            score: Of the promised metric, in millionths; higher is better.
            metrics: Integers in millionths, or counts where the name says so.
            measurement: How they were measured.
            model_card: Text of the model card in Markdown; a short one is written when `None`.

        Raises:
            UsageError: There is no checkpoint yet, the directory is not empty, or the checkpoint has no
                `.safetensors` file.
            VerificationError: The checkpoint's files no longer match its manifest.
            LlamafundError: A file cannot be read or written.
        """
        self.wait()
        if self._last is None or not self._history:
            raise UsageError("There is no checkpoint to export", "The weights come from the last one")
        target, source, checkpoint = Path(directory), self._last.directory, self._history[-1]
        if not _is_complete(checkpoint, source):
            raise VerificationError(
                f"{str(source)!r} no longer matches its manifest {checkpoint.sha256}",
                "Nobody could trace these weights to the training",
                "Export an unchanged checkpoint",
            )
        claim = WeightsClaim(license, score, metrics or {}, measurement, model_card)
        manifest = write_weights(checkpoint, source, target, claim)
        save_manifest(target.parent / f"{target.name}.json", manifest)
        if self._store is not None:
            publish_tree(self._store, target, manifest)
        return manifest

    def _record(self, step: int, directory: Path, metrics: dict[str, int], outcome_score: int | None) -> None:
        """Hash the files, publish them and write the manifest, in the other thread."""
        present = _names(directory)
        _make_durable(directory, present)
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
        checkpoints = self.directory / "checkpoints"
        final = checkpoints / f"checkpoint-{step}"
        unfinished = checkpoints / f".checkpoint-{step}.part"
        try:
            # An interrupted run may have left part of this checkpoint.
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            files(unfinished)
            if final.exists():
                shutil.rmtree(final)
            unfinished.rename(final)
        except OSError as error:
            raise storage_error(error, f"Writing the checkpoint {str(final)!r}") from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return final


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


def _is_complete(manifest: EvidenceManifest, directory: Path) -> bool:
    present = _names(directory)
    if present != {entry.path for entry in manifest.files}:
        return False
    return hash_tree(directory, sorted(present)).content == manifest.content


def _names(directory: Path) -> set[str]:
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()} - _LEFT_OUT


def _make_durable(directory: Path, names: set[str]) -> None:
    """Flush files to disk, so that no manifest survives a power failure without its files."""
    files = [directory / name for name in sorted(names)]
    folders = {folder for file in files for folder in file.parents if folder.is_relative_to(directory)}
    for path in (*sorted(folders), *files):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise storage_error(error, f"Writing {str(path)!r}") from error
