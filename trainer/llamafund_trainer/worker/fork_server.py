"""The server's end of `llamafund_trainer.process.fork_server`: imports what jobs need, and forks for each of them."""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import sys

from llamafund_trainer.worker.imports import UNUSED, leave_out, read_models_once

_NEEDED = ("loop",)
"""Modules that import all that jobs use."""


def main() -> None:
    """Serve on the socket that is standard input. The arguments are the seconds to wait, and packages not to hide."""
    control = socket.socket(fileno=os.dup(0))
    _open(os.devnull, 0)
    # A terminal interrupts all its processes. This one has nothing to say of it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    words = _serve(control, float(sys.argv[1]), sys.argv[2:])
    if words is not None:
        from llamafund_trainer.worker.main import main

        sys.argv[1:] = words
        main()


def _serve(control: socket.socket, idle: float, packages: list[str]) -> list[str] | None:
    """Answer requests.

    Returns:
        In the server: `None`, at its end. In a process that it has forked: its arguments.
    """
    parent = str(os.getpid())
    started = 0
    running: dict[int, int] = {}
    while True:
        control.settimeout(None if running else idle)
        try:
            message, descriptors, _, _ = socket.recv_fds(control, 1 << 20, 2)
        except TimeoutError:
            return None
        if not message:
            # The system tells the running ones when this one has ended.
            return None
        asked = json.loads(message)
        if asked["do"] == "fork":
            # Before the imports, so that servers for several environments can do them at the same time.
            control.send(str(started).encode())
            events, log = descriptors
            if not started:
                os.dup2(log, 2)
                _import(packages)
                _open(os.devnull, 2)
            pid = os.fork()
            if pid == 0:
                control.close()
                signal.signal(signal.SIGINT, signal.default_int_handler)
                os.dup2(events, 1)
                os.dup2(log, 2)
                os.close(events)
                os.close(log)
                os.chdir(asked["home"])
                os.environ.update(asked["environment"], LLAMAFUND_PARENT=parent)
                return list(asked["words"])
            os.close(events)
            os.close(log)
            running[started] = pid
            started += 1
            continue
        if asked["do"] == "kill":
            answer = 0
            os.kill(running[asked["number"]], signal.SIGKILL)
        else:
            _, status = os.waitpid(running.pop(asked["number"]), 0)
            answer = os.waitstatus_to_exitcode(status)
        control.send(str(answer).encode())


def _import(packages: list[str]) -> None:
    leave_out(UNUSED - set(packages))
    read_models_once()
    for module in _NEEDED:
        importlib.import_module(f"llamafund_trainer.worker.{module}")
    # A collection writes to all objects, and so would make copies of their memory.
    gc.collect()
    gc.freeze()


def _open(path: str, number: int) -> None:
    descriptor = os.open(path, os.O_RDWR)
    os.dup2(descriptor, number)
    os.close(descriptor)


if __name__ == "__main__":
    main()
