"""The process that compiles the kernels that stand in files, and leaves them on the disk; it says what went wrong, if anything did.

It goes on when the program that asked for it ends, so that the next one finds them, which may be as short.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dmlite.backends.local import compiled
from dmlite.backends.local.jit.compiler import PATIENCE, alone


def main(folder: Path) -> None:
    if hasattr(os, "nice"):
        os.nice(PATIENCE)
    with alone(folder / compiled.COMPLETE):
        if not (folder / compiled.COMPLETE).exists():
            compiled.imported(folder)
            (folder / compiled.COMPLETE).touch()


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
        sys.exit(1)
