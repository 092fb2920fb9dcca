"""Terms and states of a campaign that was never on a chain, for tests of what is only computed from them."""

from __future__ import annotations

from llamafund_chain.campaign.state import CampaignState
from llamafund_chain.campaign.terms import BPS, DAY, NO_HASH, Milestone, MilestoneKind, Payee, Status, Terms
from llamafund_chain.chain.tokens import NATIVE

WINDOW = 2 * DAY
FUNDED_BY, FIRST, SECOND = 10 * DAY, 20 * DAY, 30 * DAY
"""When funding ends, and when the two milestones are due, unix seconds."""


def terms(**changes: object) -> Terms:
    """40 % for the data and 60 % for the weights; 70 % of each to the first payee."""
    values: dict[str, object] = {
        "researcher": "0xA1",
        "asset": NATIVE,
        "goal": 50,
        "cap": 1_000,
        "funding_deadline": FUNDED_BY,
        "stop_bps": BPS // 2,
        "challenge_window": WINDOW,
        "answer_window": DAY,
        "min_bond": 1,
        "slack": 0,
        "proposal": "11" * 32,
        "dataset": NO_HASH,
        "attestors": ("0xC3", "0xD4"),
        "quorum": 1,
        "payees": (Payee("0xA1", 7_000), Payee("0xB2", 3_000)),
        "milestones": (
            Milestone(MilestoneKind.DATASET, 4_000, FIRST, 0),
            Milestone(MilestoneKind.WEIGHTS, 6_000, SECOND, 0),
        ),
    }
    return Terms(**{**values, **changes})  # type: ignore[arg-type]


def state(**changes: object) -> CampaignState:
    """100 pledged, nothing attested."""
    values: dict[str, object] = {
        "block": 9,
        "block_hash": "00" * 32,
        "timestamp": FUNDED_BY + DAY,
        "status": Status.ACTIVE,
        "pledged": 100,
        "active": True,
        **dict.fromkeys(("stopped", "withheld", "contested"), False),
        **dict.fromkeys(("attested_at", "challenged_at", "slack_used", "attested", "released"), 0),
        **dict.fromkeys(("stop_support", "votes_from"), 0),
        "training_seed": "22" * 32,
        "latest_content": NO_HASH,
        "latest_evidence": "11" * 32,
        "balance": 100,
        "claimable": (0, 0),
        "claimed": (0, 0),
    }
    return CampaignState(**{**values, **changes})  # type: ignore[arg-type]
