"""Audits a campaign from just a node, an address and a store, trusting nobody."""

from __future__ import annotations

from llamafund_chain.audit.auditor import audit
from llamafund_chain.audit.model import (
    AccountsReport,
    Alarm,
    Asset,
    Attested,
    AuditReport,
    CampaignFacts,
    Curve,
    Flow,
    MilestoneReport,
    Money,
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
    "Asset",
    "Attested",
    "AuditReport",
    "CampaignFacts",
    "Curve",
    "Flow",
    "MilestoneReport",
    "Money",
    "PayeeReport",
    "Person",
    "Reference",
    "ReportCheck",
    "Signer",
    "Verdict",
    "audit",
]
