"""`llamafund proposal check`: a campaign file with its data and its recipe, before anything is sent."""

from __future__ import annotations

import time
from pathlib import Path

import click
from pydantic import JsonValue

from llamafund_chain.campaign.file import read
from llamafund_chain.campaign.terms import MIN_BOND
from llamafund_chain.chain.coins import DECIMALS
from llamafund_chain.chain.tokens import NATIVE, Asset
from llamafund_chain.checks.proposal import check_proposal
from llamafund_chain.cli.options import DEFAULT_RECIPE, json_option, recipe_option, stores_option
from llamafund_chain.cli.output import emit, note, rows
from llamafund_chain.errors import UsageError
from llamafund_chain.store.several import open_stores
from llamafund_chain.text import counted
from llamafund_chain.times import when

_SIGNS = {"pass": "ok  ", "fail": "FAIL", "warn": "note", "unchecked": "????"}


@click.command(short_help="Check a campaign file with its data and its recipe.")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@recipe_option
@stores_option
@json_option
def check(file: Path, recipe: Path | None, stores: tuple[str, ...], as_json: bool) -> None:
    """Check the campaign file FILE, and that the data and the recipe are those that it names.

    No node is asked and nothing is sent. What only the chain knows is checked by `llamafund campaign create`: the bond,
    the token, and times by the chain's clock.

    \b
    Example:
      llamafund proposal check campaign.yaml
    """
    draft, store = read(file), open_stores(stores)
    proposal, terms = draft.complete(now=int(time.time()), asset_of=_asset, propose_bond=lambda: MIN_BOND)
    results = check_proposal(proposal, terms, store, recipe or file.parent / DEFAULT_RECIPE)
    facts: dict[str, JsonValue] = {
        "file": str(file),
        "proposal": proposal.sha256,
        "title": proposal.title,
        "checks": [{"name": result.name, "status": result.status, "detail": result.detail} for result in results],
    }
    lines = rows(
        (
            ("title", proposal.title),
            ("proposal", proposal.sha256),
            ("funding until", f"{when(terms.funding_deadline)}, if it is opened now"),
            ("milestones", str(len(terms.milestones))),
            ("attested by", f"{terms.quorum} of {len(terms.attestors)}"),
        )
    )
    listed = [f"{_SIGNS[result.status]}  {result.name}: {result.detail}" for result in results]
    emit("proposal check", facts, [*lines, *listed], as_json=as_json)
    failed = [result for result in results if result.status == "fail"]
    if failed:
        raise UsageError(
            f"{counted(len(failed), 'check')} of {len(results)} failed: {', '.join(result.name for result in failed)}",
            "Backers would find the same",
            "Correct them before you open the campaign",
        )
    if not as_json:
        note("Nothing stands in the way. Next: llamafund campaign create")


def _asset(address: str) -> Asset:
    """An asset with as many decimal places as a coin has: only the chain knows a token's."""
    return Asset(address, None if address == NATIVE else "tokens", DECIMALS)
