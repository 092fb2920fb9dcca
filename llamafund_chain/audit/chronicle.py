"""What happened to a campaign and what is to come, as dated sentences."""

from __future__ import annotations

from collections.abc import Iterator

from llamafund_chain.audit.model import Happening, moment
from llamafund_chain.audit.timeline import Story
from llamafund_chain.campaign.state import CampaignState
from llamafund_chain.campaign.terms import VOTE_DELAY, Status, Terms


def chronicle(story: Story, terms: Terms, state: CampaignState) -> tuple[Happening, ...]:
    """The moments that decide about the money, in order of time.

    Args:
        story: The campaign's events, added up.
        terms: The campaign's terms.
        state: Its state at the block at which the audit reads.
    """
    moments = [
        *_started(story, state),
        *_past(story, terms),
        *_windows(story, terms, state.timestamp),
        *_to_come(story, terms, state),
    ]
    return tuple(sorted(moments, key=lambda one: one.at))


def _started(story: Story, state: CampaignState) -> Iterator[Happening]:
    if story.activated is not None:
        yield Happening(
            at=moment(state.votes_from - VOTE_DELAY),
            what="Activated: pledges are locked, and the training seed is drawn",
            transaction=story.activated.tx_hash,
        )


def _past(story: Story, terms: Terms) -> Iterator[Happening]:
    for index, one in enumerate(story.attested):
        signers = one.signers.bit_count()
        kind = one.attestation.kind.name.lower()
        what = f"Milestone {index} ({kind}) attested by {signers} of {len(terms.attestors)} attestors"
        yield Happening(at=moment(one.at), what=what, transaction=one.tx_hash)
    for contest in story.contests:
        yield Happening(at=moment(contest.at), what="The arbiter contested the last attestation")
        if contest.ruled_at is not None:
            ruling = "upheld" if contest.upheld else "refused"
            yield Happening(at=moment(contest.ruled_at), what=f"The arbiter {ruling} the last attestation")
    for chunk, (at, _) in story.ledger.challenges.items():
        yield Happening(at=moment(at), what=f"Chunk {chunk} of the content was challenged; nobody has answered")
    refused = {contest.ruled_at for contest in story.contests if contest.upheld is False}
    if story.ledger.stopped_at is not None and story.ledger.stopped_at not in refused:
        yield Happening(at=moment(story.ledger.stopped_at), what="Backers stopped the campaign")


def _windows(story: Story, terms: Terms, now: int) -> Iterator[Happening]:
    """The ends of the challenge windows: of the last attestation the real one, which a contest prolongs."""
    released = story.ledger.released_milestones(story.rules, now)
    for index, one in enumerate(story.attested):
        last = one is story.attested[-1]
        end = story.ledger.window_end(story.rules) if last else one.at + terms.challenge_window
        if index < released:
            yield Happening(at=moment(end), what=f"Challenge window of milestone {index} over: its tranche is released")
        elif story.ledger.status(story.rules, now) == "Active" and end > now:
            what = f"Challenge window of milestone {index} ends: its tranche is released if nothing holds it back"
            yield Happening(at=moment(end), what=what, to_come=True)


def _to_come(story: Story, terms: Terms, state: CampaignState) -> Iterator[Happening]:
    now = state.timestamp
    funding_over = now >= terms.funding_deadline or story.activated is not None
    what = "Funding deadline"
    if not funding_over or story.activated is None:
        yield Happening(at=moment(terms.funding_deadline), what=what, to_come=not funding_over)
    if state.status not in (Status.FUNDING, Status.ACTIVE):
        return
    if story.activated is not None and state.votes_from > now:
        yield Happening(at=moment(state.votes_from), what="Backers can vote to stop from here on", to_come=True)
    if state.challenged_at:
        by = state.challenged_at + terms.answer_window
        yield Happening(
            at=moment(by), what="The oldest challenge must be answered, or the campaign fails", to_come=True
        )
    for index in range(len(story.attested), len(terms.milestones)):
        due = story.ledger.deadline(story.rules, index)
        kind = terms.milestones[index].kind.name.lower()
        what = f"Milestone {index} ({kind}) must be attested, or the campaign fails"
        yield Happening(at=moment(due), what=what, to_come=True)
