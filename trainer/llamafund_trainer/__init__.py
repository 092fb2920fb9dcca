"""Deterministic training of language models, with evidence that others can replay.

There are three ways to record the same evidence: `AttestationCallback` for any Hugging Face `Trainer`,
`LightningAttestationCallback` for Lightning, and `Recorder` for your own loop.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llamafund_trainer.record.callback import AttestationCallback
    from llamafund_trainer.record.lightning import LightningAttestationCallback
    from llamafund_trainer.record.recorder import Recorder
    from llamafund_trainer.seeds import data_order_seed, library_seed
    from llamafund_trainer.worker.samples import SeededSampler

__all__ = [
    "AttestationCallback",
    "LightningAttestationCallback",
    "Recorder",
    "SeededSampler",
    "data_order_seed",
    "library_seed",
]

_PLACES = {
    "AttestationCallback": "record.callback",
    "LightningAttestationCallback": "record.lightning",
    "Recorder": "record.recorder",
    "SeededSampler": "worker.samples",
    "data_order_seed": "seeds",
    "library_seed": "seeds",
}


def __getattr__(name: str) -> Any:
    # Imported when needed: commands load this package without torch, transformers or Lightning.
    if name in _PLACES:
        return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
