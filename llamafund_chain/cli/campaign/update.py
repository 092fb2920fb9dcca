"""`llamafund campaign update`: publish news for the backers."""

from __future__ import annotations

from pathlib import Path

import click
from pydantic import JsonValue

from llamafund_chain.campaign.updates import read_update
from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import (
    ADDRESS,
    HASH,
    ask,
    json_option,
    rpc_option,
    store_option,
    yes_option,
)
from llamafund_chain.cli.output import progress
from llamafund_chain.cli.shared import open_campaign, report, sent_through
from llamafund_chain.cli.signer import Signer, signer_options
from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.store import open_store
from llamafund_chain.store.content import publish_manifest


@click.command(short_help="Publish an update for the backers.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--title", help="Title of the update; by default the heading in the file's first line.")
@click.option(
    "--link",
    "links",
    type=(str, HASH),
    multiple=True,
    metavar="TITLE SHA256",
    help="Something published that the update refers to; repeatable.",
)
@rpc_option
@signer_options
@store_option
@yes_option
@json_option
def update(
    address: str,
    file: Path,
    title: str | None,
    links: tuple[tuple[str, str], ...],
    rpc: str,
    signer: Signer,
    store: str,
    yes: bool,
    as_json: bool,
) -> None:
    """Publish the update in FILE for the backers of the campaign at ADDRESS, and post its hash on chain.

    FILE is Markdown whose first line is the title: “# The data is ready”. Only the researcher may post updates. They
    change nothing, and can never be taken back. `llamafund campaign show` lists them, and `llamafund manifest show`
    prints one.

    \b
    Example:
      llamafund campaign update 0x5FbDB2315678afecb367f032d93F642f64180aa3 update.md --wallet rosa
    """
    named = dict(links)
    if len(named) < len(links):
        raise UsageError("Two links have the same title", remedy="Give each --link its own title")
    written = read_update(file, title=title)
    place = open_store(store)
    client = open_campaign(rpc, address)
    manifest = written.manifest(client.caip10, links=named)
    account = signer.unlock()

    def agree() -> None:
        ask(
            f"Publish the update “{manifest.title}” ({len(manifest.text)} characters) in {place.location} and post its "
            f"hash {manifest.sha256}? It can never be taken back.",
            yes=yes,
        )
        # Published before its hash is on chain, so that nobody looks for it in vain.
        progress("Publishing the update")
        publish_manifest(place, manifest)
        left = f"the update is published in {place.location}, but its hash was not sent"
        if_interrupted(sent_through(client.sender, left))

    receipt = client.post_update(account, manifest.sha256, agree=agree)
    facts: dict[str, JsonValue] = {
        "update": manifest.sha256,
        "cid": raw_cid(manifest.sha256),
        "title": manifest.title,
        "links": [{"title": link.title, "sha256": link.sha256} for link in manifest.links],
        "store": place.location,
    }
    sentence = f"Posted the update “{manifest.title}”: {manifest.sha256}, published in {place.location}"
    report("campaign update", client, receipt, facts, sentence, as_json=as_json)
