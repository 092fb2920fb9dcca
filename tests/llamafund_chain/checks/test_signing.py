"""What an attestor's library refuses to sign, whoever calls it."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamafund_chain.campaign.attestation import AttestationFile
from llamafund_chain.checks.check import CheckResult
from llamafund_chain.checks.signing import Examination, Propose, Request, co_sign, examine, settled_state, sign
from llamafund_chain.errors import UncheckedError, VerificationError
from llamafund_chain.evidence.hashing import raw_cid


def request(stage, **changes: object) -> Request:
    stage.open()
    stage.fund()
    values: dict[str, object] = {
        "client": stage.client,
        "state": settled_state(stage.client, "finalized"),
        "store": stage.run.store,
        "attestor": stage.attestors[0].address,
        "what": Propose(0, stage.run.dataset.sha256),
    }
    return Request(**{**values, **changes})


def test_what_was_examined_is_signed_and_co_signed(stage, tmp_path: Path) -> None:
    examination = examine(request(stage))
    proposed = sign(examination, stage.attestors[0])
    assert examination.failed == []
    assert proposed.statement == examination.statement

    proposed.save(tmp_path / "proposed.json")
    theirs = AttestationFile.load(tmp_path / "proposed.json")
    asked = Request(
        client=stage.client,
        state=examination.request.state,
        store=stage.run.store,
        attestor=stage.attestors[1].address,
        what=co_sign(stage.client, theirs),
    )
    both = sign(examine(asked), stage.attestors[1])
    assert both.statement == proposed.statement
    assert [entry.signer for entry in both.signatures] == [attestor.address for attestor in stage.attestors[:2]]


def test_nothing_is_signed_of_which_a_check_failed(stage) -> None:
    honest = examine(request(stage, skip=("heldout-separate",)))
    failed = CheckResult("heldout-separate", "fail", "A document is held out and trained on.")
    bad = Examination(honest.request, honest.statement, (*honest.results, failed))
    with pytest.raises(VerificationError, match=r"1 of .* checks failed.*heldout-separate: A document is"):
        sign(bad, stage.attestors[0])


def test_a_store_with_other_bytes_for_a_manifest_accuses_nobody(stage) -> None:
    asked = request(stage)
    stage.run.replace_in_store(raw_cid(stage.run.proposal.sha256), b"damaged")
    with pytest.raises(UncheckedError, match="other bytes"):
        examine(asked)
