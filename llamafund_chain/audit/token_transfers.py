"""Past payments of a campaign in a token: what the campaign says that it moved, against the token's own logs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.events import CampaignEvent, Claimed, Pledged, Refunded, Unpledged
from llamafund_chain.chain.connection import Block
from llamafund_chain.chain.tokens import TRANSFERRED
from llamafund_chain.chain.transactions import Log
from llamafund_chain.checks.check import CheckResult, Finding, result_of

_ASKED = 20
"""Pledges whose receipts are read, to see whether the token took a fee from them."""


@dataclass
class Moved:
    """Amounts in one transaction, smallest units.

    Attributes:
        said: What the campaign says.
        logged: What the token logged; `None` without a log.
    """

    said: int = 0
    logged: int | None = None


@dataclass(frozen=True)
class TokenTransfers:
    """The payments of a campaign in a token, by transaction.

    Attributes:
        pledges: What came in.
        payouts: What went out, by transaction and recipient.
        fee_from_the_start: Whether payers lost more by the token's logs than reached the campaign.
    """

    pledges: dict[str, Moved]
    payouts: dict[tuple[str, str], Moved]
    fee_from_the_start: bool

    def results(self, amount: Callable[[int], str]) -> Iterator[CheckResult]:
        """Whether the token's logs agree; nothing without any payment.

        Args:
            amount: Writes units of the token, with its name.
        """
        if self.pledges:
            yield result_of(pledges_in_token_logs, self, amount)
        if self.payouts:
            yield result_of(payouts_in_token_logs, self, amount)


def token_transfers(client: CampaignClient, block: Block) -> TokenTransfers:
    """Read the payments of a campaign in a token up to a block.

    Raises:
        NodeError: A node does not answer, or refuses to.
        VerificationError: A log of the campaign does not fit its event.
    """
    pledges: dict[str, Moved] = {}
    payouts: dict[tuple[str, str], Moved] = {}
    payers: dict[str, str] = {}
    for event in client.each_event(None, block, only=(Pledged, Unpledged, Claimed, Refunded)):
        moved = _place(event, pledges, payouts)
        if moved is not None:
            moved.said += event.amount  # type: ignore[union-attr]
        if isinstance(event, Pledged) and len(payers) < _ASKED:
            payers[event.tx_hash] = event.payer
    campaign = f"0x{client.address[2:].lower():0>64}"
    first = client.verify_code().created or 0

    def transfers(*topics: str | None) -> Iterator[Log]:
        logs = client.connection.logs(client.terms.asset, topics=[TRANSFERRED, *topics], first=first, last=block)
        return (log for log in logs if len(log.topics) == 3 and len(log.data) == 32)

    if pledges:
        for log in transfers(None, campaign):
            _add(pledges.get(log.tx_hash), log)
    if payouts:
        for log in transfers(campaign):
            _add(payouts.get((log.tx_hash, _account(log.topics[2]))), log)
    return TokenTransfers(pledges, payouts, _fee(client, pledges, payers))


def pledges_in_token_logs(transfers: TokenTransfers, amount: Callable[[int], str]) -> Finding:
    """Whether the token logged each pledge as the campaign credited it."""
    return _compare(transfers.pledges.values(), "pledged", "reach the campaign", amount, short="fail")


def payouts_in_token_logs(transfers: TokenTransfers, amount: Callable[[int], str]) -> Finding:
    """Whether what was paid out reached its recipients in full, by the token's logs."""
    short = "warn" if transfers.fee_from_the_start else "fail"
    return _compare(transfers.payouts.values(), "paid out", "arrive", amount, short=short)


def _compare(moved: Iterable[Moved], done: str, verb: str, amount: Callable[[int], str], *, short: str) -> Finding:
    several = list(moved)
    said, logged = sum(one.said for one in several), sum(one.logged or 0 for one in several)
    silent = [one for one in several if one.logged is None]
    less = [one for one in several if one.logged is not None and one.logged < one.said]
    more = [one for one in several if one.logged is not None and one.logged > one.said]
    data: dict[str, JsonValue] = {
        "transactions": len(several),
        "campaign": amount(said),
        "token_logs": amount(logged),
        "without_logs": len(silent),
    }
    if less:
        lost = sum(one.said - (one.logged or 0) for one in less)
        detail = f"Of {amount(said)} that the campaign {done}, {amount(lost)} did not {verb} by the token's own logs"
        return Finding("warn" if short == "warn" else "fail", detail, data)
    if silent:
        detail = f"The token logged nothing in {len(silent)} of {len(several)} transactions in which it was {done}"
        return Finding("warn", f"{detail}: whether it arrived then, nobody can tell", data)
    if more:
        detail = f"By the token's own logs more moved than the campaign {done}: {amount(logged)}, not {amount(said)}"
        return Finding("warn", detail, data)
    return Finding("pass", f"The token's own logs tell of the same {amount(said)} {done}", data)


def _place(event: CampaignEvent, pledges: dict[str, Moved], payouts: dict[tuple[str, str], Moved]) -> Moved | None:
    match event:
        case Pledged():
            return pledges.setdefault(event.tx_hash, Moved())
        case Unpledged() | Claimed() | Refunded():
            return payouts.setdefault((event.tx_hash, event.recipient.lower()), Moved())
        case _:
            return None


def _add(moved: Moved | None, log: Log) -> None:
    if moved is not None:
        moved.logged = (moved.logged or 0) + int.from_bytes(log.data, "big")


def _account(topic: bytes) -> str:
    return f"0x{topic[-20:].hex()}"


def _fee(client: CampaignClient, pledges: dict[str, Moved], payers: dict[str, str]) -> bool:
    """Whether a payer lost more than it was credited with in one of the first pledges."""
    for outcome in client.connection.outcomes([*payers]):
        if outcome is None:
            continue
        tx_hash = outcome.tx_hash
        spent: Counter[str] = Counter()
        for log in outcome.logs:
            if log.address.lower() == client.terms.asset.lower() and len(log.topics) == 3 and len(log.data) == 32:
                spent[_account(log.topics[1])] += int.from_bytes(log.data, "big")
        if spent[payers[tx_hash].lower()] > (pledges[tx_hash].logged or pledges[tx_hash].said):
            return True
    return False
