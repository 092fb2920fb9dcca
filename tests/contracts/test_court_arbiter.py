"""The arbiter that asks a court: what it passes on, and what no court, caller or fake campaign can do to it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from world import (
    ACTIVE,
    COMPLETED,
    DAY,
    ETHER,
    FAILED,
    PROPOSAL,
    ZERO,
    Campaign,
    RevertedError,
    World,
    data_of,
    refused,
)

from llamafund_chain.deployment import court_arbiter
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.store.ipfs.unixfs import cid_to_bytes

NO_DECISION, UPHELD, REFUSED = range(3)
FEE = ETHER // 10
EXTRA_DATA = b"\0" * 31 + b"\3"
QUESTION = "/ipfs/f01551220" + "ab" * 32
EVIDENCE = b"\xe1" * 32
RULING_WINDOW = 30 * DAY
APPEAL_RESERVE = 14 * DAY
SHORTEST_RESERVE, LONGEST_RESERVE = DAY, 60 * DAY
LAST_TRANCHE = 5 * ETHER
"""Of 10 ether, in terms that pay half for the weights."""


class Court:
    """A mock court, the arbiter that asks it, and a campaign with that arbiter, whose weights were just attested.

    The other campaign with the same arbiter waits for its weights.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.mock = world.deploy("MockCourt", FEE)
        self.arbiter = self.arbiter_for(self.mock.address)
        self.other = self.open().attested(2)
        self.campaign = self.open().attested(3)
        self.attested_at = self.campaign.ledger["attestedAt"]
        self.window_end = self.attested_at + self.campaign.terms["challengeWindow"]
        self.rule_by = self.window_end + RULING_WINDOW
        self.appeals_end = self.rule_by - APPEAL_RESERVE

    def arbiter_for(self, court: str, reserve: int = APPEAL_RESERVE) -> Any:
        return self.world.deploy("CourtArbiter", self.world.factory.address, court, EXTRA_DATA, QUESTION, reserve)

    def open(self, **overrides: Any) -> Campaign:
        """A funded, active campaign with this arbiter."""
        named = {"arbiter": self.arbiter.address, "rulingWindow": RULING_WINDOW}
        return self.world.open(**{**named, **overrides}).funded().activated()

    def dispute(
        self,
        campaign: Campaign | None = None,
        *,
        by: str | None = None,
        fee: int = FEE,
        evidence: bytes = EVIDENCE,
        salt: bytes | None = None,
        at: int | None = None,
    ) -> Any:
        campaign = campaign or self.campaign
        call = self.arbiter.functions.dispute(campaign.address, campaign.salt if salt is None else salt, evidence)
        return self.world.send(call, by or self.world.backer0, value=fee, at=at)

    def give(self, ruling: int, dispute: int = 0, *, at: int | None = None, gas: int = 8_000_000) -> Any:
        return self.world.send(self.mock.functions.give(dispute, ruling), self.world.stranger, at=at, gas=gas)

    def submit(self, evidence: bytes, by: str, campaign: Campaign | None = None) -> Any:
        call = self.arbiter.functions.submitEvidence((campaign or self.campaign).address, evidence)
        return self.world.send(call, by)

    def appeal(
        self, campaign: Campaign | None = None, *, by: str | None = None, fee: int = 2 * FEE, at: int | None = None
    ) -> Any:
        call = self.arbiter.functions.appeal((campaign or self.campaign).address)
        return self.world.send(call, by or self.world.compute, value=fee, at=at)

    def running(self, campaign: Campaign | None = None) -> list[Any]:
        return list(self.world.call(self.arbiter.functions.disputeOf((campaign or self.campaign).address)))

    def events(self, name: str, receipt: Any) -> list[dict[str, Any]]:
        from web3.logs import DISCARD

        return [dict(log["args"]) for log in self.arbiter.events[name]().process_receipt(receipt, errors=DISCARD)]

    def completed_at(self, moment: int) -> bool:
        """Whether the campaign completes at that second and not before."""
        self.world.warp(moment - 1)
        before = self.campaign.status
        self.world.warp(moment)
        return (before, self.campaign.status) == (ACTIVE, COMPLETED)


@pytest.fixture
def court(world: World) -> Court:
    return Court(world)


def path_of(evidence: bytes) -> str:
    return f"/ipfs/f01551220{evidence.hex()}"


