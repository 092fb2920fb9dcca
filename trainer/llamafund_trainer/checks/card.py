"""Whether the model card and the headers of the weights say only what manifests say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import zip_longest

from pydantic import JsonValue

from llamafund_chain.checks.check import CheckContext, Finding, needs
from llamafund_chain.checks.license import MAX_CARD_BYTES
from llamafund_chain.evidence.manifests import CheckpointManifest, DatasetManifest, WeightsManifest
from llamafund_chain.mistakes import DocumentError
from llamafund_chain.store.base import called
from llamafund_chain.store.content import fetch_manifest, fetch_tree
from llamafund_chain.strict_yaml import load_yaml
from llamafund_chain.text import printable
from llamafund_trainer.checks.shared import checkpoint_of, own_recipe
from llamafund_trainer.recipe import Recipe
from llamafund_trainer.record.card import CLAIMS, checked_part, short_card, split_metadata
from llamafund_trainer.runs.card import CARD_METRICS, CardFacts, model_card
from llamafund_trainer.tensors.compare import read_metadata
from llamafund_trainer.tensors.shards import WEIGHTS

_TRAINERS_HEADER = {"format": "pt"}
_RESULTS = frozenset({"model-index", "eval_results", "metrics"})
"""Keys of a model card's metadata under which sites show scores."""


def model_card_from_manifests(context: CheckContext) -> Iterator[Finding]:
    """Everything in the model card follows from the manifests, or stands below the heading of the author's claims."""
    evidence = context.evidence
    if not isinstance(evidence, WeightsManifest):
        return
    entry = evidence.entry(evidence.model_card)
    if entry.size > MAX_CARD_BYTES:
        detail = f"The model card has {entry.size} bytes: a card is {MAX_CARD_BYTES} at most, and was not compared"
        yield Finding("warn", detail)
        return
    with called({entry.cid: repr(entry.path)}):
        card = context.store.read(entry.cid, limit=MAX_CARD_BYTES).decode("utf-8", "replace")
    checkpoint = checkpoint_of(context, evidence)
    recipe = own_recipe(context, evidence)
    found = _own_card(card, checkpoint, evidence) if recipe is None else _card(context, card, recipe, checkpoint)
    yield found


@needs("weights")
def weights_headers_plain(context: CheckContext) -> Iterator[Finding]:
    """The header of the weights says nothing but what the trainer writes there."""
    evidence = context.evidence
    if not isinstance(evidence, WeightsManifest) or WEIGHTS not in {entry.path for entry in evidence.files}:
        return
    fetch_tree(context.store, evidence, context.workdir, [WEIGHTS])
    metadata = read_metadata(context.workdir / WEIGHTS)
    facts: dict[str, JsonValue] = {"claimed": {key[:80]: value[:200] for key, value in sorted(metadata.items())[:100]}}
    shown = printable(json.dumps(metadata, sort_keys=True), 200)
    if own_recipe(context, evidence) is None:
        detail = f"The header of {WEIGHTS!r} says {shown}: the author's claim, which counts nowhere"
        yield Finding("pass", detail, facts)
    elif metadata in (_TRAINERS_HEADER, {}):
        yield Finding("pass", f"The header of {WEIGHTS!r} has no text of its own")
    else:
        detail = f"The header of {WEIGHTS!r} says {shown}; the trainer writes {json.dumps(_TRAINERS_HEADER)}"
        yield Finding("fail", detail, facts)


def _card(context: CheckContext, card: str, recipe: Recipe, checkpoint: CheckpointManifest) -> Finding:
    """The card of the trainer's own export, made again."""
    evidence = context.evidence
    if not isinstance(evidence, WeightsManifest):
        raise TypeError("only weights have a model card")
    missing = [name for name in CARD_METRICS if name not in evidence.metrics]
    if missing:
        return Finding("fail", f"The manifest of the weights lacks {', '.join(missing)}, which the model card tells")
    dataset = fetch_manifest(context.store, checkpoint.dataset, DatasetManifest)
    said, claims = checked_part(card)
    # An address is the same in any case.
    said = re.sub(re.escape(context.campaign), lambda _: context.campaign, said, flags=re.IGNORECASE)
    for campaign in ("", context.campaign):
        facts = CardFacts(
            evidence.parameters, evidence.metrics, evidence.entry(WEIGHTS).sha256, evidence.license, campaign
        )
        made = model_card(recipe, dataset, checkpoint, facts)
        if said.rstrip() == made.rstrip():
            return _agreed(claims)
    return Finding("fail", _first_difference(said, made), {"claimed": len(claims)})


def _own_card(card: str, checkpoint: CheckpointManifest, evidence: WeightsManifest) -> Finding:
    """The card of a recorded run: what the recorder wrote, with metadata that may be the author's."""
    said, claims = checked_part(card)
    metadata, body = split_metadata(said)
    try:
        named = load_yaml("\n".join(metadata.strip().splitlines()[1:-1])) if metadata else {}
    except DocumentError as error:
        return Finding("warn", f"The model card's metadata cannot be read: {error.problem}")
    scores = sorted(_RESULTS & set(map(str, named))) if isinstance(named, dict) else []
    if scores:
        detail = f"The model card's metadata has {scores[0]!r}: sites show it as a result, and no check has measured it"
        return Finding("fail", f"{detail}. Write it below {CLAIMS!r}")
    if body.split() == split_metadata(short_card(checkpoint, evidence.license))[1].split():
        return _agreed(claims)
    detail = f"The model card is the author's own and does not say so: nothing above {CLAIMS!r} comes from manifests"
    return Finding("warn", f"{detail}. Export the weights again with model_card=", {"claimed": len(card)})


def _agreed(claims: str) -> Finding:
    detail = "The model card was made again from manifests and recipe, and is the same"
    if claims:
        detail += f". Below {CLAIMS!r} are {len(claims)} characters that nobody has checked"
    return Finding("pass", detail, {"claimed": len(claims)})


def _first_difference(said: str, made: str) -> str:
    for one, other in zip_longest(said.rstrip().splitlines(), made.rstrip().splitlines()):
        if one != other:
            shown, wanted = ("nothing" if line is None else repr(printable(line, 120)) for line in (one, other))
            return f"The model card says {shown}; by manifests and recipe it says {wanted}. Claims go below {CLAIMS!r}"
    return "The model card has other line ends than the one made from manifests"
