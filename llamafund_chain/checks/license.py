"""The license that the published files themselves name, against the promised one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import JsonValue

from llamafund_chain.checks.check import CheckContext, Finding, needs
from llamafund_chain.evidence.manifests import WeightsManifest
from llamafund_chain.mistakes import DocumentError
from llamafund_chain.store.base import called
from llamafund_chain.strict_yaml import load_json, load_yaml
from llamafund_chain.text import printable

MAX_CARD_BYTES = 1 << 20
"""Longest model card that is read, bytes."""

MAX_HEADER_BYTES = 16 << 20
"""Longest header of a weights file that is read, bytes; the format allows 100 MB."""

_FENCE = "---"
_OTHER = frozenset({"other", "unknown"})
"""What model cards say whose license has a name of its own."""


def model_card_license_matches(context: CheckContext) -> Iterator[Finding]:
    """The license in the model card's metadata is the promised one."""
    evidence = context.evidence
    if not isinstance(evidence, WeightsManifest):
        return
    entry = evidence.entry(evidence.model_card)
    facts: dict[str, JsonValue] = {"proposal": context.proposal.license, "manifest": evidence.license}
    if entry.size > MAX_CARD_BYTES:
        detail = (
            f"The model card has {entry.size} bytes, so its license was not read: a card is {MAX_CARD_BYTES} at most"
        )
        yield Finding("warn", detail, facts)
        return
    with called({entry.cid: repr(entry.path)}):
        text = context.store.read(entry.cid, limit=MAX_CARD_BYTES).decode("utf-8", "replace")
    try:
        named = _license_in(text)
    except DocumentError as error:
        yield Finding("warn", f"The model card's metadata cannot be read: {error.problem}", facts)
        return
    if not named:
        yield Finding("warn", "The model card's metadata names no license, so sites that show it will name none", facts)
        return
    listed: list[JsonValue] = [*named]
    facts["model_card"] = listed
    if all(_same(one, context.proposal.license) for one in named):
        yield Finding("pass", f"The model card names the license {named[0]}, as promised", facts)
        return
    others = [one for one in named if not _same(one, context.proposal.license)]
    contradicting = [one for one in others if one.lower() not in _OTHER]
    if not contradicting:
        yield Finding("warn", f"The model card says {others[0]!r} where it should name the promised license", facts)
        return
    other = contradicting[0]
    detail = f"The model card names the license {other!r}, but the proposal promises {context.proposal.license!r}"
    yield Finding("fail", detail, facts)


@needs("weights")
def weights_header_license_matches(context: CheckContext) -> Iterator[Finding]:
    """No weights file names another license in its header than the promised one."""
    evidence = context.evidence
    if not isinstance(evidence, WeightsManifest):
        return
    silent = 0
    shards = [entry for entry in evidence.files if entry.path.endswith(".safetensors")]
    for entry in shards:
        context.progress(f"Reading the header of {entry.path}")
        with called({entry.cid: repr(entry.path)}):
            head = _head(context.store.stream(entry.cid, size=entry.size))
        metadata = _metadata(head)
        if metadata is None:
            yield Finding("warn", f"The header of {entry.path!r} cannot be read, so its license was not compared")
            return
        named = metadata.get("license")
        facts: dict[str, JsonValue] = {"file": entry.path, "proposal": context.proposal.license}
        if named is None:
            silent += 1
        elif not isinstance(named, str) or not _same(named, context.proposal.license):
            shown = printable(json.dumps(named), 200)
            detail = f"The header of {entry.path!r} names the license {shown}, but the proposal promises"
            yield Finding("fail", f"{detail} {context.proposal.license!r}", facts)
            return
    if shards and silent < len(shards):
        yield Finding("pass", f"{len(shards) - silent} of {len(shards)} weights files name the promised license")
    elif shards:
        yield Finding("pass", f"The headers of {len(shards)} weights files name no license, so none contradicts it")


def _license_in(card: str) -> list[str]:
    """The licenses in the metadata at the beginning of a model card.

    Raises:
        DocumentError: It is no plain YAML.
    """
    lines = card.removeprefix("\ufeff").splitlines()
    if not lines or lines[0].rstrip() != _FENCE:
        return []
    end = next((place for place, line in enumerate(lines[1:], 1) if line.rstrip() == _FENCE), None)
    document = load_yaml("\n".join(lines[1:end])) if end is not None else None
    if not isinstance(document, dict):
        return []
    named = document.get("license")
    found = [one for one in (named if isinstance(named, list) else [named]) if isinstance(one, str) and one.strip()]
    own = document.get("license_name")
    return [own if one.lower() in _OTHER and isinstance(own, str) else one for one in found]


def _same(one: str, other: str) -> bool:
    # Model cards write SPDX identifiers in lower case.
    return one.strip().lower() == other.strip().lower()


def _head(spans: Iterable[bytes]) -> bytes:
    """The first bytes of a file, after all of it was verified."""
    head = bytearray()
    for span in spans:
        if len(head) < MAX_HEADER_BYTES + 8:
            head += span[: MAX_HEADER_BYTES + 8 - len(head)]
    return bytes(head)


def _metadata(head: bytes) -> dict[str, Any] | None:
    """The free metadata of a safetensors file, from its first bytes; `None` if they have another form."""
    size = int.from_bytes(head[:8], "little")
    if len(head) < 8 or size > len(head) - 8:
        return None
    try:
        document = load_json(head[8 : 8 + size])
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    metadata = document.get("__metadata__", {})
    return metadata if isinstance(metadata, dict) else None
