"""Every view and state of the page: readable by everybody, at two widths, in light and dark, whatever strangers wrote.

With LLAMAFUND_PICTURES=folder it also leaves a picture of each.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from llamafund_chain.evidence.manifests import (
    DatasetPromise,
    ExpectedOutcome,
    MilestonePromise,
    Party,
    UpdateManifest,
)
from llamafund_chain.store.content import publish_manifest

ROOT = Path(__file__).resolve().parents[2]
AXE = (ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
WIDTHS = (360, 1280)
SCHEMES = ("light", "dark")
HOSTILE = (
    '</script><script>window.ran=1</script><img src=x onerror="window.ran=2">{{7*7}}\u202e\x1b[2J javascript:alert(1)'
)

_VIOLATIONS = """async () => (await axe.run(document)).violations.map(
  (one) => `${one.id}: ${one.nodes.slice(0, 2).map((node) => `${node.html} ${node.failureSummary}`).join(" | ")}`)"""
_TOO_WIDE = """() => [...document.querySelectorAll("body *")].filter(
  (one) => one.checkVisibility() && one.getBoundingClientRect().right > document.documentElement.clientWidth + 1
    && !one.closest(".unseen")).slice(0, 3).map((one) => one.outerHTML.slice(0, 120))"""


@contextmanager
def looked_at(window: Any, name: str, at: str = "") -> Iterator[None]:
    """Judge what is shown when the block ends, with axe and for overflow; and take pictures if asked to.

    Args:
        window: Shows it.
        name: Of the view, for pictures and messages.
        at: What the pictures begin with, a selector; empty for the view's beginning.
    """
    yield
    page, pictures = window.page, os.environ.get("LLAMAFUND_PICTURES")
    if pictures:
        picture(page, Path(pictures), name, at)
    page.evaluate("() => document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(_TOO_WIDE) == [], (name, width)
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            if width == WIDTHS[0]:
                found = page.evaluate(f"async () => {{ {AXE}; return await ({_VIOLATIONS})(); }}")
                assert found == [], (name, scheme)


def picture(page: Any, folder: Path, name: str, at: str) -> None:
    """A picture at each width in each colour scheme; see `looked_at`."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.evaluate("(at) => (at ? document.querySelector(at) : document.body).scrollIntoView()", at)
            page.screenshot(path=folder / f"{name}-{width}-{scheme}.png")


def test_nobody_is_shut_out_of_any_view(site: Any, stage: Any) -> None:
    stage.honest_until(0)
    stage.attest(0, stage.run.dataset)
    running = stage.client.address
    stage.open(proposal={"title": "Numbers, spelled out", "summary": "A small model.\n\nIts second paragraph."})
    stage.client.pledge(stage.backers[0], 4 * 10**18)
    funding = stage.client.address

    window = site.open(site.link())
    page = window.page
    with looked_at(window, "start"):
        window.has("Fund open AI models, step by step")
    with looked_at(window, "list"):
        page.goto(site.link(str(site.chain_id)))
        page.get_by_label("Show").select_option("all")
        window.has("2 of 2 campaigns")
        window.has("A model of numbers")
        window.has("Numbers, spelled out")
    page.get_by_label("Search title or address").fill("spelled")
    window.has("1 of 2 campaigns")
    page.get_by_label("Search title or address").fill("nothing like it")
    window.has("No campaign is as you asked for")
    page.get_by_role("button", name="Show all campaigns").click()
    window.has("2 of 2 campaigns")
    with looked_at(window, "campaign"):
        page.get_by_role("link", name="Numbers, spelled out").click()
        window.has("4 ETH pledged of 10 ETH (40 %)")
        window.has("There is no arbiter: nobody can hold back")
        window.has("Its second paragraph.")
    with looked_at(window, "findings", at="#risks"):
        window.has("What could not be told here")
    with looked_at(window, "milestones", at="#milestones"):
        page.goto(site.campaign(running))
        window.has("Attested; can be challenged")
        window.has("There is no arbiter: nobody can hold back")
        page.get_by_text("What was attested").click()
        page.get_by_role("button", name="Fetch the evidence and hash it here").click()
        window.has("Fetched and hashed here")
        # The track records are those that `llamafund people` tells.
        window.has("So far: 2 campaigns, 0 completed, 0 failed; 1 milestones attested in time")
        window.has("So far: named in 2 campaigns, signed 1 milestones, 0 of them contradicted later")
    with looked_at(window, "verify"):
        page.goto(site.campaign(running, "verify"))
        window.has("Proven: code, terms and ledger are in the state of this block")
        window.has("signed")
    with looked_at(window, "verify-proof", at="#proof"):
        page.get_by_label("Prove a pledge").fill(stage.backers[0].address)
        page.get_by_role("button", name="Prove it").click()
        window.has("Pledge of")
    with looked_at(window, "verify-files", at="#files"):
        page.get_by_role("button", name="Sample 20 pieces").click()
        window.has("It holds.")
    with looked_at(window, "not-a-campaign"):
        page.goto(site.campaign("0x" + "ab" * 20))
        window.has("is not a campaign of LlamaFund's contracts")
    with looked_at(window, "node"):
        page.goto(f"{site.url}#/11155111")
        window.has("Through what shall this page read Sepolia?")
    page.get_by_label("Address of a node").fill("ftp://nowhere")
    page.get_by_role("button", name="Ask this node").click()
    window.has("That is no address that this page may ask")
    with looked_at(window, "lost"):
        page.goto(f"{site.url}#/what/is/this/place")
        window.has("There is nothing here")
    assert window.errors == []
    # Everything also with the keyboard alone: the first stop skips to the content.
    page.goto(site.campaign(funding))
    page.reload()
    window.has("4 ETH pledged of 10 ETH (40 %)")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "main"


