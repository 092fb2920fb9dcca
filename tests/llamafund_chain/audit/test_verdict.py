"""The verdict from the checks alone: what decides, what does not, and what readers are told to do."""

from __future__ import annotations

from typing import Any, cast

import pytest

from llamafund_chain.audit.model import (
    ArbiterFacts,
    Asset,
    Attested,
    CampaignFacts,
    MilestoneReport,
    Person,
    ReportCheck,
    Signer,
    Verdict,
    moment,
)
from llamafund_chain.audit.verdict import RISKS, conclude

WHERE = "0xCA"


def check(status: str, name: str = "one", group: str = "money") -> ReportCheck:
    return ReportCheck.model_validate({"group": group, "name": name, "status": status, "detail": f"{name} said so"})


def facts(**changes: Any) -> CampaignFacts:
    values: dict[str, Any] = {
        "title": "T",
        "summary": "S",
        "status": "Active",
        "researcher": Person(address="0xA1"),
        "attestors": (Person(address="0xC3"),),
        "quorum": 1,
        "arbiter": None,
        "asset": Asset(address=None, symbol="C", decimals=18),
        **dict.fromkeys(("goal", "cap", "stop_support"), "1"),
        "funding_deadline": moment(1),
        "stop_bps": 5_000,
        "challenge_window": 2,
        "proposal": "11" * 32,
        **dict.fromkeys(("dataset", "training_seed", "target")),
        "license": "L",
        "metric": "m",
    }
    return CampaignFacts.model_validate({**values, **changes})


def milestone(state: str = "window-open", index: int = 0, *, attested: bool = True, **changes: Any) -> MilestoneReport:
    signer = Signer(index=0, person=Person(address="0xC3", name=changes.pop("signer", "Cleo")), proof="signature")
    at = Attested(
        evidence="22" * 32,
        at=moment(1),
        window_ends=moment(1_000),
        contested=changes.pop("contested", False),
        score=0,
        content_size=1,
        signers=changes.pop("signers", (signer,)),
        transaction="33" * 32,
        block=1,
    )
    return MilestoneReport.model_validate(
        {
            "index": index,
            "kind": "WEIGHTS",
            "title": "t",
            "bps": 1,
            "tranche": "40",
            "deadline": moment(9),
            "min_score": 0,
            "state": state,
            "attested": at if attested else None,
        }
    )


def verdict(*checks: ReportCheck, of: CampaignFacts | None = None, **changes: Any) -> Verdict:
    milestones = changes.pop("milestones", ())
    return conclude(checks, facts() if of is None else of, milestones, campaign=WHERE, **changes)


# What decides -------------------------------------------------------------------------------------------------------


def test_a_failure_decides_before_what_is_unchecked_and_that_before_what_holds() -> None:
    assert verdict(check("pass")).outcome == "holds"
    assert verdict(check("warn")).outcome == "holds"
    assert verdict(check("pass"), check("unchecked")).outcome == "unchecked"
    assert verdict(check("unchecked"), check("fail")).outcome == "fails"
    counted = verdict(check("pass"), check("warn"), check("warn"), *[check("fail")] * 3, *[check("unchecked")] * 4)
    assert (counted.passed, counted.warned, counted.failed, counted.unchecked) == (1, 2, 3, 4)


def test_risks_are_for_a_person_to_judge_and_leave_nothing_open() -> None:
    found = verdict(check("unchecked", group=RISKS))
    assert (found.outcome, found.unchecked) == ("holds", 1)
    assert "not everything" not in found.headline


@pytest.mark.parametrize(
    ("status", "words"),
    [("Funding", "still collecting"), ("Active", "under way"), ("Completed", "published"), ("Failed", "has failed")],
)
def test_the_headline_says_how_far_the_campaign_is(status: str, words: str) -> None:
    assert words in verdict(check("pass"), of=facts(status=status)).headline
    assert verdict(check("pass"), of=facts(status=status)).headline.startswith("Everything holds")


