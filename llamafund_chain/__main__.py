"""Makes `python -m llamafund_chain` the same program as `llamafund`."""

import sys

from llamafund_chain.cli.main import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
