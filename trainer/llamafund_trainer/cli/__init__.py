"""The trainer's commands; `llamafund` finds them by entry point."""

from __future__ import annotations

from collections.abc import Mapping

SHORT_HELPS: Mapping[str, str] = {
    "compare-weights": "Compare the weights A and B tensor by tensor.",
    "evaluate": "Measure the promised metric of open WEIGHTS again.",
    "export": "Publish the open weights of a CHECKPOINT, named by the hash of its manifest.",
    "replay": "Repeat parts of the training that led to CHECKPOINT and compare the bytes.",
    "train": "Train the model of RECIPE and publish evidence of every step.",
}
"""What `llamafund --help` says of each, so that it loads none of them."""
