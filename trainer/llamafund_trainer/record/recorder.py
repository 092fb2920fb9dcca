"""Recording a training run of any kind: four calls that chain its checkpoints into manifests.

`Recorder` is the one core. The Hugging Face and Lightning callbacks and the reference trainer call it, and so
does a plain loop: `begin`, `checkpoint`, `end`, `export`. It imports no machine-learning library.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from llamafund_trainer.record.environment import observed_environment
from llamafund_trainer.seeds import data_order_seed, library_seed
from llamafund_trainer.tensors.shards import WEIGHTS, join_shards, weight_files

if TYPE_CHECKING:
    from llamafund_chain.evidence.manifests import EvidenceManifest
    from llamafund_chain.store import Store

LEFT_OUT = frozenset({"training_args.bin"})
"""Names the directory that a run was in, so it differs from run to run; and it is a pickle."""

MODEL_CARD = "README.md"

Files = Path | Callable[[Path], object]
"""A directory that is complete, or what writes its files into an empty one."""

Written = Callable[[CheckpointManifest, Path, Path], None]
"""Called with a checkpoint's manifest, its directory and the manifest's file."""

_HASH = re.compile(r"[0-9a-f]{64}")
_STATE = re.compile(r"optimizer|scheduler|scaler|rng_state|trainer_state|training_args")
_OPEN = frozenset({".safetensors", ".json", ".txt", ".model", ".jinja", ".md"})
"""Endings of files that hold data only; whatever else a checkpoint has can run code or is training state."""


@dataclass(frozen=True)
class RunIdentity:
    """What all checkpoints of one run have in common.

    Attributes:
        recipe: SHA-256 of the recipe file.
        dataset: SHA-256 of the dataset manifest.
        seed: The training seed, 64 hexadecimal digits.
        parent: Evidence that checkpoint 0 grows out of, 64 hexadecimal digits.
        milestone_steps: Steps after which a milestone's evidence is due; the list of earlier checkpoints in a
            manifest starts anew after each.
    """

    recipe: str
    dataset: str
    seed: str
    parent: str
    milestone_steps: tuple[int, ...]


@dataclass(frozen=True)
class Complete:
    """A checkpoint whose files are what its manifest says.

    Attributes:
        step: Optimizer steps done.
        directory: Its files.
    """

    step: int
    directory: Path


class Recorder:
    """Keeps the evidence of one training run in a directory.

    The directory holds `manifests/step-<step>.json` and, for checkpoints that the recorder itself has written,
    `checkpoints/checkpoint-<step>/`. Hashing and publishing run beside the training, on one core.

    Args:
        directory: For the evidence; created when missing. One run, one directory.
        recipe: A file that says how the training goes, for example the training script. Its SHA-256 stands in
            every manifest.
        dataset: The dataset manifest: its SHA-256, or its file.
        seed: The campaign's training seed, 64 hexadecimal digits; without a campaign any others. Initial weights
            and data order have to follow from it: see `library_seed`.
        data: The directory that the training reads; its files must be the manifest's, which is then needed as a
            file or in the store.
        parent: Evidence that the run grows out of; the dataset when `None`.
        milestone_steps: Steps of the campaign's CHECKPOINT milestones, if there are any.
        store: Where everything is published, as `open_store` takes it; nowhere when `None`.
        written: Called after each checkpoint's manifest is written, in another thread.

    Raises:
        UsageError: A hash is none, or a file is missing.
        VerificationError: The files in `data` are not those of the dataset manifest.
        LlamafundError: Something cannot be read or written.
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
                raise UsageError(f"The {name} is {value[:80]!r}", "It is 64 hexadecimal digits in lower case")
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
        """Seed for the random generators of Python, numpy and torch that follows from the training seed."""
        return library_seed(self.identity.seed)

    @property
    def data_order_seed(self) -> int:
        """Seed of the data order that follows from the training seed; below 2**53."""
        return data_order_seed(self.identity.seed)

    @property
    def step(self) -> int:
        """Step of the last checkpoint that was handed in, or that the run goes on from."""
        return self._step

    @property
    def manifests(self) -> tuple[CheckpointManifest, ...]:
        """What is recorded so far, oldest first."""
        return tuple(self._history)

    @property
    def head(self) -> str:
        """Hash of the last recorded manifest, or of what the run grows out of."""
        return self._history[-1].sha256 if self._history else self.identity.parent

    def head_of(self, step: int) -> str:
        """Hash of the manifest of the checkpoint after a step; of what the run grows out of where there is none."""
        found = [manifest.sha256 for manifest in self._chain() if manifest.steps.last == step]
        return found[0] if found else self.identity.parent

    def latest(self, checkpoints: Path | str | None = None) -> Complete | None:
        """The last checkpoint that is complete: one whose files hash to what its manifest says.

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
        """Start, or go on, with recording.

        Args:
            step: Optimizer steps done so far. Manifests of later checkpoints, which an interrupted run may have
                left, are removed: those checkpoints will be made again.
            environment: What is recorded about this process; what can be observed when `None`.

        Raises:
            UsageError: The run is to go on from a step that has no manifest.
            LlamafundError: The store cannot keep the recipe, or the directory cannot be written.
        """
        # Found out in this thread: torch counts threads for each one by itself.
        self._environment = dict(observed_environment() if environment is None else environment)
        known = [manifest for manifest in self._chain() if manifest.steps.last <= step] if step else []
        if step and (not known or known[-1].steps.last != step):
            steps = ", ".join(str(manifest.steps.last) for manifest in known) or "none"
            raise UsageError(
                f"There is no manifest of a checkpoint after step {step} in {str(self._manifests)!r}",
                f"There are manifests after steps: {steps}",
                "Go on from the checkpoint that latest() names",
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
            raise storage_error(error, f"Writing into {str(self._manifests)!r}") from error
        if self._store is not None:
            self._store.pin(self._store.put_bytes(self._recipe_bytes).cid)

    def checkpoint(
        self, step: int, files: Files, metrics: Mapping[str, int] | None = None, *, outcome_score: int | None = None
    ) -> None:
        """Record the state after some steps. Returns before it is hashed.

        Args:
            step: Optimizer steps done.
            files: The checkpoint's directory, which must stay as it is until `wait`; or a function that writes
                the files into the empty directory that it is given. What it writes appears under its final name
                only when it is complete.
            metrics: Integers in millionths, or the counts that their names say.
            outcome_score: The promised metric's score in millionths, higher is better.

        Raises:
            LlamafundError: The files cannot be written, or an earlier checkpoint could not be recorded.
            UsageError: The step is not after the one before.
        """
        self.wait()
        before = self._history[-1].steps.last if self._history else 0
        if step < before or (self._history and step == before):
            raise UsageError(f"A checkpoint after step {step} follows one after step {before}")
        directory = self._write(step, files) if callable(files) else files
        self._last, self._step = Complete(step, directory), step
        self._pending.append(self._worker.submit(self._record, step, directory, dict(metrics or {}), outcome_score))

    def wait(self) -> None:
        """Wait until all checkpoints so far are recorded: their files may then be removed.

        Raises:
            LlamafundError: One of them could not be read, or its manifest not be written or published.
        """
        while self._pending:
            self._pending.pop(0).result()

    def check(self) -> None:
        """As `wait`, for those that are finished already; never waits."""
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
        """Write the open weights: the last checkpoint's files, without training state and whatever can run code.

        Args:
            directory: Empty or missing. Gets what `transformers` loads, if the checkpoint has it, and a model
                card; beside it, `<directory>.json` gets the manifest. Shards of weights that
                `torch.distributed.checkpoint` wrote as safetensors into `model/` become one file.
            license: SPDX identifier.
            score: Of the promised metric, in millionths, higher is better.
            metrics: Integers in millionths, or the counts that their names say.
            measurement: How they were measured.
            model_card: Text of the model card (Markdown); a short one is written when `None`.

        Raises:
            UsageError: There is no checkpoint yet, the directory holds something, or the checkpoint has no
                `.safetensors` file.
            VerificationError: The checkpoint's files are no longer what its manifest says.
            LlamafundError: Something cannot be read or written.
        """
        self.wait()
        if self._last is None or not self._history:
            raise UsageError("There is no checkpoint to export", "The weights are those of the last one")
        target, source, checkpoint = Path(directory), self._last.directory, self._history[-1]
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UsageError(f"{str(target)!r} holds something already", remedy="Name an empty or new directory")
        if not _is_complete(checkpoint, source):
            raise VerificationError(
                f"{str(source)!r} is no longer what the manifest {checkpoint.sha256} says",
                "Weights that nobody can trace to the training are of no use",
                "Export from an unchanged checkpoint",
            )
        names = [entry.path for entry in checkpoint.files if _is_open(entry.path)]
        if not any(name.endswith(".safetensors") for name in names):
            raise UsageError(
                f"The checkpoint after step {checkpoint.steps.last} has no .safetensors file",
                "Other formats can run code when they are loaded",
                "Save the weights with safetensors",
            )
        shards = [name for name in weight_files(names) if name != WEIGHTS]
        copied = [name for name in names if name not in shards]
        try:
            target.mkdir(parents=True, exist_ok=True)
            if shards:
                join_shards([source / name for name in shards], target / WEIGHTS)
            for name in copied:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / name, target / name)
        except OSError as error:
            raise storage_error(error, f"Writing into {str(target)!r}") from error
        names = [*copied, WEIGHTS] if shards else copied
        write_file(target / MODEL_CARD, (model_card or _card(checkpoint, license)).encode("utf-8"))
        tree = hash_tree(target, sorted({*names, MODEL_CARD}))
        manifest = WeightsManifest(
            files=tree.files,
            content=tree.content,
            parent=checkpoint.sha256,
            recipe=self.identity.recipe,
            dataset=self.identity.dataset,
            license=license,
            model_card=MODEL_CARD,
            metrics=dict(metrics or {}),
            measurement=measurement,
            parameters=_count_parameters(target, names),
            outcome_score=score,
        )
        save_manifest(target.parent / f"{target.name}.json", manifest)
        if self._store is not None:
            publish_tree(self._store, target, manifest)
        return manifest

    def _record(self, step: int, directory: Path, metrics: dict[str, int], outcome_score: int | None) -> None:
        """In the other thread: hash, write the manifest, publish."""
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
        # Last, so that a run goes on only from what was published.
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
        """The manifests of this run that are there, from the first one on, as far as each fits the one before."""
        chain: list[CheckpointManifest] = []
        parent, run = self.identity.parent, self.identity
        for path in sorted(self._manifests.glob("step-*.json")):
            manifest = load_manifest(CheckpointManifest, path)
            theirs = (manifest.recipe, manifest.dataset, manifest.seed)
            if theirs != (run.recipe, run.dataset, run.seed):
                raise UsageError(
                    f"{str(self.directory)!r} holds the evidence of another run",
                    "Recipe, dataset or seed of its manifests is another one",
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
            # What an interrupted run left half-written must not mix with what is written now.
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
    """File name of the manifest of the checkpoint after `step`."""
    return f"step-{step:08}.json"


def millionths(metrics: Mapping[str, float]) -> dict[str, int]:
    """Metrics as manifests carry them: rounded to millionths. One that is not finite becomes `<name>_diverged: 1`."""
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
    """The manifest itself, where it is at hand."""
    if isinstance(dataset, str) and _HASH.fullmatch(dataset):
        return fetch_manifest(store, dataset, DatasetManifest) if needed and store is not None else None
    path = Path(dataset)
    listings = beside(path, None if store is None else reading(store))
    return parse_as(DatasetManifest, _read(path, "dataset manifest"), read=listings)


def _require_files(manifest: DatasetManifest | None, data: Path) -> None:
    if manifest is None:
        raise UsageError(
            "The files of the dataset cannot be compared with its manifest",
            "Only its hash is given, and no store",
            "Give the manifest's file as dataset, or a store that holds it",
        )
    tree = hash_tree(data, [entry.path for entry in manifest.files])
    for entry, found in zip(manifest.files, tree.files, strict=True):
        if entry.sha256 != found.sha256:
            raise VerificationError(
                f"{entry.path!r} in {str(data)!r} has the SHA-256 {found.sha256}",
                f"The dataset manifest says {entry.sha256}",
                "Train on the dataset that backers were promised",
            )


def _is_complete(manifest: EvidenceManifest, directory: Path) -> bool:
    present = _names(directory)
    if present != {entry.path for entry in manifest.files}:
        return False
    return hash_tree(directory, sorted(present)).content == manifest.content


def _names(directory: Path) -> set[str]:
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()} - LEFT_OUT


def _make_durable(directory: Path, names: set[str]) -> None:
    """After a power failure no manifest may be there whose files are not."""
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


def _is_open(name: str) -> bool:
    path = Path(name)
    return path.suffix in _OPEN and path.name != MODEL_CARD and _STATE.search(name) is None


def _count_parameters(directory: Path, names: list[str]) -> int:
    files = (directory / name for name in names if name.endswith(".safetensors"))
    return sum(math.prod(shape) for file in files for shape in _shapes(file))


def _shapes(path: Path) -> Iterator[list[int]]:
    from safetensors import SafetensorError, safe_open

    opened: Any = safe_open
    try:
        with opened(path, framework="np") as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                yield file.get_slice(name).get_shape()
    except SafetensorError as error:
        raise VerificationError(f"{path.name} cannot be read as safetensors", str(error)) from error


def _card(checkpoint: CheckpointManifest, license: str) -> str:
    return (
        f"---\nlicense: {license.lower()}\n---\n\n# Model weights\n\n"
        "Exported from the last checkpoint of a recorded training run. Each line is the SHA-256 of a file that names "
        "everything before it.\n\n| | |\n|---|---|\n"
        f"| last checkpoint | `{checkpoint.sha256}` |\n"
        f"| recipe | `{checkpoint.recipe}` |\n"
        f"| dataset | `{checkpoint.dataset}` |\n"
        f"| training seed | `{checkpoint.seed}` |\n\n"
        f"{checkpoint.steps.last} steps. License: {license}\n"
    )
