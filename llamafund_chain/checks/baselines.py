"""What models reach that have learned nothing but how often each symbol occurs: the least that a promise must beat."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from llamafund_chain.campaign.terms import NO_HASH, NO_MINIMUM, Terms
from llamafund_chain.errors import LlamafundError, UsageError
from llamafund_chain.evidence.manifests import DatasetManifest, ExpectedOutcome
from llamafund_chain.store.base import Source
from llamafund_chain.store.content import fetch_manifest, fetch_tree
from llamafund_chain.store.dataset import PARTS
from llamafund_chain.store.documents import read_documents
from llamafund_chain.text import from_millionths

METRIC = "heldout_bits_per_byte"
"""The metric for which baselines are known: bits per byte of held-out text, lower is better."""

UNIFORM = 8_000_000
"""Millionths of a bit per byte of a model that takes every byte for equally likely."""

ENGLISH = 4_649_673
"""Millionths of a bit per byte that counting reaches on the English text that this package ships (the demo's dataset).

For a reader who cannot be told what it reaches on a campaign's own data.
"""

MAX_BYTES = 64 << 20
"""Bytes of the largest dataset that is fetched to count in it."""

_BYTES = 256
_ADD_K = tuple(10.0 ** (exponent / 4) for exponent in range(-16, 9))


class UnknownBaselineError(LlamafundError):
    """What counting reaches could not be told."""


def best_unigram(seen: Counter[int], counts: Counter[int], symbols: int, size: int) -> int:
    """Millionths of a bit per byte of the best model that knows only frequencies.

    Args:
        seen: How often each symbol occurs in the training part.
        counts: The same in the held-out part.
        symbols: Number of symbols that there are. The frequencies are smoothed by the add-k constant that suits best.
        size: Bytes of the held-out part.
    """
    total = sum(seen.values())
    best = math.inf
    for k in _ADD_K:
        denominator = math.log2(total + k * symbols)
        bits = math.fsum(count * (denominator - math.log2(seen[symbol] + k)) for symbol, count in counts.items())
        best = min(best, bits)
    return round(best / size * 1_000_000)


def unigram_bytes(train_texts: Iterable[str], heldout_texts: Iterable[str]) -> int:
    """Millionths of a bit per byte of held-out text that counting bytes in the training part reaches.

    Args:
        train_texts: Documents of the training part.
        heldout_texts: Documents of the held-out part, not all of them empty.
    """
    seen, counts = _bytes_of(train_texts), _bytes_of(heldout_texts)
    return best_unigram(seen, counts, _BYTES, counts.total())


def counting_on(source: Source, sha256: str) -> int:
    """What counting bytes reaches on a published dataset, in millionths of a bit per byte.

    Args:
        source: Where it was published.
        sha256: Hash of its manifest, 64 hexadecimal digits.

    Raises:
        UnknownBaselineError: The dataset cannot be fetched or read, or is too large to be fetched for this.
    """
    try:
        manifest = fetch_manifest(source, sha256, DatasetManifest)
        if manifest.content.size > MAX_BYTES:
            raise UnknownBaselineError(f"the dataset has {manifest.content.size} bytes, more than are fetched for this")
        with tempfile.TemporaryDirectory(prefix="llamafund-dataset-") as folder:
            fetch_tree(source, manifest, Path(folder))
            train, heldout = (tuple(read_documents(Path(folder), manifest.part(part))) for part in PARTS)
    except UnknownBaselineError:
        raise
    except MemoryError as error:
        raise UnknownBaselineError("the memory does not suffice to read the dataset") from error
    except (LlamafundError, OSError) as error:
        said = error.what if isinstance(error, LlamafundError) else error.strerror or str(error)
        raise UnknownBaselineError(f"the dataset cannot be read: {said}") from error
    if not any(heldout):
        raise UnknownBaselineError("the dataset has no held-out text")
    return unigram_bytes(train, heldout)


def knows(outcome: ExpectedOutcome) -> bool:
    """Whether baselines are known for a promised metric."""
    return (outcome.metric, outcome.direction) == (METRIC, "lower")


def check_promise(terms: Terms, outcome: ExpectedOutcome, source: Source) -> None:
    """Refuse terms whose last milestone a model keeps that only counts. What is not known is no reason.

    Args:
        terms: The terms.
        outcome: What the proposal promises.
        source: Where the dataset may be.

    Raises:
        UsageError: Such a model keeps it.
    """
    place, floor = len(terms.milestones) - 1, terms.milestones[-1].min_score
    remedy = "Or pass --accept-weak-promise"
    if floor == NO_MINIMUM:
        raise UsageError(
            f"terms.milestones[{place}] has no min_score",
            "Then weights of any quality are paid for, whatever the proposal promises",
            f"Write the promised score. {remedy}",
        )
    if not knows(outcome):
        return
    promised = f"terms.milestones[{place}].min_score is {from_millionths(floor)}"
    try:
        if terms.dataset == NO_HASH:
            raise UnknownBaselineError("no dataset is fixed")
        counting, where = counting_on(source, terms.dataset), "on its dataset"
    except UnknownBaselineError as unknown:
        counting, where = ENGLISH, f"on English text ({unknown.what})"
    if floor <= -counting:
        raise UsageError(
            f"{promised}, but counting letters already does {from_millionths(counting)} bits per byte {where}",
            "A promise that a model without any training keeps binds nobody",
            f"Promise less than {from_millionths(counting)}. {remedy}",
        )


def _bytes_of(texts: Iterable[str]) -> Counter[int]:
    counts: Counter[int] = Counter()
    for text in texts:
        counts.update(text.encode("utf-8"))
    return counts
