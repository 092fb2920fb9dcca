"""The server's end of `llamafund_trainer.process.fork_server`: imports what jobs need, and forks for each of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

from llamafund_trainer.worker import main as worker
from llamafund_trainer.worker.imports import import_libraries


def main() -> None:
    """Serve on the socket that is standard input. The arguments are the seconds to wait, and packages not to hide."""
    control = socket.socket(fileno=os.dup(0))
    _redirect(os.devnull, 0)
    # Whoever started us may not want to hear of these, but jobs end by them.
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    on_interrupt = signal.getsignal(signal.SIGINT)
    if on_interrupt is signal.default_int_handler:
        # A terminal interrupts all its processes. This one has nothing to say of it.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    words = _serve(control, float(sys.argv[1]), frozenset(sys.argv[2:]))
    if words is not None:
        signal.signal(signal.SIGINT, on_interrupt)
        sys.argv[1:] = words
        worker.main()


def _serve(control: socket.socket, idle: float, packages: frozenset[str]) -> list[str] | None:
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
            # What goes wrong from here on is told as the end of this job.
            os.dup2(log, 1)
            os.dup2(log, 2)
            import_libraries(packages)
            # Or the job would say it again.
            sys.stdout.flush()
            pid = os.fork()
            if pid == 0:
                control.close()
                os.dup2(events, 1)
                os.close(events)
                os.close(log)
                os.chdir(asked["home"])
                os.environ.update(asked["environment"], LLAMAFUND_PARENT=parent)
                return list(asked["words"])
            os.close(events)
            os.close(log)
            _redirect(os.devnull, 1, 2)
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


def _redirect(path: str, *numbers: int) -> None:
    descriptor = os.open(path, os.O_RDWR)
    for number in numbers:
        os.dup2(descriptor, number)
    os.close(descriptor)


if __name__ == "__main__":
    main()
