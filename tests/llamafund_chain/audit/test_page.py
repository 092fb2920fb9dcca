"""The page in a real browser, from file://: on a phone and on a desk, light and dark, on paper, and checking itself."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import pytest
from report_examples import HOSTILE, a_backer, proven_report, report, report_of

from llamafund_chain.audit import AuditReport, ReportCheck
from llamafund_chain.audit.recheck.reverify import conclusion, reverify
from llamafund_chain.audit.recheck.signed import auditor_item, sign_report
from llamafund_chain.audit.report import render_html

BROWSER = Path(__file__).resolve().parents[2] / "browser" / "look.mjs"
DAY = 86_400
LONG = "longword" * 60

Seen = Mapping[str, list[dict[str, Any]]]


def look(pages: Mapping[str, str], folder: Path, brief: Collection[str] = (), **job: object) -> Seen:
    """What a browser shows of each page, by the page's name; skips, or fails under `CI=true`, if there is none.

    Args:
        pages: HTML by name.
        folder: Where the pages are written.
        brief: Names of the pages that only check themselves.
        job: Further settings of `look.mjs` for each page.
    """
    jobs = []
    for name, html in pages.items():
        path = folder / f"{name}.html"
        path.write_text(html, encoding="utf-8")
        jobs.append({"name": name, "path": str(path), "brief": name in brief, **job})
    listed = folder / "jobs.json"
    listed.write_text(json.dumps({"pages": jobs, "shots": os.environ.get("LLAMAFUND_SHOTS")}))
    ran = subprocess.run(["node", str(BROWSER), str(listed)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    told = json.loads(ran.stdout)
    if told["browser"] is None:
        reason = f"no browser here: {told['why']}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return dict(told["pages"])


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    many = tuple(
        ReportCheck(group=f"milestone {number % 4}", name=f"check-number-{number}", status="pass", detail=LONG)
        for number in range(76)
    )
    pages = {
        "plain": render_html(report("A title", backer=a_backer())),
        "hostile": render_html(report(HOSTILE + LONG, backer=a_backer(HOSTILE + LONG))),
        "many": render_html(report("A title", checks=many, depth="books")),
        "look-alike": render_html(report(facts=None, milestones=(), money=None, flows=(), curves=(), references=())),
    }
    return look(pages, tmp_path_factory.mktemp("pages"))


def every(seen: Seen, what: str) -> dict[str, Any]:
    """One observation of all views, without those that are empty."""
    return {
        f"{name} {view['width']} {view['colorScheme']}": view[what]
        for name, views in seen.items()
        for view in views
        if view.get(what)
    }


def test_axe_finds_nothing_at_any_width_in_light_and_dark(seen: Seen) -> None:
    assert every(seen, "axe") == {}


def test_nothing_is_cut_off_or_needs_scrolling_sideways(seen: Seen) -> None:
    assert every(seen, "wide") == {}
    assert every(seen, "wideOpen") == {}


def test_the_page_asks_for_nothing_and_nothing_goes_wrong(seen: Seen) -> None:
    assert every(seen, "requests") == {}
    assert every(seen, "errors") == {}


def test_on_paper_every_check_and_every_exact_amount_is_there(seen: Seen) -> None:
    for views in seen.values():
        for view in views:
            assert view["print"]["shown"] == view["print"]["checks"] > 0
            assert view["print"]["hiddenAmounts"] == 0
    assert seen["many"][0]["print"]["checks"] == 76


def stopped_with_refunds(stage) -> None:
    stage.honest_until(1)
    stage.client.claim(stage.researcher, 0)
    stage.devnet.advance(DAY)
    stage.client.vote_stop(stage.backers[1])
    stage.client.vote_stop(stage.backers[1], support=False)
    stage.client.vote_stop(stage.backers[0])
    stage.client.refund(stage.backers[1], stage.backers[1].address)


def challenged(stage) -> None:
    stage.open()
    stage.client.pledge(stage.backers[0], 10**18)
    stage.client.unpledge(stage.backers[0], 10**17)
    stage.fund()
    stage.attest(0, stage.run.dataset)
    stage.client.challenge(stage.backers[0], stage.client.latest_attestation(), 0, 10**17)


def silent(stage) -> None:
    """Nobody has answered a challenge, and one has its bond back."""
    challenged(stage)
    stage.devnet.advance(2 * DAY)
    stage.client.return_bond(stage.backers[0], 0)


def unfunded(stage) -> None:
    stage.open()
    stage.client.pledge(stage.backers[0], 10**18)
    stage.devnet.advance(11 * DAY)


def over(stage) -> None:
    stage.honest_until(3)
    stage.client.claim(stage.compute, 1)


STORIES = (stopped_with_refunds, challenged, silent, unfunded, over)


def test_page_and_program_add_up_every_kind_of_story_alike(stage, tmp_path: Path) -> None:
    reports = {}
    for story in STORIES:
        before = stage.devnet.snapshot()
        story(stage)
        stage.devnet.finalize()
        reports[story.__name__] = report_of(stage, tmp_path)
        stage.devnet.revert(before)
        stage.run.checkpoints = []

    pages = {name: render_html(one) for name, one in reports.items()}
    views = look(pages, tmp_path, brief={*pages} - {"silent"}, verify=True, widths=[360], schemes=["light"])

    for name, one in reports.items():
        expected = {item.item: item.status for item in reverify(one)}
        shown = {row["item"]: row["status"] for row in views[name][0]["proof"]["items"]}
        assert (name, shown.pop("page")) == (name, "holds")
        assert (name, shown) == (name, expected)
        assert {item for item, status in shown.items() if status != "holds"} == {"chain"}, name
    assert {one.facts.status for one in reports.values() if one.facts} == {"Failed", "Active", "Completed"}
    assert every(views, "axe") == {}
    assert every(views, "wideOpen") == {}


Change = Callable[[dict[str, Any]], object]


def entry(report: dict[str, Any], *path: str | int) -> Any:
    for part in path:
        report = report[part]
    return report


def set_(*path: str | int, to: object) -> Change:
    """Changes one value of a report."""
    return lambda report: entry(report, *path[:-1]).__setitem__(path[-1], to)


def swap_signatures(report: dict[str, Any]) -> None:
    one, other = report["milestones"][0]["attested"]["signers"]
    one["signature"], other["signature"] = other["signature"], one["signature"]


def pledge_more(report: dict[str, Any]) -> None:
    """A log with another amount."""
    log = report["evidence"]["logs"][0]
    log["data"] = f"0x{int(log['data'], 16) + 10**18:064x}"


def withhold(report: dict[str, Any]) -> None:
    """A pledge left out, with books that fit what is left."""
    report["evidence"]["logs"].pop(0)


FORGED: dict[str, tuple[Change, str]] = {
    "amount": (set_("money", "events", "pledged", to="13"), "books"),
    "log": (pledge_more, "books"),
    "log-twice": (lambda one: one["evidence"].update(logs=one["evidence"]["logs"][:1] * 2), "books"),
    "log-left-out": (lambda one: one["evidence"]["logs"].pop(0), "books"),
    "status": (set_("facts", "status", to="Completed"), "books"),
    "manifest": (
        lambda one: one["evidence"]["manifests"][0].update(text=one["evidence"]["manifests"][0]["text"] + " "),
        "manifest-",
    ),
    "signature": (swap_signatures, "signature-0-0"),
    "signer": (lambda one: one["milestones"][0]["attested"]["signers"].pop(), "signature-0"),
    "attestor": (set_("facts", "attestors", 1, "address", to="0x" + "00" * 20), "terms"),
    "share": (set_("money", "payees", 0, "bps", to=9_999), "terms"),
    "code": (lambda one: one["evidence"].update(code=one["evidence"]["code"][:-2] + "00"), "address"),
    "not-code": (set_("evidence", "code", to="0x00"), "address"),
    "salt": (set_("evidence", "salt", to="00" * 32), "address"),
    "verdict": (set_("verdict", "outcome", to="fails"), "verdict"),
    "check": (lambda one: one["checks"].pop(), "verdict"),
    "milestone": (set_("milestones", 0, "tranche", to="1000"), "milestones"),
    "deadline": (set_("milestones", 2, "deadline", to="2030-01-01T00:00:00Z"), "milestones"),
    "backer": (set_("backer", "pledged", to="99"), "backer"),
    "header": (set_("proofs", "head", "fields", "stateRoot", to="0x" + "11" * 32), "header"),
    "header-that-says-it-is-strange": (
        lambda one: one["proofs"]["head"].update(recomputed=False, hash="0x" + "11" * 32),
        "header",
    ),
    "another-block": (lambda one: one["proofs"].update(head=one["proofs"]["headers"][0]), "header"),
    "time": (lambda one: one["evidence"]["times"][0].update(time=1_700_000_000), "times"),
    "word": (lambda one: one["proofs"]["words"][0].update(value="0x" + "22" * 32), "state"),
    "node": (lambda one: one["proofs"]["nodes"].pop(), "state"),
    "account": (lambda one: one["proofs"]["accounts"][0].update(balance="1"), "state"),
    "withheld": (withhold, "stored"),
    "share-of-backer": (set_("backer", "share", to=9_999), "backer"),
}
"""How a report can be changed, and the item that then does not hold."""


def test_threat_a_forged_report_is_found_by_its_page_and_by_the_program_alike(stage, tmp_path: Path) -> None:
    honest = proven_report(stage, tmp_path)
    auditor = stage.judge
    signature = sign_report(honest, auditor)
    reports = {"honest": (honest, signature)}
    for name, (change, _) in FORGED.items():
        document = json.loads(honest.to_json())
        change(document)
        reports[name] = (AuditReport.model_validate(document), None)
    reports["block"] = (honest.model_copy(update={"block": honest.block + 1}), signature)
    other = honest.model_copy(update={"evidence": None})
    reports["bare"] = (other, None)
    pages = {name: render_html(one, signed) for name, (one, signed) in reports.items()}
    pages["painted"] = pages["honest"].replace('data-of="money.events.claimed">0<', 'data-of="money.events.claimed">7<')
    assert pages["painted"] != pages["honest"]

    views = look(pages, tmp_path, brief={*pages} - {"honest", "bare"}, verify=True, widths=[360], schemes=["dark"])

    found: dict[str, dict[str, str]] = {}
    for name, (one, signed) in reports.items():
        items = (*reverify(one), *auditor_item(one, signed))
        expected = {item.item: item.status for item in items}
        shown = {row["item"]: row["status"] for row in views[name][0]["proof"]["items"]}
        assert shown.pop("page") == "holds"
        assert (name, shown) == (name, expected)
        assert views[name][0]["proof"]["outcome"] == conclusion(items)
        found[name] = expected
    assert {item for item, status in found["honest"].items() if status != "holds"} == {"chain"}
    assert {"auditor", "books", "backer", "signature-2-2", "header", "times", "state", "stored"} < set(found["honest"])
    for name, (_, item) in FORGED.items():
        assert [one for one, status in found[name].items() if status == "broken" and one.startswith(item)], name
    assert found["block"]["auditor"] == "broken"
    painted = {one["item"]: one for one in views["painted"][0]["proof"]["items"]}
    assert painted["page"]["status"] == "broken"
    assert "money.events.claimed" in painted["page"]["text"]
    for what in ("axe", "wide", "wideOpen", "errors", "requests"):
        assert every(views, what) == {}