def test_what_an_audit_of_a_depth_leaves_out_is_said_unless_something_failed() -> None:
    assert "no evidence" in verdict(check("pass"), depth="books").headline
    assert "No training was repeated" in verdict(check("unchecked"), depth="weights").headline
    assert "no evidence" not in verdict(check("fail"), depth="books").headline
    assert "no evidence" not in verdict(check("pass"), depth="books", genuine=False).headline
    assert verdict(check("pass")).headline == "Everything holds so far: the campaign is under way"


def test_what_failed_is_named_once_each_in_order() -> None:
    found = verdict(check("fail", "b"), check("fail", "a"), check("fail", "b"), check("pass"))
    assert found.headline == "3 of 4 checks failed: a, b"


def test_what_could_not_be_checked_is_named_and_accepted_only_on_request() -> None:
    found = verdict(check("unchecked", "b"), check("unchecked", "b"), check("unchecked", "a"))
    assert found.headline.endswith("not everything could be checked: b, a")
    assert not found.unchecked_allowed
    accepted = verdict(check("unchecked"), allow_unchecked=True)
    assert accepted.headline.endswith("The auditor accepts that")
    assert (accepted.outcome, accepted.unchecked_allowed) == ("unchecked", True)
    assert "accepts" not in verdict(check("pass"), allow_unchecked=True).headline
    assert "accepts" not in verdict(check("unchecked"), check("fail"), allow_unchecked=True).headline
    assert "accepts" not in verdict(check("unchecked", group=RISKS), allow_unchecked=True).headline


def test_an_address_that_is_no_campaign_says_nothing_else() -> None:
    found = conclude([check("fail")], None, (), campaign=WHERE, genuine=False)
    assert found.headline == "This is not a genuine LlamaFund campaign: do not send money to it"
    assert conclude([check("pass")], None, (), campaign=WHERE).headline == "Everything holds"


def test_nodes_that_contradict_themselves_or_each_other_are_the_verdict_and_nobody_is_accused() -> None:
    def odd(name: str, contradiction: str) -> ReportCheck:
        return check("unchecked", name).model_copy(update={"contradiction": contradiction})

    itself, other = odd("a", "itself"), odd("b", "each other")
    alone = verdict(check("pass"), itself, odd("c", "itself"))
    assert (alone.outcome, alone.alarms) == ("contradicted", ())
    assert alone.headline.startswith("The node contradicts itself: a said so. This says nothing about")
    for checks in ((itself, other), (other, itself)):
        assert verdict(*checks).headline.startswith("The nodes disagree: b said so.")


# Alarms -------------------------------------------------------------------------------------------------------------

BAD = check("fail", "shards", "milestone 0")


def alarmed(state: str = "window-open", **changes: Any) -> Verdict:
    of = changes.pop("of", None)
    last = changes.pop("last", False)
    several = [milestone(state, **changes)] + ([] if last else [milestone("pending", 1, attested=False)])
    return verdict(BAD, of=of, milestones=several, stop_missing="7", unreleased="60")


def choices(state: str = "window-open", **changes: Any) -> str:
    (alarm,) = alarmed(state, **changes).alarms
    return "\n".join(alarm.choices)


def test_only_an_attested_milestone_of_a_known_campaign_whose_evidence_failed_raises_an_alarm() -> None:
    assert len(alarmed().alarms) == 1
    assert verdict(BAD, milestones=[milestone(attested=False)]).alarms == ()
    assert verdict(check("unchecked", "x", "milestone 0"), milestones=[milestone()]).alarms == ()
    assert verdict(check("fail", "x", "milestone 1"), milestones=[milestone()]).alarms == ()
    assert conclude([BAD], None, [milestone()], campaign=WHERE).alarms == ()


def test_the_headline_tells_what_was_caught_in_time_from_what_was_not() -> None:
    assert alarmed().headline.startswith("Fraud or negligence, caught before the money is released: milestone 0 was")
    assert alarmed().alarms[0].in_time
    assert "not released yet" in alarmed().alarms[0].headline
    late = alarmed("released")
    assert late.headline == "Milestone 0 was attested although its evidence does not hold"
    assert not late.alarms[0].in_time
    assert "not released yet" not in late.alarms[0].headline
    both = verdict(
        BAD, check("fail", "x", "milestone 1"), milestones=[milestone("released"), milestone("window-open", 1)]
    )
    assert "milestone 1 was wrongly attested" in both.headline
    assert len(both.alarms) == 2


