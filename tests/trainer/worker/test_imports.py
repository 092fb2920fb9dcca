"""What transformers does when a job imports it."""

from __future__ import annotations

import subprocess
import sys


def test_what_transformers_has_read_of_its_models_it_does_not_read_again() -> None:
    program = """
from llamafund_trainer.worker.imports import read_models_once
read_models_once()
import transformers
from transformers.utils.import_utils import create_import_structure_from_path as read
before = read.cache_info().misses
import transformers.models
print(before > 128, read.cache_info().misses - before < 10)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "True True\n", done.stderr


def test_jobs_load_what_they_use_and_nothing_else_and_leave_it_to_no_collection() -> None:
    program = """
import gc, sys
from llamafund_trainer.worker.imports import UNUSED, import_libraries
import_libraries(frozenset())
print(gc.isenabled(), gc.get_freeze_count() > 100_000, sorted(UNUSED & set(sys.modules)), "torch" in sys.modules)
before = gc.get_freeze_count()
gc.collect()
import_libraries(frozenset())
print(gc.get_freeze_count() == before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "True True [] True\nTrue\n", done.stderr
