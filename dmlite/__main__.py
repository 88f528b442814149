"""`python -m dmlite` is the command `dmlite`."""

import sys

from dmlite.tools.cli import main

sys.exit(main())
