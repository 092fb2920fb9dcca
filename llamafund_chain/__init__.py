"""The library of LlamaFund: escrows on chain, evidence in stores, and the checks that join the two.

The name is historical: it holds more than the chain. Programs may rely on the names in this module, each imported on
first use. Everything else may move.

From the ground up: `errors`, `text`, `times`, `amounts`, `files`, `mistakes`, `strict_yaml`; then `deployment` and
`evidence`; `chain` and `store`; `campaign`; `checks`; `audit`; `cli`; `demo`. Imports only ever point down.
"""

# Not `typing.TYPE_CHECKING`: nothing is imported here, so that `llamafund_chain.__main__` soon catches Ctrl-C.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamafund_chain.campaign.attestation import Attestation, AttestationFile, merge, propose
    from llamafund_chain.campaign.client import CampaignClient, connect
    from llamafund_chain.campaign.factory import create_campaign, list_campaigns
    from llamafund_chain.campaign.terms import Terms
    from llamafund_chain.errors import LlamafundError
    from llamafund_chain.store import open_store
    from llamafund_chain.store.content import fetch_manifest, publish_manifest, publish_tree

_PLACES = {
    "Attestation": "campaign.attestation",
    "AttestationFile": "campaign.attestation",
    "CampaignClient": "campaign.client",
    "LlamafundError": "errors",
    "Terms": "campaign.terms",
    "connect": "campaign.client",
    "create_campaign": "campaign.factory",
    "fetch_manifest": "store.content",
    "list_campaigns": "campaign.factory",
    "merge": "campaign.attestation",
    "open_store": "store",
    "propose": "campaign.attestation",
    "publish_manifest": "store.content",
    "publish_tree": "store.content",
}

__all__ = [
    "Attestation",
    "AttestationFile",
    "CampaignClient",
    "LlamafundError",
    "Terms",
    "connect",
    "create_campaign",
    "fetch_manifest",
    "list_campaigns",
    "merge",
    "open_store",
    "propose",
    "publish_manifest",
    "publish_tree",
]


def __getattr__(name: str) -> object:
    # PEP 562: importing the package costs nothing, however many names it offers.
    if name in _PLACES:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
