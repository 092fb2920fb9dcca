"""`llamafund campaign update`, and the updates in `llamafund campaign show`."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.evidence.manifests import UpdateManifest
from llamafund_chain.store import LocalStore
from llamafund_chain.store.content import fetch_manifest, publish_manifest

WORDS = "# The data is ready\n\n*All* of it, with \u202e nothing hidden.\n"


@pytest.fixture
def update(llamafund, stage, tmp_path: Path):
    """Runs the command with the words in `update.md`."""

    def run(*more: object, words: str | bytes = WORDS, wallet: str = "researcher", store: Path | None = None):
        file = tmp_path / "update.md"
        file.write_bytes(words if isinstance(words, bytes) else words.encode())
        where = ("--rpc", stage.devnet.rpc_url, "--store", store or stage.run.store.location)
        return llamafund("campaign", "update", stage.client.address, file, *where, "--json", *more, wallet=wallet)

    return run


def show(llamafund, stage, *more: object):
    where = ("--rpc", stage.devnet.rpc_url, "--store", stage.run.store.location)
    return llamafund("campaign", "show", stage.client.address, *where, *more)


def test_an_update_is_published_and_its_hash_is_on_chain(llamafund, stage, update, tmp_path: Path) -> None:
    client = stage.open()
    link = ("--link", "The data", stage.run.dataset.sha256)
    made = update("--yes", *link, store=tmp_path / "store").json
    store = LocalStore(tmp_path / "store")
    manifest = fetch_manifest(store, made["update"], UpdateManifest)
    assert raw_cid(made["update"]) in store.pins()
    assert manifest.campaign == f"eip155:31337:{client.address}"
    assert (manifest.title, manifest.text) == ("The data is ready", "*All* of it, with \u202e nothing hidden.")
    assert [(one.title, one.sha256) for one in manifest.links] == [("The data", stage.run.dataset.sha256)]
    assert made["title"] == "The data is ready"
    shown = llamafund("manifest", "show", made["update"], "--store", tmp_path / "store")
    assert "\\u{202e}" in shown.stdout
    assert "\u202e" not in shown.stdout


def test_an_update_is_printed_whole_and_line_by_line(llamafund, stage, update) -> None:
    stage.open()
    words = "first\n\n    second " + "w" * 9_000 + " last\u2028hidden"
    made = update("--yes", "--title", "News", words=words).json
    shown = llamafund("manifest", "show", made["update"], "--store", stage.run.store.location).stdout
    _, _, text = shown.partition("\n\n")
    assert text.splitlines()[:2] == ["first", ""]
    assert text.replace("\n", "").replace("\\u{2028}", "\u2028") == words.replace("\n", "")
    assert max(map(len, text.splitlines())) < 200


def test_a_title_can_be_given_apart_from_the_words(stage, update) -> None:
    stage.open()
    made = update("--yes", "--title", "News", words="Just words.\n").json
    manifest = fetch_manifest(stage.run.store, made["update"], UpdateManifest)
    assert (manifest.title, manifest.text) == ("News", "Just words.")


def test_updates_are_shown_newest_first_and_the_oldest_are_counted(llamafund, stage, update) -> None:
    stage.open()
    assert show(llamafund, stage, "--json").json["updates"] == 0
    hashes = [update("--yes", words=f"# Update {number}\n\nwords").json["update"] for number in range(12)]
    found = show(llamafund, stage, "--json").json
    assert found["updates"] == 12
    assert [one["update"] for one in found["latest_updates"]] == hashes[:1:-1]
    assert found["latest_updates"][0]["title"] == "Update 11"
    text = show(llamafund, stage).stdout
    assert "12; `llamafund manifest show HASH` prints one" in text
    assert f"{hashes[-1]} “Update 11”" in text
    assert "and 2 earlier ones" in text
    assert hashes[0] not in text


def test_an_update_that_cannot_be_read_or_is_of_another_campaign_is_shown_as_such(llamafund, stage, update) -> None:
    client = stage.open()
    client.post_update(stage.researcher, "ab" * 32)
    client.post_update(stage.researcher, client.terms.proposal)
    other = UpdateManifest(campaign=f"eip155:1:{client.address}", title="Elsewhere", text="words", links=())
    client.post_update(stage.researcher, publish_manifest(stage.run.store, other))
    foreign, proposal, missing = show(llamafund, stage, "--json").json["latest_updates"]
    assert "It is an update of eip155:1:" in foreign["problem"]
    assert "llamafund/proposal/1" in proposal["problem"]
    assert "has nothing under" in missing["problem"]
    assert [one["title"] for one in (foreign, proposal, missing)] == [None, None, None]
    text = show(llamafund, stage).stdout
    assert "Elsewhere" not in text
    assert text.count("cannot be read") == 3


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("no heading\nwords", "has no title"),
        ("# \nwords", "has no title"),
        ("", "has no title"),
        ("# Title", "has 0 characters"),
        ("# Title\n \n\t\n", "has 0 characters"),
        ("# " + "t" * 301 + "\nwords", "The title has 301 characters"),
        ("# Title\n" + "t" * 20_001, "has 20001 characters"),
        (b"# Title\n\xff\xfe", "is not text"),
        (b"# Title\n" + b"t" * 300_000, "longer than 262144 bytes"),
    ],
)
def test_what_is_no_update_is_not_posted(stage, update, untouched, words: str | bytes, problem: str) -> None:
    stage.open()
    pins = stage.run.store.pins()
    with untouched():
        update("--yes", words=words).refused(2, problem)
    assert stage.run.store.pins() == pins


def test_a_file_that_is_not_there_or_is_a_folder_is_a_usage_error(llamafund, stage, tmp_path: Path) -> None:
    client = stage.open()
    for path in (tmp_path / "nothing.md", tmp_path):
        where = ("--rpc", stage.devnet.rpc_url, "--yes")
        llamafund("campaign", "update", client.address, path, *where, wallet="researcher").refused(2)


def test_the_longest_title_and_text_are_taken(stage, update) -> None:
    stage.open()
    assert update("--yes", words="# " + "t" * 300 + "\n" + "é" * 20_000).code == 0


def test_only_the_researcher_posts_and_nothing_is_published_otherwise(stage, update, untouched) -> None:
    stage.open()
    pins = stage.run.store.pins()
    with untouched():
        update("--yes", wallet="backer0").refused(5, "not the campaign's researcher")
        update().unasked("The data is ready")
    assert stage.run.store.pins() == pins


def test_links_are_hashes_with_titles_of_their_own(stage, update, untouched) -> None:
    stage.open()
    with untouched():
        update("--yes", "--link", "The data", "nonsense").refused(2, "64 hexadecimal digits")
        twice = ("--link", "The data", "ab" * 32)
        update("--yes", *twice, *twice).refused(2, "same title")
