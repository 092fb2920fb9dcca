"""What the tests of the commands share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

NO_NODE = "http://127.0.0.1:9"
"""The port of the service that discards everything: nobody listens there."""


@pytest.fixture
def untouched(stage):
    """Asserts that a refusal changed nothing: not one transaction more, not one unit moved."""

    def snapshot() -> tuple[Any, ...]:
        connection = stage.devnet.connection
        people = (stage.researcher, stage.compute, *stage.attestors, *stage.backers)
        return (
            connection.block().number,
            tuple(connection.balance(person.address) for person in people),
        )

    class Untouched:
        def __enter__(self) -> None:
            self.before = snapshot()

        def __exit__(self, *_: object) -> None:
            assert snapshot() == self.before

    return Untouched


@pytest.fixture
def campaign_file(stage, tmp_path: Path):
    """Writes a campaign file of the hand-made run; its path."""

    def write(name: str = "campaign.yaml", **terms: Any) -> Path:
        attestors = tuple(account.address for account in stage.attestors)
        proposal = json.loads(stage.run.propose(stage.researcher.address, attestors).to_bytes())
        proposal.pop("schema")
        proposal["outcome"]["target"] = "3"
        document = {
            "schema": "llamafund/campaign-file/1",
            "proposal": proposal,
            "terms": {
                "asset": None,
                "goal": "10",
                "cap": "20.5",
                "funding_deadline": "+10d",
                "stop": "50%",
                "challenge_window": "2d",
                "response_window": "1d",
                "slack": "5d",
                "quorum": 2,
                "payees": [
                    {"address": stage.researcher.address, "share": "70%"},
                    {"address": stage.compute.address, "share": "30%"},
                ],
                "milestones": [
                    {"share": "20%", "deadline": "+20d"},
                    {"share": "30%", "deadline": "+30d", "min_score": "-10"},
                    {"share": "50%", "deadline": "+40d", "min_score": "-3"},
                ],
                **terms,
            },
        }
        path = tmp_path / name
        path.write_text(yaml.safe_dump(document))
        return path

    return write
