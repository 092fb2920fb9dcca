"""`python -m assurance [NAME…] [--short] [--json]`: exit code 1 when a property does not hold."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from typing import cast

import click

from assurance.harness import BrokenToolError, Campaign, MissingToolError, Result

CAMPAIGNS = {
    "static-analysis": "assurance.static_analysis",
    "coverage": "assurance.coverage",
    "proofs": "assurance.proofs",
    "state-machine": "assurance.state_machine",
    "invariants": "assurance.invariants",
    "evidence": "assurance.evidence",
    "flood": "assurance.flood",
    "interruptions": "assurance.interruptions",
    "mutation": "assurance.mutation",
    "python-mutation": "assurance.python_mutation",
}
"""Name → module that has a function `run`; the quick ones first."""


def _line(campaign: str, result: Result) -> str:
    cases = f"{result.cases:,} {result.unit}".replace(",", " ")
    line = f"{'holds' if result.holds else 'BROKEN':<7} {campaign:<16} {result.name} · {cases}"
    return f"{line}\n{result.detail}" if result.detail else line


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(CAMPAIGNS)))
@click.option("--short", is_flag=True, help="The versions that `make test` runs: seconds instead of hours.")
@click.option("--json", "as_json", is_flag=True, help="Print one object a property, for machines.")
def main(names: Sequence[str], short: bool, as_json: bool) -> None:
    """Try to break what is promised, and print one line for each property.

    Example: python -m assurance invariants proofs
    """
    broken = False
    for name in names or CAMPAIGNS:
        run = cast("Campaign", importlib.import_module(CAMPAIGNS[name]).run)
        try:
            for result in run(short):
                broken = broken or not result.holds
                click.echo(json.dumps({"campaign": name, **result.to_json()}) if as_json else _line(name, result))
        except (MissingToolError, BrokenToolError) as error:
            click.echo(f"Error: {name}: {error}", err=True)
            sys.exit(2)
    if broken:
        sys.exit(1)


main()
