"""Checks a report from what it carries, without a node: its books, its manifests and its signatures.

What is checked here, the report's own page checks too (`audit/report/verifier`), item by item. Neither can tell
whether a chain has these events, unless the report carries proofs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from llamafund_chain.amounts import MAX_DECIMALS, format_amount
from llamafund_chain.audit.backers import backer_report
from llamafund_chain.audit.milestones import describe
from llamafund_chain.audit.model import AuditReport, MilestoneReport
from llamafund_chain.audit.money import accounts_report
from llamafund_chain.audit.pack import EvidencePack
from llamafund_chain.audit.recheck.reprove import UNREADABLE, Item, ItemStatus, proof_items
from llamafund_chain.audit.timeline import Story, tell
from llamafund_chain.audit.verdict import outcome_of
from llamafund_chain.campaign.events import campaign_event
from llamafund_chain.campaign.factory import predict_address
from llamafund_chain.campaign.terms import NO_HASH, Terms
from llamafund_chain.chain.abi import checksum
from llamafund_chain.chain.signatures import recover_digest
from llamafund_chain.chain.transactions import Log
from llamafund_chain.deployment.clones import CLONE_BYTES, CLONE_HEAD, clone_code
from llamafund_chain.errors import VerificationError


def reverify(report: AuditReport, block_hash: str | None = None) -> tuple[Item, ...]:
    """Check again all that a report carries the evidence for.

    Args:
        report: From whomever.
        block_hash: Of the audited block, from elsewhere, 64 hexadecimal digits; `None` if the reader has none.
    """
    items = [_verdict(report)]
    pack = report.evidence
    if pack is None:
        items.append(Item("evidence", "unknown", "The report carries no evidence to compute anything from"))
        return tuple(items)
    try:
        terms = _terms(pack)
    except UNREADABLE as error:
        items.append(Item("address", "broken", f"The code that the report carries is no campaign's: {error}"))
        return tuple(items)
    items += [_address(report, pack, terms), _told_terms(report, terms)]
    story, problem = _told(pack, terms)
    items += _books(report, pack, terms, story, problem)
    items += _manifests(report, pack, terms)
    items += _signatures(report, story, terms)
    items += [Item("left-out", "unknown", f"The report does not carry all: {words}") for words in pack.left_out]
    items += proof_items(report, pack, terms, story, block_hash)
    return tuple(items)


def conclusion(items: tuple[Item, ...]) -> ItemStatus:
    """What all items together amount to."""
    found = {item.status for item in items}
    return "broken" if "broken" in found else "unknown" if "unknown" in found else "holds"


def _verdict(report: AuditReport) -> Item:
    """Whether the verdict follows from the checks that the report lists."""
    said = report.verdict
    counts = {status: sum(check.status == status for check in report.checks) for status in _COUNTED}
    listed = {status: getattr(said, name) for status, name in _COUNTED.items()}
    if counts != listed or outcome_of(report.checks) != said.outcome:
        return Item("verdict", "broken", "The verdict does not follow from the checks that the report lists")
    return Item("verdict", "holds", f"The verdict follows from the {len(report.checks)} checks listed")


_COUNTED = {"pass": "passed", "warn": "warned", "fail": "failed", "unchecked": "unchecked"}


def _terms(pack: EvidencePack) -> Terms:
    code = _bytes(pack.code)
    implementation = f"0x{code[len(CLONE_HEAD) : len(CLONE_HEAD) + 20].hex()}"
    if code[:CLONE_BYTES] != clone_code(implementation):
        raise VerificationError("It is not a clone")
    return Terms.unpack(code[CLONE_BYTES:])


def _address(report: AuditReport, pack: EvidencePack, terms: Terms) -> Item:
    implementation = f"0x{_bytes(pack.code)[len(CLONE_HEAD) : len(CLONE_HEAD) + 20].hex()}"
    try:
        expected = predict_address(checksum(pack.factory), implementation, terms, pack.salt)
    except UNREADABLE:
        return Item("address", "broken", "The factory or the salt that the report names makes no sense")
    if expected.lower() != report.campaign.lower():
        return Item("address", "broken", f"From these terms follows the address {expected}, not {report.campaign}")
    return Item("address", "holds", f"The campaign's address follows from its terms and the factory {pack.factory}")


def _told_terms(report: AuditReport, terms: Terms) -> Item:
    facts, money = report.facts, report.money
    if facts is None or money is None:
        return Item("terms", "unknown", "The report says nothing about the campaign")
    amount = _amount(report)
    said: dict[str, object] = {
        "researcher": facts.researcher.address,
        "attestors": tuple(person.address for person in facts.attestors),
        "quorum": facts.quorum,
        "goal": facts.goal,
        "cap": facts.cap,
        "stop": facts.stop_bps,
        "challenge window": facts.challenge_window,
        "funding deadline": int(facts.funding_deadline.timestamp()),
        "proposal": facts.proposal,
        "dataset": facts.dataset,
        "asset": facts.asset.address,
        "payees": tuple((payee.account.address, payee.bps) for payee in money.payees),
        "arbiter": None if facts.arbiter is None else facts.arbiter.person.address,
    }
    bound: dict[str, object] = {
        "researcher": terms.researcher,
        "attestors": terms.attestors,
        "quorum": terms.quorum,
        "goal": amount(terms.goal),
        "cap": amount(terms.cap),
        "stop": terms.stop_bps,
        "challenge window": terms.challenge_window,
        "funding deadline": terms.funding_deadline,
        "proposal": terms.proposal,
        "dataset": None if terms.dataset == NO_HASH else terms.dataset,
        "asset": None if terms.is_native else terms.asset,
        "payees": tuple((payee.account, payee.bps) for payee in terms.payees),
        "arbiter": terms.arbiter,
    }
    wrong = [name for name in said if said[name] != bound[name]]
    if wrong:
        return Item("terms", "broken", f"The campaign's code says something else about: {', '.join(wrong)}")
    return Item("terms", "holds", "People, shares and deadlines are those in the campaign's code")


def _told(pack: EvidencePack, terms: Terms) -> tuple[Story | None, str]:
    """The carried events, added up; `None` and why, if they cannot be."""
    if not pack.logs and pack.left_out:
        return None, ""
    try:
        return _story(pack, terms), ""
    except UNREADABLE as error:
        return None, str(error) or type(error).__name__


def _books(report: AuditReport, pack: EvidencePack, terms: Terms, story: Story | None, problem: str) -> Iterator[Item]:
    if report.money is None or report.facts is None:
        yield Item("books", "unknown", "The report has no books")
        return
    if story is None:
        broken = f"The events that the report carries cannot be added up: {problem}"
        absent = "The report does not carry the events, so nothing can be added up"
        yield Item("books", "broken" if problem else "unknown", broken if problem else absent)
        return
    now, amount = int(report.time.timestamp()), _amount(report)
    ledger, rules = story.ledger, story.rules
    said = report.money.events.model_dump()
    found = accounts_report(ledger.accounts(rules, now), amount).model_dump()
    wrong = [name for name in said if said[name] != found[name]]
    if ledger.status(rules, now) != report.facts.status:
        wrong.append("status")
    if amount(ledger.stop_support) != report.facts.stop_support:
        wrong.append("stop support")
    if wrong:
        yield Item("books", "broken", f"From the events follows something else for: {', '.join(wrong)}")
    else:
        yield Item("books", "holds", f"{len(pack.logs)} events add up to the reported books, to the last unit")
    yield _milestones(report, story, terms, now)
    if report.backer is not None:
        mine = backer_report(ledger, rules, report.backer.address, now, (), amount, str)
        names = ("deposited", "withdrawn", "pledged", "share", "released", "locked", "refundable", "refunded")
        wrong = [name for name in names if getattr(mine, name) != getattr(report.backer, name)]
        detail = f"From the events follows something else for: {', '.join(wrong)}"
        good = f"The events give {report.backer.address} what the report says"
        yield Item("backer", "broken" if wrong else "holds", detail if wrong else good)


def _milestones(report: AuditReport, story: Story, terms: Terms, now: int) -> Item:
    found = list(describe(story, terms, now, (), [()] * len(story.attested), _amount(report)))
    wrong = [
        one.index for one, said in zip(found, report.milestones, strict=False) if _comparable(one) != _comparable(said)
    ]
    if len(found) != len(report.milestones) or wrong:
        which = ", ".join(map(str, wrong)) or "their number"
        return Item("milestones", "broken", f"From the events follows something else for the milestones: {which}")
    return Item("milestones", "holds", "Tranches, deadlines, attestations and states follow from the events")


def _comparable(milestone: MilestoneReport) -> dict[str, Any]:
    return milestone.model_dump(exclude={"title": True, "attested": {"signers"}})


def _manifests(report: AuditReport, pack: EvidencePack, terms: Terms) -> Iterator[Item]:
    carried = {one.sha256: one.text for one in pack.manifests}
    for sha256, text in carried.items():
        if hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() != sha256:
            yield Item(f"manifest-{sha256[:12]}", "broken", f"The manifest's bytes do not hash to {sha256}")
    named = {terms.proposal: "the proposal"}
    for one in report.milestones:
        if one.attested is not None:
            named.setdefault(one.attested.evidence, f"the evidence of milestone {one.index}")
    for sha256, what in named.items():
        if sha256 not in carried:
            yield Item(f"manifest-{sha256[:12]}", "unknown", f"The report does not carry the manifest of {what}")
        elif hashlib.sha256(carried[sha256].encode("utf-8", "surrogatepass")).hexdigest() == sha256:
            yield Item(f"manifest-{sha256[:12]}", "holds", f"The manifest of {what} has the hash that the chain names")


def _signatures(report: AuditReport, story: Story | None, terms: Terms) -> Iterator[Item]:
    if story is None:
        return
    chain_id = int(report.chain.removeprefix("eip155:"))
    for said, attested in zip(report.milestones, story.attested, strict=False):
        if said.attested is None:
            continue
        digest = attested.attestation.digest(chain_id, checksum(report.campaign))
        signers = said.attested.signers
        if {signer.index for signer in signers} != _places(attested.signers) and signers:
            detail = f"The event of milestone {said.index} names other signers than the report"
            yield Item(f"signature-{said.index}", "broken", detail)
        for signer in signers:
            yield _signature(said.index, signer.index, signer.signature, signer.person.address, digest, terms)


def _signature(milestone: int, place: int, signature: str, address: str, digest: bytes, terms: Terms) -> Item:
    name = f"signature-{milestone}-{place}"
    who = f"attestor {place} on milestone {milestone}"
    if place >= len(terms.attestors) or terms.attestors[place] != address:
        return Item(name, "broken", f"The terms name somebody else as {who.partition(' on ')[0]}")
    if not signature:
        return Item(name, "unknown", f"The report does not carry the signature of {who}")
    recovered = recover_digest(digest, _bytes(signature))
    if recovered == address:
        return Item(name, "holds", f"The signature of {who} is that of {address}")
    if recovered is None or len(_bytes(signature)) != 65:
        detail = f"The signature of {who} is not a key's; only that attestor's wallet contract could say"
        return Item(name, "unknown", detail)
    return Item(name, "broken", f"The signature of {who} is by {recovered}, or for another attestation")


def _places(signers: int) -> set[int]:
    return {place for place in range(signers.bit_length()) if signers >> place & 1}


def _story(pack: EvidencePack, terms: Terms) -> Story:
    times = {one.block: one.time for one in pack.times}
    logs = [
        Log(
            address="",
            topics=tuple(_bytes(topic) for topic in one.topics),
            data=_bytes(one.data),
            block=one.block,
            index=one.index,
            tx_hash=one.transaction.removeprefix("0x"),
        )
        for one in pack.logs
    ]
    order = [(log.block, log.index) for log in logs]
    if order != sorted(set(order)):
        raise VerificationError("they are not in order, or one is there twice")
    events = (event for log in logs if (event := campaign_event(log)) is not None)
    return tell(terms, events, lambda block: times[block])


def _amount(report: AuditReport) -> Callable[[int], str]:
    decimals = 0 if report.facts is None else report.facts.asset.decimals
    return partial(format_amount, decimals=min(max(decimals, 0), MAX_DECIMALS))


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
