"""Tests run with every check of the compiler on: a failing rewrite rule raises, and every rewritten block is verified."""

import os

os.environ.setdefault("DMLITE_VERIFY", "1")
