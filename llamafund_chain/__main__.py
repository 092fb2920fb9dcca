"""The program `llamafund`, also as `python -m llamafund_chain`.

Nothing is loaded before `main` is called, so that Ctrl-C ends the program in one line while its modules load. Only
Python's own start, before our first line, cannot be caught.
"""

import sys

_INTERRUPTED = 130


def main() -> None:
    """Run the command line of this process, and end it with the exit code."""
    try:
        import signal

        # A shell lets a program in the background ignore Ctrl-C.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _end)
    except KeyboardInterrupt:
        _end()
    from llamafund_chain.cli.main import run

    try:
        code = run(sys.argv[1:], when_loaded=_catch)
    except KeyboardInterrupt:
        # A second one, just before or after `run` tells about the first.
        code = _INTERRUPTED
    # There is nothing left to tell: another one ends the program at once.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # After an interruption inside of `exec`, as `dataclass` calls it, CPython ends `python -m` by the signal although
    # the interruption was caught. It forgets it at the next `exec`.
    exec("")  # noqa: S102 - nothing is executed
    sys.exit(code)


def _end(*_: object) -> None:
    """Interrupted while modules load. There is nothing to clean up yet, and an exception might be lost.

    Python drops one inside of a finalizer. Around `__set_name__`, or in pydantic's core, it becomes another error.
    """
    import os
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.write(2, b"Error: Interrupted; nothing was done yet.\n")
    os._exit(_INTERRUPTED)


def _catch() -> None:
    """Let an interruption be an exception again: the command may have something to clean up."""
    import signal

    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


if __name__ == "__main__":
    main()
