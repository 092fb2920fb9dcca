"""Read a campaign and pledge to it: `ape run campaign ADDRESS [--pledge AMOUNT] [--account ALIAS]`."""

import ape
import click
from ape.cli import ConnectedProviderCommand, account_option


@click.command(cls=ConnectedProviderCommand)
@click.argument("address")
@click.option("--pledge", metavar="AMOUNT", help='What to pledge, for example "0.5 ether".')
@account_option()
def cli(address, pledge, account):
    campaign = ape.project.Campaign.at(address)
    if pledge is not None:
        # The escrow books the pledge for the backer that is named, whoever pays.
        campaign.pledgeCoin(account, sender=account, value=pledge)
    click.echo(f"status   {campaign.status()}")
    click.echo(f"pledged  {campaign.ledger().pledged}")
    click.echo(f"yours    {campaign.pledgeOf(account)}")
