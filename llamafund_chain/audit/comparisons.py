"""The costs of blocking and forcing a stop."""

from __future__ import annotations

from pydantic import JsonValue

from llamafund_chain.amounts import format_amount
from llamafund_chain.campaign.terms import VOTE_DELAY, Terms
from llamafund_chain.checks.check import Finding
from llamafund_chain.times import duration


def cost_of_blocking(terms: Terms, *, decimals: int, symbol: str, pledged: int, researcher_pledge: int) -> Finding:
    """The pledge that can block a stop vote, and whether the researcher has pledged as much.

    Args:
        terms: The terms that the contract enforces.
        decimals: Decimals of the asset.
        symbol: Symbol of the asset.
        pledged: The pool in the asset's smallest unit.
        researcher_pledge: The researcher's part of it.
    """
    blocking = terms.blocking_stake(pledged)
    money = f"{format_amount(blocking, decimals)} {symbol}"
    facts: dict[str, JsonValue] = {
        "blocking": format_amount(blocking, decimals),
        "researcher": format_amount(researcher_pledge, decimals),
    }
    if pledged == 0:
        return Finding("pass", "Nothing is pledged, so there is nothing to stop", facts)
    if researcher_pledge >= blocking:
        detail = (
            f"Whoever has pledged {money} can block a stop vote, and the researcher alone has pledged "
            f"{format_amount(researcher_pledge, decimals)} {symbol}"
        )
        return Finding("warn", detail, facts)
    detail = f"To block a stop vote, somebody must have pledged {money}"
    return Finding("pass", detail, facts)


def cost_of_forcing(terms: Terms, *, decimals: int, symbol: str, pledged: int, open_for_pledges: bool) -> Finding:
    """What somebody must still pledge to stop the campaign alone, and whether the cap leaves room for that.

    That risks nothing: voting opens before anything is paid, and a stop gives all of it back.

    Args:
        terms: The terms that the contract enforces.
        decimals: Decimals of the asset.
        symbol: Symbol of the asset.
        pledged: The pool in the asset's smallest unit.
        open_for_pledges: Whether the campaign accepts more pledges.
    """
    # Below the goal there is nothing to stop, so the money must also fill the pool up to the goal.
    forcing, room = max(terms.forcing_stake(pledged), terms.goal - pledged), terms.cap - pledged
    money = f"{format_amount(forcing, decimals)} {symbol}"
    facts: dict[str, JsonValue] = {
        "forcing": format_amount(forcing, decimals),
        "room": format_amount(room, decimals),
    }
    if pledged == 0:
        return Finding("pass", "Nothing is pledged, so there is nothing to stop", facts)
    if not open_for_pledges:
        return Finding("pass", "Funding is over: nobody can buy the votes that stop the campaign", facts)
    if forcing > room:
        detail = f"To stop the campaign alone, somebody would have to add {money}, but the cap leaves less room"
        return Finding("pass", detail, facts)
    detail = f"Whoever adds {money} can stop the campaign {duration(VOTE_DELAY)} after activation, and gets it back"
    return Finding("warn", detail, facts)
