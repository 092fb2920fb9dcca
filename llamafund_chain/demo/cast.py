"""Who takes part in the story, and the campaigns they open. Every run makes new keys."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from llamafund_chain.samples.corpus import LICENSE, SOURCE, TITLE

RESEARCHER = "rosa"
"""Opens the honest campaign."""
RUNAWAY = "dan"
"""Opens the token campaign, then disappears."""
FORGER = "mallory"
"""Opens the campaign with the forged run."""
LIAR = "trudy"
"""Opens the campaign whose weights are a lie."""
BACKERS = ("alice", "bob")
"""Pledge in the chain's coin."""
PERMIT_BACKER = "carol"
TRAINER = "tara"
"""Runs the training. Her key is one of the attestors', and she is paid for the compute."""
VERIFIER = "vera"
"""Replays a part of the training before she signs."""
ARCHIVIST = "otto"
"""Fetches and hashes everything before he signs."""
ACCOMPLICES = ("igor", "ivan")
"""Attestors of the cheats' campaigns, who sign anything."""
PASSER_BY = "pia"
"""A stranger who pushes refunds to their owners and pays the fee."""
AUDITOR = "audrey"
"""Audits the campaigns. She needs no key."""
SAVINGS = ("rosa-savings", "tara-savings", "mallory-savings", "trudy-savings")
"""Accounts for payouts, separate from the keys in daily use."""

SENDERS = (
    RESEARCHER,
    RUNAWAY,
    FORGER,
    LIAR,
    *BACKERS,
    PERMIT_BACKER,
    TRAINER,
    VERIFIER,
    ARCHIVIST,
    *ACCOMPLICES,
    PASSER_BY,
)
"""Everybody who sends transactions and so needs coins for fees."""

METRIC = "heldout_bits_per_byte"
EVALUATION = (
    "Mean cross-entropy of the exported weights on all held-out text, in bits per byte of UTF-8; lower is better."
)
MODEL_LICENSE = "Apache-2.0"
PROMISE = "Fetches every byte from the store, hashes it, runs all checks, and signs only if none fails."


@dataclass(frozen=True)
class Plan:
    """What differs between the story's campaigns.

    Attributes:
        goal: Whole coins, like `cap`.
        asset: Address of the token, `None` for the chain's coin.
        payees: Name and basis points of each.
        milestone_bps: Basis points of the milestones DATASET, CHECKPOINT and WEIGHTS; 0 for one that there is not.
        recipe: SHA-256 of the training recipe.
        dataset: SHA-256 of the dataset's manifest.
        bits_per_byte: The promised loss on held-out text.
        arbiter: Address of who can refuse the last tranche; `None` for nobody.
    """

    title: str
    summary: str
    researcher: str
    goal: str
    cap: str
    asset: str | None
    attestors: tuple[str, ...]
    payees: tuple[tuple[str, int], ...]
    milestone_bps: tuple[int, int, int]
    recipe: str
    dataset: str
    bits_per_byte: Decimal
    arbiter: str | None = None


def campaign_document(plan: Plan, addresses: dict[str, str]) -> dict[str, Any]:
    """The campaign file of a plan, before it is written as YAML."""
    bits = str(plan.bits_per_byte)
    promises = (
        {"kind": "DATASET", "title": "The data", "description": "The dataset that the terms fix, published"},
        {
            "kind": "CHECKPOINT",
            "title": "The training",
            "description": "Every checkpoint published, so that anyone can replay any part of the run",
        },
        {
            "kind": "WEIGHTS",
            "title": "The open weights",
            "description": f"They load in transformers and reach {bits} bits per byte on held-out text",
        },
    )
    steps = ({"deadline": "+30d"}, {"deadline": "+60d"}, {"deadline": "+90d", "min_score": f"-{bits}"})
    arbiter = {} if plan.arbiter is None else {"arbiter": {"account": plan.arbiter, "ruling_window": "30d"}}
    return {
        "schema": "llamafund/campaign-file/1",
        "proposal": {
            "title": plan.title,
            "summary": plan.summary,
            "objectives": [
                "Train a small language model on the Python reference, from scratch, in the open",
                "Publish weights, data, recipe and every checkpoint in between",
            ],
            "outcome": {"metric": METRIC, "direction": "lower", "target": bits, "evaluation": EVALUATION},
            "dataset": {
                "manifest": plan.dataset,
                "description": TITLE,
                "sources": [SOURCE],
                "license": LICENSE,
            },
            "model": "A decoder of the Llama architecture; the recipe has all sizes",
            "recipe": plan.recipe,
            "compute": "Two processor cores for a few minutes",
            "budget": "All of it pays the researcher and whoever runs the training, by the payees' shares",
            "milestones": [promise for bps, promise in zip(plan.milestone_bps, promises, strict=True) if bps],
            "license": MODEL_LICENSE,
            "researcher": {"name": plan.researcher.title(), "address": addresses[plan.researcher]},
            "attestors": [
                {"name": name.title(), "address": addresses[name], "promise": PROMISE} for name in plan.attestors
            ],
        },
        "terms": {
            "asset": plan.asset,
            "goal": plan.goal,
            "cap": plan.cap,
            "funding_deadline": "+14d",
            "stop": "50%",
            "challenge_window": "3d",
            "answer_window": "1d",
            "min_bond": "0.01",
            "slack": "14d",
            "quorum": 2,
            "payees": [{"account": addresses[name], "share": f"{bps / 100:g}%"} for name, bps in plan.payees],
            "milestones": [
                {"share": f"{bps / 100:g}%", **step} for bps, step in zip(plan.milestone_bps, steps, strict=True) if bps
            ],
            **arbiter,
        },
    }


def write_campaign_file(path: Path, plan: Plan, addresses: dict[str, str]) -> None:
    """Write a plan as a campaign file."""
    text = yaml.safe_dump(campaign_document(plan, addresses), sort_keys=False, allow_unicode=True, width=100)
    path.write_text(text, "utf-8")
