"""The accounts in a campaign's terms: which are contracts, and which belong together as far as their code tells.

Different addresses prove nothing. That none belong together proves nothing either: whoever wants to hide that uses
plain keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from llamafund_chain.campaign.terms import Terms
from llamafund_chain.chain.connection import At, Connection
from llamafund_chain.checks.wallets import Wallet, wallets_of


@dataclass(frozen=True)
class People:
    """What was found about the accounts in a campaign's terms.

    Attributes:
        wallets: By account, in the order of the terms.
        roles: What each of them is in the campaign, in words.
        together: Groups of accounts for which the same people can act.
        shared: Pairs with an owner in common, or of which one may pay the other, in words.
    """

    wallets: Mapping[str, Wallet]
    roles: Mapping[str, str]
    together: tuple[frozenset[str], ...]
    shared: tuple[str, ...]

    def facts(self, terms: Terms) -> dict[str, JsonValue]:
        """The facts for the rules."""
        insiders = {terms.researcher, *(payee.account for payee in terms.payees)}
        attestors = set(terms.attestors)
        of_insiders = set().union(*(group for group in self.together if group & insiders)) | insiders
        with_code = [
            f"{account} ({self.wallets[account].kind})" for account in terms.attestors if self._has_code(account)
        ]
        return {
            "insider_seats": len(attestors & of_insiders),
            "attestors_with_code": [*with_code],
            "shared_wallets": list[JsonValue](self.shared),
            "seats_of_one": max((len(group & attestors) for group in self.together), default=1),
        }

    def to_json(self) -> list[JsonValue]:
        """Each account with its roles and who can act for it."""
        return [
            {
                "account": account,
                "roles": self.roles[account],
                "kind": wallet.kind or "a plain key",
                "owners": list[JsonValue](sorted(wallet.owners - {account})),
                "threshold": wallet.threshold,
            }
            for account, wallet in self.wallets.items()
        ]

    def _has_code(self, account: str) -> bool:
        return bool(self.wallets[account].kind)


def look_at_people(connection: Connection, terms: Terms, at: At) -> People:
    """Who can act for the accounts in a campaign's terms.

    Args:
        connection: The chain.
        terms: The terms.
        at: Which block.

    Raises:
        NodeUnreachableError: No node answers.
        RpcError: The node does not tell an account's code, or refuses to run it.
    """
    roles = roles_in(terms)
    accounts = list(roles)
    wallets = wallets_of(connection, accounts, at)
    pairs = [(one, other) for place, one in enumerate(accounts) for other in accounts[place + 1 :]]
    shared = [said for one, other in pairs if (said := _said(one, other, wallets, roles))]
    return People(wallets, roles, _together(accounts, wallets), tuple(shared))


def roles_in(terms: Terms) -> dict[str, str]:
    """What each account in the terms is there, in words, in the order of the terms."""
    found: dict[str, list[str]] = {}
    found.setdefault(terms.researcher, []).append("researcher")
    for place, account in enumerate(terms.attestors):
        found.setdefault(account, []).append(f"attestor {place}")
    for place, payee in enumerate(terms.payees):
        found.setdefault(payee.account, []).append(f"payee {place}")
    if terms.arbiter is not None:
        found.setdefault(terms.arbiter, []).append("arbiter")
    return {account: ", ".join(words) for account, words in found.items()}


def act_for_both(one: Wallet, other: Wallet) -> bool:
    """Whether the owners that two accounts have in common are enough for each of them."""
    return len(one.owners & other.owners) >= max(one.threshold, other.threshold)


def _said(one: str, other: str, wallets: Mapping[str, Wallet], roles: Mapping[str, str]) -> str:
    pair = f"{one} ({roles[one]}) and {other} ({roles[other]})"
    common = wallets[one].owners & wallets[other].owners
    if common and act_for_both(wallets[one], wallets[other]):
        return f"the same people can act for {pair}"
    if common:
        return f"{pair} have the owner {min(common)} in common"
    for payer, paid in ((one, other), (other, one)):
        where = wallets[payer].pays.get(paid)
        # A researcher and a payee may well belong together.
        if where and "a" in {role[0] for names in (roles[one], roles[other]) for role in names.split(", ")}:
            return f"the contract {payer} ({roles[payer]}) may pay {paid} ({roles[paid]}), {where}"
    return ""


def _together(accounts: Sequence[str], wallets: Mapping[str, Wallet]) -> tuple[frozenset[str], ...]:
    groups: list[set[str]] = []
    for account in accounts:
        joined = [group for group in groups if any(act_for_both(wallets[account], wallets[one]) for one in group)]
        groups = [group for group in groups if group not in joined]
        groups.append({account}.union(*joined))
    return tuple(frozenset(group) for group in groups)