# ------------------------------------------------------------------- disputes


def test_a_backer_contests_the_weights_and_asks_the_court_in_one_call(world: World, court: Court) -> None:
    receipt = court.dispute()

    assert court.campaign.ledger["contested"] is True
    assert court.campaign.events("Contested", receipt) == [{"ruleBy": court.rule_by}]
    group = int(court.campaign.address, 16)
    assert court.events("Dispute", receipt) == [
        {"arbitrator": court.mock.address, "disputeId": 0, "metaEvidenceId": 0, "evidenceGroupId": group}
    ]
    assert court.events("Evidence", receipt) == [
        {
            "arbitrator": court.mock.address,
            "evidenceGroupId": group,
            "party": world.backer0,
            "evidence": path_of(EVIDENCE),
        }
    ]
    assert court.running() == [True, 0]
    assert world.call(court.mock.functions.arbitrated(0)) == court.arbiter.address


def test_the_path_of_evidence_is_the_raw_cid_of_its_hash() -> None:
    assert path_of(EVIDENCE) == f"/ipfs/f{cid_to_bytes(raw_cid(EVIDENCE.hex())).hex()}"


def test_the_arbiter_says_whom_it_asks_and_what(world: World) -> None:
    mock = world.deploy("MockCourt", FEE)
    arbiter = world.deploy("CourtArbiter", world.factory.address, mock.address, EXTRA_DATA, QUESTION, APPEAL_RESERVE)
    functions = arbiter.functions
    assert world.call(functions.court()) == mock.address
    assert world.call(functions.factory()) == world.factory.address
    assert world.call(functions.extraData()) == EXTRA_DATA
    assert world.call(functions.metaEvidence()) == QUESTION
    assert world.call(functions.appealReserve()) == APPEAL_RESERVE
    assert world.call(functions.disputeFee()) == FEE
    assert [world.call(functions.UPHELD()), world.call(functions.REFUSED())] == [UPHELD, REFUSED]
    (log,) = arbiter.events.MetaEvidence().get_logs(from_block=0)
    assert dict(log["args"]) == {"metaEvidenceId": 0, "evidence": QUESTION}


def test_the_question_numbers_its_answers_as_the_arbiter_does() -> None:
    asked = json.loads(court_arbiter.question())
    assert {"category", "title", "description", "question", "rulingOptions"} <= asked.keys()
    options = asked["rulingOptions"]
    assert options["type"] == "single-select"
    assert (court_arbiter.UPHELD, court_arbiter.REFUSED) == (UPHELD, REFUSED)
    assert "the attestation stands" in options["titles"][UPHELD - 1]
    assert "payees get the last tranche" in options["descriptions"][UPHELD - 1]
    assert "it is refused" in options["titles"][REFUSED - 1]
    assert "backers get the last tranche back" in options["descriptions"][REFUSED - 1]
    assert len(options["titles"]) == len(options["descriptions"]) == 2


def test_a_court_without_code_is_refused(world: World) -> None:
    with refused("CourtArbiter_NoCourt", world.stranger):
        world.deploy("CourtArbiter", world.factory.address, world.stranger, EXTRA_DATA, QUESTION, APPEAL_RESERVE)


def test_an_appeal_reserve_out_of_bounds_is_refused(world: World, court: Court) -> None:
    for reserve in (0, SHORTEST_RESERVE - 1, LONGEST_RESERVE + 1, 2**256 - 1):
        with refused("CourtArbiter_BadAppealReserve", reserve, SHORTEST_RESERVE, LONGEST_RESERVE):
            court.arbiter_for(court.mock.address, reserve)
    for reserve in (SHORTEST_RESERVE, LONGEST_RESERVE):
        assert world.call(court.arbiter_for(court.mock.address, reserve).functions.appealReserve()) == reserve


def test_only_a_backer_disputes(world: World, court: Court) -> None:
    for account in (world.researcher, world.compute, world.stranger):
        with refused("CourtArbiter_NotBacker", account):
            court.dispute(by=account)


def test_evidence_must_be_named(court: Court) -> None:
    with refused("CourtArbiter_EmptyEvidence"):
        court.dispute(evidence=bytes(32))


