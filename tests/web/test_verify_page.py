"""Verifying a campaign in the browser: the books, proofs against the state root, a second node, signatures, files."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest


@pytest.fixture
def running(stage: Any) -> Any:
    """A campaign with money paid out, a pledge taken back, and two milestones attested."""
    stage.open()
    stage.client.pledge(stage.backers[2], 5 * 10**18)
    stage.client.unpledge(stage.backers[2], 5 * 10**18)
    stage.fund()
    stage.attest(0, stage.run.dataset)
    stage.release()
    stage.client.claim(stage.researcher, 0)
    # Large enough for files of several blocks.
    stage.run.filling = 1 << 20
    stage.attest(1, stage.run.train(stage.seed, steps=(0,)))
    return stage


def test_books_ledger_pledge_and_signatures_are_verified_in_the_browser(site: Any, running: Any) -> None:
    window = site.open(site.campaign(running.client.address))
    window.page.get_by_role("link", name="Verify this campaign here").click()
    window.has("They do: added up again from the events")
    window.has("Proven: code, terms and ledger are in the state of this block")
    window.has("This page computed the hash from the block's header")
    for place in (0, 2):
        window.has(running.attestors[place].address)
    assert window.page.locator(".tag-good", has_text="signed").count() == 4
    page = window.page
    page.get_by_label("Prove a pledge").fill(running.backers[0].address)
    page.get_by_role("button", name="Prove it").click()
    window.has("7.000000000000000001 ETH")
    page.get_by_label("Compare with a second node").fill(site.rpc)
    page.get_by_role("button", name="Compare", exact=True).click()
    window.has("The second node has the same block.")
    page.get_by_label("Compare with a second node").fill("http://127.0.0.1:9")
    page.get_by_role("button", name="Compare", exact=True).click()
    window.has("The second node did not tell")
    assert [one for one in window.errors if "ERR_CONNECTION_REFUSED" not in one and "ERR_UNSAFE" not in one] == []


def test_files_are_sampled_or_checked_as_a_whole(site: Any, running: Any) -> None:
    window = site.open(site.campaign(running.client.address, "verify"))
    first, second = _files(window, 1), _files(window, 2)
    second.get_by_role("button", name="Sample 20 pieces").click()
    second.get_by_text("asked for: 20. There, with the bytes that the attested manifest names: 20.").wait_for()
    second.get_by_role("button", name="Sample 20 more").click()
    second.get_by_text("names: 40.").wait_for()
    # 0.95 ** 40
    assert re.search(r"5% of the bytes\s+13%", second.inner_text())
    for milestone in (first, second):
        milestone.get_by_role("button", name="Check all of it").click()
        milestone.get_by_text("together they have the attested content root").wait_for()
    assert window.errors == []


def test_threat_files_that_a_gateway_changes_or_withholds_are_told_apart(site: Any, running: Any) -> None:
    window = site.window()
    page = window.page
    mode = {"now": "lies"}

    def between(route: Any) -> None:
        answer = route.fetch() if site.url in route.request.url else None
        # Manifests come as they are.
        if answer is not None and answer.body().startswith(b'{"'):
            route.fulfill(response=answer)
        elif mode["now"] == "lies":
            route.fulfill(body=b"other bytes")
        else:
            route.fulfill(status=404, body=b"no")

    page.route("**/ipfs/**", between)
    page.goto(site.campaign(running.client.address, "verify"))
    files = _files(window, 2)
    for button in ("Sample 20 pieces", "Check all of it"):
        files.get_by_role("button", name=button).click()
        files.get_by_text("The gateway may be at fault").wait_for()
        assert site.url.rstrip("/") in files.inner_text()
    mode["now"] = "withholds"
    files.get_by_role("button", name="Check all of it").click()
    files.get_by_text("Could not be told: not everything could be fetched").wait_for()
    files.get_by_role("button", name="Sample 20 pieces").click()
    files.get_by_text("names: 0.").wait_for()
    files.get_by_text("Numbers of the pieces that could not be had").wait_for()
    # What was drawn is asked for again, and another gateway has it.
    page.unroute("**/ipfs/**")
    page.get_by_label("Ask another gateway first").fill("ftp://elsewhere")
    page.get_by_role("button", name="Use it").click()
    window.has("That is no address that this page may ask")
    page.get_by_label("Ask another gateway first").fill(site.url)
    page.get_by_role("button", name="Use it").click()
    files.get_by_role("button", name="Ask for these again").click()
    files.get_by_text("names: 20.").wait_for()


def test_threat_files_that_are_not_the_attested_content_do_not_hold(site: Any, stage: Any) -> None:
    stage.honest_until(0)
    stage.attest(0, stage.run.dataset, content_root="ab" * 32)
    window = site.open(site.campaign(stage.client.address, "verify"))
    files = _files(window, 1)
    for button in ("Sample 20 pieces", "Check all of it"):
        files.get_by_role("button", name=button).click()
        files.get_by_text("the manifest that was attested names other content").wait_for()


def _files(window: Any, milestone: int) -> Any:
    """What is said of one milestone's files."""
    section = window.page.locator("section", has=window.page.get_by_role("heading", name="Are the files there?"))
    return section.locator("div", has=window.page.get_by_role("heading", name=f"Milestone {milestone}", exact=True))


@pytest.mark.parametrize(
    ("method", "old", "new", "said"),
    [
        # A ledger that was told otherwise than it is proven.
        ("eth_call", "0000a688906bd8b00008", "0000b688906bd8b00008", "The events do not add up"),
        ("eth_getProof", "", "", "The node said something that cannot be true"),
        ("eth_getLogs", "", "", "The events do not add up"),
    ],
)
def test_a_lie_is_found_out_by_what_contradicts_it(
    site: Any, running: Any, method: str, old: str, new: str, said: str
) -> None:
    window = site.window()

    def between(route: Any) -> None:
        asked = json.loads(route.request.post_data or "[]")
        answer = route.fetch()
        given = json.loads(answer.text())
        for one in asked if isinstance(asked, list) else [asked]:
            if one["method"] != method:
                continue
            for reply in given if isinstance(given, list) else [given]:
                if reply["id"] == one["id"]:
                    _garble(method, reply, old, new)
        route.fulfill(response=answer, body=json.dumps(given))

    window.page.route(f"{site.rpc}/**", between)
    window.page.goto(site.campaign(running.client.address, "verify"))
    window.has(said)
    if method == "eth_call":
        window.has("The proof says something else than the node said before")


def _garble(method: str, reply: dict[str, Any], old: str, new: str) -> None:
    if method == "eth_call":
        reply["result"] = reply["result"].replace(old, new)
    elif method == "eth_getProof":
        node = reply["result"]["storageProof"][0]["proof"][-1]
        reply["result"]["storageProof"][0]["proof"][-1] = re.sub(r"..$", "77", node)
    elif len(reply["result"]) > 2:
        # The pledge that was taken back is kept quiet about.
        del reply["result"][1]
