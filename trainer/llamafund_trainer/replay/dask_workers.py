"""Workers of a `dask.distributed` cluster. What dask sends is pickled, so only text is handed to it."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any

from llamafund_chain.errors import NodeUnreachableError, UsageError
from llamafund_chain.text import printable
from llamafund_trainer.replay.cluster import Reply
from llamafund_trainer.replay.handover import answer

if TYPE_CHECKING:
    from distributed import Client, Future

PATIENCE = 30.0
"""Seconds to wait for the scheduler."""

WORKER_PATIENCE = 60.0
"""Seconds to wait for a worker: for the first one, and for another one after the last has gone."""

SILENCE = 600.0
"""Seconds without an answer after which those who are left count as silent, if others' answers took much less."""

SILENCE_FACTOR = 10
"""How many times the longest wait for an answer."""

_LOOK_EVERY = 1.0
_ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}")


def serve(asked: str) -> str:
    """Answer a question. The scheduler calls this on a worker, by its name."""
    from distributed import get_worker

    return answer(asked, get_worker().contact_address)


@contextmanager
def open_cluster(address: str) -> Iterator[DaskWorkers]:
    """The workers of a cluster.

    Args:
        address: Of its scheduler: `tcp://HOST:PORT`; or `tls://HOST:PORT`, with the certificates that dask's own
            configuration names.

    Raises:
        UsageError: It is no address, dask is not installed, or knows no certificates.
        NodeUnreachableError: No scheduler answers, or it has no worker.
    """
    if not _ADDRESS.fullmatch(address):
        raise UsageError(
            f"{address[:200]!r} is not the address of a cluster",
            remedy="Write it as tcp://HOST:PORT or tls://HOST:PORT",
        )
    try:
        from distributed import Client, Security
    except ImportError:
        raise UsageError(
            "This installation cannot hand segments to a cluster",
            "dask.distributed is an extra",
            "Install it: pip install 'llamafund[cluster]'",
        ) from None
    # What it would say between the lines of a progress bar, the report says.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    arguments = Security().get_connection_args("client")
    if address.startswith("tls") and arguments.get("ssl_context") is None:
        raise UsageError(
            f"There are no certificates for {address}",
            "dask's configuration names none in distributed.comm.tls",
            "Set DASK_DISTRIBUTED__COMM__TLS__CA_FILE, …__TLS__CLIENT__CERT and …__TLS__CLIENT__KEY",
        )
    try:
        asyncio.run(_greet(address, arguments))
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ImportError) as error:
        raise NodeUnreachableError(
            f"The cluster at {address} does not answer",
            printable(str(error) or "It took too long", 300),
            "Start one with `dask scheduler`, or correct --cluster",
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=WORKER_PATIENCE)
        except TimeoutError as error:
            raise NodeUnreachableError(
                f"The cluster at {address} has no workers",
                f"None came within {WORKER_PATIENCE:.0f} seconds",
                f"Start some where llamafund is installed: dask worker {address} --nthreads 1",
            ) from error
        yield DaskWorkers(client)


async def _greet(address: str, arguments: dict[str, Any]) -> None:
    """See whether a scheduler is there: a client would wait for ever for the greeting of something else."""
    from distributed.comm import connect

    comm = await asyncio.wait_for(connect(address, timeout=PATIENCE, **arguments), PATIENCE)
    await comm.close()


@dataclass
class DaskWorkers:
    """The workers of a cluster, as `cluster.Workers`."""

    client: Client
    _longest: float | None = None
    """Seconds of the longest wait for an answer; `None` if none has come."""
    _silent: frozenset[str] = frozenset()

    def count(self) -> int:
        """How many there are now."""
        return len(self._alive())

    def ask(
        self, questions: Mapping[int, str], avoid: Mapping[int, Collection[str]], done: Callable[[int], None]
    ) -> dict[int, Reply]:
        """See `cluster.Workers.ask`. If a worker dies, another one answers; if several die of it, none does.

        Nobody can say how long a segment takes elsewhere. So one that never answers is only given up beside others.
        """
        finished: SimpleQueue[Future] = SimpleQueue()
        asked: dict[Future, tuple[int, frozenset[str]]] = {}
        for future, index, allowed in self._sent(questions, avoid):
            asked[future] = (index, allowed)
            future.add_done_callback(finished.put)
        replies: dict[int, Reply] = {}
        alone_since = None
        heard = monotonic()
        while asked:
            try:
                future = finished.get(timeout=_LOOK_EVERY)
            except Empty:
                silence = monotonic() - heard
                if self._longest is not None and silence >= max(SILENCE, SILENCE_FACTOR * self._longest):
                    self._give_up(list(asked))
                    error = f"no worker has answered for {silence / 60:.0f} minutes"
                    return replies | {index: Reply("", error=error) for index, _ in asked.values()}
                stuck = self._stuck(asked)
                alone_since = (alone_since or monotonic()) if stuck else None
                if alone_since is not None and monotonic() - alone_since >= WORKER_PATIENCE:
                    self.client.cancel(stuck)
                    for future in stuck:
                        del asked[future]
                continue
            if future not in asked:
                continue
            index, _ = asked.pop(future)
            self._longest, heard = max(self._longest or 0.0, monotonic() - heard), monotonic()
            if future.status != "cancelled":
                replies[index] = self._reply(future)
                done(index)
        return replies

    def _sent(
        self, questions: Mapping[int, str], avoid: Mapping[int, Collection[str]]
    ) -> Iterator[tuple[Future, int, frozenset[str]]]:
        """The questions that somebody may answer: its future, its number, and who may; nobody named is everybody."""
        alike: defaultdict[frozenset[str], list[int]] = defaultdict(list)
        for index in questions:
            alike[self._silent.union(avoid[index])].append(index)
        for barred, indexes in alike.items():
            allowed = self._alive() - barred if barred else frozenset()
            if barred and not allowed:
                continue
            texts = [questions[index] for index in indexes]
            # All at once, so that the scheduler shares them out.
            futures = self.client.map(serve, texts, pure=False, workers=sorted(allowed) or None)
            for future, index in zip(futures, indexes, strict=True):
                yield future, index, allowed

    def _give_up(self, asked: Sequence[Future]) -> None:
        """Expect no answer to questions, and ask their workers no more."""
        keys = {future.key for future in asked}
        with suppress(OSError):
            busy = self.client.processing().items()
            self._silent |= {worker for worker, begun in busy if not keys.isdisjoint(begun)}
        self.client.cancel(asked)

    def _stuck(self, asked: Mapping[Future, tuple[int, frozenset[str]]]) -> list[Future]:
        """The questions that nobody is there to answer."""
        alive = self._alive()
        return [future for future, (_, allowed) in asked.items() if not (alive & allowed if allowed else alive)]

    def _alive(self) -> frozenset[str]:
        if self.client.status != "running":
            return frozenset()
        try:
            return frozenset(self.client.nthreads())
        except OSError:
            return frozenset()

    def _reply(self, future: Future) -> Reply:
        try:
            if future.status == "error":
                return Reply("", error=printable(f"the worker failed: {future.exception(timeout=PATIENCE)!r}", 300))
            text = future.result(timeout=PATIENCE)
            places = self.client.who_has([future]).get(future.key, ())
        except (OSError, TimeoutError) as error:
            return Reply("", error=printable(f"its answer was lost: {error}", 300))
        if len(places) != 1 or not isinstance(text, str) or not text:
            return Reply("", error="its answer was lost")
        return Reply(places[0], text)
