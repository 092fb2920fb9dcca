"""What attestors and auditors check about a training run and the weights it produced."""

from __future__ import annotations

from llamafund_chain.checks.check import Check
from llamafund_trainer.checks.base_model import changed_from_base
from llamafund_trainer.checks.card import model_card_from_manifests, weights_headers_plain
from llamafund_trainer.checks.checkpoints import checkpoint_files_known, histories_agree
from llamafund_trainer.checks.run import (
    environment_recorded,
    initial_weights_from_base,
    initial_weights_from_seed,
    replay,
    schedule_follows_recipe,
    steps_follow_recipe,
)
from llamafund_trainer.checks.weights import loads_in_transformers, metric_re_evaluated, weights_equal_checkpoint

CHECKS: tuple[Check, ...] = (
    initial_weights_from_seed,
    initial_weights_from_base,
    environment_recorded,
    checkpoint_files_known,
    histories_agree,
    schedule_follows_recipe,
    steps_follow_recipe,
    replay,
    metric_re_evaluated,
    changed_from_base,
    model_card_from_manifests,
    weights_headers_plain,
    weights_equal_checkpoint,
    loads_in_transformers,
)
"""The checks that this package adds, cheapest first where the order is free."""
