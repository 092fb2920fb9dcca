"""`--campaign` of the trainer's commands: the campaign that pays for the training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from llamafund_chain.chain.connection import Finality
from llamafund_chain.cli.options import ADDRESS, expected_chain, finality_option, rpc_option
from llamafund_chain.cli.output import note
from llamafund_chain.cli.signer import Signer, optional_signer_options
from llamafund_chain.store import Store
from llamafund_trainer.runs.funded_run import FundedRun, open_funded_run, require_attestor

if TYPE_CHECKING:
    from eth_account.signers.base import BaseAccount

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class CampaignOptions:
    """What `campaign_options` adds to a command, by the names that click gives them."""

    campaign: str | None
    rpc: str
    finality: Finality
    signer: Signer

    def open_campaign(self, store: Store) -> tuple[FundedRun | None, BaseAccount | None]:
        """Open the campaign and the key that signs for it, before any long work; each is `None` if not named.

        Args:
            store: Holds the campaign's proposal.

        Raises:
            UsageError: There is no passphrase, or the proposal promises another metric.
            ContractRefusedError: The key is not an attestor's.
            LlamafundError: The campaign cannot be read or its training cannot begin, or the key cannot be unlocked.
        """
        if self.campaign is None:
            return None, None
        funded = open_funded_run(self.rpc, self.campaign, store, self.finality, expected_chain())
        if not self.signer:
            note("No wallet was named, so nothing will be signed.")
            return funded, None
        account = self.signer.unlock_to_sign()
        require_attestor(funded, account)
        return funded, account


def campaign_options(command: F) -> F:
    """`--campaign`, and how to reach it and sign for it; parameters as `CampaignOptions` takes them."""
    decorated = rpc_option(finality_option(optional_signer_options(command)))
    return click.option("--campaign", type=ADDRESS, metavar="ADDRESS", help="The campaign that pays for the training.")(
        decorated
    )
