"""`llamafund export`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import JsonValue

from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import (
    HASH,
    finality_option,
    json_option,
    rpc_option,
    store_option,
    wallet_options,
)
from llamafund_chain.cli.output import emit, progress, rows
from llamafund_chain.errors import UsageError, VerificationError
from llamafund_trainer.cli.shared import campaign_option, open_funded, shown_score

if TYPE_CHECKING:
    from llamafund_chain.chain.connection import Finality


@click.command()
@click.argument("checkpoint", type=HASH, metavar="CHECKPOINT")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIRECTORY",
    help="Empty or new; transformers loads it as it is.",
)
@click.option("--license", metavar="SPDX", help="Without a campaign: license of the weights.")
@campaign_option
@rpc_option
@finality_option
@store_option
@wallet_options
@json_option
def export(
    checkpoint: str,
    out: Path,
    license: str | None,
    campaign: str | None,
    rpc: str,
    finality: Finality,
    store: str,
    wallet: str | None,
    keystore: Path,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Publish the open weights of a CHECKPOINT, named by the hash of its manifest.

    Writes config, weights, tokenizer and a model card, measures the promised metric on the held-out text, and
    publishes everything with a manifest. With --campaign and --wallet the evidence of the WEIGHTS milestone is
    signed, too: DIRECTORY/attestation-<milestone>.json, which is not part of what is published.

    \b
    Example:
      llamafund export 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae \\
        --out model --campaign 0x5FbDB2315678afecb367f032d93F642f64180aa3 --wallet tara
    """
    from llamafund_chain.evidence.manifests import CheckpointManifest
    from llamafund_chain.store import open_store
    from llamafund_chain.store.content import fetch_manifest
    from llamafund_trainer.metric import METRIC, UNIGRAM_BYTES, UNIGRAM_TOKENS
    from llamafund_trainer.runs.export import export_weights
    from llamafund_trainer.runs.funded_run import sign_weights

    source = open_store(store)
    funded, account = open_funded(campaign, rpc, source, finality, wallet, keystore, passphrase_file)
    if (funded is None) == (license is None):
        raise UsageError(
            "It is not clear under which license the weights are published",
            "A funded run takes it from the proposal of --campaign, any other from --license, and never both",
        )
    head = fetch_manifest(source, checkpoint, CheckpointManifest)
    if funded is not None and head.seed != funded.seed:
        raise VerificationError(
            f"The checkpoint was trained with the seed {head.seed}",
            f"The campaign's is {funded.seed}",
            "Export a checkpoint of the funded run",
        )
    if_interrupted(f"the weights in {out} are not complete. Remove them before you run it again")
    progress("Fetching the checkpoint and measuring it on the held-out text")
    with tempfile.TemporaryDirectory(prefix="llamafund-export-") as workdir:
        weights = export_weights(
            source,
            head,
            out,
            license=license or (funded.proposal.license if funded else ""),
            workdir=Path(workdir),
            campaign=campaign or "",
        )
    milestone, path = sign_weights(funded, account, weights, out) if funded and account else (None, None)
    metrics: dict[str, JsonValue] = {**weights.metrics}
    facts: dict[str, JsonValue] = {
        "checkpoint": checkpoint,
        "weights": weights.sha256,
        "content_root": weights.content.root,
        "content_size": weights.content.size,
        "parameters": weights.parameters,
        "license": weights.license,
        "metrics": metrics,
        "score": weights.outcome_score,
        "campaign": campaign,
        "milestone": milestone,
        "attestation": None if path is None else str(path),
        "out": str(out),
    }
    lines = rows(
        (
            ("weights", weights.sha256),
            ("parameters", str(weights.parameters)),
            ("held-out bits/byte", shown_score(weights.metrics[METRIC])),
            ("counting tokens", shown_score(weights.metrics[UNIGRAM_TOKENS])),
            ("counting bytes", shown_score(weights.metrics[UNIGRAM_BYTES])),
            ("written to", str(out)),
            *([("attestation", str(path))] if path else []),
        )
    )
    emit("export", facts, lines, as_json=as_json)
