"""The processes of one training, on one machine or several: the first one keeps the evidence, and all of them know it.

They talk through a group of their own, on the CPU: hashing a checkpoint may take longer than a training's own processes
wait for one another.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from llamafund_chain.errors import LlamafundError, UsageError, VerificationError
from llamafund_trainer.record.files import recorded_names

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds until what one process wrote must be seen by all: file systems of a network take a moment."""

_LONGEST = timedelta(days=7)
"""That a process waits for another one. Whoever started them ends them all when one fails."""

_PAUSE = 0.2


class Processes:
    """The processes that train together.

    Every method but `first` must be called by all of them, in the same order.

    Args:
        together: Whether there may be several. If not, this process is alone, whatever others there are.
    """

    def __init__(self, *, together: bool = True) -> None:
        self._together = together
        self._group: Any = None

    @property
    def first(self) -> bool:
        """Whether this process is the first one."""
        return self._rank == 0

    def first_does(self, work: Callable[[], T]) -> T:
        """Let the first process do something, and return its result in all of them.

        Raises:
            LlamafundError: It failed, in all of them.
        """
        if self._count == 1:
            return work()
        told: list[Any] = [None]
        if self.first:
            try:
                told = [(work(), None)]
            except Exception as error:
                self._broadcast([(None, _portable(error))])
                raise
        told = self._broadcast(told)
        result, problem = told[0]
        if problem is not None:
            raise problem
        return result  # type: ignore[no-any-return]

    def all_do(self, work: Callable[[], object]) -> None:
        """Let every process do its part of something, and wait until all have.

        Raises:
            LlamafundError: One of them failed, in all of them.
        """
        if self._count == 1:
            work()
            return
        try:
            work()
        except Exception as error:
            self._gather(_portable(error))
            raise
        for problem in filter(None, self._gather(None)):
            raise problem

    def require_same_files(self, directory: Path) -> None:
        """Wait until every process has written its files in a directory, and all see the same.

        Raises:
            UsageError: They do not, so they have no file system in common.
        """
        if self._count == 1:
            return
        self._gather(None)
        deadline = time.monotonic() + PATIENCE
        while True:
            seen = {name: (directory / name).stat().st_size for name in recorded_names(directory)}
            digest = hashlib.sha256(repr(sorted(seen.items())).encode()).hexdigest()
            told = self._gather((digest, time.monotonic() > deadline))
            if len({each for each, _ in told}) == 1:
                return
            if any(late for _, late in told):
                break
            time.sleep(_PAUSE)
        theirs: dict[str, int] = self._broadcast([seen])[0]
        odd = sorted(name for name in seen | theirs if seen.get(name) != theirs.get(name))
        self._refuse_apart(directory, ", ".join(map(repr, odd[:3])) + (" and more" if len(odd) > 3 else ""))

    def require_same(self, value: object, problem: str) -> None:
        """Refuse processes that do not all have the same value.

        Args:
            value: Its representation must follow from what it is.
            problem: A sentence for whom they are refused.

        Raises:
            UsageError: They do not.
        """
        if self._count > 1 and len(set(self._gather(repr(value)))) > 1:
            raise UsageError(problem, remedy="Start all of them with the same options, from the same state")

    def require_shared(self, directory: Path) -> None:
        """Refuse an existing directory of the first process that is not the same one for all of them.

        Raises:
            UsageError: It is not.
        """
        if self._count == 1:
            return
        mark = directory / self.first_does(lambda: f".seen-by-all-{uuid4().hex}")
        self.first_does(lambda: mark.write_bytes(b""))
        try:
            deadline = time.monotonic() + PATIENCE
            while True:
                told = self._gather((mark.exists(), time.monotonic() > deadline))
                if all(seen for seen, _ in told):
                    return
                if any(late for _, late in told):
                    break
                time.sleep(_PAUSE)
            self._refuse_apart(directory, "" if mark.exists() else "what the first process wrote there")
        finally:
            if self.first:
                mark.unlink(missing_ok=True)

    def _refuse_apart(self, directory: Path, other: str) -> None:
        """Name a process that sees something else than the first one."""
        told = self._gather((socket.gethostname(), str(directory.absolute()), other))
        rank, (host, place, odd) = next((rank, each) for rank, each in enumerate(told) if each[2])
        raise UsageError(
            f"Process {rank} on {host} does not see in {place!r} what the first process on {told[0][0]} sees in "
            f"{told[0][1]!r}: {odd}",
            "Only the first process writes evidence, and it must name the files of all",
            "Give every process the same directory, on a file system that all machines share",
        )

    @property
    def _rank(self) -> int:
        return self._asked("get_rank", 0)

    @property
    def _count(self) -> int:
        return self._asked("get_world_size", 1)

    def _asked(self, name: str, alone: int) -> int:
        if not self._together:
            return alone
        from torch import distributed

        if distributed.is_available() and distributed.is_initialized():
            return int(getattr(distributed, name)())
        if os.environ.get("WORLD_SIZE", "1") != "1":
            raise UsageError(
                "The processes of this training do not know one another",
                f"The environment says that there are {os.environ['WORLD_SIZE']}, but torch.distributed has not begun, "
                "or has ended",
                "Record between init_process_group() and destroy_process_group()",
            )
        return alone

    def _own_group(self) -> Any:
        from torch import distributed

        if self._group is None:
            self._group = distributed.new_group(backend="gloo", timeout=_LONGEST)
        return self._group

    def _broadcast(self, values: list[Any]) -> list[Any]:
        from torch import distributed

        distributed.broadcast_object_list(values, src=0, group=self._own_group())
        return values

    def _gather(self, value: Any) -> list[Any]:
        from torch import distributed

        values: list[Any] = [None] * self._count
        distributed.all_gather_object(values, value, group=self._own_group())
        return values


def _portable(error: Exception) -> LlamafundError:
    """An error that another process can raise."""
    if isinstance(error, LlamafundError):
        kind = type(error) if type(error) in (UsageError, VerificationError) else LlamafundError
        return kind(error.what, error.why, error.remedy)
    return LlamafundError(f"Another process failed with {type(error).__name__}: {error}")