def test_a_fee_below_the_courts_is_refused(court: Court) -> None:
    with refused("CourtArbiter_FeeTooSmall", FEE, FEE - 1):
        court.dispute(fee=FEE - 1)
    assert court.campaign.ledger["contested"] is False


def test_what_is_too_much_of_a_fee_comes_back(world: World, court: Court) -> None:
    before = world.balance(world.backer0)
    receipt = court.dispute(fee=FEE + ETHER)
    assert before - world.balance(world.backer0) == FEE + receipt["gasUsed"] * receipt["effectiveGasPrice"]
    assert world.balance(court.mock.address) == FEE
    assert world.balance(court.arbiter.address) == 0


def test_the_arbiter_takes_no_money_but_fees(world: World, court: Court) -> None:
    with pytest.raises(RevertedError):
        world.transact({"from": world.stranger, "to": court.arbiter.address, "data": "0x"}, value=1)


def test_a_campaign_is_disputed_once_at_a_time(world: World, court: Court) -> None:
    court.dispute()
    with refused("CourtArbiter_AlreadyDisputed", 0):
        court.dispute(by=world.backer1)


def test_campaigns_are_disputed_beside_each_other(world: World, court: Court) -> None:
    other = court.other.attested(1)
    court.dispute(other)
    court.dispute(by=world.backer1)
    assert (court.running(other), court.running()) == ([True, 0], [True, 1])
    court.give(REFUSED, 1)
    assert (other.status, court.campaign.status) == (ACTIVE, FAILED)
    court.give(UPHELD, 0)
    assert (other.status, other.ledger["contested"]) == (ACTIVE, False)


def test_a_milestone_before_the_last_cannot_be_disputed(court: Court) -> None:
    with refused("Campaign_NothingToContest"):
        court.dispute(court.other)


@pytest.mark.parametrize("late", [0, 1])
def test_a_released_tranche_cannot_be_disputed(court: Court, late: int) -> None:
    with refused("Campaign_WrongStatus", COMPLETED):
        court.dispute(at=court.window_end + late)


def test_the_last_second_of_the_window_is_early_enough(court: Court) -> None:
    court.dispute(at=court.window_end - 1)
    assert court.campaign.ledger["contested"] is True


# -------------------------------------------------------------------- rulings


