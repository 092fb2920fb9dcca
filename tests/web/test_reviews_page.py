"""Reviews on the page: written with a wallet, the same bytes as the command line's, and shown once they are checked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from acting import ETHER, Acting
from playwright.sync_api import expect
from review_examples import signed_review
from test_every_view import HOSTILE, looked_at
from wallets import RefusalError, Wallet

from llamafund_chain.campaign.reviews import MAX_CHARACTERS, write_review
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.evidence.manifests import ReviewManifest, load_manifest
from llamafund_chain.store.content import publish_manifest

# Accepts every signature that begins with 0x22 (ERC-1271).
WALLET = bytes.fromhex("60218060093d393df3631626ba7e60e01b60005260643560f81c602214601b57600080fd5b60206000f3")


def sign(act: Acting, text: str) -> None:
    """Write a review, and let the wallet sign it."""
    act.page.get_by_label("Your review", exact=True).fill(text)
    act.page.get_by_role("button", name="Sign in Test Wallet").click()


def saved(act: Acting, folder: Path) -> Path:
    """The file of the review that was just signed."""
    with act.page.expect_download() as download:
        act.page.get_by_role("status").get_by_role("link", name="Save the file").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_page_and_command_line_write_and_read_the_same_reviews(
    site: Any, stage: Any, llamafund: Callable[..., Any], tmp_path: Path
) -> None:
    stage.open()
    backer = stage.backers[0]
    stage.client.pledge(backer, 2 * ETHER)
    wallet = Wallet(stage.devnet.connection, [backer, stage.backers[1]])
    act = Acting(site, stage, wallet)
    act.look()
    act.page.get_by_role("link", name="Reviews of this proposal").click()
    expect(act.page.get_by_text("No review was named yet.")).to_be_visible()
    act.connect()

    # The person declines, and then signs. Too much, or nothing at all, is said before the wallet is asked.
    button = act.page.get_by_role("button", name="Sign in Test Wallet")
    expect(button).to_be_disabled()
    act.page.get_by_label("Your review", exact=True).fill("w" * (MAX_CHARACTERS + 1))
    expect(act.page.get_by_text("A review has 1 to 20000 characters")).to_be_visible()
    expect(button).to_be_disabled()
    wallet.refuses = _declines
    sign(act, "No.")
    expect(act.page.get_by_text("You declined in the wallet")).to_be_visible()
    wallet.refuses = lambda _method, _params: None
    _answers_that_are_not_its_own(act, wallet)
    assert act.page.locator("article").count() == 0
    text = (
        "The goal is honest, the baseline is weak: counting letters does better than 4 bits per byte.\n\n"
        "I would pledge if the last tranche needed a score – 3.5 is within reach."
    )
    sign(act, f"\n {text}\n\n")
    expect(act.page.get_by_text("Signed. Now save the file")).to_be_visible()
    shown = act.page.locator("article[data-verdict=genuine]")
    expect(shown.get_by_text("2 ETH")).to_be_visible()
    expect(shown.get_by_text("backer in 1")).to_be_visible()
    expect(shown.get_by_text("is within reach")).to_be_visible()
    with looked_at(act.window, "reviews"):
        pass

    # The same bytes as the command line makes, and it takes them.
    path = saved(act, tmp_path)
    mine = load_manifest(ReviewManifest, path)
    assert path.read_bytes() == write_review(stage.client, backer, text, mine.written).to_bytes()
    expect(act.page.get_by_role("status").get_by_text(raw_cid(mine.sha256))).to_be_visible()
    where = ("--rpc", stage.devnet.rpc_url, "--store", stage.run.store.location)
    (told,) = llamafund("review", "list", stage.client.address, path, *where, "--json").json["reviews"]
    assert (told["verdict"], told["text"], told["pledge"]) == ("genuine", text, "2")

    # The other way round: written on the command line, found by hash, by address and in a file; kept by the link.
    (tmp_path / "review.md").write_text("I know nothing of this.")
    command = ("review", "write", stage.client.address, tmp_path / "review.md", *where, "--yes", "--json")
    other = llamafund(*command, "--out", tmp_path / "other.json", wallet="stranger").json
    field = act.page.get_by_label("Hash, IPFS address or link")
    field.fill("bafkreinothing")
    act.page.get_by_role("button", name="Fetch and check").click()
    expect(act.page.get_by_text("That is no hash")).to_be_visible()
    field.fill(other["cid"])
    field.press("Enter")
    expect(act.page.get_by_text("I know nothing of this.")).to_be_visible()
    expect(act.page.get_by_text("no part in any campaign")).to_be_visible()
    assert act.page.url.endswith(f"review={other['review']}")
    act.page.reload()
    expect(act.page.locator("article[data-verdict=genuine]")).to_have_count(1)
    act.page.get_by_label("Files", exact=True).set_input_files([path, tmp_path / "other.json"])
    expect(act.page.locator("article[data-verdict=genuine]")).to_have_count(2)
    # The newest is first, as on the command line.
    assert [one["reviewer"] for one in _listed(llamafund, stage, where, path, tmp_path)] == [
        act.page.locator("article").nth(place).locator("code").first.inner_text() for place in range(2)
    ]
    assert act.window.errors == []


def _listed(llamafund: Callable[..., Any], stage: Any, where: tuple[str, ...], path: Path, folder: Path) -> Any:
    ran = llamafund("review", "list", stage.client.address, path, folder / "other.json", *where, "--json")
    return ran.json["reviews"]


def _answers_that_are_not_its_own(act: Acting, wallet: Wallet) -> None:
    """Another key's signature, nonsense, and a wallet that moved to another account meanwhile."""
    for answer in ("0x" + "11" * 65, "0x", "nonsense", "0x" + "11" * 9_000):
        wallet.answers["eth_signTypedData_v4"] = answer
        sign(act, "Mine?")
        expect(act.page.get_by_text("gave an answer that does not fit")).to_be_visible()
        asked = [params for method, params in wallet.asked if method == "eth_signTypedData_v4"]
        assert json.loads(asked[-1][1])["message"]["text"] == "Mine?"
    wallet.answers.clear()
    wallet.accounts.reverse()
    sign(act, "Whose?")
    expect(act.page.get_by_text("The wallet has changed to another account")).to_be_visible()
    # What was written is still there.
    assert act.page.get_by_label("Your review", exact=True).input_value() == "Whose?"
    wallet.select(act.page, wallet.accounts[1])


