"""Anyone may fill a campaign's log with votes and updates; that must not keep anybody from signing or auditing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from llamafund_chain.audit import audit
from llamafund_chain.campaign.events import MilestoneAttested, StopVoted, UpdatePosted
from llamafund_chain.chain.connection import Connection
from llamafund_chain.chain.node import AnswerTooLongError
from llamafund_chain.checks.run import BUILT_IN

MOST = 5
"""Logs that one answer may hold here; each flood is longer."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lets no answer hold more than `MOST` logs; the lengths of the answers."""
    lengths: list[int] = []
    request_many = Connection.request_many

    def short(connection: Connection, requests: Sequence[tuple[str, tuple[Any, ...]]]) -> list[Any]:
        answers = request_many(connection, requests)
        for (method, params), answer in zip(requests, answers, strict=True):
            if method == "eth_getLogs" and "toBlock" in params[0]:
                lengths.append(len(answer))
                if len(answer) > MOST:
                    raise AnswerTooLongError("The answer is too long")
        return answers

    monkeypatch.setattr(Connection, "request_many", short)
    return lengths


def test_an_audit_reads_through_a_flood_of_votes_and_past_one_of_updates(stage, tmp_path: Path, asked) -> None:
    stage.honest_until(1)
    for number in range(4 * MOST):
        stage.client.post_update(stage.researcher, f"{number:064x}")
    for number in range(2 * MOST):
        stage.client.vote_stop(stage.backers[2], number % 2 == 0)
    stage.devnet.finalize()
    asked.clear()

    report = audit(
        stage.client,
        stage.run.store,
        replay_segments=0,
        workdir=tmp_path,
        progress=lambda _: None,
        checks=BUILT_IN,
    )

    assert report.verdict.outcome == "holds", report.verdict.headline
    assert max(asked) > MOST
    assert sum(length for length in asked if length <= MOST) < 4 * MOST
    votes = stage.client.events(only=[StopVoted])
    assert [vote.support for vote in votes if isinstance(vote, StopVoted)] == [True, False] * MOST
    assert len(stage.client.events(only=[StopVoted, UpdatePosted])) == 6 * MOST


def test_an_attestor_signs_however_many_votes_and_updates_there_are(stage, llamafund, tmp_path: Path, asked) -> None:
    stage.honest_until(1)
    for number in range(2 * MOST):
        stage.client.post_update(stage.researcher, f"{number:064x}")
        stage.client.vote_stop(stage.backers[2], number % 2 == 0)
    stage.devnet.finalize()
    evidence = stage.run.train(stage.seed)
    skipped = _checks_that_train()
    asked.clear()

    ran = llamafund(
        "attest", stage.client.address, "--milestone", 1, "--evidence", evidence.sha256, "--out", tmp_path / "out.json",
        "--rpc", stage.devnet.rpc_url, "--store", stage.run.store.location, "--yes", "--json", *skipped,
        wallet="attestor0",
    )  # fmt: skip

    assert ran.code == 0, ran.stderr
    assert max(asked) == 1
    (event,) = stage.client.events(only=[MilestoneAttested])
    assert isinstance(event, MilestoneAttested)


def _checks_that_train() -> list[str]:
    """Options that leave out the checks that would need real training; the run here is hand-made."""
    from llamafund_chain.checks.check import check_name
    from llamafund_chain.checks.run import discover

    ours = {check_name(check) for check in BUILT_IN}
    names = [check_name(check) for check in discover()]
    return [word for name in names if name not in ours for word in ("--skip-check", name)]
