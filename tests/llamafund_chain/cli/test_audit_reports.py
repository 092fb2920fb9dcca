"""`llamafund audit verify-report` and `audit diff`, with reports of a real campaign."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llamafund_chain.audit.recheck.report_file import read_report

DAY = 86_400


@pytest.fixture
def audited(llamafund, stage, tmp_path: Path):
    """Audits the stage's campaign; returns the page and the JSON document, as files."""

    def run(name: str, *more: str) -> tuple[Path, Path]:
        page, document = tmp_path / f"{name}.html", tmp_path / f"{name}.json"
        ran = llamafund(
            *("audit", stage.client.address, "--rpc", stage.devnet.rpc_url, "--store", stage.run.store.location),
            *("--depth", "evidence", "--html", page, "--json", *more),
        )
        assert ran.code == 0, ran.stderr
        document.write_text(ran.stdout)
        return page, document

    return run


def test_page_and_document_of_an_honest_audit_are_checked_and_what_they_cannot_show_is_named(
    llamafund, stage, audited
) -> None:
    stage.honest_until(1)
    for file in audited("one", "--backer", stage.backers[0].address):
        ran = llamafund("audit", "verify-report", file)

        assert ran.code == 7
        assert "ok    books: " in ran.stdout
        assert "ok    backer: " in ran.stdout
        assert "????  chain: " in ran.stdout
        assert "FAIL" not in ran.stdout
        assert llamafund("audit", "verify-report", file, "--allow-unchecked").code == 0


def test_a_report_that_somebody_changed_ends_with_code_3(llamafund, stage, audited) -> None:
    stage.honest_until(1)
    page, document = audited("one")
    text = document.read_text()
    assert '"claimed": "0"' in text
    document.write_text(text.replace('"claimed": "0"', '"claimed": "1"'))
    page.write_text(page.read_text().replace('data-of="money.events.claimed">0<', 'data-of="money.events.claimed">1<'))

    changed, painted = (
        llamafund("audit", "verify-report", document),
        llamafund("audit", "verify-report", page, "--json"),
    )

    assert changed.code == painted.code == 3
    assert "FAIL  books: From the events follows something else for: claimed" in changed.stdout
    items = {one["item"]: one["status"] for one in json.loads(painted.stdout)["items"]}
    assert {item for item, status in items.items() if status == "broken"} == {"page"}


def test_a_page_of_another_version_is_not_called_forged(llamafund, stage, audited) -> None:
    stage.open()
    page, _ = audited("one")
    page.write_text(page.read_text().replace('content="llamafund ', 'content="llamafund 0').replace("<h2>", "<h2 >"))

    ran = llamafund("audit", "verify-report", page)

    assert ran.code == 7
    assert "????  page: " in ran.stdout


def test_with_proofs_and_a_hash_from_elsewhere_everything_holds(llamafund, stage, audited) -> None:
    stage.honest_until(1)
    page, _ = audited("proven", "--prove")
    block = read_report(page).report.block_hash

    ran = llamafund("audit", "verify-report", page, "--block-hash", block)
    wrong = llamafund("audit", "verify-report", page, "--block-hash", "11" * 32)

    assert ran.code == 0, ran.stdout
    assert "ok    stored: " in ran.stdout
    assert wrong.code == 3
    assert "not the one you gave" in wrong.stdout


def test_what_changed_between_two_audits_is_told_and_ends_with_code_1(llamafund, stage, audited) -> None:
    stage.open()
    stage.client.pledge(stage.backers[0], 3 * 10**18)
    stage.devnet.finalize()
    before, _ = audited("before", "--backer", stage.backers[0].address)
    stage.client.pledge(stage.backers[1], 7 * 10**18)
    stage.client.activate(stage.researcher)
    stage.devnet.finalize()
    _, after = audited("after", "--backer", stage.backers[0].address)

    ran = llamafund("audit", "diff", before, after)
    told = json.loads(llamafund("audit", "diff", before, after, "--json").stdout)

    assert ran.code == 1
    assert "  verdict status: Funding → Active" in ran.stdout
    assert "  money pledged by events: 3 → 10" in ran.stdout
    assert "  backer share: 10000 → 3000" in ran.stdout
    parts = {(one["part"], one["what"]): (one["before"], one["after"]) for one in told["changes"]}
    assert parts["check", "timeline: seed-from-block"][0] is None
    assert llamafund("audit", "diff", after, after).code == 0


def test_reports_of_two_campaigns_are_not_compared(llamafund, stage, audited) -> None:
    stage.open()
    first, _ = audited("first")
    stage.open(goal=10**18)
    second, _ = audited("second")

    ran = llamafund("audit", "diff", first, second)

    assert ran.code == 2
    assert "different campaigns" in ran.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"{}", "no field named report"),
        (b'{"report": 7}', "is not a report"),
        (b'{"report": {"schema": "llamafund/audit/1"}}', "Field required"),
        (b"<!DOCTYPE html><title>x</title>", "carries 0 reports"),
        (b"<!DOCTYPE html>\xff", "not in UTF-8"),
        (b"[" * 100_000, "nested"),
    ],
)
def test_what_is_no_report_is_refused_with_the_reason(llamafund, tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "given"
    file.write_bytes(content)

    for command in (("verify-report", file), ("diff", file, file)):
        ran = llamafund("audit", *command)
        assert ran.code == 2
        assert words in ran.stderr
        assert len(ran.stderr.splitlines()) == 1


def test_the_first_word_decides_between_a_campaign_and_a_further_command(llamafund, tmp_path: Path) -> None:
    named_like_a_campaign = tmp_path / ("0x" + "11" * 20)
    named_like_a_campaign.write_text("{}")

    assert "no field named report" in llamafund("audit", "verify-report", named_like_a_campaign).stderr
    assert "Missing argument 'ADDRESS'" in llamafund("audit").stderr
    assert "not an address" in llamafund("audit", "diffs").stderr
    shown = llamafund("audit", "--help").stdout
    assert "audit diff" in shown
    assert "audit verify-report" in shown
    assert "--depth" in shown