def test_six_reasons_are_shown_and_the_rest_is_counted() -> None:
    for number, more in ((6, ""), (7, "and 1 more checks"), (9, "and 3 more checks")):
        failures = [check("fail", f"check-{place}", "milestone 0") for place in range(number)]
        (alarm,) = verdict(*failures, milestones=[milestone()]).alarms
        assert alarm.reasons[:6] == tuple(f"check-{place}: check-{place} said so" for place in range(6))
        assert len(alarm.reasons) == (7 if more else 6)
        assert more in alarm.reasons[-1]


def test_while_the_window_is_open_backers_can_stop_it_unless_it_is_the_last_milestone() -> None:
    told = choices()
    assert "llamafund vote-stop 0xCA: backers of 7 C more must support a stop (50 % of the pledges" in told
    assert "voting opens at" not in told
    assert "No vote can hold back" not in told
    assert "Do not use these weights" not in told
    last = choices(last=True)
    assert "No vote can hold back" in last
    assert "llamafund challenge 0xCA" in last
    assert "vote-stop" not in last
    assert "unless the arbiter" not in last
    assert "Do not use these weights" in last


def test_when_voting_opens_is_said_if_it_is_not_open() -> None:
    several = [milestone(), milestone("pending", 1, attested=False)]
    (alarm,) = verdict(BAD, milestones=several, votes_from=1_000).alarms
    assert "and voting opens at 1970-01-01 00:16:40 UTC" in alarm.choices[0]


def arbiter(**changes: Any) -> CampaignFacts:
    who = {"person": Person(address="0xE5"), "has_code": False, "court": None, "dispute": None, "ruling_window": 9}
    return facts(arbiter=ArbiterFacts.model_validate({**who, **changes}))


@pytest.mark.parametrize(
    ("of", "contested", "words"),
    [
        (arbiter(), False, "Show this report to the arbiter, 0xE5, before"),
        (arbiter(person=Person(address="0xE5", name="Eve")), True, "The arbiter, Eve, contests this attestation"),
        (arbiter(court="0xC0"), False, "llamafund dispute 0xCA --report audit.json asks the court 0xC0"),
        (arbiter(court="0xC0", dispute=0), False, "Dispute 0 about it waits for the court 0xC0"),
    ],
)
def test_the_last_milestone_can_be_taken_to_its_arbiter(of: CampaignFacts, contested: bool, words: str) -> None:
    told = choices(last=True, of=of, contested=contested)
    assert words in told
    assert "unless the arbiter refuses it before" in told
    assert words not in choices(of=of)


def test_what_was_released_is_gone_and_what_was_not_can_still_be_stopped() -> None:
    told = choices("released")
    assert "nothing brings it back" in told
    assert "60 C are not released yet. Backers: llamafund vote-stop" in told
    assert "are not released yet" not in choices("released", last=True)
    assert "are not released yet" not in choices("released", of=facts(status="Completed"))


def test_what_was_withheld_goes_back_and_it_is_said_who_did_that() -> None:
    assert "stopped in time" in choices("withheld")
    assert "The arbiter refused" in choices("withheld", contested=True)
    assert "stopped in time" not in choices("withheld", contested=True)
    # A contest alone is no refusal.
    assert "The arbiter refused" not in choices("released", contested=True)


def test_a_failed_campaign_is_refunded() -> None:
    assert "llamafund refund 0xCA" in choices(of=facts(status="Failed"))
    assert "llamafund refund" not in choices()


def test_whoever_signed_is_named_by_name_or_address_or_said_to_be_nobody() -> None:
    assert choices().endswith("This report proves who vouched for it: Cleo.")
    assert choices(signer="").endswith("vouched for it: 0xC3.")
    assert choices(signers=cast("tuple[Signer, ...]", ())).endswith("vouched for it: nobody.")


def test_the_next_steps_are_handed_on() -> None:
    assert verdict(check("pass"), steps=()).next_steps == ()
