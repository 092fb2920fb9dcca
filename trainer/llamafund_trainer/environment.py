"""What decides the bits of a run, pinned where it can be and recorded in full.

The settings must be in place before the numeric libraries are loaded, so training and replay run in a
process of their own that starts with `pinned_variables`.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llamafund_trainer.recipe import Recipe

_INSTRUCTION_SETS = {
    "generic": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2,STRICT"},
    "avx512": {
        "ATEN_CPU_CAPABILITY": "avx512",
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
        "MKL_CBWR": "AVX512,STRICT",
    },
}

INFORMATIVE = frozenset({"python", "system"})
"""Recorded for the reader; a difference here is no reason to expect other bits."""


def pinned_variables(recipe: Recipe) -> dict[str, str]:
    """Environment variables that fix how the numeric libraries compute."""
    threads = str(recipe.determinism.threads)
    return {
        **_INSTRUCTION_SETS[recipe.determinism.instruction_set],
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "OMP_DYNAMIC": "FALSE",
        "MKL_DYNAMIC": "FALSE",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONHASHSEED": "0",
        "TOKENIZERS_PARALLELISM": "false",
    }


def quiet_variables(home: str) -> dict[str, str]:
    """Environment variables that keep the libraries offline, silent, patient and out of the home directory.

    Args:
        home: Directory that stands in for it.
    """
    return {
        "HOME": home,
        # Threads that wait by spinning starve each other where cores are shared; the results are the same.
        "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HOME": str(Path(home) / "huggingface"),
        "XDG_CACHE_HOME": str(Path(home) / "cache"),
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
        "PYTHONWARNINGS": "ignore",
    }


def apply_settings(recipe: Recipe) -> None:
    """Set what torch only takes from inside the process."""
    import torch

    torch.set_num_threads(recipe.determinism.threads)
    torch.set_flush_denormal(False)
    torch.set_float32_matmul_precision("highest")
    torch.use_deterministic_algorithms(True)


def recorded_environment(recipe: Recipe) -> dict[str, str]:
    """What a checkpoint manifest says about where it was made. Call it where the training runs."""
    import accelerate
    import numpy
    import safetensors
    import tokenizers
    import torch
    import transformers

    record = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "torch_build": hashlib.sha256(torch.__config__.show().encode()).hexdigest(),
        "transformers": transformers.__version__,
        "accelerate": accelerate.__version__,
        "tokenizers": tokenizers.__version__,
        "safetensors": safetensors.__version__,
        "numpy": numpy.__version__,
        "device": "cpu",
        "dtype": "float32",
        "attention": "eager",
        "processes": "1",
        "threads": str(torch.get_num_threads()),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "deterministic_algorithms": str(torch.are_deterministic_algorithms_enabled()).lower(),
    }
    for name in sorted(pinned_variables(recipe)):
        if name != "CUDA_VISIBLE_DEVICES":
            record[name] = os.environ.get(name, "")
    return record


def differing_settings(then: Mapping[str, str], now: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Settings that may explain other bits: name to (then, now), with an empty text for what was not recorded."""
    names = sorted({*then, *now} - INFORMATIVE)
    return {name: (then.get(name, ""), now.get(name, "")) for name in names if then.get(name) != now.get(name)}


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key.strip() == "model name":
                    return value.strip()[:200]
    except OSError:
        return platform.processor()
    return platform.processor()
