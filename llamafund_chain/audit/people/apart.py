"""Whether those who should be apart are: attestors, the arbiter, and whoever gets the money. Warnings, never proofs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import TYPE_CHECKING

from pydantic import JsonValue

from llamafund_chain.audit.findings import Findings
from llamafund_chain.audit.model import PeopleGraph, PersonNode, PersonTie
from llamafund_chain.audit.people.movements import Movements
from llamafund_chain.audit.people.relations import Relations, Tie, TieKind, look_at_relations
from llamafund_chain.audit.verdict import RISKS
from llamafund_chain.campaign.factory import recorded_block
from llamafund_chain.campaign.terms import BPS, Terms
from llamafund_chain.chain.node_errors import RpcError
from llamafund_chain.checks.check import Finding
from llamafund_chain.errors import UncheckedError
from llamafund_chain.text import counted

if TYPE_CHECKING:
    from llamafund_chain.audit.ledger import Ledger
    from llamafund_chain.campaign.client import CampaignClient
    from llamafund_chain.evidence.manifests import ProposalManifest

_CLOSE: tuple[TieKind, ...] = ("acts-for", "pays-on", "moved", "same-name")
_ALL: tuple[TieKind, ...] = (*_CLOSE, "paid-first")
_NO_PROOF = "This is no proof: ask them"
_LISTED = 20


def look_at_people(
    client: CampaignClient,
    ledger: Ledger,
    movements: Movements,
    proposal: ProposalManifest | None,
    head: int,
    money: Callable[[int], str],
    findings: Findings,
) -> PeopleGraph | None:
    """Look for ties between people who should be apart, and draw them.

    Args:
        client: The campaign, proven to be one.
        ledger: From its events.
        movements: From the same events.
        proposal: `None` if it was not read.
        head: Number of the block to look at.
        money: Writes amounts with their unit.
        findings: Where results go.

    Returns:
        `None` if the node did not tell.
    """
    terms = client.terms

    def look() -> Relations:
        try:
            created = client.verify_code().created
            first = recorded_block(client.connection) if created is None else created
            return look_at_relations(client.connection, terms, ledger, movements, proposal, first, head, money)
        except RpcError as error:
            raise UncheckedError(error.what, error.why, error.remedy) from error

    found = findings.attempt(RISKS, "people-readable", look)
    if found is None:
        return None
    findings.check(RISKS, wallets_apart, found)
    findings.check(RISKS, first_payments_apart, found)
    findings.check(RISKS, stakes_apart, terms, found, ledger.pledged, money)
    findings.check(RISKS, attestors_gain, terms, found, ledger.pledged, money)
    return _graph(found)


def wallets_apart(found: Relations) -> Finding:
    """Whether owners, splitters, payments for others or names tie people together who should be apart."""
    conflicts = list(_conflicts(found, _CLOSE))
    looked = f"the code of {counted(len(found.roles), 'account')} and {counted(found.movements, 'payment')} for others"
    if not conflicts:
        return Finding("pass", f"Nothing ties attestors, arbiter and payees together in {looked}", {"ties": []})
    return _warned(found, conflicts, _CLOSE)


def first_payments_apart(found: Relations) -> Finding:
    """Whether the same account first paid people who should be apart, or one of them another."""
    close = {pair for pair, _ in _conflicts(found, _CLOSE)}
    conflicts = [(pair, words) for pair, words in _conflicts(found, _ALL) if pair not in close]
    if conflicts:
        return _warned(found, conflicts, _ALL)
    apart = [account for account, role in found.roles.items() if _judged(role)]
    untold = {account: why for account, why in found.origins.untold.items() if account in apart}
    data: dict[str, JsonValue] = {"hops": found.origins.hops, "untold": {**untold}}
    if untold:
        account, why = next(iter(untold.items()))
        detail = f"Who first paid {counted(len(untold), 'account')} could not be told: {found.named(account)}, {why}"
        return Finding("unchecked", detail, data)
    unpaid = sum(1 for account in apart if account in found.origins.unpaid)
    detail = (
        f"No two who should be apart got their first coins from the same account, {found.origins.hops} payers back "
        f"({unpaid} never held any); later payments were not looked at"
    )
    return Finding("pass", detail, data)


def stakes_apart(terms: Terms, found: Relations, pledged: int, money: Callable[[int], str]) -> Finding | None:
    """Whether pledges that can block a stop vote are tied to whom a stop would cost; `None` without a pledge.

    Args:
        terms: The terms.
        found: The ties.
        pledged: The pool in the asset's smallest unit.
        money: Writes amounts with their unit.
    """
    if not pledged:
        return None
    blocking = terms.blocking_stake(pledged)
    looked = f"{len(found.pledges)} of {counted(found.backers, 'backer')}"
    for group in found.entities(_ALL):
        people = sorted(account for account in group if _judged(found.roles.get(account, "")))
        stakes = [account for account in found.pledges if account in group and found.pledges[account]]
        held = sum(found.pledges[account] for account in stakes)
        # What the researcher itself has pledged is said by `cost-of-blocking`.
        if not people or held < blocking or stakes == [terms.researcher]:
            continue
        tied = next((account for account in stakes if account not in people), None)
        ties = "pledged by itself" if tied is None else _between(found, people[0], tied)
        detail = (
            f"{found.named(people[0])} is tied to pledges of {money(held)}, and {money(blocking)} block every stop "
            f"vote: {ties}. {_NO_PROOF}"
        )
        return Finding("warn", detail, {"accounts": [*sorted(group)]})
    return Finding("pass", f"Nothing ties a pledge that can block a stop to these people; looked at {looked}", {})


def attestors_gain(terms: Terms, found: Relations, pledged: int, money: Callable[[int], str]) -> Finding:
    """What attestors, and whom ties bind to them, get if a milestone is paid.

    Args:
        terms: The terms.
        found: The ties.
        pledged: The pool in the asset's smallest unit.
        money: Writes amounts with their unit.
    """
    pool = pledged or terms.goal
    gains: dict[str, int] = {}
    for place, attestor in enumerate(terms.attestors):
        group = next((one for one in found.entities(_ALL) if attestor in one), frozenset({attestor}))
        share = sum(payee.bps for payee in terms.payees if payee.account in group)
        if share:
            gains[f"attestor {place}"] = share
    data: dict[str, JsonValue] = {"bps": {**gains}}
    if not gains:
        return Finding("pass", "No attestor is a payee, or tied to one", data)
    words = "; ".join(f"{who}, or whom ties bind to it, gets {money(pool * bps // BPS)}" for who, bps in gains.items())
    return Finding("warn", f"Attestors gain from what they sign: {words} of {money(pool)}", data)


def _judged(roles: str) -> bool:
    """Whether an account is one of those who should be apart from others."""
    return any(role.startswith(("researcher", "attestor", "payee", "arbiter")) for role in roles.split(", "))


def _sides(roles: str) -> set[str]:
    """Which sides an account is on: `signs` counts for each attestor, `gets` for researcher and payees alike."""
    sides = {"signs": "attestor", "rules": "arbiter"}
    found = {side for side, word in sides.items() if any(role.startswith(word) for role in roles.split(", "))}
    return found | ({"gets"} if any(role.startswith(("researcher", "payee")) for role in roles.split(", ")) else set())


def _conflicts(found: Relations, kinds: tuple[TieKind, ...]) -> Iterator[tuple[tuple[str, str], str]]:
    """Pairs of accounts that should be apart and are tied, with what ties them."""
    for group in found.entities(kinds):
        judged = [account for account in found.roles if account in group and _judged(found.roles[account])]
        for one, other in combinations(judged, 2):
            first, second = _sides(found.roles[one]), _sides(found.roles[other])
            if first == second == {"gets"}:
                continue
            ties = "; ".join(tie.text for tie in found.path(one, other, kinds))
            yield (one, other), f"{found.named(one)} and {found.named(other)}: {ties}"


def _between(found: Relations, one: str, other: str) -> str:
    return "; ".join(tie.text for tie in found.path(one, other, _ALL))


def _warned(found: Relations, conflicts: list[tuple[tuple[str, str], str]], kinds: tuple[TieKind, ...]) -> Finding:
    more = f" (and {len(conflicts) - 1} more pairs)" if len(conflicts) > 1 else ""
    ties = [tie for (one, other), _ in conflicts[:_LISTED] for tie in found.path(one, other, kinds)]
    data: dict[str, JsonValue] = {
        "pairs": [[*pair] for pair, _ in conflicts[:_LISTED]],
        "ties": [_tie(tie) for tie in dict.fromkeys(ties)],
    }
    return Finding("warn", f"People who should be apart are tied together: {conflicts[0][1]}{more}. {_NO_PROOF}", data)


def _tie(tie: Tie) -> JsonValue:
    return {"kind": tie.kind, "text": tie.text, "block": tie.block, "transaction": tie.tx_hash or None}


def _graph(found: Relations) -> PeopleGraph:
    """The accounts with roles and whatever ties two of them together."""
    degree: dict[str, int] = {}
    for tie in found.ties:
        for account in (tie.one, tie.other):
            degree[account] = degree.get(account, 0) + 1
    shown = [*found.roles, *(account for account, ties in degree.items() if account not in found.roles and ties > 1)]
    groups = [group for group in found.entities(_ALL) if len(group.intersection(shown)) > 1]
    nodes = [
        PersonNode(
            address=account,
            roles=found.roles.get(account, ""),
            kind=found.wallets[account].kind if account in found.wallets else "",
            group=next((place for place, group in enumerate(groups) if account in group), None),
        )
        for account in shown
    ]
    ties = [
        PersonTie(
            kind=tie.kind,
            one=tie.one,
            other=tie.other,
            text=tie.text,
            binds=tie.binds,
            block=tie.block,
            transaction=tie.tx_hash or None,
        )
        for tie in found.ties
        if tie.one in shown and tie.other in shown
    ]
    return PeopleGraph(
        accounts=tuple(nodes),
        ties=tuple(ties),
        looked=_looked(found),
    )


def _looked(found: Relations) -> str:
    traced = counted(len(found.origins.paid) + len(found.origins.unpaid), "account")
    return (
        "Looked at: owners, code and storage of these accounts at the report's block; money that "
        f"{counted(found.movements, 'pair')} of accounts moved for others; the names in the proposal; first payments "
        f"to {traced}, {found.origins.hops} payers back. Of {counted(len(found.origins.untold), 'account')} the first "
        f"payment could not be told. In a token also what they paid each other in it since the campaign was opened. "
        f"Not looked at: other payments, and the backers beyond the "
        f"{len(found.pledges)} largest of {found.backers}."
    )
