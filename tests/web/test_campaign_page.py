"""A campaign as the page shows it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llamafund_chain.campaign.terms import Payee
from llamafund_chain.evidence.manifests import UpdateManifest
from llamafund_chain.store.content import publish_manifest

DAY = 86_400

_WATCH_JUMPS = """window.jumps = 0; new PerformanceObserver((seen) => {
  for (const one of seen.getEntries()) window.jumps += one.value; }).observe({type: "layout-shift", buffered: true});"""


def test_a_campaign_is_shown_with_its_proposal_its_risk_and_its_findings(site: Any, stage: Any) -> None:
    stage.open()
    stage.client.pledge(stage.backers[0], 3 * 10**18)
    window = site.window(viewport={"width": 360, "height": 800})
    window.page.add_init_script(_WATCH_JUMPS)
    window.page.goto(site.campaign(stage.client.address))
    window.has("A model of numbers")
    window.has("3 ETH pledged of 10 ETH (30 %)")
    window.has("Any 2 of the 3 attestors can together")
    window.has("re-hash everything")
    window.has("There is no arbiter: nobody can hold back the last tranche")
    assert window.page.title() == "A model of numbers – LlamaFund"
    assert window.errors == []
    # What arrives later moves hardly anything that is seen (0.1 counts as good).
    assert window.page.evaluate("() => window.jumps") < 0.1
    own = (site.url, site.rpc, "data:")
    assert [url for url in window.requests if not url.startswith(own)] == []


@pytest.mark.parametrize("kind", ["careful", "careless"])
def test_the_page_finds_what_inspect_finds(site: Any, stage: Any, llamafund: Any, kind: str) -> None:
    if kind == "careful":
        stage.open(min_bond=10**16, answer_window=2 * DAY)
        stage.client.pledge(stage.backers[0], 10**18)
    else:
        insider = stage.attestors[0].address
        terms = {"quorum": 1, "payees": (Payee(insider, 10_000),), "arbiter": insider, "ruling_window": 7 * DAY}
        stage.open(told={"goal": "1"}, **terms)
        stage.client.pledge(stage.researcher, 10 * 10**18)
    where = ("--rpc", stage.devnet.rpc_url, "--store", stage.run.store.location)
    ran = llamafund("inspect", stage.client.address, *where, "--json")
    told = json.loads(ran.stdout)
    window = site.open(site.campaign(stage.client.address))
    window.has("rules hold")
    text = window.page.locator("section:has(#risks)").text_content()
    assert len(told["findings"]) >= 20
    for one in told["findings"]:
        # Only the command line counts letters in the dataset.
        if one["rule"] != "promise-beats-counting":
            assert one["detail"] in text, one
    assert ("Do not pledge" in text) == (kind == "careless")


def test_news_is_shown_if_it_is_about_this_campaign(site: Any, stage: Any) -> None:
    stage.open()
    other = "0x" + "12" * 20
    for address, words in ((stage.client.address, "The data is ready."), (other, "Something else.")):
        update = UpdateManifest(campaign=f"eip155:31337:{address}", title="News", text=words)
        publish_manifest(stage.run.store, update)
        stage.client.post_update(stage.researcher, update.sha256)
    stage.client.post_update(stage.researcher, "77" * 32)
    window = site.open(site.campaign(stage.client.address))
    window.has("The data is ready.")
    window.has("news that is about another campaign")
    window.has("This news could not be fetched from any gateway.")
    assert window.page.get_by_text("Something else.").count() == 0
