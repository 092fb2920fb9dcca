"""Each check passes on honest evidence and catches the fraud it is named for. The evidence is hand-made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from faulty_store import FAULTS, StoreWithAFault

from llamafund_chain.campaign.terms import NO_HASH, Milestone, MilestoneKind, Payee, Terms
from llamafund_chain.checks.check import CheckContext, CheckResult, Finding, check_name
from llamafund_chain.checks.run import BUILT_IN, discover, run_checks
from llamafund_chain.evidence.hashing import hash_tree, raw_cid
from llamafund_chain.evidence.manifests import DatasetManifest, EvidenceManifest, MilestonePromise
from llamafund_chain.store.content import publish_tree

RESEARCHER = "0x1111111111111111111111111111111111111111"
ATTESTORS = tuple(f"0x{digit * 40}" for digit in "abc")
SEED = "5e" * 32


class Run(Protocol):
    """What `hand_made()` gives; see conftest.py."""

    def __getattr__(self, name: str) -> object: ...


@pytest.fixture
def run(hand_made: Callable[[], Run]) -> Run:
    """An honest run: proposal, dataset, three checkpoints, weights."""
    made = hand_made()
    made.propose(RESEARCHER, ATTESTORS)
    made.train(SEED)
    made.export()
    return made


def terms_for(run: Run, **changes: object) -> Terms:
    values: dict[str, object] = {
        "researcher": RESEARCHER,
        "asset": "0x" + "0" * 40,
        "goal": 10**18,
        "cap": 2 * 10**18,
        "funding_deadline": 2_000_000_000,
        "stop_bps": 5_000,
        "challenge_window": 172_800,
        "answer_window": 86_400,
        "min_bond": 10**12,
        "slack": 0,
        "proposal": run.proposal.sha256,
        "dataset": run.dataset.sha256,
        "attestors": ATTESTORS,
        "quorum": 2,
        "payees": (Payee(account=RESEARCHER, bps=10_000),),
        "milestones": (
            Milestone(kind=MilestoneKind.DATASET, bps=1_000, deadline=2_001_000_000, min_score=0),
            Milestone(kind=MilestoneKind.CHECKPOINT, bps=3_000, deadline=2_002_000_000, min_score=-9_000_000),
            Milestone(kind=MilestoneKind.WEIGHTS, bps=6_000, deadline=2_003_000_000, min_score=-3_000_000),
        ),
    }
    return Terms(**{**values, **changes})


def context_for(run: Run, milestone: int, tmp_path: Path, **changes: object) -> CheckContext:
    evidence: tuple[EvidenceManifest, ...] = (run.dataset, run.checkpoints[-1], run.weights)
    values: dict[str, object] = {
        "store": run.store,
        "proposal": run.proposal,
        "terms": terms_for(run),
        "chain_id": 31337,
        "campaign": "0x" + "ca" * 20,
        "training_seed": SEED,
        "milestone": milestone,
        "evidence": evidence[milestone],
        "ancestry": evidence[:milestone],
        "score": evidence[milestone].score or 0,
        "entropy": b"\x01" * 32,
        "replay_segments": 0,
        "workdir": tmp_path,
        "progress": lambda text: None,
    }
    return CheckContext(**{**values, **changes})


def context_without_dataset_milestone(
    run: Run, milestone: int, tmp_path: Path, dataset: str, **changes: object
) -> CheckContext:
    """The dataset is fixed from the beginning: milestone 0 is the run, 1 the weights."""
    promise = run.proposal.dataset.model_copy(update={"manifest": dataset})
    proposal = run.propose(RESEARCHER, ATTESTORS, milestones=run.proposal.milestones[1:], dataset=promise)
    run.checkpoints.clear()
    start = {"seed": SEED, "first": 0, "last": 0, "parent": proposal.sha256, "chain": (), "dataset": dataset}
    head = run.add_checkpoint(**start, metrics=run.weights.metrics, outcome_score=run.weights.score)
    evidence: tuple[EvidenceManifest, ...] = (head, run.export(dataset=dataset))
    values: dict[str, object] = {
        "terms": terms_for(run, dataset=dataset, milestones=terms_for(run).milestones[1:]),
        "evidence": evidence[milestone],
        "ancestry": evidence[:milestone],
        "score": evidence[milestone].score,
    }
    return context_for(run, milestone, tmp_path, **{**values, **changes})


def leaky_dataset(run: Run, root: Path, license: str = "CC0-1.0") -> DatasetManifest:
    """A published dataset whose held-out document is its training document, but for white space."""
    for part in ("train", "heldout"):
        (root / part).mkdir(parents=True)
        (root / part / "same.txt").write_text("The same words, " + (" " if part == "train" else "\n") + "twice.")
    tree = hash_tree(root)
    parts = tuple(
        part.model_copy(update={"paths": (f"{part.name}/same.txt",), "samples": 1, "license": license})
        for part in run.dataset.parts
    )
    leaky = run.dataset.model_copy(update={"files": tree.files, "content": tree.content, "parts": parts})
    publish_tree(run.store, root, leaky)
    return leaky


def status_of(results: tuple[CheckResult, ...], name: str) -> str:
    found = [result.status for result in results if result.name == name]
    assert len(found) == 1, f"{name} reported {found}"
    return found[0]


def detail_of(results: tuple[CheckResult, ...], name: str) -> str:
    return next(result.detail for result in results if result.name == name)


def failed(results: tuple[CheckResult, ...]) -> set[str]:
    return {result.name for result in results if result.status == "fail"}


def unchecked(results: tuple[CheckResult, ...]) -> set[str]:
    """The names of those that could not be told, where none failed."""
    assert failed(results) == set()
    return {result.name for result in results if result.status == "unchecked"}


@pytest.mark.parametrize("milestone", [0, 1, 2])
def test_every_built_in_check_passes_on_an_honest_run(run: Run, tmp_path: Path, milestone: int) -> None:
    results = run_checks(context_for(run, milestone, tmp_path), BUILT_IN)

    # One store was asked, which is a remark about weights.
    assert {result.name for result in results if result.status != "pass"} == (
        {"weights-in-several-stores"} if milestone == 2 else set()
    )


def test_a_checkpoint_is_looked_at_from_every_side(run: Run, tmp_path: Path) -> None:
    names = {result.name for result in run_checks(context_for(run, 1, tmp_path), BUILT_IN)}

    assert names == {
        "content-published",
        "kind-matches",
        "parent-links",
        "dataset-fixed",
        "seed-fresh",
        "checkpoint-chain",
        "chain-published",
        "recipe-matches-proposal",
        "score-matches-manifest",
        "score-meets-promise",
    }


def test_content_replaced_in_the_store_is_noticed_and_accuses_nobody(run: Run, tmp_path: Path) -> None:
    entry = run.weights.entry("model.safetensors")
    run.replace_in_store(entry.cid, b"x" * entry.size)

    results = run_checks(context_for(run, 2, tmp_path), BUILT_IN)

    assert unchecked(results) == {"content-published", "weights-header-license-matches"}
    assert "model.safetensors" in detail_of(results, "content-published")


def test_a_manifest_that_pairs_an_address_with_another_hash_or_size_is_caught(run: Run, tmp_path: Path) -> None:
    entry = run.weights.entry("model.safetensors")
    for number, change in enumerate(({"sha256": "ab" * 32}, {"size": entry.size - 1}, {"size": entry.size + 1})):
        files = tuple(file.model_copy(update=change) if file is entry else file for file in run.weights.files)
        evidence = run.weights.model_copy(update={"files": files})

        results = run_checks(context_for(run, 2, tmp_path / str(number), evidence=evidence), BUILT_IN)

        assert "content-published" in failed(results)


def test_a_manifest_that_contradicts_itself_is_caught_although_nobody_has_its_content(run: Run, tmp_path: Path) -> None:
    entry = run.weights.entry("model.safetensors")
    odd = entry.model_copy(update={"cid": raw_cid("ab" * 32)})
    files = tuple(odd if file is entry else file for file in run.weights.files)
    for file in run.weights.files:
        run.remove_from_store(file.cid)

    evidence = run.weights.model_copy(update={"files": files})
    results = run_checks(context_for(run, 2, tmp_path, evidence=evidence), BUILT_IN)

    assert status_of(results, "content-published") == "fail"
    assert "model.safetensors" in detail_of(results, "content-published")


def test_content_that_was_never_published_is_noticed_with_where_it_was_looked_for(run: Run, tmp_path: Path) -> None:
    run.remove_from_store(run.weights.entry("README.md").cid)

    results = run_checks(context_for(run, 2, tmp_path), BUILT_IN)

    assert unchecked(results) == {"content-published", "model-card-license-matches"}
    assert run.store.location in detail_of(results, "content-published")


def test_withheld_content_that_is_nowhere_is_not_called_checked(run: Run, tmp_path: Path) -> None:
    run.remove_from_store(run.dataset.files[0].cid)

    results = run_checks(context_for(run, 0, tmp_path, content_withheld=True), BUILT_IN)

    assert unchecked(results) == {"content-published", "heldout-separate", "documents-distinct"}
    assert "Only the attestors vouch for it" in detail_of(results, "content-published")


def test_content_that_is_shown_now_but_withheld_from_challenges_is_left_to_a_persons_judgement(
    run: Run, tmp_path: Path
) -> None:
    results = run_checks(context_for(run, 1, tmp_path, content_withheld=True), BUILT_IN)

    assert failed(results) == set()
    assert status_of(results, "content-published") == "warn"
    assert "nothing of it can be challenged" in detail_of(results, "content-published")


def test_a_missing_checkpoint_in_between_is_noticed(run: Run, tmp_path: Path) -> None:
    run.remove_from_store(run.checkpoints[1].entry("model.safetensors").cid)

    results = run_checks(context_for(run, 1, tmp_path), BUILT_IN)

    assert unchecked(results) == {"chain-published"}
    assert detail_of(results, "chain-published").startswith("The checkpoint at step ")


def test_evidence_of_another_kind_is_caught(run: Run, tmp_path: Path) -> None:
    results = run_checks(context_for(run, 1, tmp_path, evidence=run.weights), BUILT_IN)

    assert status_of(results, "kind-matches") == "fail"


def test_a_proposal_that_promises_other_milestones_is_caught(run: Run, tmp_path: Path) -> None:
    other = run.propose(
        RESEARCHER, ATTESTORS, milestones=(MilestonePromise(kind="WEIGHTS", title="All", description=""),)
    )

    results = run_checks(context_for(run, 1, tmp_path, proposal=other), BUILT_IN)

    assert status_of(results, "kind-matches") == "fail"


def test_other_weights_than_the_trained_ones_are_caught_by_their_parent(run: Run, tmp_path: Path) -> None:
    run.export(parent=run.checkpoints[0].sha256)

    assert failed(run_checks(context_for(run, 2, tmp_path), BUILT_IN)) == {"parent-links"}


def test_a_run_that_does_not_grow_out_of_the_attested_dataset_is_caught(run: Run, tmp_path: Path) -> None:
    run.train(SEED, parent="ab" * 32)

    results = run_checks(context_for(run, 1, tmp_path), BUILT_IN)

    assert failed(results) == {"parent-links", "checkpoint-chain"}


def test_a_checkpoint_whose_parent_is_not_the_last_of_its_chain_is_caught(run: Run, tmp_path: Path) -> None:
    head = run.checkpoints[-1].model_copy(update={"parent": run.checkpoints[0].sha256})

    results = run_checks(context_for(run, 1, tmp_path, evidence=head), BUILT_IN)

    assert status_of(results, "parent-links") == "fail"


@pytest.mark.parametrize(
    "fraud",
    [
        lambda chain: chain[1:],
        lambda chain: chain[:1] + chain[2:],
        lambda chain: (chain[1], chain[0], *chain[2:]),
        lambda chain: (chain[0], chain[0], *chain[1:]),
        lambda chain: (*chain, chain[0]),
    ],
    ids=["first removed", "one removed", "reordered", "duplicated", "looped"],
)
def test_a_tampered_chain_of_checkpoints_is_caught(
    hand_made: Callable[[], Run], tmp_path: Path, fraud: Callable[[tuple[str, ...]], tuple[str, ...]]
) -> None:
    run = hand_made()
    run.propose(RESEARCHER, ATTESTORS)
    honest = run.train(SEED, steps=(0, 20, 40, 60))
    run.export()
    head = honest.model_copy(update={"chain": fraud(honest.chain)})

    results = run_checks(context_for(run, 1, tmp_path, evidence=head), BUILT_IN)

    assert status_of(results, "checkpoint-chain") == "fail"


def test_an_unreadable_link_of_the_chain_is_named(run: Run, tmp_path: Path) -> None:
    run.remove_from_store(raw_cid(run.checkpoints[1].sha256))

    results = run_checks(context_for(run, 1, tmp_path), BUILT_IN)

    assert unchecked(results) == {"checkpoint-chain", "chain-published"}
    assert run.checkpoints[1].sha256 in detail_of(results, "checkpoint-chain")


def test_a_chain_that_does_not_begin_with_the_initial_weights_is_caught(run: Run, tmp_path: Path) -> None:
    run.train(SEED, steps=(20, 40))

    results = run_checks(context_for(run, 1, tmp_path), BUILT_IN)

    assert "initial weights are missing" in detail_of(results, "checkpoint-chain")


def test_a_gap_between_two_checkpoints_is_caught(run: Run, tmp_path: Path) -> None:
    run.train(SEED, steps=(0, 20))
    first, second = run.checkpoints
    run.add_checkpoint(seed=SEED, first=30, last=40, parent=second.sha256, chain=(first.sha256, second.sha256))

    results = run_checks(context_for(run, 1, tmp_path), BUILT_IN)

    assert "starts at step 30" in detail_of(results, "checkpoint-chain")


@pytest.mark.parametrize("change", [{"seed": "0d" * 32}, {"recipe": "0d" * 32}, {"data_order_seed": 8}])
def test_a_segment_spliced_in_from_another_run_is_caught(run: Run, tmp_path: Path, change: dict[str, object]) -> None:
    run.train(SEED, steps=(0, 20))
    first, second = run.checkpoints
    values = {"seed": SEED, "first": 20, "last": 40, "parent": second.sha256}
    spliced = run.add_checkpoint(**{**values, "chain": (first.sha256, second.sha256), **change})
    run.add_checkpoint(seed=SEED, first=40, last=60, parent=spliced.sha256, chain=(*spliced.chain, spliced.sha256))

    results = run_checks(context_for(run, 1, tmp_path), BUILT_IN)

    assert status_of(results, "checkpoint-chain") == "fail"


def test_an_old_run_passed_off_as_the_funded_one_is_caught(run: Run, tmp_path: Path) -> None:
    run.train("01d0" * 16)

    assert failed(run_checks(context_for(run, 1, tmp_path), BUILT_IN)) == {"seed-fresh"}


def test_a_run_from_before_the_activation_is_caught(run: Run, tmp_path: Path) -> None:
    assert failed(run_checks(context_for(run, 1, tmp_path, training_seed=""), BUILT_IN)) == {"seed-fresh"}


def test_weights_without_a_checkpoint_milestone_are_followed_to_the_start_of_their_run(
    run: Run, tmp_path: Path
) -> None:
    milestones = (terms_for(run).milestones[0], terms_for(run).milestones[2])
    proposal = run.propose(
        RESEARCHER,
        ATTESTORS,
        milestones=(run.proposal.milestones[0], run.proposal.milestones[2]),
    )
    context = context_for(
        run,
        1,
        tmp_path,
        proposal=proposal,
        terms=terms_for(run, milestones=milestones, proposal=proposal.sha256),
        evidence=run.weights,
        score=run.weights.score,
    )

    results = run_checks(context, BUILT_IN)

    assert failed(results) == set()
    assert {"seed-fresh", "checkpoint-chain", "chain-published"} <= {result.name for result in results}


def test_weights_without_a_checkpoint_milestone_from_an_old_run_are_caught(run: Run, tmp_path: Path) -> None:
    run.train("01d0" * 16)
    run.export()

    results = run_checks(context_for(run, 2, tmp_path, ancestry=(run.dataset,)), BUILT_IN)

    assert "seed-fresh" in failed(results)


@pytest.mark.parametrize("forged", ["dataset", "recipe"])
@pytest.mark.parametrize("on_chain", [False, True], ids=["run off chain", "run on chain"])
def test_weights_of_another_run_that_claim_the_promised_data_and_recipe_are_caught(
    run: Run, tmp_path: Path, forged: str, on_chain: bool
) -> None:
    other = run.store.put_bytes(b"what the run really used").sha256
    values = {"seed": SEED, "first": 0, "last": 0, "parent": run.dataset.sha256, "chain": ()}
    head = run.add_checkpoint(**{**values, "metrics": run.weights.metrics, forged: other})
    run.export()

    results = run_checks(
        context_for(run, 2, tmp_path, ancestry=(run.dataset, head) if on_chain else (run.dataset,)), BUILT_IN
    )

    assert failed(results) == {"weights-match-run"}
    assert other in detail_of(results, "weights-match-run")


def test_a_second_checkpoint_milestone_continues_the_first(run: Run, tmp_path: Path) -> None:
    earlier = run.train(SEED)
    later = run.add_checkpoint(seed=SEED, first=40, last=60, parent=earlier.sha256, chain=())

    results = run_checks(
        context_for(run, 1, tmp_path, evidence=later, ancestry=(run.dataset, earlier), score=later.score),
        BUILT_IN,
    )

    assert failed(results) == set()


def test_a_dataset_swapped_after_the_funding_is_caught(hand_made: Callable[[], Run], run: Run, tmp_path: Path) -> None:
    other = DatasetManifest.model_validate({**dict(run.dataset), "title": "Another one"})

    results = run_checks(context_for(run, 0, tmp_path, evidence=other), BUILT_IN)

    assert status_of(results, "dataset-fixed") == "fail"


def test_a_held_out_document_that_is_trained_on_is_caught(run: Run, tmp_path: Path) -> None:
    leaky = leaky_dataset(run, tmp_path / "leaky")

    results = run_checks(context_for(run, 0, tmp_path, evidence=leaky), BUILT_IN)

    assert status_of(results, "heldout-separate") == "fail"
    assert "heldout/same.txt" in detail_of(results, "heldout-separate")


@pytest.mark.parametrize("part", ["train", "heldout"])
def test_data_whose_files_hold_no_documents_is_caught(run: Run, tmp_path: Path, part: str) -> None:
    root = tmp_path / "noise"
    for name in ("train", "heldout"):
        (root / name).mkdir(parents=True)
        (root / name / "same.txt").write_bytes(b"\xff\xfe noise" if name == part else f"Text of {name}.".encode())
    tree = hash_tree(root)
    parts = tuple(
        each.model_copy(update={"paths": (f"{each.name}/same.txt",), "samples": 1}) for each in run.dataset.parts
    )
    noise = run.dataset.model_copy(update={"files": tree.files, "content": tree.content, "parts": parts})
    publish_tree(run.store, root, noise)

    results = run_checks(context_for(run, 0, tmp_path, evidence=noise), BUILT_IN)

    assert status_of(results, "content-published") == "pass"
    assert status_of(results, "heldout-separate") == "fail"
    assert f"'{part}/same.txt' cannot be read as documents" in detail_of(results, "heldout-separate")


@pytest.mark.parametrize("milestone", [0, 1])
def test_data_that_no_milestone_attests_is_looked_at_with_every_milestone(
    run: Run, tmp_path: Path, milestone: int
) -> None:
    results = run_checks(context_without_dataset_milestone(run, milestone, tmp_path, run.dataset.sha256), BUILT_IN)

    assert {result.name for result in results if result.status != "pass"} <= {"weights-in-several-stores"}
    assert {"dataset-published", "dataset-license-matches-proposal", "heldout-separate"} <= {
        result.name for result in results
    }


@pytest.mark.parametrize("milestone", [0, 1])
def test_a_promised_dataset_that_is_nowhere_is_noticed(run: Run, tmp_path: Path, milestone: int) -> None:
    results = run_checks(context_without_dataset_milestone(run, milestone, tmp_path, "ab" * 32), BUILT_IN)

    assert unchecked(results) == {
        "dataset-published",
        "dataset-license-matches-proposal",
        "heldout-separate",
        "documents-distinct",
    }


@pytest.mark.parametrize("withheld", [False, True], ids=["open", "evidence withheld"])
def test_a_promised_dataset_whose_documents_were_never_published_is_noticed(
    run: Run, tmp_path: Path, withheld: bool
) -> None:
    run.remove_from_store(run.dataset.files[0].cid)
    context = context_without_dataset_milestone(run, 1, tmp_path, run.dataset.sha256, content_withheld=withheld)

    results = run_checks(context, BUILT_IN)

    assert {result.name for result in results if result.status == "unchecked"} == {
        "dataset-published",
        "heldout-separate",
        "documents-distinct",
    }
    assert failed(results) == set()


@pytest.mark.parametrize("milestone", [0, 1])
def test_a_promised_dataset_that_is_held_out_and_trained_on_under_another_license_is_caught(
    run: Run, tmp_path: Path, milestone: int
) -> None:
    leaky = leaky_dataset(run, tmp_path / "leaky", license="LicenseRef-Proprietary")

    results = run_checks(context_without_dataset_milestone(run, milestone, tmp_path, leaky.sha256), BUILT_IN)

    assert failed(results) == {"heldout-separate"}
    assert status_of(results, "dataset-license-matches-proposal") == "warn"


def test_training_on_other_data_than_the_attested_is_caught(run: Run, tmp_path: Path) -> None:
    run.export(dataset="0d" * 32)

    assert failed(run_checks(context_for(run, 2, tmp_path), BUILT_IN)) == {"dataset-fixed", "weights-match-run"}


def test_a_dataset_that_was_only_promised_in_words_is_left_to_a_persons_judgement(run: Run, tmp_path: Path) -> None:
    promise = run.proposal.dataset.model_copy(update={"manifest": None})
    proposal = run.propose(RESEARCHER, ATTESTORS, dataset=promise)

    results = run_checks(
        context_for(run, 0, tmp_path, proposal=proposal, terms=terms_for(run, dataset=NO_HASH)), BUILT_IN
    )

    assert status_of(results, "dataset-fixed") == "warn"


def test_another_recipe_than_the_promised_one_is_caught(run: Run, tmp_path: Path) -> None:
    run.export(recipe=run.store.put_bytes(b"another").sha256)

    results = run_checks(context_for(run, 2, tmp_path), BUILT_IN)

    assert failed(results) == {"recipe-matches-proposal", "weights-match-run"}


def test_a_recipe_that_is_nowhere_is_noticed(run: Run, tmp_path: Path) -> None:
    run.remove_from_store(raw_cid(run.recipe))

    results = run_checks(context_for(run, 1, tmp_path), BUILT_IN)

    assert unchecked(results) == {"recipe-matches-proposal"}
    assert f"nothing under recipe {run.recipe}" in detail_of(results, "recipe-matches-proposal")


def test_another_license_than_the_promised_one_is_caught(run: Run, tmp_path: Path) -> None:
    run.export(license="LicenseRef-Proprietary")

    assert failed(run_checks(context_for(run, 2, tmp_path), BUILT_IN)) == {"license-matches-proposal"}


def test_a_score_other_than_the_manifests_is_caught(run: Run, tmp_path: Path) -> None:
    results = run_checks(context_for(run, 2, tmp_path, score=-1_000_000), BUILT_IN)

    assert failed(results) == {"score-matches-manifest"}


def test_a_score_for_evidence_that_has_none_is_caught(run: Run, tmp_path: Path) -> None:
    assert failed(run_checks(context_for(run, 0, tmp_path, score=5), BUILT_IN)) == {"score-matches-manifest"}


def test_a_score_that_is_not_the_reported_metric_is_caught(run: Run, tmp_path: Path) -> None:
    run.export(outcome_score=-1)

    assert failed(run_checks(context_for(run, 2, tmp_path), BUILT_IN)) == {"score-matches-manifest"}


def test_a_score_below_the_terms_is_caught(run: Run, tmp_path: Path) -> None:
    run.export(metrics={"heldout_bits_per_byte": 3_000_001}, outcome_score=-3_000_001)

    results = run_checks(context_for(run, 2, tmp_path), BUILT_IN)

    assert failed(results) == {"score-meets-promise"}
    assert "-3.000001" in detail_of(results, "score-meets-promise")


def test_a_score_that_the_terms_pay_for_but_the_proposal_promised_better_is_a_warning(run: Run, tmp_path: Path) -> None:
    run.export(metrics={"heldout_bits_per_byte": 3_500_000}, outcome_score=-3_500_000)
    lax = (
        *terms_for(run).milestones[:2],
        Milestone(kind=MilestoneKind.WEIGHTS, bps=6_000, deadline=2_003_000_000, min_score=-4_000_000),
    )

    results = run_checks(context_for(run, 2, tmp_path, terms=terms_for(run, milestones=lax)), BUILT_IN)

    assert failed(results) == set()
    assert status_of(results, "score-meets-promise") == "warn"


def test_a_check_that_breaks_is_said_and_accuses_nobody(run: Run, tmp_path: Path) -> None:
    def eat_the_evidence(context: CheckContext) -> Iterator[Finding]:
        yield Finding("pass", "still fine")
        raise ZeroDivisionError("hostile evidence")

    results = run_checks(context_for(run, 0, tmp_path), (eat_the_evidence,))

    assert [(result.name, result.status) for result in results] == [
        ("eat-the-evidence", "pass"),
        ("eat-the-evidence", "unchecked"),
    ]
    assert "hostile evidence" in results[-1].detail


def test_a_check_that_lacks_the_trainer_packages_is_not_run_and_says_so(run: Run, tmp_path: Path) -> None:
    def replay(context: CheckContext) -> Iterator[Finding]:
        raise ModuleNotFoundError("No module named 'torch'", name="torch.nn")
        yield

    (result,) = run_checks(context_for(run, 0, tmp_path), (replay,))

    assert result.status == "unchecked"
    assert "llamafund[trainer]" in result.detail


def test_a_check_can_be_left_out_by_name_and_is_reported_as_unchecked(run: Run, tmp_path: Path) -> None:
    results = run_checks(context_for(run, 2, tmp_path), BUILT_IN, skip=("content-published",))

    assert unchecked(results) == {"content-published"}


@pytest.mark.parametrize("milestone", [0, 1, 2])
def test_every_name_in_a_result_is_that_of_a_check_that_can_be_left_out(
    run: Run, tmp_path: Path, milestone: int
) -> None:
    found = {result.name for result in run_checks(context_for(run, milestone, tmp_path), BUILT_IN)}

    left_out = run_checks(context_for(run, milestone, tmp_path), BUILT_IN, skip=found)

    assert found <= {check_name(check) for check in BUILT_IN}
    assert {result.status for result in left_out} == {"unchecked"}


def test_the_content_of_checkpoints_is_not_looked_at_when_they_form_no_run(run: Run, tmp_path: Path) -> None:
    run.train(SEED, steps=(20, 40))

    results = run_checks(context_for(run, 1, tmp_path), BUILT_IN, skip=("checkpoint-chain",))

    assert status_of(results, "chain-published") == "unchecked"
    assert "do not form one run" in detail_of(results, "chain-published")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("milestone", [0, 1, 2])
def test_no_trouble_of_a_store_or_of_this_machine_becomes_a_finding_about_people(
    run: Run, tmp_path: Path, milestone: int, fault: str
) -> None:
    asked, told = 0, set[str]()
    while True:
        asked += 1
        store = StoreWithAFault(run.store, FAULTS[fault], asked)
        results = run_checks(context_for(run, milestone, tmp_path / str(asked), store=store), BUILT_IN)
        told |= unchecked(results)
        if store.left > 0:
            break
        assert unchecked(results), "the fault went unnoticed"

    assert {"content-published"} <= told
    assert asked > len(told)


def test_each_check_has_a_directory_of_its_own(run: Run, tmp_path: Path) -> None:
    def first(context: CheckContext) -> Iterator[Finding]:
        (context.workdir / "file").write_text(context.workdir.name)
        yield Finding("pass", "written")

    def second(context: CheckContext) -> Iterator[Finding]:
        yield Finding("pass", f"{list(context.workdir.iterdir())}")

    results = run_checks(context_for(run, 0, tmp_path), (first, second))

    assert results[1].detail == "[]"


def test_details_show_hostile_text_without_control_characters() -> None:
    result = CheckResult("name", "fail", "file '\x1b[2J\u202egnp.exe' is missing\nAll checks passed")

    assert result.detail == "file '\\u{1b}[2J\\u{202e}gnp.exe' is missing All checks passed"


def test_the_checks_of_installed_packages_follow_the_built_in_ones() -> None:
    found = discover()

    assert found[: len(BUILT_IN)] == BUILT_IN
    assert all(check_name(check) for check in found)
