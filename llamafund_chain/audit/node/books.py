"""The checks that compare proven books with what the node answered, and with what its logs add up to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict

from pydantic import JsonValue

from llamafund_chain.audit.ledger import Ledger
from llamafund_chain.audit.node.logs import LogBook
from llamafund_chain.audit.node.state import MAX_CHALLENGES, StateProver, StoredBooks, evidence_in
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.state import CampaignState
from llamafund_chain.campaign.terms import Terms
from llamafund_chain.chain import abi
from llamafund_chain.checks.check import Finding, contradicts
from llamafund_chain.deployment import addresses
from llamafund_chain.deployment.addresses import Deployment
from llamafund_chain.deployment.clones import CLONE_BYTES, clone_code
from llamafund_chain.errors import VerificationError

Amount = Callable[[int], str]


def code_proven(prover: StateProver) -> tuple[Finding, bytes]:
    """Whether the campaign's code, with its terms in it, and the code that it runs are those of the state.

    Returns:
        The finding, and the campaign's code.

    Raises:
        ProofError: The node's proofs do not prove it.
        ProofsRefusedError: It gives none.
    """
    from eth_utils import keccak

    client = prover.client
    code = client.connection.code(client.address, prover.header.number)
    if prover.account(client.address).code_hash != keccak(code):
        return contradicts("It shows other code at the campaign's address than the state has"), code
    try:
        deployment = client.connection.deployment()
    except VerificationError:
        deployment = None
    known = addresses.code_hashes().items()
    if (deployment is not None) != all(prover.account(one).code_hash.hex() == hash_[2:] for one, hash_ in known):
        return contradicts(f"It shows other code at {' or '.join(addresses.places())} than the state has"), code
    if deployment is None:
        return Finding("pass", "The code at the address is that of the state"), code
    proven = _terms_in(code, deployment)
    if proven is not None and proven != _terms_told(client):
        return contradicts("It shows other terms than those in the campaign's proven code"), code
    return Finding("pass", "The code of campaign, implementation and factory is that of the state, terms and all"), code


def _terms_in(code: bytes, deployment: Deployment) -> Terms | None:
    """The terms in a campaign's code; `None` for other code."""
    if not code.startswith(clone_code(deployment.implementation)):
        return None
    try:
        return Terms.unpack(code[CLONE_BYTES:])
    except VerificationError:
        return None


def _terms_told(client: CampaignClient) -> Terms | None:
    """The terms by the node's answers; `None` if by those the address is no campaign."""
    try:
        return client.terms
    except VerificationError:
        return None


def state_proven(stored: StoredBooks, state: CampaignState, terms: Terms) -> Finding:
    """Whether the contract's record, seed, votes and claims are what the node answered."""
    proven: dict[str, JsonValue] = {
        **asdict(stored.ledger),
        "latest_evidence": evidence_in(stored, terms.proposal),
        "latest_content": stored.latest_content,
        "training_seed": stored.training_seed,
        "stop_support": stored.stop_support,
        "votes_from": stored.votes_from,
        "claimed": list(stored.claimed),
    }
    said = {name: list(value) if isinstance(value := getattr(state, name), tuple) else value for name in proven}
    wrong = [name for name in proven if proven[name] != said[name]]
    if wrong:
        name = wrong[0]
        words = name.replace("_", " ")
        return contradicts(f"It said that {words} is {said[name]}, and proves that it is {proven[name]}")
    return Finding("pass", f"{len(proven)} values of the contract's record are those of the state")


def balance_proven(stored: StoredBooks, balance: int, terms: Terms, amount: Amount) -> Finding:
    """Whether the balance is what the node answered. Where a token keeps its balances, only the token knows."""
    if not terms.is_native:
        detail = (
            "The campaign's balance of its token was asked and not proven: each token stores balances in a way of its "
            "own, which no proof can know"
        )
        return Finding("warn", detail)
    if stored.balance != balance:
        return contradicts(
            f"It said that the campaign holds {amount(balance)}, and proves that it holds {amount(stored.balance)}"
        )
    return Finding("pass", f"The campaign holds {amount(balance)}, by the state")