def test_german_is_spoken_and_written_as_germans_do(site: Any, stage: Any) -> None:
    stage.open(goal=12_500 * 10**15)
    stage.client.pledge(stage.backers[0], 10**18 + 1)
    window = site.open(site.campaign(stage.client.address), locale="de-DE")
    window.has("1,000000000000000001 ETH von 12,5 ETH zugesagt (8 %)")
    window.has("Wer Ihr Geld nehmen kann")
    assert window.page.locator("html").get_attribute("lang") == "de"
    window.page.get_by_label("Sprache").select_option("en")
    window.has("1.000000000000000001 ETH pledged of 12.5 ETH (8 %)")


def test_what_a_stranger_writes_is_only_ever_text(site: Any, stage: Any) -> None:
    token = stage.devnet.deploy_token("Dollar", "<script>window.ran=3</script>", 6)
    proposal = {
        **dict.fromkeys(("title", "summary", "model", "compute", "budget", "license"), HOSTILE),
        "objectives": (HOSTILE, HOSTILE + "2"),
        "outcome": ExpectedOutcome(metric=HOSTILE, direction="lower", target=1, evaluation=HOSTILE),
        "dataset": DatasetPromise(
            manifest=stage.run.dataset.sha256, description=HOSTILE, sources=(HOSTILE,), license=HOSTILE
        ),
        "milestones": tuple(
            MilestonePromise(kind=kind, title=HOSTILE, description=HOSTILE)
            for kind in ("DATASET", "CHECKPOINT", "WEIGHTS")
        ),
        "researcher": Party(name=HOSTILE, address=stage.researcher.address),
        "attestors": tuple(Party(name=HOSTILE, address=one.address, promise=HOSTILE) for one in stage.attestors),
    }
    stage.open(proposal=proposal, asset=token, goal=10**6, cap=10**7)
    update = UpdateManifest(campaign=f"eip155:31337:{stage.client.address}", title=HOSTILE, text=HOSTILE)
    publish_manifest(stage.run.store, update)
    stage.client.post_update(stage.researcher, update.sha256)
    window = site.open(site.campaign(stage.client.address), viewport={"width": 360, "height": 800})
    heading = window.page.get_by_role("heading", level=1)
    heading.get_by_text("</script>").wait_for()
    assert "\\u{202e}\\u{1b}[2J" in heading.inner_text()
    window.has("rules hold")
    window.page.locator("article h3").get_by_text("</script>").wait_for()
    assert window.page.content().count("&lt;script&gt;window.ran=1") > 15
    assert window.page.evaluate("() => window.ran") is None
    assert window.page.locator("img").count() == 0
    assert window.page.evaluate(_TOO_WIDE) == []
    # And the page's rules hold although something tries: script in the page's own document does not run.
    blocked = window.page.evaluate(
        "() => { try { document.body.innerHTML = '<b>x</b>'; return false; } catch { return true; } }"
    )
    assert blocked


