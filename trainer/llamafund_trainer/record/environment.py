"""What decides the bits of a run: pinned as far as possible, and recorded in full.

The settings must be in place before the numeric libraries are loaded. So training and replay run in a separate process
that starts with `pinned_variables`.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import sys
from collections.abc import Mapping
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llamafund_chain.errors import UsageError
from llamafund_chain.samples.machine import library_versions, processor_class, processor_name

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

LIBRARIES = ("transformers", "accelerate", "tokenizers", "safetensors", "peft", "trl", "lightning")
"""Libraries whose version is recorded if they are loaded."""

DECIDING_VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "CUBLAS_WORKSPACE_CONFIG",
    "FLASH_ATTENTION_DETERMINISTIC",
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

_DECIDING_PREFIXES = ("NCCL_", "TORCHINDUCTOR_")
"""Beginnings of further ones."""

_NCCL_PLACES = frozenset(
    {
        "NCCL_COMM_ID",
        "NCCL_DEBUG",
        "NCCL_DEBUG_FILE",
        "NCCL_DEBUG_SUBSYS",
        "NCCL_HOSTID",
        "NCCL_IB_HCA",
        "NCCL_SOCKET_IFNAME",
    }
)
"""They name this machine's addresses and files, or say what is logged, and are not recorded."""

OF_PROGRAMS = (
    "machine",
    "processor_class",
    "cpu_capability",
    "torch_build",
    "gpu",
    "gpu_capability",
    "cuda",
    "cudnn",
    "cublas",
    "driver",
)
"""Settings that the recipe of a program names."""

_KERNELS = ("cudnn", "flash", "math", "mem_efficient")
"""What torch may compute attention with on a GPU."""

_SHOWN = 300
"""Characters of a setting that a message shows, because strangers write them."""

INFORMATIVE = frozenset({"python", "system"})
"""Settings recorded for the reader. A difference in them is no reason to expect different bits."""


def pinned_variables(recipe: Recipe) -> dict[str, str]:
    """Environment variables that decide how the numeric libraries compute."""
    threads = str(recipe.determinism.threads)
    on_cpu = recipe.determinism.device == "cpu"
    devices = {"CUDA_VISIBLE_DEVICES": ""} if on_cpu else {"FLASH_ATTENTION_DETERMINISTIC": "1"}
    return {
        **_INSTRUCTION_SETS[recipe.determinism.instruction_set],
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "OMP_DYNAMIC": "FALSE",
        "MKL_DYNAMIC": "FALSE",
        **devices,
        **(_nccl_variables(recipe) if recipe.uses_nccl else {}),
        "PYTHONHASHSEED": "0",
        "TOKENIZERS_PARALLELISM": "false",
    }


def _nccl_variables(recipe: Recipe) -> dict[str, str]:
    # Left alone, NCCL chooses by the size of the message, the topology and its version.
    algorithm = recipe.determinism.nccl_algorithm
    return {
        "NCCL_ALGO": algorithm if algorithm == "Ring" else "ring;allreduce:tree",
        "NCCL_PROTO": recipe.determinism.nccl_protocol,
        # Switches that add up in the network do so in an order of their own.
        "NCCL_NVLS_ENABLE": "0",
        "NCCL_COLLNET_ENABLE": "0",
    }


def passed_on_variables(recipe: Recipe, surroundings: Mapping[str, str]) -> dict[str, str]:
    """What the user says of the network between GPUs. What decides the bits is recorded."""
    if not recipe.uses_nccl:
        return {}
    return {name: value for name, value in surroundings.items() if name.startswith("NCCL_")}


