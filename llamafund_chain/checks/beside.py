"""Files beside the open weights, and whether the weights can be had from more than one place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from pydantic import JsonValue

from llamafund_chain.checks.check import CheckContext, Finding
from llamafund_chain.errors import LlamafundError
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.evidence.manifests import WeightsManifest
from llamafund_chain.store import Store
from llamafund_chain.store.sources import places_of

RUNS_CODE = frozenset(
    {".bin", ".bat", ".ckpt", ".dll", ".dylib", ".exe", ".h5", ".ipynb", ".joblib", ".js", ".keras", ".msgpack"}
    | {".pickle", ".pkl", ".pt", ".pth", ".py", ".pyc", ".pyd", ".sh", ".so"}
)
"""Endings of files that are code, or run code when a library loads them."""

_KNOWN = re.compile(
    r"(.*\.safetensors|model\.safetensors\.index\.json|(generation_|adapter_|preprocessor_)?config\.json"
    r"|tokenizer\.json|tokenizer_config\.json|tokenizer\.model|special_tokens_map\.json|added_tokens\.json"
    r"|vocab\.(json|txt)|merges\.txt|chat_template\.(jinja|json)"
    r"|(README|LICENSE|LICENCE|COPYING|NOTICE|CITATION|CHANGELOG|USE_POLICY)(\.(md|txt|rst|cff|bib))?"
    r"|\.gitattributes)"
)
"""Files that open weights consist of, by their paths."""

_NAMED = 3


def files_beside_weights(context: CheckContext) -> Iterator[Finding]:
    """Nothing lies beside the open weights that runs code, or that a model does not consist of."""
    evidence = context.evidence
    if not isinstance(evidence, WeightsManifest):
        return
    paths = [entry.path for entry in evidence.files]
    code = [path for path in paths if PurePosixPath(path).suffix.lower() in RUNS_CODE]
    if code:
        listed: list[JsonValue] = [*code[:100]]
        detail = f"{some(code)} beside the open weights: such files are code, or run code when they are loaded"
        yield Finding("fail", detail, {"files": listed})
        return
    unknown = [path for path in paths if path != evidence.model_card and not _KNOWN.fullmatch(path)]
    if unknown:
        listed = [*unknown[:100]]
        detail = f"{some(unknown)} beside the open weights, which a model does not consist of: look at them"
        yield Finding("warn", detail, {"files": listed})
        return
    yield Finding("pass", f"All {len(paths)} files are of kinds that open weights consist of, and none runs code")


def weights_in_several_stores(context: CheckContext) -> Iterator[Finding]:
    """More than one of the named stores has the open weights, all their files and their manifest."""
    evidence = context.evidence
    if not isinstance(evidence, WeightsManifest):
        return
    places = places_of(context.store)
    cids = [raw_cid(evidence.sha256), *dict.fromkeys(entry.cid for entry in evidence.files)]
    whole = sum(isinstance(place, Store) and _has_all(place, cids) for place in places)
    facts: dict[str, JsonValue] = {"asked": len(places), "complete": whole}
    if whole > 1:
        yield Finding("pass", f"{whole} of {len(places)} stores have all of the open weights", facts)
        return
    if len(places) == 1:
        detail = (
            "Only one store was asked for the open weights. Name a second one with --store: one copy is easily lost"
        )
    else:
        detail = f"Of {len(places)} stores, {whole} has all of the open weights now: one copy is easily lost"
    yield Finding("warn", detail, facts)


def _has_all(place: Store, cids: list[str]) -> bool:
    """Whether a store says that it has all of something; one that does not answer has not."""
    try:
        return all(place.has(cid) for cid in cids)
    except (LlamafundError, OSError):
        return False


def some(paths: list[str]) -> str:
    """Some paths in words, followed by a verb."""
    named = ", ".join(map(repr, paths[:_NAMED]))
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return f"{named}{more} {'lies' if len(paths) == 1 else 'lie'}"
