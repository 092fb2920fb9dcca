"""What ties the people of a campaign together, as far as the chain shows. None of it proves who anybody is."""

from __future__ import annotations

import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from llamafund_chain.audit.ledger import Ledger
from llamafund_chain.audit.people.movements import Movement, Movements
from llamafund_chain.campaign.terms import Terms
from llamafund_chain.chain.abi import checksum
from llamafund_chain.chain.connection import Connection
from llamafund_chain.chain.origins import HOPS, Origins, origins_of
from llamafund_chain.chain.tokens import TRANSFERRED
from llamafund_chain.checks.people import act_for_both, roles_in
from llamafund_chain.checks.wallets import Wallet, wallets_of
from llamafund_chain.evidence.manifests import ProposalManifest
from llamafund_chain.text import printable

TieKind = Literal["acts-for", "pays-on", "moved", "same-name", "paid-first"]

_BACKERS = 8
_MOVEMENTS = 8
_OWNERS = 8
_WORDS: Mapping[str, str] = {
    "pledge": "{other} paid for the pledge of {owner}",
    "unpledge": "{owner} took its pledge back to {other}",
    "refund": "the refund of {owner} went to {other}",
    "claim": "{owner} claimed to {other}",
}


@dataclass(frozen=True)
class Tie:
    """Something that ties two accounts together.

    Attributes:
        one: Who acts, pays or owns, checksummed.
        other: For whom, or whom.
        text: A clause with both addresses.
        binds: Whether it makes the two look like one; a tie that does not is shown only.
        block: Where it is seen; `None` for what is read from states.
        tx_hash: 64 hexadecimal digits; empty like `block`.
    """

    kind: TieKind
    one: str
    other: str
    text: str
    binds: bool = True
    block: int | None = None
    tx_hash: str = ""


@dataclass(frozen=True)
class Relations:
    """The accounts around a campaign and what ties them together.

    Attributes:
        roles: Of each account that is looked at, in words; the terms' first.
        wallets: Who can act for each.
        ties: In the order in which they were found.
        origins: First payments.
        pledges: Of the largest backers, in the asset's smallest unit.
        backers: How many backers there are.
        movements: How many pairs of accounts money moved between.
    """

    roles: Mapping[str, str]
    wallets: Mapping[str, Wallet]
    ties: tuple[Tie, ...]
    origins: Origins
    pledges: Mapping[str, int]
    backers: int
    movements: int

    def entities(self, kinds: Iterable[TieKind]) -> list[frozenset[str]]:
        """Groups of accounts that ties of some kinds bind together."""
        wanted = {*kinds}
        groups: list[set[str]] = [{account} for account in self.roles]
        for tie in self.ties:
            if tie.binds and tie.kind in wanted:
                joined = [group for group in groups if tie.one in group or tie.other in group]
                groups = [group for group in groups if group not in joined]
                groups.append({tie.one, tie.other}.union(*joined))
        return [frozenset(group) for group in groups]

    def path(self, start: str, end: str, kinds: Iterable[TieKind]) -> list[Tie]:
        """The shortest chain of binding ties between two accounts; empty if there is none."""
        wanted = {*kinds}
        queue, seen = deque([start]), {start}
        before: dict[str, tuple[str, Tie]] = {}
        while queue:
            account = queue.popleft()
            for tie in self.ties:
                if not tie.binds or tie.kind not in wanted or account not in (tie.one, tie.other):
                    continue
                further = tie.other if account == tie.one else tie.one
                if further not in seen:
                    seen.add(further)
                    before[further] = (account, tie)
                    queue.append(further)
        return [] if end not in before else _walked(before, start, end)

    def named(self, account: str) -> str:
        """An address with its role."""
        role = self.roles.get(account)
        return f"{account} ({role})" if role else account


def _walked(before: Mapping[str, tuple[str, Tie]], start: str, end: str) -> list[Tie]:
    steps = []
    while end != start:
        end, tie = before[end]
        steps.append(tie)
    return steps[::-1]


def look_at_relations(
    connection: Connection,
    terms: Terms,
    ledger: Ledger,
    movements: Movements,
    proposal: ProposalManifest | None,
    first: int,
    head: int,
    money: Callable[[int], str],
    *,
    hops: int = HOPS,
) -> Relations:
    """Look at the accounts of the terms, the largest backers, and whoever paid for others or got their money.

    Args:
        connection: The chain.
        terms: The terms.
        ledger: From the campaign's events.
        movements: From the same events.
        proposal: `None` if it was not read.
        first: Number of the block that opened the campaign.
        head: Number of the block to look at.
        money: Writes amounts with their unit.
        hops: How many payers to go back.

    Raises:
        NodeUnreachableError: The node does not answer.
        RpcError: It does not tell an account's code, or refuses to run it.
    """
    moved = movements.largest(_MOVEMENTS)
    pledges = {backer: ledger.pledge_of(backer) for backer in ledger.backers}
    largest = dict(sorted(pledges.items(), key=lambda item: -item[1])[:_BACKERS])
    roles = _roles(terms, largest, moved)
    wallets = wallets_of(connection, list(roles), head)
    keys = [account for account, wallet in wallets.items() if wallet.is_key]
    owners = sorted({owner for one in wallets.values() if not one.is_key for owner in sorted(one.owners)[:_OWNERS]})
    origins = origins_of(connection, [*keys, *(owner for owner in owners if owner not in wallets)], head, hops=hops)
    ties = [
        *_acting(wallets),
        *_paying_on(wallets),
        *(_moving(one, money) for one in moved),
        *_token_payments(connection, terms, list(roles), first, head, money),
        *_names(proposal),
        *_origins(origins, connection),
    ]
    return Relations(roles, wallets, tuple(ties), origins, largest, len(pledges), len(movements))


