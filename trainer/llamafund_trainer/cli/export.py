"""`llamafund export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from pydantic import JsonValue

from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import HASH, json_option, store_option
from llamafund_chain.cli.output import emit, progress, rows
from llamafund_chain.errors import UsageError
from llamafund_chain.files.scratch import ScratchFolder
from llamafund_chain.store import open_store
from llamafund_trainer.cli.campaign_options import CampaignOptions, campaign_options
from llamafund_trainer.cli.display import shown_metric
from llamafund_trainer.metric import METRIC, UNIGRAM_BYTES, UNIGRAM_TOKENS
from llamafund_trainer.runs.requests import Exported, ExportRequest, export_and_sign


@dataclass(frozen=True, kw_only=True)
class ExportOptions(CampaignOptions):
    """The command's options, by the names that click gives them."""

    checkpoint: str
    out: Path
    license: str | None
    store: str
    as_json: bool


@click.command()
@click.argument("checkpoint", type=HASH, metavar="CHECKPOINT")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIRECTORY",
    help="Empty or new. transformers can load it.",
)
@click.option("--license", metavar="SPDX", help="Without a campaign: license of the weights.")
@campaign_options
@store_option
@json_option
def export(**given: Any) -> None:
    """Publish the open weights of a CHECKPOINT, named by the hash of its manifest.

    Writes config, weights, tokenizer and a model card, measures the promised metric on the held-out text, and publishes
    everything with a manifest. With --campaign and --wallet, the evidence of the WEIGHTS milestone is also signed:
    DIRECTORY/attestation-<milestone>.json. That file is not published.

    \b
    Example:
      llamafund export 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae \\
        --out model --campaign 0x5FbDB2315678afecb367f032d93F642f64180aa3 --wallet rosa
    """
    _export(ExportOptions(**given))


def _export(options: ExportOptions) -> None:
    if (options.campaign is None) == (options.license is None):
        raise UsageError(
            "It is not clear which license the weights get",
            "A funded run takes it from the proposal of --campaign, any other run from --license",
            "Give one of the two",
        )
    store = open_store(options.store)
    funded, account = options.open_campaign(store)
    request = ExportRequest(
        checkpoint=options.checkpoint,
        directory=options.out,
        license=options.license or "",
        campaign=options.campaign or "",
        funded=funded,
        account=account,
    )
    if_interrupted(f"the weights in {options.out} are not complete. Remove them before you run it again")
    progress("Fetching the checkpoint and measuring it on the held-out text")
    with ScratchFolder("export") as workdir:
        exported = export_and_sign(store, request, workdir)
    emit("export", _facts(options, exported), _lines(options, exported), as_json=options.as_json)


def _facts(options: ExportOptions, exported: Exported) -> dict[str, JsonValue]:
    weights = exported.manifest
    return {
        "checkpoint": options.checkpoint,
        "weights": weights.sha256,
        "content_root": weights.content.root,
        "content_size": weights.content.size,
        "parameters": weights.parameters,
        "license": weights.license,
        "metrics": dict(weights.metrics),
        "score": weights.outcome_score,
        "campaign": options.campaign,
        "milestone": exported.milestone,
        "attestation": None if exported.attestation is None else str(exported.attestation),
        "out": str(options.out),
    }


def _lines(options: ExportOptions, exported: Exported) -> list[str]:
    weights = exported.manifest
    return rows(
        (
            ("weights", weights.sha256),
            ("parameters", str(weights.parameters)),
            ("held-out bits/byte", shown_metric(weights.metrics[METRIC])),
            ("counting tokens", shown_metric(weights.metrics[UNIGRAM_TOKENS])),
            ("counting bytes", shown_metric(weights.metrics[UNIGRAM_BYTES])),
            ("written to", str(options.out)),
            *([] if exported.attestation is None else [("attestation", str(exported.attestation))]),
        )
    )