def pledges_proven(stored: StoredBooks, ledger: Ledger, amount: Amount) -> Finding:
    """Whether each backer has stored what its logs say, and all of them together are the proven total."""
    total = 0
    for backer in ledger.backers:
        pledge, votes = stored.backers[backer]
        gone = backer in ledger.refunds
        by_logs = ledger.pledge_of(backer)
        if pledge != (0 if gone else by_logs):
            return contradicts(
                f"By the logs backer {backer} has {amount(0 if gone else by_logs)}, and the state has {amount(pledge)}"
            )
        if not gone and votes != (backer in ledger.voters):
            return contradicts(f"The logs and the state do not agree whether backer {backer} votes to stop")
        total += by_logs if gone else pledge
    if total != stored.ledger.pledged:
        return contradicts(
            f"The backers that the logs name have {amount(total)} together, and the state has "
            f"{amount(stored.ledger.pledged)}: logs were withheld or invented"
        )
    returned = f", {len(ledger.refunds)} of them by the logs of their refunds" if ledger.refunds else ""
    return Finding(
        "pass",
        f"The pledges of {len(ledger.backers)} backers{returned} add up to the proven total of {amount(total)}",
        {"backers": len(ledger.backers), "refunded": len(ledger.refunds)},
    )


def claims_proven(stored: StoredBooks, ledger: Ledger, amount: Amount) -> Finding:
    """Whether the logs' claims add up to what each payee has claimed by the state."""
    for payee, claimed in enumerate(stored.claimed):
        by_logs = ledger.claims.get(payee, 0)
        if by_logs != claimed:
            return contradicts(
                f"By the logs payee {payee} has claimed {amount(by_logs)}, by the state {amount(claimed)}: logs were "
                "withheld or invented"
            )
    return Finding("pass", f"The claims of {len(stored.claimed)} payees add up to what the state has for each")


def votes_proven(stored: StoredBooks, ledger: Ledger, amount: Amount) -> Finding:
    """Whether the votes that the logs tell of weigh what the state has."""
    if ledger.stop_support != stored.stop_support:
        return contradicts(
            f"By the logs {amount(ledger.stop_support)} vote to stop, by the state {amount(stored.stop_support)}: logs "
            "were withheld or invented"
        )
    return Finding("pass", f"The votes to stop weigh {amount(stored.stop_support)}, by logs and state alike")


def bonds_proven(stored: StoredBooks, ledger: Ledger) -> Finding:
    """Whether the open challenges of the logs are those of the state, with their bonds."""
    if stored.challenged - stored.answered > MAX_CHALLENGES:
        return Finding("unchecked", f"More than {MAX_CHALLENGES} challenges are open; that many are not proven")
    by_logs = {chunk: bond for chunk, (_, bond) in ledger.challenges.items()}
    proven = {chunk: bond for chunk, (_, bond) in stored.bonds.items()}
    if by_logs != proven:
        return contradicts(
            f"By the logs {len(by_logs)} challenges are open with bonds of {sum(by_logs.values())} wei, by the state "
            f"{len(proven)} with {sum(proven.values())} wei: logs were withheld or invented"
        )
    detail = f"{len(proven)} challenges are open, with bonds of {sum(proven.values())} wei, by logs and state alike"
    return Finding("pass", detail)


def counts_proven(stored: StoredBooks, book: LogBook) -> Finding:
    """Whether there are as many logs of each kind as the contract has counted."""
    interface = abi.contract("Campaign")
    counted: Mapping[str, int] = {
        "MilestoneAttested": stored.ledger.attested,
        "Challenged": stored.challenged,
        "ChallengeAnswered": stored.answered,
        "Activated": int(stored.ledger.active),
    }
    for name, expected in counted.items():
        found = book.counts[bytes.fromhex(interface.topic(name)[2:])]
        if found != expected:
            return contradicts(f"There are {found} logs {name}, and the state has counted {expected}")
    return Finding("pass", "There are as many attestations, challenges and answers as the contract has counted")
