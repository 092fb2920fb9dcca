"""Every check that an attestation, an audit or another command reports: its name and what it asks."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator

from llamafund_chain.checks.check import check_name, depth_of
from llamafund_chain.checks.run import discover

_HEAD = """\
# Checks

<!-- Made by scripts/export_reference.py from the checks. Do not edit. -->

A check has a name that stays, and one or more findings. [verification.md](../verification.md) says which fraud each one
catches, and how surely.

| finding | means | exit code of an audit |
|---|---|---|
| `pass` | it holds | 0 |
| `warn` | it needs a person's judgement | 0 |
| `fail` | bytes or figures contradict what was published or promised | 3 |
| `unchecked` | it could not be told, which accuses nobody | 7, and 4 if a node contradicts itself or another |

An audit of a depth runs the checks of that depth and of those before it: `books`, `evidence`, `weights`, `replay`.
Attestors run those of the evidence before they sign. `--skip NAME` leaves one out, and the result says so.
"""

_PARTS: tuple[tuple[str, tuple[str, ...], dict[str, str]], ...] = (
    (
        "The contract, its course and its risks",
        (
            "audit.timeline",
            "audit.dates",
            "audit.comparisons",
        ),
        {
            "arbiter-readable": "the terms' arbiter can be read, if it is a `CourtArbiter`",
            "asset-readable": "the token of the terms says what it is",
            "attestation-signed": "attestors of the terms signed, by the bytes of the transaction",
            "campaign-is-genuine": "the code is a clone of the implementation, at the address of its terms",
            "events-readable": "the events tell one story that the contract could have emitted",
            "proposal-published": "the proposal can be fetched, and its hash is the one in the terms",
            "seed-from-block": "the training seed follows from the block that activated the campaign",
            "state-readable": "the contract's state can be read, and is one that its code can reach",
        },
    ),
    (
        "Each milestone",
        ("audit.milestones",),
        {
            "evidence-checked": "the evidence's checks could run; they need the proposal and the milestones before",
            "evidence-published": "the evidence's manifest can be fetched, and its hash is the attested one",
        },
    ),
    (
        "Proposal and terms",
        ("checks.agreement",),
        {},
    ),
    (
        "Money",
        ("audit.money",),
        {
            "claimable-agrees": "what payees can collect is the same by the events and by the contract",
            "claimed-agrees": "what payees collected is the same by the events and by the contract",
            "conserved-by-events": "what was pledged is released, refunded, refundable or locked, by the events",
            "conserved-by-state": "the same, by the contract",
            "locked-agrees": "what is still locked is the same by the events and by the contract",
            "payee-N-agrees": "what payee N collected and can collect follows from the events and the terms",
            "pledged-agrees": "the pool is the same by the events and by the contract",
            "refundable-agrees": "what backers can take back is the same by the events and by the contract",
            "released-agrees": "what was released is the same by the events and by the contract",
        },
    ),
    (
        "Payments, tried in simulated calls",
        (
            "audit.payouts",
            "audit.token_transfers",
        ),
        {
            "token-logs-readable": "the token's own logs can be read",
        },
    ),
    (
        "People and other campaigns",
        (
            "audit.people.apart",
            "audit.across",
        ),
        {
            "other-campaigns-readable": "the other campaigns of the factory can be read",
            "people-readable": "the accounts' code, owners and first payments can be read",
        },
    ),
    (
        "The node",
        (
            "audit.node.books",
            "audit.node.logs",
        ),
        {
            "block-still-there": "the block of the audit is still on the chain at the end",
            "block-told-once": "the node says the same about one block whenever it is asked",
            "code-proven": "the campaign's code is that of the state root (`--prove`, or to call it no campaign)",
            "logs-proven": "the logs are those of the receipts that the headers name (`--prove-logs`)",
            "nodes-agree": "another node says the same",
            "proofs-given": "the node proves what the contract stores against the block's state root (`--prove`)",
        },
    ),
    (
        "A deployment (`verify-deployment`)",
        (),
        {
            "arbiter-address": "the arbiter's address follows from its code and from what it asks (CREATE2)",
            "arbiter-code": "the arbiter's code is this package's `CourtArbiter`, byte for byte",
            "arbiter-immutables": "the arbiter's court, reserve and factory are in its code, in their places",
            "campaign-address": "the campaign's address follows from the factory, the terms and the salt (CREATE2)",
            "campaign-code": "the campaign is a clone of the implementation, byte for byte",
            "code": "there is code of this project at the address",
            "factory-address": "the factory's address follows from its code (CREATE2)",
            "factory-code": "the factory's code is this package's, byte for byte",
            "factory-immutables": "the factory's one implementation is in its code, in its places",
            "implementation-address": "the implementation's address follows from its code (CREATE2)",
            "implementation-code": "the implementation's code is this package's, byte for byte",
            "implementation-immutables": "the implementation's own address is in its code, in its places",
            "record": "this package's record of the chain names the same contracts; nothing depends on it",
            "sources": "the code names metadata, the metadata sources, and the package has exactly these",
            "terms": "the bytes behind the clone's code are terms",
        },
    ),
    (
        "Before a pledge",
        ("checks.before_pledge",),
        {
            "promised-dataset-published": "the dataset that the proposal fixes can be fetched",
        },
    ),
    (
        "Before a campaign is opened (`proposal check`)",
        ("checks.proposal",),
        {},
    ),
)
"""What is examined, the modules whose functions check it, and the names of further checks with what these ask."""

_HELPERS = {"_compared", "_judge"}
"""Functions that make findings for checks."""


def page() -> str:
    """The page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _HEAD
    yield "## The evidence of a milestone\n"
    yield "| check | what it asks | depth |"
    yield "|---|---|---|"
    for check in discover():
        yield f"| `{check_name(check)}` | {_asks(inspect.getdoc(check) or '')} | {depth_of(check)} |"
    yield ""
    for part, modules, named in _PARTS:
        rows = {**{name: asked for module in modules for name, asked in _checks_of(module)}, **named}
        yield f"## {part}\n"
        yield "| check | what it asks |"
        yield "|---|---|"
        yield from (f"| `{name}` | {_asks(asked)} |" for name, asked in sorted(rows.items()))
        yield ""
    yield "## Risks\n"
    yield "Findings of the group `risks` follow from [the published rules](../risk-rules.md), under the rules' names.\n"


def _checks_of(module: str) -> Iterator[tuple[str, str]]:
    """Name and docstring of each function of a module that makes one finding."""
    found = importlib.import_module(f"llamafund_chain.{module}")
    for name, function in vars(found).items():
        own = inspect.isfunction(function) and function.__module__ == found.__name__ and name not in _HELPERS
        described = inspect.getdoc(function) if own else None
        if described and str(function.__annotations__.get("return")).removesuffix(" | None") == "Finding":
            yield check_name(function), described


def _asks(docstring: str) -> str:
    """The first sentence, without what is returned when there is nothing to ask."""
    sentence = " ".join(docstring.partition("\n\n")[0].split()).partition("; `None`")[0].rstrip(".")
    return (sentence[0].upper() + sentence[1:]).replace("|", "\\|")
