"""`llamafund review`: sign a review of a proposal, and read those of others."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click
from pydantic import JsonValue

from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.overview import Overview, overview
from llamafund_chain.campaign.records import Record, records_of
from llamafund_chain.campaign.reviews import Review, check_reviews, find_reviews, read_review, write_review
from llamafund_chain.chain.connection import Block
from llamafund_chain.cli.facts import facts_option
from llamafund_chain.cli.options import (
    ADDRESS,
    FilePath,
    ask,
    json_option,
    rpc_option,
    store_option,
    stores_option,
    yes_option,
)
from llamafund_chain.cli.output import emit, rows
from llamafund_chain.cli.shared import open_campaign
from llamafund_chain.cli.signer import Signer, required_signer_options
from llamafund_chain.deployment import addresses
from llamafund_chain.errors import LlamafundError, UncheckedError, VerificationError
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.evidence.manifests import ReviewManifest, load_manifest, save_manifest
from llamafund_chain.store import Store, open_store
from llamafund_chain.store.content import fetch_manifest, publish_manifest
from llamafund_chain.store.kinds.local import LocalStore
from llamafund_chain.store.several import SeveralStores, open_stores
from llamafund_chain.text import counted, printable
from llamafund_chain.times import when

_LINES = 60
"""Lines of a review on the terminal."""

_SAID = {"genuine": "genuine", "refused": "NOT GENUINE", "unchecked": "could not be checked"}


@click.command(short_help="Sign and publish a review of a campaign's proposal.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--out", type=FilePath(), metavar="FILE", help="Write the signed review to a file, too, to pass it on.")
@rpc_option
@required_signer_options
@store_option
@yes_option
@json_option
def write(
    address: str, file: Path, out: Path | None, rpc: str, signer: Signer, store: str, yes: bool, as_json: bool
) -> None:
    """Sign the review in FILE of the proposal of the campaign at ADDRESS, and publish it.

    FILE is Markdown. Anybody with a wallet may review; it costs no gas and needs nobody's permission. The signature
    (EIP-712) binds your text to the proposal's hash, and anybody can see what you have pledged. Once others have it,
    nobody can change or delete it, not even you. No chain lists reviews: pass its hash on, or the file of --out.

    \b
    Example:
      llamafund review write 0x5FbDB2315678afecb367f032d93F642f64180aa3 review.md --wallet alice
    """
    text = read_review(file)
    place = open_store(store)
    client = open_campaign(rpc, address)
    account = signer.unlock_to_sign()
    ask(
        f"Sign this review ({counted(len(text), 'character')}) of the proposal {client.terms.proposal} as "
        f"{account.address}, and publish it in {place.location}? It can never be taken back.",
        yes=yes,
    )
    manifest = write_review(client, account, text, int(time.time()))
    publish_manifest(place, manifest)
    if out is not None:
        save_manifest(out, manifest)
    facts: dict[str, JsonValue] = {
        "campaign": client.address,
        "chain": client.connection.caip2,
        "proposal": manifest.proposal,
        "review": manifest.sha256,
        "cid": raw_cid(manifest.sha256),
        "reviewer": manifest.reviewer,
        "written": manifest.written,
        "store": place.location,
        "file": None if out is None else str(out),
    }
    lines = rows(
        [
            ("review", manifest.sha256),
            ("IPFS", raw_cid(manifest.sha256)),
            ("reviewer", manifest.reviewer),
            ("proposal", manifest.proposal),
            ("published", place.location),
            *([("file", str(out))] if out is not None else []),
        ]
    )
    emit("review write", facts, lines, as_json=as_json)


@click.command(name="list", short_help="Show what others say of a campaign's proposal, checked.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@click.argument("named", nargs=-1, metavar="[HASH|FILE]...")
@stores_option
@rpc_option
@facts_option
@json_option
def list_(address: str, named: Sequence[str], stores: tuple[str, ...], rpc: str, as_json: bool) -> None:
    """Show the reviews of the proposal of the campaign at ADDRESS, with each reviewer's pledge and track record.

    Each HASH is fetched from the stores, each FILE is one that `llamafund review write --out` or the page wrote, and
    all directories among the stores are searched. No list of reviews is ever complete: nobody can delete one, but
    nobody need keep one either. A review is shown if its signature, its campaign and its proposal are right; what it
    says is its reviewer's own opinion.

    \b
    Example:
      llamafund review list 0x5FbDB2315678afecb367f032d93F642f64180aa3
    """
    places = open_stores(stores)
    client = open_campaign(rpc, address)
    connection = client.connection
    _, latest, _ = connection.look_at(addresses.predicted().factory)
    given = [_given(one, places) for one in named]
    reviews = check_reviews(client, [*given, *_searched(client, places)], latest)
    shown = [one.reviewer for one in reviews if one.reviewer]
    campaigns = [one for one in overview(connection, latest) if isinstance(one, Overview)] if shown else []
    records = records_of(connection, campaigns, shown, latest) if shown else {}
    facts: dict[str, JsonValue] = {
        "campaign": client.address,
        "chain": connection.caip2,
        "proposal": client.terms.proposal,
        "block": latest.number,
        "reviews": [_facts(client, one, records) for one in reviews],
    }
    emit("review list", facts, _lines(client, reviews, records, latest), as_json=as_json)
    _judge([one for one in reviews if one.sha256 in dict(given)])


def _given(one: str, places: Store) -> tuple[str, ReviewManifest | LlamafundError]:
    """A review that somebody named, by its hash; a file that cannot be read has its name for one."""
    try:
        if len(one) == 64 and not Path(one).exists():
            return one, fetch_manifest(places, one, ReviewManifest)
        manifest = load_manifest(ReviewManifest, Path(one))
    except LlamafundError as error:
        return one, error
    return manifest.sha256, manifest


def _searched(client: CampaignClient, places: Store) -> Iterator[tuple[str, ReviewManifest]]:
    for store in places.places if isinstance(places, SeveralStores) else (places,):
        if isinstance(store, LocalStore):
            for sha256 in find_reviews(store, client.caip10):
                yield sha256, fetch_manifest(store, sha256, ReviewManifest)


def _judge(given: Sequence[Review]) -> None:
    """Those that were named must be genuine; what else a store has is shown only."""
    for verdict, kind in (("refused", VerificationError), ("unchecked", UncheckedError)):
        found = [one for one in given if one.verdict == verdict]
        if found:
            what = f"{counted(len(found), 'review')} that you named {'is' if len(found) == 1 else 'are'}"
            raise kind(f"{what} {'not genuine' if verdict == 'refused' else 'unchecked'}", found[0].problem)


def _lines(
    client: CampaignClient, reviews: Sequence[Review], records: Mapping[str, Sequence[Record]], at: Block
) -> Iterator[str]:
    yield f"{counted(len(reviews), 'review')} of the proposal {client.terms.proposal}, seen at block {at.number}"
    if not reviews:
        yield "None was named or is in a directory among the stores. There may be others elsewhere."
    for one in reviews:
        yield ""
        if one.manifest is None:
            yield f"{printable(one.sha256, 100)}  {_SAID[one.verdict]}: {printable(one.problem)}"
            continue
        yield f"{one.reviewer}  {when(one.manifest.written)}, as they say"
        yield f"  review {one.sha256}, {_SAID[one.verdict]}"
        here = client.terms.roles_of(one.reviewer)
        if here:
            # Whoever gets or releases the money does not review as a stranger.
            yield f"  is {' and '.join(here)} of this campaign"
        yield f"  has {client.asset.format(one.pledge or 0)} pledged here, {_known(records.get(one.reviewer, ()))}"
        lines = one.manifest.text.splitlines()
        yield from (f"  | {printable(line, 1_000)}" for line in lines[:_LINES])
        if len(lines) > _LINES:
            yield f"  {counted(len(lines) - _LINES, 'more line')}: --json has them"


def _known(records: Sequence[Record]) -> str:
    if not records:
        return "and no part in any campaign of this chain"
    parts = ", ".join(f"{record.role} in {len(record.campaigns)}" for record in records)
    return f"and is {parts} of this chain's campaigns (`llamafund people` has more)"


def _facts(client: CampaignClient, one: Review, records: Mapping[str, Sequence[Record]]) -> JsonValue:
    manifest = one.manifest
    return {
        "review": one.sha256,
        "verdict": one.verdict,
        "problem": one.problem or None,
        "reviewer": one.reviewer or None,
        "written": None if manifest is None else manifest.written,
        "text": None if manifest is None else manifest.text,
        "pledge": None if one.pledge is None else client.asset.plain(one.pledge),
        "asset": client.asset.symbol,
        "roles": [*client.terms.roles_of(one.reviewer)],
        "records": [
            {"role": record.role, "campaigns": [*record.campaigns]} for record in records.get(one.reviewer, ())
        ],
    }
