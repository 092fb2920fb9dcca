"""The library of LlamaFund: escrows on chain, evidence in stores, and the checks that join the two.

The name is historical: it holds more than the chain. Programs may rely on the names in this module, each imported on
first use; `docs/python.md` explains them. Everything else may move.

From the ground up: `errors`, `text`, `name`, `times`, `amounts`, `files`, `mistakes`, `strict_yaml`; then
`deployment` and `evidence`; `chain` and `store`; `campaign`; `checks`; `audit`; `cli`; `demo`. Imports only ever
point down.
"""

# Not `typing.TYPE_CHECKING`: nothing is imported here, so that `llamafund_chain.__main__` soon catches Ctrl-C.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamafund_chain.audit import AuditReport
    from llamafund_chain.audit import audit as audit_campaign
    from llamafund_chain.audit.report import render_html
    from llamafund_chain.campaign.attestation import Attestation, AttestationFile, merge, propose
    from llamafund_chain.campaign.client import CampaignClient, connect
    from llamafund_chain.campaign.factory import create_campaign, list_campaigns
    from llamafund_chain.campaign.reviews import Review, check_reviews, find_reviews, write_review
    from llamafund_chain.campaign.terms import Milestone, MilestoneKind, Payee, Terms
    from llamafund_chain.checks.check import CheckContext, CheckResult, Finding
    from llamafund_chain.checks.inspection import Asked, Inspection, inspect
    from llamafund_chain.checks.signing import (
        CoSign,
        Examination,
        Propose,
        Request,
        add_signatures,
        co_sign,
        examine,
        settled_state,
        sign,
        unsigned,
    )
    from llamafund_chain.errors import (
        LlamafundError,
        NodeError,
        NotFinalError,
        TransactionRevertedError,
        UncheckedError,
        UsageError,
        VerificationError,
    )
    from llamafund_chain.evidence.hashing import hash_tree
    from llamafund_chain.evidence.manifests import (
        CheckpointManifest,
        DatasetManifest,
        ProposalManifest,
        ReviewManifest,
        WeightsManifest,
        load_manifest,
        save_manifest,
    )
    from llamafund_chain.store import Store, open_store
    from llamafund_chain.store.content import fetch_manifest, fetch_tree, publish_manifest, publish_tree
    from llamafund_chain.store.dataset import build_dataset

_PLACES = {
    "Asked": "checks.inspection",
    "Attestation": "campaign.attestation",
    "AttestationFile": "campaign.attestation",
    "AuditReport": "audit",
    "CampaignClient": "campaign.client",
    "CheckContext": "checks.check",
    "CheckResult": "checks.check",
    "CheckpointManifest": "evidence.manifests",
    "CoSign": "checks.signing",
    "DatasetManifest": "evidence.manifests",
    "Examination": "checks.signing",
    "Finding": "checks.check",
    "Inspection": "checks.inspection",
    "LlamafundError": "errors",
    "Milestone": "campaign.terms",
    "MilestoneKind": "campaign.terms",
    "NodeError": "errors",
    "NotFinalError": "errors",
    "Payee": "campaign.terms",
    "ProposalManifest": "evidence.manifests",
    "Propose": "checks.signing",
    "Request": "checks.signing",
    "Review": "campaign.reviews",
    "ReviewManifest": "evidence.manifests",
    "Store": "store",
    "Terms": "campaign.terms",
    "TransactionRevertedError": "errors",
    "UncheckedError": "errors",
    "UsageError": "errors",
    "VerificationError": "errors",
    "WeightsManifest": "evidence.manifests",
    "add_signatures": "checks.signing",
    # `audit` is the package itself.
    "audit_campaign": "audit:audit",
    "build_dataset": "store.dataset",
    "check_reviews": "campaign.reviews",
    "co_sign": "checks.signing",
    "connect": "campaign.client",
    "create_campaign": "campaign.factory",
    "examine": "checks.signing",
    "fetch_manifest": "store.content",
    "fetch_tree": "store.content",
    "find_reviews": "campaign.reviews",
    "hash_tree": "evidence.hashing",
    "inspect": "checks.inspection",
    "list_campaigns": "campaign.factory",
    "load_manifest": "evidence.manifests",
    "merge": "campaign.attestation",
    "open_store": "store",
    "propose": "campaign.attestation",
    "publish_manifest": "store.content",
    "publish_tree": "store.content",
    "render_html": "audit.report",
    "save_manifest": "evidence.manifests",
    "settled_state": "checks.signing",
    "sign": "checks.signing",
    "unsigned": "checks.signing",
    "write_review": "campaign.reviews",
}

__all__ = [
    "Asked",
    "Attestation",
    "AttestationFile",
    "AuditReport",
    "CampaignClient",
    "CheckContext",
    "CheckResult",
    "CheckpointManifest",
    "CoSign",
    "DatasetManifest",
    "Examination",
    "Finding",
    "Inspection",
    "LlamafundError",
    "Milestone",
    "MilestoneKind",
    "NodeError",
    "NotFinalError",
    "Payee",
    "ProposalManifest",
    "Propose",
    "Request",
    "Review",
    "ReviewManifest",
    "Store",
    "Terms",
    "TransactionRevertedError",
    "UncheckedError",
    "UsageError",
    "VerificationError",
    "WeightsManifest",
    "add_signatures",
    "audit_campaign",
    "build_dataset",
    "check_reviews",
    "co_sign",
    "connect",
    "create_campaign",
    "examine",
    "fetch_manifest",
    "fetch_tree",
    "find_reviews",
    "hash_tree",
    "inspect",
    "list_campaigns",
    "load_manifest",
    "merge",
    "open_store",
    "propose",
    "publish_manifest",
    "publish_tree",
    "render_html",
    "save_manifest",
    "settled_state",
    "sign",
    "unsigned",
    "write_review",
]


def __getattr__(name: str) -> object:
    # PEP 562: importing the package costs nothing, however many names it offers.
    if name in _PLACES:
        from importlib import import_module

        module, _, called = _PLACES[name].partition(":")
        return getattr(import_module(f"{__name__}.{module}"), called or name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
