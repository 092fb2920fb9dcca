"""The process in which `test_dry_run.py` measures what training really takes."""

from __future__ import annotations

import ctypes
import gc
import json
import sys
from pathlib import Path

from llamafund_chain.evidence.manifests import DatasetManifest, load_manifest
from llamafund_trainer.recipe import load_recipe
from llamafund_trainer.record.environment import apply_settings
from llamafund_trainer.worker.corpus import load_corpus
from llamafund_trainer.worker.costs import count_costs
from llamafund_trainer.worker.loop import replay_segment


def status(name: str) -> int:
    """A line of the kernel's about this process, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024


def main() -> None:
    """Train two steps of each recipe, and print what was counted and the most memory that was used."""
    data, dataset, output = (Path(word) for word in sys.argv[1:4])
    found: list[list[int]] = []
    for number, path in enumerate([sys.argv[4], *sys.argv[4:]]):
        recipe = load_recipe(Path(path)).recipe
        apply_settings(recipe)
        counted = count_costs(recipe)
        corpus = load_corpus(recipe, data, load_manifest(DatasetManifest, dataset))
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        before = status("VmRSS")
        replay_segment(recipe, corpus, "5a" * 32, None, 0, 2, output / str(number), lambda *_: None)
        # The first time, libraries take memory, too.
        if number:
            found.append([counted.model_bytes + counted.activation_bytes, status("VmHWM") - before])
    (output / "found.json").write_text(json.dumps(found), encoding="ascii")


main()
