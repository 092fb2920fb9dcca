"""A finished campaign's ledger, from the chain: who put in how much, and who got how much out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamafund_chain.campaign.events import Claimed, Pledged, Refunded, Unpledged
from llamafund_chain.demo.facts import CampaignFact, Share

if TYPE_CHECKING:
    from llamafund_chain.campaign.client import CampaignClient
    from llamafund_chain.demo.stage import Stage


def close_ledger(stage: Stage, client: CampaignClient, name: str, title: str, ending: str) -> CampaignFact:
    """Add up a finished campaign and expect that no unit is missing.

    What was paid and refunded is added up from events. What was pledged and what is left comes from the contract's
    state and balance. So the two sides of the equation have different sources.

    Args:
        stage: The story so far.
        client: The campaign: completed or failed, with everything claimed and refunded.
        name: What the story calls it.
        title: The proposal's title.
        ending: What became of it, as a sentence.
    """
    state, asset, events = client.state(), client.asset, client.events()
    called = {address: who for who, address in stage.addresses.items()}
    backers: dict[str, list[int]] = {}
    payees = [0] * len(client.terms.payees)
    taken_back = 0
    for event in events:
        match event:
            case Pledged():
                backers.setdefault(event.backer, [0, 0])[0] += event.amount
            case Unpledged():
                backers[event.backer][0] -= event.amount
                taken_back += event.amount
            case Refunded():
                backers[event.backer][1] += event.amount
            case Claimed():
                payees[event.payee] += event.amount
            case _:
                pass
    paid, refunded = sum(payees), sum(returned for _, returned in backers.values())
    dust = state.balance
    balanced = state.pledged == paid + refunded + dust and dust <= len(backers)
    fact = CampaignFact(
        name=name,
        title=title,
        address=client.address,
        asset=asset.unit,
        decimals=asset.decimals,
        status=state.status.label,
        ending=ending,
        pledged=asset.plain(state.pledged),
        taken_back=asset.plain(taken_back),
        paid=asset.plain(paid),
        refunded=asset.plain(refunded),
        dust=asset.plain(dust),
        balanced=balanced,
        backers=[
            Share(
                name=called.get(address, address),
                account=address,
                pledged=asset.plain(pledged),
                refunded=asset.plain(returned),
            )
            for address, (pledged, returned) in backers.items()
        ],
        payees=[
            Share(name=called.get(payee.account, payee.account), account=payee.account, paid=asset.plain(amount))
            for payee, amount in zip(client.terms.payees, payees, strict=True)
        ],
    )
    stage.facts.campaigns.append(fact)
    rest = f" + {fact.dust} left by rounding" if dust else ""
    stage.expect(
        "To the last unit",
        balanced,
        f"{fact.pledged} {asset.unit} pledged = {fact.paid} paid + {fact.refunded} refunded{rest}",
    )
    return fact
