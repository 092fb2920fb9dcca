"""The words of a report that not everybody knows, each in one sentence or two."""

from __future__ import annotations

GLOSSARY = {
    "arbiter": "The account that may contest the last attestation and refuse its tranche. It can do nothing else.",
    "attestor": "Somebody named in the terms whose signature says: I have checked this evidence.",
    "backer": "An account that pledged money.",
    "bond": "What somebody who challenges deposits. It goes to whoever answers, or back if nobody does.",
    "challenge window": "The time after an attestation in which backers can vote to stop or challenge the content, "
    "before its tranche is released.",
    "escrow": "The campaign's contract, which holds the money. Nobody has a key to it.",
    "evidence": "A published list of files and facts. Its hash, 64 digits, is what attestors sign.",
    "payee": "An account that the terms name for a part of every released tranche.",
    "pledge": "What a backer put into the pool. It is locked once the campaign starts.",
    "pool": "All pledges together, without what was taken back during funding.",
    "quorum": "How many attestors must sign.",
    "score": "The promised measure of the model, signed so that higher is better.",
    "stop": "A vote of backers that ends the campaign; what is not released goes back to them.",
    "training seed": "A number that the chain draws when the campaign starts, so that nobody can have trained before.",
    "tranche": "A milestone's part of the money.",
}
"""Sentences by word."""
