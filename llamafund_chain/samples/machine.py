"""What this machine computes with, found out without loading any numeric library."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = frozenset({"accelerate", "numpy", "safetensors", "tokenizers", "torch", "transformers"})
"""Packages whose version decides how training computes, or the bytes it writes."""

_CPUINFO = Path("/proc/cpuinfo")
_BRAND = ("/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string")


@cache
def processor_class() -> str:
    """The kind of processor: those of one class have the same instructions and run the same numeric kernels.

    In Linux that is the maker with family and model, such as `GenuineIntel 6-143` or `AuthenticAMD 25-1`, or for ARM
    the implementer and part, such as `0x41 0xd40`. Elsewhere it is what the system calls it, such as `Apple M2`.
    """
    facts = _cpuinfo()
    if "vendor_id" in facts:
        return f"{facts['vendor_id']} {facts.get('cpu family', '?')}-{facts.get('model', '?')}"
    if "CPU implementer" in facts:
        return f"{facts['CPU implementer']} {facts.get('CPU part', '?')}"
    return _brand() or platform.processor() or platform.machine()


def processor_name() -> str:
    """What the processor's maker calls it; for people."""
    return _cpuinfo().get("model name") or _brand() or platform.processor()


def library_versions() -> dict[str, str]:
    """Versions of those of `LIBRARIES` that are installed."""
    found = {}
    for name in sorted(LIBRARIES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _cpuinfo() -> dict[str, str]:
    """The first processor's facts in Linux; empty elsewhere."""
    try:
        text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {name.strip(): value.strip()[:200] for name, _, value in lines}


def _brand() -> str:
    if platform.system() != "Darwin":
        return ""
    try:
        said = subprocess.run(_BRAND, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.stdout.strip()[:200]
