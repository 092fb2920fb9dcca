"""What the acts pass on to one another."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path


@dataclass
class Plot:
    """Where the story stands. An empty string means that it has not happened yet.

    Attributes:
        recipe: The training recipe's file.
        bits_per_byte: The promised loss on held-out text.
        campaign: Address of the honest campaign, like `token_campaign`, `forged_campaign` and `lied_campaign` of the
            others.
        token: Address of the ERC-20.
        dataset: SHA-256 of the manifest, like `checkpoint`, `weights` and `changed_weights`, which the drill leaves.
    """

    recipe: Path
    bits_per_byte: Decimal
    recipe_sha256: str = ""
    campaign: str = ""
    token: str = ""
    token_campaign: str = ""
    forged_campaign: str = ""
    lied_campaign: str = ""
    dataset: str = ""
    checkpoint: str = ""
    weights: str = ""
    changed_weights: str = ""