def visible_devices(
    recipe: Recipe, surroundings: Mapping[str, str], place: int = 0, processes: int | None = None
) -> dict[str, str]:
    """Environment variables that show the training one CUDA device per process, and no others.

    If it saw more, a single process would split batches among them, and would save the state of all their random
    generators.

    Args:
        recipe: The recipe, which says how many.
        surroundings: This process's environment variables. If they name devices, the first ones are taken.
        place: How many other trainings run beside this one on the devices before its own.
        processes: How many of the recipe's processes are on this machine; all when `None`.

    Raises:
        UsageError: They name fewer devices than that.
    """
    if recipe.determinism.device != "cuda":
        return {}
    wanted = recipe.determinism.processes if processes is None else processes
    first, last = place * wanted, (place + 1) * wanted
    named = surroundings.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return {"CUDA_VISIBLE_DEVICES": ",".join(map(str, range(first, last)))}
    # CUDA stops reading at the first entry that is not a device.
    entries = (entry.strip() for entry in named.split(","))
    devices = list(takewhile(lambda entry: entry and not entry.startswith("-"), entries))
    if len(devices) < last:
        beside = f" for each of {place + 1} trainings at the same time" if place else ""
        raise UsageError(
            f"The recipe takes {wanted} CUDA device{'s' if wanted > 1 else ''}{beside}, but CUDA_VISIBLE_DEVICES names "
            f"{len(devices) or 'none'}",
            "Each process takes one",
            "Name more devices, or unset the variable",
        )
    return {"CUDA_VISIBLE_DEVICES": ",".join(devices[first:last])}


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
    # Of the kernels for attention these have no deterministic gradient, or none that torch promises.
    torch.backends.cuda.enable_cudnn_sdp(False)
    torch.backends.cuda.enable_mem_efficient_sdp(False)


def recipe_settings(recipe: Recipe) -> dict[str, str]:
    """Settings that the reference trainer decides itself, from the recipe or always the same."""
    return {
        "device": recipe.determinism.device,
        "sharding": recipe.determinism.sharding,
        "dtype": recipe.precision.dtype,
        "attention": recipe.determinism.attention,
    }


def recorded_environment(recipe: Recipe) -> dict[str, str]:
    """What a checkpoint manifest of the reference trainer records about the environment.

    Call it in the training process, after the Trainer has made its settings.
    """
    return {
        **observed_environment(),
        **recipe_settings(recipe),
        **(_about_gpus() if recipe.determinism.device == "cuda" else {}),
        **({"nccl": _nccl_version()} if recipe.uses_nccl else {}),
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
        "processor": processor_name(),
        "processor_class": processor_class(),
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
    for name in LIBRARIES:
        version = getattr(sys.modules.get(name), "__version__", None)
        if version is not None:
            record[name] = str(version)
    record |= {name: value for name, value in os.environ.items() if _decides(name)}
    if model is not None:
        record |= _about(model)
    return record


def _decides(name: str) -> bool:
    if name.startswith(_DECIDING_PREFIXES):
        return name not in _NCCL_PLACES and not name.endswith(("_DIR", "_FILE", "_PATH"))
    return name in DECIDING_VARIABLES


def environment_of_program() -> dict[str, str]:
    """What a program's recipe names of this machine; its libraries are locked by their versions."""
    import torch

    record = observed_environment() | (_about_gpu() if torch.cuda.is_available() else {})
    return {name: record[name] for name in OF_PROGRAMS if record.get(name)}


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
        "attention_kernels": ",".join(name for name in _KERNELS if getattr(cuda, f"{name}_sdp_enabled")()),
        "driver": _driver_version(),
        "cublas": _cublas_version(),
    }


def _about_gpus() -> dict[str, str]:
    """As `_about_gpu`, with the GPUs of all machines that train together; each has as many as this one."""
    machines = int(os.environ.get("WORLD_SIZE", "1")) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    record = _about_gpu()
    return {**record, "gpus": str(int(record["gpus"]) * machines)}


def _nccl_version() -> str:
    import torch

    nccl: Any = torch.cuda.nccl
    return ".".join(map(str, nccl.version()))


def _driver_version() -> str:
    """Version of the kernel's driver; empty if the system does not tell it."""
    try:
        said = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = re.search(r"Kernel Module.*?\b(\d+(?:\.\d+)+)", said)
    return "" if found is None else found[1]


def _cublas_version() -> str:
    """Version of the cuBLAS that torch has loaded; empty if it cannot be asked."""
    import torch

    try:
        library = ctypes.CDLL(f"libcublas.so.{str(torch.version.cuda).partition('.')[0]}")
        numbers = [ctypes.c_int() for _ in range(3)]
        failed = any(library.cublasGetProperty(index, ctypes.byref(number)) for index, number in enumerate(numbers))
    except (OSError, AttributeError):
        return ""
    return "" if failed else ".".join(str(number.value) for number in numbers)


