"""The data of the report's pictures: streams of money and curves of the training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from llamafund_chain.audit.ledger import Accounts, Ledger
from llamafund_chain.audit.model import Curve, Flow, Reference
from llamafund_chain.evidence.manifests import CheckpointManifest, ProposalManifest, WeightsManifest

_BACKERS = 8
"""More backers than this are drawn as one stream."""

_CURVES = 4
_BITS_PER_BYTE = "bits_per_byte"


def money_flows(
    ledger: Ledger,
    accounts: Accounts,
    claimable: Sequence[int],
    *,
    payees: Sequence[str],
    backer_names: Mapping[str, str],
    amount: Callable[[int], str],
) -> tuple[Flow, ...]:
    """Streams into the escrow and out of it, and what is still there.

    Args:
        ledger: From events.
        accounts: Their totals.
        claimable: What each payee could claim now, units.
        payees: Names of the payees.
        backer_names: Names of the backers who have one.
        amount: Writes units as whole coins.
    """
    ranked = sorted(ledger.deposits.items(), key=lambda item: (-item[1], item[0]))
    shown = ranked if len(ranked) <= _BACKERS else ranked[: _BACKERS - 1]
    rest = ranked[len(shown) :]
    flows = [
        Flow(
            direction="in",
            kind="pledge",
            label=backer_names.get(backer, _short(backer)),
            amount=amount(units),
        )
        for backer, units in shown
    ]
    if rest:
        total = amount(sum(units for _, units in rest))
        flows.append(Flow(direction="in", kind="pledge", label=f"{len(rest)} more backers", amount=total))
    outward = [
        *(("claimed", f"{name} collected", ledger.claims.get(index, 0)) for index, name in enumerate(payees)),
        ("withdrawn", "taken back during funding", accounts.withdrawn or 0),
        ("refunded", "refunded to backers", accounts.refunded or 0),
    ]
    inside = [
        *(("claimable", f"{name} can collect", units) for name, units in zip(payees, claimable, strict=True)),
        ("refundable", "waiting for backers", accounts.refundable),
        ("locked", "locked in the escrow", accounts.locked),
        ("rounding", "too small to divide", accounts.rounding or 0),
    ]
    for direction, streams in (("out", outward), ("inside", inside)):
        flows.extend(
            Flow.model_validate({"direction": direction, "kind": kind, "label": label, "amount": amount(units)})
            for kind, label, units in streams
            if units > 0
        )
    return tuple(flows)


def training_curves(checkpoints: Sequence[CheckpointManifest], metric: str) -> tuple[Curve, ...]:
    """Metrics along the run, the promised one first. A curve needs at least two points.

    Args:
        checkpoints: In the order of the run.
        metric: Name of the promised metric.
    """
    points: dict[str, dict[int, int]] = {}
    for checkpoint in checkpoints:
        for name, value in checkpoint.metrics.items():
            points.setdefault(name, {})[checkpoint.steps.last] = value
    wanted = [name for name in points if name == metric or "loss" in name or "bits_per" in name]
    wanted.sort(key=lambda name: (name != metric, name))
    curves = [
        Curve(name=name, points=tuple(sorted(points[name].items())))
        for name in wanted
        if len(points[name]) > 1 and len(set(points[name].values())) > 1
    ]
    return tuple(curves[:_CURVES])


def reference_levels(proposal: ProposalManifest, weights: WeightsManifest | None) -> tuple[Reference, ...]:
    """Levels to compare the promised metric with: the promise itself, and simple models of the same data."""
    levels = [Reference(name="promised", value=proposal.outcome.target)]
    if weights is not None and proposal.outcome.metric.endswith(_BITS_PER_BYTE):
        levels.extend(
            Reference(name=_baseline(name), value=value)
            for name, value in sorted(weights.metrics.items())
            if name.startswith("unigram_") and name.endswith(_BITS_PER_BYTE)
        )
    return tuple(levels)


def _baseline(name: str) -> str:
    """`unigram_tokens_bits_per_byte` as text."""
    symbols = name.removeprefix("unigram_").removesuffix(_BITS_PER_BYTE).strip("_")
    return f"best unigram model of {symbols}" if symbols else "best unigram model"


def _short(address: str) -> str:
    return f"{address[:8]}…{address[-4:]}"
