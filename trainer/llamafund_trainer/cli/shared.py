"""What the trainer's commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from llamafund_chain.cli.options import (
    ADDRESS,
    unlock,
)
from llamafund_chain.cli.output import note

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount
    from rich.progress import Progress

    from llamafund_chain.chain.connection import Finality
    from llamafund_chain.store import Store
    from llamafund_trainer.runs.funded_run import FundedRun


campaign_option = click.option("--campaign", type=ADDRESS, metavar="ADDRESS", help="The campaign that pays for it.")


def open_funded(
    campaign: str | None,
    rpc: str,
    store: Store,
    finality: Finality,
    wallet: str | None,
    keystore: Path,
    passphrase_file: Path | None,
) -> tuple[FundedRun | None, LocalAccount | None]:
    """The campaign and the key that signs for it, before any long work."""
    if campaign is None:
        return None, None
    from llamafund_trainer.runs.funded_run import open_funded_run, require_attestor

    funded = open_funded_run(rpc, campaign, store, finality)
    if not wallet:
        note("No wallet was named, so nothing will be signed.")
        return funded, None
    account = unlock(wallet, keystore, passphrase_file)
    require_attestor(funded, account)
    return funded, account


def shown_score(value: int | None) -> str:
    from llamafund_chain.text import from_millionths

    return "not a finite number: the model has diverged" if value is None else from_millionths(value)


def progress_bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[facts]}"),
        console=Console(stderr=True),
    )