def _roles(terms: Terms, backers: Iterable[str], moved: Sequence[Movement]) -> dict[str, str]:
    found = dict(roles_in(terms))

    def add(account: str, role: str) -> None:
        if role not in found.get(account, "").split(", "):
            found[account] = f"{found[account]}, {role}" if account in found else role

    for backer in backers:
        add(backer, "backer")
    for one in moved:
        if one.kind != "claim":
            add(one.owner, "backer")
        add(one.other, "payer" if one.kind == "pledge" else "recipient")
    return found


def _acting(wallets: Mapping[str, Wallet]) -> Iterator[Tie]:
    for account, wallet in wallets.items():
        alone = wallet.threshold == 1
        for owner in sorted(wallet.owners - {account})[:_OWNERS]:
            how = "can act alone for" if alone else f"is one of {len(wallet.owners)} owners ({wallet.threshold} act) of"
            yield Tie("acts-for", owner, account, f"{owner} {how} {account}", binds=alone)
    for (one, first), (other, second) in combinations(wallets.items(), 2):
        if first.threshold > 1 and act_for_both(first, second):
            yield Tie("acts-for", one, other, f"the same {first.threshold} people can act for {one} and {other}")


def _paying_on(wallets: Mapping[str, Wallet]) -> Iterator[Tie]:
    for account, wallet in wallets.items():
        for recipient, where in wallet.pays.items():
            # Who owns a contract is named in it as well.
            if recipient in wallets and recipient not in wallet.owners:
                yield Tie("pays-on", account, recipient, f"the contract {account} may pay {recipient}: {where}")


def _moving(one: Movement, money: Callable[[int], str]) -> Tie:
    text = _WORDS[one.kind].format(owner=one.owner, other=one.other)
    return Tie("moved", one.owner, one.other, f"{text}, {money(one.amount)}", True, one.block, one.tx_hash)


def _token_payments(
    connection: Connection,
    terms: Terms,
    accounts: Sequence[str],
    first: int,
    head: int,
    money: Callable[[int], str],
) -> Iterator[Tie]:
    """What the token says that these accounts paid each other since the campaign was opened, the most first.

    The chain's coin leaves no logs. Anybody can write one of a payment of nothing, so those do not count.
    """
    if terms.is_native:
        return
    topics = [f"0x{bytes(12).hex()}{account[2:].lower()}" for account in accounts]
    paid: dict[tuple[str, str], Movement] = {}
    logs = connection.logs(terms.asset, topics=[TRANSFERRED, topics, topics], first=first, last=head)
    for log in logs:
        amount = int.from_bytes(log.data[:32], "big")
        sender, recipient = (checksum(f"0x{topic[-20:].hex()}") for topic in log.topics[1:3])
        if amount and sender != recipient:
            new = Movement("pledge", sender, recipient, 0, log.block, log.tx_hash)
            paid.setdefault((sender, recipient), new).amount += amount
    for one in sorted(paid.values(), key=lambda movement: -movement.amount)[:_MOVEMENTS]:
        text = f"the token says that {one.owner} paid {one.other} {money(one.amount)}"
        yield Tie("moved", one.owner, one.other, text, True, one.block, one.tx_hash)


def _names(proposal: ProposalManifest | None) -> Iterator[Tie]:
    """Those who have the same name in the proposal, whatever its case, its spaces and its ways to write letters."""
    from eth_utils import to_checksum_address

    parties = [] if proposal is None else [proposal.researcher, *proposal.attestors]
    named = [(to_checksum_address(party.address), _plain(party.name), party.name) for party in parties]
    for (one, name, words), (other, again, _) in combinations(named, 2):
        if name and name == again and one != other:
            shown = printable(words, 80)
            yield Tie("same-name", one, other, f"the proposal calls both {one} and {other} “{shown}”")


def _plain(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def _origins(origins: Origins, connection: Connection) -> Iterator[Tie]:
    from llamafund_chain.chain.tokens import coin_of

    coin = coin_of(connection)
    for one in origins.paid.values():
        text = f"{one.sender} paid {one.account} first, {coin.format(one.value)} in block {one.block}"
        if one.busy:
            text += f"; it has sent {one.sent_before} transactions, as exchanges do, so this connects nobody"
        yield Tie("paid-first", one.sender, one.account, text, not one.busy, one.block, one.tx_hash)