@pytest.mark.parametrize("lie", ["other bytes", "endless", "not there"])
def test_a_gateway_that_lies_shows_nothing_and_accuses_nobody(site: Any, stage: Any, lie: str) -> None:
    stage.open()
    window = site.window()
    answers: dict[str, dict[str, Any]] = {
        "other bytes": {"body": b'{"schema":"llamafund/proposal/1","title":"A lie"}'},
        "endless": {"body": b"x" * 300_000},
        "not there": {"status": 404, "body": b"no"},
    }
    window.page.route("**/ipfs/**", lambda route: route.fulfill(**answers[lie]))
    window.page.goto(site.campaign(stage.client.address))
    if lie == "other bytes":
        window.has("A gateway sent other bytes than the proposal's")
    else:
        window.has("The proposal could not be fetched")
    window.has(
        "That says nothing about the researcher" if lie != "other bytes" else "the researcher may know nothing of it"
    )
    assert window.page.get_by_text("A lie").count() == 0
    # What could not be read is not called fine, and the honest gateway mends it.
    window.has("What could not be told here")
    window.page.unroute("**/ipfs/**")
    window.page.locator("#proposal").locator("..").get_by_role("button", name="Read again").click()
    window.has("A model of numbers")


def test_a_node_that_drops_lies_or_lags_is_told_from_a_bad_campaign(site: Any, stage: Any) -> None:
    stage.open()
    address = stage.client.address
    window = site.window()
    page = window.page
    mode = {"now": "honest"}

    def between(route: Any) -> None:
        asked = route.request.post_data or ""
        if mode["now"] == "drops":
            route.abort()
            return
        answer = route.fetch()
        body = answer.text()
        if mode["now"] == "lies" and "eth_getLogs" in asked:
            # Other terms under the same address: the goal is one of the terms' first bytes.
            body = re.sub(r"8ac7230489e80000", "0000000000000001", body)
        if mode["now"] == "other chain":
            body = body.replace("0x7a69", "0x1")
        route.fulfill(response=answer, body=body)

    page.route(f"{site.rpc}/**", between)
    page.goto(site.campaign(address))
    window.has("0 ETH pledged of 10 ETH (0 %)")
    mode["now"] = "drops"
    page.get_by_role("button", name="Read again").last.click()
    window.has("The node does not answer.")
    # What was read before stays.
    window.has("0 ETH pledged of 10 ETH (0 %)")
    mode["now"] = "honest"
    page.get_by_role("alert").or_(page.locator(".notice")).get_by_role("button", name="Read again").first.click()
    page.get_by_text("The node does not answer.").wait_for(state="detached")
    for now, said in (("lies", "The node said something that cannot be true."), ("drops", "The node does not answer.")):
        mode["now"] = now
        page.reload()
        window.has(said)
        assert page.get_by_text("pledged of").count() == 0
    mode["now"] = "other chain"
    page.reload()
    window.has("The node is of chain 1, but the link is about chain 31337")
    mode["now"] = "honest"
    page.get_by_role("button", name="Read again").click()
    window.has("0 ETH pledged of 10 ETH (0 %)")


def test_a_chain_without_campaigns_or_contracts_says_so(site: Any, stage: Any) -> None:
    window = site.open(site.link(str(site.chain_id)))
    window.has("There are no campaigns on this chain yet.")
    code = stage.devnet.connection.code(stage.devnet.deployment.factory).hex()

    def without_contracts(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace(code, ""))

    window.page.route(f"{site.rpc}/**", without_contracts)
    window.page.reload()
    window.has("The escrow contracts are not on this chain")


def test_old_blocks_and_a_node_that_goes_back_are_told(site: Any, stage: Any) -> None:
    stage.open()
    window = site.window()
    page = window.page
    behind = {"blocks": 0}

    def between(route: Any) -> None:
        answer = route.fetch()
        body = answer.text()
        if "eth_getBlockByNumber" in (route.request.post_data or "") and behind["blocks"]:
            body = re.sub(r'"number":"0x([0-9a-f]+)"', lambda n: f'"number":"0x{int(n[1], 16) - 2:x}"', body)
        route.fulfill(response=answer, body=body)

    page.route(f"{site.rpc}/**", between)
    # The clock of the tests' chain falls behind: with each state undone it goes back.
    page.clock.set_fixed_time(stage.devnet.connection.timestamp())
    page.goto(site.campaign(stage.client.address))
    window.has("0 ETH pledged of 10 ETH (0 %)")
    assert page.get_by_text("The newest block that this node names").count() == 0
    behind["blocks"] = 2
    page.get_by_role("button", name="Read again").last.click()
    window.has("The node went back from block")
    window.has("0 ETH pledged of 10 ETH (0 %)")
    behind["blocks"] = 0
    page.clock.set_fixed_time(stage.devnet.connection.timestamp() + 7_200)
    page.reload()
    window.has("The newest block that this node names was made 2 hours ago")
