"""Processes that have imported what jobs need, and fork for each job: importing takes longer than most jobs.

The fork server of `multiprocessing` has the environment of this process. Here a recipe decides the environment, so each
environment has a server. It ends when nobody has asked it for a while, and when this process ends.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from llamafund_trainer.record.environment import quiet_variables

IDLE = 60
"""Seconds after which a server without a job ends."""


@dataclass
class ForkedProcess:
    """A process that a server has forked: as much of `subprocess.Popen` as a reader of events needs.

    Attributes:
        stdout: The events.
        returncode: As `wait` returns it; `None` before.
    """

    stdout: IO[bytes]
    _server: _Server
    _number: int
    returncode: int | None = None

    def kill(self) -> None:
        """End it now, or as soon as its server has done the imports."""
        if self.returncode is None:
            self._ask("kill")

    def wait(self) -> int:
        """Wait for its end.

        Returns:
            Its exit code, or the negative number of the signal that ended it.
        """
        if self.returncode is None:
            self.returncode = self._ask("wait")
        return self.returncode

    def _ask(self, what: str) -> int:
        try:
            return self._server.ask({"do": what, "number": self._number})
        except EOFError:
            self.returncode = self._server.end()
            # The system ends it then. Nobody else writes there.
            while self.stdout.read(1 << 16):
                pass
            return self.returncode


def fork_process(
    words: Sequence[str], environment: Mapping[str, str], *, home: str, log: int, packages: Sequence[str] = ()
) -> ForkedProcess | None:
    """Start a training process as a copy of one that has imported everything.

    Args:
        words: Its arguments.
        environment: Its environment variables, without those of `quiet_variables`.
        home: Directory where it starts.
        log: File descriptor for its standard error.
        packages: What the job needs, of the packages that jobs usually do not need.

    Returns:
        The process, which begins as soon as the imports are done; `None` if no server can be started.
    """
    key = (os.getpid(), *sorted(environment.items()), *packages)
    asked = {"do": "fork", "words": list(words), "home": home, "environment": quiet_variables(home)}
    for _ in range(2):
        try:
            server = _server(key, environment, packages)
        except OSError:
            return None
        events, theirs = os.pipe()
        try:
            number = server.ask(asked, theirs, log)
        except EOFError:
            # It has waited for too long.
            server.end()
            os.close(events)
        except BaseException:
            os.close(events)
            raise
        else:
            return ForkedProcess(os.fdopen(events, "rb", buffering=0), server, number)
        finally:
            os.close(theirs)
    return None


def _server(key: tuple[object, ...], environment: Mapping[str, str], packages: Sequence[str]) -> _Server:
    with _turn:
        for ended in [each for each, server in _servers.items() if server.has_ended()]:
            del _servers[ended]
        if key not in _servers:
            _servers[key] = _Server(environment, packages)
        return _servers[key]


class _Server:
    """Our end of a server. Its processes do not outlive it."""

    def __init__(self, environment: Mapping[str, str], packages: Sequence[str]) -> None:
        self._turn = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                [sys.executable, "-P", "-m", "llamafund_trainer.worker.fork_server", str(IDLE), *packages],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Nothing can be written below this home.
                env={**environment, **quiet_variables(os.devnull)},
                cwd="/",
            )

    def ask(self, request: Mapping[str, object], *descriptors: int) -> int:
        """Ask for something.

        Raises:
            EOFError: The server has ended.
        """
        with self._turn:
            try:
                socket.send_fds(self._socket, [json.dumps(request).encode()], descriptors)
                answer = self._socket.recv(64)
            except OSError as error:
                raise EOFError from error
            except BaseException:
                # The answer would be taken for that to the next request.
                self._socket.close()
                raise
        if not answer:
            raise EOFError
        return int(answer)

    def has_ended(self) -> bool:
        """Whether it answers no more."""
        return self._socket.fileno() < 0 or self._process.poll() is not None

    def end(self) -> int:
        """End it, and with it all processes that it has forked.

        Returns:
            As `ForkedProcess.wait`.
        """
        self._socket.close()
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(1)
        self._process.kill()
        return self._process.wait()


_servers: dict[tuple[object, ...], _Server] = {}
_turn = threading.Lock()
