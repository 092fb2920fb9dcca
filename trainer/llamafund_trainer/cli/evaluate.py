"""`llamafund evaluate`."""

from __future__ import annotations

import click
from pydantic import JsonValue

from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import HASH, json_option, stores_option
from llamafund_chain.cli.output import emit, note, progress, rows
from llamafund_chain.cli.system import UNBOUNDED, warn
from llamafund_chain.errors import VerificationError
from llamafund_chain.evidence.manifests import ProposalManifest
from llamafund_chain.files.scratch import ScratchFolder
from llamafund_chain.store.content import fetch_manifest
from llamafund_chain.store.several import open_stores
from llamafund_chain.text import from_millionths
from llamafund_trainer.base_files import TOKENIZER
from llamafund_trainer.cli.display import shown_metric
from llamafund_trainer.metric import HELDOUT_BYTES, METRIC, UNIGRAM_BYTES, UNIGRAM_TOKENS
from llamafund_trainer.runs.evaluation import Evaluation, evaluate_weights
from llamafund_trainer.runs.open_weights import open_weights


@click.command()
@click.argument("weights", metavar="WEIGHTS")
@click.option("--proposal", type=HASH, required=True, metavar="SHA256", help="Hash of the proposal manifest.")
@stores_option
@json_option
def evaluate(weights: str, proposal: str, stores: tuple[str, ...], as_json: bool) -> None:
    """Measure the promised metric of open WEIGHTS again.

    WEIGHTS is a safetensors file, a directory with one, or the hash of the manifest of weights or of a checkpoint. The
    proposal decides the held-out text, the architecture and the way to measure. Another process computes in float64,
    so everybody gets the same integer.

    Exits with code 3 if the metric is worse than promised, or not what the manifest of the weights claims.

    \b
    Example:
      llamafund evaluate ./downloaded --proposal 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
    """
    source = open_stores(stores)
    promised = fetch_manifest(source, proposal, ProposalManifest)
    with ScratchFolder("evaluate") as workdir:
        opened = open_weights(weights, source, workdir)
        if_interrupted("the measurement was not finished")
        warn(UNBOUNDED)
        progress("Measuring the model on the held-out text")
        found = evaluate_weights(promised, opened, source, workdir)
    facts = {"weights": weights, "proposal": proposal, **_facts(promised, found)}
    emit("evaluate", facts, _lines(found), as_json=as_json)
    if found.problem is not None:
        what, why = found.problem
        raise VerificationError(what, why, "These weights are not what was promised")
    if found.tokenizer is None:
        note(f"There is no {TOKENIZER} beside the weights to compare with the one that was measured with.")


def _facts(promised: ProposalManifest, found: Evaluation) -> dict[str, JsonValue]:
    value = found.measurement.value
    return {
        "metric": METRIC,
        "value": value,
        "target": found.target,
        "claimed": found.claimed,
        "score": None if value is None else promised.outcome.score(value),
        "published_tokenizer_is_the_datas": found.tokenizer,
        "kept": found.problem is None,
        "metrics": dict(found.measurement.metrics),
    }


def _lines(found: Evaluation) -> list[str]:
    metrics = found.measurement.metrics
    return rows(
        (
            ("held-out bits/byte", shown_metric(found.measurement.value)),
            ("promised", f"{from_millionths(found.target)} or less"),
            ("claimed", "nothing" if found.claimed is None else from_millionths(found.claimed)),
            ("counting tokens", from_millionths(metrics[UNIGRAM_TOKENS])),
            ("counting bytes", from_millionths(metrics[UNIGRAM_BYTES])),
            ("held-out bytes", str(metrics[HELDOUT_BYTES])),
        )
    )
