"""What an attestation must say, and when."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account
from world import (
    ACTIVE,
    ATTESTATION_TYPES,
    CHECKPOINT,
    COMPLETED,
    DATA,
    DATASET,
    DAY,
    FAILED,
    FUNDING,
    PROPOSAL,
    WEIGHTS,
    Campaign,
    World,
    data_of,
    refused,
)


def test_an_attestation_is_recorded_and_emitted_in_full(world: World, active: Campaign) -> None:
    attestation = active.attestation()

    receipt = active.submit(attestation, 0b101)

    (event,) = active.events("MilestoneAttested", receipt)
    assert dict(event["attestation"]) == attestation
    assert (event["milestone"], event["evidence"], event["signers"]) == (0, DATA, 0b101)
    assert active.ledger["attested"] == 1
    assert active.ledger["attestedAt"] == world.now()
    assert active.read("latestEvidence") == DATA
    assert active.status == ACTIVE


def test_the_digest_is_the_one_that_eip_712_prescribes(world: World, active: Campaign) -> None:
    attestation = active.attestation()
    domain = {
        "name": "LlamaFund Campaign",
        "version": "1",
        "chainId": world.w3.eth.chain_id,
        "verifyingContract": active.address,
    }

    signed = Account.sign_typed_data(world.attestors[0].key, domain, ATTESTATION_TYPES, attestation)

    assert bytes(signed.message_hash) == active.digest(attestation)
    assert active.read("eip712Domain") == [
        b"\x0f",
        domain["name"],
        domain["version"],
        domain["chainId"],
        active.address,
        bytes(32),
        [],
    ]


def test_nothing_is_attested_while_funding(world: World, campaign: Campaign) -> None:
    campaign.funded()
    with refused("Campaign_WrongStatus", FUNDING):
        campaign.submit(campaign.attestation())


@pytest.mark.parametrize("index", [1, 2, 3, 255])
def test_milestones_are_attested_in_order(active: Campaign, index: int) -> None:
    with refused("Campaign_WrongMilestone", 0, index):
        active.submit(active.attestation(index))


def test_a_milestone_is_attested_once(active: Campaign) -> None:
    active.attested(1).window_passed()
    with refused("Campaign_WrongMilestone", 1, 0):
        active.submit(active.attestation(0))


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_the_next_milestone_waits_for_the_window_of_the_one_before(active: Campaign, seconds: int) -> None:
    active.attested(1)
    end = active.window_end
    if seconds < 0:
        with refused("Campaign_WindowOpen", end):
            active.attest(at=end + seconds)
        return
    active.attest(at=end + seconds)
    assert active.ledger["attested"] == 2


def test_after_the_last_milestone_nothing_is_left_to_attest(active: Campaign) -> None:
    active.attested(3)
    with refused("Campaign_WindowOpen", active.window_end):
        active.submit(active.attestation(3))
    with refused("Campaign_WrongMilestone", 3, 2):
        active.submit(active.attestation(2))
    active.window_passed()
    with refused("Campaign_WrongStatus", COMPLETED):
        active.submit(active.attestation(3))


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_a_milestone_is_attested_strictly_before_its_deadline(active: Campaign, seconds: int) -> None:
    deadline = active.read("deadlineOf", 0)
    if seconds < 0:
        active.attest(at=deadline + seconds)
        return
    with refused("Campaign_WrongStatus", FAILED):
        active.attest(at=deadline + seconds)


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_an_attestation_is_accepted_strictly_before_it_expires(world: World, active: Campaign, seconds: int) -> None:
    expiry = world.now() + DAY
    if seconds < 0:
        active.attest(expiry=expiry, at=expiry + seconds)
        return
    with refused("Campaign_AttestationExpired", expiry):
        active.attest(expiry=expiry, at=expiry + seconds)


@pytest.mark.parametrize("kind", [CHECKPOINT, WEIGHTS])
def test_the_kind_is_the_one_in_the_terms(active: Campaign, kind: int) -> None:
    with refused("Campaign_WrongKind", DATASET, kind):
        active.attest(kind=kind)


def test_a_kind_that_does_not_exist_is_refused(world: World, active: Campaign) -> None:
    data = bytearray(data_of(active.functions.attest(active.attestation(), 3, [])))
    data[4 + 2 * 32 - 1] = 3
    with refused(""):
        world.transact({"from": world.stranger, "to": active.address, "data": bytes(data)})


def test_the_first_parent_is_the_proposal(active: Campaign) -> None:
    assert active.read("latestEvidence") == PROPOSAL
    with refused("Campaign_WrongParent", PROPOSAL, b"\x22" * 32):
        active.attest(parent=b"\x22" * 32)


def test_every_later_parent_is_the_evidence_before(active: Campaign) -> None:
    active.attested(1)
    with refused("Campaign_WrongParent", DATA, PROPOSAL):
        active.attest(parent=PROPOSAL)
    active.attest(parent=DATA)


def test_threat_the_dataset_cannot_be_swapped_after_funding(active: Campaign) -> None:
    other = b"\x33" * 32
    with refused("Campaign_WrongDataset", DATA, other):
        active.attest(evidence=other)


def test_a_dataset_that_was_only_promised_may_be_any(world: World) -> None:
    campaign = world.open(dataset=bytes(32)).funded().activated()
    campaign.attest(evidence=b"\x33" * 32)
    assert campaign.read("latestEvidence") == b"\x33" * 32


def test_evidence_is_never_empty(world: World) -> None:
    campaign = world.open(dataset=bytes(32)).funded().activated()
    with refused("Campaign_EmptyEvidence"):
        campaign.attest(evidence=bytes(32))


@pytest.mark.parametrize(("root", "size"), [(bytes(32), 1), (b"\x44" * 32, 0)])
def test_content_has_a_root_exactly_when_it_has_a_size(active: Campaign, root: bytes, size: int) -> None:
    with refused("Campaign_BadContent", root, size):
        active.attest(contentRoot=root, contentSize=size)


def test_datasets_and_checkpoints_may_stay_unpublished_but_weights_may_not(active: Campaign) -> None:
    nothing: dict[str, Any] = {"contentRoot": bytes(32), "contentSize": 0}
    active.attest(**nothing)
    active.attest(**nothing)
    with refused("Campaign_BadContent", bytes(32), 0):
        active.attest(**nothing)
    active.attest(contentSize=1)


def test_threat_a_score_below_the_promise_is_refused(active: Campaign) -> None:
    active.attested(1)
    with refused("Campaign_ScoreTooLow", -3_000_000, -3_000_001):
        active.attest(score=-3_000_001)
    active.attest(score=-3_000_000)


@pytest.mark.parametrize("score", [-(2**63), 2**63 - 1])
def test_scores_have_the_full_range(active: Campaign, score: int) -> None:
    active.attest(score=score)
    assert active.ledger["attested"] == 1
