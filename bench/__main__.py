"""`python -m bench NAME [--json]`: exit code 1 when a bound does not hold."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterable
from functools import partial
from inspect import signature
from typing import cast

import click
from rich.console import Console
from rich.table import Table

from bench import snapshot
from bench.harness import Benchmark, Row
from llamafund_chain.errors import LlamafundError

BENCHMARKS = {
    "audit": "bench.audit",
    "cli": "bench.cli",
    "evidence": "bench.evidence",
    "flood": "bench.flood",
    "gas": "bench.gas",
    "promise": "bench.promise",
    "tolerance": "bench.tolerance",
    "trainer": "bench.trainer",
}
"""Name → module that has a function `run`."""

LONG = 10**9
"""From here on a table shows numbers as powers of ten."""


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    if value >= LONG:
        return f"{value:.1e}"
    return f"{value:,.0f}".replace(",", " ") if value == int(value) else f"{value:.3f}"


def _measured(rows: Iterable[Row]) -> list[Row]:
    """All rows, each said as soon as it is measured, because the next one may take minutes."""
    found: list[Row] = []
    for row in rows:
        found.append(row)
        bound = "" if row.bound is None else f", bound {_number(row.bound)}"
        ratio = "" if row.ratio is None else f", ratio {row.ratio:.2f}"
        click.echo(f"{row.name}: {_number(row.value)} {row.unit}{ratio}{bound}", err=True)
    return found


def _table(name: str, rows: list[Row]) -> Table:
    table = Table(title=f"bench {name}")
    for heading in ("measured", "value", "unit", "reference", "ratio", "bound", "holds"):
        table.add_column(heading, justify="left" if heading in ("measured", "unit", "reference") else "right")
    for row in rows:
        table.add_row(
            row.name,
            _number(row.value),
            row.unit,
            f"{row.reference.name} {_number(row.reference.value)}" if row.reference else "–",
            "–" if row.ratio is None else _number(row.ratio) if row.ratio >= LONG else f"{row.ratio:.2f}",
            _number(row.bound),
            {True: "yes", False: "NO", None: "–"}[row.holds],
        )
    return table


@click.command()
@click.argument("name", type=click.Choice(sorted(BENCHMARKS)))
@click.option("--json", "as_json", is_flag=True, help="Print the rows for machines.")
@click.option(
    "--size",
    metavar="SIZES",
    default=None,
    help="Bytes for evidence, for example 1GiB,8GiB; pledges for audit, for example 1000,100000.",
)
@click.option("--update", is_flag=True, help="Make the figures the committed snapshot.")
def main(name: str, as_json: bool, size: str | None, update: bool) -> None:
    """Run one benchmark and compare it with its bounds.

    Example: python -m bench gas --json
    """
    run = cast("Benchmark", importlib.import_module(BENCHMARKS[name]).run)
    if size is not None:
        if "size" not in signature(run).parameters:
            raise click.UsageError(f"{name} takes no --size")
        run = cast("Benchmark", partial(cast("Callable[..., Iterable[Row]]", run), size=size))
    try:
        rows = _measured(run())
    except LlamafundError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    if as_json:
        click.echo(
            json.dumps(
                {"schema": "llamafund/bench/1", "bench": name, "rows": [row.to_json() for row in rows]}, indent=2
            )
        )
    else:
        Console(width=None if sys.stdout.isatty() else 130).print(_table(name, rows))
    if update:
        click.echo(f"{snapshot.write(name, rows)} updated", err=True)
    if any(row.holds is False for row in rows):
        sys.exit(1)


main()
