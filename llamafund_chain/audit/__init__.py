"""Audits a campaign from just a node, an address and a store, trusting nobody."""

from __future__ import annotations

from llamafund_chain.audit.auditor import audit
from llamafund_chain.audit.model import (
    AccountsReport,
    Alarm,
    ArbiterFacts,
    Asset,
    Attested,
    AuditReport,
    CampaignFacts,
    Curve,
    Flow,
    MilestoneReport,
    Money,
    NextStep,
    PayeeReport,
    Person,
    Reference,
    ReportCheck,
    Signer,
    Verdict,
)

__all__ = [
    "AccountsReport",
    "Alarm",
    "ArbiterFacts",
    "Asset",
    "Attested",
    "AuditReport",
    "CampaignFacts",
    "Curve",
    "Flow",
    "MilestoneReport",
    "Money",
    "NextStep",
    "PayeeReport",
    "Person",
    "Reference",
    "ReportCheck",
    "Signer",
    "Verdict",
    "audit",
]
