"""`python -m dmlite`, and the command `dmlite`: one command in a process of its own."""

import gc
import sys

from dmlite.tools.cli import main


def command() -> int:
    """Run it; the exit status. Modules are no garbage, so they are rarely searched for any: neither while loaded nor in the end."""
    gc.set_threshold(50_000)
    status = main()
    gc.freeze()
    return status


if __name__ == "__main__":
    sys.exit(command())
