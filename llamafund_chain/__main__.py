"""The program `llamafund`, also as `python -m llamafund_chain`.

Nothing is imported before `main` is called, so that Ctrl-C ends the program in one line while its modules load.
"""

import signal
import sys

_INTERRUPTED = 130


def main() -> None:
    """Run the command line of this process, and end it with the exit code."""
    try:
        from llamafund_chain.cli.main import run
    except KeyboardInterrupt:
        sys.stderr.write("Error: Interrupted; nothing was sent.\n")
        sys.exit(_INTERRUPTED)
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        # A second one, while `run` tells about the first.
        code = _INTERRUPTED
    # There is nothing left to tell: another one ends the program at once.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)


if __name__ == "__main__":
    main()
