"""A store that fails once, in every way in which servers, disks and machines do."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from llamafund_chain.errors import LlamafundError, NodeUnreachableError, WrongAnswerError
from llamafund_chain.store import Store
from llamafund_chain.store.base import MissingContentError, RefusedError

FAULTS = {
    "no answer": NodeUnreachableError("http://gateway.example does not answer"),
    "busy": NodeUnreachableError("http://gateway.example refuses for now (HTTP 503)"),
    "other bytes": WrongAnswerError("http://gateway.example sent other bytes"),
    "nowhere": MissingContentError("Nothing has it"),
    "no access": RefusedError("http://gateway.example refuses (HTTP 403)"),
    "killed worker": LlamafundError("The worker was killed"),
    "full disk": OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    "no more files": OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
    "silence": TimeoutError("timed out"),
    "memory": MemoryError(),
}


class StoreWithAFault:
    """A store that raises an error the n-th time that it is asked."""

    def __init__(self, store: Store, fault: Exception, asked: int) -> None:
        self._fault, self.left = fault, asked
        # Attributes, as from Python 3.12 on a `__getattr__` makes nothing a `Store`.
        for name in dir(store):
            if not name.startswith("_"):
                found = getattr(store, name)
                setattr(self, name, self._wrapped(found) if name in {"read", "fetch", "stream"} else found)

    def _wrapped(self, method: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            self.left -= 1
            if self.left == 0:
                raise self._fault
            return method(*args, **kwargs)

        return call
