"""Pauses: the state of a run that was told to stop between two checkpoints.

A pause is not evidence and has no manifest, so a paused run leads to the same evidence as any other. It is only used if
its files are complete and it follows the run's last published checkpoint.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from llamafund_chain.errors import LlamafundError
from llamafund_chain.evidence.hashing import hash_tree
from llamafund_chain.evidence.manifests import HexHash
from llamafund_chain.files import write_file

_RECORD = "pause.json"


class PauseRecord(BaseModel):
    """The content of `pause.json`.

    Attributes:
        step: Optimizer steps done.
        after: SHA-256 of the manifest of the checkpoint before.
        losses: For each process, the sum of the losses since the last log, as `float.hex`.
        logged: Step of the last log.
        content: Merkle root of the state's files.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    step: int
    after: HexHash
    losses: tuple[str, ...]
    logged: int
    content: HexHash


@dataclass(frozen=True)
class Pause:
    """A pause that a run can continue from.

    Attributes:
        record: The content of `pause.json`.
        state: Directory with the state's files, from which the Trainer resumes.
    """

    record: PauseRecord
    state: Path


def write_pause(
    directory: Path, save: Callable[[Path], Path], *, step: int, after: str, losses: Sequence[float], logged: int
) -> None:
    """Write a pause. It gets its name only once it is complete.

    Args:
        directory: Where the pause goes; replaced if it exists.
        save: Writes the state below the directory it is given, and returns where.
        step: As in `PauseRecord`.
        after: As in `PauseRecord`.
        losses: As in `PauseRecord`, but as numbers.
        logged: As in `PauseRecord`.

    Raises:
        LlamafundError: The disk is full or fails.
    """
    unfinished = unfinished_pause(directory)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    state = save(unfinished)
    record = PauseRecord(
        step=step,
        after=after,
        losses=tuple(each.hex() for each in losses),
        logged=logged,
        content=hash_tree(state).content.root,
    )
    write_file(unfinished / _RECORD, record.model_dump_json().encode())
    shutil.rmtree(directory, ignore_errors=True)
    unfinished.rename(directory)


def unfinished_pause(directory: Path) -> Path:
    """Where a pause is until it is complete."""
    return directory.with_name(f".{directory.name}.part")


def remove_outdated_pause(directory: Path, after: str, step: int) -> None:
    """Remove a pause that the run's last checkpoint has overtaken.

    A pause that follows it stays: the training may have been stopped before that checkpoint was published, or before
    later ones were.

    Args:
        directory: As in `write_pause`.
        after: SHA-256 of the manifest of the run's last checkpoint.
        step: Of that checkpoint.
    """
    record = _read(directory)
    if record is None or (record.after != after and record.step <= step):
        shutil.rmtree(directory, ignore_errors=True)


def find_pause(directory: Path, after: str) -> Pause | None:
    """The pause in a directory, if it is complete and follows a checkpoint.

    Args:
        directory: As in `write_pause`.
        after: SHA-256 of the manifest of the run's last checkpoint.
    """
    record = _read(directory)
    if record is None or record.after != after:
        return None
    state = directory / f"checkpoint-{record.step}"
    try:
        found = hash_tree(state).content.root
    except LlamafundError:
        return None  # The run can still continue from the checkpoint before.
    return Pause(record, state) if found == record.content else None


def _read(directory: Path) -> PauseRecord | None:
    try:
        return PauseRecord.model_validate_json((directory / _RECORD).read_bytes())
    except (OSError, ValidationError):
        return None
