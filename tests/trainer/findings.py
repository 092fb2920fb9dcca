"""What tests of checks share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

from llamafund_chain.checks.check import CheckContext, CheckResult, Finding
from llamafund_chain.checks.run import run_checks
from llamafund_chain.evidence.manifests import CheckpointManifest, WeightsManifest
from llamafund_chain.store import LocalStore
from llamafund_trainer.checks import CHECKS

MakeContext = Callable[..., CheckContext]


def only(results: Iterable[Finding | CheckResult]) -> Finding | CheckResult:
    found = list(results)
    assert len(found) == 1, found
    return found[0]


def results(
    store: LocalStore, evidence: CheckpointManifest | WeightsManifest, tmp_path: Path, segments: int
) -> dict[str, CheckResult]:
    """What the trainer's checks say about a funded run's evidence, by name."""
    context = CheckContext(
        store=store,
        proposal=SimpleNamespace(outcome=SimpleNamespace(metric="heldout_bits_per_byte"), recipe=evidence.recipe),
        terms=SimpleNamespace(milestones=()),
        chain_id=1,
        campaign="0x" + "00" * 20,
        training_seed="5a" * 32,
        milestone=0,
        evidence=evidence,
        ancestry=(),
        score=0,
        entropy=b"",
        replay_segments=segments,
        workdir=tmp_path / "checks",
        progress=lambda _: None,
    )
    return {result.name: result for result in run_checks(context, CHECKS)}


def checked(
    store: LocalStore, evidence: CheckpointManifest | WeightsManifest, tmp_path: Path, segments: int
) -> dict[str, str]:
    """Only the statuses."""
    return {name: result.status for name, result in results(store, evidence, tmp_path, segments).items()}