def test_a_refusal_gives_every_backer_the_last_tranche_back(world: World, court: Court) -> None:
    court.dispute()
    receipt = court.give(REFUSED, at=court.rule_by - 1)

    assert court.campaign.events("Ruled", receipt) == [{"upheld": False}]
    assert court.events("Ruling", receipt) == [{"arbitrator": court.mock.address, "disputeId": 0, "ruling": REFUSED}]
    assert court.campaign.status == FAILED
    refunds = [court.campaign.read("refundable", backer) for backer in (world.backer0, world.backer1)]
    assert refunds == [LAST_TRANCHE * 6 // 10, LAST_TRANCHE * 4 // 10]
    assert court.running() == [False, 0]


def test_an_upheld_attestation_waits_for_nothing_but_its_window(court: Court) -> None:
    court.dispute()
    receipt = court.give(UPHELD)
    assert court.campaign.events("Ruled", receipt) == [{"upheld": True}]
    assert court.completed_at(court.window_end)


def test_an_attestation_upheld_after_its_window_is_paid_at_once(court: Court) -> None:
    court.dispute()
    court.give(UPHELD, at=court.window_end)
    assert court.campaign.status == COMPLETED


@pytest.mark.parametrize("ruling", [NO_DECISION, 3, 2**255])
def test_no_decision_leaves_the_campaign_as_it_was(court: Court, ruling: int) -> None:
    court.dispute()
    receipt = court.give(ruling)
    assert court.campaign.events("Ruled", receipt) == []
    assert court.events("Ruling", receipt) == [{"arbitrator": court.mock.address, "disputeId": 0, "ruling": ruling}]
    assert court.campaign.ledger["contested"] is True
    assert court.completed_at(court.rule_by)


@pytest.mark.parametrize("ruling", [UPHELD, REFUSED])
def test_a_ruling_that_comes_too_late_leaves_the_campaign_as_it_was(court: Court, ruling: int) -> None:
    court.dispute()
    receipt = court.give(ruling, at=court.rule_by)
    assert court.events("RulingTooLate", receipt) == [{"campaign": court.campaign.address, "disputeId": 0}]
    assert court.campaign.events("Ruled", receipt) == []
    assert court.campaign.status == COMPLETED
    assert court.running() == [False, 0]


@pytest.mark.parametrize("ruling", [UPHELD, REFUSED])
def test_a_ruling_on_a_campaign_that_failed_meanwhile_changes_nothing(world: World, court: Court, ruling: int) -> None:
    from content import CHUNK, Bytes

    content = Bytes(3 * CHUNK)
    campaign = court.other
    campaign.attest_content(content)
    court.dispute(campaign)
    campaign.challenge(content, 1)
    world.warp(campaign.answer_by)
    assert campaign.status == FAILED
    receipt = court.give(ruling)
    assert court.events("RulingTooLate", receipt) == [{"campaign": campaign.address, "disputeId": 0}]
    assert campaign.status == FAILED
    assert campaign.read("refundable", world.backer1) == LAST_TRANCHE * 4 // 10


def test_threat_a_court_that_never_answers_cannot_keep_the_last_tranche(court: Court) -> None:
    court.dispute()
    assert court.completed_at(court.rule_by)


def test_a_court_that_did_not_decide_can_be_asked_again(world: World, court: Court) -> None:
    court.dispute()
    court.give(NO_DECISION, at=court.window_end + DAY)
    court.dispute(by=world.backer1, at=court.rule_by - 2)
    assert court.running() == [True, 1]
    court.give(REFUSED, 1)
    assert court.campaign.status == FAILED


def test_a_court_that_did_not_decide_is_not_asked_again_when_it_is_too_late(court: Court) -> None:
    court.dispute()
    court.give(NO_DECISION)
    with refused("CourtArbiter_TooLate", court.rule_by):
        court.dispute(at=court.rule_by)


def test_no_fee_is_taken_for_a_question_whose_answer_could_not_count(world: World, court: Court) -> None:
    """A challenge keeps the campaign active after the last second for a ruling."""
    from content import CHUNK, Bytes

    content = Bytes(3 * CHUNK)
    campaign = court.other
    campaign.attest_content(content)
    end = campaign.window_end + RULING_WINDOW
    court.dispute(campaign)
    court.give(NO_DECISION)
    world.send(campaign.functions.challenge(content.root, content.size, 0), world.backer0, value=ETHER, at=end - 1)
    world.warp(end)
    assert campaign.status == ACTIVE
    with refused("CourtArbiter_TooLate", end):
        court.dispute(campaign)


def test_a_refused_campaign_is_not_disputed_again(world: World, court: Court) -> None:
    """It is told that it has failed, and no time that is still ahead."""
    court.dispute()
    court.give(REFUSED)
    with refused("CourtArbiter_CampaignEnded", FAILED):
        court.dispute()
    assert world.now() < court.rule_by


def test_threat_a_sham_dispute_that_is_upheld_in_the_challenge_window_leaves_the_right_to_a_real_one(
    world: World, court: Court
) -> None:
    court.dispute(by=world.backer1)
    court.give(UPHELD)
    court.dispute(at=court.window_end - 2)
    court.give(REFUSED, 1)
    assert court.campaign.status == FAILED


def test_threat_honest_evidence_reaches_a_sham_dispute(world: World, court: Court) -> None:
    """Who starts it does not matter: the question is the same, and everybody's evidence goes to the same jurors."""
    (sham,) = court.events("Dispute", court.dispute(by=world.backer1, evidence=b"\x01" * 32))
    with refused("CourtArbiter_AlreadyDisputed", 0):
        court.dispute(by=world.backer0)
    honest = court.submit(EVIDENCE, world.backer0)
    (submitted,) = court.events("Evidence", honest)
    assert (submitted["evidence"], submitted["party"]) == (path_of(EVIDENCE), world.backer0)
    assert (submitted["arbitrator"], submitted["evidenceGroupId"]) == (sham["arbitrator"], sham["evidenceGroupId"])
    court.give(REFUSED, at=court.window_end + 5)
    refunds = [court.campaign.read("refundable", backer) for backer in (world.backer0, world.backer1)]
    assert sum(refunds) == LAST_TRANCHE


def test_threat_a_sham_dispute_that_is_upheld_after_the_challenge_window_is_the_last_word(
    world: World, court: Court
) -> None:
    """What remains: one ruling on one question, and no second one once the window is over."""
    court.dispute(by=world.backer1)
    court.give(UPHELD, at=court.window_end + 5)
    assert court.campaign.status == COMPLETED
    with refused("Campaign_WrongStatus", COMPLETED):
        court.dispute()


def test_nobody_but_the_court_rules(world: World, court: Court) -> None:
    court.dispute()
    for account in (world.researcher, world.backer0, world.stranger):
        with refused("CourtArbiter_NotCourt", account):
            world.send(court.arbiter.functions.rule(0, REFUSED), account)


def test_threat_another_court_cannot_rule(world: World, court: Court) -> None:
    other = world.deploy("Puppet")
    court.dispute()
    data = data_of(court.arbiter.functions.rule(0, REFUSED))
    with refused("CourtArbiter_NotCourt", other.address):
        world.send(other.functions.execute(court.arbiter.address, 0, data), world.stranger)


def test_a_dispute_is_ruled_on_once(court: Court) -> None:
    court.dispute()
    court.give(UPHELD)
    with refused("CourtArbiter_UnknownDispute", 0):
        court.give(REFUSED)


def test_threat_a_court_rules_on_nothing_that_it_was_not_asked(world: World, court: Court) -> None:
    puppet = world.deploy("Puppet")
    arbiter = court.arbiter_for(puppet.address)
    data = data_of(arbiter.functions.rule(7, REFUSED))
    with refused("CourtArbiter_UnknownDispute", 7):
        world.send(puppet.functions.execute(arbiter.address, 0, data), world.stranger)


def test_threat_a_number_that_is_used_twice_moves_no_ruling_to_another_campaign(world: World, court: Court) -> None:
    other = court.other.attested(1)
    court.dispute()
    world.send(court.mock.functions.setNext(0), world.stranger)
    with refused("CourtArbiter_DisputeIdInUse", 0):
        court.dispute(other)
    assert other.ledger["contested"] is False
    court.give(UPHELD)
    court.dispute(other)
    court.give(REFUSED)
    assert (court.campaign.status, other.status) == (ACTIVE, FAILED)


def test_threat_a_ruling_cannot_be_wasted_by_giving_it_too_little_gas(world: World, court: Court) -> None:
    """Anyone has a court's ruling executed: with any amount of gas it either arrives, or can be executed again."""
    court.dispute()
    spent = court.world.w3.eth.estimate_gas(
        {"from": world.stranger, "to": court.mock.address, "data": data_of(court.mock.functions.give(0, REFUSED))}
    )
    outcomes = set()
    for gas in range(26_000, 2 * spent, 500):
        before = world.devnet.snapshot()
        try:
            court.give(REFUSED, gas=gas)
        except RevertedError as error:
            outcomes.add(error.name)
            assert court.running() == [True, 0]
            assert court.campaign.status == ACTIVE
        else:
            outcomes.add("arrived")
            assert court.campaign.status == FAILED
        world.devnet.revert(before)
    assert {"CourtArbiter_OutOfGas", "arrived"} <= outcomes


# -------------------------------------------------------------- fake campaigns


def test_threat_what_the_factory_did_not_open_is_not_even_called(world: World, court: Court) -> None:
    """A fake campaign could lie about its backers, call back, or burn the gas of a ruling: none is ever called."""
    puppet = world.deploy("Puppet")
    for address in (puppet.address, world.stranger, world.implementation.address, ZERO):
        with refused("CourtArbiter_NotACampaign", address):
            world.send(
                court.arbiter.functions.dispute(address, court.campaign.salt, EVIDENCE), world.backer0, value=FEE
            )
    with refused("CourtArbiter_NotACampaign", court.campaign.address):
        court.dispute(salt=bytes(32))


@pytest.mark.parametrize("contested", [False, True])
def test_a_campaign_with_another_arbiter_is_not_disputed_here(world: World, court: Court, contested: bool) -> None:
    campaign = court.open(arbiter=world.elsewhere).attested(3)
    if contested:
        world.send(campaign.functions.contest(), world.elsewhere)
    with refused("CourtArbiter_NotItsArbiter", world.elsewhere):
        court.dispute(campaign)
    nobody = court.open(arbiter=ZERO, rulingWindow=0, proposal=PROPOSAL[::-1]).attested(3)
    with refused("CourtArbiter_NotItsArbiter", ZERO):
        court.dispute(nobody)


# ----------------------------------------------------------------- reentrancy


def test_threat_a_court_that_calls_back_disputes_and_rules_nothing_twice(world: World, court: Court) -> None:
    campaign, functions = court.campaign, court.arbiter.functions
    calls = {
        "dispute": functions.dispute(campaign.address, campaign.salt, EVIDENCE),
        "appeal": functions.appeal(campaign.address),
        "rule": functions.rule(0, UPHELD),
        "submitEvidence": functions.submitEvidence(campaign.address, EVIDENCE),
    }
    for name, call in calls.items():
        before = world.devnet.snapshot()
        world.send(court.mock.functions.setReentry(court.arbiter.address, data_of(call)), world.stranger)
        court.dispute()
        assert world.call(court.mock.functions.reentered()) is False, name
        assert court.running() == [True, 0]
        court.give(REFUSED)
        assert campaign.status == FAILED
        world.devnet.revert(before)


def test_threat_a_court_that_rules_while_it_is_asked_to_appeal_rules_once(world: World, court: Court) -> None:
    court.dispute()
    call = court.mock.functions.give(0, UPHELD)
    world.send(court.mock.functions.setReentry(court.mock.address, data_of(call)), world.stranger)
    court.appeal()
    assert world.call(court.mock.functions.reentered()) is True
    with refused("CourtArbiter_UnknownDispute", 0):
        court.give(REFUSED)
    assert court.running() == [False, 0]


def test_threat_a_backer_that_calls_back_when_the_rest_of_its_fee_arrives_gains_nothing(
    world: World, court: Court
) -> None:
    puppet = world.deploy("Puppet")
    named = {"arbiter": court.arbiter.address, "rulingWindow": RULING_WINDOW}
    campaign = world.open(**named)
    campaign.pledge(puppet.address, 10 * ETHER, payer=world.backer0)
    campaign.activated().attested(3)
    call = data_of(court.arbiter.functions.dispute(campaign.address, campaign.salt, EVIDENCE))
    for again in (call, data_of(court.arbiter.functions.appeal(campaign.address))):
        before = world.devnet.snapshot()
        world.send(puppet.functions.setReentry(court.arbiter.address, again), world.stranger)
        execute = puppet.functions.execute(court.arbiter.address, ETHER, call)
        world.send(execute, world.stranger, value=ETHER)
        assert world.call(puppet.functions.reentered()) is False
        assert world.balance(puppet.address) == ETHER - FEE
        assert court.running(campaign) == [True, 0]
        world.devnet.revert(before)


def test_a_backer_that_refuses_the_rest_of_its_fee_pays_exactly(world: World, court: Court) -> None:
    puppet = world.deploy("Puppet")
    named = {"arbiter": court.arbiter.address, "rulingWindow": RULING_WINDOW}
    campaign = world.open(**named)
    campaign.pledge(puppet.address, 10 * ETHER, payer=world.backer0)
    campaign.activated().attested(3)
    world.send(puppet.functions.setMood(1), world.stranger)
    call = data_of(court.arbiter.functions.dispute(campaign.address, campaign.salt, EVIDENCE))
    with pytest.raises(RevertedError):
        world.send(puppet.functions.execute(court.arbiter.address, FEE + 1, call), world.stranger, value=FEE + 1)
    world.send(puppet.functions.execute(court.arbiter.address, FEE, call), world.stranger, value=FEE)
    assert court.running(campaign) == [True, 0]


# ---------------------------------------------------------- evidence, appeals


def test_every_side_submits_evidence_to_a_running_dispute(world: World, court: Court) -> None:
    court.dispute()
    for number, party in enumerate((world.researcher, world.backer1, world.stranger)):
        evidence = bytes([0xA0 + number]) * 32
        assert court.events("Evidence", court.submit(evidence, party)) == [
            {
                "arbitrator": court.mock.address,
                "evidenceGroupId": int(court.campaign.address, 16),
                "party": party,
                "evidence": path_of(evidence),
            }
        ]


def test_evidence_belongs_to_a_running_dispute_and_has_a_name(world: World, court: Court) -> None:
    with refused("CourtArbiter_NoDispute", court.campaign.address):
        court.submit(EVIDENCE, world.backer0)
    court.dispute()
    with refused("CourtArbiter_EmptyEvidence"):
        court.submit(bytes(32), world.backer0)
    court.give(UPHELD)
    with refused("CourtArbiter_NoDispute", court.campaign.address):
        court.submit(EVIDENCE, world.backer0)


def test_anyone_pays_for_an_appeal(world: World, court: Court) -> None:
    court.dispute()
    assert world.call(court.arbiter.functions.appealFee(court.campaign.address)) == 2 * FEE
    before = world.balance(world.compute)
    receipt = court.appeal(fee=3 * FEE)
    assert before - world.balance(world.compute) == 2 * FEE + receipt["gasUsed"] * receipt["effectiveGasPrice"]
    assert world.call(court.mock.functions.appeals(0)) == 1
    (decision,) = court.mock.events.AppealDecision().process_receipt(receipt)
    assert dict(decision["args"]) == {"disputeId": 0, "arbitrable": court.arbiter.address}
    with refused("CourtArbiter_FeeTooSmall", 2 * FEE, 2 * FEE - 1):
        court.appeal(fee=2 * FEE - 1)


def test_threat_a_loser_cannot_appeal_until_the_ruling_comes_too_late(world: World, court: Court) -> None:
    """The payee gains the last tranche by silence, so each round that it buys must end in time."""
    court.dispute()
    court.appeal(by=world.compute, at=court.appeals_end - 1)
    paid = world.balance(court.mock.address)
    for late in (0, 1):
        with refused("CourtArbiter_TooLateToAppeal", court.appeals_end):
            court.appeal(by=world.compute, at=court.appeals_end + late)
    with refused("CourtArbiter_TooLateToAppeal", court.appeals_end):
        world.call(court.arbiter.functions.appealFee(court.campaign.address))
    assert world.balance(court.mock.address) == paid
    court.give(REFUSED, at=court.rule_by - 1)
    assert court.campaign.status == FAILED
    refunds = [court.campaign.read("refundable", backer) for backer in (world.backer0, world.backer1)]
    assert sum(refunds) == LAST_TRANCHE


def test_an_appeal_takes_no_fee_once_no_ruling_counts(world: World, court: Court) -> None:
    court.dispute()
    paid = world.balance(court.mock.address)
    with refused("CourtArbiter_TooLateToAppeal", court.appeals_end):
        court.appeal(at=court.rule_by + DAY)
    assert court.campaign.status == COMPLETED
    assert world.balance(court.mock.address) == paid


def test_an_appeal_takes_no_fee_from_a_campaign_that_failed_before_its_ruling(world: World, court: Court) -> None:
    from content import CHUNK, Bytes

    content = Bytes(3 * CHUNK)
    campaign = court.other
    campaign.attest_content(content)
    court.dispute(campaign)
    campaign.challenge(content, 1)
    world.warp(campaign.answer_by)
    paid = world.balance(court.mock.address)
    with refused("CourtArbiter_CampaignEnded", FAILED):
        court.appeal(campaign)
    assert world.balance(court.mock.address) == paid


@pytest.mark.parametrize("reserve", [DAY, RULING_WINDOW])
def test_a_window_that_is_no_longer_than_the_reserve_leaves_at_most_the_challenge_window_for_appeals(
    world: World, court: Court, reserve: int
) -> None:
    arbiter = court.arbiter_for(court.mock.address, reserve)
    campaign = court.open(arbiter=arbiter.address).attested(3)
    end = campaign.ledger["attestedAt"] + campaign.terms["challengeWindow"] + RULING_WINDOW - reserve
    dispute = arbiter.functions.dispute(campaign.address, campaign.salt, EVIDENCE)
    world.send(dispute, world.backer0, value=FEE, at=campaign.window_end - 2)
    appeal = arbiter.functions.appeal(campaign.address)
    world.send(appeal, world.compute, value=2 * FEE, at=end - 1)
    with refused("CourtArbiter_TooLateToAppeal", end):
        world.send(appeal, world.compute, value=2 * FEE, at=end)


def test_there_is_nothing_to_appeal_without_a_dispute(world: World, court: Court) -> None:
    with refused("CourtArbiter_NoDispute", court.campaign.address):
        court.appeal()
    with refused("CourtArbiter_NoDispute", court.campaign.address):
        world.call(court.arbiter.functions.appealFee(court.campaign.address))
