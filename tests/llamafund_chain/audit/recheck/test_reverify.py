"""Reports from strangers: whatever is in them ends in outcomes, never in an error of the program's."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from report_examples import proven_report

from llamafund_chain.audit import AuditReport
from llamafund_chain.audit.model import AuditorSignature
from llamafund_chain.audit.recheck.report_file import report_hash
from llamafund_chain.audit.recheck.reverify import conclusion, reverify
from llamafund_chain.audit.recheck.signed import auditor_item
from llamafund_chain.audit.report import render_html

EXAMPLES = 15 * int(os.environ.get("LLAMAFUND_TEST_EXAMPLES", "10"))

NONSENSE = ("", "0x", "0x00", "x" * 70, "0x" + "ff" * 32, "1e9", "-1", -1, 0, 2**70, None, True, [], {}, [[]], "\ud800")


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


def put(document: Any, path: tuple[Any, ...], value: object) -> None:
    for key in path[:-1]:
        document = document[key]
    document[path[-1]] = value


def test_nonsense_in_any_place_of_a_report_is_refused_or_ends_in_outcomes(stage, tmp_path: Path) -> None:
    honest = proven_report(stage, tmp_path)
    text = honest.to_json()
    listed = [place for place in places(json.loads(text)) if place and place[0] in ("evidence", "proofs", "milestones")]
    chosen = random.Random(14)
    read = 0
    for _ in range(EXAMPLES):
        document = json.loads(text)
        put(document, chosen.choice(listed), chosen.choice(NONSENSE))
        try:
            report = AuditReport.model_validate(document)
        except ValidationError:
            continue
        read += 1
        assert conclusion(reverify(report)) in ("broken", "unknown")
        render_html(report)
    assert read > EXAMPLES // 20


def test_an_honest_report_holds_and_with_the_blocks_hash_wholly(stage, tmp_path: Path) -> None:
    honest = proven_report(stage, tmp_path)

    assert conclusion(reverify(honest)) == "unknown"
    assert conclusion(reverify(honest, honest.block_hash)) == "holds"
    assert report_hash(honest) == report_hash(AuditReport.model_validate_json(honest.to_json()))
    nonsense = AuditorSignature(auditor=stage.judge.address, signature="0x" + "11" * 65)
    assert [one.status for one in auditor_item(honest, nonsense)] == ["unknown"]
