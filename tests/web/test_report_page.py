"""An audit's report on the page: checked again from what its file carries, as `llamafund audit verify-report` does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from report_examples import HOSTILE, proven_report
from test_every_view import looked_at

from llamafund_chain.audit import AuditReport
from llamafund_chain.audit.recheck.reverify import reverify
from llamafund_chain.audit.recheck.signed import auditor_item, sign_report
from llamafund_chain.audit.report import render_html

Change = Callable[[dict[str, Any]], object]

FORGED: dict[str, Change] = {
    "books": lambda one: one["money"]["events"].update(pledged="13"),
    "manifest": lambda one: one["evidence"]["manifests"][0].update(text="{}"),
    "signer": lambda one: one["milestones"][0]["attested"]["signers"].reverse(),
    "address": lambda one: one["evidence"].update(salt="00" * 32),
    "verdict": lambda one: one["checks"].pop(),
    "header": lambda one: one["proofs"]["head"]["fields"].update(stateRoot="0x" + "11" * 32),
    "state": lambda one: one["proofs"]["nodes"].pop(),
    "bare": lambda one: one.update(evidence=None, proofs=None),
}


@pytest.fixture
def shown(site: Any) -> Callable[[Path], dict[str, str]]:
    """Opens a file on the page, and returns what it says of each item."""
    window = site.open(site.link("report"))

    def run(path: Path) -> dict[str, str]:
        window.page.locator("#report-file").set_input_files(path)
        expect(window.page.locator("#report-checked")).to_be_visible()
        expect(window.page.get_by_text(path.name, exact=True)).to_be_visible()
        rows = window.page.locator("li[data-item]").all()
        return {str(one.get_attribute("data-item")): str(one.get_attribute("data-status")) for one in rows}

    run.window = window  # type: ignore[attr-defined]
    return run


def statuses(report: AuditReport, signature: Any = None, block_hash: str | None = None) -> dict[str, str]:
    items = (*reverify(report, block_hash), *auditor_item(report, signature))
    return {one.item: one.status for one in items}


def test_threat_a_forged_report_is_found_out_by_the_page_as_by_the_program(
    site: Any, stage: Any, shown: Any, tmp_path: Path
) -> None:
    honest = proven_report(stage, tmp_path)
    signature = sign_report(honest, stage.judge)
    signed = signature.model_dump(mode="json")
    window, page = shown.window, shown.window.page

    # The page that an audit wrote. The node of the link is asked for the block, so that nothing stays open.
    path = tmp_path / "audit.html"
    html = render_html(honest, signature)
    path.write_text(html, encoding="utf-8")
    shown(path)
    expect(page.get_by_text("has this very block.")).to_be_visible()
    expect(page.get_by_text("Everything that the report carries evidence for holds.")).to_be_visible()
    assert shown(path) == {"page": "holds", **statuses(honest, signature, honest.block_hash)}
    assert set(statuses(honest, signature, honest.block_hash).values()) == {"holds"}
    with looked_at(window, "report"):
        pass

    # Numbers that JavaScript would round are signed as they are.
    document = json.loads(honest.to_json())
    document["checks"][0]["data"]["large"] = 10**20 + 1
    large = AuditReport.model_validate(document)
    (tmp_path / "large.json").write_text(
        json.dumps({"report": document, "signature": sign_report(large, stage.judge).model_dump(mode="json")})
    )
    assert shown(tmp_path / "large.json")["auditor"] == "holds"

    # What it paints, and what it would run: neither counts.
    painted = tmp_path / "painted.html"
    painted.write_text(html.replace('data-of="money.events.claimed">0<', 'data-of="money.events.claimed">7<'))
    assert shown(painted)["page"] == "broken"
    expect(page.get_by_text("Something in the report does not hold: do not rely on it.")).to_be_visible()
    running = tmp_path / "running.html"
    running.write_text(html.replace("<body>", "<body><script>window.ran = 1</script><img src=x onerror='ran = 2'>"))
    assert shown(running)["page"] == "holds"
    assert page.evaluate("() => window.ran") is None

    # Forgeries, and a node that has another block there.
    for name, change in FORGED.items():
        document = json.loads(honest.to_json())
        change(document)
        forged = tmp_path / f"{name}.json"
        forged.write_text(json.dumps({"report": document, "signature": signed}), encoding="utf-8")
        read = AuditReport.model_validate(document)
        found = shown(forged)
        expect(page.get_by_text("has this very block.")).to_be_visible()
        expected = statuses(read, signature, honest.block_hash)
        assert (name, found | {"chain": ""}) == (name, expected | {"chain": ""})
        assert "broken" in found.values(), name
    moved = honest.model_copy(update={"block_hash": "12" * 32})
    # A report alone, without what a command says around it.
    (tmp_path / "moved.json").write_text(moved.to_json(), encoding="utf-8")
    shown(tmp_path / "moved.json")
    expect(page.get_by_text("has another block at this height.")).to_be_visible()
    later = honest.model_copy(update={"block": honest.block + 10_000, "verdict": _hostile(honest)})
    (tmp_path / "later.json").write_text(json.dumps({"report": json.loads(later.to_json())}), encoding="utf-8")
    shown(tmp_path / "later.json")
    expect(page.get_by_text("does not know a block of this height yet.")).to_be_visible()
    expect(page.locator("#report-says").locator("..").get_by_text("</title><script>")).to_be_visible()
    with looked_at(window, "report-broken"):
        pass
    # Another node can be asked, and one that is silent accuses nobody.
    page.get_by_role("button", name="Ask another node").click()
    page.locator("#node").fill("http://127.0.0.1:9")
    page.get_by_role("button", name="Ask this node").click()
    expect(page.get_by_text("The node does not answer.")).to_be_visible()
    assert [one for one in window.errors if "ERR_UNSAFE_PORT" not in one] == []


def _hostile(report: AuditReport) -> Any:
    return report.verdict.model_copy(update={"headline": HOSTILE})


def test_what_is_no_report_says_nothing_about_anybody(shown: Any, tmp_path: Path) -> None:
    window, page = shown.window, shown.window.page
    nonsense = {
        "empty.json": b"",
        "twice.json": b'{"report": {}, "report": {}}',
        "deep.json": b"[" * 100_000,
        "other.json": b'{"report": {"schema": "llamafund/audit/1", "chain": "eip155:1"}}',
        "bytes.html": b"<!doctype html>\xff",
        "none.html": b"<!doctype html><p>no report</p>",
        "two.html": b"<!doctype html>" + b'<script type="application/json" id="report">{}</script>' * 2,
    }
    for name, data in nonsense.items():
        (tmp_path / name).write_bytes(data)
        page.locator("#report-file").set_input_files(tmp_path / name)
        said = "does not carry exactly one report" if name in ("none.html", "two.html") else "This is no report"
        expect(page.get_by_role("alert").get_by_text(said)).to_be_visible()
        expect(page.get_by_text("That says nothing about the campaign or its people.")).to_be_visible()
        assert page.locator("#report-checked").count() == 0
    assert window.errors == []
