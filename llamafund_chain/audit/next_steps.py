"""What can still be done with a campaign, by whom and until when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from llamafund_chain.audit.model import Acting, NextStep, moment
from llamafund_chain.campaign.arbiter import Arbiter
from llamafund_chain.campaign.state import CampaignState
from llamafund_chain.campaign.terms import Status, Terms


@dataclass(frozen=True)
class Situation:
    """Where a campaign stands.

    Attributes:
        campaign: Its address.
        terms: Its terms.
        state: Everything about it at one block.
        arbiter: `None` if there is none.
        refundable: What backers can get back now, smallest units.
        bonds: Wei that challengers can reclaim or that wait for an answer.
        amount: Writes smallest units as whole coins, with their unit.
    """

    campaign: str
    terms: Terms
    state: CampaignState
    arbiter: Arbiter | None
    refundable: int
    bonds: int
    amount: Callable[[int], str]

    def step(self, who: Acting, what: str, command: str, *, opens: int = 0, until: int = 0) -> NextStep:
        """A step; `command` has braces for the campaign, 0 means no time."""
        now = self.state.timestamp
        return NextStep(
            who=who,
            what=what,
            command=f"llamafund {command.format(self.campaign)}" if command else "",
            opens=moment(opens) if opens > now else None,
            until=moment(until) if until else None,
        )

    @property
    def window_end(self) -> int:
        """When the latest attestation's window ends; 0 if it is over, or there is none."""
        end = self.state.window_end(self.terms)
        return end if self.state.timestamp < end else 0

    @property
    def all_attested(self) -> bool:
        """Whether the weights are attested."""
        return self.state.attested == len(self.terms.milestones)


def next_steps(at: Situation) -> Iterator[NextStep]:
    """The steps that are open, most urgent first."""
    match at.state.status:
        case Status.FUNDING:
            yield from _funding(at)
        case Status.ACTIVE:
            yield from _active(at)
        case Status.FAILED:
            if at.refundable:
                yield at.step("backers", f"Collect refunds: {at.amount(at.refundable)} in all", "refund {}")
            if at.bonds:
                yield at.step("challengers", "Reclaim the bonds of unanswered challenges", "return-bond {}")
    if any(at.state.claimable):
        yield at.step("payees", f"Collect what was released: {at.amount(sum(at.state.claimable))} in all", "claim {}")


def _funding(at: Situation) -> Iterator[NextStep]:
    terms, state = at.terms, at.state
    is_open = state.timestamp < terms.funding_deadline
    if is_open and state.pledged < terms.cap:
        room = at.amount(terms.cap - state.pledged)
        yield at.step("anyone", f"Pledge up to {room}", "pledge {} AMOUNT", until=terms.funding_deadline)
    if 0 < state.pledged < terms.goal:
        yield at.step("backers", "Take pledges back", "unpledge {} all", until=terms.funding_deadline)
    if state.pledged >= terms.goal:
        by = state.deadline(terms, 0)
        if is_open and state.pledged < terms.cap:
            yield at.step("researcher", "Close funding and start", "campaign activate {}", until=by)
        else:
            yield at.step("anyone", "Start the campaign", "campaign activate {}", until=by)


def _active(at: Situation) -> Iterator[NextStep]:
    terms, state = at.terms, at.state
    if state.challenged_at:
        by = state.challenged_at + terms.answer_window
        yield at.step("anyone", "Answer the oldest open challenge, or the campaign fails", "answer {}", until=by)
    if at.all_attested:
        yield from _contest(at)
    else:
        yield at.step("backers", "Vote to stop, until the weights are attested", "vote-stop {}", opens=state.votes_from)
    if at.window_end:
        what = "Challenge a part of the content that cannot be fetched"
        yield at.step("backers", what, "challenge {} --chunk NUMBER", until=at.window_end)
    if not at.all_attested:
        index = state.attested
        what = f"Attest milestone {index} ({terms.milestones[index].kind.name})"
        yield at.step(
            "attestors",
            what,
            f"attest {{}} --milestone {index} --evidence HASH",
            opens=state.window_end(terms),
            until=state.deadline(terms, index),
        )


def _contest(at: Situation) -> Iterator[NextStep]:
    """What the arbiter can still do, and who can ask it to."""
    arbiter, end = at.arbiter, at.window_end
    if arbiter is None or not end:
        return
    money = at.amount(at.state.pledged - at.state.released)
    if arbiter.court is None:
        if at.state.contested:
            what = f"Rule whether the last tranche, {money}, is paid or goes back"
            yield at.step("arbiter", what, "rule {} --refuse", until=end)
        else:
            yield at.step("arbiter", f"Contest the last attestation, which releases {money}", "contest {}", until=end)
    elif arbiter.dispute is None:
        what = f"Ask the court to refuse the last tranche, {money}"
        yield at.step("backers", what, "dispute {} --report audit.json", until=end)
    else:
        what = f"Add evidence to dispute {arbiter.dispute}, about the last tranche, {money}"
        yield at.step("anyone", what, "dispute {} --add --report audit.json", until=end)
        yield at.step("court", f"Rule on dispute {arbiter.dispute}", "", until=end)
