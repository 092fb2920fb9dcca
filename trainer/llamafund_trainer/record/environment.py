"""What decides the bits of a run: pinned as far as possible, and recorded in full.

The settings must be in place before the numeric libraries are loaded. So training and replay run in a separate process
that starts with `pinned_variables`.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llamafund_chain.errors import UsageError

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

_LIBRARIES = ("transformers", "accelerate", "tokenizers", "safetensors", "peft", "trl", "lightning")
"""Libraries whose version is recorded if they are loaded."""

_DECIDING_VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "CUBLAS_WORKSPACE_CONFIG",
    "MKL_CBWR",
    "MKL_DYNAMIC",
    "MKL_NUM_THREADS",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_DYNAMIC",
    "OMP_NUM_THREADS",
    "ONEDNN_MAX_CPU_ISA",
    "PYTHONHASHSEED",
)
"""Environment variables that numeric libraries read."""

INFORMATIVE = frozenset({"python", "system"})
"""Settings recorded for the reader. A difference in them is no reason to expect different bits."""


def pinned_variables(recipe: Recipe) -> dict[str, str]:
    """Environment variables that decide how the numeric libraries compute."""
    threads = str(recipe.determinism.threads)
    devices = {"CUDA_VISIBLE_DEVICES": ""} if recipe.determinism.device == "cpu" else {}
    return {
        **_INSTRUCTION_SETS[recipe.determinism.instruction_set],
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "OMP_DYNAMIC": "FALSE",
        "MKL_DYNAMIC": "FALSE",
        **devices,
        "PYTHONHASHSEED": "0",
        "TOKENIZERS_PARALLELISM": "false",
    }


def visible_devices(recipe: Recipe, surroundings: Mapping[str, str]) -> dict[str, str]:
    """Environment variables that show the training one CUDA device per process, and no others.

    If it saw more, a single process would split batches among them, and would save the state of all their random
    generators.

    Args:
        recipe: The recipe, which says how many.
        surroundings: This process's environment variables. If they name devices, the first ones are taken.

    Raises:
        UsageError: They name fewer devices than the recipe needs.
    """
    if recipe.determinism.device != "cuda":
        return {}
    wanted = recipe.determinism.processes
    named = surroundings.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return {"CUDA_VISIBLE_DEVICES": ",".join(map(str, range(wanted)))}
    # CUDA stops reading at the first entry that is not a device.
    entries = (entry.strip() for entry in named.split(","))
    devices = list(takewhile(lambda entry: entry and not entry.startswith("-"), entries))
    if len(devices) < wanted:
        raise UsageError(
            f"The recipe takes {wanted} CUDA device{'s' if wanted > 1 else ''}, but CUDA_VISIBLE_DEVICES names "
            f"{len(devices) or 'none'}",
            "Each process takes one",
            "Name more devices, or unset the variable",
        )
    return {"CUDA_VISIBLE_DEVICES": ",".join(devices[:wanted])}


def quiet_variables(home: str) -> dict[str, str]:
    """Environment variables that keep the libraries offline, quiet and out of the home directory.

    Args:
        home: Directory to use in its place.
    """
    return {
        "HOME": home,
        # Threads that spin while they wait slow each other down on shared cores. The results are the same.
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
    """Set what torch can only be told inside the process."""
    import torch

    torch.set_num_threads(recipe.determinism.threads)
    torch.set_flush_denormal(False)
    torch.set_float32_matmul_precision("highest")
    torch.use_deterministic_algorithms(True)


def recipe_settings(recipe: Recipe) -> dict[str, str]:
    """Settings that the reference trainer decides itself, from the recipe or always the same."""
    return {
        "device": recipe.determinism.device,
        "sharding": recipe.determinism.sharding,
        "dtype": recipe.precision.dtype,
        "attention": "eager",
    }


def recorded_environment(recipe: Recipe) -> dict[str, str]:
    """What a checkpoint manifest of the reference trainer records about the environment.

    Call it in the training process, after the Trainer has made its settings.
    """
    return {
        **observed_environment(),
        **recipe_settings(recipe),
        **(_about_gpu() if recipe.determinism.device == "cuda" else {}),
        **{name: os.environ.get(name, "") for name in pinned_variables(recipe) if name != "CUDA_VISIBLE_DEVICES"},
    }


def observed_environment(model: Any = None) -> dict[str, str]:
    """What can be observed in this process of everything that decides the bits.

    Args:
        model: The model that is trained. Without it, the type and device of its parameters and its attention are not
            recorded.
    """
    import numpy
    import torch

    record = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "torch_build": hashlib.sha256(torch.__config__.show().encode()).hexdigest(),
        "numpy": numpy.__version__,
        "device": "cpu",
        "processes": str(_processes()),
        "threads": str(torch.get_num_threads()),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "deterministic_algorithms": str(torch.are_deterministic_algorithms_enabled()).lower(),
    }
    for name in _LIBRARIES:
        version = getattr(sys.modules.get(name), "__version__", None)
        if version is not None:
            record[name] = str(version)
    for name in _DECIDING_VARIABLES:
        if name in os.environ:
            record[name] = os.environ[name]
    if model is not None:
        record |= _about(model)
    return record


def _about(model: Any) -> dict[str, str]:
    parameters = list(model.parameters())
    device = parameters[0].device if parameters else None
    record = {
        "dtype": ",".join(sorted({str(parameter.dtype).removeprefix("torch.") for parameter in parameters})),
        "device": "cpu" if device is None else device.type,
    }
    attention = getattr(getattr(model, "config", None), "_attn_implementation", None)
    if attention is not None:
        record["attention"] = str(attention)
    return {**record, **(_about_gpu() if device is not None and device.type == "cuda" else {})}


def _about_gpu() -> dict[str, str]:
    import torch

    cuda: Any = torch.backends.cuda
    cudnn: Any = torch.backends.cudnn
    return {
        "gpus": str(torch.cuda.device_count()),
        "gpu": torch.cuda.get_device_name(),
        "gpu_capability": ".".join(map(str, torch.cuda.get_device_capability())),
        "cuda": str(torch.version.cuda),
        "cudnn": str(cudnn.version()),
        "cudnn_benchmark": str(cudnn.benchmark).lower(),
        "tf32": str(cuda.matmul.allow_tf32).lower(),
        "flash_attention": str(cuda.flash_sdp_enabled()).lower(),
    }


def _processes() -> int:
    from torch import distributed

    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def differing_settings(then: Mapping[str, str], now: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Settings that may explain different bits: name to (then, now), with an empty string if there is no record.

    A setting that is not recorded now explains nothing, because anyone can invent a setting.
    """
    names = sorted(now.keys() - INFORMATIVE)
    return {name: (then.get(name, ""), now[name]) for name in names if then.get(name) != now[name]}


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