def _declines(method: str, _params: Any) -> None:
    if method == "eth_signTypedData_v4":
        raise RefusalError(4001)


def test_threat_what_nobody_signed_is_shown_to_nobody_and_trouble_accuses_nobody(
    site: Any, stage: Any, tmp_path: Path
) -> None:
    stage.open()
    contract = stage.devnet.deploy(WALLET)
    store, key = stage.run.store, b"\x07" * 32
    genuine = publish_manifest(store, signed_review(stage, key))
    eternal = signed_review(stage, key, reviewer=contract, signature="0x2233", written=2**53 - 1, text="Eternal.")
    own = write_review(stage.client, stage.researcher, f"Mine is fine. 🦙 {HOSTILE}", 1_700_000_000)
    cases = {
        "The word of a wallet contract": (eternal, "Eternal."),
        "The researcher's": (own, "Mine is fine."),
        "changed": (signed_review(stage, key, text="Superb."), "did not sign it"),
        "another proposal": (signed_review(stage, key, proposal="ab" * 32), "another proposal"),
        "another campaign": (signed_review(stage, key, campaign="eip155:31337:0x" + "ab" * 20), "another campaign"),
        "unsure": (signed_review(stage, key, reviewer=contract, signature="0x33"), "which did not confirm"),
        "an update": (stage.run.dataset, "These bytes are no review's manifest"),
    }
    named = [genuine, *(publish_manifest(store, one) for one, _ in cases.values()), "77" * 32]
    window = site.window()
    page = window.page
    garbled: dict[str, bytes] = {}
    page.route("**/ipfs/**", lambda route: _between(route, garbled))
    link = site.campaign(stage.client.address, "reviews")
    page.goto("&review=".join([link, *named]))
    expect(page.get_by_text("Fine.", exact=True)).to_be_visible()
    # Whoever has a part in the campaign reviews as that.
    expect(
        page.locator("article", has_text="Mine is fine.").get_by_text("researcher, payee 0", exact=True)
    ).to_be_visible()
    for _, said in cases.values():
        expect(page.get_by_text(said)).to_be_visible()
    # A stranger's text is only ever text.
    expect(page.get_by_text("</script><script>")).to_be_visible()
    assert page.evaluate("() => window.ran") is None
    assert page.locator("main img").count() == 0
    expect(page.get_by_text("No gateway has it, or none answers.")).to_be_visible()
    verdicts = [one.get_attribute("data-verdict") for one in page.locator("article").all()]
    assert sorted(verdicts) == ["genuine"] * 3 + ["refused"] * 4 + ["unchecked"] * 2
    assert page.get_by_text("Superb.").count() == 0
    # Half a genuine review from a gateway accuses nobody, and an honest answer mends it.
    garbled[raw_cid(genuine)] = b'{"schema":"llamafund/review/1"}'
    page.reload()
    expect(page.get_by_text("A gateway sent other bytes")).to_be_visible()
    garbled.clear()
    wrong = page.locator("article", has_text="A gateway sent other bytes")
    wrong.get_by_role("button", name="Read again").click()
    expect(page.get_by_text("Fine.", exact=True)).to_be_visible()
    # A node that is silent about the reviewer leaves open what only it could tell.
    page.route(f"{site.rpc}/**", lambda route: _without_code(route))
    page.reload()
    expect(page.locator("article", has_text="The node did not tell")).to_have_count(3)
    expect(page.locator("article[data-verdict=refused]")).to_have_count(3)
    # Files that are none, or too long.
    (tmp_path / "long.json").write_bytes(b"x" * 300_000)
    (tmp_path / "none.json").write_bytes(b"[]")
    page.get_by_label("Files", exact=True).set_input_files([tmp_path / "long.json"])
    expect(page.get_by_text("A review's file is never that long")).to_be_visible()
    page.get_by_label("Files", exact=True).set_input_files([tmp_path / "none.json"])
    expect(page.locator("article[data-verdict=refused]")).to_have_count(4)
    # What no gateway has shown, the file shows.
    lost = write_review(stage.client, stage.researcher, "Lost and found.", 1_700_000_001)
    (tmp_path / "lost.json").write_bytes(lost.to_bytes())
    field = page.get_by_label("Hash, IPFS address or link")
    field.fill(lost.sha256)
    field.press("Enter")
    expect(page.locator("article", has_text="No gateway has it")).to_have_count(2)
    page.get_by_label("Files", exact=True).set_input_files([tmp_path / "lost.json"])
    expect(page.get_by_text("Lost and found.")).to_be_visible()
    with looked_at(window, "reviews-refused"):
        pass


def _between(route: Any, garbled: dict[str, bytes]) -> None:
    body = garbled.get(re.sub(r".*/ipfs/|\?.*", "", route.request.url))
    if body is None:
        route.continue_()
    else:
        route.fulfill(body=body)


def _without_code(route: Any) -> None:
    """A node that answers every question but that for an account's code."""
    asked = json.loads(route.request.post_data or "[]")
    if '"eth_getCode"' not in (route.request.post_data or ""):
        route.continue_()
        return
    answer = route.fetch()
    given = json.loads(answer.text())
    silent = {one["id"] for one in (asked if isinstance(asked, list) else [asked]) if one["method"] == "eth_getCode"}
    for reply in given if isinstance(given, list) else [given]:
        if reply["id"] in silent:
            reply.pop("result", None)
            reply["error"] = {"code": -32000, "message": "no"}
    route.fulfill(response=answer, body=json.dumps(given))