def _processes() -> int:
    from torch import distributed

    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def explaining_settings(recipe: Recipe, then: Mapping[str, str], now: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Settings that may explain different bits: name to (then, now), with an empty string if there is no record.

    If the recipe fixes an environment, then only settings that it names count: it promises that nothing else decides.
    A setting that is not recorded now explains nothing, because anyone can invent a setting.
    """
    counted = now.keys() - INFORMATIVE if recipe.environment is None else now.keys() & recipe.environment.named.keys()
    return {name: (then.get(name, ""), now[name]) for name in sorted(counted) if then.get(name) != now[name]}


def settings_outside(recipe: Recipe, record: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Settings that are not as the recipe's environment says: name to (what it says, what is recorded)."""
    if recipe.environment is None:
        return {}
    named = recipe.environment.named
    # Variables that nobody names would decide bits, too.
    unnamed = {name: () for name in record if _is_free_nccl(recipe, name) and name not in named}
    return {
        name: (" or ".join(values)[:_SHOWN], record.get(name, "")[:_SHOWN])
        for name, values in {**named, **unnamed}.items()
        if not any(fits(record.get(name, ""), value) for value in values)
    }


def fits(found: str, value: str) -> bool:
    """Whether a recorded value is what a recipe names, or goes on after it."""
    return found == value or found.startswith((f"{value} ", f"{value}+"))


def outside_at_a_glance(recipe: Recipe) -> dict[str, tuple[str, str]]:
    """As `settings_outside`, of what this machine is known to have before torch is loaded."""
    known = library_versions() | {"processor_class": processor_class()}
    return {name: found for name, found in settings_outside(recipe, known).items() if name in known}


def environment_here(recipe: Recipe) -> dict[str, str]:
    """What a recipe's section `environment` can name of this machine; nothing about a GPU if there is none.

    Call it in a process with `pinned_variables`.
    """
    import torch

    from llamafund_trainer.recipe import EnvironmentSection

    record = observed_environment() | library_versions() | {"torch": torch.__version__}
    record.pop("peft", None)
    if recipe.lora is not None:
        record["peft"] = version("peft")
    if recipe.determinism.device == "cuda":
        record = {name: value for name, value in record.items() if name not in {"processor_class", "cpu_capability"}}
        if torch.cuda.is_available():
            record |= _about_gpu() | ({"nccl": _nccl_version()} if recipe.uses_nccl else {})
    names = [*EnvironmentSection.model_fields, *(name for name in record if _is_free_nccl(recipe, name))]
    return {name: record[name] for name in names if record.get(name)}


def _is_free_nccl(recipe: Recipe, name: str) -> bool:
    return recipe.uses_nccl and name.startswith("NCCL_") and name not in pinned_variables(recipe)


def require_environment(recipe: Recipe, record: Mapping[str, str]) -> None:
    """Refuse to train where the recipe's environment is not.

    Raises:
        UsageError: Names the first setting that is another one here.
    """
    for name, (named, found) in settings_outside(recipe, record).items():
        raise UsageError(
            f"The recipe is for another environment: {name} is {found!r} here",
            f"The recipe's environment says {named!r}, so checks would refuse what is trained here",
            "Train on a machine that fits. Until a campaign is opened, the recipe can name this one instead: "
            "llamafund train --dry-run prints it",
        )


def pinned_record(recipe: Recipe) -> dict[str, str]:
    """What every record of the environment must say, because the recipe decides it and the trainer sets it."""
    pinned = {name: value for name, value in pinned_variables(recipe).items() if name != "CUDA_VISIBLE_DEVICES"}
    processes = str(recipe.determinism.processes)
    return {
        **pinned,
        **recipe_settings(recipe),
        "threads": str(recipe.determinism.threads),
        "processes": processes,
        **({"gpus": processes} if recipe.determinism.device == "cuda" else {}),
        "float32_matmul_precision": "highest",
        "deterministic_algorithms": "true",
    }


def record_problem(recipe: Recipe, record: Mapping[str, str]) -> str | None:
    """What a record of the environment says that no run of the recipe can; `None` if nothing.

    Whoever could claim any environment could explain any bits with it.
    """
    for name, expected in pinned_record(recipe).items():
        found = record.get(name, "")
        if found != expected:
            return f"records {name} {found[:80]!r}; the recipe pins {expected!r}, and the trainer sets it"
    for name, (named, found) in settings_outside(recipe, record).items():
        return f"records {name} {found[:80]!r}, which is outside of the recipe's environment: it says {named[:300]!r}"
    return None
