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
