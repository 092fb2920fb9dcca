"""Reviews of a stage's campaign by any key."""

from __future__ import annotations

from eth_account import Account

from llamafund_chain.campaign.reviews import typed_data
from llamafund_chain.evidence.manifests import ReviewManifest


def signed_review(stage, key: bytes, **changes: object) -> ReviewManifest:
    """A review by a key, of which something may differ from what was signed."""
    account, client = Account.from_key(key), stage.client
    said = {"proposal": client.terms.proposal, "written": 1_800_000_000, "text": "Fine."}
    document = typed_data(31337, client.address, **said)
    signature = "0x" + account.sign_typed_data(full_message=document).signature.hex().removeprefix("0x")
    fields = {"campaign": client.caip10, "reviewer": account.address, **said, "signature": signature}
    return ReviewManifest(**{**fields, **changes})
